"""The guard against guarantee time: what only the living can show may not be related to time from the start."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from immune_landscape.patient_outcomes import Times


def unguarded(asked: Iterable[str], late: Collection[str], *, guarded: bool) -> list[str]:
    """Return what may not be related to times to an event as it is asked for.

    Parameters
    ----------
    asked
        Columns of patients, or visits.
    late
        Those that are known only after treatment began: whoever lives longer has more time to get there.
    guarded
        Whether patients are looked at from a landmark on, or as their values change.

    Returns
    -------
    list of str
        In the order asked for; empty when guarded.

    References
    ----------
    Anderson, Cain and Gelber (1983), https://doi.org/10.1200/JCO.1983.1.11.710; Giobbie-Hurder, Gelber and Regan
    (2013), https://doi.org/10.1200/JCO.2013.49.5283
    """
    return [] if guarded else [name for name in asked if name in late]


def guarantee_message(name: str, remedy: str) -> str:
    """Return in words why something is refused, and what would be right.

    Parameters
    ----------
    name
        What was asked for.
    remedy
        What to do, as an order.

    Returns
    -------
    str
        One line.
    """
    return f"{name} is known only after treatment began, and whoever lives longer has more time to get it; {remedy}"


def from_landmark(found: Times, landmark: float) -> Times:
    """Return the patients still followed and free of the event at a landmark, with times from there on.

    Parameters
    ----------
    found
        Times from the start.
    landmark
        In the unit of the times.

    Returns
    -------
    Times
        Patients whose time is longer than the landmark.
    """
    kept = found.times > landmark
    return Times(found.patients[kept], found.times[kept] - landmark, found.events[kept])

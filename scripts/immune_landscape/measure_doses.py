"""Measure a dose escalation: dose-limiting toxicities by level, and what 3+3 rules read from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import pandas as pd

from immune_landscape.patient_outcomes import EVERYBODY, ordered_values, texts_of
from immune_landscape.proportions import exact_share, upper_bound

COLUMNS = [
    *("dose_level", "patients", "treated", "evaluable", "dlt", "share", "low", "high", "upper_one_sided"),
    *("reading", "meaning"),
]
SUMMARY_COLUMNS = ["status", "mtd", "maximum_administered", "evaluable", "dlt", "low", "high", "note"]
TEXTS = ("dose_level", "reading", "meaning", "mtd", "maximum_administered")
"""Columns of words that may be empty or look like numbers."""

FEWEST, FULL = 3, 6
"""Evaluable patients that a reading needs, and of a full cohort."""

TOLERATED = 1 / 6
"""Largest share of patients with a toxicity at a tolerated dose."""

INSUFFICIENT, ESCALATE, EXPAND, STOP = "insufficient", "escalate", "expand", "stop"
MEANINGS = {
    INSUFFICIENT: f"fewer than {FEWEST} evaluable patients",
    ESCALATE: "tolerated",
    EXPAND: f"one toxicity in fewer than {FULL}: treat up to {FULL}",
    STOP: "exceeds the maximum tolerated dose",
    "": "",
}


class Summary(NamedTuple):
    """What an escalation says of the maximum tolerated dose.

    Attributes
    ----------
    status
        ``reached``, ``not reached`` or ``not determined``.
    mtd
        Maximum tolerated dose; empty where it is not reached.
    note
        Why, in words.
    """

    status: str
    mtd: str
    note: str


def measure_doses(patients: pd.DataFrame, *, level: float) -> dict[str, pd.DataFrame]:
    """Count dose-limiting toxicities by dose level and read them by 3+3 rules.

    Parameters
    ----------
    patients
        One row per patient: ``dose_level``, ``dlt_evaluable``, ``dlt``, and ``treated`` where known.
    level
        Confidence level.

    Returns
    -------
    dict of str to pandas.DataFrame
        ``doses``: `COLUMNS`, one row per level from the lowest, and ``all``, which has no reading. ``evaluable`` counts
        patients marked as evaluable for toxicity. ``mtd``: `SUMMARY_COLUMNS`, one row.

    Notes
    -----
    Cohorts of any size are read: see `read_level` and `read_escalation`.
    """
    cells = texts_of(patients, "dose_level")
    treated = texts_of(patients, "treated") != "no"
    evaluable = (texts_of(patients, "dlt_evaluable") == "yes") & treated
    toxic = evaluable & (texts_of(patients, "dlt") == "yes")
    rows: list[dict[str, Any]] = []
    levels = ordered_values(patients, "dose_level")
    for name in [*levels, EVERYBODY]:
        inside = (cells == name) if name != EVERYBODY else cells != ""
        n, count = int((inside & evaluable).sum()), int((inside & toxic).sum())
        share = exact_share(count, n, level)
        reading = read_level(n, count) if name != EVERYBODY else ""
        told = {"dose_level": name, "patients": int(inside.sum()), "treated": int((inside & treated).sum())}
        bounds = {"share": share.estimate, "low": share.low, "high": share.high}
        words = {"upper_one_sided": upper_bound(count, n, level), "reading": reading, "meaning": MEANINGS[reading]}
        rows.append(told | {"evaluable": n, "dlt": count} | bounds | words)
    table = pd.DataFrame(rows, columns=COLUMNS)
    given = table[(table["treated"] > 0) & (table["dose_level"] != EVERYBODY)]
    found = read_escalation(given["dose_level"].tolist(), given["evaluable"].tolist(), given["dlt"].tolist())
    total = table.iloc[-1]
    summary = found._asdict() | {"maximum_administered": given["dose_level"].iloc[-1] if len(given) else ""}
    summary |= {"evaluable": int(total["evaluable"]), "dlt": int(total["dlt"])}
    summary |= {"low": total["low"], "high": total["high"]}
    return {"doses": table, "mtd": pd.DataFrame([summary], columns=SUMMARY_COLUMNS)}


def read_level(evaluable: int, toxic: int) -> str:
    """Return what 3+3 rules read from one dose level, for a cohort of any size.

    Parameters
    ----------
    evaluable, toxic
        Patients evaluable for dose-limiting toxicity, and those who had one.

    Returns
    -------
    str
        ``insufficient`` below three; ``escalate`` without toxicity, or with at most one in six; ``expand`` with one in
        three to five; else ``stop``.

    References
    ----------
    Le Tourneau, Lee and Siu (2009), https://doi.org/10.1093/jnci/djp079
    """
    if evaluable < FEWEST:
        return STOP if toxic >= 2 else INSUFFICIENT
    if toxic <= TOLERATED * evaluable:
        return ESCALATE
    return EXPAND if toxic == 1 and evaluable < FULL else STOP


def read_escalation(levels: Sequence[str], evaluable: Sequence[int], toxic: Sequence[int]) -> Summary:
    """Return what the levels together say of the maximum tolerated dose.

    Parameters
    ----------
    levels
        Dose levels given, from the lowest.
    evaluable, toxic
        Patients of each evaluable for toxicity, and with one.

    Returns
    -------
    Summary
        Reached when some level is too toxic: the highest level below it that is tolerated. Not reached when the highest
        level is tolerated.
    """
    readings = [read_level(n, count) for n, count in zip(evaluable, toxic, strict=True)]
    if STOP in readings:
        top = readings.index(STOP)
        below = [at for at in range(top) if readings[at] == ESCALATE]
        if not below:
            return Summary("not determined", "", f"level {levels[top]} exceeds it and no lower level is tolerated")
        mtd = below[-1]
        few = f"; only {evaluable[mtd]} evaluable patients there" if evaluable[mtd] < FULL else ""
        return Summary("reached", levels[mtd], f"level {levels[top]} exceeds it{few}")
    if not readings:
        return Summary("not determined", "", "no dose was given")
    if readings[-1] == ESCALATE:
        return Summary("not reached", "", "the highest level given is tolerated")
    return Summary("not determined", "", f"level {levels[-1]}: {MEANINGS[readings[-1]]}")

"""Which clinical tables and figures a cohort has."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from immune_landscape.cohort import Cohort

TIMES, RESPONSES, EVENTS, DOSES, ARMS = "times", "responses", "events", "doses", "arms"


def held_clinical(cohort: Cohort) -> set[str]:
    """Return the clinical analyses that the sheets of a cohort allow.

    Parameters
    ----------
    cohort
        Cohort as read.

    Returns
    -------
    set of str
        ``times``: somebody has a time to progression or death. ``responses``: there are assessments. ``events``: there
        are adverse events. ``doses``: dose levels and who was evaluable for toxicity. ``arms``: randomised arms, or
        other groups to compare. A masked cohort has times and events alone.
    """
    patients, config = cohort.patients, cohort.config
    held = set()
    if patients[["pfs_time", "os_time"]].notna().any(axis=None):
        held.add(TIMES)
    if cohort.adverse_events is not None and len(cohort.adverse_events):
        held.add(EVENTS)
    if not config["unblinded"]:
        return held
    if cohort.assessments is not None and len(cohort.assessments):
        held.add(RESPONSES)
    if patients["dose_level"].notna().any() and (patients["dlt_evaluable"] == "yes").any():
        held.add(DOSES)
    if config["randomisation"]["ratio"] or config["compare_outcomes"]["by"]:
        held.add(ARMS)
    return held


def clinical_figures(held: set[str], *, unblinded: bool) -> dict[str, dict[str, str]]:
    """Return the clinical figures of a cohort.

    Parameters
    ----------
    held
        As from `held_clinical`.
    unblinded
        Whether single patients may be shown with their outcome.

    Returns
    -------
    dict of str to dict
        Rule -> file stem -> what it shows; rules without a figure are left out.
    """
    shown: dict[str, dict[str, str]] = {}
    if TIMES in held:
        shown["draw_survival"] = {"pfs": "progression-free", "os": "overall"}
        shown["draw_survival"] |= {"subgroups": "hazard ratio by subgroup"} if ARMS in held else {}
    single = {"waterfall": "waterfall", "spider": "spider"} if RESPONSES in held else {}
    single |= {"swimmer": "swimmer"} if TIMES in held and unblinded else {}
    if single:
        shown["draw_responses"] = single
    if EVENTS in held:
        shown["draw_safety"] = {"events": "by worst grade"}
    if DOSES in held:
        shown["draw_doses"] = {"doses": "by dose level"}
    return shown

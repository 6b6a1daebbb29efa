"""Which clinical tables and figures a cohort has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from immune_landscape.linked_features import linked_layers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from immune_landscape.cohort import Cohort

TIMES, RESPONSES, EVENTS, DOSES, ARMS = "times", "responses", "events", "doses", "arms"
BIOMARKERS = "biomarkers"
LINKS = "links"


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
        other groups to compare. ``biomarkers``: there are biomarkers. A masked cohort has times, events and biomarkers
        alone.
    """
    patients, config = cohort.patients, cohort.config
    held = set()
    if patients[["pfs_time", "os_time"]].notna().any(axis=None):
        held.add(TIMES)
    if cohort.adverse_events is not None and len(cohort.adverse_events):
        held.add(EVENTS)
    if cohort.biomarkers is not None and len(cohort.biomarkers):
        held.add(BIOMARKERS)
    if not config["unblinded"]:
        return held
    if cohort.assessments is not None and len(cohort.assessments):
        held.add(RESPONSES)
    if patients["dose_level"].notna().any() and (patients["dlt_evaluable"] == "yes").any():
        held.add(DOSES)
    if config["randomisation"]["ratio"] or config["compare_outcomes"]["by"]:
        held.add(ARMS)
    return held


def linked_tables(held: set[str], config: Mapping[str, Any], compared: Mapping[str, str]) -> dict[str, str]:
    """Return the layers whose features can be related to outcome.

    Parameters
    ----------
    held
        As from `held_clinical`.
    config
        Effective config.
    compared
        Layer that the cohort compares -> its table.

    Returns
    -------
    dict
        Layer -> its table; empty without times, and in a masked cohort, whose outcomes are of no known patient.
    """
    return linked_layers(config, compared) if TIMES in held and config["unblinded"] else {}


def clinical_figures(held: set[str], *, unblinded: bool) -> dict[str, dict[str, str]]:
    """Return the clinical figures of a cohort.

    Parameters
    ----------
    held
        As from `held_clinical`, with ``links`` where immune features are related to outcome.
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
    if BIOMARKERS in held:
        shown["draw_biomarkers"] = {"biomarkers": "single patients"}
    if LINKS in held:
        shown["draw_outcomes"] = {
            "pfs": "progression-free survival",
            "os": "overall survival",
            "sides": "sides of the median",
        }
    if DOSES in held:
        shown["draw_doses"] = {"doses": "by dose level"}
    return shown

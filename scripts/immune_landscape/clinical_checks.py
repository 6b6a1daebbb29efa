"""Rules of the clinical sheets: assessments, adverse events, and how arms were dealt."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from immune_landscape.biomarker_checks import biomarker_notes, biomarker_problems
from immune_landscape.config_checks import LocationOf, case_twins
from immune_landscape.errors import Problem
from immune_landscape.guarantee_time import guarantee_message, unguarded
from immune_landscape.link_checks import link_problems
from immune_landscape.patient_outcomes import DAYS, ratio_of
from immune_landscape.recist import Rule, patient_responses, time_points
from immune_landscape.schemas import load_schema
from immune_landscape.sheet_tables import Cells, Table, Tables
from immune_landscape.strict_yaml import KeyPath, dotted
from immune_landscape.text_files import did_you_mean, listed, printable

if TYPE_CHECKING:
    import pandas as pd

AFTER_BASELINE = ("response", "best_response", "evaluable", "dlt")
"""Columns known only after treatment began: whoever lives longer has more time to get a good entry."""

UNLIKELY = 0.01
"""Chance of an allocation as uneven as that of the sheet, below which it is noted."""


def clinical_problems(tables: Tables, config: Mapping[str, Any], place_of: LocationOf, faulty: Cells) -> list[Problem]:
    """Return what is wrong in the clinical sheets and in the keys that speak of them.

    Parameters
    ----------
    tables
        Typed sheets.
    config
        Effective config.
    place_of
        Tells the file and line of a config key path.
    faulty
        Cells already reported.

    Returns
    -------
    list of Problem
        Unknown patients, repeated rows, impossible orders of days, lesions that cannot be, arms and columns that are
        not on the sheet, and comparisons that would guarantee survival time.
    """
    problems = []
    for table in tables.clinical().values():
        problems += _unknown_patients(table, tables.patients, faulty)
    if tables.assessments is not None:
        problems += _assessment_problems(tables.assessments, faulty)
    if tables.adverse_events is not None:
        problems += _event_problems(tables.adverse_events, faulty)
    if tables.patients is not None:
        problems += _contact_problems(tables.patients, faulty)
    problems += _randomisation_problems(tables.patients, config, place_of)
    problems += biomarker_problems(tables, config, place_of, faulty)
    problems += link_problems(config, late_columns(config), place_of)
    return problems + _guarantee_problems(tables.patients, config, place_of)


def _unknown_patients(table: Table, patients: Table | None, faulty: Cells) -> list[Problem]:
    if patients is None or "patient" not in table.present or "patient" not in patients.present:
        return []
    known = list(dict.fromkeys(patients.frame["patient"]))
    problems = []
    sound = table.sound_lines(("patient",), faulty)
    for line, value in table.frame.loc[sound, "patient"].items():
        if value and value not in known:
            message = f"{printable(value)} is not in {Path(patients.label).name}{did_you_mean(value, known)}"
            problems.append(table.at(line, "patient", message, "unknown_patient"))
    return problems


def _assessment_problems(table: Table, faulty: Cells) -> list[Problem]:
    frame = table.frame.loc[table.sound_lines(("patient", "day", "target_sum", "non_target", "new_lesion"), faulty)]
    frame = frame[(frame["patient"] != "") & frame["day"].notna()]
    problems = []
    for patient, own in frame.groupby("patient", sort=False):
        for line, day in own.loc[own["day"].duplicated(), "day"].items():
            message = f"{day:g} of {patient} is already on line {own.index[own['day'] == day][0]}"
            problems.append(table.at(line, "day", message, "duplicate_day"))
        before = own[own["day"] <= 0]
        if before.empty:
            message = f"{patient} has no assessment up to day 0, from which change could be counted"
            problems.append(table.at(own.index[0], "day", message, "no_baseline"))
        else:
            problems += _baseline_problems(table, before.sort_values("day", kind="stable").iloc[-1])
    for line in frame.index[(frame["assessable"] == "no") & frame["target_sum"].notna()]:
        problems.append(table.at(line, "target_sum", "is given although assessable is no", "clash"))
    return problems


def _baseline_problems(table: Table, row: pd.Series) -> list[Problem]:
    line = int(row.name)  # type: ignore[call-overload]
    problems = []
    if row["new_lesion"] == "yes":
        problems.append(table.at(line, "new_lesion", "yes at baseline, to which lesions are new", "clash"))
    if row["non_target"] in ("CR", "PD"):
        message = f"{row['non_target']} at baseline, expected non_CR_non_PD or none"
        problems.append(table.at(line, "non_target", message, "clash"))
    if row["target_sum"] == 0:
        message = "0 at baseline; leave it empty for a patient without target lesions"
        problems.append(table.at(line, "target_sum", message, "out_of_range"))
    if row["target_sum"] != row["target_sum"] and row["non_target"] in ("", "none"):
        message = f"{row['patient']} has neither target nor non-target lesions at baseline"
        problems.append(table.at(line, "target_sum", message, "missing_value"))
    return problems


def _event_problems(table: Table, faulty: Cells) -> list[Problem]:
    problems = []
    frame = table.frame.loc[table.sound_lines(("patient", "term", "grade", "day_start", "day_end"), faulty)]
    for line, start, end in frame.loc[frame["day_end"] < frame["day_start"], ["day_start", "day_end"]].itertuples():
        message = f"{end:g} is before day_start {start:g}"
        problems.append(table.at(line, "day_end", message, "event_order"))
    keys = ["patient", "term", "grade", "day_start"]
    dated = frame[frame["day_start"].notna()]
    for line in dated.index[dated.duplicated(keys)]:
        same = (dated[keys] == dated.loc[line, keys]).all(axis=1)
        message = f"already on line {int(dated.index[same][0])}, with the same patient, grade and day"
        problems.append(table.at(line, "term", message, "duplicate_event"))
    for column in ("term", "category"):
        cells = table.frame[column]
        for first, second in case_twins(dict.fromkeys(cell for cell in cells if cell)):
            message = f"{printable(second)} and {printable(first)} differ only in case, and would be counted apart"
            problems.append(table.at(cells.index[cells == second][0], column, message, "case_twin"))
    return problems


def _contact_problems(table: Table, faulty: Cells) -> list[Problem]:
    problems = []
    for name in ("pfs_time", "os_time", "treatment_time"):
        sound = table.sound_lines((name, "last_contact"), faulty)
        for line, time, contact in table.frame.loc[sound, [name, "last_contact"]].itertuples():
            if time > contact:
                message = f"{contact:g} is before {name} {time:g}"
                problems.append(table.at(line, "last_contact", message, "after_last_contact"))
    return problems


def _randomisation_problems(patients: Table | None, config: Mapping[str, Any], place_of: LocationOf) -> list[Problem]:
    randomisation = config["randomisation"]
    ratio, control = randomisation["ratio"], randomisation["control"]
    found: list[tuple[KeyPath, str, str]] = []
    dealt = ratio_of(config)
    if ratio and control not in dealt:
        message = f"{printable(control)}, expected one of {listed(dealt)}" if control else "is needed with a ratio"
        found.append((("control",), message, "unknown_arm" if control else "missing_key"))
    if ratio and len(dealt) < 2:
        found.append((("ratio",), "deals patients to fewer than two arms", "not_allowed"))
    for key in ("control", "strata", "subgroups"):
        if randomisation[key] and not ratio:
            found.append(((key,), "is given without a ratio", "missing_key"))
    if ratio and patients is not None:
        found += _arm_faults(patients, ratio)
    paths = [(("randomisation", *path), message, kind) for path, message, kind in found]
    return [Problem(*place_of(path), dotted(path), message, kind) for path, message, kind in paths]


def _arm_faults(patients: Table, ratio: Mapping[str, int]) -> list[tuple[KeyPath, str, str]]:
    held = sorted(set(patients.frame["arm"]) - {""})
    faults: list[tuple[KeyPath, str, str]] = []
    for arm in (name for name in ratio if name not in held):
        faults.append((("ratio", arm), f"no patient has this arm{did_you_mean(arm, held)}", "unknown_arm"))
    for arm in (name for name in held if name not in ratio):
        message = f"lacks the arm {printable(arm)} of patients.tsv; give it 0 if it was not randomised"
        faults.append((("ratio",), message, "unknown_arm"))
    return faults


def _guarantee_problems(patients: Table | None, config: Mapping[str, Any], place_of: LocationOf) -> list[Problem]:
    """Refuse to compare times between groups that only those who lived long enough could get into."""
    settings = config["compare_outcomes"]
    known = [*load_schema("patients")["properties"], "response", *config["extra_columns"].get("patients", {})]
    late = late_columns(config)
    problems = []
    for at, name in enumerate(settings["by"]):
        path: KeyPath = ("compare_outcomes", "by", at)
        if name not in known:
            message = f"{printable(name)} is not a column of patients.tsv{did_you_mean(name, known)}"
            problems.append(Problem(*place_of(path), dotted(path), message, "unknown_column"))
        elif unguarded([name], late, guarded=settings["landmark"] is not None):
            remedy = "set compare_outcomes.landmark, from which only patients still free of the event are compared"
            message = guarantee_message(name, remedy)
            problems.append(Problem(*place_of(path), dotted(path), message, "guarantee_time"))
    return problems


def late_columns(config: Mapping[str, Any]) -> set[str]:
    """Return the columns of patients that are known only after treatment began.

    Parameters
    ----------
    config
        Effective config; extra columns that give one of them again count too.

    Returns
    -------
    set of str
        Such as ``best_response``.
    """
    extra = config["extra_columns"].get("patients", {})
    return {*AFTER_BASELINE, *(name for name, spec in extra.items() if spec["same_as"] in AFTER_BASELINE)}


def clinical_notes(tables: Tables, config: Mapping[str, Any]) -> list[Problem]:
    """Return what in the clinical sheets is unusual but allowed.

    Parameters
    ----------
    tables
        Typed sheets.
    config
        Effective config.

    Returns
    -------
    list of Problem
        Best responses that differ from those derived, assessments after death, allocations far from the ratio, strata
        without an entry, deaths by grade 5 that the outcome does not tell, and events of patients who were not treated,
        all at cells of patients.tsv that a masked cohort hides, so that none tells an arm or an outcome; and those of
        `biomarker_checks.biomarker_notes`.
    """
    patients = tables.patients
    if patients is None:
        return []
    notes = _allocation_notes(patients, config)
    if tables.assessments is not None:
        notes += _conflict_notes(patients, tables.assessments, config)
        notes += _late_notes(patients, tables.assessments, config)
    if tables.adverse_events is not None:
        notes += _death_notes(patients, tables.adverse_events)
    return notes + biomarker_notes(tables, config)


def _allocation_notes(patients: Table, config: Mapping[str, Any]) -> list[Problem]:
    randomisation = config["randomisation"]
    notes = []
    for name in randomisation["strata"] if randomisation["ratio"] else []:
        if name in patients.frame:
            for line in patients.frame.index[_is_empty(patients.frame[name])]:
                message = f"{name} is empty: the patient stands in a stratum of its own name"
                notes.append(patients.at(line, "arm", message, "no_stratum"))
    ratio = ratio_of(config)
    counts: list[int] = [int((patients.frame["arm"] == arm).sum()) for arm in ratio]
    if len(ratio) > 1 and any(counts) and (p := _allocation_p(counts, list(ratio.values()))) < UNLIKELY:
        told = listed(f"{arm} {count}" for arm, count in zip(ratio, counts, strict=True))
        wanted = ":".join(str(part) for part in ratio.values())
        message = f"{told} patients, unlikely (p = {p:.2g}) under the ratio {wanted}"
        notes.append(patients.at(1, "arm", message, "allocation"))
    return notes


def _is_empty(column: pd.Series) -> pd.Series:
    return column.isna() | (column.astype(str) == "")


def _allocation_p(counts: list[int], ratio: list[int]) -> float:
    """Test the numbers of patients against the ratio: two arms exactly, more by chi-square.

    scipy.stats has both, but every start of the workflow would wait for it.
    """
    total, parts = sum(counts), sum(ratio)
    if len(counts) == 2:
        share = ratio[0] / parts
        chances = [math.comb(total, k) * share**k * (1 - share) ** (total - k) for k in range(total + 1)]
        # Equal chances may differ in the last digits.
        return min(1.0, sum(each for each in chances if each <= chances[counts[0]] * (1 + 1e-7)))
    from scipy.special import chdtrc

    expected = [total * part / parts for part in ratio]
    statistic = sum((count - mean) ** 2 / mean for count, mean in zip(counts, expected, strict=True))
    return float(chdtrc(len(counts) - 1, statistic))


def _conflict_notes(patients: Table, assessments: Table, config: Mapping[str, Any]) -> list[Problem]:
    derived = derived_responses(patients.frame, assessments.frame, config).set_index("patient")
    notes = []
    for line, patient, given in patients.frame[["patient", "best_response"]].itertuples():
        if patient in derived.index and given and derived.at[patient, "derived"] not in ("", given):
            row = derived.loc[patient]
            message = f"{given}, but the assessments give {row['derived']}; {row['used']} is used"
            notes.append(patients.at(line, "best_response", message, "response_conflict"))
    return notes


def _late_notes(patients: Table, assessments: Table, config: Mapping[str, Any]) -> list[Problem]:
    """Name the patients assessed after their death; a tenth of the unit of time is left for rounding."""
    last = assessments.frame.groupby("patient")["day"].max() / DAYS[config["time_unit"]]
    notes = []
    for line, patient, time, died in patients.frame[["patient", "os_time", "os_event"]].itertuples():
        if died == 1 and patient in last.index and last[patient] > time + 0.1:
            message = f"{time:g}, but the last assessment is {last[patient]:.3g} {config['time_unit']} after the start"
            notes.append(patients.at(line, "os_time", message, "assessed_after_death"))
    return notes


def _death_notes(patients: Table, events: Table) -> list[Problem]:
    dead = set(events.frame.loc[events.frame["grade"] == 5, "patient"])
    having = set(events.frame["patient"])
    notes = []
    for line, patient, died, treated in patients.frame[["patient", "os_event", "treated"]].itertuples():
        if patient in dead and died == 0:
            notes.append(patients.at(line, "os_event", "0 although an adverse event is of grade 5", "death_by_event"))
        if patient in having and treated == "no":
            message = "was not treated, so that adverse events of the patient are not counted"
            notes.append(patients.at(line, "evaluable", message, "not_treated"))
    return notes


def derived_responses(patients: pd.DataFrame, assessments: pd.DataFrame, config: Mapping[str, Any]) -> pd.DataFrame:
    """Derive best responses from the assessments of a cohort.

    Parameters
    ----------
    patients
        ``patient``, ``best_response`` as given.
    assessments
        As typed from assessments.tsv; rows without a day are passed over.
    config
        ``recist``.

    Returns
    -------
    pandas.DataFrame
        As from `recist.patient_responses`.
    """
    settings = config["recist"]
    rule = Rule(settings["confirmation"], settings["min_interval_days"], settings["min_stable_days"])
    given = dict(zip(patients["patient"], patients["best_response"], strict=True))
    points = time_points(assessments[assessments["day"].notna()])
    return patient_responses(points, given, rule, derived_wins=settings["prefer"] == "derived")


def with_derived(patients: pd.DataFrame, assessments: pd.DataFrame | None, config: Mapping[str, Any]) -> pd.DataFrame:
    """Return the table of patients with the best responses that are used.

    Parameters
    ----------
    patients, assessments, config
        As for `derived_responses`; assessments may be absent.

    Returns
    -------
    pandas.DataFrame
        A new table; ``best_response`` is derived where it was empty, or where the config prefers it.
    """
    if assessments is None or assessments.empty or patients["patient"].duplicated().any():
        return patients
    used = derived_responses(patients, assessments, config).set_index("patient")["used"]
    return patients.assign(best_response=patients["patient"].map(used))

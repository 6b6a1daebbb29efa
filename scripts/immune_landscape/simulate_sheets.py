"""Sheets of the demo cohort, drawn from a seed to the published shape of the reference trial.

References
----------
Tan Q. et al. 2025, Signal Transduct Target Ther, doi:10.1038/s41392-025-02488-1 (abstract and Table 2):
19 evaluable patients, objective response 31.6 %, disease control 73.7 %, median progression-free survival 6.6
and overall survival 10.8 months, doses of 1, 2, 4 and 8 x 10^9 cells. Everything else here is invented.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from immune_landscape.simulate_profiles import stream

RESPONSES = {"CR": 1, "PR": 5, "SD": 8, "PD": 5}
DOSES = {1: 3, 2: 5, 4: 5, 8: 6}
BATCHES = ("b1", "b2", "b3", "b4")
VISITS = {"baseline": (-7, 0), "on_treatment": (35, 50)}
MISSING = {"SD": "on_treatment", "PD": "baseline"}
MEDIAN_PFS, MEDIAN_OS = 6.6, 10.8
TYPICAL_PFS = {"CR": 15.0, "PR": 10.5, "SD": 6.6, "PD": 1.9}
FOLLOW_UP = 22.0


class Gate(NamedTuple):
    """A population: its parent, ``all`` for the first, and its typical share of it."""

    parent: str
    share: float


class Measure(NamedTuple):
    """A measure: unit, typical value, and SD of its log between patients and between samples of a patient."""

    unit: str
    typical: float
    between: float
    within: float


GATES = {
    "Lymphocytes": Gate("all", 0.7),
    "CD3+": Gate("Lymphocytes", 0.62),
    "CD3-CD56+": Gate("Lymphocytes", 0.15),
    "CD3+CD56+": Gate("CD3+", 0.05),
    "CD8+": Gate("CD3+", 0.35),
    "CD56bright": Gate("CD3-CD56+", 0.08),
}

EVENTS = (120_000, 250_000)
MEASURES = {
    "Lymphocytes": Measure("10^9/L", 1.3, 0.3, 0.15),
    "Monocytes": Measure("10^9/L", 0.5, 0.3, 0.2),
    "IFN-gamma": Measure("pg/mL", 8.0, 0.6, 0.35),
    "CRP": Measure("mg/L", 12.0, 0.8, 0.4),
}

CELLS_COUNTED = ("Mononuclear cells", ("Lymphocytes", "Monocytes"))
"""Measure that is the sum of others: what the cells of a sample are shares of."""

UNMEASURED = ("IFN-gamma", 1)
SHARE_SD = (0.3, 0.18)  # log odds of a gate: between patients, between samples of a patient
PLANTED = {"populations": {"CD3pos/CD3+CD56+": 0.8}}
"""Layer -> ``parent/feature`` -> effect in responders under treatment, on the scale compared; all else has none."""


def draw_sheets(seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Draw the patients and samples of the demo cohort.

    Parameters
    ----------
    seed
        Seed; the committed sheets come from the one named in their ``cohort.yaml``.

    Returns
    -------
    patients
        One row per patient, columns of ``patients.tsv``; times in months.
    samples
        One row per sample, columns of ``samples.tsv``; ``day`` counts from the first dose.
    """
    rng = stream(seed, "sheets")
    response = rng.permutation([name for name, number in RESPONSES.items() for _ in range(number)])
    patients = _draw_patients(rng, response)
    return patients, _draw_samples(rng, patients)


def draw_numbers(patients: pd.DataFrame, samples: pd.DataFrame, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Draw the gated populations and the other measures of the demo cohort's samples.

    Parameters
    ----------
    patients, samples
        As `draw_sheets` returns.
    seed
        Seed of the sheets.

    Returns
    -------
    populations
        Columns of ``populations.tsv``: events of every gate in every sample, the number of all events among them.
    measures
        Columns of ``measures.tsv``, all on the log scale; cytokines are missing in few samples.

    Notes
    -----
    A gate holds a binomial number of its parent's events, its log odds normal around the patient's. The only effect is
    `PLANTED`.
    """
    responders = patients.loc[patients["best_response"].isin(["CR", "PR"]), "patient"]
    treated = samples["patient"].isin(responders) & (samples["visit"] != next(iter(VISITS)))
    effects = {name.split("/")[1]: effect for name, effect in PLANTED["populations"].items()}
    shifts = {gate: effect * treated.to_numpy(dtype=float) for gate, effect in effects.items()}
    populations = draw_gates(samples, GATES, shifts, stream(seed, "populations"))
    return populations, _draw_measures(samples, stream(seed, "measures"))


def draw_gates(
    samples: pd.DataFrame, gates: Mapping[str, Gate], shifts: Mapping[str, np.ndarray], rng: np.random.Generator
) -> pd.DataFrame:
    """Draw the events of every gate in every sample.

    Parameters
    ----------
    samples
        One row per sample: sample, patient.
    gates
        Population to its gate, parents before their children.
    shifts
        Population to what is added to the log odds of its gate in each sample, (samples,).
    rng
        Source of randomness.

    Returns
    -------
    pandas.DataFrame
        Columns of ``populations.tsv``: a gate holds a binomial number of its parent's events, its log odds normal
        around the patient's.
    """
    counts = {"all": rng.integers(*EVENTS, len(samples))}
    for name, gate in gates.items():
        odds = np.log(gate.share / (1 - gate.share)) + _deviations(samples, *SHARE_SD, rng)
        odds = odds + shifts.get(name, 0.0)
        counts[name] = rng.binomial(counts[gate.parent], 1 / (1 + np.exp(-odds)))
    parents = {name: "" if gate.parent == "all" else gate.parent for name, gate in gates.items()} | {"all": ""}
    rows = [
        {"sample": sample, "population": name, "parent": parents[name], "count": int(counts[name][at])}
        for at, sample in enumerate(samples["sample"])
        for name in counts
    ]
    return pd.DataFrame(rows)


def draw_levels(
    samples: pd.DataFrame, measures: Mapping[str, Measure], rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Draw measures, log-normal around each patient's level, to three digits.

    Parameters
    ----------
    samples
        One row per sample: patient.
    measures
        Name to what is typical.
    rng
        Source of randomness.

    Returns
    -------
    dict
        Name to (samples,) values.
    """
    return {
        name: _three_digits(facts.typical * np.exp(_deviations(samples, facts.between, facts.within, rng)))
        for name, facts in measures.items()
    }


def _draw_measures(samples: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    values = draw_levels(samples, MEASURES, rng)
    total, parts = CELLS_COUNTED
    values[total] = _three_digits(np.sum([values[part] for part in parts], axis=0))
    units = {name: facts.unit for name, facts in MEASURES.items()}
    units[total] = units[parts[0]]
    missing = {(UNMEASURED[0], at) for at in rng.choice(len(samples), UNMEASURED[1], replace=False).tolist()}
    rows = [
        {"sample": sample, "measure": name, "value": values[name][at], "unit": units[name], "scale": "log"}
        for at, sample in enumerate(samples["sample"])
        for name in values
        if (name, at) not in missing
    ]
    return pd.DataFrame(rows)


def _deviations(samples: pd.DataFrame, between: float, within: float, rng: np.random.Generator) -> np.ndarray:
    """Return the deviation of each sample: that of its patient and its own."""
    codes, patients = pd.factorize(samples["patient"])
    return rng.normal(0, between, len(patients))[codes] + rng.normal(0, within, len(samples))


def _three_digits(values: np.ndarray) -> np.ndarray:
    return np.array([float(f"{value:.3g}") for value in values])


def _draw_patients(rng: np.random.Generator, response: np.ndarray) -> pd.DataFrame:
    number = len(response)
    pfs, overall = _draw_times(rng, response)
    # Doses rise in the order of enrolment, as in an escalation.
    doses = np.repeat(list(DOSES), list(DOSES.values()))
    return pd.DataFrame(
        {
            "patient": [f"P{i:02d}" for i in range(1, number + 1)],
            "arm": "nk_gemcitabine_s1",
            "dose_level": doses,
            "product_origin": "allogeneic",
            "donor_sex": rng.choice(["female", "male"], number),
            "sex": rng.choice(["female", "male"], number, p=[0.45, 0.55]),
            "age": np.clip(np.round(rng.normal(61, 7, number)), 42, 76).astype(int),
            "best_response": response,
            "evaluable": "yes",
            "dlt_evaluable": "yes",
            "dlt": "no",
            "pfs_time": pfs,
            "pfs_event": (pfs < FOLLOW_UP * 0.75).astype(int),
            "os_time": np.minimum(overall, FOLLOW_UP),
            "os_event": (overall < FOLLOW_UP).astype(int),
        }
    )


def _draw_times(rng: np.random.Generator, response: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Draw survival times and stretch them so that their medians are the published ones."""
    typical = np.array([TYPICAL_PFS[name] for name in response])
    pfs = typical * np.exp(rng.normal(0, 0.25, len(response)))
    pfs = np.round(np.minimum(pfs * MEDIAN_PFS / np.median(pfs), FOLLOW_UP * 0.75), 1)
    overall = pfs * 1.2 + rng.gamma(3.0, 1.2, len(response))
    overall = np.maximum(overall * MEDIAN_OS / np.median(overall), pfs + 0.3)
    return pfs, np.round(overall, 1)


def _draw_samples(rng: np.random.Generator, patients: pd.DataFrame) -> pd.DataFrame:
    # Dealing patients to batches in the order of response balances response over batches.
    dealt = patients.sort_values(["best_response", "patient"])["patient"].to_list()
    batch = {patient: BATCHES[i % len(BATCHES)] for i, patient in enumerate(dealt)}
    lacks = {
        str(patients.loc[patients["best_response"] == response, "patient"].iloc[-1]): visit
        for response, visit in MISSING.items()
    }
    rows = []
    for patient in patients["patient"]:
        for visit, days in VISITS.items():
            day = int(rng.integers(*days))
            if lacks.get(patient) != visit:
                rows.append(_describe_sample(patient, visit, day, batch[patient]))
    return pd.DataFrame(rows)


def _describe_sample(patient: str, visit: str, day: int, batch: str) -> dict[str, object]:
    name = f"{patient}_{visit}"
    return {
        "sample": name,
        "patient": patient,
        "visit": visit,
        "day": day,
        "tissue": "blood",
        "batch": batch,
        "gex": f"gex/{name}.h5",
        "tcr": f"tcr/{name}_filtered_contig_annotations.csv.gz",
        "bulk_tcr": f"bulk_tcr/{name}.airr.tsv.gz",
    }

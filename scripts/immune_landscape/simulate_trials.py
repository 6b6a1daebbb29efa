"""Draw the sheets of a simulated trial from its design: ``python -m immune_landscape.simulate_trials FOLDER``.

The folder of a cohort may hold ``design.yaml``, which says who is enrolled, treated and measured when. The sheets drawn
from it let a trial be rehearsed at its true size before any patient is seen. All that they hold is invented.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from immune_landscape.data_files import shown_path
from immune_landscape.errors import DesignError, ProblemsError
from immune_landscape.schemas import fill_defaults, load_schema, schema_problems
from immune_landscape.simulate_lesions import draw_assessments
from immune_landscape.simulate_markers import draw_markers
from immune_landscape.simulate_profiles import stream
from immune_landscape.simulate_sheets import Gate, Measure, draw_gates, draw_levels
from immune_landscape.store import write_table
from immune_landscape.strict_yaml import read_yaml

DESIGN = "design.yaml"
TYPICAL_PFS = {"CR": 15.0, "PR": 10.5, "SD": 6.6, "PD": 1.9, "NE": 3.0}
"""Progression-free time by best response, relative to one another."""

SPREAD_PFS = 0.25
SHORTEST_CONTROL = 2.0
"""Months that somebody whose disease was controlled was free of progression, at least."""


def draw_trial(design: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    """Draw the sheets of a trial.

    Parameters
    ----------
    design
        As in `design.schema.yaml`, defaults filled in.

    Returns
    -------
    dict
        Name of a sheet without its ending -> table: ``patients`` and ``samples``, and those of ``assessments``,
        ``adverse_events``, ``biomarkers``, ``populations`` and ``measures`` that the design describes.

    Raises
    ------
    DesignError
        Numbers of the design contradict one another.
    """
    seed = int(design["seed"])
    patients = _draw_patients(design, seed)
    samples = _draw_samples(design, patients, seed)
    sheets = {"patients": patients, "samples": samples}
    if design["assessments"]:
        sheets["assessments"] = draw_assessments(patients, **design["assessments"], rng=stream(seed, "assessments"))
    if design["adverse_events"]:
        sheets["adverse_events"] = _draw_events(design["adverse_events"], patients, stream(seed, "adverse events"))
    if design["biomarkers"]:
        sheets["biomarkers"] = draw_markers(patients, **design["biomarkers"], rng=stream(seed, "biomarkers"))
    if design["populations"]:
        sheets["populations"] = _draw_populations(design, patients, samples, stream(seed, "populations"))
    if design["measures"]:
        sheets["measures"] = _draw_measures(design["measures"], samples, stream(seed, "measures"))
    return sheets


def _draw_patients(design: Mapping[str, Any], seed: int) -> pd.DataFrame:
    rng = stream(seed, "patients")
    table = pd.concat([_draw_block(block, rng) for block in design["patients"]], ignore_index=True)
    # Randomised patients of both arms enter in turn, whereas dose levels rise in the order of enrolment.
    mixed = np.flatnonzero(table.pop("mixed").to_numpy(dtype=bool))
    order = np.arange(len(table))
    order[mixed] = rng.permutation(mixed)
    table = table.iloc[order].reset_index(drop=True)
    width = max(2, len(str(len(table))))
    table.insert(0, "patient", [f"{design['prefix']}{at + 1:0{width}d}" for at in range(len(table))])
    for name, shares in design["words"].items():
        table[name] = rng.choice(list(shares), len(table), p=np.array(list(shares.values())) / sum(shares.values()))
    for name, facts in design["numbers"].items():
        table[name] = _draw_numbers(facts, len(table), rng)
    return table.assign(**_draw_times(table, design["survival"], rng))


def _draw_block(block: Mapping[str, Any], rng: np.random.Generator) -> pd.DataFrame:
    """Draw patients who share arm, dose or stratum."""
    responses = [name for name, number in block["responses"].items() for _ in range(number)]
    if len(responses) != block["number"]:
        raise DesignError(f"{DESIGN}: a block of {block['number']} patients has {len(responses)} responses")
    table = pd.DataFrame({"best_response": rng.permutation(responses)}).assign(**block["columns"])
    table["evaluable"] = np.where(table["best_response"] == "NE", "no", "yes")
    for name, facts in block["numbers"].items():
        table[name] = _draw_numbers(facts, len(table), rng)
    return table.assign(mixed=block["mixed"])


def _draw_numbers(facts: Mapping[str, float], number: int, rng: np.random.Generator) -> np.ndarray:
    drawn = np.clip(rng.normal(facts["mean"], facts["sd"], number), facts["low"], facts["high"])
    return np.round(drawn, int(facts["digits"])) if facts["digits"] else np.round(drawn).astype(int)


def _draw_times(table: pd.DataFrame, survival: Mapping[str, Any], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Draw times that follow the response, stretched so that the median of the evaluable patients is the one wanted."""
    typical = table["best_response"].map(TYPICAL_PFS).to_numpy(dtype=float)
    pfs = typical * np.exp(rng.normal(0, SPREAD_PFS, len(table)))
    overall = pfs * 1.2 + rng.gamma(3.0, 1.2, len(table))
    for name, times in (("pfs", pfs), ("os", overall)):
        for group, median in survival[name].items():
            of_group = (
                table[survival["by"]].astype(str).eq(group).to_numpy() if survival["by"] else np.ones(len(table), bool)
            )
            known = of_group & table["evaluable"].eq("yes").to_numpy()
            times[of_group] *= median / np.median(times[known])
    controlled = table["best_response"].isin(["CR", "PR", "SD"]).to_numpy()
    pfs[controlled] = np.maximum(pfs[controlled], SHORTEST_CONTROL)
    overall = np.maximum(overall, pfs + 0.3)
    shortest, longest = survival["followed"]
    followed = rng.uniform(shortest, longest, len(table))
    return {
        "pfs_time": np.round(np.minimum(pfs, followed), 1),
        "pfs_event": (pfs <= followed).astype(int),
        "os_time": np.round(np.minimum(overall, followed), 1),
        "os_event": (overall <= followed).astype(int),
    }


def _draw_samples(design: Mapping[str, Any], patients: pd.DataFrame, seed: int) -> pd.DataFrame:
    rng = stream(seed, "samples")
    ranked = patients.sort_values(["arm", "best_response", "patient"])
    # Dealing patients to batches in the order of arm and response balances both over batches.
    batches = {name: f"b{at % design['batches'] + 1}" for at, name in enumerate(ranked["patient"])}
    chosen = _spread_out(ranked[ranked["evaluable"] == "yes"]["patient"].to_list(), design["single_cell_patients"])
    rows = []
    for patient, evaluable in zip(patients["patient"], patients["evaluable"], strict=True):
        for taken in design["samples"]:
            day = int(rng.integers(taken["days"][0], taken["days"][1] + 1))
            if evaluable == "yes" or not taken["evaluable_only"]:
                held = [name for name in taken["layers"] if name == "bulk_tcr" or patient in chosen]
                rows.append(_describe_sample(patient, taken, day, batches[patient], held))
    table = pd.DataFrame(rows)
    return table[table["kept"]].drop(columns="kept").reset_index(drop=True)


def _spread_out(names: list[str], number: int | None) -> set[str]:
    """Choose names at even steps, so that each arm and response has its part."""
    if number is None or number >= len(names):
        return set(names)
    return {names[round(at)] for at in np.linspace(0, len(names) - 1, number)}


def _describe_sample(
    patient: str, taken: Mapping[str, Any], day: int, batch: str, held: list[str]
) -> dict[str, object]:
    name = f"{patient}_{taken['visit']}" + ("" if taken["tissue"] == "blood" else f"_{taken['tissue']}")
    files = {
        "gex": f"gex/{name}.h5",
        "tcr": f"tcr/{name}_filtered_contig_annotations.csv.gz",
        "bulk_tcr": f"bulk_tcr/{name}.airr.tsv.gz",
    }
    described = {"sample": name, "patient": patient, "visit": taken["visit"], "day": day, "tissue": taken["tissue"]}
    paths = {layer: path if layer in held else "" for layer, path in files.items()}
    return {**described, "batch": batch, **paths, "kept": bool(held) or taken["gated"]}


def _draw_populations(
    design: Mapping[str, Any], patients: pd.DataFrame, samples: pd.DataFrame, rng: np.random.Generator
) -> pd.DataFrame:
    gated = {(taken["visit"], taken["tissue"]) for taken in design["samples"] if taken["gated"]}
    wanted = [pair in gated for pair in zip(samples["visit"], samples["tissue"], strict=True)]
    rows = samples[wanted].merge(patients[["patient", "arm", "best_response"]], on="patient")
    later = rows["visit"].isin(design["treated_visits"]).to_numpy()
    studied = rows["arm"].isin(design["treated_arms"]).to_numpy() | (not design["treated_arms"])
    responds = rows["best_response"].isin(["CR", "PR"]).to_numpy()
    gates = {name: Gate(gate["parent"], gate["share"]) for name, gate in design["populations"].items()}
    shifts = {
        name: gate["arm_effect"] * (later & studied) + gate["response_effect"] * (later & studied & responds)
        for name, gate in design["populations"].items()
    }
    return draw_gates(rows, gates, shifts, rng)


def _draw_measures(
    measures: Mapping[str, Mapping[str, Any]], samples: pd.DataFrame, rng: np.random.Generator
) -> pd.DataFrame:
    """Draw what is measured in blood, by sample, all on the log scale."""
    taken = samples[samples["tissue"] == "blood"]
    values = draw_levels(taken, {name: Measure(**facts) for name, facts in measures.items()}, rng)
    rows = [
        {"sample": sample, "measure": name, "value": values[name][at], "unit": facts["unit"], "scale": "log"}
        for at, sample in enumerate(taken["sample"])
        for name, facts in measures.items()
    ]
    return pd.DataFrame(rows)


def _draw_events(events: list[Mapping[str, Any]], patients: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Give each event to so many patients of each group, at random within it."""
    rows = []
    for event in events:
        groups = patients[event["by"]].astype(str)
        for group, number in event["patients"].items():
            members = patients.loc[groups == group, "patient"].to_list()
            if number > len(members):
                raise DesignError(f"{DESIGN}: {event['term']} in {number} of {len(members)} patients of {group}")
            for patient in sorted(rng.choice(members, number, replace=False).tolist()):
                grade = int(rng.choice(event["grades"]))
                rows.append(
                    {"patient": patient, "day_start": int(rng.integers(1, event["until_day"] + 1)), "grade": grade}
                )
                rows[-1] |= {name: event[name] for name in ("term", "related", "category")}
    columns = ["patient", "term", "grade", "related", "category", "day_start"]
    return pd.DataFrame(rows, columns=columns).sort_values(["patient", "day_start", "term"], ignore_index=True)


def read_design(path: Path) -> dict[str, Any]:
    """Read a design and fill in what it leaves out.

    Parameters
    ----------
    path
        ``design.yaml``.

    Returns
    -------
    dict
        Complete design.

    Raises
    ------
    ProblemsError
        With every place that the schema forbids.
    """
    file, schema = read_yaml(path, shown_path(path)), load_schema("design")
    problems = file.problems or schema_problems(schema, file.value, file.place)
    if problems:
        raise ProblemsError(problems)
    filled: dict[str, Any] = fill_defaults(schema, file.value)
    return filled


def main() -> None:
    """Write the sheets of the folders given, drawn from their designs."""
    parser = argparse.ArgumentParser(description="Draw the sheets of simulated trials from their design.yaml.")
    parser.add_argument("folders", nargs="+", type=Path)
    for folder in parser.parse_args().folders:
        for name, table in draw_trial(read_design(folder / DESIGN)).items():
            write_table(table, folder / f"{name}.tsv")
            print(f"{folder / name}.tsv: {len(table)} rows, simulated")


if __name__ == "__main__":
    main()

"""Repeat the comparisons under other definitions of a responder: does the answer hang on who counts as one?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from immune_landscape.compare_composition import compare_composition
from immune_landscape.compare_values import compare_values
from immune_landscape.contrast_tests import ContrastSettings
from immune_landscape.designs import RESPONSE_GROUPS, group_column

COLUMNS = ["layer", "contrast", "parent", "feature", "definition", "n_a", "n_b", "effect", "p", "same_sign"]
DECLARED = "as declared"
ORDER = ("CR", "PR", "SD", "PD")
"""Best responses from best to worst."""

MAX_LABELINGS = 50_000
"""Labelings per comparison of the sweep: a p value to two digits is enough to see whether it holds."""


def sweep_definitions(
    layers: Mapping[str, pd.DataFrame],
    design: pd.DataFrame,
    contrasts: Sequence[Mapping[str, Any]],
    responders: Mapping[str, Any],
    second_sources: Sequence[str],
    floors: Mapping[str, Any],
    testing: ContrastSettings,
    seed: int,
    *,
    flip_patients: bool,
) -> pd.DataFrame:
    """Compare every layer again under each other definition of a responder.

    Parameters
    ----------
    layers
        Layer -> table: ``composition`` as `measure_composition` returns, any other layer as values per sample.
    design
        One row per sample with the columns of patients.tsv and ``response`` as declared.
    contrasts
        Contrasts of the cohort; those of the response are swept.
    responders
        ``positive``, ``negative``: best responses as declared; ``pfs_at_least``: time, None for the median.
    second_sources
        Columns that give the best response from a second source.
    floors
        Settings of `compare_composition`.
    testing
        Level and number of labelings; at most `MAX_LABELINGS` are looked at.
    seed
        Seed of the labelings drawn.
    flip_patients
        Whether each borderline patient is moved to the other group in turn.

    Returns
    -------
    pandas.DataFrame
        `COLUMNS`: one row per definition and feature with an estimate; `same_sign` as under the declared definition.
    """
    quick = testing._replace(
        intervals=False, max_exact=min(testing.max_exact, MAX_LABELINGS), draws=min(testing.draws, MAX_LABELINGS)
    )
    chosen = [item for item in contrasts if item["estimand"] != "change" and group_column(item) == "response"]
    tables = []
    for name, response in response_definitions(design, responders, second_sources, flip_patients=flip_patients):
        changed = design.assign(response=design["patient"].map(response).fillna(""))
        for layer, table in layers.items():
            rows = _compare_layer(layer, table, changed, chosen, floors, quick, seed)
            tables.append(rows.assign(layer=layer, definition=name))
    swept = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=COLUMNS)
    return _with_signs(swept.reindex(columns=COLUMNS))


def response_definitions(
    design: pd.DataFrame, responders: Mapping[str, Any], second_sources: Sequence[str], *, flip_patients: bool
) -> Iterator[tuple[str, dict[str, str]]]:
    """List definitions of a responder that differ from the one declared, and that one first.

    Parameters
    ----------
    design, responders, second_sources, flip_patients
        As in `sweep_definitions`.

    Yields
    ------
    name : str
        Definition.
    response : dict
        Patient -> ``responder``, ``non_responder`` or empty.
    """
    patients = design.drop_duplicates("patient").set_index("patient")
    declared = patients["response"].fillna("").astype(str)
    seen = [_as_dict(declared)]
    yield DECLARED, seen[0]
    if not (declared != "").any():
        return
    others = [
        *_regrouped(patients, second_sources, responders),
        *_by_time(patients, responders.get("pfs_at_least")),
        *(_flipped(patients, declared) if flip_patients else []),
    ]
    for name, response in others:
        given = _as_dict(response)
        if given not in seen and set(RESPONSE_GROUPS) <= set(given.values()):
            seen.append(given)
            yield name, given


def _as_dict(response: pd.Series) -> dict[str, str]:
    return {str(patient): str(group) for patient, group in response.fillna("").items()}


def _regrouped(
    patients: pd.DataFrame, second_sources: Sequence[str], responders: Mapping[str, Any]
) -> Iterator[tuple[str, pd.Series]]:
    best = patients["best_response"].fillna("").astype(str)
    evaluable = patients["evaluable"] != "no" if "evaluable" in patients else pd.Series(True, index=patients.index)
    yield "CR or PR", _grouped(best, ("CR", "PR"), ("SD", "PD")).where(evaluable, "")
    yield "CR, PR or SD", _grouped(best, ("CR", "PR", "SD"), ("PD",)).where(evaluable, "")
    yield "not evaluable as non-responder", _grouped(best, ("CR", "PR"), ("SD", "PD", "NE"))
    for column in second_sources:
        other = patients[column].fillna("").astype(str).str.strip()
        yield f"by {column}", _grouped(other, responders["positive"], responders["negative"]).where(evaluable, "")


def _grouped(best: pd.Series, positive: Sequence[str], negative: Sequence[str]) -> pd.Series:
    names = dict.fromkeys(positive, RESPONSE_GROUPS[0]) | dict.fromkeys(negative, RESPONSE_GROUPS[1])
    return best.map(names).fillna("")


def _by_time(patients: pd.DataFrame, at_least: float | None) -> Iterator[tuple[str, pd.Series]]:
    """Call those responders who were free of progression for long enough; who was censored before is unknown."""
    if "pfs_time" not in patients or patients["pfs_time"].isna().all():
        return
    time, event = patients["pfs_time"].astype(float), patients["pfs_event"].astype(float)
    limit = float(time.median()) if at_least is None else float(at_least)
    response = pd.Series(RESPONSE_GROUPS[1], index=patients.index).where(event == 1, "")
    what = "the median" if at_least is None else "as set"
    yield f"PFS of at least {limit:g} ({what})", response.mask(time >= limit, RESPONSE_GROUPS[0])


def _flipped(patients: pd.DataFrame, declared: pd.Series) -> Iterator[tuple[str, pd.Series]]:
    """Move to the other group, one at a time, the patients whose best response lies at the border."""
    best = patients["best_response"].fillna("").astype(str)
    rank = best.map({name: at for at, name in enumerate(ORDER)})
    for group, other in (RESPONSE_GROUPS, RESPONSE_GROUPS[::-1]):
        members = rank[(declared == group) & rank.notna()]
        border = members.max() if group == RESPONSE_GROUPS[0] else members.min()
        for patient in members.index[members == border]:
            changed = declared.copy()
            changed[patient] = other
            yield f"{patient} ({best[patient]}) moved", changed


def _compare_layer(
    layer: str,
    table: pd.DataFrame,
    design: pd.DataFrame,
    contrasts: Sequence[Mapping[str, Any]],
    floors: Mapping[str, Any],
    testing: ContrastSettings,
    seed: int,
) -> pd.DataFrame:
    if layer == "composition":
        rows = compare_composition(table, design, contrasts, testing, seed, **floors)["contrasts"]
        return rows.rename(columns={"subset": "feature"})
    return compare_values(table, design, contrasts, layer, testing, seed)["contrasts"]


def _with_signs(swept: pd.DataFrame) -> pd.DataFrame:
    keys = ["layer", "contrast", "parent", "feature"]
    swept = swept[swept["effect"].notna()].reset_index(drop=True)
    declared = swept[swept["definition"] == DECLARED].set_index(keys)["effect"]
    reference = declared.reindex(pd.MultiIndex.from_frame(swept[keys])).to_numpy(dtype=float)
    same = np.sign(swept["effect"].to_numpy(dtype=float)) == np.sign(reference)
    return swept.assign(same_sign=same)

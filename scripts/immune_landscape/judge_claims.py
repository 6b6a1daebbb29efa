"""Hold prior claims against what this cohort shows: the claims ledger."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from immune_landscape.claim_files import DAYS
from immune_landscape.claim_rules import (
    NOT_TESTABLE,
    Effect,
    Level,
    Thresholds,
    judge_effect,
    judge_level,
    why_untested,
)
from immune_landscape.designs import RESPONSE_GROUPS, group_column, group_names
from immune_landscape.display_text import sentence
from immune_landscape.patient_outcomes import EVERYBODY

TOLD = ("label", "statement", "layer", "estimand", "feature", "where")
"""Keys of a claim that the ledger repeats."""

COLUMNS = [
    *("claim", "label", "source", "statement", "layer", "estimand", "contrast", "parent", "feature", "direction"),
    *("claimed", "claimed_unit", "n_a", "n_b", "estimate", "ci_low", "ci_high", "unit"),
    *("p", "p_corrected", "correction", "p_holm", "sd", "mde", "mde_d", "d", "d_low", "d_high", "claimed_d"),
    *("loo_flips", "loo_same_sign", "references_same_sign", "labels_same_sign", "labels_present"),
    *("definitions_same_sign", "stable_share", "verdict", "reason", "where", "citation"),
]
COUNTS = ("n_a", "n_b", "loo_flips")
NUMBERS = (
    *("claimed", "estimate", "ci_low", "ci_high", "p", "p_corrected", "p_holm", "sd", "mde", "mde_d"),
    *("d", "d_low", "d_high", "claimed_d", "loo_same_sign", "references_same_sign", "labels_same_sign"),
    *("labels_present", "definitions_same_sign", "stable_share"),
)
SWEEPS = {
    "loo": "cohorts without one patient",
    "references": "reference subsets",
    "labels": "label runs",
    "definitions": "responder definitions",
}
"""Sweep -> what it runs over; the share of the claimed row's sign is in the column ``<sweep>_same_sign``."""

FAMILIES = ("primary", "secondary", "exploratory")
OF_RESPONSE = ("baseline", "response_by_visit")
MASKED = "Arm, response and outcome are masked."

Row = dict[str, Any]


class _Place(NamedTuple):
    """Where the answer to a claim may stand: a feature of a layer in one of several parents."""

    layer: str
    parents: Sequence[str]
    feature: str


def judge_claims(
    claims: Sequence[Mapping[str, Any]],
    contrasts: pd.DataFrame,
    endpoints: pd.DataFrame,
    sweeps: Mapping[str, pd.DataFrame],
    study: Mapping[str, Any],
    *,
    min_stable_share: float,
    assumed_size: float,
    part_of_claim: float,
) -> pd.DataFrame:
    """Give a verdict on each prior claim, with the estimate behind it and the number that decided.

    Parameters
    ----------
    claims
        Claims files as `claim_files.read_claims` returns them.
    contrasts
        Table of `merge_contrasts`.
    endpoints
        Table of `measure_endpoints`.
    sweeps
        Those that were run: ``references`` (of `compare_composition`), ``labels`` (table ``stability`` of
        `sweep_labels`), ``definitions`` (of `sweep_definitions`).
    study
        Facts of the cohort: ``contrasts``, ``unblinded``, ``alpha``.
    min_stable_share
        Share of each sweep that must agree in sign for a claim to replicate.
    assumed_size
        Size taken for a claim that gives none, in standard deviations between patients.
    part_of_claim
        Part of the claimed effect that the interval must exclude for a claim not to be supported.

    Returns
    -------
    pandas.DataFrame
        `COLUMNS`, one row per claim in the order given. ``d``, ``d_low`` and ``d_high`` are the estimate and its
        interval divided by ``sd``, the standard deviation between patients. ``p_corrected`` is ``p_maxt`` of a
        declared family, else ``fdr``. ``loo_same_sign`` is 1 when no patient turns the sign by being left out, else
        0; ``labels_same_sign`` is over the label runs that hold the subset, whose share is ``labels_present``;
        ``stable_share`` is the smallest of the shares known. The numbers of an endpoint are in ``unit``, the value
        claimed too, and ``n_a`` counts its patients.

    Notes
    -----
    The rules are `claim_rules.judge_effect` and `claim_rules.judge_level`; effects are judged in standard deviations.
    A claim is answered by a contrast of its estimand, a primary one before others, in the first of its parents that
    was tested; where none was, by the first of its fallbacks that was. Contrasts between groups other than those of
    the response answer no claim about the response. A claim is not testable here when arm and response are masked,
    when the cohort lacks the layer, the estimand, the feature or the endpoint, when its row was too sparse or not
    testable (as where groups and strata are confounded), or when its size is in another unit than the layer's.
    """
    limits = Thresholds(study["alpha"], min_stable_share, assumed_size, part_of_claim)
    rows = []
    for file in claims:
        for claim in file["claims"]:
            row = {name: claim[name] for name in TOLD}
            row |= {"claim": claim["id"], "source": file["name"], "citation": file["source"]["citation"]}
            row |= {"parent": claim["parents"][0], "direction": claim["direction"] or ""}
            if claim["layer"] == "endpoints":
                rows.append(row | _judge_endpoint(claim, endpoints, study, limits))
            else:
                rows.append(row | _judge_contrast(claim, contrasts, sweeps, study, limits))
    return _table_of(rows)


def _table_of(rows: list[Row]) -> pd.DataFrame:
    blank: Row = dict.fromkeys(COLUMNS, "") | dict.fromkeys(NUMBERS, np.nan) | dict.fromkeys(COUNTS, pd.NA)
    table = pd.DataFrame([blank | row for row in rows], columns=COLUMNS)
    return table.astype(dict.fromkeys(NUMBERS, float) | dict.fromkeys(COUNTS, "Int64"))


def _untestable(reason: str) -> Row:
    return {"verdict": NOT_TESTABLE, "reason": reason}


def _judge_endpoint(claim: Row, endpoints: pd.DataFrame, study: Mapping[str, Any], limits: Thresholds) -> Row:
    chosen = endpoints[(endpoints["endpoint"] == claim["feature"]) & (endpoints["by"] == EVERYBODY)]
    by_population = {row["population"]: row for row in chosen.to_dict("records") if not pd.isna(row["estimate"])}
    population = next((name for name in claim["parents"] if name in by_population), None)
    if population is None:
        wanted = " or ".join(claim["parents"]).replace("_", " ")
        return _untestable(f"Not given for patients of the population {wanted}." if study["unblinded"] else MASKED)
    found = by_population[population]
    unit = str(found["unit"])
    scale = 1.0 if unit == claim["unit"] else DAYS[claim["unit"]] / DAYS[unit]
    value = claim["value"] * scale
    published = (claim["interval"][0] * scale, claim["interval"][1] * scale) if claim["interval"] else None
    row: Row = {"parent": population, "claimed": value, "claimed_unit": unit, "unit": unit, "n_a": int(found["n"])}
    row |= {"estimate": found["estimate"], "ci_low": found["low"], "ci_high": found["high"]}
    if math.isnan(found["low"]):
        return row | _untestable("Too few events to bound the median.")
    level = Level(value, published, float(found["low"]), float(found["high"]), unit == "share")
    verdict, reason = judge_level(level, limits)
    return row | {"verdict": verdict, "reason": reason}


def _judge_contrast(
    claim: Row,
    contrasts: pd.DataFrame,
    sweeps: Mapping[str, pd.DataFrame],
    study: Mapping[str, Any],
    limits: Thresholds,
) -> Row:
    if claim["estimand"] != "change" and not study["unblinded"]:
        return _untestable(MASKED)
    names = _contrasts_of(claim["estimand"], study["contrasts"])
    if not names:
        return _untestable(f"No contrast of the estimand {claim['estimand']} is declared.")
    places = [_Place(item["layer"], item["parents"], item["feature"]) for item in [claim, *claim["fallbacks"]]]
    candidates = [row for place in places for row in _candidates(place, contrasts, names)]
    tested = [row for row in candidates if row["status"] == "tested"]
    if not candidates:
        return _untestable(_why_absent(places[0], contrasts))
    found = (tested or candidates)[0]
    row = _described(found, claim, sweeps)
    if not tested:
        return row | _untestable(f"{sentence(why_untested(found))}.")
    if not found["sd"] > 0:
        return row | _untestable("Patients do not differ, so that there is no standard deviation to judge by.")
    if not math.isnan(row["claimed"]) and math.isnan(row["claimed_d"]):
        return row | _untestable(f"The size claimed is in {claim['unit']}, this layer in {found['unit'] or 'no unit'}.")
    verdict, reason = judge_effect(_effect_of(row, claim, limits), limits)
    note = "" if found["layer"] == claim["layer"] else f" Judged by {found['layer']}: {claim['layer']} cannot tell."
    return row | {"verdict": verdict, "reason": reason + note}


def _contrasts_of(estimand: str, contrasts: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the contrasts that may answer, primary ones first."""
    chosen = [item for item in contrasts if item["estimand"] == estimand]
    if estimand in OF_RESPONSE:
        # In other groups, or the other way round, the sign would mean something else.
        groups = list(RESPONSE_GROUPS)
        chosen = [item for item in chosen if group_column(item) == "response" and group_names(item, ()) == groups]
    ordered = sorted(chosen, key=lambda item: FAMILIES.index(item.get("family", FAMILIES[0])))
    return [str(item["name"]) for item in ordered]


def _candidates(place: _Place, contrasts: pd.DataFrame, names: Sequence[str]) -> list[Row]:
    """Return the rows that may answer, by contrast and then by parent."""
    here = contrasts[(contrasts["layer"] == place.layer) & (contrasts["feature"] == place.feature)]
    here = here[here["contrast"].isin(names) & here["parent"].isin([*place.parents, ""])]
    # A row without parent is that of a declared subset that was found nowhere.
    parents = [*place.parents, ""]
    rows = [{str(name): value for name, value in row.items()} for row in here.to_dict("records")]
    return sorted(rows, key=lambda row: (names.index(row["contrast"]), parents.index(row["parent"])))


def _why_absent(place: _Place, contrasts: pd.DataFrame) -> str:
    if not (contrasts["layer"] == place.layer).any():
        return f"This cohort has no contrasts of the layer {place.layer}."
    where = " or ".join(place.parents)
    return f"The contrasts of {place.layer} do not hold {place.feature} of {where}."


def _described(found: Row, claim: Row, sweeps: Mapping[str, pd.DataFrame]) -> Row:
    """Return the columns that repeat or rescale the row that answers."""
    corrected = next((name for name in ("p_maxt", "fdr") if not pd.isna(found[name])), "")
    row = {name: found[name] for name in ("layer", "contrast", "feature", "n_a", "n_b", "ci_low", "ci_high", "unit")}
    row |= {name: found[name] for name in ("p", "p_holm", "sd", "mde", "mde_d", "loo_flips")}
    row |= {"parent": found["parent"] or claim["parents"][0], "estimate": found["effect"]}
    row |= {"p_corrected": found[corrected] if corrected else np.nan}
    row |= {"correction": {"p_maxt": "p maxT", "fdr": "FDR", "": ""}[corrected]}
    sd = found["sd"] if found["sd"] > 0 else np.nan
    row |= {"d": found["effect"] / sd, "d_low": found["ci_low"] / sd, "d_high": found["ci_high"] / sd}
    size = np.nan if claim["size"] is None else float(claim["size"])
    in_d = size if claim["unit"] == "d" else size / sd if claim["unit"] == found["unit"] else np.nan
    row |= {"claimed": size, "claimed_unit": "" if math.isnan(size) else claim["unit"], "claimed_d": in_d}
    shares = _stability_of(found, sweeps)
    known = [share for name, share in shares.items() if name.endswith("_same_sign") and not math.isnan(share)]
    return row | shares | {"stable_share": min(known, default=np.nan)}


def _stability_of(found: Row, sweeps: Mapping[str, pd.DataFrame]) -> dict[str, float]:
    """Return the share of each sweep in which the effect has the sign of the row, NaN where a sweep was not run."""
    sign = np.sign(found["effect"])
    bounds = np.array([found["loo_low"], found["loo_high"]], dtype=float)
    loo = float((np.sign(bounds) == sign).all()) if np.isfinite(bounds).all() else np.nan
    labels = _rows_like(found, sweeps.get("labels"))
    references = _rows_like(found, sweeps.get("references"))
    definitions = _rows_like(found, sweeps.get("definitions"))
    effects = pd.Series(dtype=float) if definitions is None else definitions["effect"].dropna()
    return {
        "loo_same_sign": loo,
        "references_same_sign": _first(references, "share_same_sign"),
        "labels_same_sign": _first(labels, "share_same_sign"),
        "labels_present": _first(labels, "share_present"),
        "definitions_same_sign": float((np.sign(effects) == sign).mean()) if len(effects) else np.nan,
    }


def _rows_like(found: Row, sweep: pd.DataFrame | None) -> pd.DataFrame | None:
    """Return the rows of a sweep that repeat a row; a sweep without layers is one of composition."""
    if sweep is None or ("layer" not in sweep and found["layer"] != "composition"):
        return None
    keys = {"contrast": found["contrast"], "parent": found["parent"]}
    keys |= {"feature" if "feature" in sweep else "subset": found["feature"]}
    keys |= {"layer": found["layer"]} if "layer" in sweep else {}
    chosen = pd.Series(True, index=sweep.index)
    for name, value in keys.items():
        chosen &= sweep[name] == value
    return sweep[chosen]


def _first(rows: pd.DataFrame | None, column: str) -> float:
    return np.nan if rows is None or rows.empty else float(rows[column].iloc[0])


def _effect_of(row: Row, claim: Row, limits: Thresholds) -> Effect:
    known = {name: row[f"{name}_same_sign"] for name in SWEEPS if not math.isnan(row[f"{name}_same_sign"])}
    weakest = min(known, key=lambda name: known[name], default="")
    return Effect(
        sign=1 if claim["direction"] == "up" else -1,
        estimate=row["d"],
        low=row["d_low"],
        high=row["d_high"],
        p=row["p_corrected"],
        correction=row["correction"],
        claimed=limits.assumed_d if math.isnan(row["claimed_d"]) else row["claimed_d"],
        detectable=row["mde_d"],
        stable=row["stable_share"],
        weakest=SWEEPS.get(weakest, ""),
        size_known=not math.isnan(row["claimed_d"]),
    )

"""Count the clones that every two patients share, and raise an alarm where these are too many to be public."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from immune_landscape.clone_sharing import EXPECTED, FLAGGED, count_shared, incidence, name_clones
from immune_landscape.display_text import counted
from immune_landscape.errors import InputError
from immune_landscape.sharing_limits import SharingRule, limit_sharing

SOURCES = ("tcr", "bulk_tcr")
PAIR_COLUMNS = [
    *("source", "patient_a", "patient_b", "same_batch", "clones_a", "clones_b", "shared", "shared_aa"),
    *("expected", "limit", "mass_a", "mass_b", "large", "verdict", "note"),
]
CLONE_COLUMNS = [
    *("source", "patient_a", "patient_b", "same_batch", "verdict", "clone", "sample_a", "count_a", "share_a"),
    *("sample_b", "count_b", "share_b", "pattern"),
]
HOPPING, LARGE, SHARED = "large in one, a trace in the other", "large in both", "shared"
MIXED, MUCH_LESS = 0.2, 0.2
"""Share of both repertoires from which samples look swapped, and of the larger share that tells who holds whose."""

BULK_COLUMNS = ("junction", "junction_aa", "v_call", "j_call", "count")
_HELD = ["sample", "patient", "clone", "residues", "label", "count", "paired"]


def share_clones(
    clonotypes: pd.DataFrame | None,
    bulk: Iterable[tuple[str, pd.DataFrame]],
    design: pd.DataFrame,
    *,
    min_shared: Mapping[str, int],
    max_identity: float,
    chance: float,
    min_pairs: int,
    large_share: float,
    trace: float,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Compare every two patients by the clones of identical nucleotides that both have.

    Parameters
    ----------
    clonotypes
        First table of `define_clonotypes.define_clonotypes`; None without single-cell receptors.
    bulk
        Sample and its bulk clonotypes (`BULK_COLUMNS`).
    design
        One row per sample: sample, patient, batch.
    min_shared
        Source (``tcr``, ``bulk_tcr``) -> clones below which no pair is flagged.
    max_identity, chance, min_pairs
        As in `sharing_limits.SharingRule`; two chains of a cell are never the same by chance.
    large_share
        Share of a sample from which a clone is large.
    trace
        Share of a large clone's share up to which it is a trace in the other patient.

    Returns
    -------
    pairs
        One row per source and pair of patients (`PAIR_COLUMNS`): clones of each, those shared by nucleotides, those
        shared by amino acids, what is expected and where the alarm begins, share of each repertoire that the shared
        clones hold, shared clones that are large in either, verdict (as expected or flagged) and note.
    clones
        The clones shared by nucleotides of flagged pairs, and those of any pair that are large in either
        (`CLONE_COLUMNS`), each in the sample of either patient where it is largest.

    Raises
    ------
    InputError
        A sample is not in the design.

    Notes
    -----
    A clone is both junctions of a cell, or junction, V and J gene of a bulk rearrangement. Sharing by amino acids is
    told beside it and judged by nothing: public clones are mostly of different nucleotides. A pattern is a hint: traces
    of another patient's large clones in one batch are what hopping of indices or carry-over between wells leave.
    """
    held = {"tcr": _of_cells(clonotypes), "bulk_tcr": _of_bulk(bulk, design)}
    batches = _batches(design)
    pairs, clones = [], []
    for source, table in held.items():
        if table.empty:
            continue
        _check_samples(table, design)
        by_chance = 0.0 if table["paired"].all() else max_identity
        rule = SharingRule(min_shared[source], by_chance, chance, min_pairs)
        largest = _largest(table)
        judged = _judge(_compare(largest, batches, large_share), rule)
        pairs.append(judged.assign(source=source))
        clones.append(_list_clones(largest, judged, large_share, trace).assign(source=source))
    return _stack(pairs, PAIR_COLUMNS), _stack(clones, CLONE_COLUMNS)


def _stack(tables: Sequence[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    if not tables:
        return pd.DataFrame(columns=columns)
    return pd.concat(tables, ignore_index=True)[columns]


def _of_cells(clonotypes: pd.DataFrame | None) -> pd.DataFrame:
    if clonotypes is None:
        return _nothing()
    cells = name_clones(clonotypes)
    keys = ["sample", "patient", "clone", "residues", "paired"]
    counts = cells.groupby(keys, sort=False).size().rename("count").reset_index()
    return counts.assign(label=counts["residues"])[_HELD]


def _nothing() -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series(dtype=object) for name in _HELD})


def _of_bulk(bulk: Iterable[tuple[str, pd.DataFrame]], design: pd.DataFrame) -> pd.DataFrame:
    """Hold clones by hashes of 64 bits: the texts of a deep cohort take ten times the room."""
    patients = design.set_index("sample")["patient"].astype(str)
    tables = []
    for sample, rows in bulk:
        if sample not in patients.index:
            raise InputError(f"repertoires of samples that the design lacks: {sample}")
        known = rows[rows["junction"] != ""]
        label = known["junction_aa"].astype(object).str.cat(known["v_call"].astype(object), sep=" ")
        clone = known["junction"].astype(object).str.cat(known[["v_call", "j_call"]].astype(object), sep="|")
        hashes = {"clone": _hashed(clone), "residues": _hashed(label)}
        table = known.assign(**hashes, label=label, sample=sample, patient=patients[sample], paired=False)
        tables.append(table[_HELD])
    return pd.concat(tables, ignore_index=True) if tables else _nothing()


def _hashed(texts: pd.Series) -> np.ndarray:
    return pd.util.hash_array(texts.to_numpy(dtype=object), categorize=False)


def _check_samples(table: pd.DataFrame, design: pd.DataFrame) -> None:
    if unknown := sorted(set(table["sample"]) - set(design["sample"])):
        raise InputError(f"receptors hold samples that the design lacks: {', '.join(unknown)}")


def _batches(design: pd.DataFrame) -> dict[str, set[str]]:
    if "batch" not in design:
        return {}
    known = design[design["batch"].fillna("").astype(str) != ""]
    return {str(name): set(rows["batch"].astype(str)) for name, rows in known.groupby("patient")}


def _largest(table: pd.DataFrame) -> pd.DataFrame:
    """Keep each clone of a patient in the sample where its share is largest."""
    totals = table.groupby("sample")["count"].transform("sum")
    shares = table.assign(share=table["count"] / totals)
    order = shares.sort_values(["patient", "share", "sample"], ascending=[True, False, True], kind="stable")
    return order.drop_duplicates(["patient", "clone"]).reset_index(drop=True)


def _compare(largest: pd.DataFrame, batches: Mapping[str, set[str]], large_share: float) -> pd.DataFrame:
    names = sorted(largest["patient"].unique())
    shared = count_shared(largest["patient"], largest["clone"], names)
    alike = largest[largest["residues"].astype(str) != ""].drop_duplicates(["patient", "residues"])
    shared_aa = count_shared(alike["patient"], alike["residues"], names)
    mass, large = _weigh(largest, names, large_share)
    rows = [
        {
            "patient_a": names[a],
            "patient_b": names[b],
            "same_batch": bool(batches.get(names[a], set()) & batches.get(names[b], set())),
            "clones_a": int(shared[a, a]),
            "clones_b": int(shared[b, b]),
            "shared": int(shared[a, b]),
            "shared_aa": int(shared_aa[a, b]),
            "mass_a": mass[a, b],
            "mass_b": mass[b, a],
            "large": int(large[a, b]),
        }
        for a, b in itertools.combinations(range(len(names)), 2)
    ]
    columns = [name for name in PAIR_COLUMNS if name not in ("source", "expected", "limit", "verdict", "note")]
    return pd.DataFrame(rows, columns=columns)


def _weigh(largest: pd.DataFrame, names: list[str], large_share: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the share of a patient's repertoire shared with another, and how many shared clones are large."""
    keys = largest["patient"], largest["clone"], names
    totals = largest.groupby("patient")["count"].transform("sum")
    has = incidence(*keys)
    mass = (incidence(*keys, (largest["count"] / totals).to_numpy()) @ has.T).toarray()
    is_large = incidence(*keys, (largest["share"] >= large_share).to_numpy(dtype=np.int64))
    in_one = (is_large @ has.T).toarray()
    return mass, in_one + in_one.T - (is_large @ is_large.T).toarray()


def _judge(pairs: pd.DataFrame, rule: SharingRule) -> pd.DataFrame:
    judged = pairs.join(limit_sharing(pairs, rule))
    flagged = judged["shared"] > judged["limit"]
    judged["verdict"] = np.where(flagged, FLAGGED, EXPECTED)
    judged["note"] = [_note(row) for row in judged.to_dict("records")]
    return judged


def _note(row: Mapping[Any, Any]) -> str:
    if row["verdict"] == FLAGGED:
        sides = [(row["patient_a"], row["mass_a"]), (row["patient_b"], row["mass_b"])]
        (giver, more), (taker, less) = sorted(sides, key=_by_mass, reverse=True)
        masses = f"{_percent(more)} of {giver} and {_percent(less)} of {taker}"
        if less >= MIXED:
            meaning = "swapped samples or one person"
        elif less < MUCH_LESS * more:
            meaning = f"{taker} seems to hold some of {giver}"
        else:
            meaning = "one seems to hold some of the other"
        return f"{row['shared']} clones shared, {row['limit']} at most expected; they are {masses}: {meaning}"
    if row["large"] and row["same_batch"]:
        return f"shares {counted(row['large'], 'clone')} large in one, same batch: hopping of indices or carry-over"
    return ""


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %"


def _by_mass(side: tuple[str, float]) -> float:
    return side[1]


def _list_clones(largest: pd.DataFrame, pairs: pd.DataFrame, large_share: float, trace: float) -> pd.DataFrame:
    """List the shared clones of flagged pairs, and the large ones of all pairs."""
    facts = ["clone", "patient", "label", "sample", "count", "share"]
    held = largest.loc[largest["clone"].duplicated(keep=False), facts]
    both = held.merge(held.drop(columns="label"), on="clone", suffixes=("_a", "_b")).rename(columns={"label": "text"})
    both = both[both["patient_a"] < both["patient_b"]]
    both = both.merge(pairs[["patient_a", "patient_b", "same_batch", "verdict"]], on=["patient_a", "patient_b"])
    more, less = both[["share_a", "share_b"]].max(axis=1), both[["share_a", "share_b"]].min(axis=1)
    pattern = np.select([more < large_share, less <= trace * more], [SHARED, HOPPING], LARGE)
    both = both.assign(pattern=pattern, more=more).drop(columns="clone").rename(columns={"text": "clone"})
    kept = both[(both["verdict"] == FLAGGED) | (both["more"] >= large_share)]
    order = ["patient_a", "patient_b", "more", "clone"]
    return kept.sort_values(order, ascending=[True, True, False, True], kind="stable").reset_index(drop=True)

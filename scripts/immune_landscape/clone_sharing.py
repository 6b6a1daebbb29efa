"""Clones that samples share: those of one patient should, those of two patients should not."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

EXPECTED, FLAGGED, NONE_SHARED = "as expected", "flagged", "no shared clone"
PAIR_COLUMNS = (
    *("sample_a", "patient_a", "sample_b", "patient_b", "same_patient"),
    *("clones_a", "clones_b", "shared", "share", "verdict", "note"),
)


@dataclass(frozen=True)
class CloneRule:
    """When two samples share too many clones.

    Attributes
    ----------
    min_shared
        Clones that must be shared before anything is made of them.
    floor
        Share of the smaller sample's clones from which two patients share too many.
    """

    min_shared: int
    floor: float


def clones_of(clonotypes: pd.DataFrame) -> pd.DataFrame:
    """List the distinct clones of each sample by their nucleotides, whoever the patient is.

    Parameters
    ----------
    clonotypes
        As `define_clonotypes.define_clonotypes` returns: sample, patient, has_receptor, vj_junction, vdj_junction.

    Returns
    -------
    pandas.DataFrame
        sample, patient, clone, paired: one row per sample and clone. A clone is cells with the same two junctions;
        where no cell of the cohort has both, with the same VDJ junction, and then paired is false.
    """
    return name_clones(clonotypes)[["sample", "patient", "clone", "paired"]].drop_duplicates().reset_index(drop=True)


def name_clones(clonotypes: pd.DataFrame) -> pd.DataFrame:
    """Name the clone of every cell by its nucleotides, whoever the patient is.

    Parameters
    ----------
    clonotypes
        As `clones_of` takes; optionally also vj_junction_aa and vdj_junction_aa.

    Returns
    -------
    pandas.DataFrame
        One row per cell whose clone `clones_of` lists: sample, patient, clone, residues (the same by amino acids;
        empty where they are not given), paired.
    """
    usable = clonotypes[clonotypes["has_receptor"].astype(bool)]
    light, heavy = _texts(usable, "vj_junction"), _texts(usable, "vdj_junction")
    paired = (light != "") & (heavy != "")
    both = bool(paired.any())
    clones = light + "+" + heavy if both else heavy
    light_aa, heavy_aa = _texts(usable, "vj_junction_aa"), _texts(usable, "vdj_junction_aa")
    residues = (light_aa + "+" + heavy_aa).where((light_aa != "") & (heavy_aa != ""), "") if both else heavy_aa
    kept = paired if both else heavy != ""
    table = usable[["sample", "patient"]].astype(str).assign(clone=clones, residues=residues, paired=paired)
    return table[kept.to_numpy()].reset_index(drop=True)


def _texts(table: pd.DataFrame, name: str) -> pd.Series:
    return table[name].fillna("").astype(str) if name in table else pd.Series("", index=table.index, dtype=object)


def compare_samples(clones: pd.DataFrame, rule: CloneRule) -> pd.DataFrame:
    """Count and judge the clones that every two samples share.

    Parameters
    ----------
    clones
        As `clones_of` returns.
    rule
        Thresholds.

    Returns
    -------
    pandas.DataFrame
        One row per pair of samples with clones: sample_a, patient_a, sample_b, patient_b, same_patient, clones_a,
        clones_b, shared (clones), share (of the smaller sample's clones), verdict (as expected, flagged or no shared
        clone), note.

    Notes
    -----
    Samples of two patients are flagged when they share at least ``rule.min_shared`` clones and these are at least
    ``rule.floor`` of the smaller sample, or more than either of them shares with its own patient's other samples. The
    latter asks for paired chains: single junctions may be public.
    """
    owners = clones.drop_duplicates("sample").set_index("sample")["patient"]
    sizes = clones["sample"].value_counts()
    shared = count_shared(clones["sample"], clones["clone"], list(owners.index))
    rows = []
    for (i, a), (j, b) in itertools.combinations(enumerate(owners.index), 2):
        least = min(sizes[a], sizes[b])
        pair = (a, owners[a], b, owners[b], owners[a] == owners[b], sizes[a], sizes[b])
        rows.append((*pair, shared[i, j], shared[i, j] / least))
    pairs = pd.DataFrame(rows, columns=list(PAIR_COLUMNS[:-2]))
    return _judge(pairs, rule, bool(clones["paired"].all()))


def count_shared(owners: pd.Series, clones: pd.Series, names: list[str]) -> np.ndarray:
    """Count the clones that every two samples or patients have in common.

    Parameters
    ----------
    owners, clones
        Sample or patient, and a clone of it, each pair once.
    names
        Samples or patients in the order wanted.

    Returns
    -------
    numpy.ndarray
        (names, names) of whole numbers; the diagonal holds the clones of each.
    """
    has = incidence(owners, clones, names)
    return csr_matrix(has @ has.T).toarray()


def incidence(owners: pd.Series, clones: pd.Series, names: list[str], weights: np.ndarray | None = None) -> csr_matrix:
    """Lay out which clone (column) is whose (row).

    Parameters
    ----------
    owners, clones
        Sample or patient, and a clone of it, each pair once.
    names
        Samples or patients in the order wanted.
    weights
        Value of each pair; 1 unless given.

    Returns
    -------
    scipy.sparse.csr_matrix
        (names, clones); columns are in the order in which clones first occur.
    """
    rows = pd.Index(names).get_indexer(pd.Index(owners))
    columns, found = pd.factorize(clones)
    values = np.ones(len(columns), dtype=np.int64) if weights is None else weights
    return csr_matrix((values, (rows, columns)), shape=(len(names), len(found)))


def _judge(pairs: pd.DataFrame, rule: CloneRule, paired: bool) -> pd.DataFrame:
    own = own_shares(pairs)
    # A sample alone of its patient has nothing to be compared with.
    home = pairs[["sample_a", "sample_b"]].apply(lambda side: side.map(own).fillna(1.0)).min(axis=1)
    many = pairs["shared"] >= rule.min_shared
    beyond_floor = many & (pairs["share"] >= rule.floor)
    beyond_own = many & (pairs["share"] > home) & paired
    same = pairs["same_patient"].astype(bool)
    flagged = ~same & (beyond_floor | beyond_own)
    verdict = np.select([flagged, same & (pairs["shared"] == 0)], [FLAGGED, NONE_SHARED], EXPECTED)
    notes = [
        _note(*row)
        for row in zip(verdict, beyond_own, pairs["shared"], pairs["clones_a"], pairs["clones_b"], strict=True)
    ]
    return pairs.assign(verdict=verdict, note=notes)


def _note(verdict: str, beyond_own: bool, shared: int, clones_a: int, clones_b: int) -> str:
    if verdict == NONE_SHARED:
        return f"samples of one patient with {clones_a} and {clones_b} clones share none"
    if verdict != FLAGGED:
        return ""
    more = ", more than with samples of the same patient" if beyond_own else ""
    return f"two patients share {shared} clones{more}: swapped, mixed or contaminated samples"


def own_shares(pairs: pd.DataFrame) -> dict[str, float]:
    """Return the largest share of clones that a sample has in common with another of its patient.

    Parameters
    ----------
    pairs
        As `compare_samples` returns.

    Returns
    -------
    dict
        Sample -> share; samples without another of their patient are left out.
    """
    same = pairs[pairs["same_patient"].astype(bool)]
    ends = pd.concat([same.set_index(side)["share"] for side in ("sample_a", "sample_b")])
    return {str(name): float(value) for name, value in ends.groupby(level=0).max().items()}

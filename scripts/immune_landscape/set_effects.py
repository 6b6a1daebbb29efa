"""Whether the genes of a set change together, tested against permuted patients, never against permuted genes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from immune_landscape.ambient import changed_by
from immune_landscape.cell_types import read_cell_types
from immune_landscape.errors import DesignError
from immune_landscape.labelings import Floats
from immune_landscape.multiple_tests import false_discovery_rates
from immune_landscape.permutation import TIE_TOLERANCE
from immune_landscape.signature_registry import Signature, defining_genes, read_signatures

SET_COLUMNS = [
    "contrast", "subset", "signature", "n_a", "n_b", "genes", "missing", "mean_t", "rank_shift", "p", "fdr",
    "fdr_pooled", "direction", "mean_t_ambient_removed", "depends_on_ambient", "permutations", "exact", "status",
    "note",
]  # fmt: skip
TESTED, TOO_FEW = "tested", "too_few_genes"


class GeneSets(NamedTuple):
    """The sets that are tested in a subset, over the genes expressed there.

    Attributes
    ----------
    rows
        One per set: its columns that do not depend on the patients.
    weights
        (sets, features) what each gene's statistic counts in the set's mean: 1 / genes, negative for genes that count
        against; zero throughout for sets with too few genes.
    """

    rows: list[dict[str, Any]]
    weights: Floats


def chosen_sets(slugs: Sequence[str]) -> list[Signature]:
    """Look up the gene sets to be tested.

    Parameters
    ----------
    slugs
        Names under ``signatures`` in markers.yaml.

    Returns
    -------
    list of Signature
        In the order given.

    Raises
    ------
    DesignError
        Unknown names; all are listed.
    """
    known = read_signatures()
    unknown = [slug for slug in slugs if slug not in known]
    if unknown:
        raise DesignError(
            f"compare_expression: gene_sets is {', '.join(map(repr, unknown))}, "
            f"expected signatures of markers.yaml: {', '.join(known)}"
        )
    return [known[slug] for slug in slugs]


def sets_of_subset(subset: str, signatures: Iterable[Signature], genes: pd.Index, *, min_genes: int) -> GeneSets:
    """Lay the sets that belong to a subset over the genes expressed in it.

    Parameters
    ----------
    subset
        Subset or branch. Sets of NK or T cells are tested in subsets of that branch alone.
    signatures
        As `chosen_sets` returns.
    genes
        Genes expressed.
    min_genes
        Genes that a set needs among them.

    Returns
    -------
    GeneSets
        In the order of the signatures.
    """
    types = read_cell_types()
    branch = str(types.at[subset, "branch"]) if subset in types.index else ""
    own = [signature for signature in signatures if signature.branch in ("any", branch)]
    signs = np.array([_signs(signature, genes) for signature in own]).reshape(len(own), len(genes))
    counts = np.abs(signs).sum(axis=1)
    enough = counts >= max(min_genes, 1)
    defining = defining_genes(subset)[0]
    rows = [
        {
            "signature": signature.slug,
            "genes": int(count),
            "missing": len(signature.genes) + len(signature.negative) - int(count),
            "status": TESTED if passed else TOO_FEW,
            "note": _note(genes[sign != 0], defining),
        }
        for signature, count, passed, sign in zip(own, counts, enough, signs, strict=True)
    ]
    weights = np.where(enough[:, None], signs / np.maximum(counts, 1)[:, None], 0.0)
    return GeneSets(rows, weights)


def watch_means(cohorts: Iterable[tuple[Floats, Floats]], sets: GeneSets, means: list[Floats]) -> Iterator[Any]:
    """Pass permuted cohorts on, and keep the mean statistic of each set in each of them.

    Parameters
    ----------
    cohorts
        As `moderated_t.permuted_t` yields.
    sets
        As `sets_of_subset` returns.
    means
        Receives (cohorts, sets) arrays.

    Yields
    ------
    tuple
        As it came.
    """
    for statistics, df in cohorts:
        means.append(statistics @ sets.weights.T)
        yield statistics, df


def set_effects(t: Floats, sets: GeneSets, means: Floats, *, exact: bool) -> pd.DataFrame:
    """Test the mean statistic of each set.

    Parameters
    ----------
    t
        (features,) moderated t statistics observed.
    sets
        As `sets_of_subset` returns.
    means
        (cohorts, sets) means in permuted cohorts.
    exact
        Whether these are all the permutations, the one observed among them.

    Returns
    -------
    pandas.DataFrame
        One row per set: `SET_COLUMNS` but for the patients, the pooled rate and what is left without ambient counts.

    Notes
    -----
    `mean_t` is the mean moderated t of the set's genes, those that count against it with the other sign; `p` is the
    share of permuted cohorts in which it is as far from zero, whatever its sign, so the question is self-contained (is
    there any change in the set), as that of ROAST and fry [1]_, with permuted patients in place of rotations. Patients
    are exchanged with all their genes, so genes that vary together do not make p too small [2]_. `rank_shift` tells
    whether the set stands out among the genes: the mean rank of its statistics as a share of all, less one half, -0.5
    to 0.5. It has no p of its own.

    References
    ----------
    .. [1] Wu et al. (2010), https://doi.org/10.1093/bioinformatics/btq401
    .. [2] Subramanian et al. (2005), https://doi.org/10.1073/pnas.0506580102; Goeman and Buehlmann (2007),
       https://doi.org/10.1093/bioinformatics/btm051
    """
    observed = sets.weights @ t
    shifts = sets.weights @ ((pd.Series(t).rank().to_numpy() - (len(t) + 1) / 2) / len(t))
    reached = (np.abs(means) >= np.abs(observed) * (1 - TIE_TOLERANCE)).sum(axis=0)
    p = reached / len(means) if exact else (reached + 1) / (len(means) + 1)
    known = np.array([row["status"] == TESTED for row in sets.rows], dtype=bool)
    table = pd.DataFrame(sets.rows, columns=["signature", "genes", "missing", "status", "note"])
    columns = {"mean_t": observed, "rank_shift": shifts, "p": p, "fdr": _rates(p, known)}
    table = table.assign(**{name: np.where(known, values, np.nan) for name, values in columns.items()})
    direction = np.where(known, np.where(observed > 0, "up", "down"), "")
    return table.assign(direction=direction.astype(object), permutations=len(means), exact=exact)


def without_ambient_sets(table: pd.DataFrame, sets: GeneSets, t: Floats) -> pd.DataFrame:
    """Add what is left of each set's mean without the counts that may be ambient.

    Parameters
    ----------
    table
        As `set_effects` returns.
    sets
        As it was given.
    t
        (features,) moderated t without these counts; NaN where they are not known.

    Returns
    -------
    pandas.DataFrame
        With ``mean_t_ambient_removed`` and ``depends_on_ambient`` (`ambient.changed_by`).
    """
    found = changed_by(table["mean_t"].to_numpy(dtype=float), sets.weights @ t)
    known = (table["status"] == TESTED).to_numpy(dtype=bool)
    left = np.where(known, found["effect_ambient_removed"], np.nan)
    depends = pd.Series(found["depends_on_ambient"], index=table.index).where(known)
    return table.assign(mean_t_ambient_removed=left, depends_on_ambient=depends)


def pool_rates(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Stack the sets of a contrast's subsets and add the rate over all of them.

    Parameters
    ----------
    tables
        As `set_effects` returns, with contrast and subset.

    Returns
    -------
    pandas.DataFrame
        `SET_COLUMNS`.
    """
    filled = [table for table in tables if len(table)]
    if not filled:
        return pd.DataFrame(columns=SET_COLUMNS)
    stacked = pd.concat(filled, ignore_index=True)
    p = stacked["p"].to_numpy(dtype=float)
    return stacked.assign(fdr_pooled=_rates(p, ~np.isnan(p)))[SET_COLUMNS]


def _signs(signature: Signature, genes: pd.Index) -> Floats:
    """Return (features,) 1 for genes of the set, -1 for those that count against it."""
    return np.asarray(genes.isin(signature.genes), dtype=float) - genes.isin(signature.negative)


def _note(own: pd.Index, defining: set[str]) -> str:
    shared = [str(gene) for gene in own if gene in defining]
    return f"{len(shared)} of its genes also define the cell type: {', '.join(shared)}" if shared else ""


def _rates(p: Floats, known: np.ndarray) -> Floats:
    rates = np.full(len(p), np.nan)
    if known.any():
        rates[known] = false_discovery_rates(p[known])
    return rates

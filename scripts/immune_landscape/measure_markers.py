"""Expression of the marker genes in the subsets that they name."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from immune_landscape.block_sums import normal_genes
from immune_landscape.cell_types import read_cell_types, read_markers
from immune_landscape.marker_scores import TARGET_SUM

if TYPE_CHECKING:
    from immune_landscape.blocked_counts import CellCounts

COLUMNS = ["subset", "gene", "marker_of", "mean", "share", "cells"]


def measure_markers(counts: CellCounts, labels: pd.DataFrame, branch: str, *, n_genes: int) -> pd.DataFrame:
    """Measure the marker genes of every subset present, in every subset present.

    Parameters
    ----------
    counts
        Cells x genes, raw counts.
    labels
        As `define_labels.define_labels` returns, indexed by cell: lineage, branch, subset.
    branch
        ``all`` for lineages over all cells, else the branch whose subsets are measured.
    n_genes
        Positive marker genes per subset at most, in the order of the marker sets.

    Returns
    -------
    pandas.DataFrame
        ``subset``, ``gene``, ``marker_of`` (subset that the gene marks), ``mean`` (of log1p counts per
        10,000), ``share`` (0-1, of cells with the gene), ``cells`` (of the subset). Genes absent from
        the counts are left out.

    Notes
    -----
    Means are over cells and describe; nothing here is a test.
    """
    groups = _groups(counts, labels, branch)
    names = _in_display_order(groups.unique())
    wanted = [(slug, gene) for slug in names for gene in marker_genes(slug, n_genes) if gene in counts.var_names]
    if not wanted:
        return pd.DataFrame(columns=COLUMNS)
    genes = list(dict.fromkeys(gene for _, gene in wanted))
    mean, share = _mean_and_share(counts, groups, names, genes)
    sizes = groups.value_counts()
    rows = [
        (subset, gene, marker_of, mean.loc[subset, gene], share.loc[subset, gene], int(sizes[subset]))
        for subset in names
        for marker_of, gene in wanted
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def marker_genes(slug: str, n_genes: int) -> list[str]:
    """Return the positive markers of a cell type: its anchor, then its sets' genes, one of each set in turn.

    Parameters
    ----------
    slug
        Lineage or subset.
    n_genes
        At most so many.

    Returns
    -------
    list of str
        Gene symbols; empty for types without markers, such as the unassigned.
    """
    types = read_cell_types()
    if slug not in types.index:
        return []
    chosen: dict[Any, Any] = types.loc[slug].to_dict()
    markers = read_markers()
    sets = [name.split(".", 1) for name in chosen["marker_sets"]]
    columns = [list(markers[group][name]["genes"]) for group, name in sets]
    turns = [gene for turn in zip_longest(*columns) for gene in turn if gene]
    anchor = str(chosen["anchor"])
    return list(dict.fromkeys(([anchor] if anchor else []) + turns))[:n_genes]


def _groups(counts: CellCounts, labels: pd.DataFrame, branch: str) -> pd.Series:
    """Label of each cell that is in the counts and in the branch."""
    here = labels if branch == "all" else labels[labels["branch"] == branch]
    here = here[here.index.isin(counts.obs_names)]
    return here["lineage" if branch == "all" else "subset"].astype(str)


def _in_display_order(found: np.ndarray) -> list[str]:
    order = {slug: at for at, slug in enumerate(read_cell_types().index)}
    return sorted(map(str, found), key=lambda slug: (order.get(slug, len(order)), slug))


def _mean_and_share(
    counts: CellCounts, groups: pd.Series, names: list[str], genes: list[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Subsets x genes."""
    import scipy.sparse as sp

    rows = counts.obs_names.get_indexer(groups.index)
    normal = normal_genes(counts, genes, TARGET_SUM)[rows].astype(float)
    code = pd.Categorical(groups, categories=names).codes
    member = sp.csr_matrix((np.ones(len(rows)), (code, np.arange(len(rows)))), shape=(len(names), len(rows)))
    sizes = np.asarray(member.sum(axis=1))
    mean, share = (np.asarray((member @ values).todense()) / sizes for values in (normal, (normal > 0).astype(float)))
    return pd.DataFrame(mean, index=names, columns=genes), pd.DataFrame(share, index=names, columns=genes)

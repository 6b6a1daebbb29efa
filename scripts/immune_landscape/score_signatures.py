"""Score gene signatures in the cells of each sample."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from immune_landscape.scope_profiles import LAYER, profile_scopes
from immune_landscape.set_scores import Floats, Integers, score_sets
from immune_landscape.signature_registry import (
    SCORED,
    choose_signatures,
    names_in,
    overlap_table,
    registry_table,
    scored_rows,
    signature_notes,
)
from immune_landscape.value_tables import VALUE_COLUMNS

if TYPE_CHECKING:
    from anndata import AnnData

    from immune_landscape.blocked_counts import CellCounts

LOG = logging.getLogger("immune_landscape")

SCOPE_COLUMNS = ["parent", "branch", "samples", "measured", "status"]


def score_signatures(
    counts: CellCounts,
    labels: pd.DataFrame,
    variable: Mapping[str, Collection[str]],
    *,
    signatures: Sequence[str],
    min_genes: int,
    min_share: float,
    min_cells: int,
    max_sparse_share: float,
    min_weight: float,
    n_bins: int,
    max_overlap: float,
) -> tuple[dict[str, pd.DataFrame], AnnData]:
    """Score signatures per cell and average over the cells of each sample and scope.

    Parameters
    ----------
    counts
        Cells x genes, raw counts.
    labels
        As `define_labels.define_labels` returns, indexed by cell: sample, branch, subset.
    variable
        Branch -> highly variable genes, listed where a signature holds them.
    signatures
        Names of ``signatures`` in markers.yaml.
    min_genes, min_share
        Number and share of a signature's genes that must be in the counts for it to be scored.
    min_cells
        Cells that a value needs.
    max_sparse_share
        A scope with too few cells in more than this share of the samples is listed but not scored.
    min_weight
        Share of a branch's composition that must be measured in a sample for the adjusted value.
    n_bins
        Bins of expression from which control genes are taken.
    max_overlap
        Share of a signature's genes that may also define a cell type before a warning is given.

    Returns
    -------
    dict
        ``values``: ``sample, parent, feature, value, low, high, unit, note``, one row per sample, scope (`parent`) and
        signature (`feature`) measured; the note tells of circularity and of missing genes. ``registry``
        (`signature_registry.registry_table`), ``overlap``
        (`signature_registry.overlap_table`) and ``scopes``: ``parent, branch, samples, measured, status`` (``scored``
        or ``too sparse``), one row per scope with enough cells in any sample.
    AnnData
        Profiles behind the values, as `scope_profiles.profile_scopes` returns, of the scopes scored.

    Raises
    ------
    DesignError
        A signature is not in markers.yaml.

    Notes
    -----
    Scopes are the branches ``nk`` and ``t``, each subset of them, and ``nk_adjusted`` and ``t_adjusted``: the branch
    with its composition held fixed (`scope_profiles.profile_scopes`). Signatures of one branch are scored in its scopes
    alone. The score of a cell is that of `scanpy.tl.score_genes` on log1p counts per 10,000 with every gene of a bin
    as a control (`set_scores`), less the same score of the negative genes. Scores are linear in expression, so their
    mean over cells is computed as the score of the mean. A unit is one natural log.
    """
    chosen = choose_signatures(signatures)
    registry = registry_table(chosen, counts.var_names, variable, min_genes=min_genes, min_share=min_share)
    for row in registry[registry["status"] != SCORED].to_dict("records"):
        LOG.warning("%s is not scored: %d of %d genes in the counts", row["signature"], row["found"], row["genes"])
    profiles = profile_scopes(counts, labels, min_cells=min_cells, min_weight=min_weight, n_bins=n_bins)
    scopes = _scope_table(profiles.obs, labels["sample"].nunique(), max_sparse_share)
    held = scopes.loc[scopes["status"] == SCORED, "parent"]
    profiles = profiles[profiles.obs["scope"].isin(held).to_numpy()].copy()
    overlap = overlap_table(registry, profiles.obs, max_overlap=max_overlap)
    values = _values_of(profiles, registry)
    notes = signature_notes(registry, overlap)
    values["note"] = [notes.get(key, "") for key in zip(values["parent"], values["feature"], strict=True)]
    return {"values": values, "registry": registry, "overlap": overlap, "scopes": scopes}, profiles


def score_rows(profiles: AnnData, registry: pd.DataFrame, branch: str) -> pd.DataFrame:
    """Score the signatures of a branch in all its profiles.

    Parameters
    ----------
    profiles
        As `scope_profiles.profile_scopes` returns.
    registry
        As `signature_registry.registry_table` returns.
    branch
        ``nk`` or ``t``.

    Returns
    -------
    pandas.DataFrame
        Rows of the profiles in the branch x signatures.
    """
    here = (profiles.obs["branch"] == branch).to_numpy()
    means = np.asarray(profiles.layers[LAYER])[here].astype(np.float64)
    bins = profiles.var[f"bin_{branch}"].to_numpy(dtype=np.int64)
    columns = {}
    for row in scored_rows(registry, branch):
        sets = set_columns(profiles.var_names, row)
        columns[row["signature"]] = score_signature(means, bins, *sets)[:, 0]
    table = pd.DataFrame(columns, index=profiles.obs_names[here])
    return table.rename_axis(columns="feature")


def set_columns(genes: pd.Index, row: Mapping[Any, Any]) -> tuple[Integers, Integers]:
    """Return the columns of a signature's genes, as one set each for those that count for and against.

    Parameters
    ----------
    genes
        Symbols of the columns.
    row
        Row of the registry.

    Returns
    -------
    tuple of numpy.ndarray
        (1, genes) and (1, negative genes).
    """
    names = (pd.Index(names_in(row[key]), dtype=object) for key in ("found_genes", "negative_genes"))
    positive, negative = (genes.get_indexer(found).astype(np.int64)[None, :] for found in names)
    return positive, negative


def score_signature(profiles: Floats, bins: Integers, positive: Integers, negative: Integers) -> Floats:
    """Score sets of genes for, less sets of genes against.

    Parameters
    ----------
    profiles
        (rows, genes).
    bins
        (genes,) as `set_scores.expression_bins` returns.
    positive, negative
        (sets, size) columns, as for `set_scores.score_sets`; a size of 0 for no negative genes.

    Returns
    -------
    numpy.ndarray
        (rows, sets).
    """
    score = score_sets(profiles, bins, positive)
    return score - score_sets(profiles, bins, negative) if negative.shape[1] else score


def _scope_table(rows: pd.DataFrame, samples: int, max_sparse_share: float) -> pd.DataFrame:
    measured = rows.groupby(["scope", "branch"], sort=False).size().rename("measured").reset_index()
    measured = measured.rename(columns={"scope": "parent"})
    sparse = (samples - measured["measured"]) > max_sparse_share * samples
    status = sparse.map({True: "too sparse", False: SCORED})
    return measured.assign(samples=samples, status=status)[SCOPE_COLUMNS]


def _values_of(profiles: AnnData, registry: pd.DataFrame) -> pd.DataFrame:
    tables = [
        score_rows(profiles, registry, str(branch))
        .join(profiles.obs[["sample", "scope"]])
        .melt(id_vars=["sample", "scope"], var_name="feature", value_name="value")
        for branch in profiles.obs["branch"].unique()
    ]
    if not tables:
        return pd.DataFrame(columns=VALUE_COLUMNS)
    values = pd.concat(tables, ignore_index=True).dropna(subset="value").rename(columns={"scope": "parent"})
    return values.assign(low=np.nan, high=np.nan, unit="score")[VALUE_COLUMNS].reset_index(drop=True)

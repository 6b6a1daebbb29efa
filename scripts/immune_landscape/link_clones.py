"""Link the clones of single cells to what these cells are and express."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from immune_landscape.clone_cells import BRANCH, label_carriers
from immune_landscape.clone_leaders import list_leaders
from immune_landscape.clone_programmes import score_sides
from immune_landscape.clone_subsets import SubsetRule, compared_subsets, measure_subsets
from immune_landscape.contrast_tests import ContrastSettings
from immune_landscape.programme_effects import compare_programmes, patient_differences

if TYPE_CHECKING:
    from anndata import AnnData

    from immune_landscape.blocked_counts import CellCounts


def link_clones(
    tables: Mapping[str, pd.DataFrame],
    counts: CellCounts,
    profiles: AnnData,
    study: Mapping[str, Any],
    seed: int,
    *,
    expanded_from: int,
    min_cells: int,
    min_subset_cells: int,
    min_profile_cells: int,
    top_clones: int,
    compared_features: Sequence[str],
    max_sparse_share: float,
) -> dict[str, pd.DataFrame]:
    """Find which subsets hold the expanded clones, and what expanded cells express beside singletons.

    Parameters
    ----------
    tables
        ``clonotypes`` (of `define_clonotypes`), ``cells`` (of `define_labels`) and ``receptors`` (of
        `witness_receptors`), each indexed by cell; ``registry`` (of `score_signatures`); ``design``, one row per
        sample.
    counts
        Cells x genes, raw counts.
    profiles
        Of `score_signatures`: ``var["bin_t"]`` has the bins of expression of the scores.
    study
        ``visits`` in order; ``testing``, fields of `contrast_tests.ContrastSettings`.
    seed
        Start of the random draws.
    expanded_from
        T cells of a sample from which a clonotype is expanded there.
    min_cells
        T cells with a receptor that a sample needs for numbers at one depth.
    min_subset_cells
        The same of a subset of a sample.
    min_profile_cells
        Expanded cells, and singletons, that a subset of a sample needs to be scored.
    top_clones
        Clones listed per patient.
    compared_features
        Numbers compared between patients, of `clone_subsets.COMPARED`.
    max_sparse_share
        Share of samples without a value up to which a subset is compared.

    Returns
    -------
    dict
        ``subsets`` (`clone_subsets.measure_subsets`), ``values`` (`clone_subsets.compared_subsets`), ``top_clones``
        (`clone_leaders.list_leaders`), ``differences`` and ``programmes`` (`programme_effects.patient_differences`,
        `programme_effects.compare_programmes`).

    Notes
    -----
    Clones of one patient are no replicates: shares are told per sample, and p values come from patients alone.
    """
    design = tables["design"]
    carriers = label_carriers(tables["clonotypes"], tables["cells"], tables["receptors"], design)
    rule = SubsetRule(expanded_from, min_cells, min_subset_cells)
    subsets = measure_subsets(carriers, tables["cells"], design, rule)
    bins = profiles.var[f"bin_{BRANCH}"].reindex(counts.var_names).to_numpy(dtype="int64")
    sides = score_sides(
        carriers, counts, bins, tables["registry"], expanded_from=expanded_from, min_profile_cells=min_profile_cells
    )
    differences = patient_differences(sides)
    return {
        "subsets": subsets,
        "values": compared_subsets(subsets, design, compared_features, max_sparse_share),
        "top_clones": list_leaders(carriers, tables["clonotypes"], design, list(study["visits"]), top_clones),
        "differences": differences,
        "programmes": compare_programmes(differences, ContrastSettings(**study["testing"]), seed),
    }

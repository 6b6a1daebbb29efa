"""Join clonotypes whose receptors are alike, which may see the same antigen."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pandas as pd

from immune_landscape.receptor_chains import genes_of

if TYPE_CHECKING:
    import awkward as ak
    from anndata import AnnData

LOG = logging.getLogger("immune_landscape")

MEMBER_COLUMNS = [
    "cluster", "patient", "clonotype", "cells", "samples", "vj_junction_aa", "vdj_v_gene", "vdj_junction_aa",
]  # fmt: skip
CLUSTER_COLUMNS = [
    "cluster", "clonotypes", "cells", "patients", "samples", "vj_junction_aa", "vdj_v_gene", "vdj_junction_aa",
]  # fmt: skip
SEQUENCE = "aa"
"""What is compared: binding is a matter of amino acids."""


def cluster_clonotypes(
    receptors: AnnData,
    clonotypes: pd.DataFrame,
    threads: int,
    *,
    metric: str,
    cutoff: int,
    receptor_arms: str,
    dual_ir: str,
    same_v_gene: bool,
    scope: str,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Cluster clonotypes by the similarity of their CDR3, with scirpy.

    Parameters
    ----------
    receptors
        As `load_receptors.load_receptors` returns.
    clonotypes
        First table of `define_clonotypes.define_clonotypes`, indexed by cell.
    threads
        Threads that compute distances.
    metric
        ``hamming`` (substitutions between CDR3 of one length), ``levenshtein`` or ``tcrdist``; ``none`` for no cluster.
    cutoff
        Largest distance of two CDR3 that count as alike, in each arm compared.
    receptor_arms, dual_ir, same_v_gene
        Arms and chains that must be alike, as for `define_clonotypes.define_clonotypes`.
    scope
        ``patient``: receptors of one patient are compared. ``cohort``: of all.

    Returns
    -------
    clusters
        One row per cluster of two or more clonotypes, largest first (`CLUSTER_COLUMNS`): number of clonotypes, cells,
        patients and samples, and the chains of its largest clonotype.
    members
        One row per cluster and clonotype, clusters of one included (`MEMBER_COLUMNS`).

    Notes
    -----
    Clusters are connected parts: two members may be far apart with others between them. Each pair of distinct CDR3 is
    compared, so that time grows with the square of their number. Alike receptors of several patients are a hypothesis
    of a common antigen, and chance finds some in every large cohort.

    References
    ----------
    Dash 2017, doi:10.1038/nature22383 (TCRdist); Sturm 2020, doi:10.1093/bioinformatics/btaa611 (scirpy).
    """
    usable = clonotypes[clonotypes["has_receptor"].astype(bool)]
    if metric == "none" or usable.empty:
        return pd.DataFrame(columns=CLUSTER_COLUMNS), pd.DataFrame(columns=MEMBER_COLUMNS)
    within = ["receptor_subtype"] if scope == "cohort" else ["patient", "receptor_subtype"]
    labels = _similar(
        receptors[usable.index], metric, cutoff, threads, receptor_arms, dual_ir, same_v_gene, tuple(within)
    )
    LOG.info("%d clonotypes in %d clusters", usable["clonotype"].nunique(), labels.nunique())
    members = _members_of(usable.assign(label=labels))
    return _clusters_of(members, usable.assign(label=labels)), members[MEMBER_COLUMNS]


def _similar(
    receptors: AnnData,
    metric: str,
    cutoff: int,
    threads: int,
    receptor_arms: str,
    dual_ir: str,
    same_v_gene: bool,
    within: tuple[str, ...],
) -> pd.Series:
    """Label each cell with scirpy's cluster; cells without the arms compared have none."""
    import anndata
    import scirpy

    airr = _without_alleles(receptors.obsm["airr"])
    work = anndata.AnnData(obs=receptors.obs[["patient"]].astype(str), obsm={"airr": airr})
    scirpy.pp.index_chains(work)
    scirpy.tl.chain_qc(work)
    scirpy.pp.ir_dist(work, metric=metric, sequence=SEQUENCE, cutoff=cutoff, n_jobs=threads)
    found = work.uns[f"ir_dist_{SEQUENCE}_{metric}"]
    # scirpy fails on an arm that no cell has, as in beta-only data; comparing the other arm means the same
    present = [arm for arm in ("VJ", "VDJ") if len(found[arm]["seqs"])]
    labels, _, _ = scirpy.tl.define_clonotype_clusters(
        work,
        sequence=SEQUENCE,
        metric=metric,
        receptor_arms=receptor_arms if len(present) == 2 else present[0],
        dual_ir=dual_ir,
        same_v_gene=same_v_gene,
        within_group=list(within),
        inplace=False,
    )
    return labels.astype(object)


def _without_alleles(airr: ak.Array) -> ak.Array:
    import awkward as ak

    calls = ak.to_list(ak.flatten(airr["v_call"]))
    genes = [genes_of(call) if call else call for call in calls]
    return ak.with_field(airr, ak.unflatten(ak.Array(genes), ak.num(airr["v_call"])), "v_call")


def _members_of(cells: pd.DataFrame) -> pd.DataFrame:
    """Return one row per cluster and clonotype, with the cluster's final name."""
    placed = cells[cells["label"].notna()]
    table = placed.groupby(["label", "patient", "clonotype"], sort=True, observed=True).agg(
        cells=("sample", "size"),
        samples=("sample", "nunique"),
        vj_junction_aa=("vj_junction_aa", "first"),
        vdj_v_gene=("vdj_v_gene", "first"),
        vdj_junction_aa=("vdj_junction_aa", "first"),
    )
    table = table.reset_index()
    clusters = table.groupby("label").agg(
        clonotypes=("clonotype", "size"), cells=("cells", "sum"), first=("clonotype", "min")
    )
    ordered = clusters.sort_values(["clonotypes", "cells", "first"], ascending=[False, False, True]).index
    names = {label: f"cluster-{at}" for at, label in enumerate(ordered, start=1)}
    places = {label: at for at, label in enumerate(ordered)}
    table = table.assign(cluster=table["label"].map(names), place=table["label"].map(places))
    ranked = table.sort_values(["place", "cells", "clonotype"], ascending=[True, False, True])
    return ranked.reset_index(drop=True)


def _clusters_of(members: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """Summarise the clusters that join clonotypes."""
    samples = cells.groupby("label")["sample"].nunique()
    table = members.groupby("cluster", sort=False).agg(
        clonotypes=("clonotype", "nunique"),
        cells=("cells", "sum"),
        patients=("patient", "nunique"),
        label=("label", "first"),
        vj_junction_aa=("vj_junction_aa", "first"),
        vdj_v_gene=("vdj_v_gene", "first"),
        vdj_junction_aa=("vdj_junction_aa", "first"),
    )
    table = table.assign(samples=table["label"].map(samples)).reset_index()
    return table.loc[table["clonotypes"] > 1, CLUSTER_COLUMNS].reset_index(drop=True)

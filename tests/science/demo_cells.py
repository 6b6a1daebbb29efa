"""The demo cohort from simulated counts to labels, in process: the stages that Snakemake would run, one by one."""

from typing import NamedTuple

import anndata
import pandas as pd

from immune_landscape.annotate_lineages import annotate_lineages
from immune_landscape.annotate_subsets import annotate_subsets
from immune_landscape.cell_types import RESOURCES
from immune_landscape.cluster_cells import cluster_cells
from immune_landscape.cohort import design_table, read_cohort
from immune_landscape.filter_cells import filter_cells
from immune_landscape.find_doublets import find_doublets
from immune_landscape.merge_samples import merge_samples
from immune_landscape.name_clusters import name_clusters
from immune_landscape.reduce_cells import reduce_cells
from immune_landscape.seeds import seed_of
from immune_landscape.simulate_cohort import simulate_cohort
from immune_landscape.store import batch_of

DEMO = RESOURCES.parents[1] / "config" / "cohorts" / "demo"
STABILITY = {"grid": {"all": [], "nk": [0.8, 1.0, 1.2], "t": []}, "seeds": 2, "subsamples": 3}
"""What of `cluster_cells` is cut: the rule chooses among fewer resolutions, from fewer subsamples."""


class Named(NamedTuple):
    """A branch of a simulated cohort with its labels.

    Attributes
    ----------
    cells
        Index ``cell``; ``subset``, ``cluster``, and ``planted``: the type of the droplet's one cell. Doublets have no
        one type and are left out.
    anchors
        As `anchors.match_anchors` returns.
    clusters
        As `name_clusters.name_clusters` returns.
    """

    cells: pd.DataFrame
    anchors: pd.DataFrame
    clusters: pd.DataFrame


def simulate_demo(cells_per_sample, absent_types=()):
    """Return the demo cohort's config and design, and its data with fewer cells per sample."""
    cohort = read_cohort(DEMO)
    design = design_table(cohort)
    settings = dict(cohort.config["simulate_cohort"])
    effects = {name: fold for name, fold in settings["effects"].items() if name not in absent_types}
    changes = {"cells_per_sample": cells_per_sample, "absent_types": list(absent_types), "effects": effects}
    seed = seed_of(cohort.config["seed"], "simulate_cohort")
    return cohort.config, design, simulate_cohort(design, seed, **(settings | changes))


def kept_counts(simulated, config):
    """Return the counts of the cells that quality control and the doublet call leave, and the doublet scores."""
    parts = []
    for sample, counts in simulated.counts.items():
        barcodes = simulated.barcodes[sample]
        names = [f"{sample}:{barcode}" for barcode in barcodes]
        obs = pd.DataFrame({"sample": sample, "barcode": barcodes}, index=names)
        var = pd.DataFrame({"gene_id": ""}, index=simulated.genes)
        parts.append(anndata.AnnData(counts, obs=obs, var=var))
    loaded = anndata.concat(parts, merge="same")
    quality = filter_cells(loaded, **config["filter_cells"])
    passed = loaded[quality["keep"].to_numpy(dtype=bool)].copy()
    doublets = find_doublets(passed, seed_of(config["seed"], "find_doublets"), **config["find_doublets"])
    return merge_samples([loaded], quality, doublets, **config["merge_samples"]).to_memory(), doublets


def reduced_and_clustered(counts, branch, config, design):
    """Run `reduce_cells` and `cluster_cells` as the workflow does."""
    batch = batch_of(counts, design, config["batch_key"])
    seed = seed_of(config["seed"], "reduce_cells", branch)
    reduction = reduce_cells(counts, batch, seed, **config["reduce_cells"])
    seed = seed_of(config["seed"], "cluster_cells", branch)
    return reduction, cluster_cells(reduction, branch, seed, **(config["cluster_cells"] | STABILITY)).cells


def name_demo(cells_per_sample, absent_types=()):
    """Simulate the demo cohort and name the NK cells in it."""
    config, design, simulated = simulate_demo(cells_per_sample, absent_types)
    counts, doublets = kept_counts(simulated, config)
    tissues = tuple(config["tissues"])
    broad = reduced_and_clustered(counts, "all", config, design)
    lineages = annotate_lineages(counts, *broad, tissues, **config["annotate_lineages"])
    nk = counts[(lineages["branch"] == "nk").to_numpy()].copy()
    own = reduced_and_clustered(nk, "nk", config, design)
    subsets, anchors = annotate_subsets(nk, *own, "nk", tissues, **config["annotate_subsets"])
    study = {"tissues": config["tissues"], "batch_key": config["batch_key"]}
    clusters, _ = name_clusters(nk, subsets, anchors, doublets, design, "nk", study, **config["name_clusters"])
    truth = simulated.cells.set_index(simulated.cells["sample"] + ":" + simulated.cells["barcode"])
    cells = lineages[["lineage"]].join(subsets[["subset", "cluster"]]).join(truth[["type", "doublet", "empty"]])
    cells["subset"] = cells["subset"].fillna(cells["lineage"])
    known = cells[~cells["doublet"] & ~cells["empty"]].rename(columns={"type": "planted"})
    return Named(known[["subset", "cluster", "planted"]], anchors, clusters)

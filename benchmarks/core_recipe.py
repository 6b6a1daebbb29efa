"""Run the heavy steps of this project on one file of counts: the functions that its rules call, on blocks of counts.

python benchmarks/core_recipe.py counts.h5ad folder [device]

One line of JSON a step (`step_meter`), named as in the plain recipe. Every step goes through `device.step`, and counts
are read in blocks (`streamed_steps`), so that they need not fit into memory; values are normalised as they are read, in
no step of its own, as rules do. What rules write is written: the count store,
components, clusters with graph and map, and markers.
"""

import os
import sys
from pathlib import Path

from step_meter import step

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))
os.environ["NUMBA_NUM_THREADS"] = str(os.cpu_count())
for library in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[library] = "1"  # as `job.running` holds them

SEED, MIN_GENES = 0, 200
AT_ONCE, WHOLE = 4, 1 << 40
"""Samples whose doublets are scored together, and a size of blocks that takes a sample whole."""
SETTINGS = {"target_sum": 1e4, "genes": 2000, "components": 50, "theta": 2.0, "neighbours": 15, "exact_below": 40_000}
RATE = 0.05
"""Expected share of doublets, scanpy's own."""
LOOKED_AT = 2000
"""Cells whose neighbours are held against all pairs."""


def main(source: Path, folder: Path, device: str = "cpu") -> None:
    """Run every step on one file of counts."""
    with step("import"):
        import numpy as np
        import pandas as pd
        from sklearn.metrics import adjusted_rand_score, roc_auc_score

        from immune_landscape import store, streamed_steps
        from immune_landscape.blocked_counts import BlockedCounts, read_names, write_counts
        from immune_landscape.count_blocks import CountBlocks
        from immune_landscape.device import Devices
        from immune_landscape.filter_cells import GENE_GROUPS

        devices = Devices(device)
        run = devices.step
    with step("read"):
        obs, var, _ = read_names(source)
        sample, truth = obs["sample"].astype(str).to_numpy(), obs["doublet"].to_numpy()
    with step("qc"):
        groups = {name: np.asarray(var.index.str.match(pattern)) for name, pattern in GENE_GROUPS.items()}
        keep = streamed_steps.cell_metrics(CountBlocks(source), groups, devices)["n_genes"] >= MIN_GENES
    with step("doublets") as found:
        order, observed = doublet_scores(source, sample, keep, devices)
        found["auc"] = float(roc_auc_score(truth[order], observed))
    with step("write_counts"):
        single = keep & ~truth
        obs, var["gene_id"] = obs[single], ""
        cells = pd.DataFrame({"sample": obs["sample"], "barcode": obs.index.astype(str)}, index=obs.index)
        write_counts(BlockedCounts(cells, var, CountBlocks(source, single)), folder / "counts.h5ad")
        counts, batch = CountBlocks(folder / "counts.h5ad"), sample[single]
    options, target = {"target_sum": SETTINGS["target_sum"]}, SETTINGS["genes"]
    with step("genes"):
        anywhere = np.ones(len(var), dtype=bool)
        genes = streamed_steps.choose_genes(counts, anywhere, batch, devices, n_top_genes=target, **options)
    with step("pca"):
        width = SETTINGS["components"]
        reduced = streamed_steps.principal_components(counts, genes, width, SEED, devices, **options)
    with step("harmony"):
        points = run("integrate")(reduced.scores, batch, SETTINGS["theta"], SEED)
    with step("neighbours"):
        exact = len(points) <= SETTINGS["exact_below"]
        near = run("nearest_neighbours")(points, SETTINGS["neighbours"], exact=exact, seed=SEED)
        graph = run("fuzzy_graph")(near)
    recall = recall_of(points, near.indices)
    with step("umap"):
        places = run("layout")(graph, points, min_dist=0.5, seed=SEED)
    with step("leiden") as found:
        cluster = run("communities")(graph, 1.0, SEED)
        found["ari"] = float(adjusted_rand_score(obs["type"], cluster))
        found["clusters"], found["recall"] = int(cluster.max() + 1), recall
    with step("markers"):
        ranks = streamed_steps.rank_markers(counts, cluster, found["clusters"], genes.cells, devices, **options)
    with step("write"):
        facts = {"genes": list(var.index[genes.chosen]), "variance_ratio": reduced.variance_ratio}
        components = {"X_pca": reduced.scores, "X_integrated": points}
        reduction = store.addition(obs.index, obsm=components, uns={"reduction": facts})
        store.write_stage(reduction, folder / "reduction.h5ad", stage="reduce_cells")
        write_clusters(folder, pd.Series(cluster.astype(str), index=obs.index), graph, places)
        table = pd.DataFrame(ranks.z.T, index=var.index).rename_axis("gene").add_prefix("cluster_").reset_index()
        store.write_table(table, folder / "markers.tsv.gz")


def doublet_scores(source, sample, keep, devices):
    """Return the places of the cells by sample, and their scores; a few samples are in memory at once."""
    import numpy as np

    from immune_landscape.count_blocks import CountBlocks
    from immune_landscape.seeds import seed_of

    names, scores = np.unique(sample), []
    for first in range(0, len(names), AT_ONCE):
        some = names[first : first + AT_ONCE]
        parts = [next(iter(CountBlocks(source, keep & (sample == name), WHOLE))).counts for name in some]
        seeds = [seed_of(SEED, name) for name in some]
        scores += devices.step("score_doublets")(parts, [RATE] * len(parts), seeds, n_components=30)
    order = np.concatenate([np.flatnonzero(keep & (sample == name)) for name in names])
    return order, np.nan_to_num(np.concatenate([each.observed for each in scores]))


def recall_of(points, indices):
    """Return which share of the nearest neighbours of some cells was found; outside the steps that are timed."""
    import numpy as np

    from immune_landscape.neighbour_search import search

    some = np.random.default_rng(SEED).choice(len(points), min(LOOKED_AT, len(points)), replace=False)
    points = np.ascontiguousarray(points, dtype=np.float32)
    nearest, _ = search(points, indices.shape[1], exact=True, seed=SEED, queries=points[some])
    shared = [len(np.intersect1d(one, other)) for one, other in zip(nearest, indices[some], strict=True)]
    return round(float(np.mean(shared)) / indices.shape[1], 4)


def write_clusters(folder, cluster, graph, places):
    """Write clusters, graph and map as `cluster_cells` does."""
    from immune_landscape import store

    slots = {"obsm": {"X_umap": places}, "obsp": {"connectivities": graph}}
    slots["uns"] = {"clustering": {"resolution": 1.0}}
    clusters = store.addition(cluster.index, obs=cluster.to_frame("cluster"), **slots)
    store.write_stage(clusters, folder / "clusters.h5ad", stage="cluster_cells")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])

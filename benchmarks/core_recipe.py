"""Run the heavy steps of this project on one file of counts, as its rules call them.

python benchmarks/core_recipe.py counts.h5ad folder [device]

One line of JSON a step (`step_meter`), named as in the plain recipe. Every step goes through `device.step`; what the
rules write is written: the count store, components, clusters with graph and map, and markers.
"""

import os
import sys
from pathlib import Path

from step_meter import step

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))
os.environ["NUMBA_NUM_THREADS"] = str(os.cpu_count())
for library in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[library] = "1"  # as `job.running` holds them

SEED, MIN_GENES, MIN_CELLS = 0, 200, 3
SETTINGS = {"target_sum": 1e4, "genes": 2000, "components": 50, "theta": 2.0, "neighbours": 15, "exact_below": 40_000}
RATE = 0.05
"""Expected share of doublets, scanpy's own."""


def main(source: Path, folder: Path, device: str = "cpu") -> None:
    """Run every step on one file of counts."""
    with step("import"):
        import anndata
        import numpy as np
        import pandas as pd
        from sklearn.metrics import adjusted_rand_score, roc_auc_score

        from immune_landscape import store
        from immune_landscape.device import Devices
        from immune_landscape.filter_cells import GENE_GROUPS
        from immune_landscape.seeds import seed_of

        run = Devices(device).step
    with step("read"):
        cells = anndata.read_h5ad(source)
        cells.X.sort_indices()
    with step("qc"):
        groups = {name: cells.var_names.str.match(pattern) for name, pattern in GENE_GROUPS.items()}
        keep = run("cell_metrics")(cells.X, groups)["n_genes"] >= MIN_GENES
    with step("filter"):
        samples = [np.flatnonzero(keep & (cells.obs["sample"] == name)) for name in cells.obs["sample"].cat.categories]
    with step("doublets") as found:
        seeds = [seed_of(SEED, name) for name in cells.obs["sample"].cat.categories]
        parts = [cells.X[rows] for rows in samples]
        scores = run("score_doublets")(parts, [RATE] * len(parts), seeds, n_components=30)
        del parts
        observed, truth = np.concatenate([each.observed for each in scores]), cells.obs["doublet"].to_numpy()
        found["auc"] = float(roc_auc_score(truth[np.concatenate(samples)], np.nan_to_num(observed)))
    with step("drop_doublets"):
        cells = cells[keep & ~truth].copy()
    with step("write_counts"):
        cells.obs["barcode"], cells.var["gene_id"] = cells.obs_names.astype(str), ""
        counts = anndata.AnnData(cells.X.astype(np.int32), obs=cells.obs[["sample", "barcode"]], var=cells.var)
        store.write_stage(counts, folder / "counts.h5ad", stage="merge_samples")
        names, obs = cells.var_names, cells.obs
        del cells
    with step("normalise"):
        normal = run("normalise")(counts.X, SETTINGS["target_sum"])
        del counts
    with step("genes"):
        batch = obs["sample"].astype(str).to_numpy()
        usable = np.bincount(normal.indices, minlength=normal.shape[1]) >= MIN_CELLS
        chosen = run("choose_genes")(normal, usable, batch, SETTINGS["genes"])
    with step("pca"):
        reduced = run("principal_components")(normal[:, np.flatnonzero(chosen)], SETTINGS["components"], SEED)
    with step("harmony"):
        points = run("integrate")(reduced.scores, batch, SETTINGS["theta"], SEED)
    with step("neighbours"):
        exact = len(points) <= SETTINGS["exact_below"]
        graph = run("fuzzy_graph")(run("nearest_neighbours")(points, SETTINGS["neighbours"], exact=exact, seed=SEED))
    with step("umap"):
        places = run("layout")(graph, points, min_dist=0.5, seed=SEED)
    with step("leiden") as found:
        cluster = run("communities")(graph, 1.0, SEED)
        found["ari"] = float(adjusted_rand_score(obs["type"], cluster))
        found["clusters"] = int(cluster.max() + 1)
    with step("markers"):
        ranks = run("rank_markers")(normal, cluster, found["clusters"])
    with step("write"):
        facts = {"genes": list(names[chosen]), "variance_ratio": reduced.variance_ratio}
        components = {"X_pca": reduced.scores, "X_integrated": points}
        write = store.write_stage
        reduction = store.addition(obs.index, obsm=components, uns={"reduction": facts})
        write(reduction, folder / "reduction.h5ad", stage="reduce_cells")
        frame = pd.DataFrame({"cluster": cluster.astype(str)}, index=obs.index)
        slots = {
            "obsm": {"X_umap": places},
            "obsp": {"connectivities": graph},
            "uns": {"clustering": {"resolution": 1.0}},
        }
        write(store.addition(obs.index, obs=frame, **slots), folder / "clusters.h5ad", stage="cluster_cells")
        table = pd.DataFrame(ranks.z.T, index=names).rename_axis("gene").add_prefix("cluster_").reset_index()
        store.write_table(table, folder / "markers.tsv.gz")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])

"""Run the plain scanpy recipe that users copy: the baseline of every speed ratio.

python benchmarks/plain_recipe.py counts.h5ad folder

One line of JSON a step (`step_meter`). Doublets that are planted, not those called, are dropped, so that every recipe
clusters the same cells. Variable genes are those of scanpy's default flavour: the other, "seurat_v3", takes as long,
fails on samples of a few hundred cells and needs one more library. Markers are ranked twice: as scanpy does unless told
otherwise, and with its correction for ties.
"""

import sys
from pathlib import Path

from step_meter import step


def main(source: Path, folder: Path) -> None:
    """Run every step on one file of counts."""
    with step("import"):
        import logging
        import warnings

        import harmonypy
        import numpy as np
        import scanpy as sc
        from sklearn.metrics import adjusted_rand_score, roc_auc_score

        warnings.simplefilter("ignore")
        logging.disable(logging.INFO)
    with step("read"):
        cells = sc.read_h5ad(source)
    with step("qc"):
        cells.var["mt"] = cells.var_names.str.startswith("MT-")
        sc.pp.calculate_qc_metrics(cells, qc_vars=["mt"], percent_top=[20], inplace=True, log1p=True)
    with step("filter"):
        sc.pp.filter_cells(cells, min_genes=200)
        sc.pp.filter_genes(cells, min_cells=3)
    with step("doublets") as found:
        sc.pp.scrublet(cells, batch_key="sample", random_state=0, verbose=False)
        found["auc"] = float(roc_auc_score(cells.obs["doublet"], cells.obs["doublet_score"]))
    with step("drop_doublets"):
        cells = cells[~cells.obs["doublet"].to_numpy()].copy()
    with step("normalise"):
        cells.layers["counts"] = cells.X.copy()
        sc.pp.normalize_total(cells, target_sum=1e4)
        sc.pp.log1p(cells)
    with step("genes"):
        sc.pp.highly_variable_genes(cells, n_top_genes=2000, batch_key="sample")
    with step("pca"):
        sc.pp.pca(cells, n_comps=50)
    with step("harmony"):
        result = harmonypy.run_harmony(cells.obsm["X_pca"], cells.obs, ["sample"], verbose=False)
        corrected = np.asarray(result.Z_corr)
        corrected = corrected if len(corrected) == cells.n_obs else corrected.T
        cells.obsm["X_harmony"] = corrected.astype(np.float32)
    with step("neighbours"):
        sc.pp.neighbors(cells, n_neighbors=15, use_rep="X_harmony")
    with step("umap"):
        sc.tl.umap(cells)
    with step("leiden") as found:
        sc.tl.leiden(cells, flavor="igraph", n_iterations=2, directed=False, resolution=1.0)
        found["ari"] = float(adjusted_rand_score(cells.obs["type"], cells.obs["leiden"]))
        found["clusters"] = int(cells.obs["leiden"].nunique())
    with step("markers"):
        sc.tl.rank_genes_groups(cells, "leiden", method="wilcoxon")
    with step("write"):
        cells.write_h5ad(folder / "plain.h5ad", compression="gzip")
    with step("markers_ties"):
        sc.tl.rank_genes_groups(cells, "leiden", method="wilcoxon", tie_correct=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

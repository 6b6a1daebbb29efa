"""Run brisc's own workflow, the fastest on a processor that was found: the yardstick beside the plain recipe.

python benchmarks/brisc_recipe.py counts.h5ad folder

One line of JSON a step (`step_meter`), named as in the plain recipe. brisc clusters on shared neighbours and ranks
markers by fold change and detection, not by a test. It runs in an environment of its own and imports nothing of ours.
"""

import contextlib
import os
import sys
from pathlib import Path

from step_meter import step


def main(source: Path, folder: Path) -> None:
    """Run every step on one file of counts."""
    with step("import"):
        import numpy as np
        from brisc import SingleCell
    with step("read"):
        cells = SingleCell(source, num_threads=os.cpu_count()).rename_obs({"doublet": "planted"})
    with step("filter"):
        options = {"max_mito_fraction": None, "min_genes": 200, "nonzero_MALAT1": False, "allow_float": True}
        cells = cells.qc(**options, subset=True)
    with step("doublets") as found:
        cells = cells.find_doublets(batch_column="sample")
        planted, scores = cells.obs["planted"].to_numpy(), cells.obs["doublet_score"].to_numpy()
        found["auc"] = area_under_curve(planted, np.nan_to_num(scores, nan=-np.inf))
    with step("drop_doublets"):
        cells = cells.filter_obs(~cells.obs["planted"])
    with step("genes"):
        for span in (0.3, 0.5, 0.8):  # the fit fails on small samples where the span is narrow
            with contextlib.suppress(ValueError):
                cells = cells.hvg(batch_column="sample", span=span)
                break
    with step("normalise"):
        cells = cells.normalize()
    with step("pca"):
        cells = cells.pca()
    with step("harmony"):
        cells = cells.harmonize(batch_column="sample")
    with step("neighbours"):
        cells = cells.neighbors(PC_key="harmony", num_neighbors=15).shared_neighbors()
    with step("leiden") as found:
        cells = cells.cluster(resolution=1)
        found["ari"] = rand_index(cells.obs["type"].to_numpy(), cells.obs["cluster"].to_numpy())
        found["clusters"] = int(cells.obs["cluster"].n_unique())
    with step("umap"):
        cells = cells.umap(PC_key="harmony")
    with step("markers"):
        cells.find_markers("cluster")
    with step("write"):
        cells.save(folder / "brisc.h5ad", overwrite=True)


def area_under_curve(truth, scores) -> float:
    """Return the chance that a doublet scores above a single cell, ties counting half."""
    import numpy as np

    _, place, sizes = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(sizes) - (sizes - 1) / 2)[place]
    doublets = int(truth.sum())
    above = ranks[truth].sum() - doublets * (doublets + 1) / 2
    return float(above / (doublets * (len(truth) - doublets)))


def rand_index(first, second) -> float:
    """Return the adjusted Rand index of two partitions (Hubert and Arabie 1985, doi:10.1007/BF01908075)."""
    import numpy as np

    codes = [np.unique(np.asarray(part).astype(str), return_inverse=True)[1] for part in (first, second)]
    table = np.zeros([code.max() + 1 for code in codes])
    np.add.at(table, tuple(codes), 1)
    both, rows, columns, cells = (pairs(at) for at in (table, table.sum(1), table.sum(0), np.array(table.sum())))
    expected = rows * columns / cells
    return float((both - expected) / ((rows + columns) / 2 - expected))


def pairs(sizes) -> float:
    """Return how many pairs lie within groups of these sizes."""
    return float((sizes * (sizes - 1) / 2).sum())


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

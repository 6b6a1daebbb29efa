import anndata
import numpy as np
import pandas as pd
import scipy.sparse as sp
from cells import make_counts

from immune_landscape import store
from immune_landscape.blocked_counts import write_file
from immune_landscape.export_h5ad import export_h5ad


def test_composed_object_opens_in_scanpy_with_all_parts(tmp_path):
    counts = make_counts(np.arange(6).reshape(3, 2), ["A", "B"], ["S1", "S1", "S2"])
    names = counts.obs_names
    shuffled = names[[2, 0, 1]]
    blank = np.array([[2.0, 2], [0, 0], [1, 1]], dtype=np.float32)
    reduction = store.addition(shuffled, obsm={"X_pca": blank, "X_integrated": blank})
    clusters = store.addition(
        shuffled,
        obs=pd.DataFrame({"cluster": ["c", "a", "b"]}, index=shuffled),
        obsm={"X_umap": blank},
        obsp={"connectivities": sp.identity(3, format="csr")},
    )
    design = pd.DataFrame({"patient": ["P1", "P2"], "visit": ["v1", "v1"], "day": [0.0, np.nan]}, index=["S1", "S2"])
    tables = {"clonotypes": pd.DataFrame({"sample": ["S1"], "clonotype": ["P1-1"]}, index=[names[1]])}
    cells, slots = export_h5ad(counts, reduction, clusters, design, tables)
    write_file(cells, tmp_path / "x.h5ad", store.PACKED, **slots)
    adata = anndata.read_h5ad(tmp_path / "x.h5ad")
    assert adata.obs["cluster"].tolist() == ["a", "b", "c"], "additions are put in the cells' order"
    assert adata.obsm["X_umap"][:, 0].tolist() == [0, 1, 2]
    assert adata.obs["patient"].tolist() == ["P1", "P1", "P2"]
    assert adata.obs["clonotype"].tolist() == ["", "P1-1", ""]
    assert (adata.X.toarray() == counts.X.toarray()).all()

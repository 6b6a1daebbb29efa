"""Reduced and clustered cells for tests of annotation, without layouts and searches for a resolution."""

import anndata
import numpy as np
import pandas as pd
import scipy.sparse as sp

from immune_landscape import store
from immune_landscape.cluster_cells import MIN_CELLS, find_clusters, find_neighbours
from immune_landscape.reduce_cells import reduce_cells

REDUCE = {"target_sum": 1e4, "n_top_genes": 2000, "exclude_genes": [], "n_components": 30, "harmony_theta": 2.0}


def mapped(counts: anndata.AnnData, resolution: float = 1.0, **reduce) -> tuple[anndata.AnnData, anndata.AnnData]:
    """Return reduction and clusters of the cells, as the stages give them."""
    batch = pd.Series("b", index=counts.obs_names, dtype=object)
    reduction = reduce_cells(counts, batch, 0, **(REDUCE | reduce))
    if counts.n_obs < MIN_CELLS:
        graph, cluster = sp.csr_matrix((counts.n_obs, counts.n_obs), dtype=np.float32), "0"
    else:
        points = pd.DataFrame(reduction.obsm["X_integrated"], index=counts.obs_names)
        cells = find_neighbours(points, 15, 40_000, 0)
        graph, cluster = cells.obsp["connectivities"].tocsr(), find_clusters(cells, resolution, 0).to_numpy()
    obs = pd.DataFrame({"cluster": cluster}, index=counts.obs_names, dtype=object)
    return reduction, store.addition(counts.obs_names, obs=obs, obsp={"connectivities": graph})

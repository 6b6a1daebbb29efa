"""Counts with planted types, samples and doublets, for tests of the heavy steps."""

from typing import NamedTuple

import anndata
import numpy as np
import pandas as pd
import scipy.sparse as sp

TYPE_SHARES = (0.3, 0.25, 0.2, 0.15, 0.07, 0.03)


class Planted(NamedTuple):
    """Cells x genes with ``obs['sample']``, ``obs['type']`` and ``obs['doublet']``."""

    cells: anndata.AnnData

    @property
    def counts(self):
        """Return the raw counts, CSR of float32."""
        return self.cells.X

    def of_sample(self, name):
        """Return the raw counts of one sample."""
        return self.cells.X[(self.cells.obs["sample"] == name).to_numpy()]


def plant_cells(n_cells=2400, n_genes=1500, samples=3, doublets=0.06, seed=0):
    """Draw negative binomial counts of types with 40 marker genes each, samples with their own bias, and doublets."""
    rng = np.random.default_rng(seed)
    base = np.exp(rng.normal(-1.2, 1.5, n_genes))
    profiles = np.tile(base, (len(TYPE_SHARES), 1))
    for profile in profiles:
        profile[rng.choice(n_genes, 40, replace=False)] *= rng.uniform(3, 12, 40)
    bias = np.exp(rng.normal(0, 0.15, (samples, n_genes)))
    kind = rng.choice(len(TYPE_SHARES), n_cells, p=TYPE_SHARES)
    sample = rng.integers(0, samples, n_cells)
    mean = profiles[kind] * bias[sample] * np.exp(rng.normal(0, 0.3, n_cells))[:, None]
    doubled = rng.random(n_cells) < doublets
    mean[doubled] += profiles[rng.choice(len(TYPE_SHARES), doubled.sum(), p=TYPE_SHARES)] * bias[sample[doubled]]
    counts = rng.poisson(mean * rng.gamma(4, 0.25, mean.shape)).astype(np.float32)
    obs = pd.DataFrame(
        {"sample": [f"S{at}" for at in sample], "type": [f"t{at}" for at in kind], "doublet": doubled},
        index=[f"c{at}" for at in range(n_cells)],
    )
    var = pd.DataFrame(index=[f"g{at:04d}" for at in range(n_genes)])
    return Planted(anndata.AnnData(sp.csr_matrix(counts), obs=obs, var=var))

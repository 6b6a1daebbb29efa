"""Small made-up counts for unit tests."""

import os
from typing import Any

import anndata
import numpy as np
import pandas as pd
import scipy.sparse as sp


def make_counts(values: np.ndarray, genes: list[str], samples: list[str]) -> anndata.AnnData:
    """Return an AnnData as the count stages write it."""
    names = [f"{sample}:C{i}" for i, sample in enumerate(samples)]
    obs = pd.DataFrame({"sample": samples, "barcode": [f"C{i}" for i in range(len(samples))]}, index=names)
    var = pd.DataFrame({"gene_id": [""] * len(genes)}, index=genes)
    return anndata.AnnData(sp.csr_matrix(np.asarray(values, dtype=np.int32)), obs=obs, var=var)


def make_groups(
    sizes: dict[str, int],
    markers: dict[str, list[str]],
    *,
    n_background: int = 300,
    seed: int = 0,
    samples: int = 2,
) -> tuple[anndata.AnnData, np.ndarray]:
    """Return counts of groups of cells that each express their own markers, and the group of each cell."""
    rng = np.random.default_rng(seed)
    genes = sorted({gene for names in markers.values() for gene in names})
    genes += [f"BG{i}" for i in range(n_background)]
    column = {gene: i for i, gene in enumerate(genes)}
    truth = np.repeat(list(sizes), list(sizes.values()))
    mean = np.full((len(truth), len(genes)), 0.02)
    mean[:, len(column) - n_background :] = rng.gamma(0.5, 2.0, n_background)
    for row, group in enumerate(truth):
        mean[row, [column[gene] for gene in markers[str(group)]]] = 3.0
    counts = rng.poisson(mean)
    return make_counts(counts, genes, [f"S{i % samples}" for i in range(len(truth))]), truth


def process_and_rows(block: Any) -> tuple[int, slice]:
    """Tell in which process a block of counts was worked on, and where its rows are."""
    return os.getpid(), block.rows

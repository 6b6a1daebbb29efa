import numpy as np
import pandas as pd
import pytest
from cells import make_groups

from immune_landscape.blocked_counts import blocked
from immune_landscape.device import CPU
from immune_landscape.reduce_cells import choose_genes, normalise, reduce_cells

SETTINGS = {
    "target_sum": 1e4,
    "n_top_genes": 100,
    "exclude_genes": [r"TR[ABGD][VDJC].*", r"MT-.*"],
    "n_components": 10,
    "harmony_theta": 2.0,
}
MARKERS = {
    "a": [f"A{i}" for i in range(15)],
    "b": [f"B{i}" for i in range(15)],
    "c": ["TRBV7-2", "TRAV1-2", "MT-CO1"],
}


def one_batch(counts):
    return pd.Series("b1", index=counts.obs_names)


def test_normalised_cells_have_one_total():
    counts, _ = make_groups({"a": 20, "b": 20}, MARKERS)
    normal = normalise(counts, 1e4)
    assert np.expm1(normal.X.toarray()).sum(axis=1) == pytest.approx(np.full(40, 1e4), rel=1e-4)
    assert counts.X.dtype == np.int32, "counts are left alone"


def test_receptor_and_mitochondrial_genes_never_drive_clusters():
    counts, _ = make_groups({"a": 60, "b": 60, "c": 60}, MARKERS)
    chosen, free = (
        counts.var_names[choose_genes(blocked(counts), one_batch(counts), CPU, 1e4, 100, excluded).chosen]
        for excluded in (SETTINGS["exclude_genes"], [])
    )
    assert not set(chosen) & set(MARKERS["c"])
    assert set(free) & set(MARKERS["c"]), "they would, were they let in"


def test_groups_separate_and_batches_mix():
    counts, truth = make_groups({"a": 150, "b": 150}, MARKERS)
    batch = pd.Series(np.where(np.arange(300) % 2, "b1", "b2"), index=counts.obs_names)
    shifted = counts.copy()
    dense = shifted.X.toarray()
    dense[(batch == "b2").to_numpy(), -60:] *= 3
    import scipy.sparse as sp

    shifted.X = sp.csr_matrix(dense)
    reduction = reduce_cells(shifted, batch, 0, **SETTINGS)
    assert reduction.uns["reduction"]["integrated"]

    def gap(key, labels, levels):
        scores = reduction.obsm[key]
        one, two = scores[labels == levels[0]], scores[labels == levels[1]]
        return np.linalg.norm(one.mean(axis=0) - two.mean(axis=0)) / scores.std()

    assert gap("X_integrated", batch.to_numpy(), ("b1", "b2")) < 0.5 * gap("X_pca", batch.to_numpy(), ("b1", "b2"))
    assert gap("X_integrated", truth, ("a", "b")) > 2


def test_same_seed_same_bytes():
    counts, _ = make_groups({"a": 60, "b": 60}, MARKERS)
    batch = pd.Series(np.where(np.arange(120) % 2, "b1", "b2"), index=counts.obs_names)
    one, two = (reduce_cells(counts, batch, 3, **SETTINGS) for _ in range(2))
    assert np.array_equal(one.obsm["X_integrated"], two.obsm["X_integrated"])


@pytest.mark.parametrize("cells", [0, 1, 2])
def test_too_few_cells_give_blank_coordinates(cells):
    counts, _ = make_groups({"a": 3}, MARKERS)
    reduction = reduce_cells(counts[:cells].copy(), one_batch(counts), 0, **SETTINGS)
    assert reduction.obsm["X_integrated"].shape == (cells, 2)

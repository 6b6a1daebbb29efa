import numpy as np
import pytest
from cells import make_counts, make_groups

from immune_landscape.find_doublets import find_doublets

SETTINGS = {
    "expected_rate": None,
    "rate_per_1000_cells": 0.008,
    "max_calls": 3.0,
    "n_components": 20,
    "min_cells": 100,
}
MARKERS = {f"g{k}": [f"M{k}_{i}" for i in range(40)] for k in range(4)}


def with_doublets(n_doublets: int):
    counts, _ = make_groups(dict.fromkeys(MARKERS, 100), MARKERS, samples=1)
    rng = np.random.default_rng(1)
    first, second = rng.integers(0, 200, n_doublets), rng.integers(200, 400, n_doublets)
    pairs = counts.X[first] + counts.X[second]
    values = np.vstack([counts.X.toarray(), pairs.toarray()])
    merged = make_counts(values, list(counts.var_names), ["S1"] * len(values))
    return merged, np.arange(len(values)) >= 400


def test_planted_doublets_score_high():
    counts, planted = with_doublets(30)
    table = find_doublets(counts, 0, **(SETTINGS | {"expected_rate": 0.07}))
    ranks = table["doublet_score"].rank().to_numpy()
    # area under the ROC curve from ranks (Mann-Whitney)
    auc = (ranks[planted].sum() - 30 * 31 / 2) / (30 * 400)
    print(f"doublet AUC on planted heterotypic doublets: {auc:.3f}")
    assert auc > 0.9
    assert table.loc[planted, "doublet"].mean() > 0.5


def test_expected_rate_follows_cell_number():
    counts, _ = with_doublets(30)
    table = find_doublets(counts, 0, **SETTINGS)
    assert table["expected_rate"].unique() == pytest.approx([0.008 * 430 / 1000])


def test_calls_never_run_away():
    counts, _ = with_doublets(30)
    table = find_doublets(counts, 0, **(SETTINGS | {"expected_rate": 0.02, "max_calls": 1.0}))
    assert table["doublet"].mean() <= 0.025


def test_small_sample_is_not_scored():
    counts, _ = make_groups({"g0": 30}, MARKERS, samples=1)
    table = find_doublets(counts, 0, **SETTINGS)
    assert table["doublet_score"].isna().all()
    assert not table["doublet"].any()
    assert set(table["cutoff"]) == {"not_scored"}


def test_result_does_not_depend_on_neighbours_in_the_job():
    counts, _ = with_doublets(30)
    other = counts.copy()
    other.obs["sample"] = "S2"
    other.obs_names = other.obs_names.str.replace("S1", "S2")
    import anndata

    both = anndata.concat([other, counts])
    alone = find_doublets(counts, 0, **SETTINGS)
    together = find_doublets(both, 0, **SETTINGS).loc[alone.index]
    assert alone.equals(together)


def test_no_cells():
    counts, _ = make_groups({"g0": 3}, MARKERS, samples=1)
    assert find_doublets(counts[:0].copy(), 0, **SETTINGS).empty

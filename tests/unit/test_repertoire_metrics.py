from collections import Counter
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from immune_landscape.repertoire_metrics import (
    CLASS_CLONES,
    CUTOFFS,
    HOMEOSTASIS,
    METRICS,
    UNITS,
    compared_values,
    diversity,
    draw_counts,
    reported_classes,
    summarise_draws,
)
from immune_landscape.value_tables import VALUE_COLUMNS

UNEVEN = np.array([30, 12, 8, 5, 3, 2, 2] + [1] * 58)


def space_between(counts, low, high):
    """Sum the frequencies in one class, clone by clone."""
    total = sum(counts)
    return sum(count / total for count in counts if low < count / total <= high)


def test_diversity_equals_the_formulas_clone_by_clone():
    found = diversity(np.append(UNEVEN, [0, 0]))
    share = UNEVEN / UNEVEN.sum()
    assert tuple(found) == METRICS == tuple(UNITS)
    assert found["hill_0"] == len(UNEVEN)
    assert found["hill_1"] == pytest.approx(np.exp(stats.entropy(UNEVEN)))
    assert found["hill_2"] == pytest.approx(1 / (share @ share))
    assert found["gini_simpson"] == pytest.approx(1 - share @ share)
    assert found["pielou"] == pytest.approx(stats.entropy(UNEVEN, base=len(UNEVEN)))
    assert found["clonality"] == pytest.approx(1 - found["pielou"])
    assert found["top_clone_share"] == pytest.approx(30 / UNEVEN.sum())


def test_gini_chao_and_d50_equal_the_formulas_clone_by_clone():
    found = diversity(UNEVEN)
    apart = np.abs(UNEVEN[:, None] - UNEVEN[None, :]).sum()
    assert found["gini"] == pytest.approx(apart / (2 * len(UNEVEN) ** 2 * UNEVEN.mean()))
    total, once, twice = UNEVEN.sum(), 58, 2
    assert found["chao1"] == pytest.approx(len(UNEVEN) + (total - 1) / total * once**2 / (2 * twice))
    assert found["shannon"] == pytest.approx(stats.entropy(UNEVEN))
    held = np.cumsum(UNEVEN)
    assert found["d50"] == np.flatnonzero(held >= total / 2)[0] + 1
    assert found["d50_share"] == pytest.approx(found["d50"] / len(UNEVEN))


@pytest.mark.parametrize(
    ("counts", "d50", "chao1"),
    [([5], 1, 1), ([3, 3], 1, 2), ([1] * 7, 4, 7 + 6 / 7 * 21), ([4, 2, 2], 1, 3), ([9, 4, 4, 4, 4, 4], 3, 6)],
)
def test_d50_and_chao_of_small_repertoires(counts, d50, chao1):
    found = diversity(np.array(counts))
    assert (found["d50"], found["chao1"]) == (d50, pytest.approx(chao1))


def test_classes_are_told_as_space_and_as_clonotypes_and_refused_together():
    counts = np.array([300] + [30] * 40 + [1] * 1500)
    found = diversity(counts)
    assert found["clones_hyperexpanded"] == (counts / counts.sum() > 0.01).sum()
    assert found["clones_hyperexpanded_screpertoire"] == 1 * (300 / counts.sum() > 0.1)
    assert found["clones_hyperexpanded"] == 41 - 40 * (30 / counts.sum() <= 0.01)
    assert np.isnan(found["clones_medium"])
    for space, clones in zip(HOMEOSTASIS, CLASS_CLONES, strict=True):
        assert np.isnan(found[space]) == np.isnan(found[clones])


def test_homeostasis_equals_the_published_classes_of_both_tools():
    rng = np.random.default_rng(3)
    counts = np.concatenate([[60_000, 9_000, 900, 90, 9], rng.integers(1, 40, 20_000)])
    found = diversity(counts)
    for suffix, edges in (("", [1e-5, 1e-4, 1e-3, 1e-2]), ("_screpertoire", [1e-4, 1e-3, 1e-2, 1e-1])):
        bounds = dict(zip(("small", "medium", "large"), pairwise(edges), strict=True))
        bounds |= {"rare": (0, edges[0]), "hyperexpanded": (edges[-1], 1)}
        expected = {name: space_between(counts, *pair) for name, pair in bounds.items()}
        assert sum(expected.values()) == pytest.approx(1)
        given = {name: found[f"homeo_{name}{suffix}"] for name in bounds}
        known = {name: value for name, value in given.items() if not np.isnan(value)}
        assert known == pytest.approx({name: expected[name] for name in known})
        assert {"medium", "large", "hyperexpanded"} <= set(known)


def test_a_frequency_on_a_bound_belongs_to_the_lower_class():
    counts = np.array([1000, 100] + [10] * 890)
    assert counts.sum() == 10_000
    found = diversity(counts)
    assert found["homeo_hyperexpanded"] == pytest.approx(0.1)
    assert found["homeo_large"] == pytest.approx(0.01)
    assert found["homeo_hyperexpanded_screpertoire"] == 0
    assert found["homeo_large_screpertoire"] == pytest.approx(0.1)
    assert found["homeo_medium_screpertoire"] == pytest.approx(0.01)
    # 890 clonotypes at 0.1 % would be medium here and small there; 10,000 templates are too few for either.
    assert np.isnan([found["homeo_medium"], found["homeo_small_screpertoire"]]).all()


def test_a_class_needs_a_lower_bound_above_two_templates():
    immunarch, screpertoire = CUTOFFS[""], CUTOFFS["_screpertoire"]
    assert reported_classes(immunarch, 2_000).tolist() == [False, False, False, False, True]
    assert reported_classes(immunarch, 2_001).tolist() == [False, False, False, True, True]
    assert reported_classes(immunarch, 200_001).all()
    assert reported_classes(screpertoire, 20).tolist() == [False] * 5
    assert reported_classes(screpertoire, 21).tolist() == [False] * 4 + [True]


def test_eighty_singletons_have_no_large_or_hyperexpanded_clones():
    found = diversity(np.ones(80, dtype=int))
    assert np.isnan([found["homeo_large"], found["homeo_hyperexpanded"], found["homeo_large_screpertoire"]]).all()
    assert found["homeo_hyperexpanded_screpertoire"] == 0
    assert found["clonality"] == pytest.approx(0, abs=1e-12)


def test_undefined_metrics_are_missing():
    assert np.isnan(list(diversity(np.array([0, 0])).values())).all()
    assert np.isnan(list(diversity(np.array([], dtype=int)).values())).all()
    one = diversity(np.array([80]))
    assert np.isnan([one["pielou"], one["clonality"]]).all()
    assert (one["hill_0"], one["hill_1"], one["hill_2"], one["gini_simpson"]) == (1, 1, 1, 0)


@pytest.mark.parametrize("counts", [UNEVEN, np.array([4_000, 3_000, 20, 5])], ids=["by template", "by clone"])
def test_draws_are_multivariate_hypergeometric(counts):
    depth = counts.sum() // 3
    drawn = np.array(list(draw_counts(counts, depth, 4000, np.random.default_rng(0))))
    assert (drawn.sum(axis=1) == depth).all()
    assert (drawn <= counts).all()
    total, share = counts.sum(), counts / counts.sum()
    variance = depth * share * (1 - share) * (total - depth) / (total - 1)
    error = np.sqrt(variance / len(drawn))
    assert (np.abs(drawn.mean(axis=0) - depth * share) < 4.5 * error).all()
    assert drawn.var(axis=0) == pytest.approx(variance, rel=0.2)


def test_drawing_everything_gives_the_repertoire_itself():
    (drawn,) = draw_counts(UNEVEN, int(UNEVEN.sum()), 1, np.random.default_rng(0))
    assert Counter(drawn.tolist()) == Counter(UNEVEN.tolist())


def test_summary_is_mean_and_quantiles_and_missing_where_a_draw_is():
    values = np.column_stack([np.arange(101.0), np.full(101, np.nan), np.append(np.zeros(100), np.nan)])
    mean, low, high = summarise_draws(values)
    assert (mean[0], low[0], high[0]) == (50, 2.5, 97.5)
    assert np.isnan([mean[1:], low[1:], high[1:]]).all()


def metrics_table():
    rows = [
        ("s1", "all", "clonality", 0.5, np.nan, np.nan, False, "index"),
        ("s1", "all", "clonality", 0.4, 0.3, 0.5, True, "index"),
        ("s1", "all", "clonotypes", 9.0, np.nan, np.nan, False, "clonotypes"),
        ("s2", "all", "clonality", np.nan, np.nan, np.nan, False, "index"),
        ("s2", "all", "clonality", 0.2, 0.1, 0.3, True, "index"),
        ("s2", "all", "clonotypes", 7.0, np.nan, np.nan, False, "clonotypes"),
        ("s1", "cd8", "detection", 0.9, np.nan, np.nan, False, "fraction"),
        ("s2", "cd8", "detection", 0.8, np.nan, np.nan, False, "fraction"),
    ]
    return pd.DataFrame(rows, columns=["sample", "scope", "metric", "value", "low", "high", "standardised", "unit"])


def test_compared_values_are_standardised_where_that_exists():
    values = compared_values(metrics_table(), ["all", "cd8"], ["clonotypes", "clonality", "detection"])
    assert list(values.columns) == VALUE_COLUMNS
    found = values.set_index(["parent", "feature", "sample"])["value"].to_dict()
    assert found == {
        ("all", "clonotypes", "s1"): 9,
        ("all", "clonotypes", "s2"): 7,
        ("all", "clonality", "s1"): 0.4,
        ("all", "clonality", "s2"): 0.2,
        ("cd8", "detection", "s1"): 0.9,
        ("cd8", "detection", "s2"): 0.8,
    }
    assert values.loc[values["feature"] == "clonality", ["low", "high"]].to_numpy().tolist() == [[0.3, 0.5], [0.1, 0.3]]


def test_a_scope_that_is_not_there_is_told_as_not_measured():
    values = compared_values(metrics_table(), ["nk"], ["clonality"])
    assert values["sample"].tolist() == ["s1", "s2"]
    assert values["value"].isna().all()
    assert set(values["unit"]) == {"index"}
    assert compared_values(metrics_table(), [], []).empty

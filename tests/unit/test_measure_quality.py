import math

import pandas as pd
import pytest

from immune_landscape.measure_quality import UNITS, measure_quality


@pytest.fixture
def values():
    cells = pd.DataFrame(
        {
            "sample": ["a"] * 4 + ["b"] * 2,
            "total_counts": [100, 300, 500, 9, 50, 70],
            "n_genes": [10, 30, 50, 1, 5, 7],
            "pct_mt": [1.0, 2.0, 6.0, 90.0, 3.0, 5.0],
            "keep": [True, True, True, False, True, True],
        }
    )
    steps = pd.DataFrame(
        {"sample": ["a", "b"], "loaded": [4, 2], "passed_quality": [3, 2], "called_doublet": [1, 0], "kept": [2, 0]}
    )
    return measure_quality(cells, steps).set_index(["sample", "feature"])["value"]


def test_every_feature_of_every_sample_has_a_row(values):
    assert len(values) == 2 * len(UNITS)


def test_medians_are_over_the_cells_that_passed(values):
    assert values["a", "median_counts"] == pytest.approx(math.log(300))
    assert values["a", "median_genes"] == pytest.approx(math.log(30))
    assert values["a", "median_pct_mt"] == 2.0


def test_shares_are_log_odds(values):
    assert values["a", "share_kept"] == pytest.approx(math.log(3.5 / 1.5))
    assert values["a", "doublet_share"] == pytest.approx(math.log(1.5 / 2.5))


def test_a_sample_without_cells_has_no_log(values):
    assert math.isnan(values["b", "cells_kept"])

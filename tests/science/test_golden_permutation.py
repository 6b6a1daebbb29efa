"""Permutation p values on public data: blood T-cell clonality under atezolizumab.

Snyder et al. 2017, https://doi.org/10.1371/journal.pmed.1002309, data of commit 804cbf16 of
hammerlab/multi-omic-urothelial-anti-pdl1. All results are negative.
"""

import itertools
import math
import time

import numpy as np
import pandas as pd
import pytest
from datasets import shared_data

from immune_landscape.permutation import permute_labels

RESPONSE, DISEASE_CONTROL = ("CR", "PR"), ("CR", "PR", "SD")
EVALUABLE = ("CR", "PR", "SD", "PD")

# name of the row, last visit, responders, source of response, not evaluable count as non-responders:
# sizes, difference, p, labelings
GOLDEN = [
    ("snyder_ab", "B", RESPONSE, "tcr", False, (8, 16), 0.0210, 0.3429, 735_471),
    ("snyder_ac", "C", RESPONSE, "tcr", False, (8, 15), 0.0081, 0.5841, 490_314),
    ("snyder_dcr", "B", DISEASE_CONTROL, "tcr", False, (11, 13), 0.0059, 0.7824, 2_496_144),
    ("snyder_ne", "B", RESPONSE, "tcr", True, (8, 19), 0.0218, 0.3164, 2_220_075),
    ("snyder_recist_ab", "B", RESPONSE, "clinical", False, (7, 14), 0.0240, 0.3296, 116_280),
    ("snyder_recist_ac", "C", RESPONSE, "clinical", False, (7, 13), 0.0150, 0.3656, 77_520),
]


DRAWS = 20_000


def clonality_change(last):
    table = pd.read_csv(shared_data("snyder2017_urothelial_tcr", "data_tcr.csv"), dtype={"patient_id": str})
    blood = table[table["Sample Type"] == "PBMC"]
    by_visit = {visit: part.set_index("patient_id")["Clonality"] for visit, part in blood.groupby("Time Point")}
    return (by_visit[last] - by_visit["A"]).dropna()


def response_of_patients(source):
    name, column = {
        "tcr": ("data_tcr.csv", "Clinical Response"),
        "clinical": ("data_clinical.csv", "Best Response RECIST 1.1"),
    }[source]
    table = pd.read_csv(shared_data("snyder2017_urothelial_tcr", name), dtype=str)
    # "PD " with a trailing blank occurs in both tables.
    return table.dropna(subset=["patient_id"]).groupby("patient_id")[column].first().str.strip()


def compared(last, responders, source, count_all):
    """Return change of clonality and group of the patients of a golden row."""
    change = clonality_change(last)
    response = response_of_patients(source).reindex(change.index)
    kept = np.ones(len(change), dtype=bool) if count_all else response.isin(EVALUABLE).to_numpy()
    return change.to_numpy()[kept], response.isin(responders).to_numpy()[kept]


@pytest.mark.parametrize(
    ("name", "last", "responders", "source", "count_all", "sizes", "difference", "p", "labelings"), GOLDEN
)
def test_clonality_change(science, name, last, responders, source, count_all, sizes, difference, p, labelings):
    change, is_a = compared(last, responders, source, count_all)
    result = permute_labels(change, is_a, 0, studentise=False)
    what = (
        f"p of the change in clonality A to {last}, {is_a.sum()} vs {(~is_a).sum()} ({source} table), "
        f"difference {result.effect[0]:.4f}, all {result.labelings[0]:,} labelings"
    )
    science.row(f"golden/{name}", what, result.p[0], p - 5e-5, p + 5e-5, result.labelings[0])
    assert (is_a.sum(), (~is_a).sum()) == sizes
    assert result.exact[0]
    assert result.labelings[0] == labelings == math.comb(sum(sizes), sizes[0])
    assert round(float(result.effect[0]), 4) == difference
    assert round(float(result.p[0]), 4) == p


@pytest.mark.parametrize(
    ("name", "last", "responders", "source", "count_all", "sizes", "difference", "p", "labelings"), GOLDEN
)
def test_sampled_labelings_agree(name, last, responders, source, count_all, sizes, difference, p, labelings):
    change, is_a = compared(last, responders, source, count_all)
    result = permute_labels(change, is_a, 1, studentise=False, max_exact=DRAWS, draws=DRAWS)
    assert not result.exact[0]
    # Four standard errors of a share of the draws.
    assert result.p[0] == pytest.approx(p, abs=4 * math.sqrt(p * (1 - p) / DRAWS))


def test_every_labeling_counted_by_hand():
    change, is_a = compared("C", RESPONSE, "clinical", False)
    chosen = np.array(list(itertools.combinations(range(20), 7)))
    means = change[chosen].mean(axis=1)
    differences = np.abs(means - (change.sum() - 7 * means) / 13)
    observed = abs(change[is_a].mean() - change[~is_a].mean())
    assert len(chosen) == 77_520
    assert round(float((differences >= observed - 1e-12).mean()), 4) == 0.3656


def test_all_labelings_of_a_cohort_of_nineteen_take_well_below_a_second():
    values, is_a = np.random.default_rng(2).normal(size=(19, 50)), np.arange(19) < 6
    start = time.perf_counter()
    result = permute_labels(values, is_a, 0)
    seconds = time.perf_counter() - start
    print(f"27,132 labelings x 50 features: {seconds:.3f} s")
    assert (result.labelings == 27_132).all()
    assert seconds < 2.0

"""Permutation p values on public data: blood T-cell clonality under atezolizumab.

Snyder et al. 2017, https://doi.org/10.1371/journal.pmed.1002309, data of commit 804cbf16 of
hammerlab/multi-omic-urothelial-anti-pdl1. All results are negative.
"""

import numpy as np
import pandas as pd
import pytest
from datasets import shared_data

from immune_landscape.permutation import permute_labels

RESPONSE, DISEASE_CONTROL = ("CR", "PR"), ("CR", "PR", "SD")
EVALUABLE = ("CR", "PR", "SD", "PD")

# last visit, responders, source of response, not evaluable count as non-responders:
# sizes, difference, p, labelings
GOLDEN = [
    ("B", RESPONSE, "tcr", False, (8, 16), 0.0210, 0.3429, 735_471),
    ("C", RESPONSE, "tcr", False, (8, 15), 0.0081, 0.5841, 490_314),
    ("B", DISEASE_CONTROL, "tcr", False, (11, 13), 0.0059, 0.7824, 2_496_144),
    ("B", RESPONSE, "tcr", True, (8, 19), 0.0218, 0.3164, 2_220_075),
    ("B", RESPONSE, "clinical", False, (7, 14), 0.0240, 0.3296, 116_280),
    ("C", RESPONSE, "clinical", False, (7, 13), 0.0150, 0.3656, 77_520),
]


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


@pytest.mark.parametrize(("last", "responders", "source", "count_all", "sizes", "difference", "p", "labelings"), GOLDEN)
def test_clonality_change(last, responders, source, count_all, sizes, difference, p, labelings):
    change = clonality_change(last)
    response = response_of_patients(source).reindex(change.index)
    kept = np.ones(len(change), dtype=bool) if count_all else response.isin(EVALUABLE).to_numpy()
    is_a = response.isin(responders).to_numpy()[kept]
    result = permute_labels(change.to_numpy()[kept], is_a, 0, studentise=False)
    print(
        f"A to {last}, {source}: {is_a.sum()} vs {(~is_a).sum()}, "
        f"{result.effect[0]:.4f}, p {result.p[0]:.4f} of {result.labelings[0]}"
    )
    assert (is_a.sum(), (~is_a).sum()) == sizes
    assert result.exact[0]
    assert result.labelings[0] == labelings
    assert round(float(result.effect[0]), 4) == difference
    assert round(float(result.p[0]), 4) == p

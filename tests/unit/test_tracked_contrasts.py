import numpy as np
import pandas as pd
import pytest
from scipy import stats

from immune_landscape.compare_values import compare_values
from immune_landscape.contrast_tests import ContrastSettings
from immune_landscape.tracked_contrasts import tracked_contrasts

RESPONSE = {"name": "r", "estimand": "response_by_visit", "reference": "before", "target": "after"}
ARM = {**RESPONSE, "name": "a", "estimand": "arm_by_visit"}


def test_only_contrasts_of_groups_between_two_visits_stay():
    others = [
        {"name": "b", "estimand": "baseline", "reference": "before"},
        {**RESPONSE, "name": "c", "estimand": "change"},
        {**RESPONSE, "name": "t", "factor": "tissue"},
        {**RESPONSE, "name": "m", "target": "", "targets": ["after", "later"]},
    ]
    found = tracked_contrasts([RESPONSE, *others, ARM])
    assert [each["name"] for each in found] == ["r", "a"]
    assert [each["reference"] for each in found] == ["after", "after"]
    assert [each["group_column"] for each in found] == ["response", "arm"]
    assert {each["estimand"] for each in found} == {"baseline"}


def test_patients_are_compared_by_their_values_at_the_target_under_the_question_asked():
    rng = np.random.default_rng(0)
    patients = [f"p{number}" for number in range(10)]
    design = pd.DataFrame(
        [(f"{name}_{visit}", name, visit) for name in patients for visit in ("before", "after")],
        columns=["sample", "patient", "visit"],
    )
    group = {name: "responder" if at < 4 else "non_responder" for at, name in enumerate(patients)}
    design = design.assign(tissue="blood", response=design["patient"].map(group), batch="b", arm="")
    value = dict(zip(patients, rng.normal(0, 1, 10) + np.array([3] * 4 + [0] * 6), strict=True))
    after = design[design["visit"] == "after"]
    numbers = {"value": after["patient"].map(value), "low": np.nan, "high": np.nan, "unit": "fraction"}
    values = after[["sample"]].assign(parent="all", feature="share_expanded", **numbers)
    testing = ContrastSettings(alpha=0.05, power=0.8, max_exact=10_000, draws=100, intervals=False)
    found = compare_values(values, design, [RESPONSE], "tracks", testing, 0)["contrasts"].iloc[0]
    first, second = (
        [value[name] for name in patients if group[name] == label] for label in ("responder", "non_responder")
    )
    assert found["effect"] == pytest.approx(np.mean(first) - np.mean(second))
    exact = stats.permutation_test(
        (first, second), lambda a, b: abs(stats.ttest_ind(a, b, equal_var=False).statistic), n_resamples=np.inf
    )
    assert found["p"] == pytest.approx(exact.pvalue, abs=0.02)
    assert (found["n_a"], found["n_b"]) == (4, 6)
    assert found["estimand"] == "response_by_visit"

"""Regions of a tissue in contrasts: averaged within a patient, compared with one another, or one of them alone."""

import numpy as np
import pandas as pd
import pytest
from values_tables import TESTING, contrast

from immune_landscape.compare_values import compare_values
from immune_landscape.designs import averaged_samples, check_contrast, complete_pairs
from immune_landscape.errors import DesignError

REGIONS = ("core", "margin")


def tumour(patients=8, seed=0):
    """Return values and design of patients with two regions of tumour at two visits; the last has one region."""
    rng = np.random.default_rng(seed)
    rows = [
        (f"p{at}_{visit}_{region}", f"p{at}", visit, "tumour", region, "b1", "responder" if at < 4 else "non_responder")
        for at in range(patients)
        for visit in ("pre", "on")
        for region in REGIONS[: 1 if at == patients - 1 else 2]
    ]
    design = pd.DataFrame(rows, columns=["sample", "patient", "visit", "tissue", "region", "batch", "response"])
    values = pd.DataFrame(
        {"sample": design["sample"], "parent": "all", "feature": "m", "value": rng.normal(size=len(design))}
    )
    return values.assign(low=np.nan, high=np.nan, unit="u"), design


def compared(values, design, **keys):
    return compare_values(values, design, [contrast(**keys)], "measures", TESTING, 1)


def means(values, design):
    """Return the mean of the regions by patient and visit."""
    return values.merge(design, on="sample").pivot_table(
        index="patient", columns="visit", values="value", aggfunc="mean"
    )


def test_regions_of_a_patient_are_averaged():
    values, design = tumour()
    tables = compared(values, design)
    wanted = means(values, design)
    rows = tables["differences"].set_index("patient").loc[wanted.index]
    np.testing.assert_allclose(rows["before"], wanted["pre"])
    np.testing.assert_allclose(rows["after"], wanted["on"])
    np.testing.assert_allclose(rows["difference"], wanted["on"] - wanted["pre"])
    assert (tables["contrasts"]["n_a"] + tables["contrasts"]["n_b"]).tolist() == [8]
    assert "mean of the regions of a tissue" in tables["contrasts"]["note"].iloc[0]


def test_the_test_is_that_of_the_means():
    values, design = tumour()
    first = design[design["region"] == "core"]
    wanted = means(values, design)
    known = first.assign(value=[wanted.loc[each] for each in zip(first["patient"], first["visit"], strict=True)])
    alone = known[["sample", "value"]].assign(parent="all", feature="m", low=np.nan, high=np.nan, unit="u")
    p = [
        compared(*pair)["contrasts"]["p"].iloc[0] for pair in ((values, design), (alone, first.drop(columns="region")))
    ]
    assert p[0] == pytest.approx(p[1])


def test_a_region_that_was_not_measured_leaves_the_other():
    values, design = tumour()
    lost = values[values["sample"] != "p0_on_margin"]
    rows = compared(lost, design)["differences"].set_index("patient")
    value = values.set_index("sample")["value"]
    assert rows.loc["p0", "after"] == pytest.approx(value["p0_on_core"])
    assert rows.loc["p1", "after"] == pytest.approx(value[["p1_on_core", "p1_on_margin"]].mean())


def test_a_contrast_may_name_one_region():
    values, design = tumour()
    rows = compared(values, design, region="margin")
    value = values.set_index("sample")["value"]
    found = rows["differences"].set_index("patient")["before"]
    assert found["p2"] == pytest.approx(value["p2_pre_margin"])
    assert "p7" not in found.index
    assert "mean of the regions" not in rows["contrasts"]["note"].iloc[0]


def test_regions_are_compared_within_a_visit():
    values, design = tumour()
    keys = {"estimand": "change", "factor": "region", "reference": "core", "target": "margin", "visit": "on"}
    rows = compared(values, design, **keys)["differences"].set_index("patient")
    value = values.set_index("sample")["value"]
    assert rows.loc["p3", "difference"] == pytest.approx(value["p3_on_margin"] - value["p3_on_core"])
    assert len(rows) == 7
    assert averaged_samples(design, contrast(**keys)) == {}


def test_without_regions_two_samples_of_a_visit_are_refused():
    _, design = tumour()
    with pytest.raises(DesignError, match="more than one sample at pre of p0, p1"):
        complete_pairs(design.drop(columns="region"), contrast())


def test_an_unknown_region_is_a_problem_of_the_contrast():
    _, design = tumour()
    keys = {"estimand": "change", "factor": "region", "reference": "core", "target": "edge"}
    [problem] = check_contrast(design, contrast(**keys), min_pairs=2, file="cohort.yaml", line=3)
    assert problem.kind == "unknown_level"
    assert "expected a region with samples" in problem.message

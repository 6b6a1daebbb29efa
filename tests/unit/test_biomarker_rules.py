import math

import pytest

from immune_landscape.biomarker_rules import (
    clash_of,
    cps_class,
    cps_classes,
    panel_flag,
    read_cps,
    read_mmr,
    read_msi,
    read_tmb,
)

RETAINED = dict.fromkeys(("mlh1", "msh2", "msh6", "pms2"), "retained")


def test_classes_of_the_score_begin_at_their_threshold():
    assert cps_classes([1, 5, 10]) == ["below_1", "1_to_5", "5_to_10", "at_least_10"]
    assert cps_classes([1]) == ["below_1", "at_least_1"]
    assert [cps_class(value, [1, 5, 10]) for value in (0.99, 1, 4.99, 5, 10)] == [
        *("below_1", "1_to_5", "1_to_5", "5_to_10", "at_least_10")
    ]
    assert cps_class(math.nan, [1]) == ""


def test_too_few_tumour_cells_give_no_score():
    reading = read_cps([99, 0, 0], 99, [1], least=100)
    assert math.isnan(reading.value)
    assert reading.named == ""
    assert reading.reason == "99 viable tumour cells, fewer than 100"


def test_a_score_is_capped():
    assert read_cps([100, 80, 40], 100, [1, 5, 10], least=100) == (100.0, "at_least_10", "")


def test_proteins_that_were_not_done_leave_it_open_unless_another_is_lost():
    assert read_mmr({**RETAINED, "msh6": "not_done"}).named == ""
    assert read_mmr({**RETAINED, "msh6": ""}).reason == "MSH6 not done"
    assert read_mmr({**RETAINED, "msh6": "not_done", "pms2": "lost"}).named == "dMMR"


@pytest.mark.parametrize(
    ("lost", "odd"),
    [
        (("pms2",), ""),
        (("mlh1", "pms2"), ""),
        (("msh6",), ""),
        (("mlh1",), "unusual: MLH1 lost with PMS2 retained"),
        (("msh2",), "unusual: MSH2 lost with MSH6 retained"),
        (("mlh1", "msh2"), "unusual: MLH1 lost with PMS2 retained and MSH2 lost with MSH6 retained"),
    ],
)
def test_patterns_that_biology_does_not_expect_are_named(lost, odd):
    reading = read_mmr({**RETAINED, **dict.fromkeys(lost, "lost")})
    assert reading == (float(len(lost)), "dMMR", odd)


def test_other_numbers_of_markers_follow_the_share():
    assert read_msi(3, 10, high_share=0.3).named == "MSI-H"
    assert read_msi(3, 10, high_share=0.4).named == "MSI-L"
    assert read_msi(2, 7, high_share=0.3).named == "MSI-L"
    assert read_msi(2, 7, high_share=0.25).named == "MSI-H"


def test_few_markers_show_high_instability_and_nothing_else():
    assert read_msi(2, 4, high_share=0.3).named == "MSI-H"
    # One unstable marker of three is a third of them, and still only one.
    assert read_msi(1, 3, high_share=0.3).named == ""
    assert read_msi(0, 4, high_share=0.3).reason == "4 markers tested, fewer than 5"


def test_a_burden_at_the_limit_is_high_whatever_the_panel():
    assert all(read_tmb(10 * tenths, tenths, high=10).named == "TMB-H" for tenths in (1, 2, 38))
    for mb in (0.7, 1.1, 1.3, 2.9):
        assert read_tmb(round(10 * mb), mb, high=10).named == "TMB-H"
    assert read_tmb(9, 1, high=10).named == "TMB-L"


def test_small_panels_are_flagged():
    assert panel_flag(0.667, small_panel_mb=0.667) == ""
    assert panel_flag(0.4, small_panel_mb=0.667) == "panel of 0.4 Mb, below 0.667"


@pytest.mark.parametrize(
    ("mmr", "msi", "clash"),
    [
        *(("dMMR", "MSS", True), ("dMMR", "MSI-L", True), ("dMMR", "MSI-H", False)),
        *(("pMMR", "MSI-H", True), ("pMMR", "MSI-L", False), ("", "MSI-H", False), ("dMMR", "", False)),
    ],
)
def test_proteins_against_microsatellites(mmr, msi, clash):
    assert bool(clash_of(mmr, msi)) == clash

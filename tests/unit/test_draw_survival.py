import numpy as np
import pytest
from clinical_tables import STUDY, trial
from figure_checks import artists, check

from immune_landscape.draw_survival import draw_survival


def drawn(study=STUDY, by="arm", bands=True, **changed):
    return draw_survival(trial() | changed, study, 0.95, by=by, bands=bands)


@pytest.mark.parametrize("endpoint", ["pfs", "os"])
def test_each_arm_has_a_curve_its_median_and_numbers_at_risk(endpoint):
    figure = drawn()[endpoint]
    words = check(figure)
    assert len(artists(figure, "curve")) == 2
    assert len(artists(figure, "band")) == 2
    assert "TAS-102 + RAK, n = 20" in words
    assert "hazard ratio" in words.replace("\n", " ")
    assert "stratified by PD-L1 CPS" in words.replace("\n", " ")
    table = trial()["at_risk"]
    table = table[(table["endpoint"] == endpoint) & (table["by"] == "arm")]
    shown = [int(text.get_text()) for text in artists(figure, "at_risk")]
    assert sorted(shown) == sorted(table["at_risk"].astype(int))


def test_curves_are_those_of_the_table():
    figure = drawn(bands=False)["os"]
    table = trial()["curves"]
    table = table[(table["endpoint"] == "os") & (table["by"] == "arm")]
    heights = np.concatenate([line.get_ydata() for line in artists(figure, "curve")])
    np.testing.assert_allclose(heights, 100 * table["survival"])
    assert not artists(figure, "band")


@pytest.mark.parametrize("by", ["dose_level", "all"])
def test_without_groups_all_patients_have_one_curve(by):
    figure = drawn(by=by, comparisons=None, subgroups=None)["pfs"]
    assert len(artists(figure, "curve")) == 1
    assert "All patients, n = 40" in check(figure)


def test_the_forest_has_a_row_for_each_subgroup():
    figure = drawn()["subgroups"]
    words = check(figure)
    table = trial()["subgroups"]
    assert len(artists(figure, "ratio")) == table["estimate"].notna().sum()
    for word in ("All patients", "PD-L1 CPS: High", "Sex: Male", "Site: North", "p interaction"):
        assert word in words


def test_a_wide_bound_ends_in_an_arrow():
    table = trial()["subgroups"].assign(high=1000.0)
    figure = drawn(subgroups=table)["subgroups"]
    check(figure)
    assert artists(figure, "arrow")


def test_empty_tables_say_so():
    tables = trial()
    figures = drawn(curves=tables["curves"].head(0), subgroups=None)
    assert "No time is given" in check(figures["pfs"])
    assert "No randomised arms" in check(figures["subgroups"])

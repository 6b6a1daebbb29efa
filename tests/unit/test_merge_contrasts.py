import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control
from statsmodels.stats.multitest import multipletests

from immune_landscape.merge_contrasts import COLUMNS, LOG_RATIO, merge_contrasts
from immune_landscape.multiple_tests import holm

RNG = np.random.default_rng(5)


def layer(item, names, p, *, contrast="c", family="primary", outside=(), status="tested", parent="all"):
    rows = [
        {
            "contrast": contrast, "estimand": "response_by_visit", "parent": parent, item: name,
            "family": "exploratory" if name in outside else family, "group_a": "responder",
            "group_b": "non_responder", "n_a": 6, "n_b": 13, "effect": 0.1, "ci_low": -0.1, "ci_high": 0.3,
            "p": value, "p_maxt": np.nan if name in outside else min(1.0, 2 * value), "sd": 0.2, "mde": 0.3,
            "mde_d": 1.47, "status": status, "note": "", "ci_method": "not merged",
        }
        for name, value in zip(names, p, strict=True)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def merged(tables, units=None, contrasts=({"name": "c"},)):
    table = merge_contrasts(tables, units or {}, contrasts)
    assert table.columns.tolist() == COLUMNS
    return table


def of(table, layer_name):
    return table[table["layer"] == layer_name].set_index("feature")


def test_holm_agrees_with_statsmodels():
    for count in (1, 2, 7, 30):
        p = RNG.random(count) ** 2
        p[: count // 3] = p[0]
        np.testing.assert_allclose(holm(p), multipletests(p, method="holm")[1])


def test_the_primary_family_spans_layers():
    p = {"composition": [0.001, 0.02, 0.3], "expansion": [0.004]}
    table = merged(
        {
            "expansion": layer("feature", ["share"], p["expansion"]),
            "composition": layer("subset", ["x", "y", "z"], p["composition"]),
        }
    )
    assert table["layer"].tolist() == ["composition"] * 3 + ["expansion"]
    np.testing.assert_allclose(table["p_holm"], multipletests([0.001, 0.02, 0.3, 0.004], method="holm")[1])
    assert table["fdr"].isna().all()


def test_rows_outside_the_family_have_a_false_discovery_rate_by_contrast_layer_and_family():
    p = [0.001, 0.02, 0.3, 0.011]
    table = merged({"composition": layer("subset", ["x", "y", "z", "w"], p, outside=("y", "z", "w"))})
    rows = of(table, "composition")
    assert rows.loc["x", "p_holm"] == 0.001
    assert np.isnan(rows.loc["x", "fdr"])
    np.testing.assert_allclose(rows.loc[["y", "z", "w"], "fdr"], multipletests(p[1:], method="fdr_bh")[1])
    assert rows.loc[["y", "z", "w"], "p_holm"].isna().all()


def test_secondary_rows_have_their_rate_each_layer_by_itself():
    first, second = [0.01, 0.04, 0.2], [0.03, 0.5]
    table = merged(
        {
            "composition": layer("subset", ["x", "y", "z"], first, family="secondary"),
            "measures": layer("feature", ["m", "n"], second, family="secondary"),
        }
    )
    np.testing.assert_allclose(of(table, "composition")["fdr"], false_discovery_control(first))
    np.testing.assert_allclose(of(table, "measures")["fdr"], false_discovery_control(second))
    assert table["p_holm"].isna().all()


def test_contrasts_are_corrected_apart():
    table = merged(
        {
            "composition": pd.concat(
                [layer("subset", ["x"], [0.02]), layer("subset", ["x", "y"], [0.02, 0.5], contrast="d")]
            )
        },
        contrasts=[{"name": "c"}, {"name": "d"}],
    )
    np.testing.assert_allclose(table["p_holm"], [0.02, 0.04, 0.5])


def test_layers_that_a_declared_family_leaves_out_are_no_part_of_it():
    tables = {"composition": layer("subset", ["x"], [0.02]), "signatures": layer("feature", ["s", "t"], [0.01, 0.9])}
    declared = merged(tables, contrasts=[{"name": "c", "subsets": ["x"], "features": {"signatures": []}}])
    assert of(declared, "composition").loc["x", "p_holm"] == 0.02
    assert of(declared, "signatures")["p_holm"].isna().all()
    assert of(declared, "signatures")["fdr"].notna().all()
    both = merged(tables, contrasts=[{"name": "c", "subsets": ["x"], "features": {"signatures": ["s", "t"]}}])
    np.testing.assert_allclose(of(both, "composition").loc["x", "p_holm"], 0.04)


def test_quality_is_no_hypothesis():
    quality = layer("feature", ["genes"], [0.01]).assign(family="exploratory")
    table = merged({"composition": layer("subset", ["x"], [0.02]), "quality": quality})
    assert of(table, "composition").loc["x", "p_holm"] == 0.02
    assert of(table, "quality").loc["genes", "fdr"] == 0.01


def test_untested_rows_stay_and_count_for_nothing():
    sparse = layer("subset", ["y"], [np.nan], status="too_sparse").assign(note="fewer than 20 cells", p_maxt=np.nan)
    table = merged({"composition": pd.concat([layer("subset", ["x"], [0.02]), sparse])})
    rows = of(table, "composition")
    assert rows.loc["x", "p_holm"] == 0.02
    assert rows.loc["y", ["p_holm", "fdr"]].isna().all()
    assert (rows.loc["y", "status"], rows.loc["y", "note"]) == ("too_sparse", "fewer than 20 cells")


def test_units_come_from_the_values_compared():
    units = pd.DataFrame({"parent": ["all", "all", "t"], "feature": ["a", "a", "a"], "unit": ["share", "share", "log"]})
    tables = {
        "composition": layer("subset", ["x"], [0.02]),
        "expansion": pd.concat([layer("feature", ["a"], [0.1]), layer("feature", ["a"], [0.1], parent="t")]),
        "measures": layer("feature", ["m"], [0.1]),
    }
    assert merged(tables, {"expansion": units})["unit"].tolist() == [LOG_RATIO, "share", "log", ""]


def test_no_layer_gives_an_empty_table():
    assert merged({}).empty
    assert merged({"composition": layer("subset", ["x"], [0.1]).head(0)}).empty

import math

import numpy as np
import pandas as pd
import pytest

from immune_landscape.errors import InputError
from immune_landscape.load_measures import load_measures
from immune_landscape.store import read_table, write_table
from immune_landscape.value_tables import VALUE_COLUMNS

COLUMNS = ["sample", "measure", "value", "unit", "scale"]
DESIGN = pd.DataFrame({"sample": ["a", "b"], "patient": ["P1", "P1"]})


def sheet(*rows):
    return pd.DataFrame(rows, columns=COLUMNS).astype({"value": float})


def loaded(*rows, floor=0.001):
    return load_measures(sheet(*rows), DESIGN, share_floor=floor)


@pytest.mark.parametrize(
    ("value", "unit", "scale", "expected", "shown"),
    [
        (2.5, "g/l", "identity", 2.5, "g/l"),
        (-2.5, "", "identity", -2.5, ""),
        (100.0, "pg/ml", "log", math.log(100), "log pg/ml"),
        (100.0, "", "log", math.log(100), "log"),
        (0.2, "share", "logit", math.log(0.25), "log odds"),
        (0.0, "share", "logit", math.log(0.001 / 0.999), "log odds"),
        (1.0, "share", "logit", math.log(0.999 / 0.001), "log odds"),
        (0.0001, "share", "logit", math.log(0.001 / 0.999), "log odds"),
    ],
)
def test_values_are_put_on_their_scale(value, unit, scale, expected, shown):
    (row,) = loaded(("a", "m", value, unit, scale)).to_dict("records")
    assert row["value"] == pytest.approx(expected)
    assert (row["sample"], row["parent"], row["feature"], row["unit"]) == ("a", "all", "m", shown)
    assert np.isnan(row["low"])
    assert np.isnan(row["high"])


@pytest.mark.parametrize(("value", "scale"), [(0, "log"), (-1, "log"), (1.5, "logit"), (-0.1, "logit")])
def test_values_that_a_scale_cannot_hold_are_refused(value, scale):
    with pytest.raises(InputError, match=rf"measure IL6 of b: {value:g} cannot be on the scale {scale}"):
        loaded(("a", "IL6", 0.5, "", scale), ("b", "IL6", value, "", scale))


def test_rows_follow_the_sheet_and_the_design():
    rows = [(sample, measure, 1.0, "", "log") for sample in "ba" for measure in ("z", "m")]
    table = loaded(*rows, ("c", "z", 1.0, "", "log"))
    assert table[["feature", "sample"]].to_numpy().tolist() == [["z", "a"], ["z", "b"], ["m", "a"], ["m", "b"]]


def test_scales_do_not_mix():
    table = loaded(("a", "x", 10.0, "u", "log"), ("a", "y", 10.0, "u", "identity"), ("a", "z", 0.5, "u", "logit"))
    assert table["value"].tolist() == pytest.approx([math.log(10), 10, 0])


@pytest.mark.parametrize("rows", [(), (("a", "7", 10.0, "", "log"),)])
def test_tables_between_rules_keep_empty_sheets_and_measures_that_look_like_numbers(tmp_path, rows):
    write_table(sheet(*rows), tmp_path / "measures.tsv")
    table = load_measures(read_table(tmp_path / "measures.tsv"), DESIGN, share_floor=0.001)
    assert list(table.columns) == VALUE_COLUMNS
    assert table["feature"].tolist() == (["7"] if rows else [])
    assert table["unit"].tolist() == (["log"] if rows else [])

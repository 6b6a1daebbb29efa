import numpy as np
import pandas as pd
import pytest

from immune_landscape.outcome_markers import ABSENT, LOG_RATIO, markers_of

FLOORS = {"pseudo_count": 0.5, "min_cells": 20, "max_sparse_share": 0.3}
ALL = [{"feature": "", "cut": None}]


def composition():
    cells = {
        ("cells", "cd8_teff"): [100, 50, 80],
        ("cells", "treg"): [30, 60, 40],
        ("cells", "pdc"): [1, 0, 2],
        ("nk", "nk_c4_zeb2"): [50, 60, 70],
        ("nk", "unassigned"): [50, 40, 30],
    }
    rows = [(f"s{at}", *key, count) for key, counts in cells.items() for at, count in enumerate(counts)]
    return pd.DataFrame(rows, columns=["sample", "parent", "subset", "cells"])


def values():
    table = pd.DataFrame({"sample": ["s0", "s1"] * 3, "parent": "all", "value": np.arange(6.0), "unit": "fraction"})
    table["feature"] = np.repeat(["clonality", "rare", "gini"], 2)
    return table.assign(note=["", "", "too sparse: seen in 1 sample", "too sparse: seen in 1 sample", "", ""])


def made(layer, table, asked, samples=("s0", "s1", "s2")):
    return {(m.parent, m.feature): m for m in markers_of(layer, table, samples, asked, FLOORS)}


def test_composition_is_the_log_ratio_with_sparse_subsets_pooled():
    found = made("composition", composition(), [{"feature": "cells/cd8_teff", "cut": 0.2}])
    [marker] = found.values()
    logs = np.log(np.array([100, 30, 1]) + 0.5)
    assert marker.numbers["s0"] == pytest.approx(logs[0] - logs.mean())
    assert (marker.unit, marker.cut, marker.fault) == (LOG_RATIO, 0.2, "")


def test_sparse_subsets_say_so():
    marker = made("composition", composition(), [{"feature": "cells/pdc", "cut": None}])["cells", "pdc"]
    assert marker.fault == "too sparse: fewer than 20 cells in 3 of 3 samples"


def test_only_samples_in_use_decide_who_is_sparse():
    table = composition()
    table.loc[(table["subset"] == "pdc") & (table["sample"] == "s2"), "cells"] = 200
    asked = [{"feature": "cells/pdc", "cut": None}]
    assert made("composition", table, asked)["cells", "pdc"].fault
    assert made("composition", table, asked, ["s2"])["cells", "pdc"].fault == ""


def test_all_of_composition_are_the_named_cells_of_the_usual_denominators():
    assert set(made("composition", composition(), ALL)) == {("nk", "nk_c4_zeb2")}


def test_a_name_without_a_parent_stands_for_it_wherever_it_is():
    asked = [{"feature": "treg", "cut": None}]
    assert set(made("composition", composition(), asked)) == {("cells", "treg")}


def test_other_layers_are_taken_as_they_are():
    found = made("expansion", values(), ALL)
    assert [marker.fault for marker in found.values()] == ["", "too sparse: seen in 1 sample", ""]
    assert found["all", "clonality"].numbers.to_dict() == {"s0": 0.0, "s1": 1.0}
    assert found["all", "gini"].unit == "fraction"


def test_what_the_table_does_not_hold_is_told():
    [marker] = made("expansion", values(), [{"feature": "all/hill_9", "cut": None}]).values()
    assert (marker.parent, marker.feature, marker.fault) == ("all", "hill_9", ABSENT)
    assert marker.numbers.empty

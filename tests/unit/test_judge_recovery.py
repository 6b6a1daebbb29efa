import numpy as np
import pandas as pd
import pytest

from immune_landscape.errors import InputError
from immune_landscape.judge_recovery import COLUMNS, judge_recovery


def row(subset, effect, p, *, p_maxt=None, low=-1.0, high=1.0, status="tested", contrast="c"):
    return {
        "contrast": contrast, "estimand": "response_by_visit", "parent": "nk", "subset": subset,
        "effect": effect, "ci_low": low, "ci_high": high, "p": p,
        "p_maxt": p if p_maxt is None else p_maxt, "status": status,
    }  # fmt: skip


def verdicts(rows, effects, **truth):
    table = judge_recovery(pd.DataFrame(rows), {"effects": effects} | truth, alpha=0.05)
    assert table.columns.tolist() == COLUMNS
    return dict(zip(table["subset"], table["verdict"], strict=True))


def test_each_verdict():
    rows = [
        row("found", 1.4, 0.001, p_maxt=0.01),
        row("weak", 0.6, 0.04, p_maxt=0.2),
        row("reversed", -0.5, 0.01),
        row("sparse", np.nan, np.nan, status="too_sparse"),
        row("spurious", 1.0, 0.001, low=0.5, high=1.5),
        row("quiet", 0.1, 0.9),
    ]
    effects = {"found": 1.5, "weak": 1.0, "reversed": 0.5, "sparse": 1.0, "absent": -1.0}
    assert verdicts(rows, effects) == {
        "found": "recovered",
        "weak": "right direction, not significant",
        "reversed": "wrong direction",
        "sparse": "not tested",
        "spurious": "false positive",
        "quiet": "rightly not found",
        "absent": "not tested",
    }


def test_mirror_image_of_a_planted_rise_is_closure():
    rows = [row("up", 1.4, 0.001), row("other", -0.7, 0.01, low=-1.1, high=-0.2), row("third", -0.6, 0.2)]
    found = judge_recovery(pd.DataFrame(rows), {"effects": {"up": 2.0}}, alpha=0.05).set_index("subset")
    assert found.loc["other", "verdict"] == "explained by closure"
    np.testing.assert_allclose(found["expected"], [2 - 2 / 3, -2 / 3, -2 / 3])
    rows[1] |= {"ci_low": -3.0, "ci_high": -1.5}
    assert verdicts(rows, {"up": 2.0})["other"] == "false positive"


def test_lineages_that_hold_planted_subsets_are_not_judged():
    lineages = [row("nk", 0.5, 0.001) | {"parent": "all"}, row("t", -0.5, 0.9) | {"parent": "all"}]
    rows = [row("up", 1.4, 0.001), *lineages]
    found = verdicts(rows, {"up": 1.0})
    assert (found["nk"], found["t"]) == ("not judged", "not judged")
    planted = verdicts(rows, {"nk": 1.0})
    assert (planted["nk"], planted["t"], planted["up"]) == (
        "recovered",
        "rightly not found",
        "false positive",
    )


def test_unadjusted_p_stands_in_outside_the_family():
    assert verdicts([row("a", 1.0, 0.03, p_maxt=np.nan)], {"a": 1.0})["a"] == "recovered"


def test_chosen_contrast():
    rows = [row("a", 1.0, 0.5), row("a", 1.0, 0.001, contrast="d")]
    assert verdicts(rows, {"a": 1.0})["a"] == "right direction, not significant"
    assert verdicts(rows, {"a": 1.0}, contrast="d")["a"] == "recovered"


def test_unusable_truth_is_named():
    rows = [row("a", 1.0, 0.5)]
    with pytest.raises(InputError, match="effects is empty"):
        verdicts(rows, {})
    with pytest.raises(InputError, match="contrast is 'z', expected one of the table of contrasts: c"):
        verdicts(rows, {"a": 1.0}, contrast="z")

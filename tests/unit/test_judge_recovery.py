import numpy as np
import pandas as pd
import pytest

from immune_landscape.errors import InputError
from immune_landscape.judge_recovery import COLUMNS, judge_recovery

STUDY = {"testing": {"alpha": 0.05}}


def row(subset, effect, p, *, p_maxt=None, low=-1.0, high=1.0, status="tested", contrast="c", sd=0.4, note=""):
    return {
        "contrast": contrast, "estimand": "response_by_visit", "parent": "nk", "subset": subset,
        "effect": effect, "ci_low": low, "ci_high": high, "p": p,
        "p_maxt": p if p_maxt is None else p_maxt, "status": status,
        "sd": sd, "mde_d": 1.5, "mde_d_family": 2.0, "note": note,
    }  # fmt: skip


def judged(rows, effects, **truth):
    table = judge_recovery(pd.DataFrame(rows), {"planted": {"response_by_visit": effects}} | truth, STUDY)
    assert table.columns.tolist() == COLUMNS
    return table.set_index("subset")


def verdicts(rows, effects, **truth):
    return judged(rows, effects, **truth)["verdict"].to_dict()


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
    found = judged(rows, {"up": 2.0})
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
    assert verdicts(rows, {}) == {}
    with pytest.raises(InputError, match="contrast is 'z', expected one of the table of contrasts: c"):
        verdicts(rows, {"a": 1.0}, contrast="z")


def test_every_missed_effect_has_its_reason():
    rows = [
        row("found", 1.4, 0.001),
        row("sparse", np.nan, np.nan, status="too_sparse", note="fewer than 20 cells in 11 of 34 samples; a remark"),
        row("confounded", 0.5, np.nan, status="not_testable", note="groups and strata are confounded"),
        row("turned", -0.1, 0.7),
        row("small", 0.3, 0.4),
        row("family", 0.7, 0.06),
        row("unlucky", 0.2, 0.5),
        row("quiet", 0.1, 0.9),
    ]
    planted = {"found": 2.0, "sparse": 0.5, "confounded": 1.0, "turned": 0.1, "small": 1.24, "family": 1.4}
    found = judged(rows, planted | {"unlucky": 3.0, "absent": 1.0})
    reasons = found["reason"].to_dict()
    assert (reasons["found"], reasons["quiet"]) == ("", "")
    assert reasons["sparse"] == "too sparse: fewer than 20 cells in 11 of 34 samples"
    assert reasons["confounded"] == "not testable: groups and strata are confounded"
    assert reasons["absent"] == "not in the table of contrasts"
    centre = np.mean([2.0, 1.0, 0.1, 1.24, 1.4, 3.0, 0.0, 0.5])
    assert found.loc["small", "expected"] == pytest.approx(1.24 - centre)
    assert reasons["turned"].startswith("closure: as shares add up to one, the planted +0.10 is expected as −1.05")
    assert reasons["small"] == "expected effect +0.08 (d 0.21) below the detectable 1.50 SD"
    missed = found[(found["planted"] != 0) & (found["verdict"] != "recovered")]
    assert (missed["reason"] != "").all()


def test_a_planted_effect_between_the_two_detectable_ones_and_beyond():
    # Expected 0.7, which is 1.75 SD: enough for one test, not for one of a family.
    rows = [row("up", 0.6, 0.01, p_maxt=0.06), row("other", -0.7, 0.9)]
    assert "below the 2.00 SD detectable in a family" in judged(rows, {"up": 1.4}).loc["up", "reason"]
    reason = judged(rows, {"up": 2.0}).loc["up", "reason"]
    assert reason == (
        "expected effect +1.00 (d 2.50) above the detectable 1.50 SD, but estimated as +0.60: "
        "chance, or mislabelled cells"
    )


def test_the_level_is_that_of_the_study():
    rows = [row("up", 1.0, 0.03), row("other", -1.0, 0.5)]
    strict = judge_recovery(
        pd.DataFrame(rows), {"planted": {"response_by_visit": {"up": 1.0}}}, {"testing": {"alpha": 0.01}}
    )
    assert strict["verdict"].iloc[0] == "right direction, not significant"
    assert verdicts(rows, {"up": 1.0})["up"] == "recovered"


def test_effects_of_an_arm_are_judged_in_a_contrast_of_arms():
    arms = [row("a", 1.0, 0.001, contrast="arms") | {"estimand": "arm_by_visit"}]
    planted = {"response_by_visit": {"a": 1.0}, "arm_by_visit": {"a": 2.0}}
    found = judge_recovery(pd.DataFrame([row("a", 0.1, 0.6), *arms]), {"planted": planted}, STUDY)
    assert found[["contrast", "planted", "verdict"]].to_numpy().tolist() == [
        ["c", 1.0, "right direction, not significant"],
        ["arms", 2.0, "recovered"],
    ]
    alone = judge_recovery(pd.DataFrame(arms), {"planted": planted}, STUDY)
    assert alone["contrast"].tolist() == ["arms"]

import claims as made
import numpy as np
import pandas as pd
import pytest
from claims import claim, contrasts, endpoint, endpoints, row
from scipy import stats

from immune_landscape.claim_files import FOLDER, read_claims
from immune_landscape.judge_claims import COLUMNS, judge_claims
from immune_landscape.merge_contrasts import merge_contrasts
from immune_landscape.store import read_table, write_table

NO_ENDPOINTS = endpoints()


def judged(claims, table, *, ends=NO_ENDPOINTS, sweeps=None, study=made.STUDY, **settings):
    files = [made.claims_file(*claims)]
    ledger = judge_claims(files, table, ends, sweeps or {}, study, **(made.SETTINGS | settings))
    assert ledger.columns.tolist() == COLUMNS
    return ledger


def one(asked, *rows, **more):
    return judged([asked], contrasts(*rows), **more).iloc[0]


def test_verdicts_by_construction():
    rows = {
        "replicates": row("a", 2.0, 0.01),
        "contradicted": row("b", -2.0, 0.01),
        "not supported": row("c", -0.7, 0.4),
        "same direction but underpowered": row("d", 0.4, 0.5),
        "inconclusive": row("e", -0.4, 0.5),
        "not testable here": row("f", status="too_sparse", note="fewer than 20 cells in 9 of 38 samples"),
    }
    ledger = judged([claim(name) for name in "abcdef"], contrasts(*rows.values()))
    assert ledger["verdict"].tolist() == list(rows)
    assert ledger["reason"].str.len().gt(10).all()
    assert "9 of 38" in ledger["reason"].iloc[5]


def test_the_row_repeats_the_estimate_in_standard_deviations():
    found = one(claim("a"), row("a", 2.0, 0.01, sd=0.4))
    assert (found["d"], found["d_low"], found["d_high"]) == pytest.approx((2, 1, 3))
    assert found["estimate"] == pytest.approx(0.8)
    assert (found["n_a"], found["n_b"], found["unit"], found["contrast"]) == (6, 13, "log ratio", "main")
    assert (found["correction"], found["p_corrected"], found["source"]) == ("p maxT", 0.01, "made_up")


def test_outside_a_family_the_false_discovery_rate_decides():
    outside = {"p_maxt": np.nan, "p_holm": np.nan, "family": "exploratory"}
    assert one(claim("a"), row("a", 2.0, fdr=0.2, **outside))["verdict"] == "inconclusive"
    found = one(claim("a"), row("a", 2.0, fdr=0.02, **outside))
    assert (found["verdict"], found["correction"], found["p_corrected"]) == ("replicates", "FDR", 0.02)


def test_the_claimed_direction_counts():
    assert one(claim("a", direction="down"), row("a", -2.0, 0.01))["verdict"] == "replicates"
    assert one(claim("a", direction="down"), row("a", 2.0, 0.01))["verdict"] == "contradicted"


def test_sizes_in_standard_deviations_and_in_units():
    # The interval ends at 0.8 SD: short of half of 2 SD, not of half of 1 SD.
    known = row("a", -0.2, 0.7)
    assert one(claim("a"), known)["verdict"] == "inconclusive"
    assert one(claim("a", size=2.0), known)["verdict"] == "not supported"
    in_units = one(claim("a", size=0.8, unit="log ratio"), known)
    assert in_units["verdict"] == "not supported"
    assert in_units["claimed_d"] == pytest.approx(2.0)
    wrong = one(claim("a", size=0.8, unit="percent"), known)
    assert (wrong["verdict"], "percent" in wrong["reason"]) == ("not testable here", True)
    assert one(claim("a", size=None, unit="percent"), known)["verdict"] == "inconclusive"


def test_the_assumed_size_is_a_setting():
    weak = row("a", 0.2, 0.7, half=0.5)
    assert one(claim("a"), weak)["verdict"] == "same direction but underpowered"
    assert one(claim("a"), weak, assumed_size=1.45)["verdict"] == "not supported"
    assert one(claim("a"), weak, assumed_size=1.45, part_of_claim=0.4)["verdict"] == "same direction but underpowered"


def references(share):
    return pd.DataFrame({"contrast": "main", "parent": "nk", "subset": ["a", "b"], "share_same_sign": [share, 0.1]})


def labels(share):
    told = {"contrast": "main", "parent": "nk", "subset": ["a"], "runs": 60}
    return pd.DataFrame(told | {"share_present": 0.8, "share_same_sign": share, "share_nominal": 0.5})


def definitions(effects, layer="composition"):
    told = {"layer": layer, "contrast": "main", "parent": "nk", "feature": "a"}
    return pd.DataFrame(told | {"definition": [f"d{at}" for at in range(len(effects))], "effect": effects, "p": 0.01})


def test_the_smallest_share_of_the_sweeps_decides():
    sweeps = {"references": references(1.0), "labels": labels(0.95), "definitions": definitions([0.5] * 9 + [-0.1])}
    found = one(claim("a"), row("a", 2.0, 0.01), sweeps=sweeps)
    shares = found[["loo_same_sign", "references_same_sign", "labels_same_sign", "definitions_same_sign"]]
    assert shares.tolist() == [1.0, 1.0, 0.95, 0.9]
    assert (found["stable_share"], found["labels_present"], found["verdict"]) == (0.9, 0.8, "replicates")
    sweeps["labels"] = labels(0.85)
    found = one(claim("a"), row("a", 2.0, 0.01), sweeps=sweeps)
    assert found["verdict"] == "inconclusive"
    assert "85 % of the label runs" in found["reason"]


def test_a_definition_without_an_effect_does_not_count():
    found = one(claim("a"), row("a", 2.0, 0.01), sweeps={"definitions": definitions([0.5, np.nan])})
    assert found["definitions_same_sign"] == 1.0


def test_sweeps_of_composition_do_not_answer_for_other_layers():
    other = row("a", 2.0, 0.01, layer="signatures")
    sweeps = {"references": references(0.0), "labels": labels(0.0), "definitions": definitions([-1.0])}
    found = one(claim("a", layer="signatures"), other, sweeps=sweeps)
    assert found["stable_share"] == 1.0
    sweeps["definitions"] = definitions([-1.0], layer="signatures")
    assert one(claim("a", layer="signatures"), other, sweeps=sweeps)["stable_share"] == 0.0


def test_one_patient_who_turns_the_sign():
    found = one(claim("a"), row("a", 2.0, 0.01, loo_low=-0.1, loo_high=0.9))
    assert (found["loo_same_sign"], found["verdict"]) == (0.0, "inconclusive")
    assert np.isnan(one(claim("a"), row("a", 2.0, 0.01, loo_low=np.nan))["stable_share"])


def test_parents_in_order_of_preference_the_first_tested_one():
    nk, cells = row("a", 2.0, 0.01), row("a", -2.0, 0.01, parent="cells")
    assert one(claim("a"), cells, nk)["parent"] == "nk"
    assert one(claim("a", parents=["cells", "nk"]), nk, cells)["parent"] == "cells"
    assert one(claim("a"), cells, nk | {"status": "too_sparse"})["parent"] == "cells"
    assert one(claim("a", parents=["t"]), nk, cells)["verdict"] == "not testable here"


def test_a_primary_contrast_comes_before_others():
    extra = {"name": "second", "estimand": "response_by_visit", "family": "secondary"}
    study = made.STUDY | {"contrasts": [extra, *made.STUDY["contrasts"]]}
    second = row("a", -2.0, 0.01, contrast="second", family="secondary")
    assert one(claim("a"), second, row("a", 2.0, 0.01), study=study)["contrast"] == "main"
    assert one(claim("a"), second, study=study)["contrast"] == "second"


@pytest.mark.parametrize(
    "changes", [{"group_column": "sex"}, {"groups": ["non_responder", "responder"]}, {"estimand": "change"}]
)
def test_a_contrast_of_something_else_does_not_answer(changes):
    study = made.STUDY | {"contrasts": [made.STUDY["contrasts"][0] | changes]}
    found = one(claim("a"), row("a", 2.0, 0.01), study=study)
    assert found["verdict"] == "not testable here"
    assert "response_by_visit" in found["reason"]


def test_a_fallback_answers_where_the_layer_does_not():
    asked = claim(
        "homeo_large",
        layer="repertoires",
        parents=["all"],
        fallbacks=[{"layer": "expansion", "parents": ["all"], "feature": "expanded_share"}],
    )
    stand_in = row("expanded_share", 2.0, 0.01, layer="expansion", parent="all", unit="share")
    found = one(asked, stand_in)
    assert (found["layer"], found["feature"], found["verdict"]) == ("expansion", "expanded_share", "replicates")
    assert "expansion" in found["reason"]
    own = row("homeo_large", 0.4, 0.5, layer="repertoires", parent="all", unit="share")
    assert one(asked, stand_in, own)["layer"] == "repertoires"


def test_a_claim_without_its_layer_or_feature():
    layer = one(claim("a", layer="signatures"), row("a"))
    assert (layer["verdict"], "signatures" in layer["reason"]) == ("not testable here", True)
    feature = one(claim("z"), row("a"))
    assert (feature["verdict"], "z of nk or cells" in feature["reason"]) == ("not testable here", True)


def test_a_confounded_contrast_is_not_testable():
    note = "groups and strata are confounded: no label can be exchanged"
    found = one(claim("a"), row("a", status="not_testable", note=note, p=np.nan, p_maxt=np.nan))
    assert found["verdict"] == "not testable here"
    assert found["reason"] == f"Not testable: {note}."


def test_a_declared_subset_that_was_found_nowhere():
    absent = row("a", status="not_testable", parent="", note="not in the composition table", sd=np.nan)
    found = one(claim("a"), absent)
    assert (found["verdict"], found["parent"]) == ("not testable here", "nk")


def test_a_cohort_of_sheets_alone_is_judged_on_its_endpoints():
    ends = endpoints(orr=(0.316, 0.2, 0.5, "share"))
    files = [made.claims_file(claim("a"), endpoint("orr"))]
    ledger = judge_claims(files, merge_contrasts({}, {}, []), ends, {}, made.STUDY, **made.SETTINGS)
    assert ledger["verdict"].tolist() == ["not testable here", "replicates"]


def test_patients_who_do_not_differ_give_no_verdict():
    assert one(claim("a"), row("a", sd=0.0))["verdict"] == "not testable here"


def test_a_masked_cohort_tells_nothing_of_response():
    study = made.STUDY | {"unblinded": False}
    changed = row("a", 2.0, 0.01, contrast="all", family="secondary")
    asked = [claim("a"), claim("a", estimand="change"), endpoint("orr")]
    ledger = judged(asked, contrasts(row("a"), changed), study=study)
    assert ledger["verdict"].tolist() == ["not testable here", "replicates", "not testable here"]
    assert ledger["reason"].str.contains("masked").tolist() == [True, False, True]
    assert ledger["estimate"].isna().tolist() == [True, False, True]


def test_endpoints():
    ends = endpoints(orr=(0.316, 0.126, 0.566, "share"), os=(47.0, 36.0, 68.0, "weeks"), pfs=(np.nan,) * 3 + ("weeks",))
    asked = [endpoint("orr"), endpoint("os", 10.8, "months"), endpoint("pfs", 6.6, "months"), endpoint("dcr", 0.7)]
    ledger = judged(asked, contrasts(), ends=ends).set_index("claim")
    assert ledger["verdict"].tolist() == ["inconclusive", "replicates", "not testable here", "not testable here"]
    # 10.8 months of 30.4375 days are 46.96 weeks.
    assert ledger.loc["os", "claimed"] == pytest.approx(10.8 * 30.4375 / 7)
    assert (ledger.loc["os", "unit"], ledger.loc["os", "parent"]) == ("weeks", "evaluable")
    assert ledger.loc["orr", "n_a"] == 19


def test_an_endpoint_of_another_population_stands_in_where_allowed():
    ends = endpoints(os=(10.0, 8.0, 14.0, "months")).assign(population="all_treated")
    alone = judged([endpoint("os", 10.8, "months")], contrasts(), ends=ends).iloc[0]
    assert alone["verdict"] == "not testable here"
    either = endpoint("os", 10.8, "months", parents=["evaluable", "all_treated"])
    found = judged([either], contrasts(), ends=ends).iloc[0]
    assert (found["verdict"], found["parent"]) == ("replicates", "all_treated")


def test_a_median_without_a_lower_bound_is_not_judged():
    ends = endpoints(os=(np.inf, np.nan, np.inf, "months"))
    found = judged([endpoint("os", 10.8, "months")], contrasts(), ends=ends).iloc[0]
    assert (found["verdict"], "few events" in found["reason"]) == ("not testable here", True)


def test_the_ledger_survives_its_file(tmp_path):
    rows = [row("a", 2.0, 0.01), row("f", status="too_sparse", note="fewer than 20 cells in 9 of 38 samples")]
    ledger = judged([claim("a"), claim("f"), endpoint()], contrasts(*rows))
    write_table(ledger, tmp_path / "claims.tsv")
    again = read_table(tmp_path / "claims.tsv")
    assert again["verdict"].tolist() == ledger["verdict"].tolist()
    assert again.columns.tolist() == COLUMNS


# Effects planted in a cohort of 6 responders and 11 others, in log folds; the last two subsets are not planted.
PLANTED = {
    "nk_c4_zeb2": 1.6,
    "nk_c10_ncr3": 1.5,
    "cd8_teff": 1.4,
    "nk_c5_il7": 0.2,
    "cd4_tem": 0.0,
    "nk_c11_tnfsf8": 0.0,
}
SD = 0.35


def simulated(seed):
    """Return the contrasts of simulated patients, by the t test where the workflow permutes."""
    rng = np.random.default_rng(seed)
    rows = []
    for subset, planted in PLANTED.items():
        first, second = rng.normal(planted, SD, 6), rng.normal(0, SD, 11)
        test = stats.ttest_ind(first, second)
        low, high = test.confidence_interval()
        sd = np.sqrt((5 * first.var(ddof=1) + 10 * second.var(ddof=1)) / 15)
        effect = first.mean() - second.mean()
        rows.append(
            {
                "contrast": "main", "estimand": "response_by_visit", "family": "primary", "parent": "cells",
                "subset": subset, "group_a": "responder", "group_b": "non_responder", "n_a": 6, "n_b": 11,
                "effect": effect, "ci_low": low, "ci_high": high, "p": test.pvalue,
                "p_maxt": min(1.0, len(PLANTED) * test.pvalue), "sd": sd, "mde": 1.52 * sd, "mde_d": 1.52,
                "loo_low": effect - 0.05, "loo_high": effect + 0.05, "status": "tested", "note": "",
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


@pytest.mark.parametrize("seed", range(30))
def test_the_reference_claims_agree_with_what_was_planted(seed):
    merged = merge_contrasts({"composition": simulated(seed)}, {}, made.STUDY["contrasts"])
    files = [read_claims(FOLDER / "tan2025.yaml")]
    ledger = judge_claims(files, merged, NO_ENDPOINTS, {}, made.STUDY, **made.SETTINGS).set_index("claim")
    for subset, planted in PLANTED.items():
        verdict, reason = ledger.loc[subset, ["verdict", "reason"]]
        if planted / SD > 3:
            assert verdict == "replicates", (subset, reason)
        if planted == 0:
            assert verdict != "replicates", (subset, reason)
        assert verdict != "not testable here"
        assert reason
    # The sixth subset was not simulated, and the other layers were not measured.
    others = ledger.drop(index=list(PLANTED))
    assert set(others["verdict"]) == {"not testable here"}

import numpy as np
import pandas as pd
import pytest

from immune_landscape.designs import (
    check_contrast,
    complete_pairs,
    confounding_table,
)
from immune_landscape.errors import DesignError
from immune_landscape.model_formulas import aliased_terms, model_matrix

INTERACTION = {
    "name": "c",
    "estimand": "response_by_visit",
    "factor": "visit",
    "reference": "pre",
    "target": "post",
}
CHANGE = {**INTERACTION, "estimand": "change"}
NESTED = "~ response + response:patient + response:visit"


def design(responders=3, others=4, batches=None):
    rows = []
    for i in range(responders + others):
        response = "responder" if i < responders else "non_responder"
        for visit in ("pre", "post"):
            batch = (batches or {}).get(visit, "b1")
            rows.append((f"P{i}_{visit}", f"P{i}", visit, "blood", batch, response, "a" if i % 2 else "b"))
    return pd.DataFrame(rows, columns=["sample", "patient", "visit", "tissue", "batch", "response", "arm"])


def kinds(table, contrast, min_pairs=2):
    return [p.kind for p in check_contrast(table, contrast, min_pairs=min_pairs, file="cohort.yaml", line=4)]


def test_pairs_of_the_interaction():
    pairs = complete_pairs(design(), INTERACTION)
    assert list(pairs.columns) == ["patient", "group", "sample_reference", "sample_target"]
    assert pairs["group"].value_counts().to_dict() == {"non_responder": 4, "responder": 3}
    assert pairs.iloc[0].tolist() == ["P0", "responder", "P0_pre", "P0_post"]


def test_incomplete_and_ungrouped_patients_are_left_out():
    table = design().query("sample != 'P0_post'")
    table.loc[table["patient"] == "P6", "response"] = ""
    assert set(complete_pairs(table, INTERACTION)["patient"]) == {"P1", "P2", "P3", "P4", "P5"}
    assert set(complete_pairs(table, CHANGE)["patient"]) == {f"P{i}" for i in range(1, 7)}
    assert set(complete_pairs(table, CHANGE)["group"]) == {"all"}


def test_a_baseline_contrast_needs_one_sample():
    table = design().query("sample != 'P0_post'")
    pairs = complete_pairs(table, {**INTERACTION, "estimand": "baseline", "target": ""})
    assert len(pairs) == 7
    assert set(pairs["sample_target"]) == {""}


def test_pairs_are_formed_within_one_tissue():
    blood = design()
    tumour = blood.assign(tissue="tumour", sample=blood["sample"] + "_t")
    both = pd.concat([blood, tumour], ignore_index=True)
    assert complete_pairs(both, CHANGE)["sample_reference"].tolist() == [f"P{i}_pre" for i in range(7)]
    assert complete_pairs(both, {**CHANGE, "tissue": "tumour"})["sample_target"][0] == "P0_post_t"
    across = {**CHANGE, "factor": "tissue", "reference": "blood", "target": "tumour", "visit": "post"}
    assert complete_pairs(both, across).iloc[0].tolist() == ["P0", "all", "P0_post", "P0_post_t"]


def test_two_samples_at_a_level_are_refused():
    table = pd.concat([design(), design().head(1).assign(sample="again")], ignore_index=True)
    with pytest.raises(DesignError, match="P0"):
        complete_pairs(table, CHANGE)


def test_an_empty_design_gives_no_pairs():
    assert complete_pairs(design().head(0), CHANGE).empty


def test_sound_contrasts_pass():
    assert kinds(design(), INTERACTION) == []
    assert kinds(design(), CHANGE) == []
    assert kinds(design(), {**INTERACTION, "estimand": "arm_by_visit"}) == []


@pytest.mark.parametrize(
    ("table", "kind"),
    [
        (design(responders=1), "too_few_patients"),
        (design(responders=0), "one_group"),
        (design(others=0), "one_group"),
        (design(batches={"pre": "b1", "post": "b2"}), "batch_confounded"),
    ],
)
def test_contrasts_that_cannot_be_estimated(table, kind):
    assert kinds(table, INTERACTION) == [kind]


def test_the_lonely_arm_is_counted_in_the_message():
    (problem,) = check_contrast(design(responders=1), INTERACTION, min_pairs=2, file="cohort.yaml", line=4)
    assert str(problem).startswith("cohort.yaml:4: contrasts.c: not estimable")
    assert "non_responder 4, responder 1" in problem.message


def test_batches_that_coincide_with_response_are_refused():
    table = design()
    table["batch"] = np.where(table["response"] == "responder", "b1", "b2")
    assert kinds(table, INTERACTION) == ["batch_confounded"]
    assert kinds(table, CHANGE) == []


def test_one_batch_per_sample_or_a_shared_batch_is_no_confounding():
    table = design()
    assert kinds(table.assign(batch=table["sample"]), INTERACTION) == []
    assert kinds(table.assign(batch=table["patient"]), INTERACTION) == []


def test_the_confounding_table_counts_samples():
    table = confounding_table(design(batches={"pre": "b1", "post": "b2"}), INTERACTION)
    assert table.loc["b1", "responder, pre"] == 3
    assert table.loc["b1", "responder, post"] == 0
    assert table.to_numpy().sum() == 14


def test_unknown_levels():
    assert kinds(design(), {**CHANGE, "reference": "screening"}) == ["unknown_level"]


def test_three_arms_need_a_choice():
    table = design().assign(arm=lambda t: t["patient"].map(lambda p: "abc"[int(p[1:]) % 3]))
    by_arm = {**INTERACTION, "estimand": "arm_by_visit"}
    assert kinds(table, by_arm) == ["not_two_groups"]
    assert kinds(table, {**by_arm, "groups": ["a", "b"]}) == []


@pytest.mark.parametrize(("responders", "others"), [(3, 4), (6, 13), (5, 5)])
def test_the_nested_form_has_full_rank_whatever_the_group_sizes(responders, others):
    matrix, terms = model_matrix(design(responders, others), NESTED)
    patients = responders + others
    # Two group means, a parameter for each further patient of a group, one change per group.
    assert matrix.shape == (2 * patients, patients + 2)
    assert np.linalg.matrix_rank(matrix) == patients + 2
    assert aliased_terms(matrix, terms) == []
    assert kinds(design(responders, others), {**INTERACTION, "formula": NESTED}) == []


def test_patient_plus_response_is_rejected_and_the_nested_form_offered():
    (problem,) = check_contrast(
        design(), {**INTERACTION, "formula": "~ patient + response"}, min_pairs=2, file="cohort.yaml", line=4
    )
    assert problem.kind == "rank_deficient"
    assert "response cannot be told" in problem.message
    assert NESTED in problem.message


@pytest.mark.parametrize(
    "formula", ["~ response*visit", "~ visit + patient", "~ response + visit + response:visit", "~ 1 + arm"]
)
def test_the_model_matrix_spans_the_same_space_as_patsy(formula):
    patsy = pytest.importorskip("patsy")
    table = design()
    ours, _ = model_matrix(table, formula)
    theirs = np.asarray(patsy.dmatrix(formula.removeprefix("~"), table))
    assert ours.shape == theirs.shape
    rank = np.linalg.matrix_rank(theirs)
    assert np.linalg.matrix_rank(ours) == np.linalg.matrix_rank(np.hstack([ours, theirs])) == rank


@pytest.mark.parametrize(
    ("formula", "kind"),
    [
        ("~ patient + visit", "missing_term"),
        ("~ patients + visit", "bad_formula"),
        ("~ __import__('os').system('true')", "bad_formula"),
        ("~ patient + patient:visit", "no_residuals"),
        ("~ visit + arm + arm:response", "missing_term"),
        ("~ batch + response*visit", None),
    ],
)
def test_formulas(formula, kind):
    table = design().assign(batch=lambda t: ["b1" if i % 3 else "b2" for i in range(len(t))])
    found = kinds(table, {**INTERACTION, "formula": formula})
    assert found == ([kind] if kind else [])


def test_covariates_with_gaps_are_refused():
    table = design().assign(age=[50.0] * 13 + [np.nan])
    assert kinds(table, {**CHANGE, "formula": "~ age + visit"}) == ["bad_formula"]

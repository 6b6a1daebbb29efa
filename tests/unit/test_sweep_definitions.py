import numpy as np
import pandas as pd
import pytest
import values_tables as made

from immune_landscape.sweep_definitions import COLUMNS, DECLARED, response_definitions, sweep_definitions

RESPONDERS = {"positive": ["CR", "PR"], "negative": ["SD", "PD"], "pfs_at_least": None}
BEST = ["CR", "PR", "PR", "PR", "SD", "SD", "PD", "PD", "PD", "NE"]


@pytest.fixture
def layer():
    values, design = made.cohort(shift=1.0)
    number = design["patient"].str[1:].astype(int)
    design["best_response"] = number.map(dict(enumerate(BEST)))
    design["reported"] = design["best_response"].where(number != 1, "SD")
    design["pfs_time"] = 10.0 - number
    design["pfs_event"] = np.where(number == 7, 0.0, 1.0)
    design["evaluable"] = "yes"
    design["response"] = design["response"].where(design["best_response"] != "NE", "")
    return values, design


def definitions(design, *, sources=("reported",), flips=True, **responders):
    return dict(response_definitions(design, RESPONDERS | responders, sources, flip_patients=flips))


def test_definitions_that_change_nothing_are_left_out(layer):
    named = definitions(layer[1], sources=())
    assert "CR or PR" not in named
    assert next(iter(named)) == DECLARED


def test_disease_control_moves_stable_disease(layer):
    found = definitions(layer[1])["CR, PR or SD"]
    assert (found["p4"], found["p6"], found["p9"]) == ("responder", "non_responder", "")


def test_the_not_evaluable_may_count_as_failures(layer):
    assert definitions(layer[1])["not evaluable as non-responder"]["p9"] == "non_responder"


def test_a_second_source_is_swept(layer):
    assert definitions(layer[1])["by reported"]["p1"] == "non_responder"


def test_time_without_progression_leaves_the_early_censored_out(layer):
    found = definitions(layer[1])["PFS of at least 5.5 (the median)"]
    assert (found["p4"], found["p5"], found["p7"]) == ("responder", "non_responder", "")
    assert "PFS of at least 8 (as set)" in definitions(layer[1], pfs_at_least=8)


def test_each_borderline_patient_is_moved_once(layer):
    moved = {name for name in definitions(layer[1]) if name.endswith(" moved")}
    # p1 moved is the definition of the second source, which comes first.
    assert moved == {f"p{at} ({best}) moved" for at, best in ((2, "PR"), (3, "PR"), (4, "SD"), (5, "SD"))}
    assert not [name for name in definitions(layer[1], flips=False) if name.endswith(" moved")]


def test_effects_follow_the_definition(layer):
    values, design = layer
    swept = sweep_definitions(
        {"measures": values},
        design,
        [made.contrast()],
        RESPONDERS,
        ["reported"],
        {},
        made.TESTING,
        1,
        flip_patients=True,
    )
    assert swept.columns.tolist() == COLUMNS
    own = swept[(swept["feature"] == "m1") & (swept["definition"] == "CR, PR or SD")].iloc[0]
    change = (made.of(values, "m1", "on") - made.of(values, "m1", "pre")).to_numpy()
    assert own["effect"] == pytest.approx(change[:6].mean() - change[6:9].mean())
    assert (own["n_a"], own["n_b"]) == (6, 3)
    assert swept.loc[swept["definition"] == DECLARED, "same_sign"].all()


def test_contrasts_without_response_are_not_swept(layer):
    values, design = layer
    args = (design, [made.contrast(estimand="change")], RESPONDERS, [], {}, made.TESTING, 1)
    assert sweep_definitions({"measures": values}, *args, flip_patients=True).empty


def test_without_responses_nothing_is_swept(layer):
    values, design = layer
    blank = design.assign(response="", best_response="")
    assert list(definitions(blank)) == [DECLARED]
    args = (blank, [made.contrast()], RESPONDERS, [], {}, made.TESTING, 1)
    assert sweep_definitions({"measures": values}, *args, flip_patients=True).empty


def test_the_table_is_plain(layer):
    values, design = layer
    args = (design, [made.contrast()], RESPONDERS, [], {}, made.TESTING, 1)
    swept = sweep_definitions({"measures": values}, *args, flip_patients=True)
    assert isinstance(swept, pd.DataFrame)
    assert swept["p"].notna().all()

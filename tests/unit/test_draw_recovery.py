import figure_tables as made
import pandas as pd
from figure_checks import artists, check

from immune_landscape.draw_recovery import draw_recovery


def draw(recovery, only_planted=False):
    return draw_recovery(recovery, made.STUDY, only_planted=only_planted)


def test_planted_effects_are_diamonds_and_verdicts_are_words():
    recovery = made.recovery_of(made.contrasts_of())
    figure = draw(recovery)
    words = check(figure)
    planted = recovery[recovery["planted"] != 0]
    assert sorted(float(mark.get_xdata()[0]) for mark in artists(figure, "planted")) == sorted(planted["planted"])
    assert len(artists(figure, "effect")) == recovery["effect"].notna().sum()
    found = (planted["verdict"] == "recovered").sum()
    assert f"{found} of 4 planted effects recovered" in words
    assert set(recovery["verdict"]) <= set(words.split("\n"))


def test_arrows_for_open_intervals():
    assert len(artists(draw(made.recovery_of(made.contrasts_of())), "arrow")) == 3


def test_planted_effects_alone():
    figure = draw(made.recovery_of(made.contrasts_of()), only_planted=True)
    words = check(figure)
    assert "rightly not found" not in words
    assert len(artists(figure, "planted")) == 4


def test_works_without_the_expected_effect():
    check(draw(made.recovery_of(made.contrasts_of()).drop(columns="expected")))


def test_reasons_for_missed_effects_are_told():
    recovery = made.recovery_of(made.contrasts_of())
    missed = recovery["subset"] == "nk_c6_il15"
    told = recovery.assign(reason=["too sparse: few cells" if here else "" for here in missed])
    words = check(draw(told)).replace("\n", " ")
    assert "Missed: NK c6-IL15: too sparse: few cells." in words
    assert "Missed" not in check(draw(told.assign(reason="")))


def test_nothing_planted_says_so():
    recovery = made.recovery_of(made.contrasts_of())
    assert "No effect was planted" in check(draw(recovery[recovery["planted"] == 0], only_planted=True))


def test_untested_subsets_without_an_effect_are_counted_and_not_drawn():
    recovery = made.recovery_of(made.contrasts_of())
    spare = recovery["planted"] == 0
    untested = recovery.assign(verdict=recovery["verdict"].mask(spare, "not tested"), contrast="change")
    untested = untested.assign(effect=untested["effect"].mask(spare))
    figure = draw(untested)
    assert f"0 subsets without one; {spare.sum()} more without one were not tested and are left out." in check(figure)
    assert len(figure.axes[0].get_yticks()) == (~spare).sum()


def test_rows_of_several_contrasts_are_told_apart():
    recovery = made.recovery_of(made.contrasts_of()).assign(contrast="change")
    both = pd.concat([recovery, recovery.assign(contrast="response_by_visit")])
    assert "Change" not in check(draw(recovery))
    words = check(draw(both)).split("\n")
    assert len({word for word in words if word.startswith("CD8 Teff, ")}) == 2

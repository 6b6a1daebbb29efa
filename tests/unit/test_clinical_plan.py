import pytest
from clinical_cohorts import TRIAL_YAML, write_escalation, write_trial

from immune_landscape.clinical_plan import clinical_figures, held_clinical, linked_tables
from immune_landscape.cohort import read_cohort


@pytest.mark.parametrize(
    ("yaml", "held"),
    [
        (TRIAL_YAML, {"times", "responses", "events", "arms"}),
        (TRIAL_YAML + "unblinded: false\n", {"times", "events"}),
    ],
)
def test_what_a_trial_allows(tmp_path, yaml, held):
    cohort = read_cohort(write_trial(tmp_path, number=8, yaml=yaml))
    assert held_clinical(cohort) == held


def test_what_an_escalation_allows(tmp_path):
    held = held_clinical(read_cohort(write_escalation(tmp_path)))
    assert held == {"events", "doses"}
    assert set(clinical_figures(held, unblinded=True)) == {"draw_safety", "draw_doses"}


def test_figures_follow_what_is_held():
    everything = clinical_figures({"times", "responses", "events", "doses", "arms"}, unblinded=True)
    assert set(everything["draw_survival"]) == {"pfs", "os", "subgroups"}
    assert set(everything["draw_responses"]) == {"waterfall", "spider", "swimmer"}
    masked = clinical_figures({"times", "events"}, unblinded=False)
    assert masked == {
        "draw_survival": {"pfs": "progression-free", "os": "overall"},
        "draw_safety": {"events": "by worst grade"},
    }
    assert clinical_figures(set(), unblinded=True) == {}


def test_features_are_linked_where_times_are_told_of_patients():
    compared = {"expansion": "expansion.tsv", "quality": "quality.tsv"}
    config = {"unblinded": True, "contrasts": [], "link_outcomes": {"markers": []}}
    assert linked_tables({"times"}, config, compared) == {"expansion": "expansion.tsv"}
    assert linked_tables(set(), config, compared) == {}
    assert linked_tables({"times"}, config | {"unblinded": False}, compared) == {}
    assert set(clinical_figures({"times", "links"}, unblinded=True)["draw_outcomes"]) == {"pfs", "os", "sides"}

import pytest
from science.simulated_layers import settings_of

from immune_landscape.clinical_checks import late_columns
from immune_landscape.link_checks import link_problems


def problems(**settings):
    config = {
        "visits": ["baseline", "week_8"],
        "tissues": ["blood"],
        "extra_columns": {
            "patients": {
                "cps_group": {"type": "string", "same_as": ""},
                "death": {"type": "integer", "same_as": "os_event"},
            }
        },
        "link_outcomes": settings_of("link_outcomes") | settings,
    }
    found = link_problems(config, late_columns(config), place)
    return [(problem.column, problem.kind) for problem in found]


def place(path):
    return "cohort.yaml", len(path)


def test_the_defaults_are_sound():
    assert problems() == []


def test_a_later_visit_needs_a_landmark_or_values_that_change():
    expected = [("link_outcomes.visits[1]", "guarantee_time")]
    assert problems(visits=["baseline", "week_8"], on_treatment=[]) == expected
    assert problems(visits=["baseline", "week_8"], on_treatment=["landmark"]) == []
    assert problems(visits=["baseline", "week_8"], on_treatment=["time_dependent"]) == []
    assert problems(visits=["baseline"], on_treatment=[]) == []


@pytest.mark.parametrize(
    ("settings", "column", "kind"),
    [
        ({"covariates": ["age", "response"]}, "link_outcomes.covariates[1]", "guarantee_time"),
        ({"covariates": ["treatment_time"]}, "link_outcomes.covariates[0]", "guarantee_time"),
        ({"strata": ["death"]}, "link_outcomes.strata[0]", "guarantee_time"),
        ({"strata": ["best_response"]}, "link_outcomes.strata[0]", "guarantee_time"),
        ({"covariates": ["aeg"]}, "link_outcomes.covariates[0]", "unknown_column"),
        ({"visits": ["week_9"]}, "link_outcomes.visits[0]", "unknown_level"),
        ({"landmarks": {"week_9": 2.0}}, "link_outcomes.landmarks.week_9", "unknown_level"),
        ({"tissue": "bone"}, "link_outcomes.tissue", "unknown_level"),
        ({"markers": [{"layer": "compositon"}]}, "link_outcomes.markers[0].layer", "unknown_level"),
    ],
)
def test_what_is_wrong_is_told_where_it_stands(settings, column, kind):
    assert problems(**settings) == [(column, kind)]
    assert problems(strata=["cps_group"], covariates=["age"]) == []

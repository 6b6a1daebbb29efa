import pandas as pd
import pytest
from clinical_tables import STUDY, escalation
from figure_checks import artists, check

from immune_landscape.draw_doses import draw_doses
from immune_landscape.measure_doses import measure_doses


def drawn(tables):
    return draw_doses(tables["doses"], tables["mtd"], STUDY, 0.95, height=3.4)


def made(evaluable, toxic):
    rows = [
        (f"D{dose}_{at}", 2.0**dose, "yes", "yes" if at < count else "no")
        for dose, (size, count) in enumerate(zip(evaluable, toxic, strict=True))
        for at in range(size)
    ]
    return measure_doses(pd.DataFrame(rows, columns=["patient", "dose_level", "dlt_evaluable", "dlt"]), level=0.95)


def test_each_level_has_its_share_and_interval():
    figure = drawn(escalation())
    words = check(figure)
    assert len(artists(figure, "share")) == 5
    assert [round(float(line.get_segments()[0][1][1]), 1) for line in artists(figure, "interval")][-1] == 14.2
    assert "not reached" in words
    assert "0/24" in words
    assert "14.2" in words


@pytest.mark.parametrize(
    ("evaluable", "toxic", "word"),
    [
        ([3, 6, 3], [0, 1, 2], "Maximum tolerated dose: 2"),
        ([3, 3], [0, 1], "Expand the cohort"),
        ([3, 2], [0, 0], "Too few patients"),
    ],
)
def test_readings_are_named(evaluable, toxic, word):
    assert word in check(drawn(made(evaluable, toxic)))


def test_no_dose_level_says_so():
    tables = escalation()
    assert "No patient has a dose level" in check(drawn(tables | {"doses": tables["doses"].head(0)}))

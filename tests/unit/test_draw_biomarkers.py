import numpy as np
from clinical_tables import STUDY
from figure_checks import artists, check
from marker_sheets import SETTINGS, patients_of, proteins, sheet_of

from immune_landscape.draw_biomarkers import draw_biomarkers
from immune_landscape.measure_biomarkers import measure_biomarkers

FACTS = STUDY | {"visits": ["baseline"], "labels": {"new": "A new treatment with a long name", "old": "Old"}}


def made(number=30, arm=None):
    rng = np.random.default_rng(2)
    patients = patients_of(number)
    patients = patients.assign(arm=patients["arm"] if arm is None else arm)
    rows = [
        proteins(name, lost=("pms2",) if at == 3 else (), cps=round(rng.gamma(1, 6), 1), tmb=round(rng.gamma(2, 4), 1))
        | {"msi": "unknown" if at == 4 else "MSI-L" if at == 5 else "MSS"}
        for at, name in enumerate(patients["patient"])
    ]
    study = {"visits": ["baseline"], "randomisation": {}}
    return measure_biomarkers(patients, sheet_of(*rows), study, **SETTINGS)["biomarkers"]


def drawn(table):
    return draw_biomarkers(table, FACTS, SETTINGS, height=2.9)


def test_each_patient_is_a_point_in_each_panel():
    table = made()
    figure = drawn(table)
    words = check(figure)
    for word in ("PD-L1, CPS", "Mutational burden", "dMMR", "MSI-L", "n = 20", "n = 10", "Microsatellites 1"):
        assert word in words
    points = sum(len(line.get_ydata()) for line in artists(figure, "patients"))
    assert points == (table["class"] != "").sum()
    heights = np.concatenate([line.get_ydata() for line in artists(figure, "patients") if line.axes is figure.axes[0]])
    scores = table.loc[table["marker"] == "cps", "value"]
    np.testing.assert_allclose(np.sort(heights), np.sort(scores))
    assert len(artists(figure, "limit")) == len(SETTINGS["cps_thresholds"]) + 1


def test_numbers_stand_beside_the_classes():
    figure = drawn(made())
    panel = next(axes for axes in figure.axes if axes.get_title(loc="left") == "Mismatch repair")
    assert sorted(text.get_text() for text in panel.texts) == ["0", "1", "20", "9"]


def test_a_masked_cohort_has_one_group():
    words = check(drawn(made(arm="")))
    assert "All patients" in words
    assert "Old" not in words


def test_many_patients_stay_inside_their_panel():
    figure = drawn(made(300))
    check(figure)
    panel = next(axes for axes in figure.axes if axes.get_title(loc="left") == "Mismatch repair")
    heights = np.concatenate([line.get_ydata() for line in artists(figure, "patients") if line.axes is panel])
    # A block of points stays below the next class.
    assert heights[heights < 0.6].max() < 0.45


def test_nothing_to_draw_says_so():
    table = made().assign(**{"class": ""})
    assert "No patient has a biomarker" in check(drawn(table))

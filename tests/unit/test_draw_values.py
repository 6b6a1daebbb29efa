from itertools import pairwise

import figure_tables as made
import numpy as np
import pandas as pd
import pytest
from figure_checks import check, words_of

from immune_landscape.compare_values import DIFFERENCE_COLUMNS
from immune_landscape.display_text import format_effect
from immune_landscape.draw_values import choose_rows, draw_values
from immune_landscape.panels import _heads


def differences_of(contrasts, study=made.STUDY, lost=("P18", "P19")):
    """Return each patient's numbers behind the rows; the last two have no second sample."""
    rng = np.random.default_rng(0)
    patients = made.design_of().drop_duplicates("patient")[["patient", "response"]]
    tables = []
    for row in contrasts.to_dict("records"):
        facts = next(each for each in study["contrasts"] if each["name"] == row["contrast"])
        table = patients if facts["estimand"] == "baseline" else patients[~patients["patient"].isin(lost)]
        before, after = rng.uniform(0.2, 0.7, (2, len(table)))
        after = np.full_like(after, np.nan) if facts["estimand"] == "baseline" else after
        facts_of_row = {"contrast": row["contrast"], "parent": row["parent"], "feature": row["feature"]}
        group = "all" if facts["estimand"] == "change" else table["response"].to_numpy()
        numbers = {"before": before, "after": after, "difference": after - before}
        bounds = {"before_low": before * 0.9, "before_high": before * 1.1}
        bounds |= {"after_low": after * 0.9, "after_high": after * 1.1}
        columns = {"patient": table["patient"].to_numpy(), "group": group, **numbers, **bounds, "unit": "index"}
        tables.append(pd.DataFrame({**facts_of_row, **columns}))
    return pd.concat(tables, ignore_index=True)[DIFFERENCE_COLUMNS]


@pytest.fixture(scope="module")
def tables():
    contrasts = made.contrasts_of(item="feature")
    return differences_of(contrasts), contrasts


@pytest.fixture(scope="module")
def drawn(tables):
    return draw_values(*tables, made.STUDY, "expansion", columns=4, most=16)


def draw_change(differences, contrasts, layer="expansion", most=16):
    """Draw the first contrast alone."""
    rows = contrasts[contrasts["contrast"] == "response_change"]
    return draw_values(differences, rows, made.STUDY, layer, columns=4, most=most)["response_change"]


def panels_of(figure):
    return [axes for axes in figure.axes if axes.axison]


def patients_of(axes):
    return [line for line in axes.lines if (line.get_gid() or "").startswith("patient:")]


def test_every_contrast_shows_its_patients_in_their_groups(drawn):
    assert set(drawn) == {"response_change", "at_baseline", "all_change"}
    words = check(drawn["response_change"])
    assert "NR n = 11" in words
    assert "Share of expanded cells" in words
    assert [len(patients_of(axes)) for axes in panels_of(drawn["response_change"])] == [17] * 8
    assert [len(patients_of(axes)) for axes in panels_of(drawn["at_baseline"])] == [19] * 8
    assert "All patients n = 17" in check(drawn["all_change"])


def test_lines_run_from_before_to_after(tables, drawn):
    differences, figure = tables[0], drawn["response_change"]
    rows = differences[(differences["contrast"] == "response_change") & (differences["feature"] == "expanded_share")]
    ends = {line.get_gid().split(":")[1]: list(line.get_ydata()) for line in patients_of(panels_of(figure)[0])}
    assert ends == {row.patient: [row.before, row.after] for row in rows.itertuples()}


def test_bars_are_the_intervals_of_the_measurement_and_explained(tables, drawn):
    differences, contrasts = tables
    figure = drawn["response_change"]
    spans = [segment for part in panels_of(figure)[0].collections for segment in part.get_segments()]
    rows = differences[(differences["contrast"] == "response_change") & (differences["feature"] == "expanded_share")]
    assert sorted(segment[0][1] for segment in spans) == pytest.approx(sorted([*rows.before_low, *rows.after_low]))
    assert "how sure one sample is" in words_of(figure)
    assert "subsampling alone" in words_of(draw_change(*tables, layer="bridge"))
    assert "counting events alone" in words_of(draw_change(*tables, layer="populations"))
    bounds = ["before_low", "before_high", "after_low", "after_high"]
    without = draw_change(differences.assign(**dict.fromkeys(bounds, np.nan)), contrasts)
    assert "Bars" not in check(without)
    assert not panels_of(without)[0].collections


def test_effects_and_p_values_are_printed_from_the_contrasts(tables, drawn):
    contrasts = tables[1]
    row = contrasts[(contrasts["contrast"] == "response_change") & (contrasts["feature"] == "expanded_share")].iloc[0]
    assert format_effect(row) in words_of(drawn["response_change"])
    assert "not testable" in words_of(drawn["response_change"])


def test_too_many_features_leave_the_rest_to_the_table(tables):
    figure = draw_change(*tables, most=3)
    words = " ".join(check(figure).split())
    assert len(panels_of(figure)) == 3
    assert "3 of 8 features" in words
    assert "5 are in the table alone" in words


def test_the_family_goes_before_smaller_p_values_outside_it():
    rows = pd.DataFrame(
        {
            "feature": ["a", "b", "c", "d", "e"],
            "family": ["exploratory", "primary", "primary", "exploratory", "primary"],
            "p": [0.001, 0.2, np.nan, 0.0001, 0.04],
        }
    )
    assert choose_rows(rows, "primary", 2)["feature"].tolist() == ["b", "e"]
    assert choose_rows(rows, "primary", 4)["feature"].tolist() == ["b", "c", "e", "d"]
    assert choose_rows(rows, "exploratory", 2)["feature"].tolist() == ["a", "d"]
    pd.testing.assert_frame_equal(choose_rows(rows, "primary", 9), rows.iloc[[1, 2, 4, 0, 3]])


def test_many_long_names_within_subsets_stay_apart():
    contrasts = made.contrasts_of(item="feature")
    long = [f"a_signature_with_a_rather_long_name_{at}_of_many_genes_and_more_of_them" for at in range(8)]
    renamed = contrasts.assign(
        feature=long * (len(contrasts) // 8), parent=["nk_c4_zeb2", "cd8_teff"] * (len(contrasts) // 2)
    )
    figure = draw_change(differences_of(renamed), renamed, layer="signatures")
    words = check(figure)
    assert "…" in words
    assert "Signatures: Response change" in words
    texts = [text for axes in panels_of(figure)[:4] for text in axes.texts if "…" in text.get_text()]
    boxes = [text.get_window_extent() for text in texts]
    assert len(boxes) == 4
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))


def test_one_feature_fits_a_narrow_page(tables):
    differences, contrasts = tables
    one = contrasts[contrasts["feature"] == "clonality"]
    check(draw_change(differences[differences["feature"] == "clonality"], one))


def test_nobody_measured_says_so(tables):
    words = check(draw_change(tables[0].head(0), tables[1]))
    assert "No patient has measured samples" in words


def test_a_contrast_without_rows_is_said_to_be_unanswerable(tables):
    study = {**made.STUDY, "contrasts": [*made.STUDY["contrasts"], {**made.STUDY["contrasts"][0], "name": "other"}]}
    figures = draw_values(*tables, study, "expansion", columns=4, most=16)
    assert "cannot answer" in words_of(figures["other"])


def test_a_layer_without_any_number_says_so(tables):
    figures = draw_values(tables[0].head(0), tables[1].head(0), made.STUDY, "bridge", columns=4, most=16)
    assert set(figures) == {str(contrast["name"]) for contrast in made.STUDY["contrasts"]}
    assert all("No sample has numbers" in words_of(figure) for figure in figures.values())


def test_changes_are_drawn_at_the_target_alone(tables):
    [name, *_] = draw_values(*tables, made.STUDY, "tracks", columns=4, most=16).values()
    ticks = [tick.get_text() for tick in name.axes[0].get_xticklabels()]
    assert len(ticks) == 2
    assert len(set(ticks)) == 1


def test_the_definition_is_printed_below_clones_from_cells_alone(tables):
    study = made.STUDY | {"definition": "Clonotype: identical CDR3"}
    words = {
        layer: words_of(draw_values(*tables, study, layer, columns=4, most=16)["response_change"])
        for layer in ("expansion", "repertoires")
    }
    assert "Clonotype: identical CDR3." in " ".join(words["expansion"].split())
    assert "Clonotype:" not in words["repertoires"]


def test_long_names_of_groups_do_not_run_into_each_other():
    assert _heads({"a": "Conversion therapy", "b": "Systemic therapy"}) == {"a": "Conversion", "b": "Systemic"}
    assert _heads({"a": "TAS-102 with RAK", "b": "TAS-102"}) == {"a": "TAS-102 w…", "b": "TAS-102"}
    assert _heads({"all": "Everybody treated"}) == {"all": "Everybody treated"}

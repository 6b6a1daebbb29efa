import itertools

import numpy as np
import pandas as pd
import pytest
from figure_checks import artists, check
from identity_cohorts import RULES, STUDY, simulated, swapped

from immune_landscape.check_identity import check_identity
from immune_landscape.draw_identity import draw_identity
from immune_landscape.store import read_table, write_table

STUDY = STUDY | {"simulated": True, "labels": {}}


@pytest.fixture(scope="module")
def cohort():
    return simulated(5, cells=200, patients=6, donor_share=0.2)


@pytest.fixture(scope="module")
def tables(cohort):
    return check_identity(*cohort.as_inputs(), **RULES)


def draw(tables, **changes):
    return draw_identity(*tables, RULES, STUDY, **{"names_up_to": 40} | changes)


def made_tables(patients):
    """Return tables of a large cohort, with numbers that stand for nothing."""
    rng = np.random.default_rng(0)
    names = [(f"P{i:03d}_{visit}", f"P{i:03d}", visit) for i in range(patients) for visit in STUDY["visits"]]
    samples = pd.DataFrame(names, columns=["sample", "patient", "visit"])
    samples = samples.assign(
        female_per_10k=rng.lognormal(0, 1, len(names)), male_per_10k=rng.lognormal(0, 2, len(names))
    )
    samples = samples.assign(sex_by_genes="mixed", sex_on_sheet="female", sex_verdict="flagged", verdict="flagged")
    pairs = [(a[0], b[0], 0.1, "flagged") for a, b in itertools.pairwise(names)]
    clones = pd.DataFrame(pairs, columns=["sample_a", "sample_b", "share", "verdict"])
    donors = samples[["sample", "patient", "visit"]].assign(method="sex_genes", share=0.1, ci_low=0.05, ci_high=0.2)
    donors = donors.assign(nk_cells=1234)
    return samples, clones, donors.assign(note="")


def test_every_sample_is_a_point_and_every_share_a_row(tables):
    figure = draw(tables)
    words = check(figure)
    assert "12 samples of 6 patients: 0 flagged, 0 that cannot be determined" in words
    left, middle, right = figure.axes[:3]
    points = np.concatenate(
        [dots.get_offsets() for dots in left.collections if dots.get_label().endswith("on the sheet")]
    )
    assert len(points) == 12
    assert points[:, 1].max() == pytest.approx(tables[0]["male_per_10k"].max())
    drawn = np.concatenate([line.get_xdata() for line in right.lines if line.get_label() == "By sex genes"])
    assert sorted(drawn) == pytest.approx(sorted(100 * tables[2]["share"]))
    assert len(middle.get_yticklabels()) == 6
    first = tables[2].set_index("sample").at["P00_baseline", "nk_cells"]
    assert f"P00  Baseline  ({first:,})" in words
    assert "All are" not in words


def test_patients_of_one_sex_are_told_to_be_alike(tables):
    samples = tables[0].assign(sex_by_genes="female", sex_on_sheet="female")
    words = check(draw((samples, *tables[1:]))).replace("\n", " ")
    assert "All are female: sex genes cannot tell samples of two patients that are swapped." in words
    one = samples[samples["patient"] == "P00"], tables[1].query("patient_a == patient_b == 'P00'"), tables[2].head(2)
    assert "All are" not in check(draw(one))
    none = samples.assign(sex_by_genes="cannot be determined")
    assert "All are" not in check(draw((none, *tables[1:])))


def test_heat_map_shows_the_shares_on_both_sides_of_the_diagonal(tables):
    matrix = draw(tables).axes[1].images[0].get_array()
    pair = tables[1].query("sample_a == 'P00_baseline' and sample_b == 'P00_on_treatment'")["share"].item()
    assert matrix[0, 1] == pytest.approx(100 * pair)
    assert matrix[1, 0] == matrix[0, 1]
    assert matrix.mask[0, 0]


def test_swapped_samples_are_ringed_named_and_framed(cohort):
    found = check_identity(*swapped(cohort, "P00_on_treatment", "P03_on_treatment").as_inputs(), **RULES)
    figure = draw(found)
    words = check(figure)
    assert "P00_on_treatment" in words
    assert "P03_on_treatment" in words
    assert "Flagged by sex" in words
    assert len(artists(figure, "flagged")) == 2 * (found[1]["verdict"] == "flagged").sum()
    assert len(artists(figure, "flagged")) > 0


def test_written_tables_give_the_same_figure(tables, tmp_path):
    read = []
    for name, table in zip(("samples", "clones", "donor_cells"), tables, strict=True):
        write_table(table, tmp_path / f"{name}.tsv")
        read.append(read_table(tmp_path / f"{name}.tsv"))
    assert check(draw(read)) == check(draw(tables))


def test_the_axis_names_the_genes_that_were_asked_for(tables):
    assert "XIST, TSIX per 10,000 molecules" in check(draw(tables))
    rules = RULES | {"female_genes": ["XIST"]}
    assert "TSIX" not in check(draw_identity(*tables, rules, STUDY, names_up_to=40))


def test_receptors_alone(cohort):
    found = check_identity(None, None, cohort.clonotypes, None, cohort.design, STUDY, **RULES)
    words = check(draw(found))
    assert "Sex genes cannot be read" in words
    assert "smaller sample's clones" in words


def test_gene_expression_alone_with_donors_that_cannot_be_told(cohort):
    design = cohort.design.assign(donor_sex="unknown")
    found = check_identity(cohort.counts, cohort.labels, None, None, design, STUDY, **RULES)
    words = check(draw(found))
    assert "shared clones cannot be counted" in words
    assert "the donor's sex is not on the sheet (12 samples)" in words


def test_nothing_to_draw_says_so(cohort):
    words = check(draw(check_identity(None, None, None, None, cohort.design, STUDY, **RULES)))
    assert "No sample has gene expression or receptors" in words


@pytest.mark.parametrize("patients", [1, 60])
def test_one_patient_and_many(patients):
    figure = draw(made_tables(patients))
    check(figure)
    assert ("120 samples of 60 patients" in check(figure)) == (patients == 60)
    rows = [text.get_text() for text in figure.axes[2].get_yticklabels()]
    assert len(rows) == min(2 * patients, 80)

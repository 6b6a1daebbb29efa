import math

import numpy as np
import pandas as pd
import pytest
from cells import make_counts
from identity_cohorts import RULES, STUDY, simulated, swapped
from scipy import optimize, stats

from immune_landscape.cell_origins import read_origins
from immune_landscape.check_identity import check_identity
from immune_landscape.clone_sharing import CloneRule, clones_of, compare_samples
from immune_landscape.donor_share import Cells, detection_at, estimate_share, fit_rate
from immune_landscape.errors import InputError, IntegrityError, ProblemsError
from immune_landscape.gene_counts import read_gene_counts
from immune_landscape.sex_genes import SexRule, call_sex
from immune_landscape.store import write_stage

RULE = SexRule(min_cells=20, min_molecules=3, min_female=0.1, min_male=1, male_per_female=5, tolerated=0.2)


@pytest.fixture(scope="module")
def cohort():
    return simulated(5, cells=300, patients=6, donor_share=0.2)


@pytest.fixture(scope="module")
def tables(cohort):
    return check_identity(*cohort.as_inputs(), **RULES)


def sums(female, male, cells=100, molecules=100_000):
    row = {"cells": cells, "molecules": molecules, "female": female, "male": male}
    return pd.DataFrame([row | {"female_cells": 0, "male_cells": 0, "both_cells": 0}], index=["S"])


# A woman's blood has some 20 molecules of XIST in 100,000, a man's some 100 of Y genes.
@pytest.mark.parametrize(
    ("female", "male", "called"),
    [
        (20, 0, "female"),
        (20, 10, "female"),
        (20, 30, "mixed"),
        (10, 50, "mixed"),
        (4, 90, "male"),
        (0, 100, "male"),
        (0, 0, "cannot be determined"),
        (0, 9, "cannot be determined"),
        (2, 0, "cannot be determined"),
    ],
)
def test_sex_by_genes_tolerates_ambient_rna(female, male, called):
    assert call_sex(sums(female, male), RULE, {})["sex_by_genes"].item() == called


def test_few_cells_or_missing_genes_call_no_sex():
    few = call_sex(sums(20, 0, cells=19), RULE, {})
    assert few["sex_by_genes"].item() == "cannot be determined"
    assert few["why"].item() == "fewer than 20 cells"
    absent = call_sex(sums(20, 0), RULE, {"male": "RPS4Y1"})
    assert absent["sex_by_genes"].item() == "cannot be determined"
    assert absent["why"].item() == "RPS4Y1 not among the genes of the counts"
    assert absent["female_per_10k"].item() == pytest.approx(2)
    assert math.isnan(absent["male_per_10k"].item())


def test_fitted_rate_tells_the_detection_of_other_depths():
    rng = np.random.default_rng(1)
    molecules = rng.lognormal(8, 0.5, 4000)
    rate = 3e-4
    cells = Cells(molecules, rng.poisson(rate * molecules) > 0)
    # A second road to the same root.
    found = optimize.brentq(lambda r: detection_at(r, molecules) - cells.share, 1e-9, 1)
    assert fit_rate(cells) == pytest.approx(found, rel=1e-6)
    assert fit_rate(cells) == pytest.approx(rate, rel=0.1)
    shallow = molecules / 4
    seen = (rng.poisson(rate * shallow) > 0).mean()
    assert detection_at(fit_rate(cells), shallow) == pytest.approx(seen, abs=0.03)
    assert fit_rate(Cells(molecules, np.zeros(4000, dtype=bool))) == 0
    assert math.isfinite(fit_rate(Cells(molecules, np.ones(4000, dtype=bool))))


def carriers(count, of):
    return Cells(np.full(of, 5000.0), np.arange(of) < count)


def test_share_is_corrected_for_background_and_detection():
    # Rogan and Gladen by hand: (0.32 - 0.04) / (0.6 - 0.04).
    found = estimate_share(carriers(64, 200), carriers(20, 500), [carriers(600, 1000)], 0.95)
    assert found.share == pytest.approx(0.5, abs=1e-6)
    assert found.background == pytest.approx(0.04)
    assert found.detection == pytest.approx(0.6)
    assert found.low < 0.42
    assert found.high > 0.58


def test_interval_is_that_of_lang_and_reiczigel():
    # Published definition, written out: sensitivity 0.6 of 1000, specificity 0.96 of 500, 64 of 200 positive.
    z = stats.norm.ppf(0.975)
    n, d, s = 200 + z**2, (600 + 1) / 1002, (480 + 1) / 502
    p = (64 + z**2 / 2) / n
    prevalence = (p + s - 1) / (d + s - 1)
    shift = 2 * z**2 * (prevalence * d * (1 - d) / 1002 - (1 - prevalence) * s * (1 - s) / 502)
    spread = p * (1 - p) / n + prevalence**2 * d * (1 - d) / 1002 + (1 - prevalence) ** 2 * s * (1 - s) / 502
    error = z * math.sqrt(spread) / (d + s - 1)
    found = estimate_share(carriers(64, 200), carriers(20, 500), [carriers(600, 1000)], 0.95)
    assert found.low == pytest.approx(prevalence + shift - error, abs=1e-6)
    assert found.high == pytest.approx(prevalence + shift + error, abs=1e-6)


def test_donors_that_differ_widen_the_interval():
    alike = [carriers(600, 1000), carriers(600, 1000), carriers(600, 1000)]
    unlike = [carriers(400, 1000), carriers(600, 1000), carriers(800, 1000)]
    narrow, wide = (estimate_share(carriers(64, 200), carriers(20, 500), r, 0.95) for r in (alike, unlike))
    assert wide.share == pytest.approx(narrow.share)
    assert wide.high - wide.low > 1.2 * (narrow.high - narrow.low)


def test_genes_that_are_hardly_seen_tell_nothing():
    assert estimate_share(carriers(4, 200), carriers(10, 500), [carriers(30, 1000)], 0.95) is None


def test_a_handful_of_own_cells_tells_nothing_where_the_genes_are_seldom_seen():
    # By the interval's own estimates, 1 / 4 of the patient's two cells may carry them, and 71 / 1002 of the donor's.
    assert estimate_share(carriers(10, 200), carriers(0, 2), [carriers(70, 1000)], 0.95) is None
    assert estimate_share(carriers(10, 200), carriers(0, 200), [carriers(70, 1000)], 0.95).share > 0.5


def clones(samples):
    rows = [(name, name[0], clone) for name, found in samples.items() for clone in found]
    return pd.DataFrame(rows, columns=["sample", "patient", "clone"]).assign(paired=True)


def test_clones_of_two_patients_are_flagged_and_those_of_one_are_not():
    found = {"A1": range(50), "A2": range(40, 90), "B1": range(100, 150), "B2": range(44, 60)}
    pairs = compare_samples(clones(found), CloneRule(min_shared=5, floor=0.01)).set_index(["sample_a", "sample_b"])
    # By sets, the slow way.
    for (a, b), row in pairs.iterrows():
        shared = len(set(found[a]) & set(found[b]))
        assert (row["shared"], row["share"]) == (shared, shared / min(len(found[a]), len(found[b])))
    assert pairs.loc[("A1", "A2"), "verdict"] == "as expected"
    assert pairs.loc[("A1", "B2"), "verdict"] == "flagged"
    assert pairs.loc[("A2", "B2"), "verdict"] == "flagged"
    assert pairs.loc[("B1", "B2"), "verdict"] == "no shared clone"
    assert pairs.loc[("A1", "B1"), "verdict"] == "as expected"


def test_a_small_share_is_flagged_when_the_own_patient_shares_less():
    found = {"A1": range(1000), "A2": range(999, 1999), "B1": [*range(6), *range(5000, 5994)], "B2": range(3000, 3006)}
    flagged = compare_samples(clones(found), CloneRule(min_shared=5, floor=0.05)).query("verdict == 'flagged'")
    assert list(zip(flagged["sample_a"], flagged["sample_b"], strict=True)) == [("A1", "B1")]
    single = clones(found).assign(paired=False)
    assert (compare_samples(single, CloneRule(min_shared=5, floor=0.05))["verdict"] != "flagged").all()


def test_clones_need_both_chains_where_there_are_any():
    table = pd.DataFrame(
        {
            "sample": ["S", "S", "T", "T"],
            "patient": "P",
            "has_receptor": [True, True, True, False],
            "vj_junction": ["TGTA", "", "TGTA", "TGTC"],
            "vdj_junction": ["TGTG", "TGTG", "TGTG", "TGTT"],
        }
    )
    assert clones_of(table)[["sample", "clone", "paired"]].to_numpy().tolist() == [
        ["S", "TGTA+TGTG", True],
        ["T", "TGTA+TGTG", True],
    ]
    beta = clones_of(table.assign(vj_junction=""))
    assert beta["clone"].tolist() == ["TGTG", "TGTG"]
    assert not beta["paired"].any()


def test_sound_cohort_agrees_and_lists_every_sample(cohort, tables):
    samples, pairs, donors = tables
    assert list(samples["sample"]) == list(cohort.design["sample"])
    assert (samples["verdict"] == "agrees").all()
    assert (samples["sex_by_genes"] == samples["sex_on_sheet"]).all()
    assert len(pairs) == 12 * 11 / 2
    assert len(donors) == 12


def test_counts_of_samples_add_up(cohort, tables):
    samples = tables[0].set_index("sample")
    own = cohort.counts[(cohort.counts["sample"] == "P01_baseline") & (cohort.labels["branch"] != "nk")]
    row = samples.loc["P01_baseline"]
    assert row["cells_used"] == "other"
    assert row["cells"] == len(own)
    assert row["molecules"] == own["molecules"].sum()
    assert row["female"] == own[["XIST", "TSIX"]].to_numpy().sum()
    assert row["female_per_10k"] == pytest.approx(1e4 * row["female"] / row["molecules"])


def test_donor_cells_are_found_after_the_product_only(cohort, tables):
    donors = tables[2].set_index("sample")
    before, after = (donors[donors["visit"] == visit] for visit in STUDY["visits"])
    assert (before["verdict"] == "no donor cells found").all()
    assert (after["verdict"] == "donor cells found").all()
    nk = cohort.labels["branch"] == "nk"
    truth = (cohort.origin[nk] == "donor").groupby(cohort.counts.loc[nk, "sample"]).mean()
    assert after["share"].mean() == pytest.approx(truth[after.index].mean(), abs=0.04)


@pytest.mark.parametrize(
    ("changes", "verdict", "note"),
    [
        ({"donor_sex": ""}, "cannot be determined", "the donor's sex is not on the sheet"),
        ({"donor_sex": "male", "sex": "male"}, "cannot be determined", "donor and patient are both male"),
        ({"product_origin": "autologous"}, "no donor", "product_origin is autologous"),
    ],
)
def test_donor_cells_that_cannot_be_told(cohort, changes, verdict, note):
    counts, labels, _, origins, design, study = cohort.as_inputs()
    own = design["patient"] == "P00"
    changed = design.assign(**{name: design[name].mask(own, value) for name, value in changes.items()})
    table = check_identity(counts, labels, None, origins, changed, study, **RULES)[2]
    rows = table[table["patient"] == "P00"]
    assert set(rows["verdict"]) == {verdict}
    assert set(rows["note"]) == {note}
    assert rows["share"].isna().all()


def test_the_only_visit_is_not_taken_for_one_before_the_product(cohort):
    after = cohort.design["visit"] == "on_treatment"
    design = cohort.design[after].reset_index(drop=True)
    counts = cohort.counts[cohort.counts["sample"].isin(design["sample"])]
    study = STUDY | {"visits": ["on_treatment"]}
    donors = check_identity(counts, cohort.labels, None, None, design, study, **RULES)[2]
    assert set(donors["verdict"]) == {"cannot be determined"}
    assert donors["note"].str.contains("tells how often their genes are seen").all()
    own = design.assign(product_origin=["autologous" if sex == "female" else "allogeneic" for sex in design["sex"]])
    told = check_identity(counts, cohort.labels, None, None, own, study, **RULES)[2].set_index("patient_sex")
    assert (told.loc["male", "verdict"] == "donor cells found").all()


def test_genotypes_are_used_and_compared(cohort):
    origins = cohort.origin.map({"recipient": "patient", "donor": "donor"}).to_frame("origin")
    origins["sample"] = origins.index.str.split(":").str[0]
    own = origins.index[origins["sample"] == "P01_on_treatment"]
    origins.loc[own[:10], "origin"] = "unassigned"
    table = check_identity(*cohort.as_inputs(origins), **RULES)[2]
    row = table[(table["sample"] == "P01_on_treatment") & (table["method"] == "genotypes")].iloc[0]
    left = own[10:][(cohort.labels.loc[own[10:], "branch"] == "nk").to_numpy()]
    donor = (origins.loc[left, "origin"] == "donor").sum()
    assert (row["nk_cells"], row["nk_carriers"]) == (len(left), donor)
    # Clopper and Pearson by the quantiles of the beta distribution.
    assert row["ci_low"] == pytest.approx(stats.beta.ppf(0.025, donor, len(left) - donor + 1))
    assert row["ci_high"] == pytest.approx(stats.beta.ppf(0.975, donor + 1, len(left) - donor))
    assert "agrees with" in row["note"]
    with pytest.raises(InputError, match="no barcode of sample 'P00_baseline' is among its cells"):
        check_identity(*cohort.as_inputs(origins.set_axis(origins.index.str.rstrip("-1"))), **RULES)


def test_swapped_samples_are_flagged_and_give_no_donor_cells(cohort):
    samples, _, donors = check_identity(*swapped(cohort, "P00_on_treatment", "P03_on_treatment").as_inputs(), **RULES)
    flagged = samples[samples["verdict"] == "flagged"]
    assert set(flagged["patient"]) == {"P00", "P03"}
    assert "female by genes, male on the sheet" in flagged.set_index("sample").loc["P00_on_treatment", "note"]
    assert donors[donors["patient"].isin(["P00", "P03"])]["share"].isna().all()


def test_sex_that_is_not_on_the_sheet_is_compared_between_visits(cohort):
    wrong = swapped(cohort, "P00_on_treatment", "P03_on_treatment")
    design = wrong.design.assign(sex="unknown")
    samples = check_identity(wrong.counts, wrong.labels, None, None, design, STUDY, **RULES)[0]
    assert set(samples.loc[samples["verdict"] == "flagged", "patient"]) == {"P00", "P03"}


def test_a_mixed_sample_is_flagged(cohort):
    counts, *rest = cohort.as_inputs()
    changed = counts.astype(dict.fromkeys(counts.columns[1:], int))
    own, other = (counts.index[counts["sample"] == f"P0{i}_baseline"] for i in (0, 1))
    half = min(len(own), len(other)) // 2
    changed.loc[own[:half], changed.columns[1:]] = changed.loc[other[:half], changed.columns[1:]].to_numpy()
    row = check_identity(changed, *rest, **RULES)[0].set_index("sample").loc["P00_baseline"]
    assert (row["sex_by_genes"], row["verdict"]) == ("mixed", "flagged")


def test_a_blinded_cohort_is_told_nothing_of_its_nk_cells(cohort):
    blank = cohort.design.assign(donor_sex="", product_origin="")
    origins = cohort.origin.map({"recipient": "patient", "donor": "donor"}).to_frame("origin")
    origins["sample"] = origins.index.str.split(":").str[0]
    inputs = (cohort.counts, cohort.labels, cohort.clonotypes, origins, blank, STUDY | {"unblinded": False})
    samples, _, donors = check_identity(*inputs, **RULES)
    assert samples[["nk_cells", "nk_foreign"]].isna().all(axis=None)
    assert donors[["nk_cells", "nk_carriers", "share"]].isna().all(axis=None)
    assert set(donors["note"]) == {"not told before unblinding: only the product of one arm has a donor"}
    assert set(donors["method"]) == {"sex_genes"}
    # Neither do arms and outcomes reach any number.
    tales = blank.assign(arm="x", response="responder", best_response="CR")
    for table, other in zip(
        (samples, donors), check_identity(*inputs[:4], tales, inputs[5], **RULES)[::2], strict=True
    ):
        pd.testing.assert_frame_equal(table, other)


def test_cells_without_a_label_count_as_nobody_knows_what(cohort):
    counts, labels, *rest = cohort.as_inputs()
    nk = labels.index[labels["branch"] == "nk"]
    without = check_identity(counts, labels.drop(nk), *rest, **RULES)[0]
    unassigned = labels.assign(
        lineage=labels["lineage"].mask(labels.index.isin(nk), "unassigned"),
        branch=labels["branch"].mask(labels.index.isin(nk), "other"),
    )
    pd.testing.assert_frame_equal(without, check_identity(counts, unassigned, *rest, **RULES)[0])
    assert (without["other_cells"] == check_identity(counts, labels, *rest, **RULES)[0]["other_cells"]).all()


def test_one_sample_is_listed_with_nothing_to_compare_it_with(cohort):
    counts, labels, clonotypes, _, design, study = cohort.as_inputs()
    own = design["sample"] == "P00_baseline"
    parts = [table[table["sample"] == "P00_baseline"] for table in (counts, clonotypes)]
    one = design[own].assign(sex="").reset_index(drop=True)
    samples, pairs, donors = check_identity(parts[0], labels, parts[1], None, one, study, **RULES)
    assert pairs.empty
    assert samples["verdict"].tolist() == ["cannot be determined"]
    assert "with nothing to compare it with" in samples["note"].item()
    assert "no other sample of the patient with clones" in samples["note"].item()
    assert donors["share"].isna().all()


def test_works_with_receptors_alone_and_with_nothing(cohort):
    samples, pairs, donors = check_identity(None, None, cohort.clonotypes, None, cohort.design, STUDY, **RULES)
    assert (samples["clone_verdict"] == "agrees").any()
    assert (samples["sex_by_genes"] == "cannot be determined").all()
    assert not pairs.empty
    assert donors.empty
    samples, pairs, donors = check_identity(None, None, None, None, cohort.design, STUDY, **RULES)
    assert samples.empty
    assert pairs.empty
    assert donors.empty


def written_counts(folder):
    rng = np.random.default_rng(0)
    values = rng.poisson(0.5, (57, 6))
    counts = make_counts(values, ["A", "XIST", "B", "RPS4Y1", "C", "D"], [f"S{i % 3}" for i in range(57)])
    write_stage(counts, folder / "counts.h5ad", stage="merge_samples")
    return values, counts


def test_genes_are_read_block_by_block(tmp_path):
    values, counts = written_counts(tmp_path)
    table = read_gene_counts(tmp_path / "counts.h5ad", ["RPS4Y1", "TSIX", "XIST"], block=10)
    assert list(table.columns) == ["sample", "molecules", "RPS4Y1", "XIST"]
    assert list(table.index) == list(counts.obs_names)
    assert table["molecules"].tolist() == values.sum(axis=1).tolist()
    assert table[["XIST", "RPS4Y1"]].to_numpy().tolist() == values[:, [1, 3]].tolist()


def test_damaged_counts_are_refused(tmp_path):
    written_counts(tmp_path)
    with (tmp_path / "counts.h5ad").open("r+b") as file:
        file.seek(3000)
        file.write(b"damage")
    with pytest.raises(IntegrityError, match="damaged"):
        read_gene_counts(tmp_path / "counts.h5ad", ["XIST"])


def test_sheet_of_origins_is_read_and_its_mistakes_are_told(tmp_path):
    path = tmp_path / "donor_cells.tsv"
    path.write_text("sample\tbarcode\torigin\nS1\tAAC-1\tdonor\nS1\tAAG-1\tpatient\n", encoding="utf-8")
    assert read_origins(path)["origin"].to_dict() == {"S1:AAC-1": "donor", "S1:AAG-1": "patient"}
    path.write_text("sample\tbarcode\torigin\nS1\tAAC-1\thost\nS1\tAAC-1\tdonor\n", encoding="utf-8")
    with pytest.raises(ProblemsError) as caught:
        read_origins(path)
    assert [(problem.line, problem.column) for problem in caught.value.problems] == [(2, "origin"), (3, "barcode")]
    assert "probably patient" in str(caught.value)

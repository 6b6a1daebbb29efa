"""Biomarkers against their written rules: tables made by hand or in whole numbers, and the strata of a trial."""

import itertools
from fractions import Fraction

import pytest
from workflow.runs import ROOT

from immune_landscape.biomarker_rules import read_cps, read_mmr, read_msi, read_tmb
from immune_landscape.clinical_tables import biomarker_table
from immune_landscape.cohort import patient_table, read_cohort
from immune_landscape.measure_biomarkers import measure_biomarkers
from immune_landscape.schemas import fill_defaults, load_schema

SETTINGS = fill_defaults(load_schema("settings/measure_biomarkers"), {})
PROTEINS = ("mlh1", "msh2", "msh6", "pms2")

# Positive tumour cells, lymphocytes, macrophages, viable tumour cells: score and class, by hand.
CPS = [
    ((0, 0, 0, 100), (0, "below_1")),
    ((0, 0, 0, 99), (None, "")),
    ((99, 0, 0, 99), (None, "")),
    ((0, 0, 0, 0), (None, "")),
    ((1, 0, 0, 100), (1, "1_to_5")),
    ((0, 1, 0, 101), (Fraction(100, 101), "below_1")),
    ((1, 1, 1, 300), (1, "1_to_5")),
    ((2, 2, 1, 100), (5, "5_to_10")),
    ((1, 2, 1, 101), (Fraction(400, 101), "1_to_5")),
    ((10, 0, 0, 100), (10, "at_least_10")),
    ((333, 333, 333, 10000), (Fraction(999, 100), "5_to_10")),
    ((100, 0, 0, 100), (100, "at_least_10")),
    ((90, 60, 50, 100), (100, "at_least_10")),
    ((0, 150, 0, 120), (100, "at_least_10")),
]

# Unstable of five markers (Boland 1998).
BETHESDA = {0: "MSS", 1: "MSI-L", 2: "MSI-H", 3: "MSI-H", 4: "MSI-H", 5: "MSI-H"}


def test_scores_by_hand(science):
    wrong = 0
    for (*positive, viable), (score, named) in CPS:
        found = read_cps(positive, viable, SETTINGS["cps_thresholds"], least=SETTINGS["min_viable"])
        value = None if found.value != found.value else found.value
        wrong += found.named != named or value != (None if score is None else pytest.approx(float(score), abs=1e-12))
    what = "PD-L1 scores that differ from those by hand: 99 and 100 cells, each limit from both sides, above 100"
    science.row("clinical/cps_rules", what, wrong, 0, 0, len(CPS))


def test_all_combinations_of_the_four_proteins(science):
    combinations = list(itertools.product(("retained", "lost"), repeat=4))
    deficient = [
        states for states in combinations if read_mmr(dict(zip(PROTEINS, states, strict=True))).named == "dMMR"
    ]
    proficient = [
        states for states in combinations if read_mmr(dict(zip(PROTEINS, states, strict=True))).named == "pMMR"
    ]
    assert proficient == [("retained",) * 4]
    science.row("clinical/mmr_rules", "combinations of four proteins that are dMMR", len(deficient), 15, 15, 16)


def test_proteins_that_were_not_done(science):
    wrong = 0
    cases = list(itertools.product(("retained", "lost", "not_done"), repeat=4))
    for states in cases:
        wanted = "dMMR" if "lost" in states else "" if "not_done" in states else "pMMR"
        wrong += read_mmr(dict(zip(PROTEINS, states, strict=True))).named != wanted
    what = "combinations with proteins not done that differ from: any lost is dMMR, all four retained pMMR"
    science.row("clinical/mmr_not_done", what, wrong, 0, 0, len(cases))


def test_counts_of_markers(science):
    share = SETTINGS["msi_high_share"]
    wrong = sum(read_msi(count, 5, high_share=share).named != named for count, named in BETHESDA.items())
    # The limits of 30 and 40 % that the workshop names agree on five markers.
    for limit in (0.3, 0.35, 0.4):
        wrong += sum(read_msi(count, 5, high_share=limit).named != named for count, named in BETHESDA.items())
    for tested in range(6, 31):
        for unstable in range(tested + 1):
            high = unstable >= 2 and Fraction(unstable, tested) >= Fraction(3, 10)
            wanted = "MSI-H" if high else "MSI-L" if unstable else "MSS"
            wrong += read_msi(unstable, tested, high_share=share).named != wanted
    what = "counts of 5 to 30 markers that differ from Bethesda's table, or from a share in whole numbers"
    science.row("clinical/msi_rules", what, wrong, 0, 0, 4 * len(BETHESDA) + sum(range(7, 32)))


def test_burdens_in_whole_numbers(science):
    wrong = asked = 0
    for hundredths in (40, 66, 70, 80, 110, 113, 120, 125, 133, 294, 3400, 3810):
        for mutations in range(int(0.2 * hundredths) + 1):
            high = mutations * 100 >= 10 * hundredths
            found = read_tmb(mutations, hundredths / 100, high=SETTINGS["tmb_high"])
            wrong += (found.named == "TMB-H") != high
            wrong += abs(found.value - mutations * 100 / hundredths) > 1e-8
            asked += 1
    what = "burdens of 12 sizes of panel that differ from whole numbers, at least 10 per Mb being high"
    science.row("clinical/tmb_rules", what, wrong, 0, 0, asked)


def test_strata_of_the_trial_are_those_of_its_counts(science):
    cohort = read_cohort(ROOT / "config" / "cohorts" / "gastric_conversion")
    settings = cohort.config["measure_biomarkers"]
    tables = measure_biomarkers(patient_table(cohort), biomarker_table(cohort), cohort.config, **settings)
    sheet = cohort.biomarkers
    positive = sheet["n_pos_tumour"] + sheet["n_pos_lymphocytes"] + sheet["n_pos_macrophages"]
    # Without a division: at least one positive cell in a hundred.
    at_least_1 = dict(zip(sheet["patient"], 100 * positive >= sheet["n_viable_tumour"], strict=True))
    dealt = dict(zip(cohort.patients["patient"], cohort.patients["cps_group"] == "at_least_1", strict=True))
    agreeing = sum(at_least_1[patient] == dealt[patient] for patient in dealt)
    assert len(dealt) == 54
    assert tables["conflicts"].empty
    row = tables["summary"].query("marker == 'cps' and by == 'all' and `class` == 'as_stratum'").iloc[0]
    assert (row["patients"], row["n"]) == (agreeing, 54)
    science.row(
        "clinical/cps_strata", "patients of 54 whose counts give the stratum of the sheet", agreeing, 54, 54, 54
    )
    outside = (tables["biomarkers"]["eligibility"] == "outside").sum()
    science.row("clinical/eligibility", "patients outside pMMR and MSS in gastric_conversion", outside, 0, 0, 54)

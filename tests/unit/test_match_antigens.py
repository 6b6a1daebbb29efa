"""Lookup of clonotypes: matches, ambiguity, backgrounds and what is compared."""

import numpy as np
import pandas as pd
import pytest

from immune_landscape.antigen_snapshots import ENTRY_COLUMNS
from immune_landscape.errors import InputError
from immune_landscape.match_antigens import BACKGROUND_COLUMNS, MATCH_COLUMNS, match_antigens
from immune_landscape.schemas import fill_defaults, load_schema
from immune_landscape.simulate_receptors import draw_chains
from immune_landscape.value_tables import VALUE_COLUMNS

SETTINGS = fill_defaults(load_schema("settings/match_antigens"), {})
CHOSEN = SETTINGS | {"generated": 40_000, "min_entries": 50, "compared_species": ["CMV", "all"]}
PATIENTS = ("p1", "p2", "p3")


def receptors(number, seed):
    drawn = draw_chains("TRB", number, seed, v_genes=(), j_genes=(), length=0)
    return drawn.assign(v_call=drawn["v_call"].str.split("*").str[0], j_call=drawn["j_call"].str.split("*").str[0])


@pytest.fixture(scope="module")
def known():
    """Receptors of two species: 40,000 of recombination, which are matched by chance, and one CDR3 of both."""
    drawn = receptors(40_000, 1)
    species = np.where(np.arange(40_000) % 2, "CMV", "EBV")
    table = drawn.assign(snapshot="made", locus="TRB", species=species, epitope=species, antigen="x", mhc="A*02")
    both = table.iloc[[0]].assign(species="CMV", epitope="OTHER")
    alpha = table.iloc[[1]].assign(locus="TRA", junction_aa="CAVF")
    return pd.concat([table, both, alpha], ignore_index=True).assign(score=np.nan)[ENTRY_COLUMNS]


@pytest.fixture(scope="module")
def clones(known):
    """Give each patient 4,000 clonotypes of recombination, and the first 60 of CMV besides."""
    found = []
    for number, patient in enumerate(PATIENTS):
        table = receptors(4_000, 10 + number)
        if patient == "p1":
            planted = known[(known["species"] == "CMV") & (known["locus"] == "TRB")].iloc[:60]
            table = pd.concat([table, planted[table.columns.intersection(planted.columns)]], ignore_index=True)
        names = [f"{patient}-{each}" for each in range(len(table))]
        chosen = table.assign(clonotype=names, count=np.arange(len(table)) % 7 + 1)
        found.append((patient, chosen[["clonotype", "count", "junction_aa", "v_call", "j_call"]]))
    return found


@pytest.fixture(scope="module")
def design():
    names = list(PATIENTS)
    return pd.DataFrame({"sample": names, "patient": names, "visit": "v1", "tissue": "blood", "response": "responder"})


@pytest.fixture(scope="module")
def tables(known, clones, design):
    return match_antigens({"bulk_tcr": clones}, known, design, 0, **CHOSEN)


def rows_of(tables, sample, background, species):
    table = tables["background"]
    chosen = (table["sample"] == sample) & (table["background"] == background)
    level = "species" if species else "all"
    (row,) = table[chosen & (table["predicted_species"] == species) & (table["level"] == level)].to_dict("records")
    return row


def test_counts_are_those_of_a_plain_join(tables, known, clones):
    beta = known[known["locus"] == "TRB"]
    for sample, table in clones:
        for species in ("", "CMV", "EBV"):
            wanted = beta if not species else beta[beta["species"] == species]
            expected = table["junction_aa"].isin(set(wanted["junction_aa"])).sum()
            row = rows_of(tables, sample, "generated", species)
            assert (row["predicted"], row["clonotypes"]) == (expected, len(table))
    assert list(tables["background"].columns) == BACKGROUND_COLUMNS


def test_planted_clones_are_above_every_background(tables):
    for background in ("generated", "other_antigens", "cohort"):
        row = rows_of(tables, "p1", background, "CMV")
        assert row["ratio_low"] > 1.5, background
        assert row["predicted"] > row["expected_high"], background
    for patient in ("p2", "p3"):
        others = rows_of(tables, patient, "generated", "CMV")
        assert others["ratio_high"] < rows_of(tables, "p1", "generated", "CMV")["ratio"]
        # The first patient's planted clones are in the background of the others.
        assert rows_of(tables, patient, "cohort", "CMV")["ratio"] < 1


def test_the_cohort_is_the_other_patients_at_the_same_visit(tables):
    row = rows_of(tables, "p1", "cohort", "EBV")
    others = [rows_of(tables, name, "generated", "EBV") for name in ("p2", "p3")]
    assert row["background_clonotypes"] == 8_000
    assert row["expected"] == pytest.approx(row["clonotypes"] * sum(each["predicted"] for each in others) / 8_000)


def test_ambiguity_is_kept(known, design):
    first = known.iloc[0]
    chain = {name: [first[name]] for name in ("junction_aa", "v_call", "j_call")}
    clone = pd.DataFrame({"clonotype": ["c"], "count": [4], **chain})
    few = CHOSEN | {"min_clonotypes": 1}
    tables = match_antigens({"tcr": [("p1", clone)]}, known, design, 0, **few)
    matches = tables["matches"]
    assert list(matches.columns) == MATCH_COLUMNS
    assert matches[["predicted_species", "predicted_epitope"]].to_numpy().tolist() == [["CMV", "OTHER"], ["EBV", "EBV"]]
    assert set(matches["epitopes"]) == {2}
    assert set(matches["species"]) == {2}
    assert set(matches["share"]) == {1.0}
    told = tables["background"].query("background == 'generated' and level != 'epitope'")
    assert told.set_index("predicted_species")["predicted"].to_dict() == {"": 1, "EBV": 1, "CMV": 1}


def test_values_are_the_excess_over_other_species(tables):
    values = tables["values"]
    assert list(values.columns) == VALUE_COLUMNS
    assert values["feature"].unique().tolist() == ["predicted_CMV", "predicted_all"]
    assert set(values["parent"]) == {"bulk_tcr"}
    row = rows_of(tables, "p1", "other_antigens", "CMV")
    value = values[(values["sample"] == "p1") & (values["feature"] == "predicted_CMV")].iloc[0]
    assert value["value"] == pytest.approx((row["predicted"] - row["expected"]) / row["clonotypes"])
    assert value["low"] < value["value"]
    assert value["high"] > value["value"]
    any_antigen = values[(values["sample"] == "p1") & (values["feature"] == "predicted_all")].iloc[0]
    assert any_antigen["value"] == pytest.approx(rows_of(tables, "p1", "generated", "")["excess"])


def test_few_clonotypes_are_counted_and_not_compared(known, clones, design):
    few = [(sample, table.head(90)) for sample, table in clones]
    tables = match_antigens({"bulk_tcr": few}, known, design, 0, **CHOSEN)
    assert not tables["background"]["measured"].any()
    assert tables["background"]["clonotypes"].eq(90).all()
    assert tables["background"]["ratio"].isna().all()
    assert tables["values"]["value"].isna().all()


def test_the_same_seed_gives_the_same_tables_and_order_makes_no_difference(tables, known, clones, design):
    again = match_antigens({"bulk_tcr": clones[::-1]}, known, design, 0, **CHOSEN)
    order = ["sample", "background", "level", "predicted_species", "predicted_epitope"]
    one, two = (each["background"].sort_values(order, ignore_index=True) for each in (tables, again))
    pd.testing.assert_frame_equal(one, two)


def test_a_sample_without_design_and_a_score_that_leaves_nothing_are_refused(known, clones, design):
    with pytest.raises(InputError, match="design lacks: p1"):
        match_antigens({"tcr": clones[:1]}, known, design.iloc[1:], 0, **CHOSEN)
    with pytest.raises(InputError, match="min_score 3"):
        match_antigens({"tcr": clones}, known.assign(score=1.0), design, 0, **CHOSEN | {"min_score": 3})


def test_no_clonotypes_at_all_give_empty_tables(known, design, clones):
    tables = match_antigens({"tcr": [("p1", clones[0][1].head(0))]}, known, design, 0, **CHOSEN)
    assert {name: len(table) for name, table in tables.items()} == {"matches": 0, "background": 0, "values": 0}

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from immune_landscape.cell_types import RESOURCES
from immune_landscape.cohort import design_table, read_cohort
from immune_landscape.gates import gate_slugs, parent_counts
from immune_landscape.simulate_sheets import CELLS_COUNTED, GATES, MEASURES, PLANTED, draw_numbers, draw_sheets

DEMO = RESOURCES.parents[1] / "config" / "cohorts" / "demo"
SHEET_SEED = 2025


def numbers_of(seed):
    sheets = draw_sheets(seed)
    return (*sheets, *draw_numbers(*sheets, seed))


def log_odds(populations):
    share = (populations["count"] / parent_counts(populations))[populations["population"] != "all"]
    return populations.loc[share.index].assign(value=np.log(share / (1 - share)))


def difference_of(table, key, patients, samples):
    """Return per feature the responders' mean change on treatment less that of the others."""
    wide = table.merge(samples, on="sample").pivot_table(index="patient", columns=["visit", key], values="value")
    change = (wide["on_treatment"] - wide["baseline"]).dropna(how="all")
    responder = change.index.isin(patients.loc[patients["best_response"].isin(["CR", "PR"]), "patient"])
    return (change[responder].mean() - change[~responder].mean()).to_dict()


def test_committed_numbers_are_the_drawn_ones():
    _, _, populations, measures = numbers_of(SHEET_SEED)
    for name, drawn in (("populations", populations), ("measures", measures)):
        committed = pd.read_csv(DEMO / f"{name}.tsv", sep="\t", dtype=str, keep_default_na=False)
        assert committed.columns.to_list() == drawn.columns.to_list()
        assert committed.to_numpy().tolist() == drawn.astype(str).to_numpy().tolist()


def test_the_demo_reads_without_a_problem_and_joins_every_number():
    cohort = read_cohort(DEMO)
    samples = set(design_table(cohort)["sample"])
    assert set(cohort.populations["sample"]) == set(cohort.measures["sample"]) == samples
    assert set(cohort.measures["scale"]) == {"log"}
    assert (cohort.measures["value"] > 0).all()


def test_gates_nest_and_count_real_numbers_of_events():
    _, samples, populations, _ = numbers_of(SHEET_SEED)
    assert len(populations) == len(samples) * (len(GATES) + 1)
    totals = parent_counts(populations)
    gates = populations["population"] != "all"
    assert (populations.loc[gates, "count"] < totals[gates]).all()
    assert populations["count"].min() > 100


def test_a_sum_of_measures_is_the_sum_and_few_are_missing():
    _, samples, _, measures = numbers_of(SHEET_SEED)
    wide = measures.pivot_table(index="sample", columns="measure", values="value")
    total, parts = CELLS_COUNTED
    assert wide[total].to_numpy() == pytest.approx(wide[list(parts)].sum(axis=1).to_numpy(), rel=0.006)
    assert wide.isna().sum().sum() == len(samples) * (len(MEASURES) + 1) - len(measures) == 1


def test_the_planted_effect_is_there_over_seeds_and_no_other():
    """Mean over cohorts of the responders' change less that of the others equals what is planted."""
    found = []
    for seed in range(60):
        patients, samples, populations, measures = numbers_of(seed)
        logged = measures.assign(value=np.log(measures["value"]))
        tables = {"population": log_odds(populations), "measure": logged}
        effects = {key: difference_of(table, key, patients, samples) for key, table in tables.items()}
        found.append({(key, name): effect for key in effects for name, effect in effects[key].items()})
    table = pd.DataFrame(found)
    planted = {("population", name.split("/")[1]): effect for name, effect in PLANTED["populations"].items()}
    for name in table:
        assert stats.ttest_1samp(table[name], planted.get(name, 0.0)).pvalue > 0.001, name
    assert table["population", "CD3+CD56+"].mean() == pytest.approx(0.8, abs=0.1)
    assert len(table.columns) == len(GATES) + len(MEASURES) + 1


def test_planted_effects_are_named_as_the_contrasts_name_them():
    _, _, populations, _ = numbers_of(SHEET_SEED)
    slugs = gate_slugs(populations["parent"].replace("", "all"))
    for key in PLANTED["populations"]:
        parent, population = key.split("/")
        assert slugs[GATES[population][0]] == parent

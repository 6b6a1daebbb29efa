"""Error rates, coverage and false discoveries of the comparison of expression, on simulated sums of counts."""

import numpy as np
import pytest
from science.rows import share
from science.simulated_expression import CALIBRATED, PLANTED, SETTINGS, compared_expression, simulate_expression
from science.simulated_layers import EXACT, make_cohort

from immune_landscape.seeds import seed_of

FDR = SETTINGS["fdr"]


def compared(name, cohorts, planted, testing):
    """Yield the tables of some cohorts."""
    rng, cohort = np.random.default_rng(seed_of(3, name, "expression")), make_cohort()
    for _ in range(cohorts):
        yield compared_expression(simulate_expression(rng, cohort, planted), cohort, testing)


@pytest.mark.slow
def test_null_cohorts_keep_the_error_rate_of_genes(science):
    cohorts = science.replicates(quick=40)
    tables = [each["genes"] for each in compared("null", cohorts, 0.0, EXACT)]
    rates = np.array([(table["p"] <= EXACT.alpha).mean() for table in tables])
    found = np.array([(table["fdr"] <= FDR).sum() for table in tables])
    genes = int(np.median([len(table) for table in tables]))
    what = f"share of p <= {EXACT.alpha} without an interaction, moderated t of {genes} genes that vary together"
    # Genes of a cohort vary together, so the error of the mean is read from the cohorts.
    error = 0.0 if science.full else 4 * rates.std() / np.sqrt(cohorts)
    science.row("type1/expression", what, rates.mean(), 0.03 - error, 0.07 + error, cohorts)
    what = f"share of null cohorts with a gene at FDR {FDR} ({found.mean():.2f} genes per cohort)"
    _, high = science.limits(0.0, 0.07, cohorts)
    science.row("null_findings/expression", what, (found > 0).mean(), None, high, cohorts)


@pytest.mark.slow
def test_calibrated_tables_of_null_cohorts_hold_few_genes(science):
    cohorts = science.replicates(full=200, quick=15)
    tables = list(compared("calibrated", cohorts, 0.0, CALIBRATED))
    inflation = np.median([each["subsets"]["inflation"].iloc[0] for each in tables])
    claimed = [((each["genes"]["fdr"] <= FDR) & each["genes"]["calibrated"]).any() for each in tables]
    what = f"share of null cohorts with a gene found in a table marked calibrated (median inflation {inflation:.2f})"
    _, high = science.limits(0.0, 0.07, cohorts)
    science.row("null_findings/expression_calibrated", what, np.mean(claimed), None, high, cohorts)


@pytest.mark.slow
def test_planted_genes_are_held_by_their_intervals_and_not_drowned_in_others(science):
    cohorts, planted = science.replicates(quick=40), 1.4
    truth, held, false, power = planted / np.log(2), [], [], []
    for tables in compared("planted", cohorts, planted, EXACT):
        genes = tables["genes"]
        mine = genes["gene"].str.slice(1).astype(int) < PLANTED
        held += ((genes["ci_low"] <= truth) & (truth <= genes["ci_high"]))[mine].tolist()
        found = genes["fdr"] <= FDR
        false.append((found & ~mine).sum() / max(1, found.sum()))
        power.append((found & mine).sum() / PLANTED)
    what = f"share of 95 % intervals that hold a planted log2 fold of {truth:.2f}, {PLANTED} genes"
    science.row("coverage/expression", what, share(held)[0], *science.limits(0.92, 0.97, cohorts), cohorts)
    what = (
        f"mean share of genes found at FDR {FDR} without a planted effect ({np.mean(power):.2f} of the planted found)"
    )
    error = 0.0 if science.full else 4 * np.std(false) / np.sqrt(cohorts)
    science.row("fdr/expression", what, np.mean(false), None, 0.07 + error, cohorts)

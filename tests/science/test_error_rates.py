"""What the contrast of each layer finds in cohorts in which nothing is to be found."""

import numpy as np
import pandas as pd
import pytest
from science.rows import share
from science.simulated_layers import EXACT, LAYERS, RAW_BULK, compared, make_cohort

from immune_landscape.seeds import seed_of

ALPHA = EXACT.alpha


def null_tables(layer, name, cohorts):
    """Return the rows of the contrast over null cohorts, with the number of the cohort."""
    rng, cohort = np.random.default_rng(seed_of(3, "null", name)), make_cohort()
    tables = [compared(layer, layer.simulate(rng, cohort, 0.0), cohort, EXACT) for _ in range(cohorts)]
    return pd.concat([table.assign(cohort=number) for number, table in enumerate(tables)], ignore_index=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", LAYERS)
def test_null_cohorts_keep_both_error_rates(science, name):
    layer = LAYERS[name]
    cohorts = science.replicates(quick=layer.quick)
    table = null_tables(layer, name, cohorts)
    error, tests = share((table["p"] <= ALPHA).where(table["p"].notna()))
    found = (table["p_maxt"] <= ALPHA).groupby(table["cohort"]).sum()
    features = table.groupby(["parent", "feature"]).ngroups
    assert tests >= 0.9 * cohorts * features
    assert (table["p_maxt"].notna() == table["p"].notna()).all(), "a feature is outside the family"
    what = f"share of p <= {ALPHA} without an interaction, {features} features, all labelings"
    limits = science.limits(0.03, 0.07, cohorts * layer.independent)
    science.row(f"type1/{name}", what, error, *limits, cohorts)
    what = f"share of null cohorts with a max-T finding among {features} ({found.mean():.3f} findings per cohort)"
    science.row(f"null_findings/{name}", what, (found > 0).mean(), *science.limits(0.03, 0.07, cohorts), cohorts)


@pytest.mark.slow
def test_bulk_repertoires_as_they_come_would_be_told_apart_by_depth(science):
    table = null_tables(RAW_BULK, "bulk_tcr", science.replicates(full=50, quick=8))
    error = (table["p"] <= ALPHA).groupby(table["feature"]).mean()
    print(f"repertoires of unequal depth, error of raw metrics: {error.to_dict()}")
    assert error["hill_0"] > 0.5

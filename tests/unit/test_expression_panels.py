import numpy as np
import pytest
from expression_tables import contrast, design_of, sums_of, without

from immune_landscape.expression_panels import panel_of, patients_with_sums
from immune_landscape.pseudobulk import library_factors, log_cpm

LOGS = {"normalisation": "tmm", "prior_count": 2}
SETTINGS = {"min_count": 10, "min_share": 0.25, **LOGS}


@pytest.fixture(scope="module")
def design():
    return design_of(4, 6)


@pytest.fixture(scope="module")
def sums(design):
    return sums_of(design, genes=80)


def test_numbers_are_changes_of_scaled_log_counts_of_the_genes_expressed(sums, design):
    panel = panel_of(sums, "nk", design, contrast(), **SETTINGS)
    used = sums.of("nk")[panel.genes]
    depth = sums.of("nk").sum(axis=1).to_numpy()
    logs = log_cpm(used, depth * library_factors(used, depth), prior_count=2)
    change = logs.loc["p03_after"] - logs.loc["p03_before"]
    assert panel.numbers.compared[3] == pytest.approx(change.to_numpy())
    assert panel.level == pytest.approx(logs.mean().to_numpy())
    assert panel.sizes == (4, 6)
    assert panel.has_effects


def test_other_counts_leave_patients_and_genes_as_they_are(sums, design):
    panel = panel_of(sums, "nk", design, contrast(adjust_baseline=True), **SETTINGS)
    halved = panel.counts.copy()
    halved[panel.genes[0]] /= 2
    other = panel.with_counts(halved, **LOGS)
    assert other.genes.equals(panel.genes)
    assert other.groups.table.equals(panel.groups.table)
    # Half of the counts in all samples is half of the level and hardly another change.
    assert other.level[0] == pytest.approx(panel.level[0] - 1, abs=0.1)
    assert np.abs(other.numbers.compared - panel.numbers.compared).max() < 0.2
    assert other.groups.baseline[:, 0] == pytest.approx(other.numbers.before[:, 0])
    assert np.abs(other.groups.baseline[:, 0] - panel.groups.baseline[:, 0]).min() > 0.5


def test_patients_without_a_sum_are_left_out_and_named(sums, design):
    lost = without(sums, {("p02_after", "nk")})
    groups, counts, lacking = patients_with_sums(lost, "nk", design, contrast())
    assert lacking == ["p02"]
    assert "p02" not in groups.table["patient"].tolist()
    assert counts.index.tolist()[:4] == ["p00_before", "p00_after", "p01_before", "p01_after"]
    assert panel_of(lost, "nk", design, contrast(), **SETTINGS).notes == ["left out for want of cells: p02"]


def test_a_subset_without_sums_has_no_effects(sums, design):
    panel = panel_of(sums, "t", design, contrast(), **SETTINGS)
    assert not panel.has_effects
    assert panel.sizes == (0, 0)
    assert panel.genes.empty

import warnings

import numpy as np
import pandas as pd
import pytest
from expression_tables import COMPARE, TESTING, contrast, design_of, sums_of
from scipy import stats

from immune_landscape.compare_expression import compare_expression
from immune_landscape.contrast_tests import ContrastSettings
from immune_landscape.errors import DesignError
from immune_landscape.expression_panels import panel_of
from immune_landscape.pseudobulk import Pseudobulk
from immune_landscape.set_effects import (
    SET_COLUMNS,
    GeneSets,
    chosen_sets,
    set_effects,
    sets_of_subset,
    watch_means,
    without_ambient_sets,
)
from immune_landscape.signature_registry import read_signatures

TANG, NAIVE = read_signatures()["cytotoxicity_tang"], read_signatures()["naive"]
RISING = list(dict.fromkeys([*TANG.genes, *NAIVE.negative]))
SLUGS = ["cytotoxicity_tang", "naive", "proinflammatory_nk_tang", "effector_molecules"]
SETTINGS = {"gene_sets": SLUGS, "min_set_genes": 3}


def named(sums):
    """Return the sums with genes of signatures in the place of the first ones."""
    first = [*RISING, *NAIVE.genes]
    genes = [*first, *sums.genes[len(first) :]]
    return Pseudobulk(sums.profiles, pd.Index(genes), sums.counts, sums.whole)


@pytest.fixture(scope="module")
def design():
    return design_of()


@pytest.fixture(scope="module")
def planted(design):
    """Genes of cytotoxicity rise; of those of naive cells the ones for fall and the ones against rise."""
    fold = {f"g{at:03d}": 0.8 if at < len(RISING) else -0.8 for at in range(len(RISING) + len(NAIVE.genes))}
    return named(sums_of(design, ("t", "nk", "b"), genes=150, planted=fold))


def compare(sums, design, chosen=None, testing=TESTING, **changes):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tables = compare_expression(sums, design, [chosen or contrast()], testing, 1, **(COMPARE | SETTINGS | changes))
    assert list(tables["gene_sets"]) == SET_COLUMNS
    return tables["gene_sets"].set_index(["subset", "signature"]), tables


def test_planted_sets_are_found_with_their_directions(planted, design):
    sets, _ = compare(planted, design)
    assert sets.loc[("t", "cytotoxicity_tang"), "p"] <= 0.02
    assert sets.loc[("t", "cytotoxicity_tang"), "direction"] == "up"
    assert sets.loc[("t", "cytotoxicity_tang"), "rank_shift"] > 0.2
    assert sets.loc[("t", "naive"), "p"] <= 0.02
    assert sets.loc[("t", "naive"), "direction"] == "down"
    assert sets.loc[("t", "naive"), "rank_shift"] < -0.2
    assert (sets["exact"] == False).all()  # noqa: E712 - a column
    assert (sets["permutations"] == 200).all()


def test_means_and_ranks_are_those_of_the_table_of_genes(planted, design):
    sets, tables = compare(planted, design)
    genes = tables["genes"]
    own = genes[genes["subset"] == "t"].set_index("gene")
    row = sets.loc[("t", "naive")]
    for_it = [gene for gene in NAIVE.genes if gene in own.index]
    against = [gene for gene in NAIVE.negative if gene in own.index]
    assert row["genes"] == len(for_it) + len(against)
    assert row["missing"] == len(NAIVE.genes) + len(NAIVE.negative) - row["genes"]
    expected = (own.loc[for_it, "t"].sum() - own.loc[against, "t"].sum()) / row["genes"]
    assert row["mean_t"] == pytest.approx(expected)
    share = (own["t"].rank() - 0.5) / len(own) - 0.5
    assert row["rank_shift"] == pytest.approx((share[for_it].sum() - share[against].sum()) / row["genes"])


def test_p_is_the_share_of_labelings_refitted_one_by_one(planted):
    """All 35 labelings of 3 and 4 patients, each with a new comparison of relabelled patients."""
    design = design_of(3, 4)
    exact = ContrastSettings(alpha=0.05, power=0.8, max_exact=100, draws=100, null_draws=100)
    few = {"min_first": 3, "min_second": 4}
    sets, _ = compare(planted, design, testing=exact, **few)
    row, means, patients = sets.loc[("t", "cytotoxicity_tang")], [], sorted(design["patient"].unique())
    from itertools import combinations

    for chosen in combinations(patients, 3):
        response = np.where(design["patient"].isin(chosen), "responder", "non_responder")
        again = compare_expression(
            planted, design.assign(response=response), [contrast()], exact._replace(intervals=False), 1, **COMPARE | few
        )["genes"]
        own = again[again["subset"] == "t"].set_index("gene")
        means.append(own.loc[[gene for gene in TANG.genes if gene in own.index], "t"].mean())
    assert row["exact"]
    assert row["permutations"] == 35
    assert row["p"] == pytest.approx(np.mean(np.abs(means) >= abs(row["mean_t"]) - 1e-9))


def test_sets_are_tested_in_the_subsets_of_their_branch(planted, design):
    sets, _ = compare(planted, design)
    by_subset = {name: set(part.index.get_level_values("signature")) for name, part in sets.groupby(level="subset")}
    anywhere = {"cytotoxicity_tang", "effector_molecules"}
    assert by_subset == {
        "t": anywhere | {"naive"},
        "nk": anywhere | {"proinflammatory_nk_tang"},
        "b": anywhere,
    }


def test_sets_with_too_few_genes_are_listed_without_p(planted, design):
    sets, _ = compare(planted, design)
    row = sets.loc[("nk", "proinflammatory_nk_tang")]
    assert row["status"] == "too_few_genes"
    assert np.isnan([row["mean_t"], row["p"], row["fdr"], row["fdr_pooled"]]).all()
    assert row["direction"] == ""


def test_rates_are_within_the_subset_and_over_all_of_them(planted, design):
    sets, _ = compare(planted, design)
    tested = sets[sets["status"] == "tested"]
    for _, own in tested.groupby(level="subset"):
        assert own["fdr"].to_numpy() == pytest.approx(stats.false_discovery_control(own["p"]))
    assert tested["fdr_pooled"].to_numpy() == pytest.approx(stats.false_discovery_control(tested["p"]))


def test_genes_that_also_define_the_subset_are_told(planted, design):
    sets, _ = compare(planted, design)
    note = sets.loc[("nk", "cytotoxicity_tang"), "note"]
    assert "also define the cell type" in note
    assert "GNLY" in note
    assert sets.loc[("b", "cytotoxicity_tang"), "note"] == ""


@pytest.mark.parametrize(
    "keys",
    [{"estimand": "change"}, {"estimand": "baseline", "target": ""}, {"covariates": ["age"]}, {"strata": ["site"]}],
)
def test_every_estimand_has_its_sets(planted, design, keys):
    sets, tables = compare(planted, design, contrast(**keys))
    runs = tables["subsets"].set_index("subset")["null_runs"]
    assert (sets.loc["t", "permutations"] == runs["t"]).all()
    assert sets.loc[("t", "naive"), "p"] > 0
    assert sets.loc[("t", "naive"), "p"] <= 1


def test_permuted_cohorts_pass_through_unchanged():
    rng = np.random.default_rng(0)
    blocks = [(rng.normal(size=(3, 4)), np.ones((3, 1))), (rng.normal(size=(2, 4)), np.ones((2, 1)))]
    sets = GeneSets([{}], np.array([[0.5, -0.5, 0, 0]]))
    means = []
    assert [block[0] is own[0] for block, own in zip(watch_means(blocks, sets, means), blocks, strict=True)] == [
        True
    ] * 2
    everything = np.vstack([block for block, _ in blocks])
    assert np.vstack(means)[:, 0] == pytest.approx((everything[:, 0] - everything[:, 1]) / 2)


def test_what_is_left_of_a_set_without_ambient_counts():
    row = {"signature": "s", "genes": 2, "missing": 0, "status": "tested", "note": ""}
    few = row | {"signature": "few", "status": "too_few_genes"}
    sets = GeneSets([row, few], np.array([[0.5, 0.5, 0.0], [0.0, 0.0, 0.0]]))
    table = set_effects(np.array([3.0, 1.0, 0.0]), sets, np.zeros((3, 2)), exact=False)
    found = without_ambient_sets(table, sets, np.array([1.0, 0.5, 9.0]))
    assert found["mean_t_ambient_removed"].iloc[0] == 0.75
    assert found["depends_on_ambient"].iloc[0]
    assert found[["mean_t_ambient_removed", "depends_on_ambient"]].iloc[1].isna().all()
    unknown = without_ambient_sets(table, sets, np.full(3, np.nan))
    assert unknown[["mean_t_ambient_removed", "depends_on_ambient"]].isna().all(axis=None)


def test_sampled_permutations_count_the_one_observed():
    row = {"signature": "s", "genes": 2, "missing": 0, "status": "tested", "note": ""}
    sets, t = GeneSets([row], np.array([[0.5, 0.5, 0.0]])), np.array([3.0, 1.0, 0.0])
    means = np.array([[-2.5], [0.1], [1.9], [2.0]])
    assert set_effects(t, sets, means, exact=False)["p"].tolist() == [pytest.approx(3 / 5)]
    assert set_effects(t, sets, means, exact=True)["p"].tolist() == [pytest.approx(2 / 4)]


def test_no_sets_and_no_permuted_cohorts_give_an_empty_table(planted, design):
    assert compare(planted, design, gene_sets=[])[0].empty
    assert compare(planted, design, testing=TESTING._replace(intervals=False))[0].empty
    assert compare(planted, design, min_first=9)[0].empty


def test_unknown_sets_are_all_named():
    with pytest.raises(DesignError, match=r"'nonsense', 'other'.*cytotoxicity_tang"):
        chosen_sets(["cytotoxicity_tang", "nonsense", "other"])


def test_a_subset_that_is_no_known_cell_type_has_the_sets_of_any_branch(planted, design):
    panel = panel_of(planted, "t", design, contrast(), min_count=10, min_share=0.25, normalisation="tmm", prior_count=2)
    sets = sets_of_subset("cluster 7", chosen_sets(SLUGS), panel.genes, min_genes=3)
    assert [row["signature"] for row in sets.rows] == ["cytotoxicity_tang", "effector_molecules"]

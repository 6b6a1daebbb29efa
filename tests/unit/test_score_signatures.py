import anndata
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from datasets import shared_data
from made_signatures import RESPONSE_BY_VISIT, all_tested, design_of, make_cells

from immune_landscape.compare_values import compare_values
from immune_landscape.contrast_tests import ContrastSettings
from immune_landscape.errors import DesignError
from immune_landscape.judge_signatures import judge_signatures
from immune_landscape.reduce_cells import normalise
from immune_landscape.score_signatures import SCOPE_COLUMNS, score_signatures
from immune_landscape.signature_registry import read_signatures
from immune_landscape.value_tables import VALUE_COLUMNS

SETTINGS = {
    "signatures": ["proinflammatory_nk_tang", "effector_molecules", "exhaustion_t", "naive"],
    "min_genes": 3,
    "min_share": 0.5,
    "min_cells": 10,
    "max_sparse_share": 0.4,
    "min_weight": 0.5,
    "n_bins": 6,
    "max_overlap": 0.2,
}
LIGHT = ContrastSettings(0.05, 0.8, 5_000_000, 1000, intervals=False)


def levels(seed=2):
    """Expected counts of three subsets; effector molecules are high in one of the NK subsets alone."""
    rng = np.random.default_rng(seed)
    known = read_signatures()
    own = [gene for name in SETTINGS["signatures"][:3] for gene in (*known[name].genes, *known[name].negative)]
    genes = [*dict.fromkeys(own), *(f"GENE{number}" for number in range(200))]
    base = dict(zip(genes, rng.gamma(1.5, 1.0, len(genes)), strict=True))
    high = base | {gene: 3 * base[gene] + 1 for gene in known["effector_molecules"].genes}
    return {"nk_c4_zeb2": high, "nk_cd56bright": base, "cd8_teff": base}


def score(counts, labels, **changes):
    return score_signatures(counts, labels, {"nk": ["GNLY"], "t": []}, **SETTINGS | changes)


@pytest.fixture(scope="module")
def scored():
    numbers = {(f"S{at}", subset): 15 + 10 * at for at in range(3) for subset in levels()} | {("S9", "cd8_teff"): 3}
    counts, labels = make_cells(numbers, levels())
    return counts, labels, *score(counts, labels)


def of(values, parent, feature):
    chosen = values[(values["parent"] == parent) & (values["feature"] == feature)]
    return chosen.set_index("sample")["value"]


@pytest.mark.parametrize("feature", ["effector_molecules", "exhaustion_t"])
def test_values_are_means_of_scanpys_scores_of_the_cells(scored, feature):
    counts, labels, tables, _ = scored
    signature = read_signatures()[feature]
    cells = labels.index[labels["branch"] == "t"]
    normal = normalise(counts[cells], 1e4)
    for name, genes in (("for", signature.genes), ("against", signature.negative)):
        normal.obs[name] = 0.0
        if genes:
            sc.tl.score_genes(normal, list(genes), ctrl_size=normal.n_vars, n_bins=SETTINGS["n_bins"], score_name=name)
    wanted = (normal.obs["for"] - normal.obs["against"]).groupby(labels.loc[cells, "sample"].to_numpy()).mean()
    found = of(tables["values"], "t", feature)
    assert bool(signature.negative) == (feature == "exhaustion_t")
    assert found.to_numpy() == pytest.approx(wanted.loc[found.index].to_numpy(), abs=1e-5)


def test_values_have_the_columns_that_are_compared(scored):
    values = scored[2]["values"]
    assert list(values.columns) == [*VALUE_COLUMNS, "note"]
    assert set(values["unit"]) == {"score"}
    assert values["value"].notna().all()
    assert values[["low", "high"]].isna().all(axis=None)
    assert not values.duplicated(["sample", "parent", "feature"]).any()


def test_signatures_stay_in_their_branch(scored):
    values = scored[2]["values"]
    nk = {"nk", "nk_adjusted", "nk_c4_zeb2", "nk_cd56bright"}
    t = {"t", "t_adjusted", "cd8_teff"}
    parents = values.groupby("feature")["parent"].agg(set)
    assert parents["proinflammatory_nk_tang"] == nk
    assert parents["exhaustion_t"] == t
    assert parents["effector_molecules"] == nk | t


def test_a_signature_without_its_genes_is_listed_and_not_scored(scored):
    tables = scored[2]
    row = tables["registry"].set_index("signature").loc["naive"]
    assert row["status"] == "too few genes"
    assert row["found"] < 3
    assert "naive" not in set(tables["values"]["feature"])
    assert "naive" not in set(tables["overlap"]["signature"])


def test_sparse_scopes_are_listed_and_not_scored(scored):
    counts, labels, _, profiles = scored
    tables, fewer = score(counts, labels, min_cells=20)
    scopes = tables["scopes"].set_index("parent")
    assert list(tables["scopes"].columns) == SCOPE_COLUMNS
    # Of four samples S1 and S2 have 25 and 35 cells of each subset, and S0 30 NK cells in all.
    assert scopes.loc["nk", ["samples", "measured", "status"]].tolist() == [4, 3, "scored"]
    assert scopes.loc["cd8_teff", ["samples", "measured", "status"]].tolist() == [4, 2, "too sparse"]
    assert "cd8_teff" not in set(tables["values"]["parent"]) | set(fewer.obs["scope"])
    assert "cd8_teff" in set(profiles.obs["scope"])


def test_unknown_signature_is_refused(scored):
    with pytest.raises(DesignError, match="'nobody'"):
        score(*scored[:2], signatures=["nobody"])


def test_no_cell_of_a_branch_gives_empty_tables_with_columns():
    counts, labels = make_cells({("S1", "b"): 20}, {"b": {f"G{at}": 2.0 for at in range(30)}})
    tables, profiles = score(counts, labels)
    assert list(tables["values"].columns) == [*VALUE_COLUMNS, "note"]
    assert tables["values"].empty
    assert tables["overlap"].empty
    assert profiles.n_obs == 0


def cohort(shift_of, seed):
    """Return counts and labels of 19 patients; responders' share of the high subset moves on treatment."""
    rng = np.random.default_rng(seed)
    numbers = {}
    for row in design_of().to_dict("records"):
        moved = row["response"] == "responder" and row["visit"] == "after"
        share = np.clip(0.35 + rng.normal(0, 0.05) + (shift_of if moved else 0.0), 0.2, 0.8)
        numbers[row["sample"], "nk_c4_zeb2"] = high = int(100 * share)
        numbers[row["sample"], "nk_cd56bright"] = 100 - high
    return make_cells(numbers, levels(), seed)


def effects(values):
    tested = compare_values(values, design_of(), [RESPONSE_BY_VISIT], "signatures", LIGHT, 0)["contrasts"]
    return tested.set_index(["parent", "feature"])


def test_adjusted_score_does_not_move_with_the_composition_alone_and_the_plain_score_does():
    values = score(*cohort(0.3, 7), signatures=["effector_molecules"])[0]["values"]
    found = effects(values).xs("effector_molecules", level="feature")
    assert found.loc["nk", "effect"] > 0.15
    assert found.loc["nk", "p"] < 0.001
    assert abs(found.loc["nk_adjusted", "effect"]) < 0.03
    assert found.loc["nk_adjusted", "p"] > 0.05
    for subset in ("nk_c4_zeb2", "nk_cd56bright"):
        assert abs(found.loc[subset, "effect"]) < 0.05


def test_profiles_are_what_the_stage_may_store(scored, tmp_path):
    profiles = scored[3]
    assert profiles.X is None
    assert list(profiles.obs.columns) == ["sample", "scope", "branch", "cells", "weight"]
    assert list(profiles.var.columns) == ["bin_nk", "bin_t"]
    profiles.write_h5ad(tmp_path / "profiles.h5ad", compression="gzip")
    again = anndata.read_h5ad(tmp_path / "profiles.h5ad")
    pd.testing.assert_frame_equal(again.obs, profiles.obs, check_dtype=False, check_categorical=False)
    assert (np.asarray(again.layers["mean_log"]) == np.asarray(profiles.layers["mean_log"])).all()


def test_interferon_raises_its_signature_alone_in_real_cells_of_every_donor():
    counts = anndata.read_h5ad(shared_data("kang2018_ifnb") / "kang_muscat_2donor_paired_counts.h5ad")
    counts.var_names = counts.var["symbol"].astype(str).to_numpy()
    counts = counts[:, ~counts.var_names.duplicated()].copy()
    labels = pd.DataFrame({"sample": counts.obs["sample_id"].astype(str)})
    helper = counts.obs["cluster_id"].astype(str).to_numpy() == "CD4 T cells"
    labels["branch"], labels["subset"] = np.where(helper, "t", "other"), np.where(helper, "cd4_tcm", "b")
    chosen = ["ifn_alpha_core", "stress_tang"]
    tables, profiles = score(counts, labels, signatures=chosen, n_bins=25)
    rise = {}
    for feature in chosen:
        values = of(tables["values"], "t", feature)
        rise[feature] = [values[f"stim{donor}"] - values[f"ctrl{donor}"] for donor in (101, 107)]
    assert min(rise["ifn_alpha_core"]) > 1
    assert np.abs(rise["stress_tang"]).max() < 0.1

    samples = counts.obs.drop_duplicates("sample_id").astype(str)
    design = samples.rename(columns={"sample_id": "sample", "donor": "patient", "group_id": "visit"})
    design = design.assign(tissue="blood", batch="b1", gex="x", response="", arm="").reset_index(drop=True)
    contrast = {"name": "change", "estimand": "change", "reference": "ctrl", "target": "stim"}
    tested = all_tested(contrast, chosen, "t")
    nulls = judge_signatures(profiles, tables["registry"], tested, design, [contrast], 0, draws=199)
    nulls = nulls.set_index("feature")
    assert nulls["effect"].to_list() == pytest.approx([np.mean(rise[name]) for name in nulls.index])
    assert nulls.loc["ifn_alpha_core", "null_p"] == pytest.approx(1 / 200)
    assert nulls.loc["stress_tang", "null_p"] > 0.05

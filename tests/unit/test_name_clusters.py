import anndata
import numpy as np
import pandas as pd
import pytest
from cells import make_counts, make_groups

from immune_landscape import store
from immune_landscape.anchors import match_anchors, read_anchors
from immune_landscape.cell_types import read_markers, types_of
from immune_landscape.name_clusters import (
    COLUMNS,
    DOUBLET_RICH,
    NO_STATE,
    SHARE_COLUMNS,
    TEXTS,
    cluster_names,
    name_clusters,
    nearest_states,
    suspects,
    top_markers,
)

NK = read_markers()["nk"]
SETTINGS = {
    "marker_share": 0.2, "marker_fold": 0.25, "exclude_genes": ["RP[SL].*"], "min_similarity": 0.3, "min_margin": 0.05,
    "max_share": 0.5, "max_doublets": 0.5,
}  # fmt: skip
STUDY = {"tissues": ["blood"], "batch_key": "batch"}
PAPER = read_anchors({"ZEB2": "nk_c4_zeb2", "IL7": "nk_c5_il7", "IL7R": "c5", "TNFSF8": "nk_c11_tnfsf8"}, "nk")
GROUPS = {
    "terminal": ["ZEB2", *NK["proxy_c4_ZEB2_terminal"]["genes"]],
    "bright": [gene for gene in NK["CD56bright"]["genes"] if gene != "IL7R"],
    "cycling": NK["proliferating"]["genes"],
}


def scores_of(counts, high=()):
    """Return doublet scores that fall from cell to cell; those of the cells in `high` lie above all others."""
    table = counts.obs[["sample"]].rename_axis("cell")
    among = pd.Series(table.index.isin(high), index=table.index)
    rate = among.groupby(table["sample"]).transform("mean")
    return table.assign(expected_rate=rate, doublet_score=np.linspace(0.2, 0.1, len(table)) + 0.5 * among)


def named_of(sizes, groups=GROUPS, *, patients=6, study=STUDY, branch="nk", carriers=None, doublets=(), **changes):
    counts, truth = make_groups(sizes, groups, samples=patients)
    if carriers is not None:
        counts.obs["sample"] = carriers(truth)
    cluster = pd.Series(truth, index=counts.obs_names).map({name: str(at) for at, name in enumerate(sizes)})
    label = [f"nk_{name}" for name in truth]
    subsets = pd.DataFrame({"sample": counts.obs["sample"], "cluster": cluster, "subset": label})
    design = pd.DataFrame({"sample": [f"S{i}" for i in range(patients)]})
    design = design.assign(patient=[f"P{i}" for i in range(patients)], batch=[f"b{i % 3}" for i in range(patients)])
    anchors = match_anchors(counts, cluster, PAPER if branch == "nk" else PAPER.iloc[:0], 1.0, 0.1)
    scores = scores_of(counts, counts.obs_names[np.isin(truth, list(doublets or ()))])
    if doublets is None:
        scores["doublet_score"] = np.nan
    return name_clusters(counts, subsets, anchors, scores, design, branch, study, **(SETTINGS | changes))


def test_anchored_clusters_keep_their_number_and_others_take_the_rest_by_size():
    table, _ = named_of({"cycling": 90, "terminal": 60, "bright": 70})
    assert list(table.columns) == COLUMNS
    assert table["cells"].tolist() == [90, 70, 60]
    assert table["anchor"].tolist() == ["", "", "ZEB2"]
    assert table["name"].str.partition("-")[0].tolist() == ["c1", "c2", "c4"]
    assert table["name"].iloc[2] == "c4-ZEB2"
    for group, row in zip(["cycling", "bright"], table.to_dict("records"), strict=False):
        assert row["marker"] in GROUPS[group]
        assert row["name"].endswith(row["marker"])
        assert row["subset"] == f"nk_{group}"


def test_each_cluster_gets_its_published_state():
    table, _ = named_of({"cycling": 90, "terminal": 60, "bright": 70})
    assert table["state"].tolist() == ["pub_proliferating", "pub_cd56bright", "pub_terminal_zeb2"]
    assert (table["margin"] > 0).all()
    assert (table["nearest"] == table["state"]).all()


@pytest.mark.parametrize("limit", ["min_similarity", "min_margin"])
def test_a_state_too_unlike_or_too_near_the_second_is_not_claimed_but_told(limit):
    table, _ = named_of({"cycling": 90, "terminal": 60, "bright": 70})
    column = limit.removeprefix("min_")
    strict, _ = named_of({"cycling": 90, "terminal": 60, "bright": 70}, **{limit: table[column].max() - 1e-9})
    assert strict.loc[strict[column].idxmax(), "state"] == table.loc[table[column].idxmax(), "state"]
    assert (strict["state"] == NO_STATE).sum() == 2
    assert strict["nearest"].tolist() == table["state"].tolist()


def test_states_that_no_gene_tells_apart_give_no_warning():
    counts, truth = make_groups({"terminal": 20, "bright": 20}, GROUPS)
    states = types_of("published", branch="nk").loc[["pub_cd56bright"]]
    twice = pd.concat([states, states.rename(index={"pub_cd56bright": "again"})])
    genes = [gene for gene in NK["CD56bright"]["genes"] if gene in counts.var_names]
    only = counts[:, [*genes, *(f"BG{i}" for i in range(300))]].copy()
    found = nearest_states(only, pd.Series(truth, index=counts.obs_names), twice, 0.3, 0.05)
    assert (found["state"] == NO_STATE).all()
    assert (found["similarity"] == 0).all()


def test_similarity_is_a_correlation_over_the_genes_of_all_states():
    counts, truth = make_groups({"terminal": 40, "bright": 50}, {name: GROUPS[name] for name in ("terminal", "bright")})
    states = types_of("published", branch="nk").loc[["pub_cd56bright", "pub_terminal_zeb2"]]
    found = nearest_states(counts, pd.Series(truth, index=counts.obs_names), states, 0.3, 0.05)
    sets = [NK["CD56bright"], NK["proxy_c4_ZEB2_terminal"]]
    genes = [gene for gene in counts.var_names if any(gene in entry["genes"] + entry["negative"] for entry in sets)]
    values = np.log1p(counts[:, genes].X.toarray() / counts.X.sum(axis=1) * 1e4)
    gap = values[truth == "bright"].mean(axis=0) - values[truth != "bright"].mean(axis=0)
    marks = [[(gene in entry["genes"]) - float(gene in entry["negative"]) for gene in genes] for entry in sets]
    expected = [np.corrcoef(gap / values.std(axis=0, ddof=1), mark)[0, 1] for mark in marks]
    assert found.at["bright", "state"] == "pub_cd56bright"
    assert found.at["bright", "similarity"] == pytest.approx(expected[0], abs=1e-4)
    assert found.at["bright", "margin"] == pytest.approx(expected[0] - expected[1], abs=1e-4)


def test_names_of_clusters_that_share_an_anchor_or_lack_a_gene():
    anchors = pd.DataFrame({"anchor": ["ZEB2", "NCR3", "NCAM1"], "number": [4, 1, 0]})
    named = pd.DataFrame(
        {"anchor": ["ZEB2", "", "ZEB2", "", "NCAM1", "ZEB2"], "marker": ["A", "B", "C", "", "XCL1", "D"]}
    )
    expected = ["c4-ZEB2", "c2-B", "c4-ZEB2.2", "c3", "c5-NCAM1", "c4-ZEB2.3"]
    assert cluster_names(named, anchors).tolist() == expected


def test_an_anchor_without_a_cluster_leaves_its_number_free():
    names = named_of(dict.fromkeys((f"g{i}" for i in range(7)), 30), {f"g{i}": [f"X{i}"] for i in range(7)})[0]["name"]
    assert names.tolist() == ["c1-X0", "c2-X1", "c3-X2", "c6-X3", "c7-X4", "c8-X5", "c9-X6"]


def test_order_of_cells_and_genes_changes_nothing():
    counts, truth = make_groups({"cycling": 50, "bright": 40, "terminal": 30}, GROUPS, samples=6)
    cluster = pd.Series(truth, index=counts.obs_names).map({"cycling": "0", "bright": "1", "terminal": "2"})
    subsets = pd.DataFrame({"sample": counts.obs["sample"], "cluster": cluster, "subset": truth})
    design = pd.DataFrame({"sample": [f"S{i}" for i in range(6)], "patient": list("aabbcc"), "batch": "b"})
    # A gene and its copy have one rank.
    copies = counts.copy()
    copies.var_names = [f"COPY-{gene}" for gene in counts.var_names]
    counts = anndata.concat([counts, copies], axis=1, merge="first")
    rng = np.random.default_rng(0)
    turned = counts[rng.permutation(counts.n_obs), rng.permutation(counts.n_vars)].copy()
    found = []
    for each in (counts, turned):
        anchors = match_anchors(each, cluster[each.obs_names], PAPER, 1.0, 0.1)
        scores = scores_of(counts).loc[each.obs_names]
        found.append(name_clusters(each, subsets, anchors, scores, design, "nk", STUDY, **SETTINGS))
    for one, other in zip(*found, strict=True):
        pd.testing.assert_frame_equal(one, other, rtol=1e-4)


def test_a_cluster_too_weak_in_an_anchor_does_not_bear_its_name():
    # TNFSF8 is the best gene of the cluster, and its fold below what names a cluster of the paper.
    values = np.array([[30, 20, 500]] * 40 + [[20, 20, 500]] * 40)
    counts = make_counts(values, ["TNFSF8", "KLRC2", "ACTB"], [f"S{i % 6}" for i in range(80)])
    counts.X[:40, 1] = 22
    cluster = pd.Series(["0"] * 40 + ["1"] * 40, index=counts.obs_names)
    subsets = pd.DataFrame({"sample": counts.obs["sample"], "cluster": cluster, "subset": "nk_cd56dim"})
    design = pd.DataFrame({"sample": [f"S{i}" for i in range(6)], "patient": "P", "batch": "b"})
    anchors = match_anchors(counts, cluster, PAPER, 1.0, 0.1)
    assert anchors.set_index("anchor").at["TNFSF8", "status"] == "no match"
    settings = SETTINGS | {"marker_fold": 0.01}
    table, _ = name_clusters(counts, subsets, anchors, scores_of(counts), design, "nk", STUDY, **settings)
    assert table.set_index("cluster").at["0", "name"].endswith("KLRC2")
    assert not table["name"].str.contains("TNFSF8").any()


def test_t_clusters_are_named_without_anchors_and_states():
    sets = {"treg": "Treg", "mait": "MAIT"}
    groups = {slug: read_markers()["t"][name]["genes"] for slug, name in sets.items()}
    table, _ = named_of({"treg": 60, "mait": 50}, groups, branch="t")
    assert table["name"].str.partition("-")[0].tolist() == ["c1", "c2"]
    assert (table["anchor"] == "").all()
    assert (table["state"] == NO_STATE).all()


def test_the_marker_is_wide_enough_and_not_excluded():
    values = np.array([[9, 9, 30, 50]] * 4 + [[9, 9, 0, 50]] * 16 + [[1, 1, 0, 50]] * 20)
    counts = make_counts(values, ["RPS4X", "KLRC2", "RARE", "ACTB"], ["S1"] * 40)
    cluster = pd.Series(["0"] * 20 + ["1"] * 20, index=counts.obs_names)
    assert top_markers(counts, cluster, 0.5, 0.25, ["RP[SL].*"]).to_dict() == {"0": "KLRC2", "1": "ACTB"}
    assert top_markers(counts, cluster, 0.5, 0.25, [])["0"] in ("KLRC2", "RPS4X")
    assert (top_markers(counts, cluster, 0.5, 9.0, []) == "").all()


def one_patient(truth):
    """Give the bright cells to one patient, all others to everybody."""
    return ["S3" if name == "bright" else f"S{i % 6}" for i, name in enumerate(truth)]


def one_batch(truth):
    """Give the bright cells to the two patients of one batch."""
    return [f"S{1 + 3 * (i % 2)}" if name == "bright" else f"S{i % 6}" for i, name in enumerate(truth)]


@pytest.mark.parametrize(("carriers", "by", "patients"), [(one_patient, "patient", 1), (one_batch, "batch", 2)])
def test_a_cluster_that_one_patient_or_batch_carries_is_flagged(carriers, by, patients):
    table, shares = named_of({"cycling": 90, "terminal": 60, "bright": 40}, carriers=carriers)
    table = table.set_index("subset")
    assert table["flag"].to_dict() == {"nk_cycling": "", "nk_terminal": "", "nk_bright": f"one {by}"}
    assert table.at["nk_bright", "patients"] == patients
    assert table.at["nk_bright", "largest_batch_share"] == 1
    assert list(shares.columns) == SHARE_COLUMNS
    assert shares.groupby(["cluster", "by"])["share"].sum().to_numpy() == pytest.approx(1)
    assert shares.groupby("by")["cells"].sum().to_dict() == {"batch": 190, "patient": 190}


def test_a_cluster_with_the_scores_of_doublets_is_flagged_and_no_other():
    sizes = {"cycling": 90, "terminal": 60, "bright": 40}
    table = named_of(sizes, doublets=["bright"])[0].set_index("subset")
    assert table["flag"].to_dict() == {"nk_cycling": "", "nk_terminal": "", "nk_bright": DOUBLET_RICH}
    assert table["doublet_share"].to_dict() == {"nk_cycling": 0, "nk_terminal": 0, "nk_bright": 1}
    both = named_of(sizes, doublets=["bright"], carriers=one_batch)[0].set_index("subset")
    assert both.at["nk_bright", "flag"] == f"one batch, {DOUBLET_RICH}"
    assert (named_of(sizes, doublets=["bright"], max_doublets=1.0)[0]["flag"] == "").all()


def test_as_many_cells_of_a_sample_are_suspects_as_doublets_are_expected_whatever_their_order():
    scores = pd.DataFrame(
        {
            "sample": ["A"] * 10 + ["B"] * 10 + ["C"] * 3,
            "expected_rate": [0.2] * 10 + [0.1] * 10 + [0.5] * 3,
            "doublet_score": [*range(10), *([0.3] * 4), *([0.1] * 6), *([np.nan] * 3)],
        },
        index=pd.Index([f"c{i}" for i in range(23)], name="cell"),
    )
    found = suspects(scores)
    assert set(found.index[found == 1]) == {"c8", "c9"}, "four cells of B share the one place"
    assert found[scores["sample"] == "C"].isna().all()
    turned = scores.iloc[::-1]
    pd.testing.assert_series_equal(suspects(turned)[scores.index], found)


def test_samples_too_small_for_doublet_scores_give_no_flag():
    table, _ = named_of({"bright": 20, "cycling": 30}, doublets=None)
    assert table["doublet_share"].isna().all()
    assert (table["flag"] == "").all()


def test_a_cohort_of_one_patient_has_nothing_to_flag():
    table, _ = named_of({"cycling": 50, "bright": 40}, patients=1)
    assert (table["largest_patient_share"] == 1).all()
    assert (table["flag"] == "").all()


def test_tables_come_back_from_disk_as_they_were(tmp_path):
    for name, table in zip(("clusters", "shares"), named_of({"cycling": 50, "bright": 40}), strict=True):
        store.write_table(table, tmp_path / f"{name}.tsv", TEXTS)
        back = store.read_table(tmp_path / f"{name}.tsv")
        pd.testing.assert_frame_equal(back, table, check_dtype=False, rtol=1e-5)


def test_one_cluster_and_no_cells():
    table, _ = named_of({"bright": 30})
    assert table["cells"].tolist() == [30]
    assert table["state"].tolist() == [NO_STATE]
    counts, _ = make_groups({"bright": 2}, GROUPS | {"bright": GROUPS["bright"]})
    empty = counts[:0].copy()
    subsets = pd.DataFrame({"sample": [], "cluster": [], "subset": []})
    anchors = match_anchors(empty, pd.Series(dtype=object), PAPER, 1.0, 0.1)
    design = pd.DataFrame({"sample": ["S0"], "patient": ["P0"], "batch": ["b0"]})
    for table, columns in zip(
        name_clusters(empty, subsets, anchors, scores_of(counts), design, "nk", STUDY, **SETTINGS),
        (COLUMNS, SHARE_COLUMNS),
        strict=True,
    ):
        assert table.empty
        assert list(table.columns) == columns

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from cells import make_groups
from sklearn.metrics import adjusted_rand_score

from immune_landscape import store
from immune_landscape.annotate_subsets import annotate_subsets
from immune_landscape.cell_types import read_markers
from immune_landscape.cluster_cells import find_clusters, find_neighbours
from immune_landscape.compare_composition import compare_composition
from immune_landscape.contrast_tests import ContrastSettings
from immune_landscape.measure_composition import measure_composition
from immune_landscape.seeds import seed_of
from immune_landscape.sweep_labels import LABEL_COLUMNS, STABILITY_COLUMNS, BranchData, sweep_labels

STAGES = {
    "cluster_cells": {"n_neighbors": 15, "exact_below": 40_000, "resolution": {"nk": 0.5, "t": 0.5}},
    "annotate_subsets": {
        "min_score": 0.0,
        "min_margin": 0.1,
        "anchors": {"ZEB2": "nk_c4_zeb2", "IL7": "nk_c5_il7"},
        "anchor_fold": 1.0,
        "anchor_share": 0.1,
    },
    "measure_composition": {"branches": ["nk", "t"]},
    "compare_composition": {
        "pseudo_count": 0.5,
        "min_cells": 5,
        "max_sparse_share": 0.3,
        "min_reference_share": 0.05,
    },
}
STUDY = {
    "contrasts": [
        {"name": "c", "estimand": "response_by_visit", "reference": "v1", "target": "v2", "parents": ["all", "nk", "t"]}
    ],
    "tissues": ["blood"],
    "testing": {"alpha": 0.05, "power": 0.8, "max_exact": 10_000, "draws": 1_000, "null_draws": 200},
}
SETTINGS = {
    "seeds": 2,
    "resolution_factors": [0.8, 1.0],
    "representations": ["integrated", "centred"],
    "annotators": ["cell", "cluster"],
}
PATIENTS, VISITS = 8, ("v1", "v2")
NK, T = read_markers()["nk"], read_markers()["t"]
GROUPS = {
    "nk": {"nk_c4_zeb2": ["ZEB2", *NK["CD56dim"]["genes"]], "nk_cd56bright": NK["CD56bright"]["genes"]},
    "t": {slug: T[name]["genes"] for slug, name in {"treg": "Treg", "mait": "MAIT", "cd8_tn": "CD8_Tn"}.items()},
}
RISING = "cd8_tn"


def design_of():
    rows = [
        {
            "sample": f"p{at}_{visit}", "patient": f"p{at}", "visit": visit, "tissue": "blood", "gex": "x",
            "response": "responder" if at < PATIENTS // 2 else "non_responder", "batch": f"b{at % 2}",
        }
        for at in range(PATIENTS)
        for visit in VISITS
    ]  # fmt: skip
    return pd.DataFrame(rows)


def points_of(counts, batch, shift):
    """Return coordinates that tell the planted groups, moved by batch where asked."""
    markers = sorted({gene for groups in GROUPS.values() for genes in groups.values() for gene in genes})
    present = [gene for gene in markers if gene in counts.var_names]
    points = np.log1p(counts[:, present].X.toarray().astype(np.float32))
    return points + shift * (batch == "b1").to_numpy()[:, None].astype(np.float32)


def branch_of(branch, design, shift=6.0):
    """Return one branch; its rising group rises in responders."""
    groups = GROUPS[branch]
    counts, truth = make_groups(dict.fromkeys(groups, 400), groups)
    rng = np.random.default_rng(1)
    late = ((design["response"] == "responder") & (design["visit"] == "v2")).to_numpy()
    chances = {name: np.where(late & (name == RISING), 3.0, 1.0) for name in groups}
    counts.obs["sample"] = [rng.choice(design["sample"], p=chances[name] / chances[name].sum()) for name in truth]
    batch = counts.obs["sample"].map(design.set_index("sample")["batch"])
    spaces = {"X_pca": points_of(counts, batch, shift), "X_integrated": points_of(counts, batch, 0.0)}
    facts = {"genes": [], "integrated": True}
    reduction = store.addition(counts.obs_names, obsm=spaces, uns={"reduction": facts})
    graph = find_neighbours(pd.DataFrame(spaces["X_integrated"], index=counts.obs_names), 15, 40_000, 0)
    clusters = store.addition(
        counts.obs_names,
        obs=pd.DataFrame({"cluster": find_clusters(graph, 0.5, 0)}),
        obsp={"connectivities": graph.obsp["connectivities"]},
        uns={"clustering": {"resolution": 0.5}},
    )
    return BranchData(counts, reduction, clusters, batch)


@pytest.fixture(scope="module")
def toy():
    """Return branches, frozen labels, design and the comparison of the frozen labels."""
    design = design_of()
    branches = {name: branch_of(name, design) for name in GROUPS}
    tables = []
    for name, data in branches.items():
        cells, _ = annotate_subsets(data.counts, data.reduction, data.clusters, name, **STAGES["annotate_subsets"])
        cells.index = [f"{name}{cell}" for cell in cells.index]
        for part in (data.counts, data.reduction, data.clusters):
            part.obs_names = cells.index
        data.batch.index = cells.index
        tables.append(cells.assign(branch=name, lineage=name))
    frozen = pd.concat(tables)
    return branches, frozen, design, compared(frozen, design)


def compared(cells, design):
    composition = measure_composition(cells, design, **STAGES["measure_composition"])
    testing = ContrastSettings(**STUDY["testing"], intervals=False)
    return compare_composition(composition, design, STUDY["contrasts"], testing, 1, **STAGES["compare_composition"])[
        "contrasts"
    ]


def sweep(toy, **changes):
    branches, frozen, design, tested = toy
    return sweep_labels(branches, frozen, design, tested, STUDY | {"stages": STAGES}, 1, **(SETTINGS | changes))


@pytest.fixture(scope="module")
def swept(toy):
    return sweep(toy)


def test_clear_cut_subsets_keep_their_sign_in_every_run(toy, swept):
    stability = swept["stability"].set_index("subset")
    assert list(swept["stability"].columns) == STABILITY_COLUMNS
    assert (stability["runs"] == 2 * 2 * 2 * 2).all()
    assert stability.at[RISING, "share_present"] == 1
    assert stability.at[RISING, "share_same_sign"] == 1
    assert stability.at[RISING, "share_nominal"] == 1
    assert 0 < stability.at[RISING, "effect_low"] <= stability.at[RISING, "effect_high"]
    frozen = toy[3].set_index("subset")["effect"]
    assert stability.at[RISING, "effect_low"] <= frozen[RISING] <= stability.at[RISING, "effect_high"]


def test_runs_agree_with_the_frozen_labels_cell_by_cell(swept):
    runs = swept["runs"]
    assert len(runs) == 16 * 2
    assert runs["ari"].min() > 0.9
    assert runs["run"].nunique() == 16


def test_lineages_are_not_followed(swept):
    assert set(swept["stability"]["parent"]) == {"nk", "t"}
    assert set(swept["labels"]["parent"]) == {"nk", "t"}


def test_stability_sums_up_the_labels(swept):
    labels, stability = swept["labels"], swept["stability"]
    assert list(labels.columns) == LABEL_COLUMNS
    for row in stability.to_dict("records"):
        own = labels[(labels["parent"] == row["parent"]) & (labels["subset"] == row["subset"])]
        assert row["share_present"] == len(own) / row["runs"]
        assert row["share_same_sign"] == own["same_sign"].mean()
        assert row["share_nominal"] == (own["p"] <= 0.05).mean()
        assert (row["effect_low"], row["effect_high"]) == (own["effect"].min(), own["effect"].max())


def test_a_run_is_what_the_stages_give_one_after_the_other(toy, swept):
    branches, frozen, design, _ = toy
    cells = frozen.copy()
    for name, data in branches.items():
        seed = seed_of(1, name, "integrated", "0.8", "2")
        again = data.clusters.copy()
        again.obs["cluster"] = find_clusters(data.clusters, 0.5 * 0.8, seed)
        named, _ = annotate_subsets(data.counts, data.reduction, again, name, **STAGES["annotate_subsets"])
        cells.loc[named.index, "subset"] = named["subset"]
        told = swept["runs"].query(f"run == 'integrated_cell_r0.8_s2' and branch == '{name}'").iloc[0]
        assert told["clusters"] == again.obs["cluster"].nunique()
        assert told["ari"] == adjusted_rand_score(frozen.loc[named.index, "subset"], named["subset"])
    expected = compared(cells, design).set_index(["parent", "subset"])
    found = swept["labels"].query("run == 'integrated_cell_r0.8_s2'")
    assert len(found)
    for row in found.to_dict("records"):
        assert row["effect"] == pytest.approx(expected.at[(row["parent"], row["subset"]), "effect"])
        assert row["p"] == pytest.approx(expected.at[(row["parent"], row["subset"]), "p"])


def in_one_piece(toy):
    """Return the toy with faint links between all groups, so that a low resolution finds one cluster."""
    branches, *others = toy
    linked = {}
    for name, data in branches.items():
        clusters = data.clusters.copy()
        ring = sp.eye(clusters.n_obs, k=1) + sp.eye(clusters.n_obs, k=-1)
        ring = ring + sp.eye(clusters.n_obs, k=400) + sp.eye(clusters.n_obs, k=-400)
        clusters.obsp["connectivities"] = (clusters.obsp["connectivities"] + 1e-3 * ring).tocsr()
        linked[name] = data._replace(clusters=clusters)
    return linked, *others


LOW = {"seeds": 1, "resolution_factors": [1e-4], "representations": ["integrated"]}


def test_names_given_per_cell_hardly_hang_on_clusters_but_those_per_cluster_do(toy):
    # One cluster holds every cell: the mean of a cluster then tells nothing of its cells.
    found = sweep(in_one_piece(toy), **LOW)
    runs = found["runs"].set_index(["annotator", "branch"])
    assert (runs["clusters"] == 1).all()
    assert runs.at[("cell", "t"), "ari"] > 0.95
    assert runs.at[("cluster", "t"), "ari"] < 0.1
    stability = found["stability"].set_index("subset")
    assert stability.at[RISING, "share_present"] == 0.5
    assert stability.at[RISING, "share_same_sign"] == 1


def test_a_subset_found_in_no_run_has_no_shares(toy):
    found = sweep(in_one_piece(toy), **LOW, annotators=["cluster"])
    row = found["stability"].set_index("subset").loc[RISING]
    assert row["share_present"] == 0
    assert np.isnan(row["share_same_sign"])
    assert np.isnan(row["effect_low"])
    assert row["runs"] == 1


def test_equal_labels_count_once_as_distinct(toy):
    found = sweep(toy, representations=["integrated"], annotators=["cell"])
    row = found["stability"].set_index("subset").loc[RISING]
    assert (row["runs"], row["distinct"]) == (4, 1)


def test_centring_takes_off_what_batches_add_and_without_it_they_split(toy):
    chosen = {"seeds": 1, "resolution_factors": [1.0], "annotators": ["cell"]}
    runs = sweep(toy, representations=["integrated", "centred", "pca"], **chosen)["runs"]
    clusters = runs[runs["branch"] == "t"].set_index("representation")["clusters"]
    assert clusters["centred"] == clusters["integrated"] == 3
    assert clusters["pca"] == 6


def test_without_integration_one_representation_is_swept(toy):
    branches, frozen, design, tested = toy
    single = {}
    for name, data in branches.items():
        reduction = data.reduction.copy()
        reduction.uns["reduction"]["integrated"] = False
        single[name] = data._replace(reduction=reduction)
    found = sweep_labels(single, frozen, design, tested, STUDY | {"stages": STAGES}, 1, **(SETTINGS | {"seeds": 1}))
    assert set(found["runs"]["representation"]) == {"integrated"}


def test_same_seed_same_tables(toy):
    chosen = {"seeds": 1, "representations": ["integrated"]}
    first, second = sweep(toy, **chosen), sweep(toy, **chosen)
    for name, table in first.items():
        pd.testing.assert_frame_equal(table, second[name])


def test_threads_change_nothing(toy, swept, monkeypatch):
    monkeypatch.setenv("NUMBA_NUM_THREADS", "2")
    for name, table in sweep(toy).items():
        pd.testing.assert_frame_equal(table, swept[name])


def test_a_handful_of_cells_is_one_cluster(toy):
    branches, frozen, design, tested = toy
    few = branches["nk"]
    short = BranchData(few.counts[:8], few.reduction[:8], few.clusters[:8], few.batch)
    kept = frozen[(frozen["branch"] == "t") | frozen.index.isin(few.counts.obs_names[:8])]
    chosen = SETTINGS | {"seeds": 1, "resolution_factors": [1.0]}
    found = sweep_labels(
        {"nk": short, "t": branches["t"]}, kept, design, tested, STUDY | {"stages": STAGES}, 1, **chosen
    )
    assert (found["runs"].query("branch == 'nk'")["clusters"] == 1).all()
    assert found["stability"].set_index("subset").at[RISING, "share_same_sign"] == 1

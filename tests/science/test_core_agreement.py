"""The fast steps on the CPU against the plain scanpy recipe, end to end on one simulated cohort."""

import warnings

import harmonypy
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from planted_cells import plant_cells
from sklearn.metrics import adjusted_rand_score, roc_auc_score

from immune_landscape import steps_cpu
from immune_landscape.landmarks import choose_landmarks, spread_landmarks

CELLS = {False: 3_000, True: 12_000}
GENES, WIDTH, NEIGHBOURS, RESOLUTION = 500, 20, 15, 0.5


@pytest.fixture(scope="module")
def planted(request):
    return plant_cells(CELLS[request.config.getoption("--science-full")], n_genes=2_000, samples=4, seed=7)


@pytest.fixture(scope="module")
def plain(planted):
    cells = planted.cells.copy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sc.pp.scrublet(cells, batch_key="sample", random_state=0, verbose=False)
        sc.pp.normalize_total(cells, target_sum=1e4)
        sc.pp.log1p(cells)
        sc.pp.highly_variable_genes(cells, n_top_genes=GENES, flavor="seurat", batch_key="sample")
        sc.pp.pca(cells, n_comps=WIDTH)
        found = harmonypy.run_harmony(cells.obsm["X_pca"], cells.obs, ["sample"], verbose=False, random_state=0)
        corrected = np.asarray(found.Z_corr)
        cells.obsm["X_harmony"] = corrected if len(corrected) == cells.n_obs else corrected.T
        sc.pp.neighbors(cells, n_neighbors=NEIGHBOURS, use_rep="X_harmony", random_state=0)
        sc.tl.leiden(cells, flavor="igraph", n_iterations=2, directed=False, resolution=RESOLUTION, random_state=0)
        sc.tl.rank_genes_groups(cells, "type", method="wilcoxon", tie_correct=True)
    return cells


@pytest.fixture(scope="module")
def fast(planted):
    obs, counts = planted.cells.obs, planted.counts
    sample = obs["sample"].to_numpy().astype(str)
    names = sorted(set(sample))
    scored = steps_cpu.score_doublets(
        [counts[sample == name] for name in names], [0.05] * len(names), [0] * len(names), n_components=30
    )
    doublets = np.empty(len(obs))
    for name, found in zip(names, scored, strict=True):
        doublets[sample == name] = found.observed
    normal = steps_cpu.normalise(counts, 1e4)
    genes = steps_cpu.choose_genes(normal, np.ones(normal.shape[1], dtype=bool), sample, GENES)
    components = steps_cpu.principal_components(normal[:, genes], WIDTH, 0)
    corrected = steps_cpu.integrate(components.scores, sample, 2.0, 0)
    neighbours = steps_cpu.nearest_neighbours(corrected, NEIGHBOURS, exact=True, seed=0)
    clusters = steps_cpu.communities(steps_cpu.fuzzy_graph(neighbours), RESOLUTION, 0)
    ranks = steps_cpu.rank_markers(normal, pd.Categorical(obs["type"]).codes.astype(int), obs["type"].nunique())
    return {
        "doublets": doublets, "genes": genes, "components": components.scores, "neighbours": neighbours,
        "clusters": clusters, "ranks": ranks,
    }  # fmt: skip


def test_doublets_are_found_as_well(planted, plain, fast, science):
    truth = planted.cells.obs["doublet"]
    theirs, ours = (roc_auc_score(truth, scores) for scores in (plain.obs["doublet_score"], fast["doublets"]))
    what = "doublet AUC of the fast score less that of scanpy's scrublet, planted doublets"
    science.row("core_doublet_auc", what, ours - theirs, -0.01, 0.01, len(truth))
    assert np.corrcoef(plain.obs["doublet_score"], fast["doublets"])[0, 1] > 0.99


def test_the_same_genes_are_chosen(plain, fast):
    assert fast["genes"].tolist() == plain.var["highly_variable"].tolist()


def test_components_span_the_same_space(plain, fast, science):
    one, two = (np.linalg.qr(scores)[0] for scores in (plain.obsm["X_pca"], fast["components"]))
    cosine = float(np.linalg.svd(one.T @ two)[1].min())
    science.row(
        "core_pca_cosine", "smallest cosine between subspaces, fast against scanpy", cosine, 0.9999, 1.0001, WIDTH
    )


def test_neighbours_are_the_same(plain, fast, science):
    distances = plain.obsp["distances"]
    theirs = [distances.indices[distances.indptr[at] : distances.indptr[at + 1]] for at in range(plain.n_obs)]
    ours = fast["neighbours"].indices[:, 1:]
    shared = np.mean([len(np.intersect1d(a, b)) / len(a) for a, b in zip(ours, theirs, strict=True)])
    science.row("core_neighbours", "share of neighbours in common, fast against scanpy", shared, 0.95, 1.0, plain.n_obs)


def test_clusters_tell_the_types_as_well(planted, plain, fast, science):
    single = ~planted.cells.obs["doublet"].to_numpy()
    truth = planted.cells.obs["type"][single]
    theirs = adjusted_rand_score(truth, plain.obs["leiden"][single])
    ours = adjusted_rand_score(truth, fast["clusters"][single])
    science.row(
        "core_ari", "adjusted Rand index to planted types, fast less scanpy", ours - theirs, -0.005, 0.1, len(truth)
    )
    assert adjusted_rand_score(plain.obs["leiden"], fast["clusters"]) > 0.9


def test_markers_are_the_same(plain, fast, science):
    names = plain.obs["type"].astype("category").cat.categories
    furthest = 0.0
    for at, name in enumerate(names):
        theirs = sc.get.rank_genes_groups_df(plain, name).set_index("names")["scores"]
        ours = pd.Series(fast["ranks"].z[at], index=plain.var_names)
        furthest = max(furthest, float((ours.loc[theirs.index] - theirs).abs().max()))
        assert set(ours.sort_values(ascending=False).index[:50]) == set(theirs.index[:50])
    what = "largest difference of tie-corrected z, fast against scanpy"
    science.row("core_marker_z", what, furthest, 0.0, 1e-4, plain.n_vars * len(names))


def test_landmarks_find_the_clusters_of_all_cells(planted, fast, science):
    points = steps_cpu.integrate(fast["components"], planted.cells.obs["sample"].to_numpy().astype(str), 2.0, 0)
    some = choose_landmarks(points, len(points) // 5, 0)
    graph = steps_cpu.fuzzy_graph(steps_cpu.nearest_neighbours(points[some], NEIGHBOURS, exact=True, seed=0))
    cluster = pd.Series(steps_cpu.communities(graph, RESOLUTION, 0).astype(str))
    spread = spread_landmarks(points, some, cluster, np.zeros((len(some), 2), dtype=np.float32), 0, 1)
    truth = planted.cells.obs["type"]
    theirs, ours = (adjusted_rand_score(truth, found) for found in (fast["clusters"], spread.cluster))
    what = "ARI to planted types of clusters of a fifth of the cells, spread to all, less that of clusters of all cells"
    science.row("core_landmarks_ari", what, ours - theirs, -0.05, 0.3, len(truth))
    what = "ARI between clusters of landmarks, spread to all cells, and clusters of all cells"
    science.row(
        "core_landmarks_agreement", what, adjusted_rand_score(fast["clusters"], spread.cluster), 0.8, 1, len(truth)
    )

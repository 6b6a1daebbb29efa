"""Half of the published cells of one blood sample as reference for the other half, and labels that mean nothing."""

import anndata
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from datasets import shared_data
from sklearn.metrics import balanced_accuracy_score, f1_score

from immune_landscape import store
from immune_landscape.blocked_counts import blocked
from immune_landscape.classify_cells import classify_cells
from immune_landscape.device import CPU
from immune_landscape.reduce_cells import choose_genes, normalise
from immune_landscape.references import reference_of, reference_problems
from immune_landscape.schemas import fill_defaults, load_schema
from immune_landscape.seeds import seed_of

LABEL = "ccRCC_Minor"
SLUGS = {"CD4.T.Cell": "cd4_t", "CD8.T.Cell": "cd8_t", "NK.Cell": "nk", "B.Cell": "b", "Monocyte": "mono_classical"}
BROAD = {"CD4.T.Cell": "t", "CD8.T.Cell": "t", "NK.Cell": "nk", "B.Cell": "b"}
SPLITS = 5
#: Permuted reference labels to look at; each group of cells gets one of five labels, so one draw says little.
PERMUTED = 10


@pytest.fixture(scope="module")
def published():
    """Return the 1,000 cells with published labels, as a count store."""
    cells = anndata.read_h5ad(shared_data("pbmc_10x_5p_gex_tcr") / "gex_1k_counts.h5ad")
    labels = cells.obs[LABEL].astype(str).to_numpy()
    obs = pd.DataFrame({"sample": "HD1", "label": labels}, index="HD1:" + cells.obs_names)
    return anndata.AnnData(cells.X.tocsr(), obs=obs, var=pd.DataFrame(index=cells.var_names))


def halves(published, split):
    order = np.random.default_rng(seed_of(0, "reference_vote", str(split))).permutation(published.n_obs)
    return published[order[::2]].copy(), published[order[1::2]].copy()


def graph_of(counts):
    """Return neighbours of the cells as the workflow finds them, without the reference."""
    normal = normalise(counts, 1e4)
    normal = normal[:, choose_genes(blocked(counts), counts.obs["sample"], CPU, 1e4, 2000, []).chosen].copy()
    sc.pp.pca(normal, n_comps=20, random_state=0)
    sc.pp.neighbors(normal, n_neighbors=15, random_state=0)
    obs = pd.DataFrame({"cluster": "0"}, index=counts.obs_names)
    return store.addition(counts.obs_names, obs=obs, obsp={"connectivities": normal.obsp["connectivities"].tocsr()})


def votes_of(reference, labels, query, graph, folder, **changes):
    """Write the reference as a user gives it, check it as the workflow does, and return its votes."""
    path = folder / "reference.h5ad"
    obs = pd.DataFrame({"label": pd.Categorical(np.asarray(labels, dtype=object))}, index=reference.obs_names)
    anndata.AnnData(reference.X.copy(), obs=obs, var=pd.DataFrame(index=reference.var_names)).write_h5ad(path)
    known = {label: slug for label, slug in SLUGS.items() if (obs["label"] == label).any()}
    spec = {"file": path.name, "sha256": store.sha256_of(path), "label_column": "label", "labels": known}
    spec["labels"] |= dict.fromkeys(set(obs["label"]) - set(known), "")
    assert reference_problems(spec, folder, genes=query.var_names) == []
    settings = fill_defaults(load_schema("settings/classify_cells"), {}) | changes
    return classify_cells(query, graph, reference_of(spec, path), 1, **settings)


def broad_of(lineage):
    return lineage.where(~lineage.str.startswith("mono"), "myeloid").replace("", "none")


def test_half_of_the_published_cells_names_the_other_half(published, tmp_path, science):
    found, fine = [], []
    for split in range(SPLITS):
        reference, query = halves(published, split)
        votes = votes_of(reference, reference.obs["label"], query, graph_of(query), tmp_path)
        truth = query.obs["label"].map(BROAD).fillna("myeloid")
        named = votes["lineage"] != ""
        f1 = f1_score(
            truth[named], broad_of(votes["lineage"])[named], average="macro", labels=["t", "nk", "b", "myeloid"]
        )
        t_cells = query.obs["label"].isin(SLUGS) & (votes["label"] != "")
        fine.append(f1_score(query.obs["label"][t_cells], votes["label"][t_cells], average="macro", labels=list(SLUGS)))
        found.append((f1, named.mean()))
    f1, named = np.mean(found, axis=0)
    print(pd.crosstab(query.obs["label"], votes["label"]).to_string())
    what = f"macro-F1 on T / NK / B / myeloid of cells with a vote, {SPLITS} halves (five labels: {np.mean(fine):.3f})"
    science.row("annotation/reference_vote_macro_f1", what, f1, 0.90, None, SPLITS * published.n_obs // 2)
    what = "share of cells for which the reference votes"
    science.row("annotation/reference_vote_assigned", what, named, 0.95, None, SPLITS * published.n_obs // 2)


def test_permuted_labels_are_not_predictable(published, tmp_path, science):
    reference, query = halves(published, 0)
    graph, rng = graph_of(query), np.random.default_rng(seed_of(0, "reference_vote", "permuted"))
    kept = reference[reference.obs["label"].isin(SLUGS).to_numpy()].copy()
    judged = query.obs["label"].isin(SLUGS).to_numpy()
    scores, named = [], []
    for _ in range(PERMUTED):
        # Every cell must vote, or there is nothing to judge.
        free = {"min_probability": 0.0, "min_lineage_probability": 0.0, "min_share": 0.0}
        labels = rng.permutation(kept.obs["label"])
        votes = votes_of(kept, labels, query, graph, tmp_path, **free)
        scores.append(balanced_accuracy_score(query.obs["label"][judged], votes["label"][judged]))
        named.append((votes_of(kept, labels, query, graph, tmp_path)["label"] != "").mean())
    what = f"balanced accuracy, {len(SLUGS)} permuted labels (with the default abstention {np.mean(named):.1%} get one)"
    science.row("annotation/reference_vote_permuted", what, np.mean(scores), 0.12, 0.28, PERMUTED)
    assert np.mean(named) < 0.1

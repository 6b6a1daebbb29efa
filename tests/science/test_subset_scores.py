"""Why subsets are scored by marker levels and not by a common gene-set score: the same cells, graph and marker sets.

Every score is averaged over neighbours and the highest one names the cell, with no other rule and no abstaining.
"""

import decoupler as dc
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from annotated import mapped
from science.labelled_cells import RESOLUTION, annotate_labelled, defaults, demo, pbmc5p, side_of
from sklearn.metrics import f1_score

from immune_landscape.annotate_subsets import score_branch
from immune_landscape.cell_types import types_of
from immune_landscape.level_scores import above_level, score_types
from immune_landscape.marker_scores import (
    SCORED,
    entry_of,
    gene_weights,
    score_cells,
    smooth,
    status_of,
    type_scores,
)
from immune_landscape.reduce_cells import normalise

OWN = "levels"
TIE = 0.02
"""Scores that differ by less name cells as well as each other."""
ANCHORED = ("nk_c4_zeb2", "nk_c5_il7", "nk_c6_il15", "nk_c10_ncr3", "nk_c11_tnfsf8")


def best_by_each(counts, branch):
    """Return the name of each cell by each score."""
    types = types_of("subset", branch=branch)
    types = types[types["marker_sets"].map(bool)]
    known, weights = set(counts.var_names), gene_weights(types)
    sets = [name for names in types["marker_sets"] for name in names if status_of(name, known, weights) == SCORED]
    reduction, clusters = mapped(counts, RESOLUTION[branch], **defaults("reduce_cells"))
    graph = clusters.obsp["connectivities"]
    expression = score_branch(counts, reduction, branch, ("blood",)).scores
    by_type = {OWN: score_types(above_level(smooth(expression, graph), branch), types)}
    by_set = {
        "ULM": score_cells(counts, sets, reduction.uns["reduction"]["genes"]),
        "AUCell": by_aucell(counts, sets),
        "score_genes": by_score_genes(counts, sets),
    }
    by_type |= {method: type_scores(smooth(scores, graph), types) for method, scores in by_set.items()}
    return {method: scores.idxmax(axis=1) for method, scores in by_type.items()}


def by_aucell(counts, sets):
    cells = normalise(counts, 1e4)
    rows = [(name, gene, 1.0) for name in sets for gene in entry_of(name)["genes"] if gene in cells.var_names]
    network = pd.DataFrame(rows, columns=["source", "target", "weight"])
    dc.mt.aucell(cells, network, tmin=1, empty=False, verbose=False)
    return cells.obsm["score_aucell"]


def by_score_genes(counts, sets):
    cells, scores = normalise(counts, 1e4), {}
    for name in sets:
        genes = [gene for gene in entry_of(name)["genes"] if gene in cells.var_names]
        sc.tl.score_genes(cells, genes, score_name="score", random_state=0)
        scores[name] = cells.obs["score"].to_numpy()
    return pd.DataFrame(scores, index=cells.obs_names)


def t_cells_of_blood():
    """Return the cells named T among 1,000 of blood, and CD4 or CD8 as published."""
    blood = pbmc5p()
    inside = (annotate_labelled(blood)["branch"] == "t") & blood.truth.isin(["CD4", "CD8"])
    return blood.counts[inside.to_numpy()].copy(), blood.truth[inside]


def sides_f1(published, subset):
    found = side_of(subset)
    named = found.notna()
    return f1_score(published[named], found[named], labels=["CD4", "CD8"], average="macro")


def right_alone(counts, published):
    """Return the mean share on the right side of CD4 and of CD8 cells that are named without the others."""
    shares = {}
    for kind in ("CD4", "CD8"):
        for method, subset in best_by_each(counts[(published == kind).to_numpy()].copy(), "t").items():
            found = side_of(subset).dropna()
            shares.setdefault(method, []).append((found == kind).mean())
    return {method: float(np.mean(found)) for method, found in shares.items()}


def planted_f1(labelled, branch):
    """Return macro-F1 over the planted types that have marker sets."""
    kinds = sorted(set(labelled.truth) - set(ANCHORED))
    judged = labelled.truth.isin(kinds)
    found = best_by_each(labelled.counts, branch)
    return {
        method: f1_score(labelled.truth[judged], subset[judged], labels=kinds, average="macro")
        for method, subset in found.items()
    }, int(judged.sum())


@pytest.fixture(scope="module")
def measured():
    """Return measure -> score of each method, and number of cells."""
    counts, published = t_cells_of_blood()
    together = {method: sides_f1(published, subset) for method, subset in best_by_each(counts, "t").items()}
    return {
        "pbmc5p_sides": (together, counts.n_obs),
        "pbmc5p_alone": (right_alone(counts, published), counts.n_obs),
        "demo_t": planted_f1(demo(60, "t"), "t"),
        "demo_nk": planted_f1(demo(60, "nk"), "nk"),
    }


WHAT = {
    "pbmc5p_sides": "macro-F1 of CD4 and CD8 T cells of blood",
    "pbmc5p_alone": "mean share on the right side of CD4 and of CD8 T cells of blood, each without the other",
    "demo_t": "macro-F1 of the planted T subsets of the demo cohort",
    "demo_nk": "macro-F1 of the planted NK subsets of the demo cohort that no anchor names",
}


@pytest.mark.parametrize("measure", WHAT)
def test_marker_levels_name_subsets_at_least_as_well_as_any_common_score(science, measured, measure):
    scores, cells = measured[measure]
    print(measure, {method: round(score, 3) for method, score in scores.items()})
    others = {method: score for method, score in scores.items() if method != OWN}
    told = ", ".join(f"{method} {score:.3f}" for method, score in others.items())
    what = f"{WHAT[measure]} by the highest marker levels; the limit is the best of {told}, less {TIE}"
    science.row(f"annotation/subset_scores_{measure}", what, scores[OWN], max(others.values()) - TIE, None, cells)


def test_no_common_score_is_as_good_on_all_of_them(measured):
    for method in ("ULM", "AUCell", "score_genes"):
        assert any(scores[OWN] > scores[method] + 5 * TIE for scores, _ in measured.values()), method

"""A second opinion on the name of each cell: what a reference would call it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from immune_landscape.blocked_counts import each_part
from immune_landscape.cluster_cells import find_clusters
from immune_landscape.marker_scores import TARGET_SUM
from immune_landscape.reduce_cells import normalise
from immune_landscape.references import (
    Reference,
    import_celltypist,
    load_model,
    map_labels,
    read_cells,
    too_few,
    types_of_labels,
    unmapped,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from anndata import AnnData

    from immune_landscape.blocked_counts import CellCounts

LOG = logging.getLogger(__name__)


CLIP = 10.0
"""Scaled expression is cut here, as CellTypist does: one outlying gene must not decide."""

STEPS = {5_000: 5.0, 20_000: 10.0, 40_000: 15.0, 100_000: 20.0, 200_000: 25.0}
"""Cells below which -> resolution of the groups that vote together; more cells take `LAST_STEP`. CellTypist's steps."""

LAST_STEP = 30.0


def classify_cells(
    counts: CellCounts,
    clusters: AnnData,
    reference: Reference,
    seed: int,
    *,
    min_probability: float,
    min_lineage_probability: float,
    min_share: float,
    resolution: float | None,
    min_genes: int,
    n_genes: int,
    max_cells: int,
    inverse_penalty: float,
) -> pd.DataFrame:
    """Let a reference name each cell, by majority among its near neighbours.

    A CellTypist model is used as it is. From labelled cells a multinomial logistic model is trained on log-normalised
    counts of the genes that both data sets have. Cells are then joined to small groups of the neighbour graph, and each
    group takes the label of most of its cells: single cells are noisy, and clusters are too coarse for subsets. A cell
    whose best label has a low probability casts no vote. Where no label wins, a lineage may. A model knows its own
    labels alone: cells of a type that the reference lacks are named like the nearest that it has, unless they abstain.

    Parameters
    ----------
    counts
        Cells x genes, raw counts, with ``obs['sample']``.
    clusters
        As `cluster_cells.cluster_cells` returns for all cells.
    reference
        As `references.reference_of` returns, its checksum checked.
    seed
        Of the groups, and of the choice of reference cells.
    min_probability
        Probability that a cell's label needs to be cast as its vote.
    min_lineage_probability
        Sum of the probabilities of a lineage's labels that a cell needs to vote for the lineage; where those of all
        labels add up to more than 1, as a share of that.
    min_share
        Share of all cells of a group that a label needs.
    resolution
        Leiden resolution of the groups; None grows with the number of cells, as in CellTypist.
    min_genes
        Genes that cohort and reference must share.
    n_genes
        Marker genes learnt for each label of labelled cells.
    max_cells
        Cells of each label that are learnt from, drawn at random where there are more.
    inverse_penalty
        scikit-learn's ``C`` of the logistic model: smaller shrinks coefficients and probabilities.

    Returns
    -------
    pandas.DataFrame
        Index ``cell``; ``sample``, ``label`` (as the reference names it, empty for no vote), ``lineage`` and ``subset``
        (slugs, empty where the vote says nothing of it), ``probability`` (the cell's own, of the label; of the lineage
        where only that was voted; missing without a vote).

    Raises
    ------
    InputError
        When a label stands for no cell type, or too few genes are shared.

    References
    ----------
    Dominguez Conde 2022, doi:10.1126/science.abl5197 (CellTypist: logistic models, majority voting).
    """
    if counts.n_obs == 0:
        return _no_votes(counts)
    if reference.kind == "model":
        probability = predict_by_model(counts, reference, min_genes)
    else:
        model = train_on_cells(counts.var_names, reference, seed, min_genes, n_genes, max_cells, inverse_penalty)
        probability = _in_blocks(counts, model.predict)
    types = types_of_labels(_slugs(list(probability.columns), reference))
    group = find_groups(clusters[counts.obs_names], resolution, seed)
    votes = vote(probability, types, group, (min_probability, min_lineage_probability), min_share)
    LOG.info("%d of %d cells have a label, %d a lineage", *_named(votes))
    votes.insert(0, "sample", counts.obs["sample"].astype(str))
    return votes.rename_axis("cell")


def _no_votes(counts: CellCounts) -> pd.DataFrame:
    columns: dict[str, Any] = dict.fromkeys(["sample", "label", "lineage", "subset"], "")
    return pd.DataFrame(columns | {"probability": np.nan}, index=counts.obs_names).rename_axis("cell")


def _named(votes: pd.DataFrame) -> tuple[int, int, int]:
    return int((votes["label"] != "").sum()), len(votes), int((votes["lineage"] != "").sum())


def _slugs(labels: list[str], reference: Reference) -> dict[str, str]:
    slugs, open_labels = map_labels(labels, reference.labels)
    if open_labels:
        raise reference.place.error(unmapped(open_labels))
    return slugs


def _in_blocks(counts: CellCounts, predict: Callable[[AnnData], pd.DataFrame]) -> pd.DataFrame:
    return pd.concat([predict(part) for part in each_part(counts)])


def predict_by_model(counts: CellCounts, reference: Reference, min_genes: int) -> pd.DataFrame:
    """Predict the label of each cell with a CellTypist model.

    Parameters
    ----------
    counts
        Cells x genes, raw counts.
    reference
        Of kind ``model``.
    min_genes
        Genes that cohort and model must share.

    Returns
    -------
    pandas.DataFrame
        Cells x labels: each label's probability against all others, so that they need not add up to 1.

    Raises
    ------
    InputError
        When too few genes are shared.
    """
    model, celltypist = load_model(reference), import_celltypist()
    _require_genes(len(set(counts.var_names) & set(model.features)), min_genes, reference)

    def predict(block: AnnData) -> pd.DataFrame:
        """Predict some of the cells."""
        return celltypist.annotate(normalise(block, TARGET_SUM), model=model).probability_matrix

    found = _in_blocks(counts, predict)
    return found.set_axis([str(label) for label in found.columns], axis=1)


def _require_genes(shared: int, min_genes: int, reference: Reference) -> None:
    LOG.info("%d genes in common with the reference", shared)
    if shared < min_genes:
        raise reference.place.error(too_few(shared, min_genes))


class LabelModel(NamedTuple):
    """A logistic model of labels.

    Attributes
    ----------
    shared
        Genes over which totals are made equal.
    chosen
        Those of them that the model uses.
    scaler, classifier
        As scikit-learn fitted them.
    """

    shared: pd.Index
    chosen: pd.Index
    scaler: Any
    classifier: Any

    def predict(self, counts: AnnData) -> pd.DataFrame:
        """Return cells x labels: probabilities, which add up to 1."""
        from threadpoolctl import threadpool_limits

        values = np.clip(self.scaler.transform(_dense(counts, self.shared, self.chosen)), -CLIP, CLIP)
        with threadpool_limits(1, "blas"):
            found = self.classifier.predict_proba(values)
        return pd.DataFrame(found, index=counts.obs_names, columns=[str(name) for name in self.classifier.classes_])


def train_on_cells(
    genes: pd.Index,
    reference: Reference,
    seed: int,
    min_genes: int,
    n_genes: int,
    max_cells: int,
    inverse_penalty: float,
) -> LabelModel:
    """Train a logistic model on labelled cells.

    Parameters
    ----------
    genes
        Genes of the cohort.
    reference
        Of kind ``cells``.
    seed
        Of the choice of cells.
    min_genes, n_genes, max_cells, inverse_penalty
        As in `classify_cells`.

    Returns
    -------
    LabelModel
        Independent of the order of cells and genes.

    Raises
    ------
    InputError
        When too few genes are shared, or the reference cannot be used.
    """
    counts, labels = read_cells(reference)
    _slugs(sorted(labels.unique()), reference)
    shared = counts.var_names.intersection(genes).sort_values()
    _require_genes(len(shared), min_genes, reference)
    cells = choose_cells(labels, max_cells, seed)
    return fit_labels(counts[cells], labels[cells], shared, n_genes, inverse_penalty)


def choose_cells(labels: pd.Series, max_cells: int, seed: int) -> list[str]:
    """Choose at most so many cells of each label.

    Parameters
    ----------
    labels
        Label of each cell.
    max_cells
        Of each label.
    seed
        Of the draw.

    Returns
    -------
    list of str
        Cell ids in order of label and name.
    """
    rng = np.random.default_rng(seed)
    chosen: list[str] = []
    for _, members in labels.groupby(labels, sort=True):
        names = sorted(map(str, members.index))
        drawn = rng.choice(len(names), size=min(max_cells, len(names)), replace=False)
        chosen += [names[at] for at in sorted(drawn)]
    return chosen


def fit_labels(
    counts: AnnData, labels: pd.Series, shared: pd.Index, n_genes: int, inverse_penalty: float
) -> LabelModel:
    """Fit a multinomial logistic model, every label weighing the same.

    Parameters
    ----------
    counts
        Cells x genes, raw counts.
    labels
        Label of each cell.
    shared
        Genes to use.
    n_genes, inverse_penalty
        As in `classify_cells`.

    Returns
    -------
    LabelModel
        The model.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    normal = normalise(counts[:, shared].copy(), TARGET_SUM)
    chosen = shared[choose_markers(normal, labels.to_numpy(), n_genes)]
    values = normal[:, chosen].X.toarray()
    scaler = StandardScaler().fit(values)
    classifier = LogisticRegression(C=inverse_penalty, class_weight="balanced", max_iter=2000)
    with threadpool_limits(1, "blas"):
        classifier.fit(np.clip(scaler.transform(values), -CLIP, CLIP), labels.to_numpy(dtype=str))
    LOG.info("%d labels learnt from %d cells and %d genes", len(classifier.classes_), len(labels), len(chosen))
    return LabelModel(shared, chosen, scaler, classifier)


def choose_markers(normal: AnnData, labels: np.ndarray, n_genes: int) -> np.ndarray:
    """Choose the genes that stand out most in each label.

    Parameters
    ----------
    normal
        Cells x genes, log-normalised.
    labels
        Label of each cell.
    n_genes
        For each label.

    Returns
    -------
    numpy.ndarray
        Positions, sorted: the union over labels of the largest differences of means in units of the gene's standard
        deviation.
    """
    values = normal.X
    mean = np.asarray(values.mean(axis=0)).ravel()
    spread = np.sqrt(np.maximum(np.asarray(values.multiply(values).mean(axis=0)).ravel() - mean**2, 0))
    found: set[int] = set()
    for label in np.unique(labels):
        inside = labels == label
        difference = np.asarray(values[inside].mean(axis=0) - values[~inside].mean(axis=0)).ravel()
        # A tenth keeps a gene found in a handful of cells from standing out.
        found |= set(np.argsort(-difference / (spread + 0.1), kind="stable")[:n_genes].tolist())
    return np.array(sorted(found))


def _dense(counts: AnnData, shared: pd.Index, chosen: pd.Index) -> np.ndarray:
    return normalise(counts[:, shared].copy(), TARGET_SUM)[:, chosen].X.toarray()


def find_groups(clusters: AnnData, resolution: float | None, seed: int) -> pd.Series:
    """Join cells to the small groups that vote together.

    Parameters
    ----------
    clusters
        With ``obsp['connectivities']`` and ``obs['cluster']``.
    resolution
        Of Leiden; None takes CellTypist's for so many cells.
    seed
        Of Leiden.

    Returns
    -------
    pandas.Series
        Group of each cell, within its cluster where the graph has no edge.
    """
    if clusters.obsp["connectivities"].nnz == 0:
        return clusters.obs["cluster"].astype(str)
    step = next((value for below, value in STEPS.items() if clusters.n_obs < below), LAST_STEP)
    return find_clusters(clusters, step if resolution is None else resolution, seed)


def vote(
    probability: pd.DataFrame, types: pd.DataFrame, group: pd.Series, least: tuple[float, float], min_share: float
) -> pd.DataFrame:
    """Give each group the label, or else the lineage, of most of its cells.

    Parameters
    ----------
    probability
        Cells x labels.
    types
        As `references.types_of_labels` returns for the labels.
    group
        Group of each cell.
    least
        Probability that a vote for a label and one for a lineage need.
    min_share
        As in `classify_cells`.

    Returns
    -------
    pandas.DataFrame
        Cells; ``label``, ``lineage``, ``subset``, ``probability``.
    """
    # Labels scored one against the rest add up to more than 1: a lineage of many labels would always win.
    shares = probability.div(probability.sum(axis=1).clip(lower=1.0), axis=0)
    lineages = shares.T.groupby(types["lineage"].reindex(probability.columns).to_numpy()).sum().T.clip(upper=1.0)
    label = _winner(probability, group, least[0], min_share)
    lineage = _winner(lineages, group, least[1], min_share)
    voted = label != ""
    own = _own(probability, label).where(voted, _own(lineages, lineage))
    by_label = {name: label.map(types[name]).fillna("") for name in ("lineage", "subset")}
    table = pd.DataFrame({"label": label, "lineage": by_label["lineage"].where(voted, lineage)})
    return table.assign(subset=by_label["subset"], probability=own)


def _winner(probability: pd.DataFrame, group: pd.Series, min_probability: float, min_share: float) -> pd.Series:
    """Return what each cell's group voted for; empty where nothing has a large enough share of its cells."""
    best = probability.idxmax(axis=1)[probability.max(axis=1) >= min_probability]
    if best.empty:
        return pd.Series("", index=group.index, dtype=object)
    votes = pd.crosstab(group[best.index], best)
    enough = votes.max(axis=1) >= min_share * group.value_counts().reindex(votes.index)
    return group.map(votes.idxmax(axis=1)[enough]).fillna("").astype(object)


def _own(probability: pd.DataFrame, name: pd.Series) -> pd.Series:
    """Return each cell's own probability of what its group voted for; missing where that is nothing."""
    at = probability.columns.get_indexer(pd.Index(name))
    values = probability.to_numpy()[np.arange(len(probability)), at]
    return pd.Series(values, index=probability.index).where((at >= 0) & (name != ""))

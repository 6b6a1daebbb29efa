"""How much of a subset's counts may be RNA of other cells that floated in the suspension, and what that changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from immune_landscape.expression_null import group_model
from immune_landscape.expression_panels import Panel
from immune_landscape.labelings import Floats
from immune_landscape.moderated_t import moderated_t

AMBIENT_COLUMNS = [
    "contrast", "subset", "gene", "effect", "effect_ambient_removed", "same_sign", "share_left", "ambient_share",
    "subset_ambient_share", "controls", "depends_on_ambient", "note",
]  # fmt: skip
HALF = 0.5
"""Share of the effect that must be left without ambient counts, or it depends on them."""

LEVEL = 0.95
"""Level of the upper limit of the controls' counts."""

MOST_AMBIENT = 0.5
"""Share of a sum beyond which its counts cannot be told from those of the whole sample."""


class Ambient(NamedTuple):
    """Counts that may be ambient.

    Attributes
    ----------
    counts
        Samples x genes that may be ambient, at most the counts that are there.
    share
        (samples,) share of the sum that they make.
    controls
        (samples,) set of controls that bounds them.
    fault
        Why they are not known; empty when they are.
    """

    counts: pd.DataFrame
    share: Floats
    controls: np.ndarray
    fault: str = ""


class Cleaned(NamedTuple):
    """A comparison without the counts that may be ambient, one number per gene expressed.

    Attributes
    ----------
    ambient
        The counts that may be ambient.
    effect, t
        (features,) effect and moderated t of what is left; NaN where it is not known.
    share
        (features,) share of the gene's counts that may be ambient.
    """

    ambient: Ambient
    effect: Floats
    t: Floats
    share: Floats


def ambient_counts(counts: pd.DataFrame, whole: pd.DataFrame, controls: Mapping[str, Sequence[str]]) -> Ambient:
    """Bound the counts of a subset that may be ambient RNA, from genes that the subset cannot express.

    Parameters
    ----------
    counts
        Samples x genes, raw sums over the cells of the subset.
    whole
        Samples x genes, raw sums over all cells of a sample.
    controls
        Sets of genes that no kind of cell expresses together, such as haemoglobin and immunoglobulin.

    Returns
    -------
    Ambient
        Of the samples of `counts`.

    Notes
    -----
    As DropletUtils' controlAmbience and maximumAmbience (A. Lun), the ambient profile is scaled until it explains the
    counts of the controls. Empty droplets being at hand no longer, the profile is that of the sample's cells together:
    ambient RNA of cells that burst before they were captured, such as erythrocytes, is not in it.

    A set's ratio is the upper 95 % limit of its Poisson counts in the subset over those in the whole sample. The
    smallest ratio is used: a set that the subset does express (immunoglobulin in B cells), of which hardly any was
    counted, or whose own cells are not among those captured gives a larger one. Where a set has no count in
    the subset the limit is 3 counts. Doublets and cells under a wrong label count as ambient, so the bound
    errs upwards.

    A bound of more than half of a sum is cut to half. If that is so in most samples no control tells the subset from
    the sample, as where one kind of cell was sorted, and nothing is said.

    References
    ----------
    Young and Behjati (2020), https://doi.org/10.1093/gigascience/giaa151;
    https://bioconductor.org/packages/DropletUtils (controlAmbience, maximumAmbience).
    """
    missing = counts.index.difference(whole.index)
    known = {name: counts.columns.intersection(pd.Index(genes)) for name, genes in controls.items()}
    known = {name: genes for name, genes in known.items() if len(genes)}
    blank = np.full(len(counts), "", dtype=object)
    if len(missing) or not known:
        fault = "no control gene is measured" if not known else "the sums of whole samples are not known"
        return Ambient(counts * 0.0, np.full(len(counts), np.nan), blank, fault)
    soup = whole.reindex(index=counts.index, columns=counts.columns)
    ratios = np.column_stack([_ratio(counts[genes], soup[genes]) for genes in known.values()])
    smallest = ratios.min(axis=1)
    # The ratio at which all counts of the subset could come from the sample.
    everything = counts.sum(axis=1).to_numpy() / soup.sum(axis=1).to_numpy()
    share = smallest / everything
    told = np.where(np.isfinite(smallest), np.array(list(known), dtype=object)[ratios.argmin(axis=1)], "")
    if np.median(share) > MOST_AMBIENT:
        return Ambient(counts * 0.0, share, told, "no control gene tells the subset from the whole sample")
    kept = np.minimum(smallest, MOST_AMBIENT * everything)
    scaled = soup.mul(kept, axis=0)
    return Ambient(scaled.where(scaled < counts, counts), np.minimum(share, MOST_AMBIENT), told)


def without_ambient(
    panel: Panel,
    whole: pd.DataFrame,
    *,
    controls: Mapping[str, Sequence[str]],
    normalisation: str,
    prior_count: float,
) -> Cleaned:
    """Repeat a comparison without the counts that may be ambient.

    Parameters
    ----------
    panel
        The subset in the patients of a contrast.
    whole
        Samples x genes, raw sums over all cells of a sample.
    controls
        As for `ambient_counts`.
    normalisation, prior_count
        As for `expression_panels.panel_of`.

    Returns
    -------
    Cleaned
        Of the same patients and genes.
    """
    found = ambient_counts(panel.counts, whole, controls)
    blank = np.full(len(panel.genes), np.nan)
    if found.fault:
        return Cleaned(found, blank, blank, blank)
    left = panel.with_counts(panel.counts - found.counts, normalisation=normalisation, prior_count=prior_count)
    model = group_model(left.groups, len(left.genes))
    gone, everything = (each[panel.genes].sum().to_numpy(dtype=float) for each in (found.counts, panel.counts))
    if model is None:
        return Cleaned(found, blank, blank, gone / everything)
    result = moderated_t(left.numbers.compared, model)
    return Cleaned(found, result.effect, result.t, gone / everything)


def ambient_effects(genes: pd.Index, effects: pd.Series, cleaned: Cleaned) -> pd.DataFrame:
    """Set the effects of some genes beside those without ambient counts.

    Parameters
    ----------
    genes
        Genes expressed, as those of `cleaned`.
    effects
        Gene (index) -> effect, of the genes reported.
    cleaned
        As `without_ambient` returns.

    Returns
    -------
    pandas.DataFrame
        One row per gene reported, `AMBIENT_COLUMNS` but for contrast and subset: ``effect_ambient_removed``,
        ``same_sign``, ``share_left`` (of the effect), ``ambient_share`` (of the gene's counts that may be ambient),
        ``subset_ambient_share`` (of all counts, median of the samples), ``controls`` (the set that bounds most
        samples) and ``depends_on_ambient``: the sign changes, or less than half of the effect is left.
    """
    at, effect = genes.get_indexer(effects.index), effects.to_numpy(dtype=float)
    table = pd.DataFrame({"gene": effects.index.to_numpy(dtype=object), "effect": effect})
    table = table.assign(ambient_share=cleaned.share[at], note=cleaned.ambient.fault, **_summary(cleaned.ambient))
    return table.assign(**changed_by(effect, cleaned.effect[at])).reindex(columns=AMBIENT_COLUMNS)


def changed_by(before: Floats, removed: Floats) -> dict[str, Any]:
    """Tell which numbers depend on ambient counts.

    Parameters
    ----------
    before, removed
        (features,) effects with them and without; NaN where the latter are not known.

    Returns
    -------
    dict
        ``effect_ambient_removed, share_left, same_sign, depends_on_ambient``, the last two missing where not known.
    """
    share = np.divide(removed, before, out=np.full(len(before), np.nan), where=before != 0)
    same = pd.Series(np.sign(removed) == np.sign(before), dtype="boolean").where(~np.isnan(removed))
    depends = ~same | (share < HALF)
    return {
        "effect_ambient_removed": removed,
        "share_left": share,
        "same_sign": same.array,
        "depends_on_ambient": depends.array,
    }


def _summary(found: Ambient) -> dict[str, Any]:
    if found.fault:
        return {"subset_ambient_share": np.nan, "controls": ""}
    names, counts = np.unique(found.controls.astype(str), return_counts=True)
    return {"subset_ambient_share": float(np.median(found.share)), "controls": names[counts.argmax()]}


def _ratio(own: pd.DataFrame, whole: pd.DataFrame) -> Floats:
    """Return (samples,) upper limits of the controls' counts over those of the whole; infinite without any."""
    from scipy.stats import chi2

    seen, base = own.sum(axis=1).to_numpy(dtype=float), whole.sum(axis=1).to_numpy(dtype=float)
    limit = chi2.ppf(LEVEL, 2 * (seen + 1)) / 2
    return np.divide(limit, base, out=np.full(len(base), np.inf), where=base > 0)

"""How tables are told in words: display names, counts, effects and p values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from immune_landscape.cell_types import name_of, read_markers
from immune_landscape.layers import LAYERS

PARENTS = {"all": "All cells", "cells": "All cells", "nk": "NK cells", "t": "T cells"}
PARENTS |= {"immune": "Immune cells", "cd8": "CD8 T cells"}
NAMES = {
    "responder": "Responders",
    "non_responder": "Non-responders",
    "": "Response not recorded",
    "all": "All patients",
    "gex": "Gene expression",
    "tcr": "Single-cell TCR",
    "bulk_tcr": "Bulk TCR",
    "unassigned": "Unassigned",
}
LAYER_NAMES = {name: layer.name for name, layer in LAYERS.items()} | {
    "expression": "Gene expression",
    "endpoints": "Clinical endpoints",
}
FEATURE_NAMES = {
    "receptor_cells": "Receptor cells",
    "clonotypes": "Clonotypes",
    "receptor_detection": "Receptor detection",
    "expanded_share": "Share of expanded cells",
    "expanded_share_within": "Share of expanded cells, at the subset's depth",
    "expanded_share_at_depth": "Share of expanded cells, at the sample's depth",
    "share_of_expanded_at_depth": "Share of all expanded cells",
    "top_clone_share": "Share of largest clonotype",
    "gini_simpson": "Gini-Simpson",
    "pielou": "Pielou evenness",
    "clonality": "Clonality (1 − Pielou)",
    "hill_0": "Hill q = 0 (richness)",
    "hill_1": "Hill q = 1",
    "hill_2": "Hill q = 2",
    "homeo_rare": "Space of rare clones (to 0.001 %)",
    "homeo_small": "Space of small clones (to 0.01 %)",
    "homeo_medium": "Space of medium clones (to 0.1 %)",
    "homeo_large": "Space of large clones (0.1 to 1 %)",
    "homeo_hyperexpanded": "Space of hyperexpanded clones (above 1 %)",
    "homeo_rare_screpertoire": "Space of rare clones (to 0.01 %)",
    "homeo_small_screpertoire": "Space of small clones (to 0.1 %)",
    "homeo_medium_screpertoire": "Space of medium clones (to 1 %)",
    "homeo_large_screpertoire": "Space of large clones (1 to 10 %)",
    "homeo_hyperexpanded_screpertoire": "Space of hyperexpanded clones (above 10 %)",
    "shannon": "Shannon entropy",
    "gini": "Gini coefficient",
    "chao1": "Chao1 richness",
    "d50": "D50 (clonotypes of half the repertoire)",
    "d50_share": "D50 as share of clonotypes",
    "inverse_simpson": "Inverse Simpson",
    "mean_cdr3_length": "Mean length of CDR3",
    "convergence": "Share of convergent sequences",
    "share_new": "Share of new clones",
    "share_persistent": "Share of persistent clones",
    "share_lost": "Share of lost clones",
    "share_expanded": "Share of expanded clones",
    "share_contracted": "Share of contracted clones",
    "clones_new": "New clones",
    "clones_lost": "Lost clones",
    "clones_persistent": "Persistent clones",
    "clones_expanded": "Expanded clones",
    "clones_contracted": "Contracted clones",
    "predicted_all": "Predicted antigen, share above chance",
    "predicted_CMV": "Predicted CMV, share above chance",
    "predicted_EBV": "Predicted EBV, share above chance",
    "predicted_InfluenzaA": "Predicted influenza A, share above chance",
    "immune_share": "Immune cells",
    "t_of_immune": "T cells",
    "nk_of_immune": "NK cells",
    "b_of_immune": "B cells",
    "plasma_of_immune": "Plasma cells",
    "macrophage_of_immune": "Macrophages",
    "cd8_to_treg": "CD8 T cells against Treg",
    "bulk_share": "Share of bulk mass of clones seen in cells",
    "cells_kept": "Cells kept",
    "share_kept": "Share of cells kept",
    "doublet_share": "Share of doublets",
    "median_counts": "Median molecules per cell",
    "median_genes": "Median genes per cell",
    "median_pct_mt": "Median mitochondrial share",
}
ADJUSTED = "_adjusted"
"""Ending of a scope whose scores are adjusted for its composition."""


def shown(study: Mapping[str, Any], slug: str) -> str:
    """Return the display name of a visit, tissue, group, arm or cell type.

    Parameters
    ----------
    study
        Facts of the cohort; its ``labels`` win.
    slug
        Value as in the tables.

    Returns
    -------
    str
        One line of text.
    """
    labels = study.get("labels") or {}
    if slug in labels:
        return str(labels[slug])
    if slug in NAMES:
        return NAMES[slug]
    named = name_of(slug)
    return named if named != slug else slug.replace("_", " ").strip().capitalize() if slug.islower() else slug


def shown_strata(study: Mapping[str, Any], strata: object) -> str:
    """Return what a comparison is stratified by, as a sentence goes on with it.

    Parameters
    ----------
    study
        Facts of the cohort; its ``labels`` win.
    strata
        Column ``strata`` of `compare_outcomes`: names of columns, joined by ", ".

    Returns
    -------
    str
        Such as ``, stratified by PD-L1``; empty without strata.
    """
    if not isinstance(strata, str) or not strata:
        return ""
    return f", stratified by {', '.join(shown(study, name) for name in strata.split(', '))}"


def shown_layer(layer: str) -> str:
    """Return the display name of a layer.

    Parameters
    ----------
    layer
        Such as ``expansion``.

    Returns
    -------
    str
        Such as ``Single-cell TCR``.
    """
    return LAYER_NAMES.get(layer, layer)


def shown_feature(study: Mapping[str, Any], layer: str, feature: str) -> str:
    """Return the display name of what a row of contrasts compares.

    Parameters
    ----------
    study
        Facts of the cohort; its ``labels`` win.
    layer
        Layer of the row.
    feature
        As in the tables.

    Returns
    -------
    str
        Populations and measures keep the name that the sheet gives them.
    """
    labels = study.get("labels") or {}
    if feature in labels or layer == "composition":
        return shown(study, feature)
    if layer in ("signatures", "microenvironment") and feature not in FEATURE_NAMES:
        entry: Mapping[str, Any] = read_markers()["signatures"].get(feature) or {}
        return str(entry.get("name") or shown(study, feature))
    return FEATURE_NAMES.get(feature, feature)


def ordered_visits(visits: Iterable[str], study: Mapping[str, Any]) -> list[str]:
    """Return the distinct visits of a table in the order of the study, unknown ones last.

    Parameters
    ----------
    visits
        Visit of each row.
    study
        Facts of the cohort; ``visits``.

    Returns
    -------
    list of str
        Each once.
    """
    present = set(visits)
    ordered = [visit for visit in study.get("visits") or [] if visit in present]
    return ordered + sorted(present - set(ordered))


def shown_parent(study: Mapping[str, Any], parent: str) -> str:
    """Return the display name of a denominator.

    Parameters
    ----------
    study
        Facts of the cohort.
    parent
        ``all``, ``cells``, ``nk``, ``t`` or another branch.

    Returns
    -------
    str
        Such as ``NK cells``.
    """
    if parent.endswith(ADJUSTED):
        return f"{shown_parent(study, parent.removesuffix(ADJUSTED))} (composition-adjusted)"
    return PARENTS.get(parent) or shown(study, parent)


def interval_name(study: Mapping[str, Any]) -> str:
    """Return what intervals are called, at the level that the study uses.

    Parameters
    ----------
    study
        Facts of the cohort; ``alpha`` where known.

    Returns
    -------
    str
        Such as ``95 % CI``.
    """
    alpha = study.get("alpha")
    return "confidence interval" if alpha is None else f"{100 * (1 - float(alpha)):g} % CI"


def facts_of(study: Mapping[str, Any], contrast: str) -> Mapping[str, Any]:
    """Return what the study declares of a contrast.

    Parameters
    ----------
    study
        Facts of the cohort; ``contrasts``.
    contrast
        Name.

    Returns
    -------
    Mapping
        Empty for a contrast that is not declared; several targets stand as one, named by their summary.
    """
    declared = study.get("contrasts") or []
    facts: Mapping[str, Any] = next((facts for facts in declared if facts["name"] == contrast), {})
    if not facts.get("targets"):
        return facts
    return {**facts, "target": f"{facts.get('summary') or 'last'} of {', '.join(facts['targets'])}"}


def levels_of(facts: Mapping[str, Any]) -> list[str]:
    """Return reference and target of a contrast; the reference alone for a contrast of one visit.

    Parameters
    ----------
    facts
        As `facts_of` returns.

    Returns
    -------
    list of str
        Levels of the factor compared.
    """
    return [facts["reference"]] if facts["estimand"] == "baseline" else [facts["reference"], facts["target"]]


def groups_of(row: Mapping[Any, Any]) -> list[str]:
    """Return the groups of patients that a row compares: two, or one for the change in all patients.

    Parameters
    ----------
    row
        ``group_a``, ``group_b``; missing or empty for no group.

    Returns
    -------
    list of str
        Without the missing.
    """
    names = [row[name] for name in ("group_a", "group_b")]
    return [str(name) for name in names if not pd.isna(name) and name != ""]


def patients_of(row: Mapping[Any, Any]) -> str:
    """Write the numbers of patients that a row compares.

    Parameters
    ----------
    row
        ``group_a``, ``group_b``, ``n_a``, ``n_b``.

    Returns
    -------
    str
        Such as ``6 / 13``; one number for one group.
    """
    return f"{row['n_a']:.0f} / {row['n_b']:.0f}" if len(groups_of(row)) == 2 else f"{row['n_a']:.0f}"


def sentence(text: str) -> str:
    """Begin a text with a capital, leaving the rest as it is.

    Parameters
    ----------
    text
        Such as the question of a contrast.

    Returns
    -------
    str
        The text.
    """
    return text[:1].upper() + text[1:]


def counted(count: int, noun: str) -> str:
    """Write a number of things.

    Parameters
    ----------
    count
        How many.
    noun
        Singular whose plural takes an s.

    Returns
    -------
    str
        Such as ``1 sample`` or ``1,200 cells``.
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def format_p(value: float) -> str:
    """Write a p value: never 0, never with false precision.

    Parameters
    ----------
    value
        p, or NaN.

    Returns
    -------
    str
        Such as ``0.034`` or ``< 0.0001``; an en dash when missing.
    """
    if pd.isna(value):
        return "–"
    if value < 1e-4:
        return "< 0.0001"
    return f"{value:.2g}" if value < 0.01 else f"{value:.3f}" if value < 0.1 else f"{value:.2f}"


def format_number(value: float, digits: int = 2) -> str:
    """Write an effect or a bound with its sign.

    Parameters
    ----------
    value
        Number, infinite or NaN.
    digits
        Decimals.

    Returns
    -------
    str
        With a true minus sign.
    """
    if pd.isna(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return f"{value:+,.{digits}f}".replace("-", "−")


def format_effect(row: Mapping[Any, Any]) -> str:
    """Write an effect with its interval.

    Parameters
    ----------
    row
        ``effect``, ``ci_low``, ``ci_high``.

    Returns
    -------
    str
        Such as ``+0.85 [+0.21, +1.49]``.
    """
    if pd.isna(row["effect"]):
        return "–"
    bounds = [row["ci_low"], row["ci_high"]]
    digits = decimals([row["effect"], *bounds])
    effect = format_number(row["effect"], digits)
    if pd.isna(bounds).all():
        return effect
    return f"{effect} [{', '.join(format_number(bound, digits) for bound in bounds)}]"


def decimals(values: Iterable[float]) -> int:
    """Choose decimals for numbers shown together: two, more when all are small, none when large.

    Parameters
    ----------
    values
        Numbers; those that are not finite do not count.

    Returns
    -------
    int
        0 to 4.
    """
    largest = max((abs(value) for value in values if not pd.isna(value) and not math.isinf(value)), default=1.0)
    return 0 if largest >= 100 else 2 if largest >= 0.2 else 3 if largest >= 0.02 else 4


def reach_of(usual: float, bounds: pd.Series, *, most: float) -> float:
    """Choose how far an axis of effects reaches: one very wide interval does not shrink the others.

    Parameters
    ----------
    usual
        What must be shown, such as the largest effect.
    bounds
        Interval bounds, missing and infinite ones included.
    most
        Multiple of ``usual`` up to which bounds are shown.

    Returns
    -------
    float
        0 when there is nothing to show.
    """
    finite = bounds.astype(float).abs()
    finite = finite[finite < math.inf]
    return max(usual, min(float(finite.max()), most * usual) if len(finite) else 0.0)


def clip_text(text: str, length: int) -> str:
    """Cut a text that is too long for its place.

    Parameters
    ----------
    text
        One line.
    length
        Characters at most.

    Returns
    -------
    str
        With an ellipsis when cut.
    """
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"

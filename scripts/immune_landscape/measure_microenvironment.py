"""Measure the immune microenvironment of tissue: immune share, lineages, CD8 against Treg, CD8 programmes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from immune_landscape.cell_types import read_cell_types
from immune_landscape.errors import DesignError
from immune_landscape.scope_profiles import profile_scopes
from immune_landscape.score_signatures import score_rows
from immune_landscape.signature_registry import scored_rows
from immune_landscape.value_tables import VALUE_COLUMNS, ordered_values

if TYPE_CHECKING:
    from immune_landscape.blocked_counts import CellCounts

NOT_IMMUNE = ("epithelial", "acinar", "endocrine", "fibroblast", "mural", "endothelial", "glia")
LEFT_OUT = ("unassigned", "", "platelet", "erythroid")
"""Neither immune nor tissue: cells without a name, and what blood leaves in a biopsy."""

HALF = 0.5
"""Added to both counts of a share or ratio, so that none and all have a logarithm."""

CD8, OTHER = "cd8", "t_unassigned"
PLACE = ["sample", "patient", "visit", "tissue", "region", "response"]
SAMPLE_COLUMNS = [*PLACE, "parent", "feature", "part", "whole", "share", "value", "unit"]
PATIENT_COLUMNS = ["patient", "visit", "tissue", "response", "parent", "feature", "regions", "share", "value", "unit"]


class _Count(NamedTuple):
    """Cells counted for a feature, and the cells that they are held against."""

    parent: str
    feature: str
    part: pd.Series
    whole: pd.Series
    ratio: bool = False


def is_solid(tissues: pd.Series, fluids: Collection[str]) -> pd.Series:
    """Tell tissue that has a microenvironment from blood and other fluids.

    Parameters
    ----------
    tissues
        Tissue of each sample.
    fluids
        Tissues that are none.

    Returns
    -------
    pandas.Series of bool
        By sample.
    """
    return ~tissues.astype(str).isin(list(fluids))


def measure_microenvironment(
    counts: CellCounts,
    labels: pd.DataFrame,
    registry: pd.DataFrame,
    design: pd.DataFrame,
    definition: Mapping[str, Any],
    *,
    fluids: Sequence[str],
    lineages: Sequence[str],
    signatures: Sequence[str],
    min_cells: int,
) -> dict[str, pd.DataFrame]:
    """Sum up the immune cells of every tissue sample, and of every patient by visit and tissue.

    Parameters
    ----------
    counts
        Cells x genes, raw counts.
    labels
        As from `define_labels`, indexed by cell: sample, lineage, branch, subset.
    registry
        As from `score_signatures`: the signatures and which of their genes are measured.
    design
        One row per sample; ``region`` where a tissue has several.
    definition
        Settings of `score_signatures`; ``n_bins``.
    fluids
        Tissues without a microenvironment.
    lineages
        Immune lineages whose shares among immune cells are told.
    signatures
        Programmes of CD8 T cells, of those scored by `score_signatures`.
    min_cells
        Cells that a number needs: of the whole, or of both sides of a ratio together.

    Returns
    -------
    dict of str to pandas.DataFrame
        ``values``: `VALUE_COLUMNS`, one row per sample and feature, the layer that is compared. ``samples``:
        `SAMPLE_COLUMNS`, the same with counts, each region a row. ``patients``: `PATIENT_COLUMNS`, the mean of the
        regions measured of each patient, visit and tissue; a region counts as one whatever its number of cells.

    Raises
    ------
    DesignError
        A signature was not asked of `score_signatures`.

    Notes
    -----
    Immune share: natural log odds of immune cells among cells with a name, platelets and red cells left out. Lineages:
    log odds among immune cells. CD8 against Treg: natural log ratio of their cells. Programmes: mean score of all CD8
    T cells, as in `score_signatures`, with bins of the T cells of tissue. Half a cell is added to counts. No class such
    as inflamed, excluded or desert is given: it rests on where cells lie, which dissociated cells do not tell, and has
    no agreed definition (Tiwari 2023, https://doi.org/10.3389/fimmu.2023.1084887).
    """
    unknown = sorted(set(signatures) - set(registry["signature"]))
    if unknown:
        known = ", ".join(registry["signature"])
        raise DesignError(f"measure_microenvironment: signatures is {', '.join(unknown)}, expected of: {known}")
    wanted = design[is_solid(design["tissue"], fluids) & (design["gex"].fillna("").astype(str) != "")]
    cells = labels[labels["sample"].isin(wanted["sample"])]
    tables = [_counted(each, min_cells) for each in _counts(cells, wanted["sample"], lineages)]
    tables.append(_scored(counts, cells, registry, definition, signatures, min_cells))
    found = pd.concat([table for table in tables if len(table)] or tables, ignore_index=True)
    facts = wanted.reindex(columns=PLACE).fillna({"region": "", "response": ""})
    samples = found.merge(facts, on="sample", how="left", validate="many_to_one")[SAMPLE_COLUMNS]
    values = samples.assign(low=np.nan, high=np.nan)[VALUE_COLUMNS]
    return {"values": ordered_values(values, wanted), "samples": samples, "patients": _by_patient(samples)}


def _counts(cells: pd.DataFrame, samples: pd.Series, lineages: Sequence[str]) -> Iterator[_Count]:
    """Count the cells of each sample that the features are made of, zeros included."""
    types = read_cell_types()
    cd8 = set(types.index[types["side"] == CD8])
    lineage = cells["lineage"].fillna("").astype(str)
    immune = ~lineage.isin([*NOT_IMMUNE, *LEFT_OUT])

    def number(chosen: pd.Series) -> pd.Series:
        """Count chosen cells by sample."""
        return cells.loc[chosen, "sample"].value_counts().reindex(samples.to_list(), fill_value=0)

    all_immune = number(immune)
    yield _Count("all", "immune_share", all_immune, number(~lineage.isin(LEFT_OUT)))
    for name in lineages:
        yield _Count("immune", f"{name}_of_immune", number(lineage == name), all_immune)
    eights, regulatory = number(cells["subset"].isin(cd8)), number(cells["subset"] == "treg")
    yield _Count("t", "cd8_to_treg", eights, regulatory, ratio=True)


def _counted(count: _Count, min_cells: int) -> pd.DataFrame:
    """Turn counts into log odds of a part, or the log ratio of two sides; too few cells give no number."""
    other = count.whole if count.ratio else count.whole - count.part
    enough = count.part + other >= min_cells
    table = pd.DataFrame({"part": count.part, "whole": count.whole})
    table["value"] = np.log((count.part + HALF) / (other + HALF))
    table["share"] = np.nan if count.ratio else count.part / count.whole.where(count.whole > 0)
    unit = "log ratio" if count.ratio else "log odds"
    named = table[enough].rename_axis("sample").reset_index()
    return named.assign(parent=count.parent, feature=count.feature, unit=unit)


def _scored(
    counts: CellCounts,
    cells: pd.DataFrame,
    registry: pd.DataFrame,
    definition: Mapping[str, Any],
    signatures: Sequence[str],
    min_cells: int,
) -> pd.DataFrame:
    """Score programmes in the CD8 T cells of each sample, all subsets of them together."""
    types = read_cell_types()
    is_cd8 = cells["subset"].isin(list(types.index[types["side"] == CD8]))
    together = cells[["sample", "branch"]].assign(subset=np.where(is_cd8, CD8, OTHER))
    together = together[together["branch"] == "t"]
    chosen = registry[registry["signature"].isin(list(signatures))]
    columns = ["sample", "part", "whole", "value", "share", "parent", "feature", "unit"]
    if together.empty or not scored_rows(chosen, "t"):
        return pd.DataFrame(columns=columns)
    profiles = profile_scopes(counts, together, min_cells=min_cells, min_weight=0.0, n_bins=definition["n_bins"])
    profiles = profiles[(profiles.obs["scope"] == CD8).to_numpy()].copy()
    if not profiles.n_obs:
        return pd.DataFrame(columns=columns)
    scores = score_rows(profiles, chosen, "t").assign(sample=profiles.obs["sample"], part=profiles.obs["cells"])
    table = scores.melt(["sample", "part"], var_name="feature", value_name="value").dropna(subset="value")
    return table.assign(whole=table["part"], share=np.nan, parent=CD8, unit="score")[columns]


def _by_patient(samples: pd.DataFrame) -> pd.DataFrame:
    keys = [name for name in PATIENT_COLUMNS if name not in ("regions", "share", "value")]
    grouped = samples.groupby(keys, sort=False, dropna=False)
    table = grouped.agg(regions=("sample", "size"), share=("share", "mean"), value=("value", "mean"))
    return table.reset_index()[PATIENT_COLUMNS]

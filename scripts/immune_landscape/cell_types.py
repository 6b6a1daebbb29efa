"""The cell types that the workflow can name: slugs, display names, marker sets, colours."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pandas as pd
import yaml

RESOURCES = Path(__file__).resolve().parents[2] / "workflow" / "resources"


@cache
def read_cell_types() -> pd.DataFrame:
    """Read the table of cell types.

    Returns
    -------
    pandas.DataFrame
        Index ``slug``; ``name``, ``level`` (lineage, subset, state, or published for NK states that clusters are
        compared with), ``also`` (a second level of the row, such as state), ``branch`` (nk, t, other), ``parent``
        (the type that a cell is named where its subset is open), ``marker_sets`` (list of ``group.set`` in
        markers.yaml), ``rivals`` (list of lineages whose cells look like this one where their markers are missing: it
        is named only where they too can be looked for), ``anchor`` (gene symbol that names an NK cluster), ``side``
        (cd4, cd8 or empty), ``tissue`` (any, or tissue for types looked for outside blood only), ``colour``,
        ``cell_ontology``.
    """
    table = pd.read_csv(RESOURCES / "cell_types.tsv", sep="\t", dtype=str, keep_default_na=False, index_col="slug")
    for column in ("marker_sets", "rivals"):
        table[column] = [[name for name in names.split(",") if name] for names in table[column]]
    return table


@cache
def read_markers() -> dict[str, dict[str, dict[str, list[str]]]]:
    """Read the marker sets.

    Returns
    -------
    dict
        group -> set -> ``genes``, ``negative``, ``source``.
    """
    return yaml.safe_load((RESOURCES / "markers.yaml").read_text(encoding="utf-8"))


@cache
def read_levels() -> pd.DataFrame:
    """Read what T and NK cells of healthy blood express of the marker genes.

    Returns
    -------
    pandas.DataFrame
        Index ``gene``; ``t_mean``, ``t_sd``, ``nk_mean``, ``nk_sd``: mean and standard deviation between cells of
        neighbour-averaged log1p counts per 10,000.
    """
    return pd.read_csv(RESOURCES / "marker_levels.tsv", sep="\t", index_col="gene", comment="#")


def types_of(level: str, *, branch: str | None = None, tissues: tuple[str, ...] = ("blood",)) -> pd.DataFrame:
    """Return the cell types that may be named at one level.

    Parameters
    ----------
    level
        ``lineage``, ``subset``, ``state`` or ``published``; a row's second level counts too.
    branch
        Only this branch; None for all.
    tissues
        Tissues of the cohort; types marked ``tissue`` are left out of cohorts of blood alone.

    Returns
    -------
    pandas.DataFrame
        Rows of `read_cell_types`.
    """
    table = read_cell_types()
    chosen = (table["level"] == level) | (table["also"] == level)
    if branch is not None:
        chosen &= table["branch"] == branch
    if set(tissues) <= {"blood"}:
        chosen &= table["tissue"] != "tissue"
    return table[chosen]


def name_of(slug: str) -> str:
    """Return the display name of a cell type, or the slug itself when it is not in the table.

    Parameters
    ----------
    slug
        Such as ``cd8_teff``.

    Returns
    -------
    str
        Such as ``CD8 Teff``.
    """
    table = read_cell_types()
    return str(table.at[slug, "name"]) if slug in table.index else slug

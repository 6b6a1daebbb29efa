"""The registry of gene signatures: what they hold, what of it a cohort measures, and what else those genes decide."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import pandas as pd

from immune_landscape.cell_types import read_cell_types, read_markers
from immune_landscape.display_text import ADJUSTED
from immune_landscape.errors import DesignError

REGISTRY_COLUMNS = [
    "signature", "branch", "version", "genes", "found", "share_found", "found_genes", "missing_genes",
    "negative_genes", "variable_genes", "status", "source",
]  # fmt: skip
OVERLAP_COLUMNS = ["signature", "parent", "genes", "shared", "share", "shared_genes", "anchor", "warning"]
SCORED, TOO_FEW = "scored", "too few genes"


class Signature(NamedTuple):
    """One entry of ``signatures`` in markers.yaml.

    Attributes
    ----------
    slug, name
        Name in tables and in figures.
    branch
        Cells it is scored in: ``nk``, ``t`` or ``any`` for both.
    version
        Of its gene list.
    genes, negative
        Symbols that count for and against.
    source
        Where the genes come from; begins with a tag of evidence.
    """

    slug: str
    name: str
    branch: str
    version: int
    genes: tuple[str, ...]
    negative: tuple[str, ...]
    source: str


@cache
def read_signatures() -> dict[str, Signature]:
    """Read the signatures.

    Returns
    -------
    dict
        Slug -> `Signature`, in the order of the file.
    """
    entries: Mapping[str, Mapping[str, Any]] = read_markers()["signatures"]
    return {
        slug: Signature(
            slug,
            entry["name"],
            entry["branch"],
            entry["version"],
            tuple(entry["genes"]),
            tuple(entry.get("negative") or ()),
            entry["source"],
        )
        for slug, entry in entries.items()
    }


def choose_signatures(slugs: Iterable[str]) -> list[Signature]:
    """Look up signatures.

    Parameters
    ----------
    slugs
        Names of markers.yaml.

    Returns
    -------
    list of Signature
        In the order asked for.

    Raises
    ------
    DesignError
        Names that the registry does not have; all are listed.
    """
    known, wanted = read_signatures(), list(dict.fromkeys(slugs))
    unknown = [slug for slug in wanted if slug not in known]
    if unknown:
        raise DesignError(
            f"score_signatures: signatures is {', '.join(map(repr, unknown))}, "
            f"expected signatures of markers.yaml: {', '.join(known)}"
        )
    return [known[slug] for slug in wanted]


def registry_table(
    signatures: Sequence[Signature],
    genes: Collection[str],
    variable: Mapping[str, Collection[str]],
    *,
    min_genes: int,
    min_share: float,
) -> pd.DataFrame:
    """Find which genes of each signature a cohort measures.

    Parameters
    ----------
    signatures
        As `choose_signatures` returns.
    genes
        Symbols measured.
    variable
        Branch -> highly variable genes, which drove its clusters and so its labels.
    min_genes, min_share
        Number and share of a signature's genes that must be measured for it to be scored.

    Returns
    -------
    pandas.DataFrame
        One row per signature: ``signature, branch, version, genes`` and ``found`` (numbers), ``share_found`` (0-1),
        ``found_genes, missing_genes, negative_genes`` (those measured), ``variable_genes`` (genes found that are
        highly variable in a branch where the signature is scored), all joined by commas, ``status`` (``scored`` or
        ``too few genes``) and ``source``.
    """
    measured = set(genes)
    rows = [_registry_row(signature, measured, variable, min_genes, min_share) for signature in signatures]
    return pd.DataFrame(rows, columns=REGISTRY_COLUMNS)


def _registry_row(
    signature: Signature, measured: set[str], variable: Mapping[str, Collection[str]], min_genes: int, min_share: float
) -> dict[str, Any]:
    found = [gene for gene in signature.genes if gene in measured]
    negative = [gene for gene in signature.negative if gene in measured]
    drove = {gene for branch, names in variable.items() if signature.branch in (branch, "any") for gene in names}
    enough = len(found) >= min_genes and len(found) >= min_share * len(signature.genes)
    return {
        "signature": signature.slug,
        "branch": signature.branch,
        "version": signature.version,
        "genes": len(signature.genes),
        "found": len(found),
        "share_found": len(found) / len(signature.genes),
        "found_genes": ",".join(found),
        "missing_genes": ",".join(gene for gene in signature.genes if gene not in measured),
        "negative_genes": ",".join(negative),
        "variable_genes": ",".join(gene for gene in [*found, *negative] if gene in drove),
        "status": SCORED if enough else TOO_FEW,
        "source": signature.source,
    }


def scored_rows(registry: pd.DataFrame, branch: str) -> list[dict[Any, Any]]:
    """Return the signatures that are scored in a branch.

    Parameters
    ----------
    registry
        As `registry_table` returns.
    branch
        ``nk`` or ``t``.

    Returns
    -------
    list of dict
        Rows of the registry.
    """
    chosen = registry["branch"].isin([branch, "any"]) & (registry["status"] == SCORED)
    return registry[chosen].to_dict("records")


def names_in(text: Any) -> list[str]:
    """Return the names in a field of joined names.

    Parameters
    ----------
    text
        Such as ``IL7,IL15``; empty or missing for none.

    Returns
    -------
    list of str
        The names.
    """
    return text.split(",") if isinstance(text, str) and text else []


def overlap_table(registry: pd.DataFrame, scopes: pd.DataFrame, *, max_overlap: float) -> pd.DataFrame:
    """Find which genes of a signature also define the cells that it is scored in.

    Parameters
    ----------
    registry
        As `registry_table` returns.
    scopes
        ``scope`` and ``branch`` of every scope scored.
    max_overlap
        Share of a signature's genes above which a warning is given.

    Returns
    -------
    pandas.DataFrame
        One row per signature and scope (column ``parent``): ``genes`` (found, for and against), ``shared`` (how many
        of them are markers, negative markers or the anchor of the scope's cell type), ``share`` (0-1),
        ``shared_genes``, ``anchor`` (the anchor gene where it is among them) and ``warning``.

    Notes
    -----
    An anchor gene names its cluster by itself, so one shared anchor is enough for the warning.
    """
    rows = [
        _overlap_row(row, str(scope), max_overlap)
        for branch, part in scopes.drop_duplicates("scope").groupby("branch", sort=False)
        for row in scored_rows(registry, str(branch))
        for scope in part["scope"]
    ]
    return pd.DataFrame(rows, columns=OVERLAP_COLUMNS)


def _overlap_row(row: Mapping[Any, Any], scope: str, max_overlap: float) -> dict[str, Any]:
    own = names_in(row["found_genes"]) + names_in(row["negative_genes"])
    defining, anchor = defining_genes(scope.removesuffix(ADJUSTED))
    shared = [gene for gene in own if gene in defining]
    share = len(shared) / len(own)
    anchored = anchor if anchor in own else ""
    return {
        "signature": row["signature"],
        "parent": scope,
        "genes": len(own),
        "shared": len(shared),
        "share": share,
        "shared_genes": ",".join(shared),
        "anchor": anchored,
        "warning": share > max_overlap or bool(anchored),
    }


def defining_genes(slug: str) -> tuple[set[str], str]:
    """Return the genes that cells are given a label by, and the anchor among them.

    Parameters
    ----------
    slug
        Lineage or subset.

    Returns
    -------
    set of str
        Markers, negative markers and anchor; empty for a type without any.
    str
        The anchor, or empty.
    """
    types = read_cell_types()
    if slug not in types.index:
        return set(), ""
    markers, anchor = read_markers(), str(types.at[slug, "anchor"])
    sets: Any = types.at[slug, "marker_sets"]
    entries = [markers[group][name] for group, _, name in (each.partition(".") for each in sets)]
    genes = {gene for entry in entries for key in ("genes", "negative") for gene in entry[key]}
    return genes | ({anchor} if anchor else set()), anchor


def signature_notes(registry: pd.DataFrame, overlap: pd.DataFrame) -> dict[tuple[str, str], str]:
    """Write what a reader of a signature's contrast must know of its genes.

    Parameters
    ----------
    registry, overlap
        As `registry_table` and `overlap_table` return.

    Returns
    -------
    dict
        (parent, feature) -> note, for those that need one.
    """
    rows = {row["signature"]: row for row in registry.to_dict("records")}
    notes: dict[tuple[str, str], str] = {}
    for row in overlap.to_dict("records"):
        known, told = rows[row["signature"]], []
        if row["warning"]:
            anchored = f"; {row['anchor']} alone names it" if row["anchor"] else ""
            told.append(
                f"circular: {row['shared']} of {row['genes']} genes also define the cell type "
                f"({', '.join(names_in(row['shared_genes']))}{anchored})"
            )
        if known["found"] < known["genes"]:
            told.append(f"{known['found']} of {known['genes']} genes measured")
        if told:
            notes[str(row["parent"]), str(row["signature"])] = "; ".join(told)
    return notes

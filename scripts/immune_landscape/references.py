"""A reference with labelled cells or a trained model: what it holds, and whether it can be used."""

from __future__ import annotations

import logging
import os
import tempfile
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from immune_landscape.cell_types import RESOURCES, read_cell_types
from immune_landscape.data_files import resolve_path
from immune_landscape.errors import InputError
from immune_landscape.input_files import Place, open_hdf5, read_element, require_content
from immune_landscape.store import sha256_of
from immune_landscape.text_files import did_you_mean, quoted

if TYPE_CHECKING:
    from anndata import AnnData

KINDS = {".pkl": "model", ".h5ad": "cells"}
WORDS = {"model": "a CellTypist model (.pkl)", "cells": "a labelled .h5ad"}
NAME = "reference"
"""Stands for the sample in messages of the readers, which all say of which sample they speak."""

PROBE_CELLS = 200
MIN_GENES = 500
"""Genes in common below which labels would rest on chance; panels of a few hundred genes need a reference of theirs."""

MIN_LABEL_CELLS = 10
"""Labels with fewer cells are not learnt."""


@dataclass(frozen=True)
class Reference:
    """A reference as the cohort declares it.

    Attributes
    ----------
    path
        File.
    kind
        ``model`` (CellTypist) or ``cells`` (labelled h5ad).
    sha256
        Checksum that the file must have before it is opened.
    label_column
        Column of ``obs`` with the labels; empty for a model.
    labels
        Label of the reference -> slug of a cell type, before what is known without it.
    """

    path: Path
    kind: str
    sha256: str
    label_column: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def place(self) -> Place:
        """Begin messages about the file."""
        return Place(self.path, NAME)


def reference_problems(
    spec: Mapping[str, Any],
    root: str | Path,
    *,
    outside: bool = False,
    genes: Iterable[str] | None = None,
    min_genes: int = MIN_GENES,
) -> list[tuple[str, str]]:
    """Tell why a reference cannot be used, before any heavy job.

    Parameters
    ----------
    spec
        ``reference`` of cohort.yaml: ``file``, ``sha256``, ``label_column``, ``labels``.
    root
        Folder that ``file`` is relative to.
    outside
        Whether the file may lie outside it.
    genes
        Genes of the cohort where known.
    min_genes
        Genes that cohort and reference must share.

    Returns
    -------
    list of tuple
        Key of cohort.yaml, such as ``reference.sha256``, and message. A file with a wrong checksum is not opened, as
        reading a model runs the code in it.
    """
    path, fault = resolve_path(str(spec["file"]), Path(root), outside=outside, must_exist=True)
    if fault:
        return [("reference.file", fault[1])]
    reference = _declared(spec, path)
    if not reference.kind:
        return [("reference.file", f"'{path}' ends in neither .pkl nor .h5ad; expected {' or '.join(WORDS.values())}")]
    wrong = [*_column_problems(reference), *_slug_problems(reference.labels)]
    if wrong:
        return wrong
    try:
        check_file(reference)
        content = probe_reference(reference)
    except InputError as error:
        return [("reference.file", str(error).removeprefix(f"{reference.place}: "))]
    shared = None if genes is None else len(set(content.genes) & set(genes))
    few = [] if shared is None or shared >= min_genes else [("reference.file", too_few(shared, min_genes))]
    return [*_label_problems(content, reference.labels), *few]


def reference_of(spec: Mapping[str, Any], path: str | Path) -> Reference:
    """Read what cohort.yaml says of a reference, and require that the file is the one meant.

    Parameters
    ----------
    spec
        ``reference`` of cohort.yaml.
    path
        The file, resolved.

    Returns
    -------
    Reference
        Whose file has the right checksum.

    Raises
    ------
    InputError
        When it is of another kind or has another checksum.
    """
    reference = _declared(spec, path)
    if not reference.kind:
        raise reference.place.error(f"expected {' or '.join(WORDS.values())}")
    check_file(reference)
    return reference


def _declared(spec: Mapping[str, Any], path: str | Path) -> Reference:
    kind = KINDS.get(Path(path).suffix, "")
    labels = {str(label): str(slug) for label, slug in (spec.get("labels") or {}).items()}
    return Reference(Path(path), kind, str(spec["sha256"]), str(spec.get("label_column") or ""), labels)


def _column_problems(reference: Reference) -> list[tuple[str, str]]:
    if reference.kind == "cells" and not reference.label_column:
        return [("reference.label_column", "is missing: a labelled h5ad needs the column of obs that holds the labels")]
    if reference.kind == "model" and reference.label_column:
        return [("reference.label_column", "is for an h5ad; a CellTypist model brings its labels")]
    return []


def _slug_problems(labels: Mapping[str, str]) -> list[tuple[str, str]]:
    known = known_slugs()
    return [
        (f"reference.labels.{label}", f"'{slug}' is no id of a lineage or subset{did_you_mean(slug, known)}")
        for label, slug in labels.items()
        if slug and slug not in known
    ]


def _label_problems(content: Content, given: Mapping[str, str]) -> list[tuple[str, str]]:
    """List labels without a slug, and slugs given for labels that are not there."""
    _, open_labels = map_labels(content.labels, given)
    problems = [
        (f"reference.labels.{label}", f"the reference has no label '{label}'{did_you_mean(label, content.present)}")
        for label in given
        if label not in content.present
    ]
    return [*problems, ("reference.labels", unmapped(open_labels))] if open_labels else problems


def unmapped(labels: list[str]) -> str:
    """Say which labels of a reference stand for no cell type."""
    return (
        f"{len(labels)} labels of the reference have no cell type: {quoted(labels, len(labels))}; give each a slug of "
        "cell_types.tsv, or an empty text for none"
    )


def too_few(shared: int, min_genes: int) -> str:
    """Say that cohort and reference have too few genes in common."""
    return f"{shared} genes in common with the cohort, expected at least {min_genes}; are both named by symbol?"


def check_file(reference: Reference) -> None:
    """Require that the file is of its kind and has its checksum, without opening it further.

    Parameters
    ----------
    reference
        As declared.

    Raises
    ------
    InputError
        With the checksum found.
    """
    require_content(reference.place, "pickle" if reference.kind == "model" else "hdf5", WORDS[reference.kind])
    found = sha256_of(reference.path)
    if found != reference.sha256:
        raise reference.place.error(
            f"sha256 is {found}, expected {reference.sha256}; it was not opened, as reading a model runs code in it"
        )


@dataclass(frozen=True)
class Content:
    """What a reference holds.

    Attributes
    ----------
    labels
        Those that it can give, sorted.
    present
        These, and those of a labelled h5ad that too few cells have.
    genes
        Genes that it knows.
    """

    labels: list[str]
    present: list[str]
    genes: list[str]


def probe_reference(reference: Reference) -> Content:
    """Look into a reference: its labels and genes, and that cells come with raw counts.

    Parameters
    ----------
    reference
        Whose checksum was checked.

    Returns
    -------
    Content
        Labels and genes.

    Raises
    ------
    InputError
        When it has no such column, no raw counts, or fewer than two labels.
    """
    if reference.kind == "model":
        model = load_model(reference)
        names = sorted(map(str, model.cell_types))
        return Content(names, names, [str(gene) for gene in model.features])
    from immune_landscape.gene_names import name_genes
    from immune_landscape.input_probes import probe_counts

    with open_hdf5(reference.place, WORDS["cells"]):
        found = probe_counts(reference.place, cells=PROBE_CELLS)
    labels = labels_of(found.cells, reference)
    genes = name_genes(found.genes, "human", reference.place).index
    return Content(learnable(labels, reference), sorted(set(labels) - {""}), list(genes))


def labels_of(obs: pd.DataFrame, reference: Reference) -> pd.Series:
    """Return the label of each cell of a reference.

    Parameters
    ----------
    obs
        One row per cell.
    reference
        With the name of the column.

    Returns
    -------
    pandas.Series
        Text; empty where missing.

    Raises
    ------
    InputError
        When the column is absent; those found are listed.
    """
    column = reference.label_column
    if column not in obs.columns:
        raise reference.place.error(f"obs has no column '{column}'; found {quoted(list(obs.columns), 30)}")
    values = obs[column].astype(object)
    return values.where(values.notna(), "").astype(str).str.strip()


def learnable(labels: pd.Series, reference: Reference) -> list[str]:
    """Return the labels that enough cells have.

    Parameters
    ----------
    labels
        As `labels_of` returns.
    reference
        For messages.

    Returns
    -------
    list of str
        Sorted.

    Raises
    ------
    InputError
        When there are fewer than two.
    """
    sizes = labels[labels != ""].value_counts()
    kept = sorted(map(str, sizes.index[sizes >= MIN_LABEL_CELLS]))
    if len(kept) < 2:
        raise reference.place.error(
            f"obs['{reference.label_column}'] has {len(kept)} labels of at least {MIN_LABEL_CELLS} cells, expected two"
        )
    return kept


def read_cells(reference: Reference) -> tuple[AnnData, pd.Series]:
    """Read the raw counts and labels of a labelled h5ad.

    Parameters
    ----------
    reference
        Of kind ``cells``, whose checksum was checked.

    Returns
    -------
    counts : AnnData
        Labelled cells x genes, raw counts.
    labels : pandas.Series
        Their labels, those of few cells left out.

    Raises
    ------
    InputError
        When the file holds no raw counts, or no such column.
    """
    from immune_landscape.counts_io import read_counts

    with open_hdf5(reference.place, WORDS["cells"]) as file:
        labels = labels_of(read_element(reference.place, file, "obs"), reference)
    kept = learnable(labels, reference)
    counts = read_counts(reference.path, sample=NAME, barcode_pattern=".+").counts
    labels = labels.set_axis(counts.obs_names)
    rows = labels.isin(kept).to_numpy()
    return counts[rows].copy(), labels[rows]


def load_model(reference: Reference) -> Any:
    """Load a CellTypist model.

    Parameters
    ----------
    reference
        Of kind ``model``. Its checksum must have been checked: reading it runs code.

    Returns
    -------
    celltypist.models.Model
        With ``cell_types`` and ``features``.

    Raises
    ------
    InputError
        When the file holds something else, or was saved by a scikit-learn that this one cannot read.
    """
    celltypist = import_celltypist()
    try:
        return celltypist.models.Model.load(str(reference.path.resolve()))
    # A pickle can fail in any class that it names; CellTypist raises bare Exception.
    except Exception as error:
        raise reference.place.error(f"cannot be read as a CellTypist model: {error}") from error


def import_celltypist() -> Any:
    """Import CellTypist without the folder that it makes in the user's home at its first import.

    Returns
    -------
    module
        ``celltypist``, which logs warnings only.
    """
    name = "CELLTYPIST_FOLDER"
    before = os.environ.get(name)
    with tempfile.TemporaryDirectory() as folder:
        os.environ[name] = before or folder
        try:
            with warnings.catch_warnings():
                # It asks scanpy for its version in a way that scanpy will drop.
                warnings.simplefilter("ignore", FutureWarning)
                import celltypist
        finally:
            os.environ.pop(name)
            os.environ.update({name: before} if before else {})
    celltypist.logger.set_level(logging.WARNING)
    return celltypist


def known_slugs() -> list[str]:
    """Return the slugs that a label may stand for: lineages and subsets but the unassigned.

    Returns
    -------
    list of str
        In the order of cell_types.tsv.
    """
    types = read_cell_types()
    named = types["level"].isin(["lineage", "subset"]) & ~types.index.str.endswith("unassigned")
    return [str(slug) for slug in types.index[named]]


def map_labels(labels: Iterable[str], given: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Find the cell type that each label of a reference stands for.

    Parameters
    ----------
    labels
        Labels of the reference.
    given
        Label -> slug, as cohort.yaml says; wins over what is known.

    Returns
    -------
    slugs : dict
        Label -> slug; empty for no counterpart.
    unmapped : list of str
        Labels that are neither given, nor slugs, nor labels of CellTypist's public immune models.
    """
    wanted = list(labels)
    known = {slug: slug for slug in known_slugs()} | _public_labels(wanted) | dict(given)
    return {name: known[name] for name in wanted if name in known}, [name for name in wanted if name not in known]


def _public_labels(labels: list[str]) -> dict[str, str]:
    """Return the names of the public model that has most of the labels: ILC means other cells in each."""
    table = read_public_labels()
    tables = [dict(zip(part["label"], part["slug"], strict=True)) for _, part in table.groupby("model", sort=True)]
    return max(tables, key=lambda names: len(names.keys() & set(labels)))


@cache
def read_public_labels() -> pd.DataFrame:
    """Read the labels of CellTypist's public immune models.

    Returns
    -------
    pandas.DataFrame
        ``model`` (low, high), ``label``, ``slug``.
    """
    path = RESOURCES / "celltypist_labels.tsv"
    return pd.read_csv(path, sep="\t", comment="#", dtype=str, keep_default_na=False)


def types_of_labels(slugs: Mapping[str, str]) -> pd.DataFrame:
    """Return the lineage and subset that each label stands for.

    Parameters
    ----------
    slugs
        Label -> slug, as `map_labels` returns.

    Returns
    -------
    pandas.DataFrame
        Index ``label``; ``lineage`` and ``subset``, empty where the label says nothing of it.
    """
    types = read_cell_types()
    rows = {}
    for label, slug in slugs.items():
        is_subset = bool(slug) and types.at[slug, "level"] == "subset"
        rows[label] = (str(types.at[slug, "branch"]) if is_subset else slug, slug if is_subset else "")
    return pd.DataFrame.from_dict(rows, orient="index", columns=["lineage", "subset"]).rename_axis("label")

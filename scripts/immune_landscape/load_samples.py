"""Load the raw counts of every sample into one AnnData."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np
import pandas as pd
from scipy import sparse

from immune_landscape.counts_io import NotedCounts, read_counts
from immune_landscape.errors import InputError
from immune_landscape.gene_names import has_mitochondrial
from immune_landscape.text_files import quoted

if TYPE_CHECKING:
    from anndata import AnnData

NOTE_COLUMNS = ("sample", "kind", "message")
#: Cells with fewer UMIs can be alike by chance.
MIN_UMIS_TO_COMPARE = 100


def load_samples(
    rows: pd.DataFrame,
    config: Mapping[str, Any],
    *,
    min_gene_overlap: float,
    union_gene_overlap: float,
    max_same_cells: float,
) -> tuple[AnnData, pd.DataFrame]:
    """Load the raw counts of every sample that has gene expression.

    Parameters
    ----------
    rows
        Design table with the columns sample, gex (path, "" for none) and gex_label.
    config
        Effective configuration of the cohort; ``species`` and ``inputs`` are read.
    min_gene_overlap
        Smallest share of the smallest panel, 0 to 1, that must be in every sample.
    union_gene_overlap
        Genes shared by all as a share of the union, 0 to 1, above which the union is kept and an
        absent gene counts 0; at or below it only the shared genes are kept.
    max_same_cells
        Share of the smaller sample, 0 to 1, above which cells with identical counts mean that two
        samples are the same.

    Returns
    -------
    AnnData
        Samples in the order of ``rows``, in each the cells sorted by barcode, and genes sorted by symbol, whatever the
        order in the files, so that nothing later hangs on it: ``X`` CSR int32 raw counts, see
        ``counts_io.NotedCounts``. A sample without cells has no row.
    DataFrame
        Notes with the columns sample ("" for all), kind and message.

    Raises
    ------
    InputError
        With every file that cannot be used, when panels share too few genes, or when a sample
        occurs twice.
    """
    noted = _read_all(rows[rows["gex"] != ""], config)
    parts = [_by_barcode(item.counts) for item in noted.values()]
    genes, gene_notes = _common_genes(
        {name: item.counts.var_names for name, item in noted.items()}, min_gene_overlap, union_gene_overlap
    )
    counts = _concatenate(parts, genes)
    _refuse_same_cells(counts, list(noted), max_same_cells)
    notes = [(name, kind, message) for name, item in noted.items() for kind, message in _notes(item)]
    return counts, pd.DataFrame(notes + gene_notes + _id_notes(noted), columns=list(NOTE_COLUMNS))


def _read_all(rows: pd.DataFrame, config: Mapping[str, Any]) -> dict[str, NotedCounts]:
    """Read every sample, and report the faults of all of them at once."""
    if rows.empty:
        raise InputError("no sample has gene expression: the column gex of samples.tsv is empty")
    noted, faults = {}, []
    for sample, path, label in rows[["sample", "gex", "gex_label"]].itertuples(index=False):
        try:
            noted[str(sample)] = _read_one(str(sample), str(path), str(label), config)
        except InputError as error:
            faults.append(str(error))
    if faults:
        raise InputError("\n".join([*faults, f"{len(faults)} of {len(rows)} samples cannot be read"]))
    return noted


def _read_one(sample: str, path: str, label: str, config: Mapping[str, Any]) -> NotedCounts:
    inputs = config["inputs"]
    return read_counts(
        Path(path),
        sample=sample,
        label=label,
        sample_column=inputs["gex_sample_column"] or None,
        keep_columns=inputs["keep_columns"],
        barcode_pattern=inputs["barcode_pattern"],
        species=config["species"],
    )


def _notes(item: NotedCounts) -> list[tuple[str, str]]:
    notes = list(item.notes)
    if item.counts.n_obs == 0:
        notes.append(("empty_sample", "no cells"))
    if not has_mitochondrial(item.counts.var_names):
        notes.append(("no_mt_genes", "no MT genes in the reference, so no mitochondrial share"))
    if (item.counts.var["gene_id"] == "").all():
        notes.append(("no_gene_ids", "no Ensembl ids, genes are matched by symbol alone"))
    return notes


def _common_genes(
    panels: Mapping[str, pd.Index], min_gene_overlap: float, union_gene_overlap: float
) -> tuple[pd.Index, list[tuple[str, str, str]]]:
    """Return the genes to keep, sorted, and what is told of those that are not in every sample."""
    union = pd.Index(sorted({gene for panel in panels.values() for gene in panel}), dtype=object)
    in_all = np.logical_and.reduce([union.isin(panel) for panel in panels.values()])
    shared = union[in_all]
    _require_overlap(panels, shared, min_gene_overlap)
    agreement = len(shared) / max(len(union), 1)
    if len(shared) == len(union):
        return union, []
    if agreement > union_gene_overlap:
        message = f"{len(union) - len(shared)} of {len(union)} genes are not in every sample and count 0 there"
        return union, [("", "gene_panel", message)]
    return shared, _lost_notes(panels, shared, agreement)


def _require_overlap(panels: Mapping[str, pd.Index], shared: pd.Index, min_gene_overlap: float) -> None:
    smallest = min(len(panel) for panel in panels.values())
    if len(shared) < min_gene_overlap * smallest or not len(shared):
        sizes = "; ".join(
            f"'{name}' {len(panel)} genes, such as {quoted(list(panel), 2)}" for name, panel in panels.items()
        )
        raise InputError(
            f"only {len(shared)} genes are in every sample, {len(shared) / max(smallest, 1):.1%} of the "
            f"smallest panel; expected at least {min_gene_overlap:.0%} (load_samples.min_gene_overlap). "
            f"Are all samples of one species and annotation? {sizes}"
        )


def _lost_notes(panels: Mapping[str, pd.Index], shared: pd.Index, agreement: float) -> list[tuple[str, str, str]]:
    kept = f"the panels agree in {agreement:.1%} of their genes: only the {len(shared)} shared ones are kept"
    lost = [
        (name, "gene_panel", f"{len(panel) - len(shared)} of {len(panel)} genes are not in every sample")
        for name, panel in panels.items()
        if len(panel) > len(shared)
    ]
    return [("", "gene_panel", kept), *lost]


def _by_barcode(counts: AnnData) -> AnnData:
    """Sort the cells; not by a view, which drops the category of a sample without cells."""
    from anndata import AnnData

    order = np.argsort(counts.obs["barcode"].to_numpy(dtype=str), kind="stable")
    return AnnData(X=counts.X[order], obs=counts.obs.iloc[order], var=counts.var)


def _concatenate(parts: Sequence[AnnData], genes: pd.Index) -> AnnData:
    from anndata import AnnData

    X = sparse.vstack([_aligned(part, genes) for part in parts], format="csr", dtype=np.int32)
    obs = pd.concat([_plain(part.obs) for part in parts])
    samples = [str(part.obs["sample"].cat.categories[0]) for part in parts]
    obs["sample"] = pd.Categorical(obs["sample"], categories=samples)
    return AnnData(X=X, obs=_with_categories(obs), var=_gene_table(parts, genes))


def _aligned(part: AnnData, genes: pd.Index) -> sparse.csr_matrix:
    """Move the columns of one sample to their place among the genes of all."""
    place = genes.get_indexer(part.var_names)
    kept = np.flatnonzero(place >= 0)
    matrix = sparse.coo_matrix(part.X[:, kept])
    shape = (part.n_obs, len(genes))
    return sparse.csr_matrix((matrix.data, (matrix.row, place[kept][matrix.col])), shape=shape, dtype=np.int32)


def _plain(obs: pd.DataFrame) -> pd.DataFrame:
    """Return the table without categories, which differ between samples."""
    categorical = obs.columns[obs.dtypes == "category"]
    return obs.astype(dict.fromkeys(categorical, object))


def _with_categories(obs: pd.DataFrame) -> pd.DataFrame:
    texts = [c for c in obs.columns if c.startswith("input_") and not pd.api.types.is_numeric_dtype(obs[c])]
    columns = {}
    for name in texts:
        values = [None if pd.isna(v) else str(v) for v in obs[name]]
        columns[name] = pd.Categorical(values, categories=sorted({v for v in values if v is not None}))
    return obs.assign(**columns)


def _gene_table(parts: Sequence[AnnData], genes: pd.Index) -> pd.DataFrame:
    ids = pd.Series("", index=genes, dtype=object)
    for part in parts:
        found = part.var["gene_id"].astype(object).reindex(genes).fillna("")
        ids = ids.where(ids != "", found)
    return pd.DataFrame({"gene_id": ids}, index=genes)


def _id_notes(noted: Mapping[str, NotedCounts]) -> list[tuple[str, str, str]]:
    """Report symbols that stand for different Ensembl ids in different samples."""
    known = pd.concat([item.counts.var["gene_id"] for item in noted.values()])
    known = known[known != ""]
    several = known.groupby(level=0).nunique()
    names = sorted(several.index[several > 1])
    if not names:
        return []
    message = f"{len(names)} symbols have different Ensembl ids in different samples: {quoted(names)}"
    return [("", "gene_ids_differ", message)]


def _refuse_same_cells(counts: AnnData, samples: Sequence[str], max_same_cells: float) -> None:
    """Refuse a sample given twice under two names, told by cells with identical counts."""
    shared = same_cells(counts)
    faults = [
        f"samples '{samples[a]}' and '{samples[b]}': {n} identical cells, {share:.0%} of the smaller"
        for a, b, n, share in shared
        if share > max_same_cells
    ]
    if faults:
        limit = f"expected at most {max_same_cells:.0%} (load_samples.max_same_cells)"
        raise InputError("\n".join(faults) + f"\n{limit}: is one file listed twice in samples.tsv?")


def same_cells(counts: AnnData) -> list[tuple[int, int, int, float]]:
    """Count the cells with identical counts in every pair of samples.

    Parameters
    ----------
    counts
        Raw counts with the categorical obs column ``sample``.

    Returns
    -------
    list of tuple
        Category numbers a < b, number of distinct profiles in both, and its share of the smaller
        sample; pairs without a common profile are left out.

    Notes
    -----
    A profile is told by its inner product with fixed pseudo-random gene weights, so the check is
    one pass over the counts and does not depend on barcodes.
    """
    weights = np.array([crc32(str(gene).encode()) for gene in counts.var_names], dtype=np.int64)
    enough = np.asarray(counts.X.sum(axis=1)).ravel() >= MIN_UMIS_TO_COMPARE
    prints = (counts.X.astype(np.int64) @ weights)[enough]
    table = pd.DataFrame({"print": prints, "sample": counts.obs["sample"].cat.codes.to_numpy()[enough]})
    return _common_prints(table.drop_duplicates())


def _common_prints(table: pd.DataFrame) -> list[tuple[int, int, int, float]]:
    sizes = table["sample"].value_counts()
    repeated = table[table.duplicated("print", keep=False)]
    pairs = repeated.merge(repeated, on="print")
    pairs = pairs[pairs["sample_x"] < pairs["sample_y"]]
    found = pairs.groupby(["sample_x", "sample_y"], sort=True).size().rename("n").reset_index()
    return [(int(a), int(b), int(n), float(n / min(sizes[a], sizes[b]))) for a, b, n in found.itertuples(index=False)]

"""Files between stages: written whole or not at all, checked before they are read.

A sha256 beside each file is checked before it is read, so a flipped bit is an error. Additions are compressed; the
count store is not: it is read by many rules and in blocks, and unpacking it took longer than their work.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from immune_landscape.contracts import check_contract
from immune_landscape.errors import ContractError, IntegrityError

if TYPE_CHECKING:
    from anndata import AnnData

    from immune_landscape.blocked_counts import CellCounts

CHUNK = 1 << 22

PACKED: dict[str, Any] = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
"""Shuffled bytes pack tighter at the lowest level than plain ones at the default, in a third of the time."""
UNPACKED_STAGES = frozenset({"merge_samples"})


def sha256_of(path: str | Path) -> str:
    """Return the sha256 of a file, read in chunks.

    Parameters
    ----------
    path
        File to hash.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    with Path(path).open("rb") as handle:
        while block := handle.read(CHUNK):
            digest.update(block)
    return digest.hexdigest()


def write_stage(adata: AnnData, path: str | Path, *, stage: str) -> None:
    """Write what a stage adds, and its checksum beside it.

    Parameters
    ----------
    adata
        Cells x genes for a count stage; cells x 0 for an addition.
    path
        Target; ``<path>.sha256`` is written too.
    stage
        Name of the stage, a key of ``contracts.CONTRACTS``.

    Raises
    ------
    ContractError
        When a key is missing or not allowed.
    """
    check_contract(adata, stage)
    from anndata.io import write_h5ad

    with whole(path) as part:
        write_h5ad(part, adata, dataset_kwargs={} if stage in UNPACKED_STAGES else PACKED)
    write_checksum(path)


def write_checksum(path: str | Path) -> None:
    """Write the checksum of a file beside it.

    Parameters
    ----------
    path
        File; ``<path>.sha256`` is written.
    """
    with whole(f"{path}.sha256") as part:
        part.write_text(f"{sha256_of(path)}  {Path(path).name}\n")


def read_stage(path: str | Path, *, stage: str) -> AnnData:
    """Read what a stage wrote, after its checksum.

    Parameters
    ----------
    path
        File written by `write_stage`.
    stage
        Name of the stage that wrote it.

    Returns
    -------
    AnnData
        As written.

    Raises
    ------
    IntegrityError
        When the file differs from its checksum.
    ContractError
        When it does not hold what the stage promises.
    """
    import anndata

    check_integrity(Path(path))
    adata = anndata.read_h5ad(path)
    check_contract(adata, stage)
    return adata


def read_table(path: str | Path, *, index: str | None = None) -> pd.DataFrame:
    """Read a TSV written by `write_table`; ids stay text, an empty field of a text column stays empty.

    Parameters
    ----------
    path
        TSV file, gzipped or not.
    index
        Column to make the index.

    Returns
    -------
    pandas.DataFrame
        Numbers as numbers, all else as text, and so are columns whose name is quoted in the file.
    """
    text = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    texts = TEXT_COLUMNS | _quoted_names(path)
    table = pd.DataFrame({name: _typed(text[name], is_text=name in texts) for name in text}, index=text.index)
    return table.set_index(index) if index else table


TEXT_COLUMNS = frozenset(
    {
        *("sample", "patient", "visit", "tissue", "batch", "arm", "cell", "barcode", "cluster", "clonotype"),
        *(
            "subset",
            "lineage",
            "branch",
            "label",
            "parent",
            "population",
            "measure",
            "contrast",
            "group",
            "group_a",
            "group_b",
            "response",
            "best_response",
        ),
        *(
            "evaluable",
            "sex",
            "donor_sex",
            "product_origin",
            "msi",
            "dlt",
            "dlt_evaluable",
            "gex",
            "tcr",
            "bulk_tcr",
        ),
        *("region", "pdl1_assay", "tmb_panel", "mlh1", "msh2", "msh6", "pms2"),
        *("sample_a", "sample_b", "patient_a", "patient_b", "patient_sex", "sex_by_genes", "sex_on_sheet"),
        *("sex_verdict", "clone_verdict", "cells_used", "method", "origin"),
        *("markers", "by_cluster", "reference", "receptor", "state", "cluster_name", "name", "marker", "flag"),
        *("annotator_a", "label_a", "annotator_b", "label_b", "level", "largest_patient", "largest_batch"),
        *("gex_label", "file", "path", "reason", "note", "message", "anchor", "runner_up", "best", "unit"),
        *("vj_v_gene", "vj_j_gene", "vj_junction", "vj_junction_aa"),
        *("vdj_v_gene", "vdj_j_gene", "vdj_junction", "vdj_junction_aa"),
        *(
            "status",
            "ci_method",
            "verdict",
            "metric",
            "gene",
            "marker_of",
            "scope",
            "chain_pairing",
            "kind",
            "column",
        ),
    }
)
"""Columns of codes and words: ``007`` and ``1e5`` stay as written, an empty field stays an empty text."""


def _quoted_names(path: str | Path) -> set[str]:
    """Return the columns whose name is quoted: those that `write_table` was told are text."""
    with gzip.open(path, "rt", encoding="utf-8") if str(path).endswith(".gz") else Path(path).open("rt") as lines:
        header = lines.readline().rstrip("\n").split("\t")
    return {name.strip('"') for name in header if name.startswith('"')}


def _typed(column: pd.Series, *, is_text: bool) -> pd.Series:
    if is_text:
        return column.astype(object)
    if column.isin(["True", "False"]).all():
        return column == "True"
    filled = column.where(column != "", "nan")
    numbers = pd.to_numeric(filled, errors="coerce")
    broken = numbers.isna() & (filled.str.lower() != "nan")
    return column.astype(object) if broken.any() else numbers


def write_table(table: pd.DataFrame, path: str | Path, texts: Collection[str] = ()) -> None:
    """Write a table as TSV, with numbers to six significant digits and missing values empty.

    Parameters
    ----------
    table
        Written without its index; ``reset_index`` first when it matters.
    path
        Target; gzipped, with no time stamp inside, when it ends in ``.gz``.
    texts
        Columns whose cells are text though they may look like numbers, beyond those of `TEXT_COLUMNS`. Their names are
        quoted in the file, which other readers of TSV strip, and which tells `read_table` to leave ``01`` as it is.
    """
    lines = table.to_csv(sep="\t", index=False, float_format="%.6g", na_rep="", lineterminator="\n")
    header, rest = lines.split("\n", 1)
    names = [f'"{name}"' if name in texts else name for name in header.split("\t")]
    text = "\n".join(["\t".join(names), rest]).encode()
    with whole(path) as part:
        part.write_bytes(gzip.compress(text, mtime=0) if str(path).endswith(".gz") else text)


@contextmanager
def whole(path: str | Path) -> Iterator[Path]:
    """Write a file under another name and give it its own only when it is whole.

    A job killed half-way then leaves nothing at the final path that a later run could take for a result.

    Parameters
    ----------
    path
        Final path.

    Yields
    ------
    Path
        Path to write to, in the same folder.
    """
    part = Path(path).with_name(f".{Path(path).name}.part")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def addition(cells: pd.Index, **slots: object) -> AnnData:
    """Make an AnnData without counts, to hold what a stage adds.

    Parameters
    ----------
    cells
        Cell ids.
    **slots
        Any of ``obs`` (DataFrame), ``obsm``, ``obsp``, ``uns`` (dict).

    Returns
    -------
    AnnData
        len(cells) x 0.
    """
    import anndata

    obs = slots.pop("obs", None)
    frame = obs if isinstance(obs, pd.DataFrame) else pd.DataFrame(index=cells)
    return anndata.AnnData(obs=frame, **slots)


def check_integrity(path: Path) -> None:
    """Compare a stored file with the checksum beside it.

    Parameters
    ----------
    path
        File.

    Raises
    ------
    IntegrityError
        When there is no checksum, or the file differs from it.
    """
    recorded = Path(f"{path}.sha256")
    if not recorded.exists():
        raise IntegrityError(f"{path}: no checksum file {recorded.name} beside it; run the stage again")
    expected, found = recorded.read_text().split()[0], sha256_of(path)
    if expected != found:
        raise IntegrityError(
            f"{path}: sha256 is {found}, expected {expected}: the file was damaged or changed after it was written; "
            "delete it and run again"
        )


def rows_of(table: pd.DataFrame, cells: Iterable[str]) -> pd.DataFrame:
    """Return the rows of a cell table in a given order.

    Parameters
    ----------
    table
        Indexed by cell id.
    cells
        Ids wanted.

    Returns
    -------
    pandas.DataFrame
        One row per id.

    Raises
    ------
    ContractError
        When an id is not in the table.
    """
    wanted = pd.Index(cells)
    missing = wanted.difference(table.index)
    if len(missing):
        raise ContractError(f"{len(missing)} cells have no row in the table, first {missing[0]!r}")
    return table.loc[wanted]


def read_tables(paths: Iterable[str | Path]) -> pd.DataFrame:
    """Read tables of the same columns and stack them in the order given.

    Parameters
    ----------
    paths
        TSV files of one stage.

    Returns
    -------
    pandas.DataFrame
        All rows, numbered anew.
    """
    return pd.concat([read_table(path) for path in paths], ignore_index=True)


def batch_of(counts: CellCounts, design: pd.DataFrame, batch_key: str) -> pd.Series:
    """Return the batch of each cell.

    Parameters
    ----------
    counts
        Cells x genes with ``obs['sample']``.
    design
        One row per sample.
    batch_key
        Column of the design; samples without an entry share one batch.

    Returns
    -------
    pandas.Series
        Indexed by cell id.
    """
    batches = design.set_index("sample")[batch_key].fillna("").astype(str)
    return counts.obs["sample"].astype(str).map(batches)

"""Read the T-cell receptor chains of one sample: Cell Ranger contigs, AIRR tables, scirpy files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from immune_landscape.chain_tables import TCR_LOCI, count_categories, read_chain_table
from immune_landscape.input_files import BARCODE_PATTERN, Place, content_of, find_barcodes
from immune_landscape.scirpy_files import read_scirpy_chains

if TYPE_CHECKING:
    import awkward as ak
    from anndata import AnnData

ACCEPTED = (
    "Cell Ranger filtered_contig_annotations.csv, an AIRR rearrangement .tsv with cell_id, "
    "or chains in a scirpy .h5ad or .h5mu"
)
SUFFIX = re.compile(r"-[0-9]+$")
#: Fields of every chain: those that scirpy uses, and what the AIRR schema requires of a rearrangement
#: (https://docs.airr-community.org/en/stable/datarep/rearrangements.html), empty where nothing uses them.
TEXT_FIELDS = (
    "locus",
    "v_call",
    "d_call",
    "j_call",
    "c_call",
    "junction",
    "junction_aa",
    "sequence_id",
    "sequence",
    "sequence_alignment",
    "germline_alignment",
    "v_cigar",
    "d_cigar",
    "j_cigar",
)
COUNT_FIELDS = ("umi_count", "consensus_count")


@dataclass(frozen=True)
class BarcodeMatch:
    """How the receptors of one sample line up with its expression barcodes.

    Attributes
    ----------
    mapping
        Expression barcode ("" for none) for each receptor barcode, which is the index.
    share
        Matched barcodes as a share of the smaller of both lists, 0 to 1; NaN when one is empty.
    stripped
        Whether the ``-1`` suffixes had to be cut off to match.
    """

    mapping: pd.Series
    share: float
    stripped: bool


def read_receptors(
    path: str | Path,
    *,
    sample: str,
    label: str | None = None,
    sample_column: str | None = None,
    barcode_pattern: str = BARCODE_PATTERN,
    loci: Sequence[str] = TCR_LOCI,
    high_confidence_only: bool = True,
) -> AnnData:
    """Read the receptor chains of one sample.

    Parameters
    ----------
    path
        Cell Ranger ``filtered_contig_annotations.csv`` or AIRR rearrangement ``.tsv`` with cell_id,
        gzip-compressed or not; or ``.h5ad``/``.h5mu`` with ``obsm["airr"]`` or the older IR_* columns.
    sample
        Sample id; becomes the first part of every cell id.
    label
        Value of ``sample_column`` that marks the cells of this sample; default the sample id.
    sample_column
        obs column of a many-sample h5ad or h5mu that tells the sample; text files hold one sample.
    barcode_pattern
        Regular expression that finds the barcode inside a cell id.
    loci
        Loci to keep. Chains of other known loci are dropped; chains whose locus is unknown
        ("Multi", "None") stay, without a locus.
    high_confidence_only
        Whether to drop contigs that Cell Ranger calls low-confidence.

    Returns
    -------
    AnnData
        Barcodes x 0 with ``obsm["airr"]`` (scirpy), ``obs_names`` ``<sample>:<barcode>``, obs columns
        sample and barcode, and ``uns["contigs"]``, the number of contigs and barcodes by category,
        see ``chain_tables.count_categories``. A barcode stays as a row though none of its chains is usable.

    Raises
    ------
    InputError
        When the file is something else, lacks a column, holds a value that cannot be read, or an
        id without a barcode.
    """
    place = Place(Path(path), sample)
    chains = _read_chains(place, label or sample, sample_column)
    counted, kept = count_categories(chains, loci=loci, high_confidence_only=high_confidence_only)
    ids = pd.Index(dict.fromkeys(kept["cell_id"]), dtype=object)
    barcodes = find_barcodes(ids, barcode_pattern, place)
    return _to_anndata(kept, ids, barcodes, sample, counted)


def _read_chains(place: Place, label: str, sample_column: str | None) -> pd.DataFrame:
    if not place.path.is_file():
        raise place.error(f"no such file; expected {ACCEPTED}")
    kind = content_of(place.path)
    if kind.kind == "hdf5":
        return read_scirpy_chains(place, label, sample_column)
    if kind.kind == "text":
        return read_chain_table(place)
    raise place.error(f"is {kind.words}; expected {ACCEPTED}")


def _to_anndata(
    chains: pd.DataFrame, ids: pd.Index, barcodes: np.ndarray, sample: str, counted: dict[str, int]
) -> AnnData:
    from anndata import AnnData

    names = pd.Index([f"{sample}:{barcode}" for barcode in barcodes], dtype=object)
    obs = pd.DataFrame({"sample": [sample] * len(names), "barcode": barcodes}, index=names)
    return AnnData(X=None, obs=obs, obsm={"airr": to_awkward(chains, ids)}, uns={"contigs": counted})


def to_awkward(chains: pd.DataFrame, ids: pd.Index) -> ak.Array:
    """Turn a chain table into the ragged array that scirpy works on.

    Parameters
    ----------
    chains
        One row per chain with ``cell_id`` and the AIRR fields; None or NaN when missing.
    ids
        Cell ids, one per row of the result.

    Returns
    -------
    ak.Array, type ``n * var * record``
        The same fields and types whatever the input, so that samples can be concatenated.
    """
    import awkward as ak

    positions = ids.get_indexer(pd.Index(chains["cell_id"], dtype=object))
    ordered = chains.iloc[np.argsort(positions, kind="stable")]
    fields = {name: _texts(ordered, name) for name in TEXT_FIELDS}
    fields |= {name: _counts(ordered, name) for name in COUNT_FIELDS}
    # scirpy uses `productive` as a mask, which must not hold missing values.
    fields["productive"] = ordered["productive"].to_numpy(dtype=bool)
    fields["rev_comp"] = ak.from_numpy(np.ma.masked_all(len(ordered), dtype=bool))
    sizes = np.bincount(positions, minlength=len(ids)).astype(np.int64)
    return ak.unflatten(ak.zip(dict(sorted(fields.items()))), sizes)


def _texts(chains: pd.DataFrame, name: str) -> ak.Array:
    """Return an optional-string array that holds each distinct text once."""
    import awkward as ak

    column = chains[name] if name in chains else pd.Series([None] * len(chains), dtype=object)
    codes, texts = pd.factorize(column.astype(object))
    content = ak.enforce_type(ak.from_iter([str(text) for text in texts]), "string")
    return ak.Array(ak.contents.IndexedOptionArray(ak.index.Index64(codes.astype(np.int64)), content.layout))


def _counts(chains: pd.DataFrame, name: str) -> ak.Array:
    import awkward as ak

    values = chains[name].to_numpy(dtype=np.float64)
    missing = np.isnan(values)
    return ak.from_numpy(np.ma.MaskedArray(np.where(missing, 0, values).astype(np.int64), mask=missing))


def match_barcodes(cells: Sequence[str] | pd.Index, receptor_cells: Sequence[str] | pd.Index) -> BarcodeMatch:
    """Match the receptor barcodes of one sample to its expression barcodes.

    Parameters
    ----------
    cells
        Barcodes or cell ids with gene expression.
    receptor_cells
        Barcodes or cell ids with receptor contigs, written in the same way.

    Returns
    -------
    BarcodeMatch
        As written when any agree; otherwise with the gem-group suffix ``-1`` cut off on both sides.
        A barcode that becomes ambiguous without its suffix is not matched.
    """
    left, right = pd.Index(cells, dtype=object), pd.Index(receptor_cells, dtype=object)
    mapping = pd.Series(right.where(right.isin(left), ""), index=right, dtype=object)
    stripped = len(left) > 0 and not (mapping != "").any()
    if stripped:
        mapping = _match_stripped(left, right)
        stripped = bool((mapping != "").any())
    smaller = min(len(left), len(right))
    share = float((mapping != "").sum() / smaller) if smaller else float("nan")
    return BarcodeMatch(mapping, share, stripped)


def _match_stripped(left: pd.Index, right: pd.Index) -> pd.Series:
    stems = pd.Series([SUFFIX.sub("", str(name)) for name in left], index=left, dtype=object)
    by_stem = {stem: name for name, stem in stems[~stems.duplicated(keep=False)].items()}
    right_stems = pd.Series([SUFFIX.sub("", str(name)) for name in right], index=right, dtype=object)
    found = right_stems.map(by_stem).astype(object)
    return found.where(found.notna() & ~right_stems.duplicated(keep=False), "")

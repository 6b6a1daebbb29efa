"""Receptors of a run as AIRR rearrangement tables, one per sample."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from immune_landscape.receptors_io import COUNT_FIELDS, TEXT_FIELDS

if TYPE_CHECKING:
    from anndata import AnnData

REQUIRED = (
    *("sequence_id", "sequence", "rev_comp", "productive", "v_call", "d_call", "j_call"),
    *("sequence_alignment", "germline_alignment", "junction", "junction_aa", "v_cigar", "d_cigar", "j_cigar"),
)
"""Columns that a rearrangement table must have.
https://docs.airr-community.org/en/stable/datarep/rearrangements.html"""

AIRR_COLUMNS = [
    *REQUIRED,
    *("locus", "c_call", "duplicate_count", "umi_count", "consensus_count"),
    *("cell_id", "clone_id", "repertoire_id", "sample_processing_id"),
]
_FLAGS = {True: "T", False: "F"}


def export_airr(
    receptors: AnnData | None,
    clonotypes: pd.DataFrame | None,
    bulk: Iterable[tuple[str, pd.DataFrame]],
    depths: pd.DataFrame | None,
    *,
    productive_only: bool,
) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Make the rearrangement tables of a cohort, one sample at a time.

    Parameters
    ----------
    receptors
        Chains of `load_receptors.load_receptors`; None without single cells.
    clonotypes
        First table of `define_clonotypes.define_clonotypes`, indexed by cell; None without single cells.
    bulk
        Sample and its clonotypes (`clone_store.CLONE_COLUMNS` without the sample).
    depths
        Facts of `load_repertoires.load_repertoires`, which tell what was counted; None without bulk repertoires.
    productive_only
        Whether to leave out chains that are not productive.

    Yields
    ------
    tuple
        Source (``tcr`` or ``bulk_tcr``), sample, and its table (`AIRR_COLUMNS`): texts, empty where nothing is known,
        ``T`` and ``F``, and whole numbers. Bulk clonotypes have the junction of their largest rearrangement.
    """
    if receptors is not None and clonotypes is not None:
        for sample in receptors.obs["sample"].astype(str).unique():
            of_sample = receptors[(receptors.obs["sample"].astype(str) == sample).to_numpy()]
            chains = _chains_of_cells(of_sample, clonotypes["clonotype"])
            kept = chains[chains["productive"] == "T"] if productive_only else chains
            yield "tcr", sample, _identified(kept, sample)
    counted = {} if depths is None else depths.set_index("sample")["counted"].to_dict()
    for sample, clones in bulk:
        yield "bulk_tcr", sample, _identified(_chains_of_clones(clones, str(counted.get(sample, ""))), sample)


def _chains_of_cells(receptors: AnnData, clonotype: pd.Series) -> pd.DataFrame:
    """Flatten the chains of one sample, in the order of its cells."""
    import awkward as ak

    airr = receptors.obsm["airr"]
    sizes = ak.to_numpy(ak.num(airr, axis=1))
    flat = ak.flatten(airr, axis=1)
    columns: dict[str, object] = {name: _texts(ak.to_list(flat[name])) for name in TEXT_FIELDS}
    columns |= {name: pd.array(ak.to_list(flat[name]), dtype="Int64") for name in COUNT_FIELDS}
    flags = ("productive", "rev_comp")
    columns |= {name: _texts([_FLAGS.get(each) for each in ak.to_list(flat[name])]) for name in flags}
    clones = clonotype.reindex(receptors.obs_names).fillna("").astype(str)
    for name, values in (("cell_id", receptors.obs["barcode"].astype(str)), ("clone_id", clones)):
        columns[name] = np.repeat(values.to_numpy(dtype=object), sizes)
    table = pd.DataFrame(columns)
    # The name of the count before version 1.4 of the schema, which older tools read.
    return table.assign(duplicate_count=table["umi_count"])


def _chains_of_clones(clones: pd.DataFrame, counted: str) -> pd.DataFrame:
    count = clones["count"].astype("Int64")
    table = clones[["junction", "junction_aa", "v_call", "j_call"]].assign(
        locus="TRB", productive="T", duplicate_count=count, clone_id=clones["clonotype"]
    )
    return table.assign(umi_count=count) if counted == "UMIs" else table


def _texts(values: list[str | None]) -> np.ndarray:
    return np.array(["" if value is None else value for value in values], dtype=object)


def _identified(table: pd.DataFrame, sample: str) -> pd.DataFrame:
    """Add the columns that a kind of receptor lacks, and give every row an id of its own."""
    whole = table.reset_index(drop=True)
    numbers = ("duplicate_count", "umi_count", "consensus_count")
    for name in AIRR_COLUMNS:
        if name not in whole:
            whole[name] = pd.NA if name in numbers else ""
    given = whole["sequence_id"]
    taken = (given == "") | given.duplicated()
    made = sample + "_" + (whole.index + 1).astype(str)
    whole["sequence_id"] = given.where(~taken, pd.Series(made, index=whole.index, dtype=object))
    return whole.assign(repertoire_id=sample, sample_processing_id=sample)[AIRR_COLUMNS]

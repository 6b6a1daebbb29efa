"""Load the T-cell receptors of every sample into one AIRR AnnData."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from immune_landscape.errors import InputError
from immune_landscape.receptors_io import BarcodeMatch, match_barcodes, read_receptors

if TYPE_CHECKING:
    from anndata import AnnData

SAMPLE_COLUMNS = ("sample", "patient", "visit")
#: With fewer barcodes on either side, none in common may be chance.
MIN_BARCODES_TO_JUDGE = 20


def load_receptors(
    rows: pd.DataFrame,
    cells: pd.Index | None,
    config: Mapping[str, Any],
    *,
    loci: Sequence[str],
    high_confidence_only: bool,
) -> tuple[AnnData, pd.DataFrame]:
    """Load the receptor chains of every sample that has single-cell receptors.

    Parameters
    ----------
    rows
        Design table with the columns sample, patient, visit, tcr (path, "" for none) and gex_label.
    cells
        Cell ids ``<sample>:<barcode>`` with gene expression; None when the cohort has none.
    config
        Effective configuration of the cohort; ``inputs`` is read.
    loci
        Receptor loci to keep.
    high_confidence_only
        Whether contigs that Cell Ranger calls low-confidence are dropped.

    Returns
    -------
    AnnData
        Barcodes x 0 in the order of ``rows``, ``obsm["airr"]`` (scirpy); obs columns sample, barcode,
        patient, visit and has_gex (bool). A matched barcode bears the cell id of ``cells``.
    DataFrame
        One row per sample with receptors: sample, patient, visit, the counts of
        ``chain_tables.count_categories``, gex_cells, matched, matched_share (of the smaller of
        barcodes and gex_cells; NaN without either) and suffix_stripped.

    Raises
    ------
    InputError
        With every file that cannot be used, or every sample whose receptors and cells share fewer
        barcodes than ``inputs.min_tcr_overlap``.
    """
    with_tcr = rows[rows["tcr"] != ""]
    receptors = _read_all(with_tcr, config["inputs"], loci, high_confidence_only)
    matches = {sample: _match(sample, data, cells) for sample, data in receptors.items()}
    summary = _summary(with_tcr, receptors, matches, cells)
    _require_overlap(with_tcr, summary, config["inputs"]["min_tcr_overlap"])
    parts = [_placed(receptors[row["sample"]], matches[row["sample"]], row) for row in _records(with_tcr)]
    return _concatenate(parts), summary


def _read_all(
    rows: pd.DataFrame, inputs: Mapping[str, Any], loci: Sequence[str], high_confidence_only: bool
) -> dict[str, AnnData]:
    """Read every sample, and report the faults of all of them at once."""
    if rows.empty:
        raise InputError("no sample has single-cell receptors: the column tcr of samples.tsv is empty")
    receptors, faults = {}, []
    for sample, path, label in rows[["sample", "tcr", "gex_label"]].itertuples(index=False):
        try:
            receptors[str(sample)] = read_receptors(
                str(path),
                sample=str(sample),
                label=str(label),
                sample_column=inputs["gex_sample_column"] or None,
                barcode_pattern=inputs["barcode_pattern"],
                loci=loci,
                high_confidence_only=high_confidence_only,
            )
        except InputError as error:
            faults.append(str(error))
    if faults:
        raise InputError("\n".join([*faults, f"{len(faults)} of {len(rows)} receptor files cannot be read"]))
    return receptors


def _match(sample: str, receptors: AnnData, cells: pd.Index | None) -> BarcodeMatch:
    return match_barcodes(_cells_of(sample, cells), receptors.obs_names)


def _cells_of(sample: str, cells: pd.Index | None) -> pd.Index:
    if cells is None:
        return pd.Index([], dtype=object)
    return cells[cells.str.rpartition(":", expand=False).str[0] == sample]


def _summary(
    rows: pd.DataFrame,
    receptors: Mapping[str, AnnData],
    matches: Mapping[str, BarcodeMatch],
    cells: pd.Index | None,
) -> pd.DataFrame:
    table = rows[list(SAMPLE_COLUMNS)].reset_index(drop=True)
    names = table["sample"].astype(str)
    counted = pd.DataFrame([receptors[name].uns["contigs"] for name in names])
    matched = pd.DataFrame(
        {
            "gex_cells": [len(_cells_of(name, cells)) for name in names],
            "matched": [int((matches[name].mapping != "").sum()) for name in names],
            "matched_share": [matches[name].share for name in names],
            "suffix_stripped": [matches[name].stripped for name in names],
        }
    )
    return pd.concat([table, counted, matched], axis=1)


def _require_overlap(rows: pd.DataFrame, summary: pd.DataFrame, min_tcr_overlap: float) -> None:
    judged = summary[["gex_cells", "barcodes"]].min(axis=1) >= MIN_BARCODES_TO_JUDGE
    paths = dict(zip(rows["sample"], rows["tcr"], strict=True))
    bad = summary[judged & (summary["matched_share"] < min_tcr_overlap)]
    faults = [
        f"{paths[row['sample']]}: sample '{row['sample']}': {row['matched']} of {row['barcodes']} receptor "
        f"barcodes are among its {row['gex_cells']} cells ({row['matched_share']:.1%} of the smaller)"
        for row in bad.to_dict(orient="records")
    ]
    if faults:
        limit = f"expected at least {min_tcr_overlap:.1%} (inputs.min_tcr_overlap)"
        raise InputError("\n".join(faults) + f"\n{limit}: are the tcr and gex files of the same sample?")


def _records(rows: pd.DataFrame) -> list[dict[str, str]]:
    return rows[list(SAMPLE_COLUMNS)].astype(str).to_dict(orient="records")  # type: ignore[return-value]


def _placed(receptors: AnnData, match: BarcodeMatch, row: Mapping[str, str]) -> AnnData:
    """Give the barcodes of one sample their cell ids and what the sheet says of the sample."""
    from anndata import AnnData

    found = match.mapping.to_numpy(dtype=object)
    names = [cell or own for cell, own in zip(found, receptors.obs_names, strict=True)]
    obs = receptors.obs.set_axis(pd.Index(names, dtype=object), axis=0)
    obs = obs.assign(patient=row["patient"], visit=row["visit"], has_gex=found != "")
    return AnnData(X=None, obs=obs, obsm={"airr": receptors.obsm["airr"]})


def _concatenate(parts: Sequence[AnnData]) -> AnnData:
    import awkward as ak
    from anndata import AnnData

    obs = pd.concat([part.obs for part in parts])
    for name in SAMPLE_COLUMNS:
        obs[name] = pd.Categorical(obs[name], categories=list(dict.fromkeys(obs[name])))
    airr = ak.to_packed(ak.concatenate([part.obsm["airr"] for part in parts]))
    return AnnData(X=None, obs=obs, obsm={"airr": airr})

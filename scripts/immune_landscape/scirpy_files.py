"""Read receptor chains that scirpy stored in h5ad or h5mu files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from immune_landscape.chain_tables import AIRR_OPTIONAL, AIRR_REQUIRED, typed_chains
from immune_landscape.h5ad_files import sample_rows
from immune_landscape.input_files import Place, open_hdf5, read_element, reading
from immune_landscape.text_files import quoted

if TYPE_CHECKING:
    import h5py

ACCEPTED = "chains in obsm['airr'], or in the IR_* columns of scirpy 0.7 to 0.12"


def read_scirpy_chains(place: Place, label: str, sample_column: str | None) -> pd.DataFrame:
    """Read the chains of one sample from a scirpy file.

    Parameters
    ----------
    place
        h5ad, or h5mu with the modality ``airr``, and the sample.
    label
        Value of ``sample_column`` that marks the cells of the sample.
    sample_column
        obs column that tells the sample, of the chains' own table or of another modality; None
        takes every cell.

    Returns
    -------
    DataFrame
        As ``chain_tables.typed_chains``. A cell without any chain has no row.

    Raises
    ------
    InputError
        When the file holds no chains that scirpy 0.7 or later wrote, or the sample is absent.
    """
    with open_hdf5(place, "an .h5ad or .h5mu file") as file:
        root = file.get("mod/airr", file)
        if "obs" not in root:
            raise place.error(f"is an HDF5 file that holds {quoted(sorted(root), 10)}; expected {ACCEPTED}")
        obs = read_element(place, root, "obs")
        rows = sample_rows(_with_sample(obs, file, sample_column, place), sample_column, label, place)
        airr = read_element(place, root, "obsm/airr") if "obsm/airr" in root else _upgraded(obs, place)
    return typed_chains(_chain_table(airr[rows], obs[rows], place), place, {})


def _with_sample(obs: pd.DataFrame, file: h5py.File, sample_column: str | None, place: Place) -> pd.DataFrame:
    """Look for the sample column in the other modalities where the chains' own table lacks it."""
    if sample_column is None or sample_column in obs.columns or "mod" not in file:
        return obs
    for modality in sorted(file["mod"]):
        other = read_element(place, file["mod"][modality], "obs")
        if sample_column in other.columns:
            return obs.assign(**{sample_column: other[sample_column].astype(object).reindex(obs.index)})
    return obs


def _upgraded(obs: pd.DataFrame, place: Place) -> Any:
    """Convert the obs columns of scirpy 0.7 to 0.12 with scirpy's own function."""
    from anndata import AnnData
    from scirpy.io import upgrade_schema

    if not obs.columns.str.fullmatch(r"IR_V(D?)J_1_junction_aa").any():
        old = [c for c in obs.columns if c.startswith(("IR_", "TRA_1", "TRB_1"))]
        hint = f"; found {quoted(old)} of an older scirpy" if old else ""
        raise place.error(f"holds no receptor chains; expected {ACCEPTED}{hint}")
    with reading(place, "the IR_* columns"):
        old_data = AnnData(obs=obs.copy())
        upgrade_schema(old_data)
        return _without_empty(old_data.obsm["airr"])


def _without_empty(airr: Any) -> Any:
    """Drop the places for a second chain that older scirpy held whether used or not."""
    import awkward as ak

    empty = ak.is_none(airr["locus"], axis=1)
    for name in ("v_call", "j_call", "junction", "junction_aa"):
        empty = empty & ak.is_none(airr[name], axis=1)
    return airr[~empty]


def _chain_table(airr: Any, obs: pd.DataFrame, place: Place) -> pd.DataFrame:
    """Flatten the ragged array into one row per chain."""
    import awkward as ak

    missing = [name for name in AIRR_REQUIRED if name not in airr.fields and name != "cell_id"]
    if missing:
        raise place.error(f"obsm['airr'] lacks the field {quoted(missing)}; found {quoted(airr.fields, 40)}")
    sizes = ak.to_numpy(ak.num(airr, axis=1))
    flat = ak.flatten(airr, axis=1)
    columns = {
        name: pd.Series(ak.to_list(flat[name]), dtype=object)
        for name in (*AIRR_REQUIRED, *AIRR_OPTIONAL)
        if name in airr.fields
    }
    table = pd.DataFrame(columns | {"cell_id": np.repeat(obs.index.to_numpy(dtype=object), sizes)})
    for name in ("is_cell", "high_confidence"):
        if name in obs.columns and name not in table:
            table[name] = np.repeat(obs[name].to_numpy(dtype=object), sizes)
    return table.where(table.notna(), None)

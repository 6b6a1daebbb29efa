"""The largest clones of each patient: their receptors, their cells at each visit, and where these cells lie."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from immune_landscape.clone_cells import INVARIANT

CHAIN_COLUMNS = [f"{arm}_{name}" for arm in ("vdj", "vj") for name in ("v_gene", "j_gene", "junction_aa", "junction")]
LEADER_COLUMNS = [
    *("patient", "rank", "clonotype", *CHAIN_COLUMNS, "cells", "largest_share", "largest_sample"),
    *("main_subset", "main_subset_share", "subsets", "receptor", "invariant", "invariant_share"),
]


def list_leaders(
    carriers: pd.DataFrame, clonotypes: pd.DataFrame, design: pd.DataFrame, visits: Sequence[str], top_clones: int
) -> pd.DataFrame:
    """List the clones that hold the largest share of any sample of each patient.

    Parameters
    ----------
    carriers
        As `clone_cells.label_carriers` returns.
    clonotypes
        First table of `define_clonotypes.define_clonotypes`, indexed by cell.
    design
        One row per sample: sample, patient, visit, tissue.
    visits
        Visits of the study in order.
    top_clones
        Clones per patient.

    Returns
    -------
    pandas.DataFrame
        `LEADER_COLUMNS` and one column of cells per visit (``cells_<visit>``; with several tissues
        ``cells_<tissue>_<visit>``), missing where the patient has no such sample. Clones rank by their largest share
        of a sample's receptor cells, so that a deeper sample has no more say. Chains are those of most of the clone's
        cells, ``receptor`` the kind of most, ``invariant`` whether that is MAIT or iNKT.
    """
    sizes = carriers.groupby(["patient", "sample", "clonotype"]).size().rename("cells").reset_index()
    sizes["share"] = sizes["cells"] / sizes.groupby("sample")["cells"].transform("sum")
    ordered = sizes.sort_values(["patient", "share", "cells", "clonotype"], ascending=[True, False, False, True])
    table = ordered.drop_duplicates(["patient", "clonotype"]).groupby("patient").head(top_clones)
    table = table.rename(columns={"share": "largest_share", "sample": "largest_sample"}).drop(columns="cells")
    table["rank"] = table.groupby("patient").cumcount() + 1
    chosen = carriers[carriers["clonotype"].isin(table["clonotype"])]
    described = table.set_index("clonotype").join([_facts_of(chosen), _chains_of(clonotypes.loc[chosen.index])])
    described = described.join(_cells_by_visit(chosen, design, visits)).reset_index()
    rest = [name for name in described if name not in LEADER_COLUMNS]
    return described[[*LEADER_COLUMNS, *rest]]


def _facts_of(cells: pd.DataFrame) -> pd.DataFrame:
    """Return number, main subset and main kind of receptor of the cells of each clone."""
    groups = cells.groupby("clonotype")
    subsets = cells.groupby("clonotype")["subset"]
    return pd.DataFrame(
        {
            "cells": groups.size(),
            "main_subset": subsets.agg(_commonest),
            "main_subset_share": subsets.agg(lambda names: names.value_counts(normalize=True).iloc[0]),
            "subsets": subsets.nunique(),
            "receptor": groups["receptor"].agg(_commonest),
            "invariant": groups["receptor"].agg(_commonest).isin(INVARIANT),
            "invariant_share": cells["receptor"].isin(INVARIANT).groupby(cells["clonotype"]).mean(),
        }
    )


def _commonest(names: pd.Series) -> str:
    """Return the most frequent text, the first in order of name among equals; empty ones count only if all are."""
    known = names[names != ""]
    return str(known.mode().iloc[0]) if len(known) else ""


def _chains_of(cells: pd.DataFrame) -> pd.DataFrame:
    return cells.groupby("clonotype")[CHAIN_COLUMNS].agg(_commonest)


def _cells_by_visit(cells: pd.DataFrame, design: pd.DataFrame, visits: Sequence[str]) -> pd.DataFrame:
    """Count cells at each visit; no cell where the patient has the sample, missing where it has not."""
    facts = design[["sample", "patient", "visit", "tissue"]].astype(str)
    tissues = list(dict.fromkeys(facts["tissue"]))
    clones = cells.drop_duplicates("clonotype").set_index("clonotype")["patient"]
    columns = {}
    for tissue in tissues:
        for visit in visits:
            samples = facts[(facts["tissue"] == tissue) & (facts["visit"] == visit)]
            if samples.empty:
                continue
            number = cells[cells["sample"].isin(samples["sample"])].groupby("clonotype").size()
            number = number.reindex(clones.index, fill_value=0).astype("Int64")
            name = f"cells_{visit}" if len(tissues) == 1 else f"cells_{tissue}_{visit}"
            columns[name] = number.where(clones.isin(samples["patient"]))
    return pd.DataFrame(columns, index=clones.index)

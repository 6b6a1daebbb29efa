"""Look receptors up among those whose antigen is known, with scirpy's query."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from anndata import AnnData

METRICS = ("identity", "hamming", "tcrdist")
_NAME = "antigens"


def look_up(
    receptors: pd.DataFrame, entries: pd.DataFrame, *, metric: str, cutoff: int, same_v_gene: bool
) -> pd.DataFrame:
    """Find the entries of a database that each beta chain is alike.

    Parameters
    ----------
    receptors
        Columns junction_aa and v_call (no allele); any unique index.
    entries
        Beta chains with a known antigen, with the same columns; a v_call may hold several genes, separated by commas.
    metric
        ``identity`` of the CDR3, ``hamming`` or ``tcrdist`` distance.
    cutoff
        Largest distance that still counts; not used for identity.
    same_v_gene
        Demand the same V gene; entries and receptors without one are then alike to none.

    Returns
    -------
    pandas.DataFrame
        Columns receptor and entry (labels of both indices), one row per pair, sorted. A receptor may be alike to
        entries of several epitopes: nothing is resolved here.

    Notes
    -----
    scirpy compares every sequence with every other. For identity, both sides are first cut to the sequences that they
    share, which leaves out no pair.
    """
    own = receptors[["junction_aa", "v_call"]]
    known = entries[["junction_aa", "v_call"]]
    if same_v_gene:
        own, known = own[own["v_call"] != ""], known[known["v_call"] != ""]
        known = known.assign(v_call=known["v_call"].str.split(",")).explode("v_call")
    if metric == "identity":
        own = own[own["junction_aa"].isin(known["junction_aa"])]
        known = known[known["junction_aa"].isin(own["junction_aa"])]
    if own.empty or known.empty:
        return pd.DataFrame({"receptor": own.index[:0], "entry": known.index[:0]})
    keys = ["junction_aa", "v_call"] if same_v_gene else ["junction_aa"]
    codes = [table.groupby(keys, sort=False).ngroup() for table in (own, known)]
    pairs = _query(own.groupby(keys, sort=False).first(), known.groupby(keys, sort=False).first(), metric, cutoff)
    sides = [
        pd.DataFrame({name: table.index, f"{name}_code": code.to_numpy()})
        for name, table, code in zip(("receptor", "entry"), (own, known), codes, strict=True)
    ]
    found = pairs.merge(sides[0], on="receptor_code").merge(sides[1], on="entry_code")[["receptor", "entry"]]
    return found.drop_duplicates().sort_values(["receptor", "entry"], ignore_index=True)


def _query(own: pd.DataFrame, known: pd.DataFrame, metric: str, cutoff: int) -> pd.DataFrame:
    """Return the pairs of distinct receptors and entries, told by their numbers."""
    import scanpy
    from scirpy import pp, tl

    query, reference = (_as_cells(table.reset_index()) for table in (own, known))
    reference.uns["DB"] = {"name": _NAME}
    how = {"sequence": "aa", "metric": metric}
    arms = {"receptor_arms": "VDJ", "dual_ir": "primary_only", "same_v_gene": "v_call" in own.index.names}
    # Beta chains alone are looked up; scirpy warns of every arm that has no sequence.
    with scanpy.settings.verbosity.override("error"):
        pp.ir_dist(query, reference, cutoff=None if metric == "identity" else cutoff, n_jobs=1, **how)
        tl.ir_query(query, reference, n_jobs=1, **arms, **how)
    found = tl.ir_query_annotate_df(query, reference, include_ref_cols=["entry_code"], **how)
    return pd.DataFrame(
        {"receptor_code": found.index.astype(int), "entry_code": found["entry_code"].to_numpy(dtype=int)}
    )


def _as_cells(chains: pd.DataFrame) -> AnnData:
    """Make each chain a cell with that one chain, as scirpy expects it."""
    import awkward as ak
    from anndata import AnnData
    from scirpy import pp

    v_call = chains["v_call"] if "v_call" in chains else pd.Series("", index=chains.index, dtype=object)
    fields = {
        "locus": ak.Array(["TRB"] * len(chains)),
        "junction_aa": ak.Array(chains["junction_aa"].astype(str).tolist()),
        "v_call": ak.Array(v_call.astype(str).tolist()),
        "productive": ak.Array([True] * len(chains)),
    }
    fields |= {name: ak.Array([1] * len(chains)) for name in ("umi_count", "consensus_count")}
    obs = pd.DataFrame({"entry_code": np.arange(len(chains))}, index=[str(each) for each in range(len(chains))])
    airr = ak.unflatten(ak.zip(fields), np.ones(len(chains), dtype=np.int64))
    cells = AnnData(X=None, obs=obs, obsm={"airr": airr})
    pp.index_chains(cells)
    return cells

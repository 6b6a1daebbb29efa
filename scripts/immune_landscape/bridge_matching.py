"""Which clones of single cells are which clones of a bulk repertoire."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from immune_landscape.bulk_io import name_gene

BETA = ["junction", "junction_aa", "v_call"]
ALIKE = {"TRBV6-3": "TRBV6-2", "TRBV12-4": "TRBV12-3"}
"""Genes that reads of the CDR3 and its surroundings cannot tell from another, and that other gene."""

_FAMILY = re.compile(r"TRBV\d+|TRBV[A-C]")


def list_betas(cells: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
    """List the different beta chains of cells.

    Parameters
    ----------
    cells
        One row per cell: vdj_junction, vdj_junction_aa, vdj_v_gene.

    Returns
    -------
    betas
        One row per chain: `BETA`, its gene as `bulk_io.name_gene` writes it.
    place
        (cells,) row of `betas` of each cell.
    """
    genes = cells["vdj_v_gene"].astype(str)
    chains = pd.DataFrame(
        {
            "junction": cells["vdj_junction"].astype(str).str.upper(),
            "junction_aa": cells["vdj_junction_aa"].astype(str),
            "v_call": genes.map({gene: name_gene(gene) for gene in genes.unique()}).astype(object),
        }
    )
    groups = chains.groupby(BETA, sort=True)
    return groups.size().reset_index()[BETA], groups.ngroup().to_numpy()


def match_betas(betas: pd.DataFrame, bulk: pd.DataFrame, *, v_gene: str) -> pd.DataFrame:
    """Find the same beta chains in single cells and in a bulk repertoire.

    Parameters
    ----------
    betas, bulk
        One row per chain: `BETA`.
    v_gene
        ``gene`` or ``family``: what must be the same besides the CDR3.

    Returns
    -------
    pandas.DataFrame
        ``beta`` and ``row``: numbers of matching rows of the two tables.

    Notes
    -----
    The CDR3 must have the same amino acids, and the same nucleotides where both give them. Genes are compared where
    both name one, families where one names no more, and nothing where one names none.
    """
    given = _keyed(betas).assign(beta=np.arange(len(betas)))
    wanted = bulk["junction_aa"].isin(set(given["junction_aa"])).to_numpy() & (bulk["junction_aa"] != "").to_numpy()
    found = _keyed(bulk[wanted]).assign(row=np.flatnonzero(wanted))
    pairs = given.merge(found, on="junction_aa", suffixes=("", "_bulk"))
    same_family = (pairs["family"] == pairs["family_bulk"]) | (pairs["family"] == "") | (pairs["family_bulk"] == "")
    same_gene = (pairs["gene"] == pairs["gene_bulk"]) | (pairs["gene"] == "") | (pairs["gene_bulk"] == "")
    unknown = (pairs["nucleotides"] == "") | (pairs["nucleotides_bulk"] == "")
    same = unknown | (pairs["nucleotides"] == pairs["nucleotides_bulk"])
    kept = same & same_family & (same_gene if v_gene == "gene" else True)
    return pairs.loc[kept, ["beta", "row"]].reset_index(drop=True)


def _keyed(chains: pd.DataFrame) -> pd.DataFrame:
    """Return junctions as far as they are known, V gene (empty for a family alone) and V family."""
    junction = chains["junction"].astype(str)
    # What is longer than the CDR3 is the whole read, in which its place is not known.
    whole = junction.str.len() == 3 * chains["junction_aa"].astype(str).str.len()
    calls = chains["v_call"].astype(str)
    names = {call: _gene_and_family(call) for call in calls.unique()}
    return pd.DataFrame(
        {
            "junction_aa": chains["junction_aa"].astype(str),
            "nucleotides": junction.where(whole, ""),
            "gene": [names[call][0] for call in calls],
            "family": [names[call][1] for call in calls],
        }
    )


def _gene_and_family(call: str) -> tuple[str, str]:
    name = ALIKE.get(call, call)
    found = _FAMILY.match(name)
    family = found.group(0) if found else ""
    return ("" if name == family else name), family


def join_clones(pairs: pd.DataFrame, betas: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Join beta chains and bulk rows that match, directly or over others, to clones.

    Parameters
    ----------
    pairs
        As `match_betas` returns.
    betas, rows
        Numbers of chains and of bulk clonotypes.

    Returns
    -------
    tuple
        (betas,) and (rows,) clone of each, counted from 0; -1 without a match.
    """
    ends = (pairs["beta"].to_numpy(), pairs["row"].to_numpy() + betas)
    graph = coo_matrix((np.ones(len(pairs)), ends), shape=(betas + rows, betas + rows))
    labels = connected_components(graph, directed=False)[1]
    matched = np.zeros(betas + rows, dtype=bool)
    matched[ends[0]] = matched[ends[1]] = True
    clones = np.full(betas + rows, -1)
    clones[matched] = pd.factorize(labels[matched], sort=False)[0]
    return clones[:betas], clones[betas:]

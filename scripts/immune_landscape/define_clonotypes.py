"""Give every barcode its chain category and its patient-scoped clonotype."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from immune_landscape.clonotype_groups import group_receptors
from immune_landscape.receptor_chains import (
    CHAIN_CATEGORIES,
    RECEPTOR_COLUMNS,
    SAMPLE_COLUMNS,
    chain_columns,
    read_chains,
)

if TYPE_CHECKING:
    from anndata import AnnData

_CHAIN_COLUMNS = (*chain_columns("vj"), *chain_columns("vdj"))


def define_clonotypes(
    receptors: AnnData,
    chains: pd.DataFrame | None = None,
    *,
    receptor_arms: str,
    dual_ir: str,
    sequence: str,
    same_v_gene: bool,
    same_j_gene: bool,
    paired_only: bool,
    remove_multichain: bool,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Define clonotypes within each patient and count their cells within each sample.

    Parameters
    ----------
    receptors
        Cells without genes: AIRR chains in ``obsm["airr"]``; ``obs`` holds ``sample``, ``patient`` and
        ``visit``; ``obs_names`` are ``<sample>:<barcode>``. Left unchanged.
    chains
        What `receptor_chains.read_chains` returns for them, where it is known.
    receptor_arms
        Arms that must be identical: ``all`` (VJ and VDJ), ``any``, ``VJ`` or ``VDJ``.
    dual_ir
        Chains compared: ``primary_only`` (most abundant of each arm), ``any`` or ``all``.
    sequence
        CDR3 compared as nucleotides (``nt``) or amino acids (``aa``).
    same_v_gene, same_j_gene
        Demand the same gene (alleles ignored) in the chains compared.
    paired_only
        Leave cells without both arms out of the clonotypes.
    remove_multichain
        Leave cells with more than two chains in one arm, mostly doublets, out of the clonotypes;
        otherwise they form clonotypes among themselves.

    Returns
    -------
    clonotypes
        One row per barcode (index ``cell``): sample, patient, visit, receptor_type, receptor_subtype,
        chain_pairing, has_receptor (a usable TCR under this definition), clonotype (``<patient>-<n>``,
        largest first; empty without a usable TCR), clonotype_size_sample (cells of this clonotype in
        this sample; missing without a usable TCR, never 1), then V gene, J gene, junction_aa and
        junction (nucleotides) of the primary VJ and VDJ chain.
    chain_qc
        One row per sample and chain category, zeros included: sample, patient, visit, chain_pairing, cells,
        total, proportion.

    Raises
    ------
    InputError
        No barcode has a chain, one has no sample, patient or visit, or one occurs twice.

    Notes
    -----
    Chains and categories are scirpy's (Sturm 2020, doi:10.1093/bioinformatics/btaa611), and so is the partition into
    clonotypes, which `clonotype_groups.group_receptors` finds in less time.
    """
    table = assign_clonotypes(
        read_chains(receptors) if chains is None else chains,
        receptor_arms=receptor_arms,
        dual_ir=dual_ir,
        sequence=sequence,
        same_v_gene=same_v_gene,
        same_j_gene=same_j_gene,
        paired_only=paired_only,
        remove_multichain=remove_multichain,
    )
    return table, _count_categories(table)


def assign_clonotypes(
    chains: pd.DataFrame,
    *,
    receptor_arms: str,
    dual_ir: str,
    sequence: str,
    same_v_gene: bool,
    same_j_gene: bool,
    paired_only: bool,
    remove_multichain: bool,
) -> pd.DataFrame:
    """Assign a clonotype to each barcode whose chains are known.

    Parameters
    ----------
    chains
        Table of `receptor_chains.read_chains`.
    receptor_arms, dual_ir, sequence, same_v_gene, same_j_gene, paired_only, remove_multichain
        As for `define_clonotypes`.

    Returns
    -------
    pandas.DataFrame
        First table of `define_clonotypes`.
    """
    table = chains[[*SAMPLE_COLUMNS, *RECEPTOR_COLUMNS, *_CHAIN_COLUMNS]].copy()
    usable = _has_usable_receptor(chains, receptor_arms, sequence, paired_only, remove_multichain)
    table.insert(len(SAMPLE_COLUMNS) + len(RECEPTOR_COLUMNS), "has_receptor", usable)
    groups = group_receptors(
        chains[usable],
        receptor_arms=receptor_arms,
        dual_ir=dual_ir,
        sequence=sequence,
        same_v_gene=same_v_gene,
        same_j_gene=same_j_gene,
    )
    names = _name_clonotypes(table[usable], groups)
    table.insert(7, "clonotype", names.reindex(table.index, fill_value=""))
    table.insert(8, "clonotype_size_sample", _sizes_in_sample(table))
    return table


def find_shared_clonotypes(clonotypes: pd.DataFrame) -> pd.DataFrame:
    """List receptors with identical nucleotides and genes in more than one patient.

    Parameters
    ----------
    clonotypes
        First table of `define_clonotypes`.

    Returns
    -------
    pandas.DataFrame
        One row per shared receptor and sample: receptor (number), the chain columns, chain_pairing,
        patient, visit, sample, clonotype, cells. Paired receptors shared by patients point to swapped or
        contaminated samples; orphan chains may be public.
    """
    keys = list(_CHAIN_COLUMNS)
    found = clonotypes[clonotypes["has_receptor"]]
    patients = found.groupby(keys)["patient"].transform("nunique")
    shared = found[patients > 1]
    columns = [*keys, "chain_pairing", "patient", "visit", "sample", "clonotype"]
    counted = shared.groupby(columns, sort=True).size().rename("cells").reset_index()
    counted.insert(0, "receptor", counted.groupby(keys).ngroup() + 1)
    return counted


def definition_text(settings: Mapping[str, Any]) -> str:
    """Write the clonotype definition as the one line printed on figures.

    Parameters
    ----------
    settings
        Keyword arguments of `define_clonotypes`.

    Returns
    -------
    str
        Such as ``Clonotype: identical CDR3 nucleotides, V gene, J gene (VJ and VDJ, primary chains) ...``.
    """
    parts = [f"identical CDR3 {'nucleotides' if settings['sequence'] == 'nt' else 'amino acids'}"]
    parts += [name for name, key in (("V gene", "same_v_gene"), ("J gene", "same_j_gene")) if settings[key]]
    arms = {"all": "VJ and VDJ where present", "any": "VJ or VDJ", "VJ": "VJ only", "VDJ": "VDJ only"}
    chains = {"primary_only": "primary chains", "any": "any of two chains", "all": "all chains"}
    kept = "paired cells only" if settings["paired_only"] else "orphan chains kept"
    multichain = "excluded" if settings["remove_multichain"] else "kept"
    return (
        f"Clonotype: {', '.join(parts)} ({arms[settings['receptor_arms']]}; {chains[settings['dual_ir']]}) "
        f"within patient and receptor subtype; {kept}; multichain cells {multichain}"
    )


def _has_usable_receptor(
    chains: pd.DataFrame, receptor_arms: str, sequence: str, paired_only: bool, remove_multichain: bool
) -> np.ndarray:
    suffix = "junction" if sequence == "nt" else "junction_aa"
    present = {arm: chains[f"{arm.lower()}_{suffix}"] != "" for arm in ("VJ", "VDJ")}
    usable = present[receptor_arms] if receptor_arms in present else present["VJ"] | present["VDJ"]
    usable &= chains["is_tcr"] & chains["receptor_type"].isin(["TCR", "multichain"])
    if paired_only:
        usable &= present["VJ"] & present["VDJ"] & (chains["chain_pairing"] != "ambiguous")
    if remove_multichain:
        usable &= chains["chain_pairing"] != "multichain"
    return usable.to_numpy(dtype=bool)


def _name_clonotypes(members: pd.DataFrame, groups: np.ndarray) -> pd.Series:
    """Number clonotypes within each patient by size, then first sequence, whatever the order of rows."""
    cells = members.index.to_numpy(dtype=object)
    by_sequence = [members[name].to_numpy(dtype=object) for name in reversed(_CHAIN_COLUMNS)]
    ranks = [pd.factorize(column, sort=True)[0] for column in (*by_sequence, cells)]
    place = np.empty(len(members), dtype=np.int64)
    place[np.lexsort(ranks[::-1])] = np.arange(len(members))
    clones = pd.DataFrame({"group": groups, "place": place, "patient": members["patient"].to_numpy(dtype=object)})
    clones = clones.groupby("group").agg(patient=("patient", "first"), size=("place", "size"), place=("place", "min"))
    ordered = clones.sort_values(["patient", "size", "place"], ascending=[True, False, True])
    number = ordered.groupby("patient").cumcount() + 1
    names = (ordered["patient"] + "-" + number.astype(str)).astype(object)
    return pd.Series(names.reindex(groups).to_numpy(dtype=object), index=members.index)


def _sizes_in_sample(table: pd.DataFrame) -> pd.Series:
    named = table[table["has_receptor"]]
    sizes = named.groupby(["sample", "clonotype"])["patient"].transform("size")
    return sizes.reindex(table.index).astype("Int64")


def _count_categories(table: pd.DataFrame) -> pd.DataFrame:
    samples = table[list(SAMPLE_COLUMNS)].drop_duplicates().sort_values("sample")
    grid = samples.merge(pd.Series(CHAIN_CATEGORIES, name="chain_pairing"), how="cross")
    counts = table.groupby([*SAMPLE_COLUMNS, "chain_pairing"]).size().rename("cells").reset_index()
    long = grid.merge(counts, how="left")
    long["cells"] = long["cells"].fillna(0).astype(int)
    long["total"] = long.groupby("sample")["cells"].transform("sum")
    long["proportion"] = long["cells"] / long["total"]
    return long

"""Give every barcode its chain category and its patient-scoped clonotype."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pandas as pd

from immune_landscape.chain_tables import TCR_LOCI
from immune_landscape.errors import InputError

if TYPE_CHECKING:
    from anndata import AnnData

CHAIN_CATEGORIES = (
    "single pair",
    "extra VJ",
    "extra VDJ",
    "two full chains",
    "orphan VJ",
    "orphan VDJ",
    "multichain",
    "ambiguous",
    "no IR",
)
RECEPTOR_COLUMNS = ("receptor_type", "receptor_subtype", "chain_pairing")

_SAMPLE_COLUMNS = ("sample", "patient", "visit")
_FIELDS = {"v_call": "v_gene", "j_call": "j_gene", "junction_aa": "junction_aa", "junction": "junction"}
_CHAINS = ("VJ_1", "VDJ_1")
_CHAIN_COLUMNS = tuple(f"{chain[:-2].lower()}_{name}" for chain in _CHAINS for name in _FIELDS.values())
_ALLELE = re.compile(r"\*[^,\s]+")


def define_clonotypes(
    receptors: AnnData,
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
    Chains, categories and clonotypes are scirpy's (Sturm 2020, doi:10.1093/bioinformatics/btaa611).
    """
    _check_receptors(receptors)
    indexed = _index_receptors(receptors)
    table = indexed.obs[[*_SAMPLE_COLUMNS, *RECEPTOR_COLUMNS]].astype(str).join(_primary_chains(indexed))
    usable = _has_usable_receptor(
        table, indexed.obs["tcr_locus"], receptor_arms, sequence, paired_only, remove_multichain
    )
    table.insert(len(_SAMPLE_COLUMNS) + len(RECEPTOR_COLUMNS), "has_receptor", usable)
    groups = _group_receptors(indexed[usable.to_numpy()], receptor_arms, dual_ir, sequence, same_v_gene, same_j_gene)
    names = _name_clonotypes(table, groups).astype(object)
    table.insert(7, "clonotype", names.reindex(table.index, fill_value=""))
    table.insert(8, "clonotype_size_sample", _sizes_in_sample(table))
    return table.rename_axis("cell"), _count_categories(table)


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


def definition_text(settings: dict[str, Any]) -> str:
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


def _check_receptors(receptors: AnnData) -> None:
    if "locus" not in receptors.obsm["airr"].fields:
        raise InputError("receptors: no cell has any chain")
    absent = [name for name in _SAMPLE_COLUMNS if name not in receptors.obs]
    if absent:
        raise InputError(f"receptors: obs has no {', '.join(absent)}; found {', '.join(map(str, receptors.obs))}")
    if not receptors.obs_names.is_unique:
        twice = receptors.obs_names[receptors.obs_names.duplicated()][0]
        raise InputError(f"receptors: cell '{twice}' occurs more than once; ids must be <sample>:<barcode>")
    empty = receptors.obs[list(_SAMPLE_COLUMNS)].isna().any(axis=1)
    if empty.any():
        raise InputError(f"receptors: {int(empty.sum())} cells have no sample, patient or visit")


def _index_receptors(receptors: AnnData) -> AnnData:
    import anndata
    import scirpy

    airr = receptors.obsm["airr"]
    for field in ("v_call", "j_call"):
        airr = _strip_alleles(airr, field)
    obs = receptors.obs[list(_SAMPLE_COLUMNS)].astype(str)
    indexed = anndata.AnnData(obs=obs, obsm={"airr": airr})
    scirpy.pp.index_chains(indexed)
    scirpy.tl.chain_qc(indexed, key_added=RECEPTOR_COLUMNS)
    loci = scirpy.get.airr(indexed, "locus", list(_CHAINS))
    indexed.obs["tcr_locus"] = loci.isin(TCR_LOCI).any(axis=1)
    return indexed


def _strip_alleles(airr: Any, field: str) -> Any:
    """Reduce calls to sorted genes: one clone may come with several alleles, or tied genes in any order."""
    import awkward as ak

    calls = ak.to_list(ak.flatten(airr[field]))
    if not any(call and ("*" in call or "," in call) for call in calls):
        return airr
    genes = [_genes_of(call) if call else call for call in calls]
    return ak.with_field(airr, ak.unflatten(ak.Array(genes), ak.num(airr[field])), field)


def _genes_of(call: str) -> str:
    return ",".join(sorted({gene.strip() for gene in _ALLELE.sub("", call).split(",")}))


def _primary_chains(indexed: AnnData) -> pd.DataFrame:
    import scirpy

    found = scirpy.get.airr(indexed, list(_FIELDS), list(_CHAINS)).astype(object)
    found.columns = pd.Index(_CHAIN_COLUMNS)
    return found.where(found.notna(), "").astype(str)


def _has_usable_receptor(
    table: pd.DataFrame,
    tcr_locus: pd.Series,
    receptor_arms: str,
    sequence: str,
    paired_only: bool,
    remove_multichain: bool,
) -> pd.Series:
    suffix = "junction" if sequence == "nt" else "junction_aa"
    present = {arm: table[f"{arm.lower()}_{suffix}"] != "" for arm in ("VJ", "VDJ")}
    usable = present[receptor_arms] if receptor_arms in present else present["VJ"] | present["VDJ"]
    usable &= tcr_locus & table["receptor_type"].isin(["TCR", "multichain"])
    if paired_only:
        usable &= present["VJ"] & present["VDJ"] & (table["chain_pairing"] != "ambiguous")
    if remove_multichain:
        usable &= table["chain_pairing"] != "multichain"
    return usable


def _group_receptors(
    usable: AnnData, receptor_arms: str, dual_ir: str, sequence: str, same_v_gene: bool, same_j_gene: bool
) -> pd.Series:
    """Label each usable cell with scirpy's arbitrary clonotype number."""
    import scirpy

    if usable.n_obs == 0:
        return pd.Series([], index=usable.obs_names, dtype=object)
    work = usable.copy()
    scirpy.pp.ir_dist(work, metric="identity", sequence=sequence)
    distances = work.uns[f"ir_dist_{sequence}_identity"]
    # scirpy fails on an arm that no cell has, as in beta-only data; comparing the other arm means the same
    present = [arm for arm in ("VJ", "VDJ") if len(distances[arm]["seqs"])]
    labels, _, _ = scirpy.tl.define_clonotype_clusters(
        work,
        sequence=sequence,
        metric="identity",
        receptor_arms=receptor_arms if len(present) == 2 else present[0],
        dual_ir=dual_ir,
        same_v_gene=same_v_gene,
        same_j_gene=same_j_gene,
        within_group=["patient", "receptor_subtype"],
        inplace=False,
    )
    return labels.astype(object)


def _name_clonotypes(table: pd.DataFrame, groups: pd.Series) -> pd.Series:
    """Number clonotypes within each patient by size, then first sequence, whatever the order of rows."""
    members = table.loc[groups.index].assign(group=groups, cell=groups.index)
    first, *rest = [*reversed(_CHAIN_COLUMNS), "cell"]
    members["key"] = members[first].str.cat(members[rest], sep="\t")
    clones = members.groupby("group").agg(patient=("patient", "first"), size=("cell", "size"), key=("key", "min"))
    ordered = clones.sort_values(["patient", "size", "key"], ascending=[True, False, True])
    number = ordered.groupby("patient").cumcount() + 1
    names = ordered["patient"] + "-" + number.astype(str)
    return groups.map(names)


def _sizes_in_sample(table: pd.DataFrame) -> pd.Series:
    named = table[table["has_receptor"]]
    sizes = named.groupby(["sample", "clonotype"])["patient"].transform("size")
    return sizes.reindex(table.index).astype("Int64")


def _count_categories(table: pd.DataFrame) -> pd.DataFrame:
    samples = table[list(_SAMPLE_COLUMNS)].drop_duplicates().sort_values("sample")
    grid = samples.merge(pd.Series(CHAIN_CATEGORIES, name="chain_pairing"), how="cross")
    counts = table.groupby([*_SAMPLE_COLUMNS, "chain_pairing"]).size().rename("cells").reset_index()
    long = grid.merge(counts, how="left")
    long["cells"] = long["cells"].fillna(0).astype(int)
    long["total"] = long.groupby("sample")["cells"].transform("sum")
    long["proportion"] = long["cells"] / long["total"]
    return long

"""Receptor tables of the simulated samples as software writes them: Cell Ranger contigs, AIRR bulk TRB."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from immune_landscape.simulate_cells import BARCODE_LENGTH, BASES, Droplets
from immune_landscape.simulate_profiles import Biology, stream
from immune_landscape.simulate_receptors import Repertoire

DETECTED = {("TRA", 0): 0.82, ("TRB", 0): 0.93, ("TRA", 1): 0.7}
AMBIENT = 0.03  # share of barcodes with a chain of another cell
UNCALLED = 0.1  # share of contigs followed by one without a junction
BARCODES_OUTSIDE = 0.06  # barcodes with contigs but without expression, relative to those with both
MEAN_UMIS = {"TRA": 3.0, "TRB": 6.0}
UNPRODUCTIVE_BULK = 0.12
CONTIG_COLUMNS = [
    "barcode",
    "is_cell",
    "contig_id",
    "high_confidence",
    "length",
    "chain",
    "v_gene",
    "d_gene",
    "j_gene",
    "c_gene",
    "full_length",
    "productive",
    "cdr3",
    "cdr3_nt",
    "reads",
    "umis",
    "raw_clonotype_id",
    "raw_consensus_id",
]
AIRR_COLUMNS = [
    "sequence_id",
    "sequence",
    "rev_comp",
    "productive",
    "vj_in_frame",
    "stop_codon",
    "locus",
    "v_call",
    "d_call",
    "j_call",
    "sequence_alignment",
    "germline_alignment",
    "junction",
    "junction_aa",
    "junction_length",
    "v_cigar",
    "d_cigar",
    "j_cigar",
    "duplicate_count",
]
_ALLELE = re.compile(r"\*.*")


def list_v_genes(repertoire: Repertoire, droplets: Droplets, biology: Biology, seed: int) -> pd.DataFrame:
    """List the rearranged V genes that each cell transcribes.

    Parameters
    ----------
    repertoire
        Clones of the T cells.
    droplets
        Cells; B and plasma cells draw one heavy and one light V gene.
    biology
        Gene table with the immunoglobulin V genes.
    seed
        Seed of the simulation.

    Returns
    -------
    pandas.DataFrame
        content (row of ``droplets.contents``), symbol.
    """
    carried = repertoire.clone[repertoire.clone != ""].rename("clone").rename_axis("content").reset_index()
    chains = carried.merge(repertoire.chains, on="clone")
    t_cells = pd.DataFrame({"content": chains["content"], "symbol": chains["v_call"].map(name_gene)})
    b_rows = droplets.contents.index[droplets.contents["type"].isin(["b", "plasma"])].to_numpy()
    ig_genes = biology.genes.loc[biology.genes["role"] == "ig_variable", "symbol"].to_list()
    rng = stream(seed, "immunoglobulins")
    frames = [t_cells]
    for chain in (("IGHV",), ("IGKV", "IGLV")):
        genes = [gene for gene in ig_genes if gene.startswith(chain)]
        frames.append(pd.DataFrame({"content": b_rows, "symbol": rng.choice(genes, len(b_rows))}))
    return pd.concat(frames, ignore_index=True)


def name_gene(call: str) -> str:
    """Return a gene as 10x Genomics names it: without allele and without slash."""
    return _ALLELE.sub("", call).replace("/", "")


def list_contigs(sample: str, droplets: Droplets, repertoire: Repertoire, seed: int) -> pd.DataFrame:
    """List the assembled contigs of one sample.

    Parameters
    ----------
    sample
        Sample id.
    droplets
        Barcodes and cells.
    repertoire
        Clone of each cell and the chains of each clone.
    seed
        Seed of the simulation.

    Returns
    -------
    pandas.DataFrame
        Columns of Cell Ranger's ``filtered_contig_annotations.csv``. Includes dropped chains, chains of other
        cells, contigs without a junction, and barcodes that are no cell in the expression data.
    """
    rng = stream(seed, "contigs", sample)
    contents = droplets.contents[droplets.contents["sample"] == sample]
    cells = pd.DataFrame(
        {
            "barcode": droplets.droplets["barcode"].to_numpy()[contents["droplet"]],
            "clone": repertoire.clone[contents.index].to_numpy(),
        }
    )
    carriers = cells[cells["clone"] != ""]
    pairs = pd.concat([carriers, _barcodes_outside(rng, carriers)], ignore_index=True)
    chains = pairs.merge(repertoire.chains, on="clone")
    kept = [rng.random() < DETECTED[key] for key in zip(chains["locus"], chains["slot"], strict=True)]
    chains = pd.concat([chains[kept], _stray_chains(rng, cells, chains)], ignore_index=True)
    contigs = _describe_contigs(rng, chains.drop_duplicates(["barcode", "locus", "junction"]))
    return _number_contigs(pd.concat([contigs, _uncalled(rng, contigs)], ignore_index=True))


def _barcodes_outside(rng: np.random.Generator, carriers: pd.DataFrame) -> pd.DataFrame:
    number = round(len(carriers) * BARCODES_OUTSIDE)
    letters = BASES[rng.integers(0, 4, (number, BARCODE_LENGTH))]
    clones = carriers["clone"].to_numpy()[rng.integers(0, max(len(carriers), 1), number)]
    return pd.DataFrame({"barcode": ["".join(row) + "-1" for row in letters], "clone": clones}, dtype=object)


def _stray_chains(rng: np.random.Generator, cells: pd.DataFrame, chains: pd.DataFrame) -> pd.DataFrame:
    barcodes = cells["barcode"].drop_duplicates().to_numpy()
    hosts = barcodes[rng.random(len(barcodes)) < AMBIENT * (len(chains) > 0)]
    strays = chains.iloc[rng.integers(0, max(len(chains), 1), len(hosts))]
    return strays.assign(barcode=hosts)


def _describe_contigs(rng: np.random.Generator, chains: pd.DataFrame) -> pd.DataFrame:
    number = len(chains)
    umis = 1 + rng.poisson(chains["locus"].map(MEAN_UMIS).to_numpy(dtype=float))
    group = chains["j_call"].str.extract(r"TRBJ(\d)", expand=False).fillna("")
    constant = np.where(chains["locus"] == "TRB", "TRBC" + group, "TRAC")
    return pd.DataFrame(
        {
            "barcode": chains["barcode"].to_numpy(),
            "length": rng.integers(440, 680, number),
            "chain": chains["locus"].to_numpy(),
            "v_gene": chains["v_call"].map(name_gene).to_numpy(),
            "j_gene": chains["j_call"].map(name_gene).to_numpy(),
            "c_gene": constant,
            "full_length": "True",
            "productive": "True",
            "cdr3": chains["junction_aa"].to_numpy(),
            "cdr3_nt": chains["junction"].to_numpy(),
            "umis": umis,
            "reads": umis * rng.integers(150, 900, number),
        }
    )


def _uncalled(rng: np.random.Generator, contigs: pd.DataFrame) -> pd.DataFrame:
    """Return contigs whose junction the assembler could not call."""
    chosen = contigs[rng.random(len(contigs)) < UNCALLED]
    unplaced = rng.random(len(chosen)) < 0.5
    return chosen.assign(
        full_length="False",
        productive="None",
        cdr3="None",
        cdr3_nt="None",
        umis=1,
        v_gene=np.where(unplaced, "None", chosen["v_gene"]),
        reads=chosen["reads"] // 9,
    )


def _number_contigs(contigs: pd.DataFrame) -> pd.DataFrame:
    order = contigs.sort_values(
        ["barcode", "umis", "chain", "cdr3_nt"], ascending=[True, False, False, True], kind="stable"
    )
    place = (order.groupby("barcode", sort=False).cumcount() + 1).astype(str)
    order = order.assign(
        is_cell="True",
        high_confidence="True",
        d_gene="None",
        contig_id=order["barcode"] + "_contig_" + place,
    )
    return _group_clonotypes(order).reset_index(drop=True)[CONTIG_COLUMNS]


def _group_clonotypes(contigs: pd.DataFrame) -> pd.DataFrame:
    """Number clonotypes as Cell Ranger does: barcodes with the same set of junctions, largest group first."""
    called = contigs[contigs["productive"] == "True"]
    chain = called["chain"] + ":" + called["cdr3_nt"]
    members = chain.groupby(called["barcode"]).agg(lambda names: ";".join(sorted(set(names))))
    sizes = members.value_counts().rename_axis("key").rename("cells").reset_index()
    ranked = sizes.sort_values(["cells", "key"], ascending=[False, True], kind="stable")["key"].to_list()
    number = {key: f"clonotype{i}" for i, key in enumerate(ranked, start=1)}
    clonotype = contigs["barcode"].map(members.map(number)).fillna("None")
    consensus = [
        f"{number[key]}_consensus_{key.split(';').index(name) + 1}"
        for key, name in zip(called["barcode"].map(members), chain, strict=True)
    ]
    result = contigs.assign(raw_clonotype_id=clonotype, raw_consensus_id="None")
    result.loc[called.index, "raw_consensus_id"] = consensus
    return result


def list_rearrangements(sample: str, repertoire: Repertoire, seed: int) -> pd.DataFrame:
    """List the bulk TRB rearrangements of one sample.

    Parameters
    ----------
    sample
        Sample id.
    repertoire
        Templates by clone and the chains of each clone.
    seed
        Seed of the simulation.

    Returns
    -------
    pandas.DataFrame
        AIRR rearrangement schema: templates in ``duplicate_count``, largest first; some out of frame.
    """
    rng = stream(seed, "rearrangements", sample)
    templates = repertoire.bulk[sample].rename("duplicate_count").rename_axis("clone").reset_index()
    beta = repertoire.chains[repertoire.chains["locus"] == "TRB"]
    keys = ["v_call", "j_call", "junction", "junction_aa"]
    called: pd.DataFrame = templates.merge(beta, on="clone").groupby(keys)["duplicate_count"].sum().reset_index()
    called = called.assign(productive="T", vj_in_frame="T")
    rows = pd.concat([called, _out_of_frame(rng, called)], ignore_index=True)
    order = ["duplicate_count", "junction", "v_call"]
    rows = rows.sort_values(order, ascending=[False, True, True], kind="stable")
    rows = rows.assign(
        sequence_id=[f"{sample}_{i}" for i in range(1, len(rows) + 1)],
        rev_comp="F",
        locus="TRB",
        junction_length=rows["junction"].str.len(),
    )
    return rows.reindex(columns=AIRR_COLUMNS, fill_value="").reset_index(drop=True)


def _out_of_frame(rng: np.random.Generator, rows: pd.DataFrame) -> pd.DataFrame:
    """Return rearrangements that lost one base in the middle of their junction."""
    chosen = rows.iloc[np.sort(rng.choice(len(rows), round(len(rows) * UNPRODUCTIVE_BULK), replace=False))]
    middle = chosen["junction"].str.len() // 2
    junction = [text[:i] + text[i + 1 :] for text, i in zip(chosen["junction"], middle, strict=True)]
    return chosen.assign(
        junction=junction,
        junction_aa="",
        productive="F",
        vj_in_frame="F",
        duplicate_count=1 + rng.poisson(0.3, len(chosen)),
    )

"""Receptors tell MAIT, iNKT, gamma-delta and alpha-beta T cells from productive chains."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from datasets import shared_data

from immune_landscape.cell_types import types_of
from immune_landscape.load_receptors import load_receptors
from immune_landscape.receptor_kinds import KINDS, NAMES, allows
from immune_landscape.receptors_io import to_awkward
from immune_landscape.witness_receptors import INVARIANT, witness_receptors

LOADING = {"loci": ["TRA", "TRB", "TRG", "TRD"], "high_confidence_only": True}
INPUTS = {"inputs": {"gex_sample_column": None, "barcode_pattern": "[ACGTN]{8,}(-[0-9]+)?", "min_tcr_overlap": 0.05}}
#: Canonical junctions of human MAIT (Tilloy 1999, doi:10.1084/jem.189.12.1907) and iNKT cells (Dellabona 1994,
#: doi:10.1084/jem.180.3.1171), C and F or W included.
MAIT_JUNCTION, INKT_JUNCTION = "CAVMDSNYQLIW", "CVVSDRGSTLGRLYF"
MAIT = ("TRA", "TRAV1-2", "TRAJ33", MAIT_JUNCTION, True)
INKT = ("TRA", "TRAV10", "TRAJ18", INKT_JUNCTION, True)
ALPHA = ("TRA", "TRAV12-1", "TRAJ9", "CVVNAGNTGFQKLVF", True)
BETA = ("TRB", "TRBV6-4", "TRBJ2-1", "CASSDSGESYNEQFF", True)
BETA_INKT = ("TRB", "TRBV25-1", "TRBJ2-7", "CASSEYEQYF", True)
BETA_OTHER = ("TRB", "TRBV7-2", "TRBJ2-7", "CASSLEYEQYF", True)
GAMMA = ("TRG", "TRGV9", "TRGJP", "CALWEVQELGKKIKVF", True)
DELTA = ("TRD", "TRDV2", "TRDJ1", "CACDTLGDTDKLIF", True)


def with_(chain, **changes):
    names = ("locus", "v", "j", "junction", "productive")
    return tuple({**dict(zip(names, chain, strict=True)), **changes}.values())


def receptors(cells):
    rows = [(name, *chain) for name, chains in cells.items() for chain in chains]
    table = pd.DataFrame(rows, columns=["cell_id", "locus", "v_call", "j_call", "junction_aa", "productive"])
    table = table.assign(umi_count=np.nan, consensus_count=np.nan)
    ids = pd.Index(list(cells), dtype=object)
    return AnnData(X=None, obs=pd.DataFrame({"sample": "S1"}, index=ids), obsm={"airr": to_awkward(table, ids)})


def kind(*chains, pair_needed=False):
    return witness_receptors(receptors({"S1:A": [BETA], "S1:B": chains}), pair_needed=pair_needed).loc[
        "S1:B", "receptor"
    ]


@pytest.mark.parametrize(
    ("chains", "expected"),
    [
        ([MAIT, BETA], "mait"),
        ([with_(MAIT, v="TRAV1-2*01"), with_(BETA, v="TRBV20-1*02")], "mait"),
        ([with_(MAIT, j="TRAJ20", junction="CAVSLQDYKLSF"), BETA], "mait"),
        ([with_(MAIT, j="TRAJ9"), BETA], "alpha_beta"),
        ([with_(MAIT, v="TRAV1-1"), BETA], "alpha_beta"),
        ([with_(MAIT, junction=MAIT_JUNCTION[1:-1]), BETA], "alpha_beta"),
        ([with_(MAIT, junction="CAVMDSSNYQLIW"), BETA], "alpha_beta"),
        ([MAIT, BETA_OTHER], "alpha_beta"),
        ([MAIT, with_(BETA, v="TRBV60-1")], "alpha_beta"),
        ([MAIT], "alpha_beta"),
        ([MAIT, with_(BETA, productive=False)], "alpha_beta"),
        ([with_(MAIT, productive=False), BETA], "alpha_beta"),
        ([ALPHA, MAIT, BETA_OTHER, BETA], "mait"),
        ([MAIT, with_(BETA, v="TRBV6-2,TRBV6-3")], "mait"),
        ([INKT, BETA_INKT], "inkt"),
        ([with_(INKT, junction=INKT_JUNCTION + "AA"), BETA_INKT], "alpha_beta"),
        ([INKT, BETA], "alpha_beta"),
        ([with_(INKT, v="TRAV1-2"), BETA_INKT], "alpha_beta"),
        ([GAMMA, DELTA], "gamma_delta"),
        ([GAMMA, DELTA, BETA], "gamma_delta"),
        ([GAMMA, DELTA, ALPHA, BETA], "alpha_beta"),
        ([GAMMA], "none"),
        ([DELTA, ALPHA], "alpha_beta"),
        ([with_(GAMMA, productive=False), DELTA], "none"),
        ([ALPHA], "alpha_beta"),
        ([with_(ALPHA, productive=False)], "none"),
        ([with_(ALPHA, v=None, junction=None)], "alpha_beta"),
        ([with_(ALPHA, locus=None)], "none"),
        ([], "none"),
    ],
)
def test_kind_of_receptor(chains, expected):
    assert kind(*chains) == expected


def test_single_chains_count_unless_a_pair_is_needed():
    assert kind(BETA_OTHER) == "alpha_beta"
    assert kind(BETA_OTHER, pair_needed=True) == "none"
    assert kind(ALPHA, BETA_OTHER, pair_needed=True) == "alpha_beta"
    assert kind(MAIT, BETA, pair_needed=True) == "mait"


def test_chains_are_counted_by_locus():
    table = witness_receptors(
        receptors({"S1:A": [MAIT, ALPHA, BETA], "S1:B": [GAMMA, with_(DELTA, productive=False)]}), pair_needed=False
    )
    assert list(table.columns) == [
        "sample",
        "receptor",
        *(f"productive_{n}" for n in ("alpha", "beta", "gamma", "delta")),
    ]
    assert table.loc["S1:A", "productive_alpha":].to_list() == [2, 1, 0, 0]
    assert table.loc["S1:B", "productive_alpha":].to_list() == [0, 0, 1, 0]
    assert table.index.name == "cell"


def test_lengths_count_the_conserved_ends():
    assert len(MAIT_JUNCTION) in INVARIANT["mait"].lengths
    assert len(INKT_JUNCTION) in INVARIANT["inkt"].lengths
    # Without C and W, as IMGT counts a CDR3, no canonical receptor would fit.
    assert len(MAIT_JUNCTION) - 2 not in INVARIANT["mait"].lengths
    assert len(INKT_JUNCTION) - 2 not in INVARIANT["inkt"].lengths


def test_barcodes_without_any_chain():
    table = witness_receptors(receptors({"S1:A": [], "S1:B": []}), pair_needed=False)
    assert table["receptor"].to_list() == ["none", "none"]


def test_kinds_allow_the_types_that_can_carry_them():
    assert allows("none", "b")
    assert not allows("alpha_beta", "b")
    assert not allows("alpha_beta", "nk")
    assert all(allows(receptor, "t") for receptor in KINDS)
    assert not allows("alpha_beta", "gdt")
    assert not allows("alpha_beta", "inkt")
    assert allows("alpha_beta", "mait")
    assert allows("inkt", "inkt")
    assert allows("mait", "t_proliferating")
    assert not allows("mait", "cd8_tem")
    assert not allows("gamma_delta", "mait")
    fitting = [slug for slug in types_of("subset", branch="t").index if allows("gamma_delta", slug)]
    assert "gdt" in fitting
    assert not [slug for slug in fitting if slug.startswith(("cd4_", "cd8_"))]
    assert set(NAMES) == set(KINDS)


def sheet(path, sample="HD1"):
    rows = {"sample": [sample], "patient": [sample], "visit": ["baseline"], "tcr": [str(path)], "gex_label": [sample]}
    return pd.DataFrame(rows)


def test_pbmc5p_invariant_receptors_are_of_t_cells_with_mait_genes():
    import anndata

    folder = shared_data("pbmc_10x_5p_gex_tcr")
    path = folder / "vdj_v1_hs_pbmc_t_filtered_contig_annotations.csv.gz"
    loaded, _ = load_receptors(sheet(path), None, INPUTS, **LOADING)
    table = witness_receptors(loaded, pair_needed=False)
    assert table["receptor"].value_counts().to_dict() == {"alpha_beta": 3073, "none": 164, "mait": 114, "inkt": 13}
    # The same numbers from the contigs as Cell Ranger wrote them.
    contigs = pd.read_csv(path, dtype=str).query("productive == 'True'")
    alpha = contigs.query("chain == 'TRA' and v_gene == 'TRAV1-2' and j_gene in ['TRAJ33', 'TRAJ20', 'TRAJ12']")
    print("junction lengths of TRAV1-2 with a MAIT J gene:", alpha["cdr3"].str.len().value_counts().to_dict())
    assert (alpha["cdr3"].str.len() == 12).mean() > 0.75
    beta = contigs[(contigs["chain"] == "TRB") & contigs["v_gene"].str.match(r"TRBV(6|20)-")]
    mait = set(alpha.loc[alpha["cdr3"].str.len() == 12, "barcode"]) & set(beta["barcode"])
    assert set(table.index[table["receptor"] == "mait"]) == {f"HD1:{barcode}" for barcode in mait}
    counts = anndata.read_h5ad(folder / "gex_1k_counts.h5ad")
    kinds = table["receptor"].rename(lambda cell: cell.removeprefix("HD1:")).reindex(counts.obs_names)
    crossed = pd.crosstab(counts.obs["ccRCC_Minor"].astype(str), kinds.fillna("no row"))
    print(crossed.to_string())
    assert crossed["mait"].sum() == 10
    assert crossed.loc[["CD4.T.Cell", "CD8.T.Cell"], "mait"].sum() == 10
    klrb1 = counts[(kinds == "mait").to_numpy(), "KLRB1"].X.toarray()
    assert klrb1.min() >= 3
    # 19 of the 23 NK cells with contigs have no productive chain.
    assert crossed.loc["NK.Cell", ["none", "alpha_beta"]].to_list() == [19, 4]


def test_wu2020_receptors_are_alpha_beta_with_three_mait():
    path = shared_data("wu2020_scirpy_wheel") / "wu2020_200_v0_11.h5ad"
    inputs = {"inputs": {**INPUTS["inputs"], "barcode_pattern": ".+"}}
    loaded, _ = load_receptors(sheet(path), None, inputs, **LOADING)
    table = witness_receptors(loaded, pair_needed=False)
    print(table["receptor"].value_counts().to_dict())
    assert table["receptor"].value_counts().to_dict() == {"alpha_beta": 197, "mait": 3}

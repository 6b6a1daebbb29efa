from functools import cache

import numpy as np
import pandas as pd
import pytest
from datasets import shared_data

from immune_landscape.define_clonotypes import (
    CHAIN_CATEGORIES,
    define_clonotypes,
    definition_text,
    find_shared_clonotypes,
)
from immune_landscape.errors import InputError

DEFAULTS = {
    "receptor_arms": "all",
    "dual_ir": "primary_only",
    "sequence": "nt",
    "same_v_gene": True,
    "same_j_gene": True,
    "paired_only": False,
    "remove_multichain": True,
}
PLAIN = {**DEFAULTS, "same_v_gene": False, "same_j_gene": False, "remove_multichain": False}

# 10x Genomics, vdj_v1_hs_pbmc_t; counts stated by scirpy on the contig file alone.
PBMC_CATEGORIES = {
    "single pair": 2156,
    "orphan VDJ": 670,
    "extra VJ": 171,
    "no IR": 164,
    "orphan VJ": 108,
    "extra VDJ": 80,
    "two full chains": 11,
    "multichain": 4,
    "ambiguous": 0,
}


def tagged(adata, sample, patient, visit):
    adata.obs_names = [f"{sample}:{barcode}" for barcode in adata.obs_names]
    adata.obs["sample"] = sample
    adata.obs["patient"] = patient
    adata.obs["visit"] = visit
    adata.obs["has_gex"] = False
    return adata


@cache
def pbmc():
    import scirpy

    folder = shared_data("pbmc_10x_5p_gex_tcr")
    contigs = folder / "vdj_v1_hs_pbmc_t_filtered_contig_annotations.csv.gz"
    return tagged(scirpy.io.read_10x_vdj(contigs), "healthy_blood", "healthy", "baseline")


@cache
def zhao():
    import anndata
    import scirpy

    folder = shared_data("screpertoire_zhao2021", "contigs")
    parts = []
    for sample in ("P18B", "P18L", "P20L"):
        contigs = scirpy.io.read_10x_vdj(folder / f"{sample}_filtered_contig_annotations.csv.gz")
        parts.append(tagged(contigs, sample, sample[:3], {"B": "blood", "L": "lung"}[sample[3]]))
    return anndata.concat(parts)


def receptors(*cells):
    """Build receptors from (sample, patient, visit, [(locus, V, J, nt), ...]); a barcode per row."""
    import scirpy

    built = []
    for number, (_, _, _, chains) in enumerate(cells):
        cell = scirpy.io.AirrCell(cell_id=f"{number}")
        for rank, (locus, v_gene, j_gene, junction) in enumerate(chains):
            chain = scirpy.io.AirrCell.empty_chain_dict()
            chain.update(locus=locus, v_call=v_gene, j_call=j_gene, junction=junction, junction_aa=f"C{junction}F")
            chain.update(productive=True, consensus_count=100 - rank, umi_count=100 - rank)
            cell.add_chain(chain)
        built.append(cell)
    adata = scirpy.io.from_airr_cells(built)
    for position, name in enumerate(("sample", "patient", "visit")):
        adata.obs[name] = [cell[position] for cell in cells]
    adata.obs_names = [f"{cell[0]}:{number}" for number, cell in enumerate(cells)]
    return adata


ALPHA = ("TRA", "TRAV1", "TRAJ1", "ACG")
BETA = ("TRB", "TRBV1", "TRBJ1", "TTG")
IG_HEAVY = ("IGH", "IGHV1", "IGHJ1", "GGG")


def one(*chains, sample="s1", patient="p1", visit="before"):
    return (sample, patient, visit, list(chains))


def test_pbmc_chain_categories_are_the_published_ones():
    _, chain_qc = define_clonotypes(pbmc(), **DEFAULTS)
    assert chain_qc.set_index("chain_pairing")["cells"].to_dict() == PBMC_CATEGORIES
    assert (chain_qc["total"] == 3364).all()
    assert chain_qc["proportion"].sum() == pytest.approx(1)


def test_pbmc_clonotypes_match_the_anchor_by_cdr3_alone():
    table, _ = define_clonotypes(pbmc(), **PLAIN)
    sizes = table.loc[table["has_receptor"], "clonotype"].value_counts()
    assert (sizes.sum(), len(sizes)) == (3200, 3008)
    assert sizes.head(5).tolist() == [17, 10, 7, 7, 7]
    paired, _ = define_clonotypes(pbmc(), **{**PLAIN, "paired_only": True, "remove_multichain": True})
    sizes = paired.loc[paired["has_receptor"], "clonotype"].value_counts()
    assert (sizes.sum(), len(sizes)) == (2418, 2257)


def test_pbmc_default_definition_equals_grouping_by_hand(capsys):
    table, _ = define_clonotypes(pbmc(), **DEFAULTS)
    found = table[table["has_receptor"]]
    keys = ["patient", "receptor_subtype"]
    keys += [f"{arm}_{name}" for arm in ("vj", "vdj") for name in ("junction", "v_gene", "j_gene")]
    by_hand = found.groupby(keys)["clonotype"]
    assert by_hand.nunique().max() == 1
    assert by_hand.ngroups == found["clonotype"].nunique()
    assert len(found) == 3196
    with capsys.disabled():
        print(f"\ndefault definition on pbmc: {by_hand.ngroups} clonotypes over {len(found)} cells, "
              f"largest {found['clonotype'].value_counts().head(5).tolist()}")  # fmt: skip


def test_names_run_from_the_largest_clone_and_ignore_row_order():
    table, _ = define_clonotypes(pbmc(), **DEFAULTS)
    sizes = table.loc[table["has_receptor"], "clonotype"].value_counts()
    numbers = sizes.index.str.removeprefix("healthy-").astype(int)
    assert sizes.to_numpy()[np.argsort(numbers)].tolist() == sorted(sizes, reverse=True)
    shuffled = pbmc()[np.random.default_rng(1).permutation(pbmc().n_obs)].copy()
    again, _ = define_clonotypes(shuffled, **DEFAULTS)
    pd.testing.assert_frame_equal(again.loc[table.index], table)


def test_input_is_left_unchanged():
    before = pbmc().copy()
    define_clonotypes(pbmc(), **DEFAULTS)
    assert list(pbmc().obs) == list(before.obs)
    assert set(pbmc().obsm) == {"airr"}


def test_zhao_clonotypes_stay_inside_the_patient_and_count_per_sample():
    table, chain_qc = define_clonotypes(zhao(), **DEFAULTS)
    found = table[table["has_receptor"]]
    assert found.groupby("clonotype")["patient"].nunique().max() == 1
    assert (found["clonotype"].str.rsplit("-", n=1).str[0] == found["patient"]).all()
    both = found[found["patient"] == "P18"].groupby("clonotype")["sample"].nunique()
    assert (both == 2).any()
    for (sample, _), cells in found.groupby(["sample", "clonotype"]):
        assert (cells["clonotype_size_sample"] == len(cells)).all(), sample
    assert len(chain_qc) == 3 * len(CHAIN_CATEGORIES)
    assert chain_qc.groupby("sample")["cells"].sum().to_dict() == table.groupby("sample").size().to_dict()


def test_one_cell_before_and_one_after_is_a_singleton_at_both_visits():
    cells = [one(ALPHA, BETA), one(ALPHA, BETA, sample="s2", visit="after")]
    table, _ = define_clonotypes(receptors(*cells), **DEFAULTS)
    assert table["clonotype"].tolist() == ["p1-1", "p1-1"]
    assert table["clonotype_size_sample"].tolist() == [1, 1]


def test_no_receptor_is_missing_and_not_a_singleton():
    table, chain_qc = define_clonotypes(receptors(one(ALPHA, BETA), one()), **DEFAULTS)
    bare = table.iloc[1]
    assert (bare["chain_pairing"], bare["has_receptor"], bare["clonotype"]) == ("no IR", False, "")
    assert pd.isna(bare["clonotype_size_sample"])
    assert chain_qc.set_index("chain_pairing")["cells"]["no IR"] == 1


def test_cohort_without_any_receptor_gives_missing_everywhere():
    table, _ = define_clonotypes(receptors(one(IG_HEAVY), one()), **DEFAULTS)
    assert (table["clonotype"] == "").all()
    assert table["clonotype_size_sample"].isna().all()


def test_same_cdr3_with_another_gene_is_another_clone_unless_asked():
    other_v = ("TRB", "TRBV2", "TRBJ1", "TTG")
    other_j = ("TRB", "TRBV1", "TRBJ2", "TTG")
    data = receptors(one(ALPHA, BETA), one(ALPHA, other_v), one(ALPHA, other_j))
    count = {
        (v, j): define_clonotypes(data, **{**DEFAULTS, "same_v_gene": v, "same_j_gene": j})[0]["clonotype"].nunique()
        for v in (True, False)
        for j in (True, False)
    }
    assert count == {(True, True): 3, (True, False): 2, (False, True): 2, (False, False): 1}


def test_alleles_and_the_order_of_tied_genes_do_not_split_a_clone():
    alleles = [("TRB", call, "TRBJ1*01", "TTG") for call in ("TRBV1", "TRBV1*01", "TRBV1*02,TRBV1*03")]
    tied = [("TRB", call, "TRBJ1", "TTG") for call in ("TRBV12-4*01, TRBV12-3*01", "TRBV12-3,TRBV12-4")]
    table, _ = define_clonotypes(receptors(*[one(chain) for chain in alleles + tied]), **DEFAULTS)
    assert table["vdj_v_gene"].tolist() == ["TRBV1"] * 3 + ["TRBV12-3,TRBV12-4"] * 2
    assert table["clonotype"].tolist() == ["p1-1"] * 3 + ["p1-2"] * 2


def test_same_receptor_in_two_patients_is_two_clones_and_is_listed():
    cells = [one(ALPHA, BETA), one(ALPHA, BETA), one(ALPHA, BETA, sample="s2", patient="p2"), one(ALPHA)]
    table, _ = define_clonotypes(receptors(*cells), **DEFAULTS)
    assert table["clonotype"].tolist() == ["p1-1", "p1-1", "p2-1", "p1-2"]
    shared = find_shared_clonotypes(table)
    assert shared[["receptor", "patient", "clonotype", "cells"]].to_numpy().tolist() == [
        [1, "p1", "p1-1", 2],
        [1, "p2", "p2-1", 1],
    ]


def test_orphan_chain_does_not_join_the_paired_clone():
    data = receptors(one(ALPHA, BETA), one(BETA))
    assert define_clonotypes(data, **DEFAULTS)[0]["clonotype"].nunique() == 2
    beta_only = define_clonotypes(data, **{**DEFAULTS, "receptor_arms": "VDJ"})[0]
    assert beta_only["clonotype"].tolist() == ["p1-1", "p1-1"]


def test_arm_that_is_not_compared_does_not_make_a_receptor_usable():
    table, _ = define_clonotypes(receptors(one(ALPHA), one(BETA)), **{**DEFAULTS, "receptor_arms": "VDJ"})
    assert table["has_receptor"].tolist() == [False, True]


def test_multichain_cells_are_kept_as_a_column_and_left_out():
    third = ("TRB", "TRBV3", "TRBJ1", "GGG")
    crowded = one(BETA, ("TRB", "TRBV2", "TRBJ1", "CCC"), third, ALPHA)
    data = receptors(crowded, one(ALPHA, BETA))
    table, _ = define_clonotypes(data, **DEFAULTS)
    assert table["chain_pairing"].tolist() == ["multichain", "single pair"]
    assert table["clonotype"].tolist() == ["", "p1-1"]
    kept, _ = define_clonotypes(data, **{**DEFAULTS, "remove_multichain": False})
    assert kept["clonotype"].nunique() == 2


def test_amino_acids_join_what_nucleotides_split():
    silent = receptors(one(BETA), one(("TRB", "TRBV1", "TRBJ1", "TTA")))
    silent.obsm["airr"] = _with_amino_acids(silent.obsm["airr"], "CASSF")
    assert define_clonotypes(silent, **DEFAULTS)[0]["clonotype"].tolist() == ["p1-2", "p1-1"]
    by_amino_acids = define_clonotypes(silent, **{**DEFAULTS, "sequence": "aa"})[0]
    assert by_amino_acids["clonotype"].tolist() == ["p1-1", "p1-1"]


def _with_amino_acids(airr, sequence):
    import awkward as ak

    same = ak.unflatten(ak.Array([sequence] * int(ak.sum(ak.num(airr["locus"])))), ak.num(airr["locus"]))
    return ak.with_field(airr, same, "junction_aa")


def test_b_cell_receptors_are_not_clonotypes():
    table, _ = define_clonotypes(receptors(one(IG_HEAVY), one(BETA)), **DEFAULTS)
    assert table["receptor_type"].tolist() == ["BCR", "TCR"]
    assert table["has_receptor"].tolist() == [False, True]


def test_no_chain_missing_patient_and_repeated_cell_are_told():
    with pytest.raises(InputError, match="no cell has any chain"):
        define_clonotypes(receptors(one(), one()), **DEFAULTS)
    data = receptors(one(BETA), one(BETA))
    data.obs["patient"] = ["p1", None]
    with pytest.raises(InputError, match="1 cells have no sample, patient or visit"):
        define_clonotypes(data, **DEFAULTS)
    with pytest.raises(InputError, match="no patient"):
        define_clonotypes(_without(data, "patient"), **DEFAULTS)
    twice = receptors(one(BETA), one(BETA))
    twice.obs_names = ["s1:A", "s1:A"]
    with pytest.raises(InputError, match="'s1:A' occurs more than once"):
        define_clonotypes(twice, **DEFAULTS)


def _without(data, column):
    bare = data.copy()
    del bare.obs[column]
    return bare


def test_definition_line_names_every_choice():
    assert definition_text(DEFAULTS) == (
        "Clonotype: identical CDR3 nucleotides, V gene, J gene (VJ and VDJ where present; primary chains) "
        "within patient and receptor subtype; orphan chains kept; multichain cells excluded"
    )
    other = {
        **PLAIN, "sequence": "aa", "receptor_arms": "VDJ", "dual_ir": "any", "paired_only": True
    }  # fmt: skip
    assert definition_text(other) == (
        "Clonotype: identical CDR3 amino acids (VDJ only; any of two chains) "
        "within patient and receptor subtype; paired cells only; multichain cells kept"
    )

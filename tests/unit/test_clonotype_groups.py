from itertools import product

import anndata
import numpy as np
import pandas as pd
import pytest
from clones import define_with_scirpy, same_partition

from immune_landscape.clonotype_groups import group_receptors
from immune_landscape.define_clonotypes import assign_clonotypes
from immune_landscape.receptor_chains import read_chains
from immune_landscape.receptors_io import to_awkward

ARMS, DUAL = ("all", "any", "VJ", "VDJ"), ("primary_only", "any", "all")
NAMES = ("receptor_arms", "dual_ir", "sequence", "same_v_gene", "same_j_gene")
SEQUENCES = (("nt", True, True), ("nt", False, False), ("aa", True, False), ("aa", False, True))
EVERY = [dict(zip(NAMES, (arms, dual, *rest), strict=True)) for arms, dual, rest in product(ARMS, DUAL, SEQUENCES)]
KEPT = {"paired_only": False, "remove_multichain": False}


def random_receptors(cells, seed):
    """Draw cells with no to three chains an arm from few sequences and genes, so that many agree in part."""
    rng, rows = np.random.default_rng(seed), []
    ids = np.array([f"s{number % 3}:{number:04d}" for number in range(cells)])
    for cell in ids:
        for arm, most in (("TRA", 3), ("TRB", 3)):
            for _ in range(rng.choice(most + 1, p=[0.2, 0.5, 0.27, 0.03])):
                junction = "TGC" + str(rng.choice(["AAA", "AAG", "CCC", "CCT", "GGG", "TTT"]))
                rows.append((cell, arm, f"{arm}V{rng.integers(2)}", f"{arm}J{rng.integers(2)}", junction))
    table = pd.DataFrame(rows, columns=["cell_id", "locus", "v_call", "j_call", "junction"])
    codons = {"AAA": "K", "AAG": "K", "CCC": "P", "CCT": "P", "GGG": "G", "TTT": "F"}
    table["junction_aa"] = "C" + table["junction"].str[3:].map(codons)
    table = table.assign(productive=True, umi_count=rng.integers(1, 9, len(table)), consensus_count=np.nan)
    samples = pd.Series([cell.split(":")[0] for cell in ids], index=ids)
    obs = pd.DataFrame({"sample": samples, "patient": np.where(samples == "s2", "p2", "p1"), "visit": samples})
    return anndata.AnnData(obs=obs, obsm={"airr": to_awkward(table, obs.index)})


@pytest.mark.parametrize("definition", EVERY, ids=lambda chosen: "-".join(map(str, chosen.values())))
def test_partition_of_cells_that_agree_in_part_is_scirpys(definition):
    receptors = random_receptors(80, 1)
    table = assign_clonotypes(read_chains(receptors), **definition, **KEPT)
    usable = table["has_receptor"].to_numpy()
    by_scirpy = define_with_scirpy(receptors, usable, **definition)
    assert usable.sum() > 50
    assert same_partition(table.loc[usable, "clonotype"], by_scirpy)
    assert by_scirpy.nunique() < usable.sum()


def chains_of(*cells):
    """Build a table of chains from (alpha, second alpha, beta, second beta), each a CDR3."""
    table = pd.DataFrame(cells, columns=["vj_junction", "vj2_junction", "vdj_junction", "vdj2_junction"])
    return table.assign(patient="p", receptor_subtype="TRA+TRB")


PLAIN = {"sequence": "nt", "same_v_gene": False, "same_j_gene": False}


@pytest.mark.parametrize(
    ("arms", "dual", "expected"),
    [
        ("all", "primary_only", [0, 1, 1, 2]),
        ("all", "any", [0, 0, 0, 1]),
        ("all", "all", [0, 1, 2, 3]),
        ("VDJ", "primary_only", [0, 0, 0, 0]),
        ("VJ", "any", [0, 0, 0]),
        ("any", "all", [0, 0, 0, 0]),
    ],
)
def test_a_second_alpha_joins_cells_as_the_rule_says(arms, dual, expected):
    chains = chains_of(("A", "", "B", ""), ("A2", "A", "B", ""), ("A2", "", "B", ""), ("", "", "B", ""))
    usable = chains[chains["vj_junction"] != ""] if arms == "VJ" else chains
    found = group_receptors(usable, receptor_arms=arms, dual_ir=dual, **PLAIN)
    assert found.tolist() == expected


def test_both_chains_of_an_arm_agree_in_any_order():
    chains = chains_of(("A", "A2", "B", ""), ("A2", "A", "B", ""), ("A", "", "B", ""))
    assert group_receptors(chains, receptor_arms="all", dual_ir="all", **PLAIN).tolist() == [0, 0, 1]


def test_a_gene_that_was_not_called_is_no_other_gene():
    genes = [f"{arm}_{gene}" for arm in ("vj", "vj2", "vdj", "vdj2") for gene in ("v_gene", "j_gene")]
    chains = chains_of(*[("A", "", "B", "")] * 3).assign(**dict.fromkeys(genes, "G"))
    chains["vdj_v_gene"] = ["", "", "G"]
    chosen = PLAIN | {"same_v_gene": True}
    assert group_receptors(chains, receptor_arms="all", dual_ir="any", **chosen).tolist() == [0, 0, 1]
    assert group_receptors(chains, receptor_arms="all", dual_ir="any", **PLAIN).tolist() == [0, 0, 0]

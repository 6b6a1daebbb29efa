"""scirpy's query over beta chains, held against a plain join and a plain distance."""

import numpy as np
import pandas as pd
import pytest

from immune_landscape.antigen_lookup import look_up

RESIDUES = np.array(list("ACDEFGHIKLMNPQRSTVWY"))


def chains(rng, number, genes=("TRBV5-1", "TRBV19", "")):
    bodies = ["".join(rng.choice(RESIDUES[:4], rng.integers(2, 4))) for _ in range(number)]
    table = pd.DataFrame({"junction_aa": [f"CAS{body}F" for body in bodies], "v_call": rng.choice(genes, number)})
    return table.set_index(pd.Index([f"r{each}" for each in rng.permutation(number)]))


def pairs_of(found):
    return set(map(tuple, found[["receptor", "entry"]].to_numpy().tolist()))


@pytest.mark.parametrize("same_v_gene", [False, True])
def test_identity_is_a_join(same_v_gene):
    rng = np.random.default_rng(0)
    receptors = chains(rng, 80)
    entries = chains(rng, 60, ("TRBV5-1", "TRBV5-1,TRBV19", "")).reset_index(drop=True)
    found = look_up(receptors, entries, metric="identity", cutoff=0, same_v_gene=same_v_gene)
    expected = {
        (receptor, entry)
        for receptor, one in receptors.iterrows()
        for entry, other in entries.iterrows()
        if one["junction_aa"] == other["junction_aa"]
        and (not same_v_gene or (one["v_call"] and one["v_call"] in other["v_call"].split(",")))
    }
    assert len(expected) > 20
    assert pairs_of(found) == expected
    assert len(found) == len(expected)


def test_hamming_counts_different_residues():
    rng = np.random.default_rng(1)
    receptors, entries = chains(rng, 50), chains(rng, 40).reset_index(drop=True)
    found = look_up(receptors, entries, metric="hamming", cutoff=1, same_v_gene=False)
    expected = {
        (receptor, entry)
        for receptor, one in receptors["junction_aa"].items()
        for entry, other in entries["junction_aa"].items()
        if len(one) == len(other) and sum(a != b for a, b in zip(one, other, strict=True)) <= 1
    }
    assert pairs_of(found) == expected


def test_tcrdist_finds_more_with_a_larger_cutoff():
    entries = pd.DataFrame({"junction_aa": ["CASSLAPGATNEKLFF"], "v_call": [""]})
    receptors = pd.DataFrame({"junction_aa": ["CASSLAPGATNEKLFF", "CASSLAPGSTNEKLFF", "CASSQETQYF"], "v_call": ""})
    near = look_up(receptors, entries, metric="tcrdist", cutoff=0, same_v_gene=False)
    far = look_up(receptors, entries, metric="tcrdist", cutoff=15, same_v_gene=False)
    assert near["receptor"].tolist() == [0]
    assert far["receptor"].tolist() == [0, 1]


def test_nothing_in_common_is_no_pair():
    one = pd.DataFrame({"junction_aa": ["CASSF"], "v_call": ["TRBV9"]})
    other = pd.DataFrame({"junction_aa": ["CASTF"], "v_call": ["TRBV9"]})
    for entries in (other, other.head(0)):
        assert look_up(one, entries, metric="identity", cutoff=0, same_v_gene=False).empty

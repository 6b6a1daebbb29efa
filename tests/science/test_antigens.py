"""Antigen lookup: what is found by chance, planted clones of known specificity, and agreement with dextramers."""

import numpy as np
import pandas as pd
import pytest
from datasets import shared_data
from science.rows import share

from immune_landscape.antigen_lookup import look_up
from immune_landscape.antigen_snapshots import Snapshot, read_snapshot
from immune_landscape.beta_clones import strip_alleles
from immune_landscape.chance_matches import (
    Background,
    compare_with_chance,
    pooled_expectation,
    scaled_expectation,
)
from immune_landscape.seeds import seed_of
from immune_landscape.simulate_receptors import draw_chains
from immune_landscape.store import sha256_of

VDJDB = ("antigen_db", "vdjdb_human_from_chunks.tsv.gz")
CONGA = ("antigen_db", "conga_new_paired_tcr_db_for_matching_nr.tsv.gz")
LABELS = ["all", "CMV", "EBV", "InfluenzaA"]
RIVALS = pd.Series(range(len(LABELS)))
EXACT = {"metric": "identity", "cutoff": 0, "same_v_gene": False}
POOL, BACKGROUND, CLONOTYPES = 200_000, 60_000, 10_000


def read(parts, kind):
    path = shared_data(*parts)
    entries, _ = read_snapshot(Snapshot(kind, kind, path, sha256_of(path)), min_score=0)
    return entries[entries["locus"] == "TRB"].reset_index(drop=True)


def labels_of(receptors, entries):
    """Return which receptors are alike to an entry of any antigen and of each species."""
    pairs = look_up(receptors, entries, **EXACT)
    species = pairs["entry"].map(entries["species"])
    table = pd.DataFrame(False, index=receptors.index, columns=range(len(LABELS)))
    for label, name in enumerate(LABELS):
        table.loc[pairs["receptor"] if label == 0 else pairs["receptor"][species == name], label] = True
    return table.to_numpy()


@pytest.fixture(scope="module")
def vdjdb():
    return read(VDJDB, "vdjdb")


@pytest.fixture(scope="module")
def pool(vdjdb):
    """Receptors of recombination, which stand for all there are, and what each is alike to."""
    drawn = draw_chains("TRB", POOL, seed_of(0, "antigen pool") % 2**32, v_genes=(), j_genes=(), length=0)
    genes = {name: strip_alleles(drawn[name]) for name in ("v_call", "j_call")}
    receptors = drawn.assign(**genes, length=drawn["junction_aa"].str.len())
    return receptors, labels_of(receptors, vdjdb)


def drawn_background(pool, rng):
    receptors, labels = pool
    chosen = rng.integers(0, POOL, BACKGROUND)
    table = receptors.iloc[chosen].reset_index(drop=True)
    rows, columns = np.nonzero(labels[chosen])
    return Background(table, pd.DataFrame({"receptor": rows, "label": columns}), min_stratum=30)


def compared(chance, observed, rng):
    numbers = chance.reindex(range(len(LABELS)), fill_value=0.0)[["expected", "variance"]].to_numpy(dtype=float)
    return compare_with_chance(observed, numbers[:, 0], numbers[:, 1], CLONOTYPES, draws=1_000, rng=rng)


def compared_with_all(pool, own, matched, rng):
    """Compare a repertoire with each background; the other patients are three repertoires of the pool."""
    _, labels = pool
    observed = matched.sum(axis=0)
    generated = drawn_background(pool, rng).expect(own).reindex(range(len(LABELS)), fill_value=0.0)
    others = labels[rng.integers(0, POOL, 3 * CLONOTYPES)].sum(axis=0)
    return {
        "generated": compared(generated, observed, rng),
        "other_antigens": compared(scaled_expectation(generated, pd.Series(observed), RIVALS, 0), observed, rng),
        "cohort": compared(
            pooled_expectation(CLONOTYPES, 3 * CLONOTYPES, pd.Series(others.astype(float))), observed, rng
        ),
    }


def test_a_random_repertoire_is_at_chance(science, pool):
    """Receptors of recombination are alike to known ones by chance alone: the interval of the ratio holds 1."""
    receptors, labels = pool
    replicates = science.replicates(full=500, quick=40)
    covered = {name: [] for name in ("generated", "other_antigens", "cohort")}
    for replicate in range(replicates):
        rng = np.random.default_rng(seed_of(1, "antigen null", str(replicate)))
        chosen = rng.integers(0, POOL, CLONOTYPES)
        told = compared_with_all(pool, receptors.iloc[chosen], labels[chosen], rng)
        for name, numbers in told.items():
            # A match of any antigen has no other species beside it.
            at = slice(1, None) if name == "other_antigens" else slice(0, 1)
            low, high = numbers["ratio_low"][at], numbers["ratio_high"][at]
            covered[name] += np.where(np.isfinite(low), (low <= 1) & (high >= 1), np.nan).tolist()
    for name, found in covered.items():
        rate, number = share(found)
        low, high = science.limits(0.93, 0.97, number)
        what = f"share of random repertoires whose interval of observed / expected holds 1, against {name}"
        science.row(f"repertoire/antigen_null_{name}", what, rate, low, high, number)


def test_planted_clones_of_records_held_out_are_found(science, pool):
    """CMV or EBV clones of half of the records in a random repertoire are looked up among those of the other half."""
    path = shared_data(*VDJDB)
    table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    table = table[table["cdr3.beta"].str.fullmatch("C[A-Z]{3,}[FW]")]
    beta = pd.DataFrame(
        {
            "junction_aa": table["cdr3.beta"],
            "v_call": table["v.beta"].str.split(r"[*,]").str[0],
            "j_call": table["j.beta"].str.split(r"[*,]").str[0],
            "species": table["antigen.species"],
        }
    ).reset_index(drop=True)
    receptors, _ = pool
    replicates, found = science.replicates(full=40, quick=6), {"CMV": [], "EBV": []}
    for replicate in range(replicates):
        rng = np.random.default_rng(seed_of(2, "antigen planted", str(replicate)))
        held = rng.random(len(beta)) < 0.5
        snapshot = beta[~held].reset_index(drop=True)
        fresh = receptors, labels_of(receptors, snapshot)
        for species in found:
            source = beta[held & (beta["species"] == species)].drop_duplicates("junction_aa")
            planted = source.sample(300, random_state=int(rng.integers(2**31)))
            chosen = rng.integers(0, POOL, CLONOTYPES - len(planted))
            own = pd.concat([receptors.iloc[chosen], planted], ignore_index=True)
            own["length"] = own["junction_aa"].str.len()
            told = compared_with_all(fresh, own, labels_of(own, snapshot), rng)["generated"]
            found[species].append(float(told["ratio_low"][LABELS.index(species)] > 1))
    for species, hits in found.items():
        what = f"share of repertoires with 3 % {species} clones of records held out whose ratio lies above 1"
        science.row(f"repertoire/antigen_planted_{species.lower()}", what, *share(hits)[:1], 0.9, 1.0, len(hits))


def test_dextramer_sorted_receptors_get_their_species(science, vdjdb):
    """The dextramer data of 10x Genomics in CoNGA's table are not in this copy of VDJdb."""
    raw = pd.read_csv(shared_data(*CONGA), sep="\t", dtype=str, keep_default_na=False)
    sorted_by_dextramer = set(raw.loc[raw["dataset"] == "10x_200k", "cdr3b"])
    known = read(CONGA, "conga")
    known = known[known["junction_aa"].isin(sorted_by_dextramer) & (known["species"] != "")]
    receptors = known.drop_duplicates(["junction_aa", "species"]).reset_index(drop=True)
    pairs = look_up(receptors, vdjdb, **EXACT)
    right = pairs["receptor"].map(receptors["species"]) == pairs["entry"].map(vdjdb["species"])
    matched = right.groupby(pairs["receptor"]).any()
    what = "share of matched dextramer-sorted receptors for which VDJdb names the organism of the dextramer"
    science.row("repertoire/antigen_dextramer", what, matched.mean(), 0.8, 1.0, len(matched))

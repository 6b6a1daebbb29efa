"""Look the clonotypes of each sample up among receptors of known antigen, against what chance gives at that depth."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from immune_landscape.antigen_lookup import look_up
from immune_landscape.beta_clones import strip_alleles
from immune_landscape.chance_matches import Background, compare_with_chance, pooled_expectation, scaled_expectation
from immune_landscape.errors import InputError
from immune_landscape.seeds import seed_of
from immune_landscape.simulate_receptors import draw_chains
from immune_landscape.value_tables import VALUE_COLUMNS

LOCUS = "TRB"
UNIT = "share of clonotypes above chance"
_PLACE = ["source", "sample", "patient", "visit", "tissue", "response"]
MATCH_COLUMNS = [
    *_PLACE,
    *("clonotype", "junction_aa", "v_call", "j_call", "count", "share"),
    *("predicted_species", "predicted_epitope", "predicted_antigen", "predicted_mhc"),
    *("snapshot", "score", "entries", "epitopes", "species"),
]
BACKGROUND_COLUMNS = [
    *_PLACE,
    *("background", "level", "predicted_species", "predicted_epitope", "clonotypes", "predicted", "expected"),
    *("expected_low", "expected_high", "ratio", "ratio_low", "ratio_high", "excess", "excess_low", "excess_high"),
    *("background_clonotypes", "measured"),
]
_LABEL = ["level", "predicted_species", "predicted_epitope"]


@dataclass(frozen=True)
class _Sample:
    """Clonotypes of a sample, and how many are predicted for each label."""

    place: Mapping[str, Any]
    clones: pd.DataFrame
    matches: pd.DataFrame
    predicted: pd.Series


def match_antigens(
    clones: Mapping[str, Iterable[tuple[str, pd.DataFrame]]],
    entries: pd.DataFrame,
    design: pd.DataFrame,
    seed: int,
    *,
    metric: str,
    cutoff: int,
    same_v_gene: bool,
    min_score: int,
    min_entries: int,
    min_clonotypes: int,
    generated: int,
    min_stratum: int,
    draws: int,
    compared_species: Sequence[str],
) -> dict[str, pd.DataFrame]:
    """Look up beta chains and compare the number of matches with two backgrounds of as many clonotypes.

    Parameters
    ----------
    clones
        ``bulk_tcr`` or ``tcr`` -> sample and its clonotypes (`beta_clones.BETA_COLUMNS`).
    entries
        Receptors of known antigen (`antigen_snapshots.ENTRY_COLUMNS`).
    design
        One row per sample: sample, patient, visit, tissue, response.
    seed
        Start of the random draws; the generated background is the same for all samples.
    metric, cutoff, same_v_gene
        When a chain counts as alike to a known one, see `antigen_lookup.look_up`.
    min_score
        Confidence score below which an entry is left out; entries without a score stay.
    min_entries
        Different CDR3 that the database needs for a species or an epitope to be counted apart.
    min_clonotypes
        Clonotypes that a sample needs to be compared with chance.
    generated
        Receptors drawn from OLGA's model of V(D)J recombination for the generated background.
    min_stratum
        Generated receptors of the same genes and length that stand for a clonotype; with fewer, coarser strata do.
    draws
        Draws from each background.
    compared_species
        Species whose excess is compared between patients; ``all`` for a match of any antigen.

    Returns
    -------
    dict
        ``matches``: one row per sample, clonotype and predicted epitope (`MATCH_COLUMNS`), with the entries behind it,
        and the number of different epitopes and species that the clonotype is listed for: more than one is ambiguous,
        and nothing is resolved. ``background``: one row per sample, background and level (all, species, epitope):
        clonotypes, of these predicted, and what `chance_matches.compare_with_chance` tells (`BACKGROUND_COLUMNS`).
        ``values``: the excess over ``other_antigens`` (`value_tables.VALUE_COLUMNS`), parent the source.

    Raises
    ------
    InputError
        A sample is not in the design, or no beta chain of known antigen is left.

    Notes
    -----
    A prediction: a beta chain alike to a known one, without its alpha chain and the patient's HLA. Receptors that
    recombination makes often match by chance, hence three backgrounds. ``generated``: receptors of the model of
    recombination with the genes and lengths of the sample. They went through no thymus, and databases hold what many
    people share: real repertoires exceed them for all species alike. ``other_antigens``: the same, scaled to the
    matches of other species in the sample. ``cohort``: the other patients at this visit and tissue.
    """
    known = entries[(entries["locus"] == LOCUS) & ~(entries["score"] < min_score)].reset_index(drop=True)
    if known.empty:
        raise InputError(f"antigens: no {LOCUS} chain of a known antigen is left with min_score {min_score}")
    labels, of_entries = _label_entries(known, min_entries)
    how = {"metric": metric, "cutoff": cutoff, "same_v_gene": same_v_gene}
    facts = design.set_index("sample")
    samples = [
        _match(source, str(sample), table, facts, known, of_entries, how)
        for source, tables in clones.items()
        for sample, table in tables
    ]
    background = _generated_background(known, of_entries, how, generated, min_stratum, seed)
    tables = [
        _compare(sample, samples, background, labels, min_clonotypes, draws, seed)
        for sample in samples
        if len(sample.clones)
    ]
    compared = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=BACKGROUND_COLUMNS)
    found = [sample.matches for sample in samples if len(sample.matches)]
    return {
        "matches": pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=MATCH_COLUMNS),
        "background": compared,
        "values": _values(compared, compared_species),
    }


def _label_entries(known: pd.DataFrame, min_entries: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return what matches are counted for, and which entry counts for what."""
    every = known.assign(predicted_species=known["species"], predicted_epitope=known["epitope"])
    levels = {
        "all": every.assign(predicted_species="", predicted_epitope=""),
        "species": every[every["species"] != ""].assign(predicted_epitope=""),
        "epitope": every[every["epitope"] != ""],
    }
    long = pd.concat([table.assign(level=level, entry=table.index) for level, table in levels.items()])
    sizes = long.groupby(_LABEL, sort=False)["junction_aa"].nunique().rename("sequences").reset_index()
    labels = sizes[(sizes["sequences"] >= min_entries) | (sizes["level"] == "all")].reset_index(drop=True)
    of_entries = long[["entry", *_LABEL]].merge(labels.assign(label=labels.index), on=_LABEL)
    return labels, of_entries[["entry", "label"]]


def _match(
    source: str,
    sample: str,
    table: pd.DataFrame,
    facts: pd.DataFrame,
    known: pd.DataFrame,
    of_entries: pd.DataFrame,
    how: Mapping[str, Any],
) -> _Sample:
    if sample not in facts.index:
        raise InputError(f"clonotypes of a sample that the design lacks: {sample}")
    row = facts.loc[sample]
    place = {"source": source, "sample": sample, **{name: row[name] for name in _PLACE[2:]}}
    clones = table.reset_index(drop=True).assign(length=table["junction_aa"].str.len().to_numpy())
    pairs = look_up(clones, known, **how)
    matches = _matches_table(pairs, clones, known).assign(**place)[MATCH_COLUMNS]
    return _Sample(place, clones, matches, _count_labels(pairs, of_entries))


def _count_labels(pairs: pd.DataFrame, of_entries: pd.DataFrame) -> pd.Series:
    """Count, for each label, the receptors that are alike to one of its entries, each once."""
    found = pairs.merge(of_entries, on="entry")[["receptor", "label"]].drop_duplicates()
    return found["label"].value_counts()


def _matches_table(pairs: pd.DataFrame, clones: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
    named = known.rename(columns={name: f"predicted_{name}" for name in ("species", "epitope", "antigen", "mhc")})
    hits = pairs.join(named.drop(columns=["junction_aa", "v_call", "j_call", "locus"]), on="entry")
    by_receptor = hits.groupby("receptor")
    hits["epitopes"] = by_receptor["predicted_epitope"].transform(lambda found: found[found != ""].nunique())
    hits["species"] = by_receptor["predicted_species"].transform(lambda found: found[found != ""].nunique())
    groups = hits.groupby(["receptor", "predicted_species", "predicted_epitope"], sort=True)
    joined = {name: (name, _listed) for name in ("predicted_antigen", "predicted_mhc", "snapshot")}
    facts = {"score": ("score", "max"), "entries": ("entry", "size")}
    kept = {name: (name, "first") for name in ("epitopes", "species")}
    rows = groups.agg(**joined, **facts, **kept).reset_index().join(clones.drop(columns="length"), on="receptor")
    return rows.assign(share=rows["count"] / max(1, clones["count"].sum())).sort_values(
        ["count", "clonotype", "predicted_species", "predicted_epitope"], ascending=[False, True, True, True]
    )


def _listed(words: pd.Series) -> str:
    return "|".join(sorted({word for word in words if word}))


def _generated_background(
    known: pd.DataFrame, of_entries: pd.DataFrame, how: Mapping[str, Any], generated: int, min_stratum: int, seed: int
) -> Background:
    """Draw receptors from the model of recombination and look them up like those of a sample."""
    number = seed_of(seed, "match_antigens", "generated") % 2**32
    drawn = draw_chains(LOCUS, generated, number, v_genes=(), j_genes=(), length=0)
    genes = {name: strip_alleles(drawn[name]) for name in ("v_call", "j_call")}
    receptors = drawn.assign(**genes, length=drawn["junction_aa"].str.len())
    hits = look_up(receptors, known, **how).merge(of_entries, on="entry")[["receptor", "label"]]
    return Background(receptors, hits, min_stratum=min_stratum)


def _compare(
    sample: _Sample,
    samples: Sequence[_Sample],
    background: Background,
    labels: pd.DataFrame,
    min_clonotypes: int,
    draws: int,
    seed: int,
) -> pd.DataFrame:
    """Compare one sample with both backgrounds; one with few clonotypes keeps its counts and is not compared."""
    clonotypes = len(sample.clones)
    predicted = sample.predicted.reindex(labels.index, fill_value=0)
    others, matched = _others(sample, samples)
    generated = background.expect(sample.clones).reindex(labels.index, fill_value=0.0)
    every = int(labels.index[labels["level"] == "all"][0])
    expectations = {
        "generated": (generated, background.size),
        "other_antigens": (scaled_expectation(generated, predicted, _rivals(labels), every), background.size),
        "cohort": (pooled_expectation(clonotypes, others, matched), others),
    }
    tables = []
    for name, (expectation, size) in expectations.items():
        rng = np.random.default_rng(seed_of(seed, "match_antigens", name, *map(str, sample.place.values())))
        chance = expectation.reindex(labels.index, fill_value=0.0)
        expected, variance = (chance[column].to_numpy(dtype=float) for column in ("expected", "variance"))
        observed = predicted.to_numpy(dtype=float)
        told = compare_with_chance(observed, expected, variance, clonotypes, draws=draws, rng=rng)
        measured = clonotypes >= min_clonotypes and size >= min_clonotypes
        blank = {} if measured else dict.fromkeys([*told, "expected"], np.nan)
        table = labels[_LABEL].assign(predicted=predicted, expected=expected, **told)
        table = table.assign(background=name, clonotypes=clonotypes, background_clonotypes=size, measured=measured)
        tables.append(table.assign(**sample.place, **blank)[BACKGROUND_COLUMNS])
    return pd.concat(tables, ignore_index=True)


def _rivals(labels: pd.DataFrame) -> pd.Series:
    """Return label -> label of its species; an epitope of no known species stands for itself."""
    species = labels[labels["level"] == "species"]
    found = labels["predicted_species"].map(pd.Series(species.index, index=species["predicted_species"]))
    return found.where(found.notna(), pd.Series(labels.index, index=labels.index)).astype(int)


def _others(sample: _Sample, samples: Sequence[_Sample]) -> tuple[int, pd.Series]:
    """Pool the clonotypes of the other patients that are alike in source, visit and tissue."""
    same = ("source", "visit", "tissue")
    pool = [
        each
        for each in samples
        if all(each.place[name] == sample.place[name] for name in same)
        and each.place["patient"] != sample.place["patient"]
    ]
    matched = [each.predicted for each in pool]
    summed = pd.concat(matched).groupby(level=0).sum() if matched else pd.Series(dtype=float)
    return sum(len(each.clones) for each in pool), summed.astype(float)


def _values(background: pd.DataFrame, species: Sequence[str]) -> pd.DataFrame:
    """Pick what is compared between patients, against backgrounds that no other patient's sample changes."""
    wanted = background["level"].map({"all": "generated", "species": "other_antigens"})
    rows = background[background["background"] == wanted]
    name = rows["predicted_species"].where(rows["level"] == "species", "all")
    numbers = {"value": rows["excess"], "low": rows["excess_low"], "high": rows["excess_high"]}
    table = rows.assign(parent=rows["source"], feature="predicted_" + name, unit=UNIT, **numbers)
    tables = [table[name == each] for each in species]
    return (pd.concat(tables, ignore_index=True) if tables else table.head(0))[VALUE_COLUMNS]

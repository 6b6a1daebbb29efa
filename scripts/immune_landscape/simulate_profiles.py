"""Expression profiles of the simulated cell types, read from tables and programmes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, fields, replace
from pathlib import Path
from statistics import NormalDist
from typing import Any
from zlib import crc32

import numpy as np
import pandas as pd
import yaml

from immune_landscape.errors import Problem, ProblemsError

BIOLOGY_FILES = (
    "simulation_genes.tsv",
    "simulation_programmes.yaml",
    "markers.yaml",
    "simulation_further_types.yaml",
)
"""Resources that `read_biology` reads, in its order."""

COUNTS_PER_CELL = 10_000
SILENT_ROLES = ("sex", "tcr_variable", "ig_variable", "haemoglobin")


@dataclass(frozen=True)
class Sample:
    """What the simulator reads of one row of the design; every field is a column."""

    sample: str
    patient: str
    visit: str
    batch: str
    response: str
    sex: str
    donor_sex: str
    product_origin: str
    tissue: str
    arm: str


@dataclass(frozen=True)
class Treatment:
    """When, and in whom, planted effects act.

    Attributes
    ----------
    visits
        Visits under treatment.
    arms
        Arms that get the treatment studied; empty means all.
    """

    visits: list[str]
    arms: list[str]

    def concerns(self, sample: Sample) -> bool:
        """Return whether a sample is of a patient whose arm gets the treatment studied."""
        return not self.arms or sample.arm in self.arms

    def is_later(self, sample: Sample) -> bool:
        """Return whether a sample was taken under treatment, whichever it was."""
        return sample.visit in self.visits

    def is_given(self, sample: Sample) -> bool:
        """Return whether a sample was taken under the treatment studied."""
        return self.is_later(sample) and self.concerns(sample)

    def works(self, sample: Sample) -> bool:
        """Return whether a responder gave a sample under the treatment studied."""
        return sample.response == "responder" and self.is_given(sample)


SAMPLE_COLUMNS = tuple(field.name for field in fields(Sample))


def list_samples(design: pd.DataFrame) -> list[Sample]:
    """Return the rows of the design, in its order."""
    return [Sample(*map(str, row)) for row in design[list(SAMPLE_COLUMNS)].itertuples(index=False)]


@dataclass(frozen=True)
class Biology:
    """What the simulator knows of blood, before any cohort.

    Attributes
    ----------
    genes
        One row per gene: symbol, role, rank.
    types
        One row per cell type (index: slug): lineage, parent (nk, t or other), abundance (relative),
        size (library size relative to the median), clones (number, 0 without an alpha-beta receptor),
        exponent (Zipf), expands (clones may grow in responders), invariant (receptors follow the MAIT rule).
    levels
        Expected counts per 10,000, types x genes.
    sex_levels
        Expected counts per 10,000 of the sex genes, by ``female`` and ``male``; other genes 0.
    sets
        Gene sets, named ``<group>.<set>``.
    variation
        For ``lineage`` and ``type``: how many genes differ, and their log SD.
    receptor
        Expected counts per 10,000 of each rearranged V gene.
    continuum
        Beta parameters of the share that another type of the same parent has in an NK or T cell.
    states
        Gene set to the log SD of its level between cells of a type.
    """

    genes: pd.DataFrame
    types: pd.DataFrame
    levels: np.ndarray
    sex_levels: dict[str, np.ndarray]
    sets: dict[str, list[str]]
    variation: dict[str, dict[str, float]]
    receptor: float
    continuum: tuple[float, float]
    states: dict[str, float]

    def without(self, names: list[str]) -> Biology:
        """Return the same biology without some cell types; genes stay silent where only those types express them."""
        kept = ~self.types.index.isin(names)
        return replace(self, types=self.types[kept], levels=self.levels[kept])

    def columns_of(self, symbols: list[str]) -> np.ndarray:
        """Return the column numbers of those symbols that the gene table holds."""
        return np.flatnonzero(self.genes["symbol"].isin(symbols).to_numpy())


def stream(seed: int, *names: str) -> np.random.Generator:
    """Return the random stream of one named part, so that adding a sample leaves the others as they were.

    Parameters
    ----------
    seed
        Seed of the whole simulation.
    names
        What the stream is for, such as a step and a sample id.
    """
    return np.random.default_rng([seed, *(crc32(name.encode()) for name in names)])


def read_biology(
    genes: Path, programmes: Path, markers: Path, further: Path, *, wanted: Collection[str] = ()
) -> Biology:
    """Read the gene table, the programmes and the marker sets they name.

    Parameters
    ----------
    genes
        ``simulation_genes.tsv``: symbol, role, rank.
    programmes
        ``simulation_programmes.yaml``: levels by lineage and type.
    markers
        ``markers.yaml``: groups of gene sets.
    further
        ``simulation_further_types.yaml``: types that are not in every cohort; genes of their sets that `genes` lacks
        are added.
    wanted
        Names of further types that this cohort has; others are passed over.

    Raises
    ------
    ProblemsError
        A programme names a gene, a set or a lineage that is not there; all are listed.
    """
    table = pd.read_csv(genes, sep="\t", comment="#", dtype={"symbol": str, "role": str, "rank": int})
    plan, more = (yaml.safe_load(Path(file).read_text(encoding="utf-8")) for file in (programmes, further))
    sets = _read_sets(markers)
    _check_programmes(plan, set(table["symbol"]), sets, str(programmes))
    plan = _add_types(plan, more, wanted)
    table = _append_genes(table, _named_genes(plan, sets) & {symbol for genes in sets.values() for symbol in genes})
    _check_programmes(plan, set(table["symbol"]), sets, str(further))
    column = {symbol: i for i, symbol in enumerate(table["symbol"])}
    return Biology(
        genes=table,
        types=_list_types(plan),
        levels=_build_levels(plan, table, column, sets),
        sex_levels={sex: _spread(levels, column) for sex, levels in plan["sex"].items()},
        sets=sets,
        variation=plan["variation"],
        receptor=float(plan["receptor"]),
        continuum=(float(plan["continuum"]["a"]), float(plan["continuum"]["b"])),
        states=plan["states"],
    )


def _add_types(plan: dict[str, Any], further: dict[str, Any], wanted: Collection[str]) -> dict[str, Any]:
    """Add the further types that are wanted, with their lineages."""
    types = {name: entry for name, entry in further["types"].items() if name in wanted}
    used = {entry["lineage"] for entry in types.values()}
    lineages = {name: entry for name, entry in further["lineages"].items() if name in used}
    return {**plan, "lineages": plan["lineages"] | lineages, "types": plan["types"] | types}


def _append_genes(table: pd.DataFrame, named: set[str]) -> pd.DataFrame:
    """Add the genes that the table lacks, as its rarest."""
    added = sorted(named - set(table["symbol"]))
    ranks = np.arange(len(added)) + table["rank"].max() + 1
    rows = pd.DataFrame({"symbol": added, "role": "marker", "rank": ranks})
    return pd.concat([table, rows], ignore_index=True) if added else table


def _read_sets(markers: Path) -> dict[str, list[str]]:
    groups = yaml.safe_load(Path(markers).read_text(encoding="utf-8"))
    return {f"{group}.{name}": entry["genes"] for group, sets in groups.items() for name, entry in sets.items()}


def _check_programmes(plan: dict[str, Any], symbols: set[str], sets: dict[str, list[str]], file: str) -> None:
    problems = []
    for section in ("lineages", "types"):
        for name, entry in plan[section].items():
            unknown = sorted(set(entry["genes"]) - symbols) + sorted(set(entry["sets"]) - set(sets))
            if section == "types" and entry["lineage"] not in plan["lineages"]:
                unknown.append(entry["lineage"])
            place = f"{section}.{name}"
            problems += [
                Problem(file, 0, place, f"{item!r} is not a known gene, set or lineage", "unknown_name")
                for item in unknown
            ]
    if problems:
        raise ProblemsError(problems)


def _list_types(plan: dict[str, Any]) -> pd.DataFrame:
    rows = []
    for name, entry in plan["types"].items():
        clones = entry.get("clones", {"number": 0, "exponent": 0.0})
        rows.append(
            {
                "type": name,
                "lineage": entry["lineage"],
                "parent": entry["parent"],
                "abundance": float(entry["abundance"]),
                "size": float(plan["lineages"][entry["lineage"]]["size"]),
                "clones": int(clones["number"]),
                "exponent": float(clones["exponent"]),
                "expands": bool(clones.get("expands", False)),
                "invariant": bool(entry.get("invariant", False)),
            }
        )
    return pd.DataFrame(rows).set_index("type")


def _build_levels(
    plan: dict[str, Any], table: pd.DataFrame, column: dict[str, int], sets: dict[str, list[str]]
) -> np.ndarray:
    resting = _resting_levels(plan, table, column, sets)
    rows = []
    for entry in plan["types"].values():
        levels = resting.copy()
        for programme in (plan["lineages"][entry["lineage"]], entry):
            _raise_to(levels, programme, column, sets)
        rows.append(levels)
    return np.array(rows)


def _raise_to(
    levels: np.ndarray, programme: dict[str, Any], column: dict[str, int], sets: dict[str, list[str]]
) -> None:
    for name, level in programme["sets"].items():
        for symbol in sets[name]:
            if symbol in column:
                levels[column[symbol]] = max(levels[column[symbol]], level)
    for symbol, level in programme["genes"].items():
        levels[column[symbol]] = level


def _resting_levels(
    plan: dict[str, Any], table: pd.DataFrame, column: dict[str, int], sets: dict[str, list[str]]
) -> np.ndarray:
    """Return the levels of a cell that runs no programme: abundance by rank, markers silent."""
    quantile = NormalDist().inv_cdf
    size = len(table)
    levels = np.exp([plan["rank_spread"] * quantile(1 - (rank - 0.5) / size) for rank in table["rank"]])
    role = table["role"].to_numpy()
    levels[np.isin(role, SILENT_ROLES)] = 0.0
    mitochondrial = role == "mitochondrial"
    levels[mitochondrial] *= plan["mitochondrial"] / levels[mitochondrial].sum()
    rest = ~mitochondrial
    levels[rest] *= (COUNTS_PER_CELL - plan["mitochondrial"]) / levels[rest].sum()
    named = sorted(_named_genes(plan, sets) & set(column))
    levels[[column[symbol] for symbol in named]] = plan["floor"]
    return levels


def _named_genes(plan: dict[str, Any], sets: dict[str, list[str]]) -> set[str]:
    programmes = [*plan["lineages"].values(), *plan["types"].values()]
    named = {symbol for entry in programmes for symbol in entry["genes"]}
    return named.union(*(sets[name] for entry in programmes for name in entry["sets"]))


def _spread(levels: dict[str, float], column: dict[str, int]) -> np.ndarray:
    row = np.zeros(len(column))
    for symbol, level in levels.items():
        row[column[symbol]] = level
    return row


def vary_levels(biology: Biology, seed: int) -> np.ndarray:
    """Let lineages and types differ in many more genes than their markers.

    Parameters
    ----------
    biology
        Programmes.
    seed
        Seed of the simulation.

    Returns
    -------
    numpy.ndarray
        Expected counts per 10,000, types x genes.
    """
    unnamed = np.flatnonzero((biology.levels == biology.levels[0]).all(axis=0) & (biology.levels[0] > 0))
    factors = np.zeros_like(biology.levels)
    for key, name in (("lineage", "lineage"), ("type", None)):
        groups = biology.types[name] if name else biology.types.index.to_series()
        for group in groups.unique():
            rng = stream(seed, "variation", key, group)
            chosen = rng.choice(unnamed, int(biology.variation[key]["genes"]), replace=False)
            shift = rng.normal(0, biology.variation[key]["sd"], len(chosen))
            factors[np.ix_((groups == group).to_numpy(), chosen)] += shift
    return biology.levels * np.exp(factors)

"""Simulate a cohort's raw data files from its sheets, with planted and recorded truth."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from immune_landscape.cell_types import RESOURCES
from immune_landscape.device import allowed_threads
from immune_landscape.errors import DesignError, InputError
from immune_landscape.processes import map_forked
from immune_landscape.simulate_cells import Droplets, draw_droplets, draw_proportions
from immune_landscape.simulate_contigs import list_contigs, list_rearrangements, list_v_genes
from immune_landscape.simulate_counts import draw_counts
from immune_landscape.simulate_profiles import (
    BIOLOGY_FILES,
    SAMPLE_COLUMNS,
    Biology,
    Treatment,
    list_samples,
    read_biology,
)
from immune_landscape.simulate_receptors import Repertoire, draw_repertoire
from immune_landscape.store import whole

TRUTH_CELLS = "truth_cells.tsv.gz"
LAYERS = ("gex", "tcr", "bulk_tcr")
"""Columns of the design that name files."""

STEPS = {
    "proportions": ("abundances", "effects", "arm_effects", "visit_effects", "patient_sd", "change_sd"),
    "droplets": (
        *("cells_per_sample", "median_umis", "doublet_rate"),
        *("damaged_fraction", "empty_fraction", "donor_nk_fraction"),
    ),
    "repertoire": ("expanding_clones", "expansion_fold", "bulk_templates"),
    "counts": ("effects", "expression_effects", "ambient_fraction", "batch_sd"),
}
"""Step of the simulation -> the settings that it takes."""


@dataclass(frozen=True)
class SimulatedCohort:
    """Simulated data of a cohort.

    Attributes
    ----------
    genes
        Gene symbols, columns of every count matrix.
    counts
        Sample to raw counts, barcodes x genes.
    contigs
        Sample to Cell Ranger contig table.
    bulk
        Sample to AIRR rearrangement table.
    cells
        One row per barcode: sample, barcode, type, partner (type of a doublet's second cell), origin, clone,
        partner_clone, doublet, damaged, empty.
    truth
        Seed, settings, planted effects and planted clones.
    """

    genes: list[str]
    counts: dict[str, csr_matrix]
    contigs: dict[str, pd.DataFrame]
    bulk: dict[str, pd.DataFrame]
    cells: pd.DataFrame
    truth: dict[str, Any]

    @property
    def barcodes(self) -> dict[str, list[str]]:
        """Barcodes of each sample, rows of its counts."""
        groups = self.cells.groupby("sample", sort=False)["barcode"]
        return {str(name): barcodes.to_list() for name, barcodes in groups}


def simulate_cohort(
    design: pd.DataFrame,
    seed: int,
    *,
    cells_per_sample: int,
    median_umis: float,
    doublet_rate: float,
    damaged_fraction: float,
    empty_fraction: float,
    ambient_fraction: float,
    donor_nk_fraction: float,
    batch_sd: float,
    patient_sd: float,
    change_sd: float,
    absent_types: list[str],
    abundances: dict[str, dict[str, float]],
    treated_visits: list[str],
    treated_arms: list[str],
    effects: dict[str, float],
    arm_effects: dict[str, float],
    visit_effects: dict[str, float],
    expression_effects: dict[str, float],
    expanding_clones: int,
    expansion_fold: float,
    bulk_templates: int,
) -> SimulatedCohort:
    """Simulate the data of a cohort from its sheets.

    Parameters
    ----------
    design
        One row per sample: sample, patient, visit, tissue, batch, arm, response, sex, donor_sex, product_origin. Where
        it has columns of files (gex, tcr, bulk_tcr), samples without any are left out, and bulk repertoires are drawn
        for those with a file alone.
    seed
        Seed; one seed gives one cohort.
    cells_per_sample
        Expected barcodes with cells per sample.
    median_umis
        Median UMIs of a typical cell.
    doublet_rate, damaged_fraction, empty_fraction
        Share of barcodes with two cells, with a dying cell, with ambient RNA only.
    ambient_fraction
        Mean share of ambient RNA in a droplet.
    donor_nk_fraction
        Share of NK cells at treated visits that descend from the infused product.
    batch_sd, patient_sd, change_sd
        SD of a gene's log change between batches; of a type's log abundance between patients, and within a patient.
    absent_types
        Cell types that nobody has, to see that what is not there is not found.
    abundances
        Tissue to the relative abundance of cell types there; a type not named is as common as in blood.
    treated_visits
        Visits under treatment, at which effects act.
    treated_arms
        Arms that get the treatment studied; empty means all.
    effects
        Log fold of a cell type in responders under the treatment studied.
    arm_effects
        Log fold of a cell type in everybody under the treatment studied.
    visit_effects
        Log fold of a cell type in everybody under treatment.
    expression_effects
        Log fold of a gene set in responders under treatment, in the types of ``effects``.
    expanding_clones, expansion_fold
        Clones that grow in each responder, and by how much.
    bulk_templates
        Median templates of a bulk TRB sample.

    Returns
    -------
    SimulatedCohort
        Data of the samples and the truth behind them.

    Raises
    ------
    DesignError
        The design lacks a column, or a setting names an unknown type or gene set, or an effect an absent type.

    Notes
    -----
    Cell types, genes and programmes come from ``simulation_genes.tsv``, ``simulation_programmes.yaml`` and
    ``markers.yaml`` of the workflow's resources.

    Log abundances are normal around the type's mean, so that proportions are logistic-normal; counts are
    negative binomial. On the centred log-ratio scale an effect is its log fold less the mean over all types.
    """
    settings = {key: value for key, value in locals().items() if key not in ("design", "seed")}
    biology = _find_biology(design, settings)
    treatment = Treatment(treated_visits, treated_arms)
    how = {step: {name: settings[name] for name in names} for step, names in STEPS.items()}
    planted = _planted_differences(design, treatment, effects, arm_effects)
    design = _with_files(design, LAYERS)
    proportions = draw_proportions(design, biology, seed, treatment=treatment, **how["proportions"])
    droplets = draw_droplets(design, proportions, biology, seed, treatment=treatment, **how["droplets"])
    sequenced = set(_with_files(design, ("bulk_tcr",))["sample"].astype(str))
    repertoire = draw_repertoire(
        design, droplets, proportions, sequenced, biology, seed, treatment=treatment, **how["repertoire"]
    )
    v_genes = list_v_genes(repertoire, droplets, biology, seed)
    counts = draw_counts(design, droplets, v_genes, biology, seed, treatment=treatment, **how["counts"])
    cells = _label_cells(droplets, repertoire)
    return SimulatedCohort(
        genes=biology.genes["symbol"].to_list(),
        counts=counts,
        contigs={name: list_contigs(name, droplets, repertoire, seed) for name in counts},
        bulk={name: list_rearrangements(name, repertoire, seed) for name in repertoire.bulk},
        cells=cells,
        truth=_tell_truth(biology, seed, settings, cells, repertoire) | {"planted": planted},
    )


def _with_files(design: pd.DataFrame, layers: tuple[str, ...]) -> pd.DataFrame:
    """Return the samples that name a file of one of the layers; all where the design tells of no files."""
    held = [design[layer].fillna("").astype(str) != "" for layer in layers if layer in design]
    return design[np.logical_or.reduce(held)] if held else design


def _find_biology(design: pd.DataFrame, settings: dict[str, Any]) -> Biology:
    """Read the cell types of a cohort, and refuse settings that name what is not there."""
    wanted = {name for types in settings["abundances"].values() for name in types}
    biology = read_biology(*(RESOURCES / name for name in BIOLOGY_FILES), wanted=wanted)
    _check_request(design, biology, [*settings["absent_types"], *wanted], [])
    biology = biology.without(settings["absent_types"])
    folds = {name for kind in ("effects", "arm_effects", "visit_effects") for name in settings[kind]}
    _check_request(design, biology, sorted(folds), list(settings["expression_effects"]))
    _check_visits(design, settings["treated_visits"], bool(folds or settings["expression_effects"]))
    return biology


def _check_request(design: pd.DataFrame, biology: Biology, types: list[str], sets: list[str]) -> None:
    missing = [name for name in SAMPLE_COLUMNS if name not in design.columns]
    if missing:
        raise DesignError(f"simulate_cohort: the design lacks the columns {', '.join(missing)}")
    known = list(biology.types.index)
    unknown = sorted(set(types) - set(known))
    if unknown:
        names, allowed = ", ".join(unknown), ", ".join(known)
        raise DesignError(f"simulate_cohort: no cell type named {names}; known are {allowed}")
    unknown = sorted(set(sets) - set(biology.sets))
    if unknown:
        raise DesignError(f"simulate_cohort: no gene set named {', '.join(unknown)} in markers.yaml")


def _check_visits(design: pd.DataFrame, treated_visits: list[str], has_effects: bool) -> None:
    """Refuse effects that could act at no visit: the truth would tell of what was never planted."""
    known = list(dict.fromkeys(design["visit"].astype(str)))
    if has_effects and not set(treated_visits) & set(known):
        found = ", ".join(treated_visits) or "empty"
        raise DesignError(
            f"simulate_cohort: treated_visits is {found}, so effects act at no visit; visits are {', '.join(known)}"
        )


def _label_cells(droplets: Droplets, repertoire: Repertoire) -> pd.DataFrame:
    contents = droplets.contents.assign(clone=repertoire.clone)[["droplet", "type", "origin", "clone"]]
    second = contents["droplet"].duplicated()
    first = contents[~second].set_index("droplet")
    partner = contents[second].set_index("droplet")[["type", "clone"]]
    partner.columns = ["partner", "partner_clone"]
    labels = droplets.droplets.join(first).join(partner)
    texts = ["type", "partner", "origin", "clone", "partner_clone"]
    labels[texts] = labels[texts].fillna("")
    return labels[["sample", "barcode", *texts, "doublet", "damaged", "empty"]]


def _tell_truth(
    biology: Biology, seed: int, settings: dict[str, Any], cells: pd.DataFrame, repertoire: Repertoire
) -> dict[str, Any]:
    expanded = repertoire.clones[repertoire.clones["fold"] > 1].reset_index()
    beta = repertoire.chains[repertoire.chains["locus"] == "TRB"]
    expanded = expanded.merge(beta.drop(columns=["locus", "slot"]), on="clone", how="left")
    return {
        "simulated": True,
        "seed": seed,
        "settings": settings,
        "types": {name: str(parent) for name, parent in biology.types["parent"].items()},
        "effects": settings["effects"],
        "expected_effects": _expected_effects(biology, settings["effects"]),
        "barcodes": {
            "total": len(cells),
            **{flag: int(cells[flag].sum()) for flag in ("doublet", "damaged", "empty")},
            "donor": int((cells["origin"] == "donor").sum()),
        },
        "expanding_clones": expanded.to_dict(orient="records"),
    }


def _planted_differences(
    design: pd.DataFrame, treatment: Treatment, effects: dict[str, float], arm_effects: dict[str, float]
) -> dict[str, dict[str, float]]:
    """Return by estimand what a comparison of groups finds on average: mean log folds of its patients, subtracted."""
    later = {sample.patient: sample for sample in list_samples(design) if treatment.is_later(sample)}
    folds = pd.DataFrame({"works": effects, "given": arm_effects}).fillna(0.0)
    table = pd.DataFrame(
        {
            name: folds["works"] * treatment.works(s) + folds["given"] * treatment.is_given(s)
            for name, s in later.items()
        }
    )
    groups = {
        "response_by_visit": {name: sample.response == "responder" for name, sample in later.items() if sample.response}
    }
    if treatment.arms:
        groups["arm_by_visit"] = {name: treatment.concerns(sample) for name, sample in later.items()}
    found = {}
    for estimand, belongs in groups.items():
        first, second = ([name for name, held in belongs.items() if held is wanted] for wanted in (True, False))
        difference = table[first].mean(axis=1) - table[second].mean(axis=1)
        found[estimand] = {str(name): round(fold, 6) for name, fold in difference[difference.abs() > 0].items()}
    return {estimand: folds for estimand, folds in found.items() if folds}


def _expected_effects(biology: Biology, effects: dict[str, float]) -> list[dict[str, Any]]:
    """Return the planted response-by-visit effect of every type, as a log fold and in CLR units by parent."""
    planted = pd.Series({name: effects.get(name, 0.0) for name in biology.types.index})
    parents = {"all": planted.index, "nk": planted.index[biology.types["parent"] == "nk"]}
    parents["t"] = planted.index[biology.types["parent"] == "t"]
    return [
        {
            "parent": parent,
            "subset": name,
            "log_fold": float(planted[name]),
            "clr": round(float(planted[name] - planted[members].mean()), 6),
        }
        for parent, members in parents.items()
        for name in members
    ]


def write_cohort(simulated: SimulatedCohort, design: pd.DataFrame, folder: str | Path) -> list[Path]:
    """Write the simulated files where the sheets say, and the truth beside them.

    Parameters
    ----------
    simulated
        Result of :func:`simulate_cohort`.
    design
        One row per sample: sample, gex, tcr, bulk_tcr (paths as ``read_cohort`` resolves them; empty = none).
    folder
        Data root of the simulated cohort; also receives ``truth.json`` and ``truth_cells.tsv.gz``.

    Returns
    -------
    list of pathlib.Path
        Files written.

    Raises
    ------
    InputError
        A path of the sheets leads out of ``folder``.

    Notes
    -----
    The same cohort gives the same bytes: compressed tables carry no time stamp.
    """
    folder = Path(folder)
    targets = [
        (layer, str(sample), _place(folder, str(path)))
        for layer in LAYERS
        for sample, path in zip(design["sample"], design[layer], strict=True)
        if path
    ]
    barcodes = simulated.barcodes

    def write(target: tuple[str, str, Path]) -> None:
        """Write one file of a sample."""
        layer, sample, path = target
        path.parent.mkdir(parents=True, exist_ok=True)
        if layer == "gex":
            write_10x_h5(path, simulated.counts[sample], barcodes[sample], simulated.genes)
        elif layer == "tcr":
            _write_table(path, simulated.contigs[sample], ",")
        else:
            _write_table(path, simulated.bulk[sample], "\t")

    map_forked(write, targets, allowed_threads())
    folder.mkdir(parents=True, exist_ok=True)
    _write_table(folder / TRUTH_CELLS, simulated.cells, "\t")
    truth = folder / "truth.json"
    with whole(truth) as part:  # last, so that its presence means that all files are there
        part.write_text(json.dumps(simulated.truth, indent=1) + "\n", encoding="utf-8")
    return [*(path for _, _, path in targets), folder / TRUTH_CELLS, truth]


def _place(folder: Path, path: str) -> Path:
    target = Path(path).resolve()
    if not target.is_relative_to(folder.resolve()):
        raise InputError(f"samples.tsv: {path!r} leads out of {str(folder)!r}, the folder of simulated data")
    return target


def _write_table(path: Path, table: pd.DataFrame, separator: str) -> None:
    text = table.to_csv(sep=separator, index=False, lineterminator="\n")
    # A file name or a time in the header would make equal tables differ in bytes.
    with path.open("wb") as raw, gzip.GzipFile("", "wb", 6, raw, mtime=0) as packed:
        packed.write(text.encode("utf-8"))


def write_10x_h5(path: Path, counts: csr_matrix, barcodes: list[str], genes: list[str]) -> None:
    """Write counts in the layout of Cell Ranger 3 and later.

    Parameters
    ----------
    path
        File to write.
    counts
        Barcodes x genes; stored genes x barcodes by column, which is the same arrays.
    barcodes
        Row names.
    genes
        Column names, used as ids and names.
    """
    import h5py

    with h5py.File(path, "w") as file:
        file.attrs["filetype"] = "matrix"
        group = file.create_group("matrix")
        arrays = {
            "data": counts.data.astype(np.int32),
            "indices": counts.indices.astype(np.int64),
            "indptr": counts.indptr.astype(np.int64),
            "barcodes": np.array(barcodes, dtype="S"),
        }
        for name, values in arrays.items():
            group.create_dataset(name, data=values, compression="gzip")
        group.create_dataset("shape", data=np.array(counts.shape[::-1], dtype=np.int32))
        features = group.create_group("features")
        for name, texts in {
            "id": genes,
            "name": genes,
            "feature_type": ["Gene Expression"] * len(genes),
            "genome": ["GRCh38"] * len(genes),
            "_all_tag_keys": ["genome"],
        }.items():
            features.create_dataset(name, data=np.array(texts, dtype="S"), compression="gzip")

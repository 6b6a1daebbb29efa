"""Receptors of real cohorts as the workflow reads them, and clonotypes as scirpy defines them."""

import csv
from functools import cache
from pathlib import Path

import awkward as ak
import numpy as np
import pandas as pd
from datasets import shared_data

from immune_landscape.input_files import BARCODE_PATTERN
from immune_landscape.load_receptors import load_receptors
from immune_landscape.schemas import fill_defaults, load_schema

COHORTS = Path(__file__).parent / "cohorts"
FOLDERS = {"pbmc5p": "pbmc_10x_5p_gex_tcr", "zhao2021": "screpertoire_zhao2021", "wu2020": None}
"""Cohort -> folder of its data; none inside the scirpy wheel."""

INPUTS = {"gex_sample_column": "", "barcode_pattern": BARCODE_PATTERN, "min_tcr_overlap": 0.0}


def settings_of(section):
    return fill_defaults(load_schema(f"settings/{section}"), {})


@cache
def receptors_of(cohort):
    """Read the receptors of a real cohort without its gene expression."""
    import scirpy

    folder = FOLDERS[cohort]
    root = shared_data(folder) if folder else Path(scirpy.__file__).parent / "tests" / "data"
    with (COHORTS / cohort / "samples.tsv").open(encoding="utf-8") as sheet:
        rows = pd.DataFrame(list(csv.DictReader(sheet, delimiter="\t")))
    rows["tcr"] = [str(root / name) if name else "" for name in rows["tcr"]]
    labels = rows["gex_label"] if "gex_label" in rows else rows["sample"]
    inputs = INPUTS | ({"gex_sample_column": "sample"} if cohort == "wu2020" else {})
    receptors, _ = load_receptors(
        rows.assign(gex_label=labels), None, {"inputs": inputs}, **settings_of("load_receptors")
    )
    return receptors


def define_with_scirpy(receptors, usable, **definition):
    """Return the clonotype of each usable cell under a definition, with scirpy alone."""
    import scirpy

    work = receptors[usable].copy()
    airr = work.obsm["airr"]
    for field in ("v_call", "j_call"):
        genes = [_without_alleles(call) for call in ak.to_list(ak.flatten(airr[field]))]
        airr = ak.with_field(airr, ak.unflatten(ak.Array(genes), ak.num(airr[field])), field)
    work.obsm["airr"] = airr
    scirpy.pp.index_chains(work)
    scirpy.tl.chain_qc(work)
    scirpy.pp.ir_dist(work, metric="identity", sequence=definition["sequence"])
    within = ["patient", "receptor_subtype"]
    found, _, _ = scirpy.tl.define_clonotype_clusters(
        work, metric="identity", within_group=within, inplace=False, **definition
    )
    return found


def _without_alleles(call):
    return ",".join(sorted({part.split("*")[0].strip() for part in call.split(",")})) if call else call


def same_partition(first, second):
    """Tell whether two labellings put the same cells together."""
    pairs = set(zip(np.asarray(first), np.asarray(second), strict=True))
    return len(pairs) == len(set(first)) == len(set(second))

"""Cells with published or planted labels, and how far names given to them agree with these."""

from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import anndata
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
import scipy.sparse as sp
import yaml
from annotated import mapped
from datasets import shared_data
from science.demo_cells import simulate_demo
from sklearn.metrics import f1_score

from immune_landscape.annotate_lineages import annotate_lineages
from immune_landscape.annotate_subsets import annotate_subsets
from immune_landscape.cell_types import RESOURCES, read_cell_types

SCHEMAS = RESOURCES.parent / "schemas" / "settings"
RESOLUTION = {"nk": 1.0, "t": 1.5}
MYELOID = ("mono_classical", "mono_nonclassical", "cdc1", "cdc2", "pdc", "asdc", "neutrophil", "macrophage")
BROAD = {"t": "T", "nk": "NK", "b": "B", "plasma": "B", "hspc": "HSPC", **dict.fromkeys(MYELOID, "myeloid")}
MINOR = {"CD4.T.Cell": "CD4", "CD8.T.Cell": "CD8", "NK.Cell": "NK"}
PBMC5P = MINOR | {"B.Cell": "B", "Monocyte": "myeloid", "DC": "myeloid", "Macrophage": "myeloid"}
KANG = {
    "CD4 T cells": "CD4",
    "CD8 T cells": "CD8",
    "B cells": "B",
    "CD14+ Monocytes": "mono_classical",
    "FCGR3A+ Monocytes": "mono_nonclassical",
}
PBMC68K = {
    "CD14+ Monocyte": "myeloid",
    "Dendritic": "myeloid",
    "CD19+ B": "B",
    "CD34+": "HSPC",
    "CD56+ NK": "NK",
    "CD4+/CD25 T Reg": "T",
    "CD4+/CD45RA+/CD25- Naive T": "T",
    "CD4+/CD45RO+ Memory": "T",
    "CD8+ Cytotoxic T": "T",
    "CD8+/CD45RA+ Naive Cytotoxic": "T",
}


class Labelled(NamedTuple):
    """Cells whose type is known.

    Attributes
    ----------
    counts
        Cells x genes, raw counts, with ``obs['sample']``.
    truth
        Class of each cell.
    classes
        Names of the annotation (lineages and subsets) -> class, for the classes that names are scored on.
    tissues
        As cohort.yaml says.
    branches
        Branches that are named in the end.
    cluster
        Cluster of each cell within its branch; None to find them.
    """

    counts: anndata.AnnData
    truth: pd.Series
    classes: dict[str, str]
    tissues: tuple[str, ...] = ("blood",)
    branches: tuple[str, ...] = ("nk", "t")
    cluster: pd.Series | None = None


def defaults(stage):
    """Return the default settings of a stage."""
    schema = yaml.safe_load((SCHEMAS / f"{stage}.schema.yaml").read_text(encoding="utf-8"))
    return {name: entry["default"] for name, entry in schema["properties"].items()}


def in_order(counts):
    """Sort cells and genes, as the stages that load samples do."""
    return counts[sorted(counts.obs_names), sorted(counts.var_names)].copy()


def read(path, sample):
    """Read counts; the sample is a name, or a function of the cells."""
    counts = anndata.read_h5ad(path)
    counts.obs["sample"] = sample if isinstance(sample, str) else sample(counts)
    return in_order(counts)


def side_of(subsets):
    """Return CD4, CD8 or NK of each subset, and nothing for those of neither side."""
    side = read_cell_types()["side"].str.upper()
    found = subsets.map(side).where(~subsets.str.startswith("nk_"), "NK")
    return found.where(found != "")


def sides():
    """Return subset -> CD4, CD8 or NK."""
    subsets = read_cell_types().query("level == 'subset'").index.to_series()
    return side_of(subsets).dropna().to_dict()


def annotate(counts, tissues=("blood",), *, branches=("nk", "t"), cluster=None, maps=None, **settings):
    """Return the labels of all cells with no witness but markers.

    `maps` keeps what hangs on the cells alone; `settings` are changes of the defaults, stage by stage.
    """
    maps = {} if maps is None else maps

    def mapped_once(cells, resolution=1.0):
        """Reduce and cluster cells that were not met before."""
        key = hash((resolution, *cells.obs_names))
        if key not in maps:
            maps[key] = mapped(cells, resolution, **defaults("reduce_cells"))
        return maps[key]

    changed = {stage: defaults(stage) | settings.get(stage, {}) for stage in ("annotate_lineages", "annotate_subsets")}
    lineages = annotate_lineages(counts, *mapped_once(counts), tissues, **changed["annotate_lineages"])
    table = lineages.assign(subset=lineages["lineage"])
    for branch in branches:
        cells = counts[(lineages["branch"] == branch).to_numpy()].copy()
        reduction, clusters = mapped_once(cells, RESOLUTION[branch])
        if cluster is not None:
            clusters.obs["cluster"] = cluster[cells.obs_names]
        found, _ = annotate_subsets(cells, reduction, clusters, branch, tissues, **changed["annotate_subsets"])
        table.loc[found.index, "subset"] = found["subset"]
    return table


def annotate_labelled(labelled, *, maps=None, **settings):
    """Return the labels of cells whose type is known."""
    keywords = {"branches": labelled.branches, "cluster": labelled.cluster, "maps": maps}
    return annotate(labelled.counts, labelled.tissues, **keywords, **settings)


def score(labelled, table):
    """Return macro-F1 over the cells that got a name of one of the classes, and their share."""
    found = table["subset"].map(labelled.classes).reindex(labelled.truth.index)
    named = found.notna()
    classes = sorted(set(labelled.classes.values()) & set(labelled.truth))
    return f1_score(labelled.truth[named], found[named], labels=classes, average="macro"), float(named.mean())


def pbmc5p():
    """Return 1,000 blood cells, 5' (Borcherding 2021, doi:10.1038/s42003-020-01625-6)."""
    counts = read(shared_data("pbmc_10x_5p_gex_tcr", "gex_1k_counts.h5ad"), "S1")
    return Labelled(counts, counts.obs["ccRCC_Minor"].astype(str).map(PBMC5P), BROAD | sides())


def kang():
    """Return 1,556 blood cells of two donors, half under interferon, 1,267 genes (doi:10.1038/nbt.4042)."""
    path = shared_data("kang2018_ifnb", "kang_muscat_2donor_paired_counts.h5ad")
    counts = read(path, lambda cells: cells.obs["sample_id"].astype(str))
    classes = sides() | {slug: slug for slug in BROAD}
    return Labelled(counts, counts.obs["cluster_id"].astype(str).map(KANG), classes)


def wu2020_cells():
    """Return 200 T cells of tumour, normal tissue and blood (doi:10.1038/s41586-020-2056-8)."""
    path = Path(str(files("scirpy"))) / "tests" / "data" / "wu2020_200_v0_11.h5ad"
    if not path.exists():
        pytest.skip("this scirpy ships no wu2020_200_v0_11.h5ad")
    return read(path, lambda cells: cells.obs["sample"].astype(str))


def wu2020():
    """Return those of `wu2020_cells` that are of a CD4 or a CD8 cluster."""
    counts = wu2020_cells()
    truth = counts.obs["cluster_orig"].astype(str).str[:2].map({"4.": "CD4", "8.": "CD8"}).dropna()
    return Labelled(counts[truth.index].copy(), truth, sides(), ("blood", "normal", "tumour"))


def pbmc68k():
    """Return 700 blood cells named after sorted populations, 765 genes (doi:10.1038/ncomms14049), counts restored."""
    cells = sc.datasets.pbmc68k_reduced()
    values = np.expm1(cells.raw.X.toarray())
    one = np.array([row[row > 0].min() for row in values])[:, None]
    var = pd.DataFrame(index=cells.raw.var_names)
    counts = anndata.AnnData(sp.csr_matrix(np.rint(values / one)), obs=cells.obs[["bulk_labels"]].copy(), var=var)
    counts.obs["sample"] = "S1"
    counts = in_order(counts)
    return Labelled(
        counts, counts.obs["bulk_labels"].astype(str).map(PBMC68K), BROAD | {"t_unassigned": "T"}, ("blood",), ()
    )


@cache
def _simulated(cells_per_sample):
    return simulate_demo(cells_per_sample)[2]


def demo(cells_per_sample, branch):
    """Return the single cells of a branch of the simulated cohort; what was planted is their type and NK cluster."""
    simulated = _simulated(cells_per_sample)
    truth = simulated.cells.set_index(simulated.cells["sample"] + ":" + simulated.cells["barcode"])
    names = [f"{sample}:{barcode}" for sample, barcodes in simulated.barcodes.items() for barcode in barcodes]
    planted = truth.reindex(names)
    single = ~planted["doublet"].astype(bool) & ~planted["empty"].astype(bool)
    inside = (single & (planted["type"].map(read_cell_types()["branch"]) == branch)).to_numpy()
    values = sp.vstack([simulated.counts[sample] for sample in simulated.barcodes]).tocsr()[inside]
    obs = planted.loc[inside, ["sample", "type"]]
    counts = in_order(anndata.AnnData(values, obs=obs, var=pd.DataFrame(index=simulated.genes)))
    kinds = counts.obs["type"].astype(str)
    cluster = kinds if branch == "nk" else None
    return Labelled(counts, kinds, {slug: slug for slug in kinds.unique()}, ("blood",), (branch,), cluster)

"""Measure what T and NK cells of healthy blood express of the marker genes: workflow/resources/marker_levels.tsv.

python benchmarks/measure_levels.py FOLDER_OF_DATASETS

Sources: three libraries of healthy donors' blood of 10x Genomics (CC BY 4.0): vdj_v1_hs_pbmc_5gex (1,000 cells, 5'),
pbmc_1k_v2 and pbmc_1k_v3 (3', one donor). No published label is used; lineages are those of `annotate_lineages`.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

import anndata
import numpy as np
import pandas as pd
import yaml

from immune_landscape.annotate_lineages import annotate_lineages
from immune_landscape.cell_types import RESOURCES, read_cell_types
from immune_landscape.cluster_cells import find_clusters, find_neighbours
from immune_landscape.level_scores import expression_of, level_genes
from immune_landscape.marker_scores import smooth
from immune_landscape.reduce_cells import reduce_cells

FILES = [
    "pbmc_10x_5p_gex_tcr/gex_1k_counts.h5ad",
    "pbmc_10x_1k_v2_v3/pbmc_1k_v2_counts_allgenes.h5ad",
    "pbmc_10x_1k_v2_v3/pbmc_1k_v3_counts_filtered.h5ad",
]
BRANCHES = ("t", "nk")
SCHEMAS = RESOURCES.parent / "schemas" / "settings"


def main(folder: Path) -> None:
    """Average each gene over the libraries and write the table."""
    measure([folder / name for name in FILES]).round(4).to_csv(RESOURCES / "marker_levels.tsv", sep="\t")


def measure(paths: list[Path]) -> pd.DataFrame:
    """Return what `cell_types.read_levels` reads, measured in some libraries, each of the same weight."""
    types = read_cell_types()
    wanted = types[types["branch"].isin(BRANCHES) & types["level"].isin(["subset", "state", "published"])]
    genes = level_genes(wanted, "t")
    measured = [pd.DataFrame(dict(levels_of(anndata.read_h5ad(path), genes))) for path in paths]
    table = pd.DataFrame(index=pd.Index(genes, name="gene"))
    for branch in BRANCHES:
        means = np.expm1(pd.concat([each[f"{branch}_mean"] for each in measured], axis=1)).mean(axis=1)
        spreads = pd.concat([each[f"{branch}_sd"] for each in measured], axis=1)
        table[f"{branch}_mean"], table[f"{branch}_sd"] = np.log1p(means), np.sqrt((spreads**2).mean(axis=1))
    return table


def levels_of(library, genes):
    """Yield mean and standard deviation of neighbour-averaged expression in each branch of a library."""
    library.obs["sample"] = "S1"
    library.var_names_make_unique()
    reduction, graph = mapped(library)
    lineages = annotate_lineages(library, reduction, graph, **defaults("annotate_lineages"))
    for branch in BRANCHES:
        cells = library[(lineages["branch"] == branch).to_numpy()].copy()
        near = smooth(expression_of(cells, genes), mapped(cells)[1].obsp["connectivities"]).reindex(columns=genes)
        yield f"{branch}_mean", near.mean().fillna(0)
        yield f"{branch}_sd", near.std().fillna(0)


def mapped(cells):
    """Reduce and cluster cells with the default settings."""
    settings = defaults("reduce_cells")
    reduction = reduce_cells(cells, pd.Series("b", index=cells.obs_names), 0, **settings)
    points = pd.DataFrame(reduction.obsm["X_integrated"], index=cells.obs_names)
    graph = find_neighbours(points, 15, 40_000, 0)
    graph.obs["cluster"] = find_clusters(graph, 1.0, 0)
    return reduction, graph


def defaults(stage):
    """Return the default settings of a stage."""
    schema = yaml.safe_load((SCHEMAS / f"{stage}.schema.yaml").read_text(encoding="utf-8"))
    return {name: entry["default"] for name, entry in schema["properties"].items()}


if __name__ == "__main__":
    main(Path(sys.argv[1]))

import pandas as pd
from cells import make_groups

from immune_landscape.annotate_lineages import annotate_lineages
from immune_landscape.cell_types import read_markers
from immune_landscape.cluster_cells import cluster_cells
from immune_landscape.reduce_cells import reduce_cells

SETS = {"t": "T_cell", "nk": "NK", "b": "B_cell", "mono_classical": "mono_classical"}
MARKERS = {slug: read_markers()["broad"][name]["genes"] for slug, name in SETS.items()} | {"nothing": []}
REDUCE = {
    "target_sum": 1e4,
    "n_top_genes": 100,
    "exclude_genes": [],
    "n_components": 10,
    "harmony_theta": 2.0,
}
CLUSTER = {"n_neighbors": 15, "exact_below": 40_000, "resolution": {"all": 1.0}, "min_dist": 0.3}


def test_planted_lineages_are_named_and_strangers_are_not():
    sizes = {"t": 60, "nk": 40, "b": 40, "mono_classical": 40, "nothing": 40}
    counts, truth = make_groups(sizes, MARKERS)
    reduction = reduce_cells(counts, pd.Series("b", index=counts.obs_names), 0, **REDUCE)
    clusters = cluster_cells(reduction, "all", 0, **CLUSTER)
    table = annotate_lineages(counts, reduction, clusters, min_score=1.0, min_margin=0.5)
    expected = pd.Series(truth).replace("nothing", "unassigned").to_numpy()
    assert (table["lineage"] == expected).mean() > 0.97
    assert table["branch"].tolist() == [{"t": "t", "nk": "nk"}.get(name, "other") for name in table["lineage"]]
    assert list(table.columns) == ["sample", "cluster", "lineage", "branch", "score", "runner_up", "margin"]

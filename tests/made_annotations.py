"""Made-up cell tables of the annotation, with the columns that its rules write."""

import numpy as np
import pandas as pd

from immune_landscape.cell_types import read_cell_types, types_of


def make_annotations(cells=4000, error=0.1, *, reference=True, receptor=True, seed=1):
    """Return lineages and the subsets of both branches; each witness errs in some cells, alone."""
    rng = np.random.default_rng(seed)
    lineages = _witnessed(rng, list(types_of("lineage").index), cells, error, [f"S{at % 3}" for at in range(cells)])
    lineages.insert(1, "lineage", lineages.pop("truth"))
    lineages.insert(2, "branch", lineages["lineage"].map(read_cell_types()["branch"]))
    tables = [lineages]
    for branch in ("nk", "t"):
        members = lineages.index[lineages["branch"] == branch]
        slugs = list(types_of("subset", branch=branch, tissues=("blood", "tumour")).index)
        table = _witnessed(rng, slugs, len(members), error, lineages.loc[members, "sample"]).set_axis(members)
        tables.append(table.rename(columns={"truth": "subset"}))
    is_t = lineages["branch"] == "t"
    kinds = rng.choice(["alpha_beta", "mait", "none", ""], cells, p=[0.7, 0.05, 0.1, 0.15])
    for table in tables:
        table["reference"] = table["reference"] if reference else ""
        found = pd.Series(np.where(is_t, kinds, ""), index=lineages.index).reindex(table.index)
        table["receptor"] = found if receptor else ""
    return tables


def _witnessed(rng, slugs, cells, error, samples):
    truth = rng.choice(slugs, cells)
    columns = {"sample": list(samples), "truth": truth}
    for name in ("markers", "by_cluster", "reference"):
        wrong = rng.random(cells) < error
        columns[name] = np.where(wrong, rng.choice(slugs, cells), truth)
    table = pd.DataFrame(columns, index=pd.Index([f"S{at % 3}:C{at}" for at in range(cells)], name="cell"))
    open_names = table["reference"].str.endswith("unassigned")
    return table.assign(reference=table["reference"].mask(open_names, "")).astype(object)

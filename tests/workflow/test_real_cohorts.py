"""The whole workflow on published data: it ends, keeps sensible cells, and agrees with published labels and counts."""

from functools import cache

import pandas as pd
import pytest
from datasets import shared_data
from sklearn.metrics import f1_score
from workflow.runs import Run, copy_checkout, run_snakemake

pytestmark = pytest.mark.slow

# Cohort -> folder of its data (none: inside the scirpy wheel), cells that the files hold, receptors or not.
COHORTS = {
    "pbmc5p": ("pbmc_10x_5p_gex_tcr", 1000, True),
    "kang": ("kang2018_ifnb", 1556, False),
    "zhao2021": ("screpertoire_zhao2021", 500, True),
    "wu2020": (None, 200, True),
}
LINEAGES = {
    "t": "T",
    "nk": "NK",
    "b": "B",
    "plasma": "B",
    **dict.fromkeys(("mono_classical", "mono_nonclassical", "cdc1", "cdc2", "pdc"), "APC"),
}
# Chain categories of the pbmc5p contig file, counted with scirpy alone.
CHAINS = {
    "single pair": 2156,
    "orphan VDJ": 670,
    "extra VJ": 171,
    "no IR": 164,
    "orphan VJ": 108,
    "extra VDJ": 80,
    "two full chains": 11,
    "multichain": 4,
    "ambiguous": 0,
}


@pytest.fixture(scope="module")
def real_run(tmp_path_factory):
    """Return a function that runs a cohort once."""

    @cache
    def run(name: str) -> Run:
        folder = COHORTS[name][0]
        config = {"data_root": str(shared_data(folder))} if folder else {}
        tree = copy_checkout(tmp_path_factory.mktemp(name) / "checkout")
        return run_snakemake(tree, f"tests/cohorts/{name}", "--cores", "2", config=config)

    return run


def labels_with(run: Run, column: str) -> pd.DataFrame:
    """Return the labels of the kept cells beside a published column."""
    import anndata

    published = anndata.read_h5ad(run.results / "merge_samples" / "counts.h5ad").obs[f"input_{column}"].astype(str)
    labels = run.table("define_labels/cells.tsv.gz").set_index("cell")
    assert set(labels.index) == set(published.index)
    return labels.assign(published=published.reindex(labels.index))


@pytest.mark.parametrize("name", COHORTS)
def test_whole_workflow_ends_with_a_report(real_run, name):
    run = real_run(name)
    assert run.code == 0, run.text[-5000:]
    assert "Traceback" not in run.text
    assert (run.results / "report.html").stat().st_size > 100_000
    print(f"{name}: {sum(run.jobs().values())} jobs in {run.seconds:.0f} s")


@pytest.mark.parametrize("name", COHORTS)
def test_most_cells_are_kept_and_all_of_them_are_labelled(real_run, name):
    run, cells = real_run(name), COHORTS[name][1]
    steps, labels = run.table("merge_samples/steps.tsv"), run.table("define_labels/cells.tsv.gz")
    kept = steps["kept"].sum()
    assigned = (labels["lineage"] != "unassigned").mean()
    print(f"{name}: {kept} of {cells} cells kept, {assigned:.1%} with a lineage")
    assert steps["loaded"].sum() == cells
    # The authors had filtered these cells already.
    assert 0.9 * cells <= kept <= cells
    assert len(labels) == kept
    assert labels["cell"].is_unique
    assert (labels["subset"] != "").all()
    composition = run.table("measure_composition/composition.tsv")
    assert composition.loc[composition["parent"] == "all", "cells"].sum() == kept


def test_pbmc5p_lineages_agree_with_the_published_ones(real_run):
    labels = labels_with(real_run("pbmc5p"), "ccRCC_Major")
    published = labels["published"].map({"T.Cell": "T", "NK.Cell": "NK", "B.Cell": "B", "APC": "APC"})
    assert published.notna().all()
    assigned = labels["lineage"] != "unassigned"
    found = labels["lineage"].map(LINEAGES).fillna("other")
    classes = ["T", "NK", "B", "APC"]
    scores = f1_score(published[assigned], found[assigned], labels=classes, average=None)
    accuracy = (published[assigned] == found[assigned]).mean()
    by_class = ", ".join(f"{name} {score:.3f}" for name, score in zip(classes, scores, strict=True))
    print(f"pbmc5p lineages: {assigned.mean():.1%} assigned, accuracy {accuracy:.3f}, macro-F1 {scores.mean():.3f}")
    print(f"pbmc5p F1: {by_class}")
    assert assigned.mean() >= 0.9
    assert accuracy >= 0.9
    assert scores.mean() >= 0.9
    assert scores.min() >= 0.9


def test_pbmc5p_cd4_and_cd8_agree_with_the_published_ones(real_run):
    labels = labels_with(real_run("pbmc5p"), "ccRCC_Minor")
    published = labels["published"].map({"CD4.T.Cell": "CD4", "CD8.T.Cell": "CD8"})
    found = labels["subset"].replace("treg", "cd4_treg").str.extract(r"^(cd[48])_", expand=False).str.upper()
    both = published.notna() & found.notna()
    agreement = (published[both] == found[both]).mean()
    print(f"pbmc5p CD4/CD8: {agreement:.3f} of {both.sum()} cells agree, {published.notna().sum()} published")
    assert both.sum() >= 0.8 * published.notna().sum()
    assert agreement >= 0.85


def test_pbmc5p_chain_categories_are_those_counted_with_scirpy(real_run):
    chains = real_run("pbmc5p").table("define_clonotypes/chain_qc.tsv")
    assert dict(zip(chains["chain_pairing"], chains["cells"], strict=True)) == CHAINS
    assert set(chains["total"]) == {sum(CHAINS.values())} == {3364}


def test_kang_lineages_agree_with_the_published_clusters(real_run):
    labels = labels_with(real_run("kang"), "cluster_id")
    published = labels["published"].map(
        {
            "B cells": "B",
            "NK cells": "NK",
            "CD4 T cells": "T",
            "CD8 T cells": "T",
            "CD14+ Monocytes": "APC",
            "FCGR3A+ Monocytes": "APC",
            "Dendritic cells": "APC",
        }
    )
    assigned = (labels["lineage"] != "unassigned") & published.notna()
    found = labels["lineage"].map(LINEAGES).fillna("other")
    accuracy = (published[assigned] == found[assigned]).mean()
    print(f"kang: {assigned.mean():.1%} assigned, accuracy of those {accuracy:.3f}; published against found:")
    print(pd.crosstab(labels["published"], labels["lineage"]).to_string())
    assert published.notna().mean() > 0.95
    assert accuracy >= 0.9


def receptor_cells(run: Run) -> tuple[int, int]:
    """Count the cells before quality control, and those of them with a receptor barcode."""
    import anndata

    parts = sorted((run.results / "filter_cells").glob("*.tsv.gz"))
    cells = pd.concat([pd.read_csv(part, sep="\t", usecols=["cell"]) for part in parts])["cell"]
    receptors = anndata.read_h5ad(run.results / "load_receptors" / "receptors.h5ad").obs_names
    return len(cells), int(cells.isin(receptors).sum())


@pytest.mark.parametrize(("name", "known"), [("zhao2021", 365), ("pbmc5p", 404), ("wu2020", 200)])
def test_receptors_match_as_many_cells_as_published(real_run, name, known):
    run = real_run(name)
    total, matched = receptor_cells(run)
    samples = run.table("load_receptors/samples.tsv")
    kept = f"{samples['matched'].sum()} of {samples['gex_cells'].sum()} after"
    print(f"{name}: receptors of {matched} of {total} cells before quality control, {kept}")
    assert matched == known
    assert samples["matched"].sum() <= matched

"""What a cohort may bring of its own, through Snakemake on published data: a reference, genotypes, earlier labels."""

import shutil

import anndata
import pytest
import yaml
from datasets import shared_data
from workflow.runs import ROOT, copy_checkout, run_snakemake

from immune_landscape.store import sha256_of

pytestmark = pytest.mark.slow

LABELS = {"Monocyte": "mono_classical", "B.Cell": "b", "CD4.T.Cell": "cd4_t", "NK.Cell": "nk", "CD8.T.Cell": "cd8_t"}
WANTED = ("compare_annotators/agreement.tsv", "check_identity/donor_cells.tsv", "define_labels/cells.tsv.gz")
EARLIER = 20
"""Number of the one cluster that all T cells are said to have been in."""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Run pbmc5p with its own published labels as reference, every tenth cell being called a donor's, after a run."""
    folder = tmp_path_factory.mktemp("cohorts") / "pbmc5p"
    shutil.copytree(ROOT / "tests" / "cohorts" / "pbmc5p", folder)
    data = shared_data("pbmc_10x_5p_gex_tcr")
    file = data / "gex_1k_counts.h5ad"
    config = yaml.safe_load((folder / "cohort.yaml").read_text(encoding="utf-8"))
    reference = {"file": file.name, "sha256": sha256_of(file), "label_column": "ccRCC_Minor"}
    config |= {"data_root": str(data), "reference": reference | {"labels": LABELS | {"DC": "cdc2", "Macrophage": ""}}}
    config["earlier_labels"] = "earlier.tsv"
    (folder / "cohort.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    barcodes = anndata.read_h5ad(file, backed="r").obs_names
    origins = [f"HD1_baseline\t{name}\t{'patient' if at % 10 else 'donor'}" for at, name in enumerate(barcodes)]
    (folder / "donor_cells.tsv").write_text("\n".join(["sample\tbarcode\torigin", *origins]) + "\n", encoding="utf-8")
    earlier = [f"HD1_baseline:{name}\tt\t{EARLIER}" for name in barcodes]
    (folder / "earlier.tsv").write_text("\n".join(["cell\tbranch\tcluster", *earlier]) + "\n", encoding="utf-8")
    tree = copy_checkout(tmp_path_factory.mktemp("reference") / "checkout")
    return run_snakemake(tree, folder, *(f"results/pbmc5p/{path}" for path in WANTED), "--cores", "2")


def test_the_reference_votes(run):
    assert run.code == 0, run.text[-3000:]
    agreement = run.table("compare_annotators/agreement.tsv")
    pairs = agreement.set_index(["level", "annotator_a", "annotator_b"]).sort_index()
    row = pairs.loc[("lineage", "markers", "reference")].iloc[0]
    print(f"markers and reference agree on {float(row['agree']):.3f} of {row['cells']} cells")
    assert int(row["cells"]) > 900
    assert float(row["agree"]) > 0.93


def test_genotypes_tell_the_donor_share(run):
    assert run.code == 0, run.text[-3000:]
    donors = run.table("check_identity/donor_cells.tsv").query("method == 'genotypes'")
    assert len(donors) == 1
    carriers, cells = (int(donors[name].iloc[0]) for name in ("other_carriers", "other_cells"))
    assert carriers / cells == pytest.approx(0.1, abs=0.03)


def test_clusters_never_take_a_number_that_meant_other_cells(run):
    assert run.code == 0, run.text[-3000:]
    labels = run.table("define_labels/cells.tsv.gz").query("branch in ('nk', 't')")
    numbers = labels.groupby("branch")["cluster"].agg(lambda held: min(map(int, held)))
    assert numbers["t"] >= EARLIER
    assert numbers["nk"] == 0

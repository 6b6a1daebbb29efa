import gzip
from hashlib import sha256

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from cohort_folders import SAMPLE_COLUMNS, SOUND_YAML, sample_rows, tsv, write_cohort
from datasets import shared_data
from scipy import sparse

from immune_landscape.bulk_io import read_bulk
from immune_landscape.check_inputs import check_inputs, declared_texts, problems_of
from immune_landscape.cohort import read_cohort
from immune_landscape.designs import complete_pairs, covariate_matrix
from immune_landscape.errors import InputError, ProblemsError
from immune_landscape.input_files import Place
from immune_landscape.store import read_table, write_table

GENES = ["CD3D", "NKG7", "MT-CO1", *(f"GENE{i}" for i in range(27))]
SETTINGS = {"min_pairs": 2, "untestable_contrasts": "stop", "probe_cells": 50}
CONTIGS = "barcode,chain,v_gene,j_gene,cdr3,cdr3_nt,productive,umis\n"


def barcodes(seed, number=40):
    letters = np.random.default_rng(seed).choice(list("ACGT"), (number, 16))
    return ["".join(row) + "-1" for row in letters]


def counts(seed, values=None, genes=GENES, names=None):
    raw = np.random.default_rng(seed).poisson(3.0, (40, len(genes))).astype(np.float32)
    X = sparse.csr_matrix(raw if values is None else values(raw))
    obs = pd.DataFrame(index=pd.Index(names or barcodes(seed), dtype=object))
    return anndata.AnnData(X=X, obs=obs, var=pd.DataFrame(index=pd.Index(genes, dtype=object)))


@pytest.fixture
def folder(tmp_path):
    write_cohort(tmp_path)
    for seed, row in enumerate(sample_rows(6)):
        counts(seed).write_h5ad(tmp_path / row[-1])
    return tmp_path


def with_column(folder, column, cells):
    """Write samples.tsv with one more column, whose first cells are given."""
    rows = [[*row, cells[i] if i < len(cells) else ""] for i, row in enumerate(sample_rows(6))]
    (folder / "samples.tsv").write_text(tsv([*SAMPLE_COLUMNS, column], rows))


def told(folder):
    return [(p.line, p.column, p.kind) for p in problems_of(folder)]


def only(folder):
    (problem,) = problems_of(folder)
    return problem


def checked(folder, **changed):
    return check_inputs(read_cohort(folder), **{**SETTINGS, **changed})


def test_a_sound_cohort_gives_its_tables(folder):
    tables = checked(folder)
    assert len(tables["design"]) == 12
    inputs = tables["inputs"].set_index("path")
    assert inputs.loc["P01_a.h5ad", "sample"] == "P01_a"
    assert inputs.loc["P01_a.h5ad", "sha256"] == sha256((folder / "P01_a.h5ad").read_bytes()).hexdigest()
    assert inputs.loc["P01_a.h5ad", "bytes"] == (folder / "P01_a.h5ad").stat().st_size
    assert set(inputs.loc[["patients.tsv", "samples.tsv"], "layer"]) == {"sheet"}
    assert not {"no_mt_genes", "unusable_file"} & set(tables["notes"]["kind"])


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (lambda raw: -raw, "negative"),
        (lambda raw: raw + 0.25, "fractional"),
        (np.log1p, "log"),
        (lambda raw: raw / raw.sum(axis=1, keepdims=True) * 1e4, "normalised"),
        (lambda raw: np.where(raw > 3, np.nan, raw), "NaN"),
    ],
)
def test_what_is_not_raw_counts_is_refused(folder, values, words):
    counts(1, values).write_h5ad(folder / "P01_b.h5ad")
    problem = only(folder)
    assert (problem.line, problem.column, problem.kind) == (3, "gex", "unusable_file")
    assert words in problem.message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty file"),
        (b"<!DOCTYPE html><html>404</html>", "web page"),
        (b"gene\tcell\n", "text file"),
        (b"\x89HDF\r\n\x1a\n" + b"\0" * 100, "damaged"),
        (b"PK\x03\x04", "zip"),
    ],
)
def test_what_a_file_really_is_is_told(folder, content, words):
    (folder / "P01_b.h5ad").write_bytes(content)
    problem = only(folder)
    assert (problem.line, problem.column) == (3, "gex")
    assert words in problem.message
    assert "Traceback" not in problem.message


def test_truncated_files_are_problems_not_tracebacks(folder):
    whole = (folder / "P01_b.h5ad").read_bytes()
    for share in (0.2, 0.5, 0.9, 0.99):
        (folder / "P01_b.h5ad").write_bytes(whole[: int(len(whole) * share)])
        assert told(folder) == [(3, "gex", "unusable_file")]


def test_files_that_point_outside_themselves_are_refused(folder):
    with h5py.File(folder / "P01_b.h5ad", "a") as file:
        file["uns/out"] = h5py.ExternalLink("/etc/hostname", "/")
    assert "external link" in only(folder).message


def test_mouse_genes_and_repeated_barcodes_are_refused(folder):
    counts(1, genes=[f"Gene{i}a" for i in range(30)]).write_h5ad(folder / "P01_b.h5ad")
    assert "not human" in only(folder).message
    counts(1, names=["A" * 16 + "-1"] * 40).write_h5ad(folder / "P01_b.h5ad")
    assert "more than once" in only(folder).message


def test_missing_mt_genes_are_only_noted(folder):
    counts(1, genes=[f"GENE{i}" for i in range(30)]).write_h5ad(folder / "P01_b.h5ad")
    notes = checked(folder)["notes"]
    assert notes.loc[notes["kind"] == "no_mt_genes", "line"].tolist() == [3]


def test_columns_of_obs_must_be_there(folder):
    part = counts(1)
    part.obs["origin"] = "blood"
    part.write_h5ad(folder / "P01_b.h5ad")
    (folder / "cohort.yaml").write_text(SOUND_YAML + "inputs: {keep_columns: [cluster]}\n")
    problem = only(folder)
    assert (problem.line, problem.column) == (3, "gex")
    assert "'cluster'" in problem.message
    assert "'origin'" in problem.message


def test_samples_of_one_file_are_told_by_column_and_label(tmp_path):
    parts = [counts(seed) for seed in range(12)]
    merged = anndata.concat(parts)
    merged.obs["origin"] = np.repeat([row[0] for row in sample_rows(6)], 40)
    rows = [[*row[:-1], "all.h5ad"] for row in sample_rows(6)]
    yaml = SOUND_YAML + "inputs: {gex_sample_column: origin}\n"
    folder = write_cohort(tmp_path, yaml=yaml, samples=tsv(SAMPLE_COLUMNS, rows))
    merged.write_h5ad(folder / "all.h5ad")
    assert checked(folder)["inputs"]["path"].eq("all.h5ad").sum() == 12
    labelled = [[*row, "wrong" if i == 4 else ""] for i, row in enumerate(rows)]
    (folder / "samples.tsv").write_text(tsv([*SAMPLE_COLUMNS, "gex_label"], labelled))
    assert told(folder) == [(6, "gex", "unusable_file")]
    (folder / "cohort.yaml").write_text(SOUND_YAML + "inputs: {gex_sample_column: sample}\n")
    assert "found 'origin'" in problems_of(folder)[0].message


def contigs(names):
    return CONTIGS + "".join(f"{name},TRB,TRBV1,TRBJ1,CASSF,TGTGCC,True,3\n" for name in names)


def test_receptors_of_another_sample_are_refused(folder):
    (folder / "right.csv").write_text(contigs(barcodes(0)[:25]))
    (folder / "wrong.csv").write_text(contigs(barcodes(99)[:25]))
    with_column(folder, "tcr", ["right.csv", "wrong.csv"])
    assert told(folder) == [(3, "tcr", "tcr_overlap")]


def test_the_required_overlap_is_a_setting(folder):
    (folder / "part.csv").write_text(contigs([*barcodes(0)[:10], *barcodes(99)[:30]]))
    with_column(folder, "tcr", ["part.csv"])
    assert told(folder) == []
    (folder / "cohort.yaml").write_text(SOUND_YAML + "inputs: {min_tcr_overlap: 0.5}\n")
    problem = only(folder)
    assert "25.0% of 40" in problem.message


def test_differing_suffixes_and_few_barcodes_are_noted(folder):
    (folder / "bare.csv").write_text(contigs([name[:-2] for name in barcodes(0)]))
    (folder / "few.csv").write_text(contigs(barcodes(99)[:5]))
    with_column(folder, "tcr", ["bare.csv", "few.csv"])
    kinds = set(checked(folder)["notes"]["kind"])
    assert {"suffix_stripped", "low_overlap"} <= kinds


def test_receptor_tables_need_their_columns(folder):
    (folder / "t.tsv.gz").write_bytes(gzip.compress(b"cell_id\tproductive\tv_call\n" + b"AAAC-1\tT\tTRBV1\n"))
    with_column(folder, "tcr", ["t.tsv.gz"])
    problem = only(folder)
    assert "'j_call', 'junction', 'junction_aa'" in problem.message


VDJTOOLS = "count\tfreq\tcdr3nt\tcdr3aa\tv\td\tj\n"
CLONES = "".join(f"{n}\t0.1\tTGTGCCAGC\tCAS\tTRBV9\t.\tTRBJ2-7\n" for n in range(1, 301))


@pytest.mark.parametrize(
    ("text", "told_of"),
    [
        (VDJTOOLS + CLONES, None),
        ("junction,junction_aa,v_call,j_call,productive,duplicate_count\nTGTGCC,CA,TRBV9,TRBJ2-7,T,4\n", None),
        ("Clones\tProportion\tCDR3.nt\tCDR3.aa\tV.name\tJ.name\n3\t1\tTGT\tC\tTRBV9\tTRBJ1-1\n", None),
        # A junction and a count, but no genes: what the stage that reads it would refuse.
        ("Clones\tProportion\tCDR3.nt\tCDR3.aa\n3\t1\tTGTGCC\tCA\n", "lacks one of 'v', 'vsegments'"),
        ("targetSequences\tnSeqCDR3\taaSeqCDR3\tallVHitsWithScore\tallJHitsWithScore\n" + "A\t" * 5, "counts"),
        ("freq\tcdr3nt\tcdr3aa\tv\tj\n1\tTGT\tC\tTRBV9\tTRBJ1-1\n", "a column of counts"),
        ("count\tfreq\n1\t1\n", "expected those of"),
        (VDJTOOLS, "no row below the header"),
        (VDJTOOLS + CLONES + "2.5\t0.1\tTGT\tC\tTRBV9\t.\tTRBJ2-7\n", "line 302: count is '2.5'"),
    ],
)
def test_a_bulk_table_that_would_be_refused_later_is_refused_now(folder, text, told_of):
    place = Place(folder / "bulk.tsv", "x")
    place.path.write_text(text)
    with_column(folder, "bulk_tcr", ["bulk.tsv"])
    found = [(problem.line, problem.column, problem.kind) for problem in problems_of(folder)]
    if told_of is None:
        assert found == []
        assert len(read_bulk(place).rows) > 0
        return
    assert found == [(2, "bulk_tcr", "unusable_file")]
    with pytest.raises(InputError) as refused:
        read_bulk(place)
    assert told_of in only(folder).message
    assert only(folder).message == f"'bulk.tsv' {refused.value}".replace(f"{place}: ", "")


def test_a_bulk_table_of_which_no_clonotype_can_come_is_refused(folder):
    with_column(folder, "bulk_tcr", ["bulk.tsv"])
    (folder / "bulk.tsv").write_text(VDJTOOLS + "3\t1\tTGTGCC\tCA\tTRAV2\t.\tTRAJ7\n")
    assert only(folder).message == "'bulk.tsv' holds no TRB rearrangement, but TRA 1"
    (folder / "bulk.tsv").write_text(VDJTOOLS + "3\t1\t\tCASSF\tTRBV2\t.\tTRBJ1-1\n")
    assert "has no CDR3 in nucleotides" in only(folder).message
    (folder / "bulk.tsv").write_text(VDJTOOLS + "3\t1\tTGTGC\tC_\tTRBV2\t.\tTRBJ1-1\n")
    notes = check_inputs(read_cohort(folder), **SETTINGS)["notes"]
    assert ("bulk_tcr", "empty_sample") in set(zip(notes["column"], notes["kind"], strict=True))


def ten_x_folder(path, values):
    path.mkdir()
    shape = (len(GENES), 40)
    entries = [f"{g + 1} {c + 1} {values[g, c]:g}" for g in range(shape[0]) for c in range(shape[1]) if values[g, c]]
    head = f"%%MatrixMarket matrix coordinate real general\n%\n{shape[0]} {shape[1]} {len(entries)}\n"
    (path / "matrix.mtx.gz").write_bytes(gzip.compress((head + "\n".join(entries)).encode()))
    (path / "barcodes.tsv.gz").write_bytes(gzip.compress("\n".join(barcodes(0)).encode()))
    features = "\n".join(f"ENSG{i:011d}\t{gene}\tGene Expression" for i, gene in enumerate(GENES))
    (path / "features.tsv.gz").write_bytes(gzip.compress(features.encode()))


def test_matrix_folders(folder):
    raw = np.random.default_rng(0).poisson(3.0, (len(GENES), 40)).astype(float)
    ten_x_folder(folder / "good", raw)
    ten_x_folder(folder / "logs", np.log1p(raw))
    (folder / "empty").mkdir()
    rows = sample_rows(6)
    for row, name in zip(rows, ("good", "logs", "empty"), strict=False):
        row[-1] = name
    (folder / "samples.tsv").write_text(tsv(SAMPLE_COLUMNS, rows))
    assert told(folder) == [(3, "gex", "unusable_file"), (4, "gex", "unusable_file")]


def test_all_files_of_a_matrix_folder_are_listed(folder):
    ten_x_folder(folder / "good", np.ones((len(GENES), 40)) * np.arange(1, 41))
    rows = sample_rows(6)
    rows[0][-1] = "good"
    (folder / "samples.tsv").write_text(tsv(SAMPLE_COLUMNS, rows))
    paths = checked(folder)["inputs"]["path"].tolist()
    assert {"good/matrix.mtx.gz", "good/barcodes.tsv.gz", "good/features.tsv.gz"} <= set(paths)


def test_cell_ranger_hdf5(folder):
    part = counts(0)
    with h5py.File(folder / "P01_a.h5ad", "w") as file:
        group = file.create_group("matrix")
        for name in ("data", "indices", "indptr"):
            group[name] = getattr(part.X, name)
        group["shape"] = [len(GENES), 40]
        group["barcodes"] = np.array(barcodes(0), dtype="S")
        group["features/id"] = np.array([f"ENSG{i:011d}" for i in range(30)], dtype="S")
        group["features/name"] = np.array(GENES, dtype="S")
    assert told(folder) == []
    with h5py.File(folder / "P01_a.h5ad", "a") as file:
        file["matrix/data"][0] = -1
    assert "negative" in only(folder).message


def test_two_genomes_are_refused_before_the_run(folder):
    names = np.array(GENES, dtype="S")
    with h5py.File(folder / "P01_a.h5ad", "w") as file:
        for genome in ("GRCh38", "mm10"):
            group = file.create_group(genome)
            group["genes"], group["gene_names"], group["barcodes"] = names, names, np.array(barcodes(1), dtype="S")
            group["data"], group["indices"] = np.array([3]), np.array([0])
            group["indptr"], group["shape"] = np.repeat([0, 1], [1, 40]), np.array([len(GENES), 40])
    assert "genomes 'GRCh38', 'mm10'" in only(folder).message


def test_contrasts_stop_or_are_noted(folder):
    patients = (folder / "patients.tsv").read_text().replace("\tSD\t", "\tPR\t")
    (folder / "patients.tsv").write_text(patients)
    with pytest.raises(ProblemsError, match="response_change: not estimable"):
        checked(folder)
    notes = checked(folder, untestable_contrasts="note")["notes"]
    assert "one_group" in set(notes["kind"])
    (folder / "cohort.yaml").write_text(SOUND_YAML + "unblinded: false\n")
    tables = checked(folder)
    assert "blinded" in set(tables["notes"]["kind"])
    assert set(tables["design"]["response"]) == {""}


def permuted(folder):
    """Give each patient the masked cells of the next."""
    head, *rows = [line.split("\t") for line in (folder / "patients.tsv").read_text().splitlines()]
    moved = [[row[0], *after[1:-1], row[-1]] for row, after in zip(rows, [*rows[1:], rows[0]], strict=True)]
    assert moved != rows
    (folder / "patients.tsv").write_text(tsv(head, moved))


def test_no_table_of_a_blinded_cohort_tells_what_is_masked(folder):
    (folder / "cohort.yaml").write_text(SOUND_YAML + "unblinded: false\n")
    before = checked(folder)
    permuted(folder)
    after = checked(folder)
    for name, table in before.items():
        pd.testing.assert_frame_equal(table, after[name])
    inputs = before["inputs"].set_index("path")
    assert inputs.loc["patients.tsv", "sha256"] == ""
    assert pd.isna(inputs.loc["patients.tsv", "bytes"])
    assert "withheld" in inputs.loc["patients.tsv", "note"]
    assert inputs.loc["samples.tsv", "sha256"] == sha256((folder / "samples.tsv").read_bytes()).hexdigest()


def test_an_unblinded_cohort_tells_which_patients_sheet_it_read(folder):
    before = checked(folder)
    permuted(folder)
    digests = [tables["inputs"].set_index("path").loc["patients.tsv", "sha256"] for tables in (before, checked(folder))]
    assert len(set(digests)) == 2
    assert set(before["inputs"]["note"]) == {""}


def test_numbers_per_sample_are_handed_on_typed(folder):
    none = checked(folder)
    assert none["populations"].empty
    assert none["measures"].empty
    (folder / "measures.tsv").write_text("sample\tmeasure\tvalue\tunit\nP01_a\tIL6\t2.5\tpg/ml\n")
    (folder / "populations.tsv").write_text("sample\tpopulation\tcount\nP01_a\tall\t1234567\nP01_a\tNK\t12\n")
    tables = checked(folder)
    assert tables["measures"].to_dict("records") == [
        {"sample": "P01_a", "measure": "IL6", "value": 2.5, "unit": "pg/ml", "scale": "identity"}
    ]
    assert tables["populations"]["count"].tolist() == [1234567, 12]
    assert tables["populations"]["parent"].tolist() == ["", ""]
    assert list(tables["populations"].columns) == list(none["populations"].columns)
    assert list(tables["measures"].columns) == list(none["measures"].columns)
    assert tables["populations"].to_csv(index=False).splitlines()[1] == "P01_a,all,,1234567,"
    (folder / "cohort.yaml").write_text(SOUND_YAML + "layers: [gex]\n")
    assert checked(folder)["measures"].empty


def test_a_change_is_asked_of_a_blinded_cohort(folder):
    contrast = "  - {name: change, estimand: change, reference: baseline, target: on_treatment}\n"
    (folder / "cohort.yaml").write_text(f"{SOUND_YAML}{contrast}unblinded: false\n")
    notes = checked(folder)["notes"]
    assert notes.loc[notes["kind"] == "blinded", "column"].tolist() == ["contrasts.response_change"]


def test_sheet_and_content_problems_come_together(folder):
    (folder / "P01_b.h5ad").write_bytes(b"")
    text = (folder / "samples.tsv").read_text().replace("P03_a\tP03", "P03_a\tP33")
    (folder / "samples.tsv").write_text(text)
    assert told(folder) == [(3, "gex", "unusable_file"), (6, "patient", "unknown_patient")]


def test_personal_paths_are_noted(folder):
    (folder / "P01_a.h5ad").rename(folder / "run_2021-05-06.h5ad")
    text = (folder / "samples.tsv").read_text().replace("P01_a.h5ad", "run_2021-05-06.h5ad")
    (folder / "samples.tsv").write_text(text)
    assert "personal_path" in set(checked(folder)["notes"]["kind"])


def test_simulated_files_may_be_absent(tmp_path):
    folder = write_cohort(tmp_path / "c", yaml=SOUND_YAML + "data_root: simulated\n")
    tables = check_inputs(read_cohort(folder, data_root=tmp_path / "later"), **SETTINGS)
    assert "simulated" in set(tables["notes"]["kind"])


KANG = """\
title: Interferon
visits: [control, stimulated]
inputs: {gex_sample_column: sample_id, keep_columns: [cluster_id]}
contrasts:
  - {name: ifn, estimand: change, reference: control, target: stimulated, formula: ~ patient + visit}
"""


def test_kang_donors_are_paired_in_one_file(tmp_path):
    data = shared_data("kang2018_ifnb")
    rows = [
        [f"{name}{donor}", f"d{donor}", visit, "kang_muscat_2donor_paired_counts.h5ad"]
        for donor in (101, 107)
        for name, visit in (("ctrl", "control"), ("stim", "stimulated"))
    ]
    samples = tsv(["sample", "patient", "visit", "gex"], rows)
    folder = write_cohort(tmp_path, yaml=KANG, patients="patient\nd101\nd107\n", samples=samples)
    cohort = read_cohort(folder, data_root=data)
    notes = check_inputs(cohort, **{**SETTINGS, "probe_cells": 2000})["notes"]
    assert notes["kind"].eq("no_mt_genes").sum() == 4


ZHAO = """\
title: Blood and lung
visits: [acute]
tissues: [blood, lung]
inputs: {gex_sample_column: orig.ident}
contrasts:
  - {name: lung, estimand: change, factor: tissue, reference: blood, target: lung}
"""


def zhao(tmp_path, swap=False):
    data = shared_data("screpertoire_zhao2021")
    names = [f"P{i}{end}" for i in (17, 18, 19, 20) for end in "BL"]
    files = [*names[4:], *names[:4]] if swap else names
    rows = [
        [name, name[:3], "acute", "lung" if name[-1] == "L" else "blood", "gex_500cells_2000hvg_counts.h5ad",
         f"contigs/{file}_filtered_contig_annotations.csv.gz"]
        for name, file in zip(names, files, strict=True)
    ]  # fmt: skip
    samples = tsv(["sample", "patient", "visit", "tissue", "gex", "tcr"], rows)
    patients = "patient\n" + "".join(f"P{i}\n" for i in (17, 18, 19, 20))
    return write_cohort(tmp_path, yaml=ZHAO, patients=patients, samples=samples), data


def test_zhao_receptors_match_their_cells(tmp_path):
    folder, data = zhao(tmp_path)
    assert problems_of(folder, None, data) == []
    assert len(check_inputs(read_cohort(folder, data_root=data), **SETTINGS)["design"]) == 8


def test_swapped_receptors_of_real_patients_are_caught(tmp_path):
    folder, data = zhao(tmp_path, swap=True)
    found = problems_of(folder, None, data)
    # The sample of 11 cells is too small to judge.
    assert [p.line for p in found if p.kind == "tcr_overlap"] == [2, 3, 4, 5, 6, 7, 8]


def test_wu_lies_inside_an_installed_package(tmp_path):
    pytest.importorskip("scirpy")
    yaml = "title: W\nvisits: [untreated]\ntissues: [tumour, normal]\ndata_root: package:scirpy/tests/data\n"
    yaml += "inputs: {gex_sample_column: sample}\n"
    rows = [["LT1", "Lung1", "untreated", "tumour"], ["ET2", "Endo2", "untreated", "tumour"]]
    samples = tsv(
        ["sample", "patient", "visit", "tissue", "gex", "tcr"], [[*r, *["wu2020_200.h5mu"] * 2] for r in rows]
    )
    folder = write_cohort(tmp_path, yaml=yaml, patients="patient\nLung1\nEndo2\n", samples=samples)
    assert problems_of(folder) == []


def test_pbmc_contigs_and_cells_overlap(tmp_path):
    data = shared_data("pbmc_10x_5p_gex_tcr")
    yaml = "title: P\nvisits: [baseline]\ninputs: {min_tcr_overlap: 0.4, keep_columns: [ccRCC_Minor]}\n"
    tcr = "vdj_v1_hs_pbmc_t_filtered_contig_annotations.csv.gz"
    samples = tsv(["sample", "patient", "visit", "gex", "tcr"], [["h", "H1", "baseline", "gex_1k_counts.h5ad", tcr]])
    folder = write_cohort(tmp_path, yaml=yaml, patients="patient\nH1\n", samples=samples)
    assert problems_of(folder, None, data) == []
    # 404 of 1,000 cells have contigs, as the dataset's own flag says.
    (problem,) = problems_of(folder, {"inputs": {"min_tcr_overlap": 0.41}}, data)
    assert "40.4% of 1000" in problem.message


def test_extra_text_columns_stay_text_in_later_rules(folder):
    extra = "extra_columns:\n  patients:\n    site: {type: string}\n    doses: {type: integer}\n"
    (folder / "cohort.yaml").write_text(SOUND_YAML + extra)
    lines = (folder / "patients.tsv").read_text().splitlines()
    cells = ["site\tdoses", *(f"0{at % 2 + 1}\t{at}" for at in range(len(lines) - 1))]
    (folder / "patients.tsv").write_text("".join(f"{line}\t{more}\n" for line, more in zip(lines, cells, strict=True)))
    cohort = read_cohort(folder)
    assert declared_texts(cohort) == {"site"}
    write_table(checked(folder)["design"], folder / "design.tsv", declared_texts(cohort))
    design = read_table(folder / "design.tsv")
    assert set(design["site"]) == {"01", "02"}
    assert design["doses"].dtype.kind in "if"
    contrast = {"name": "sites", "estimand": "baseline", "reference": design["visit"][0], "group_column": "site"}
    pairs = complete_pairs(design, contrast | {"groups": ["02", "01"]})
    assert set(pairs["group"]) == {"01", "02"}
    _, complete = covariate_matrix(design, design["patient"].unique(), ["site"])
    assert complete.all()

"""Counts are read the same from every format, and nothing but raw counts is taken for them."""

import gzip
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
from datasets import shared_data
from made_inputs import small_counts, write_cell_ranger_2, write_cell_ranger_3, write_folder
from scipy import sparse

from immune_landscape.counts_io import read_counts
from immune_landscape.errors import InputError
from immune_landscape.gene_names import unique_symbols
from immune_landscape.raw_counts import find_fault

NOTED = {"label": None, "sample_column": None, "keep_columns": (), "species": "human"}


@pytest.fixture(scope="module")
def small() -> ad.AnnData:
    return small_counts()


def counts_of(path: Path, **options) -> ad.AnnData:
    return read_counts(path, **options).counts


def saved(folder: Path, data: ad.AnnData, X=None) -> Path:
    path = folder / "counts.h5ad"
    changed = data.copy()
    if X is not None:
        changed.X = X
    changed.write_h5ad(path)
    return path


def refused(path: Path, **options) -> str:
    with pytest.raises(InputError) as caught:
        counts_of(path, sample="P01", **options)
    message = str(caught.value)
    assert str(path) in message or path.name in message
    assert "sample 'P01'" in message
    return message


# --- formats ---------------------------------------------------------------------------------


def written(kind: str, folder: Path, data: ad.AnnData) -> Path:
    if kind == "cell_ranger_3":
        return write_cell_ranger_3(folder / "x.h5", data)
    if kind == "cell_ranger_2":
        return write_cell_ranger_2(folder / "x.h5", data)
    if kind == "h5ad":
        return saved(folder, data)
    if kind == "dense_h5ad":
        return saved(folder, data, data.X.toarray())
    if kind == "csc_h5ad":
        return saved(folder, data, sparse.csc_matrix(data.X))
    version, zipped, prefix = {"v2": (2, False, ""), "v3": (3, True, ""), "prefix": (3, True, "GSM1_P01_")}[kind]
    return write_folder(folder / "mtx", data, version=version, zipped=zipped, prefix=prefix)


@pytest.mark.parametrize(
    "kind", ["cell_ranger_3", "cell_ranger_2", "h5ad", "dense_h5ad", "csc_h5ad", "v2", "v3", "prefix"]
)
def test_every_format_gives_the_same_counts(kind, tmp_path, small):
    counts = counts_of(written(kind, tmp_path, small), sample="P01")
    assert isinstance(counts.X, sparse.csr_matrix)
    assert counts.X.dtype == np.int32
    assert counts.X.has_canonical_format
    np.testing.assert_array_equal(counts.X.toarray(), small.X.toarray())
    assert list(counts.obs_names) == [f"P01:{name}" for name in small.obs_names]
    assert list(counts.obs["barcode"]) == list(small.obs_names)
    assert list(counts.var_names) == list(small.var_names)
    assert list(counts.var["gene_id"]) == list(small.var["gene_ids"])
    assert dict(counts.uns) == {}


def test_matrix_path_chooses_among_several_in_one_folder(tmp_path, small):
    folder = write_folder(tmp_path / "geo", small, version=3, zipped=True, prefix="GSM1_")
    write_folder(folder, small[:10], version=3, zipped=True, prefix="GSM2_")
    assert "2 matrices" in refused(folder)
    assert counts_of(folder / "GSM2_matrix.mtx.gz", sample="P01").n_obs == 10


def test_only_gene_expression_features_are_kept(tmp_path, small):
    types = ["Gene Expression"] * (small.n_vars - 5) + ["Antibody Capture"] * 5
    counts = counts_of(write_cell_ranger_3(tmp_path / "x.h5", small, types), sample="P01")
    assert list(counts.var_names) == list(small.var_names[:-5])
    message = refused(write_cell_ranger_3(tmp_path / "y.h5", small, ["Antibody Capture"] * small.n_vars))
    assert "no 'Gene Expression' features, only 'Antibody Capture'" in message


def test_two_genomes_are_refused(tmp_path, small):
    path = write_cell_ranger_2(tmp_path / "x.h5", small, ("GRCh38", "mm10"))
    assert "genomes 'GRCh38', 'mm10'" in refused(path)


@pytest.mark.parametrize("kind", ["cell_ranger_3", "cell_ranger_2", "h5ad", "v3"])
def test_empty_sample_has_no_cells_and_all_genes(kind, tmp_path, small):
    counts = counts_of(written(kind, tmp_path, small[:0]), sample="P01")
    assert counts.shape == (0, small.n_vars)
    assert counts.X.dtype == np.int32


@pytest.mark.parametrize("cells", [1, 5])
def test_tiny_samples_are_read(cells, tmp_path, small):
    assert counts_of(saved(tmp_path, small[:cells]), sample="P01").n_obs == cells


# --- real data -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("folder", "name", "shape", "total"),
    [
        ("pbmc_10x_5p_gex_tcr", "gex_1k_counts.h5ad", (1000, 17890), 4733811),
        ("pbmc_10x_1k_v2_v3", "pbmc_1k_v2_counts_allgenes.h5ad", (996, 33538), 3524098),
        ("pbmc_10x_1k_v2_v3", "pbmc_1k_v3_counts_filtered.h5ad", (906, 14688), 5451564),
    ],
)
def test_real_samples_keep_every_count(folder, name, shape, total):
    path = shared_data(folder) / name
    counts = counts_of(path, sample="S1")
    assert counts.shape == shape
    assert counts.X.sum() == total == ad.read_h5ad(path).X.sum(dtype=np.float64)


def test_kang_samples_come_from_one_file_with_plain_symbols():
    path = shared_data("kang2018_ifnb") / "kang_muscat_2donor_paired_counts.h5ad"
    whole = ad.read_h5ad(path)
    options = {"sample_column": "sample_id", "keep_columns": ("cluster_id", "donor")}
    counts = counts_of(path, sample="P1", label="stim107", **options)
    expected = whole[whole.obs["sample_id"] == "stim107"]
    np.testing.assert_array_equal(counts.X.toarray(), expected.X.toarray())
    assert list(counts.var_names) == list(whole.var["symbol"])
    suffixes = whole.var_names.str.extract("_(ENSG.*)$", expand=False).fillna("")
    assert list(counts.var["gene_id"]) == list(suffixes)
    assert list(counts.obs["input_cluster_id"].astype(str)) == list(expected.obs["cluster_id"].astype(str))
    assert isinstance(counts.obs["input_donor"].dtype, pd.CategoricalDtype)


def test_zhao_barcodes_lose_their_sample_prefix():
    path = shared_data("screpertoire_zhao2021") / "gex_500cells_2000hvg_counts.h5ad"
    counts = counts_of(path, sample="P20L", sample_column="orig.ident", keep_columns=("nCount_RNA",))
    assert counts.n_obs == 11
    assert counts.obs_names.str.fullmatch(r"P20L:[ACGT]{16}-1").all()
    assert counts.obs["input_nCount_RNA"].dtype == np.float64


def wheel_data() -> Path:
    from importlib.resources import files

    return Path(str(files("scirpy"))) / "tests" / "data"


@pytest.mark.parametrize("name", ["wu2020_200_v0_11.h5ad", "wu2020_200.h5mu"])
def test_wu_reads_alike_from_the_wheel_and_the_copy(name):
    kept = {"sample": "LN1", "sample_column": "sample"}
    ours, theirs = (counts_of(p, **kept) for p in (shared_data("wu2020_scirpy_wheel") / name, wheel_data() / name))
    assert (ours.X != theirs.X).nnz == 0
    assert ours.n_obs > 0
    assert (ours.var["gene_id"] == "").all()  # its ids are of Entrez


# --- not raw counts --------------------------------------------------------------------------


def normalised(X: np.ndarray) -> np.ndarray:
    return X / X.sum(axis=1, keepdims=True) * 1e4


def with_value(X: np.ndarray, value: float) -> np.ndarray:
    changed = X.astype(np.float64)
    changed[3, 7] = value
    return changed


FAULTS = {
    "negative": (lambda X: with_value(X, -2), "negative"),
    "fractional": (
        lambda X: with_value(X * 100, 0.5),
        "fractional: normalised, or corrected for ambient RNA",
    ),
    "log1p of counts": (np.log1p, "log-transformed, log1p of counts"),
    "log2 of counts": (lambda X: np.log2(X + 1), r"log-transformed, log2(x + 1) of counts"),
    "normalised": (normalised, "looks normalised: every cell sums to about 10000"),
    "log-normalised": (lambda X: np.log1p(normalised(X)), "log1p of values normalised to 10000"),
    "rounded": (lambda X: np.rint(normalised(X)), "looks normalised: every cell sums to about"),
    "scaled": (lambda X: (X - X.mean(axis=0)) / (X.std(axis=0) + 1), "negative: looks scaled"),
    "NaN": (lambda X: with_value(X, np.nan), "not a number (NaN)"),
    "infinite": (lambda X: with_value(X, np.inf), "infinite"),
    "too large": (lambda X: with_value(X, 2.0**24 + 2), "above 16777216"),
    "overflow": (lambda X: with_value(X, 40_000).astype(np.int16), "integers overflowed"),
    "booleans": (lambda X: X > 0, "type bool"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.filterwarnings("ignore:invalid value encountered in cast")
def test_what_is_not_raw_counts_is_refused_in_words(fault, dtype, tmp_path, small):
    change, words = FAULTS[fault]
    X = change(small.X.toarray().astype(np.float64))
    message = refused(saved(tmp_path, small, X if X.dtype.kind in "bi" else X.astype(dtype)))
    assert words in message
    assert "Expected raw UMI counts" in message
    assert "% of the non-zero values" in message


def test_message_names_the_first_cell_gene_and_share(tmp_path, small):
    X = with_value(small.X.toarray(), -2)
    message = refused(saved(tmp_path, small, X))
    share = 100 / np.count_nonzero(X)
    where = f"{share:.3g} % of the non-zero values, the first in cell '{small.obs_names[3]}', gene "
    assert f"{where}'{small.var_names[7]}': -2" in message


def test_no_false_alarm_on_50_random_parts_of_real_samples():
    rng = np.random.default_rng(7)
    path = shared_data("pbmc_10x_5p_gex_tcr") / "gex_1k_counts.h5ad"
    X = sparse.csr_matrix(ad.read_h5ad(path).X)
    faults = []
    for _ in range(50):
        cells = rng.choice(X.shape[0], size=int(rng.integers(1, 400)), replace=False)
        genes = rng.choice(X.shape[1], size=int(rng.integers(1, 5000)), replace=False)
        part = X[cells][:, genes]
        part.data = rng.binomial(part.data.astype(int), rng.uniform(0.05, 1)).astype(part.dtype)
        faults.append(find_fault(part))
    assert faults == [None] * 50


@pytest.mark.parametrize("where", ["layers['counts']", "raw.X"])
def test_raw_counts_beside_a_normalised_x_are_found_and_told(where, tmp_path, small):
    data = small.copy()
    if where == "raw.X":
        data.raw = small
        data = data[:, :50].copy()
    else:
        data.layers["counts"] = small.X.copy()
    data.X = np.log1p(data.X)
    result = read_counts(saved(tmp_path, data), sample="P01", barcode_pattern="[ACGT]+-1", **NOTED)
    np.testing.assert_array_equal(result.counts.X.toarray(), small.X.toarray())
    assert list(result.counts.var_names) == list(small.var_names)
    ((kind, message),) = result.notes
    assert kind == "counts_from"
    assert message.startswith(f"counts taken from {where}; X: values are fractional")


# --- cells and genes -------------------------------------------------------------------------


def test_duplicate_barcodes_are_listed(tmp_path, small):
    data = small.copy()
    data.obs_names = [f"a_{name}" for name in small.obs_names[:-1]] + [f"b_{small.obs_names[0]}"]
    message = refused(saved(tmp_path, data))
    assert f"1 barcodes occur more than once: '{small.obs_names[0]}'" in message


def test_cell_ids_without_barcode_are_refused(tmp_path, small):
    data = small.copy()
    data.obs_names = [f"cell{i}" for i in range(small.n_obs)]
    assert "40 of 40 cell ids hold no barcode, such as 'cell0'" in refused(saved(tmp_path, data))
    assert counts_of(saved(tmp_path, data), sample="P01", barcode_pattern="cell[0-9]+").n_obs == 40


def test_duplicate_ensembl_ids_are_listed(tmp_path, small):
    data = small.copy()
    data.var["gene_ids"] = ["ENSG00000000001.1", "ENSG00000000001.2", *small.var["gene_ids"][2:]]
    assert "'ENSG00000000001'" in refused(write_cell_ranger_3(tmp_path / "x.h5", data))


def test_duplicate_symbols_are_numbered_by_ensembl_id(tmp_path, small):
    data = small[:, ::-1].copy()
    data.var_names = ["TBCE", "TBCE", "TBCE-1", *data.var_names[3:]]
    result = read_counts(
        write_cell_ranger_3(tmp_path / "x.h5", data), sample="P01", barcode_pattern="[ACGT]+-1", **NOTED
    )
    assert list(result.counts.var_names[:3]) == ["TBCE-2", "TBCE", "TBCE-1"]
    assert result.counts.var_names.is_unique
    assert [kind for kind, _ in result.notes] == ["repeated_symbols"]


def test_numbering_does_not_depend_on_the_order_of_genes():
    symbols = pd.Series(["A", "B", "A", "A", "C"])
    ids = pd.Series(["ENSG00000000003", "", "ENSG00000000001", "", ""])
    names = dict(zip(ids + symbols.index.astype(str), unique_symbols(symbols, ids), strict=True))
    assert list(names.values()) == ["A-1", "B", "A", "A-2", "C"]
    order = [2, 3, 0, 4, 1]
    shuffled = unique_symbols(symbols[order].reset_index(drop=True), ids[order].reset_index(drop=True))
    assert list(shuffled) == ["A", "A-2", "A-1", "C", "B"]


@pytest.mark.parametrize("column", ["gene_name", "gene_symbols", "feature_name", "symbol"])
def test_symbols_are_found_where_names_are_ensembl_ids(column, tmp_path, small):
    data = small.copy()
    data.var = pd.DataFrame({column: small.var_names.to_numpy()}, index=small.var["gene_ids"].to_numpy())
    counts = counts_of(saved(tmp_path, data), sample="P01")
    assert list(counts.var_names) == list(small.var_names)
    assert list(counts.var["gene_id"]) == list(small.var["gene_ids"])


def test_nameless_genes_are_refused(tmp_path, small):
    data = small.copy()
    data.var = pd.DataFrame(index=[str(i) for i in range(small.n_vars)])
    assert "300 of 300 genes have no name, such as '0'" in refused(saved(tmp_path, data))


def test_mouse_is_refused_for_human_by_symbol_and_by_id(tmp_path, small):
    data = small.copy()
    data.var = pd.DataFrame(index=[name.capitalize() for name in small.var_names])
    assert "they look mouse (or rat), such as " in refused(saved(tmp_path, data))
    assert counts_of(saved(tmp_path, data), sample="P01", species="mouse").n_vars == 300
    data.var["gene_ids"] = [f"ENSMUSG{i:011d}" for i in range(300)]
    assert "Ensembl ids such as 'ENSMUSG00000000000'" in refused(saved(tmp_path, data))
    assert "not mouse" in refused(saved(tmp_path, small), species="mouse")


def test_sample_column_and_label_must_exist(tmp_path, small):
    data = small.copy()
    data.obs["donor"] = pd.Categorical(["d1"] * 30 + ["d2"] * 10, categories=["d1", "d2", "d3"])
    path = saved(tmp_path, data)
    assert "no column 'nope' (inputs.gex_sample_column); found 'chemistry', 'donor'" in refused(
        path, sample_column="nope"
    )
    assert "no value 'd9' (gex_label); found 'd1', 'd2', 'd3'" in refused(path, sample_column="donor", label="d9")
    assert "no column 'nope' (inputs.keep_columns)" in refused(path, keep_columns=("nope",))
    assert counts_of(path, sample="P01", sample_column="donor", label="d2").n_obs == 10
    assert counts_of(path, sample="P01", sample_column="donor", label="d3").n_obs == 0


# --- files -----------------------------------------------------------------------------------

PAGE = b"<!DOCTYPE html><html><body>404 Not Found</body></html>"
DISGUISES = {
    "page.h5": (PAGE, "a web page"),
    "text.h5ad": (b"gene,count\nCD3D,1\n", "a text file (begins 'gene,count')"),
    "empty.h5ad": (b"", "an empty file (0 bytes)"),
    "zip.h5ad": (b"PK\x03\x04rest", "a zip archive"),
    "gz.h5ad": (gzip.compress(PAGE), "a web page"),
    "lfs.h5ad": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "a Git LFS pointer"),
    "object.rds": (gzip.compress(b"X\n\x00\x00\x00\x03"), "an R .rds file"),
    "model.h5ad": (b"\x80\x04\x95\x00", "a Python pickle"),
}


@pytest.mark.parametrize("name", DISGUISES)
def test_a_disguised_file_is_called_what_it_is(name, tmp_path):
    content, words = DISGUISES[name]
    (tmp_path / name).write_bytes(content)
    message = refused(tmp_path / name)
    assert f"is {words}" in message
    assert "expected a 10x .h5 file" in message


def test_a_web_page_saved_as_matrix_is_called_so(tmp_path, small):
    folder = write_folder(tmp_path / "mtx", small, version=3, zipped=True)
    (folder / "matrix.mtx.gz").write_bytes(gzip.compress(PAGE))
    assert "is a web page" in refused(folder)
    (folder / "matrix.mtx.gz").write_bytes(PAGE)
    assert "is a web page" in refused(folder)


def test_folder_problems_are_named(tmp_path, small):
    folder = write_folder(tmp_path / "mtx", small, version=3, zipped=False)
    lines = (folder / "barcodes.tsv").read_text().splitlines(keepends=True)
    (folder / "barcodes.tsv").write_text("".join(lines[:-1]))
    assert "has 300 rows and 40 columns; expected 300 rows (genes) and 39 columns" in refused(folder)
    (folder / "barcodes.tsv").unlink()
    assert "expected one of 'barcodes.tsv', 'barcodes.tsv.gz' beside the matrix; found none" in refused(folder)
    (folder / "matrix.mtx").unlink()
    assert "the folder holds 'features.tsv'; expected matrix.mtx(.gz)" in refused(folder)
    assert "no such file or folder" in refused(tmp_path / "absent.h5")


def test_crlf_line_ends_in_the_folder_are_read(tmp_path, small):
    folder = write_folder(tmp_path / "mtx", small, version=2, zipped=False)
    for name in ("barcodes.tsv", "genes.tsv"):
        (folder / name).write_bytes((folder / name).read_bytes().replace(b"\n", b"\r\n"))
    counts = counts_of(folder, sample="P01")
    assert list(counts.var_names) == list(small.var_names)
    assert list(counts.obs["barcode"]) == list(small.obs_names)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.99])
def test_truncated_files_are_refused(share, tmp_path, small):
    path = saved(tmp_path, small)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    assert "cannot read" in refused(path)


def test_other_hdf5_is_told_apart(tmp_path):
    with h5py.File(tmp_path / "x.h5ad", "w") as file:
        file.create_group("row_attrs")
    assert "is an HDF5 file that holds 'row_attrs'" in refused(tmp_path / "x.h5ad")


SECRET = b"SECRETSECRETSECRETSECRET"


def pointing_outside(kind: str, path: Path, secret: Path) -> None:
    with h5py.File(path, "a") as file:
        if kind == "an external link":
            file["obs/outside"] = h5py.ExternalLink(str(secret), "/x")
        if kind == "a soft link":
            file["obs/outside"] = h5py.SoftLink("/X")
        if kind == "a dataset with external storage":
            file["obs"].create_dataset("outside", (24,), dtype="u1", external=[(str(secret), 0, 24)])
        if kind == "a virtual dataset":
            layout = h5py.VirtualLayout((24,), dtype="u1")
            layout[:] = h5py.VirtualSource(str(secret), "x", (24,))
            file["obs"].create_virtual_dataset("outside", layout)


@pytest.mark.parametrize(
    "kind", ["an external link", "a soft link", "a dataset with external storage", "a virtual dataset"]
)
def test_hdf5_that_points_outside_itself_is_refused(kind, tmp_path, small):
    secret = tmp_path / "secret.txt"
    secret.write_bytes(SECRET)
    path = saved(tmp_path, small)
    pointing_outside(kind, path, secret)
    message = refused(path)
    assert f"/obs/outside is {kind}" in message
    assert SECRET.decode() not in message


def test_format_of_a_newer_anndata_is_named(tmp_path, small):
    path = saved(tmp_path, small)
    with h5py.File(path, "a") as file:
        file["obs"].attrs["encoding-version"] = "9.9.9"
    assert "cannot read '/obs' (format 9.9.9) with anndata" in refused(path)


def test_an_h5ad_older_than_its_format_number_is_read():
    path = wheel_data() / "wu2020_200_v0_6.h5ad"
    with h5py.File(path) as file:
        assert "encoding-type" not in file.attrs
    old = counts_of(path, sample="LN1", sample_column="sample")
    new = counts_of(wheel_data() / "wu2020_200_v0_11.h5ad", sample="LN1", sample_column="sample")
    assert list(old.obs_names) == list(new.obs_names)
    np.testing.assert_array_equal(old.X.toarray(), new[:, old.var_names].X.toarray())

"""Write small input files in the formats of 10x Genomics, from real counts with made-up Ensembl ids."""

import gzip
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
from datasets import shared_data
from scipy import sparse
from scipy.io import mmwrite


def small_counts(cells: int = 40, genes: int = 300) -> ad.AnnData:
    """Return the first cells and the best expressed genes of the 10x PBMC 1k v2 set, float32 as stored."""
    data = ad.read_h5ad(shared_data("pbmc_10x_1k_v2_v3") / "pbmc_1k_v2_counts_allgenes.h5ad")[:cells]
    totals = np.asarray(data.X.sum(axis=0)).ravel()
    top = np.sort(np.argsort(-totals, kind="stable")[:genes])
    part = data[:, top].copy()
    part.var["gene_ids"] = [f"ENSG{i:011d}" for i in range(genes)]
    return part


def write_cell_ranger_3(path: Path, data: ad.AnnData, types: list[str] | None = None) -> Path:
    with h5py.File(path, "w") as file:
        group = file.create_group("matrix")
        _write_matrix(group, data)
        features = group.create_group("features")
        features["id"] = data.var["gene_ids"].to_numpy(dtype="S")
        features["name"] = data.var_names.to_numpy(dtype="S")
        features["feature_type"] = np.array(types or ["Gene Expression"] * data.n_vars, dtype="S")
        features["genome"] = np.array(["GRCh38"] * data.n_vars, dtype="S")
    return path


def write_cell_ranger_2(path: Path, data: ad.AnnData, genomes: tuple[str, ...] = ("GRCh38",)) -> Path:
    with h5py.File(path, "w") as file:
        for genome in genomes:
            group = file.create_group(genome)
            _write_matrix(group, data)
            group["genes"] = data.var["gene_ids"].to_numpy(dtype="S")
            group["gene_names"] = data.var_names.to_numpy(dtype="S")
    return path


def _write_matrix(group: h5py.Group, data: ad.AnnData) -> None:
    X = sparse.csr_matrix(data.X)
    group["data"], group["indices"], group["indptr"] = X.data.astype(np.int32), X.indices, X.indptr
    group["shape"] = np.array([data.n_vars, data.n_obs], dtype=np.int32)
    group["barcodes"] = data.obs_names.to_numpy(dtype="S")


def write_folder(folder: Path, data: ad.AnnData, *, version: int, zipped: bool, prefix: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    genes = pd.DataFrame({"id": data.var["gene_ids"].to_numpy(), "name": data.var_names.to_numpy()})
    if version == 3:
        genes["type"] = "Gene Expression"
    X = sparse.coo_matrix(data.X)
    mmwrite(folder / "plain.mtx", X.T.astype(np.int64))
    texts = {
        "matrix.mtx": (folder / "plain.mtx").read_text(),
        "barcodes.tsv": "".join(f"{name}\n" for name in data.obs_names),
        "features.tsv" if version == 3 else "genes.tsv": genes.to_csv(sep="\t", header=False, index=False),
    }
    (folder / "plain.mtx").unlink()
    for name, text in texts.items():
        content = text.encode()
        path = folder / (f"{prefix}{name}.gz" if zipped else f"{prefix}{name}")
        path.write_bytes(gzip.compress(content) if zipped else content)
    return folder

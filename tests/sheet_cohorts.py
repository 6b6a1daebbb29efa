"""Cohorts of published tables without a cell or a sequence: their sheets are made here, in a folder of the test."""

import shutil
from pathlib import Path

import pandas as pd
from cohort_folders import tsv
from datasets import shared_data

COHORTS = Path(__file__).resolve().parent / "cohorts"
SNYDER, RIAZ, SCCOMP = "snyder2017_urothelial_tcr", "riaz2017_nivolumab_tcr", "sccomp_composition"
NOT_SCANNED = ("Only scanned at baseline", "Only scanned baseline")
SEXES = {"M": "male", "F": "female"}

# Measure -> column of the table of repertoires, unit, scale, divisor for blood and for tumour.
SNYDER_MEASURES = {
    "clonality": ("Clonality", "", "identity", 1, 1),
    "diversity": ("Diversity", "bits", "identity", 1, 1),
    # Percent for blood, but a share for tumours: what a user has to put right.
    "t_cell_share": ("T-cell fraction", "share", "logit", 100, 1),
    "templates": ("Productive TCR Templates(cnt)", "templates", "log", 1, 1),
    "unique_tcrs": ("Productive Unique TCRs (cnt)", "clonotypes", "log", 1, 1),
    "top_clone_share": ("Top Clone Freq(%)", "share", "logit", 100, 100),
}
# Measure -> column without _Pre or _On, unit, scale.
RIAZ_MEASURES = {
    "clonality": ("CLcdr3", "", "identity"),
    "t_cell_share": ("fraction_productive_of_cells_mass_estimate", "share", "logit"),
    "clonotypes": ("Num_CDR3", "clonotypes", "log"),
    "d90": ("D90", "", "identity"),
}


def _table(*parts: str, **given) -> pd.DataFrame:
    return pd.read_csv(shared_data(*parts), dtype=str, keep_default_na=False, **given)


def _write(folder: Path, name: str, table: pd.DataFrame, ends: str = "\n") -> None:
    text = tsv(list(table.columns), table.astype(str).to_numpy().tolist())
    folder.joinpath(f"{name}.tsv").write_bytes(text.replace("\n", ends).encode())


def _folder(folder: Path, cohort: str) -> Path:
    folder.mkdir(parents=True)
    shutil.copy2(COHORTS / cohort / "cohort.yaml", folder / "cohort.yaml")
    return folder


def snyder_repertoires() -> pd.DataFrame:
    """Return the table of repertoires, whose lines end in CR alone, with patient, tissue and sample."""
    table = _table(SNYDER, "tcr_master_original_CR_lineends.csv")
    table["patient"] = table["Subject ID"].str.split("-").str[0]
    table["tissue"] = table["Sample Type"].map({"PBMC": "blood", "Tumor": "tumour"})
    table["sample"] = table["patient"] + "_" + table["tissue"] + "_" + table["Time Point"]
    return table


def build_snyder(folder: Path, *, raw: bool = False) -> Path:
    """Write the cohort of Snyder 2017.

    Parameters
    ----------
    folder
        Folder to make; its name names the results.
    raw
        Leave the responses as published, and patients without a clinical row out of patients.tsv. Otherwise "PD " has
        lost its blank in the column of listed values, patients who were only scanned at baseline are not evaluable,
        and the patients without a clinical row have a row without a response.

    Returns
    -------
    Path
        The folder. Sheets made of the table of repertoires keep its CR line ends, which the reader takes.
    """
    folder = _folder(folder, "snyder2017")
    repertoires = snyder_repertoires()
    patients = _snyder_patients(repertoires)
    if raw:
        patients = patients[patients["best_response"] != ""]
    else:
        patients["best_response"] = patients["best_response"].str.strip().replace(dict.fromkeys(NOT_SCANNED, "NE"))
        patients["tcr_response"] = patients["tcr_response"].replace(dict.fromkeys(NOT_SCANNED, "NE"))
    samples = repertoires.rename(columns={"Time Point": "visit"})[["sample", "patient", "visit", "tissue"]]
    _write(folder, "patients", patients)
    _write(folder, "samples", samples, "\r")
    _write(folder, "measures", _snyder_measures(repertoires), "\r")
    return folder


def _snyder_patients(repertoires: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each patient of the table of repertoires; without a clinical row all is empty."""
    clinical = _table(SNYDER, "data_clinical.csv").set_index("patient_id")
    events = {"True": "1", "False": "0"}
    known = pd.DataFrame(
        {
            "best_response": clinical["Best Response RECIST 1.1"],
            "pfs_time": clinical["PFS (RECIST 1.1) in days"],
            "pfs_event": clinical["is_progressed_or_deceased"].map(events),
            "os_time": clinical["OS in days"],
            "os_event": clinical["is_deceased"].map(events),
            "sex": clinical["Sex"].map(SEXES),
            "age": clinical["Age"],
        }
    )
    response = repertoires.drop_duplicates("patient").set_index("patient")["Clinical Response"].replace("NA", "")
    patients = known.reindex(response.index).fillna("").assign(tcr_response=response)
    return patients.rename_axis("patient").reset_index()


def _snyder_measures(repertoires: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for name, (column, unit, scale, blood, tumour) in SNYDER_MEASURES.items():
        for sample, tissue, cell in repertoires[["sample", "tissue", column]].itertuples(index=False):
            if cell != "NA":
                rows.append((sample, name, float(cell) / (blood if tissue == "blood" else tumour), unit, scale))
    return pd.DataFrame(rows, columns=["sample", "measure", "value", "unit", "scale"])


def riaz_metrics() -> pd.DataFrame:
    """Return the table of metrics, one row per patient, as the clinical table writes the patients."""
    table = _table(RIAZ, "TCRmetrics_original_CR.csv")
    return table.assign(patient=table["Patient"].str.capitalize())


def build_riaz(folder: Path) -> Path:
    """Write the cohort of Riaz 2017: the patients of the table of metrics, with two samples each."""
    folder = _folder(folder, "riaz2017")
    metrics = riaz_metrics()
    clinical = _table(RIAZ, "bms038_clinical_data.csv").set_index("PatientID").reindex(metrics["patient"])
    # 1 stands for censored there.
    events = {"0": "1", "1": "0"}
    patients = pd.DataFrame(
        {
            "patient": clinical.index,
            "best_response": clinical["BOR"],
            "pfs_time": clinical["PFS"],
            "pfs_event": clinical["PFS_SOR"].map(events),
            "os_time": clinical["OS"],
            "os_event": clinical["OS_SOR"].map(events),
            "ipilimumab": clinical["Cohort"].map({"NIV3-NAIVE": "naive", "NIV3-PROG": "progressed"}),
            "metrics_response": metrics["BOR"].to_numpy(),
        }
    )
    rows, numbers = [], []
    for patient in metrics.to_dict("records"):
        for visit in ("pre", "on"):
            sample = f"{patient['patient']}_{visit}"
            rows.append((sample, patient["patient"], visit))
            for name, (column, unit, scale) in RIAZ_MEASURES.items():
                numbers.append((sample, name, patient[f"{column}_{visit.capitalize()}"], unit, scale))
    _write(folder, "patients", patients)
    _write(folder, "samples", pd.DataFrame(rows, columns=["sample", "patient", "visit"]))
    _write(folder, "measures", pd.DataFrame(numbers, columns=["sample", "measure", "value", "unit", "scale"]))
    return folder


def sccomp_counts() -> pd.DataFrame:
    """Return the table of counts, one row per sample and cluster."""
    return _table(SCCOMP, "counts_by_sample_celltype.tsv", sep="\t")


def build_sccomp(folder: Path) -> Path:
    """Write the cohort of the sccomp example: one sample per patient, counts of clusters among all cells."""
    folder = _folder(folder, "sccomp")
    counts = sccomp_counts()
    patients = counts.drop_duplicates("sample")
    _write(folder, "patients", pd.DataFrame({"patient": patients["sample"], "type": patients["type"]}))
    samples = pd.DataFrame({"sample": patients["sample"], "patient": patients["sample"], "visit": "once"})
    _write(folder, "samples", samples)
    _write(
        folder, "populations", counts.rename(columns={"cell_group": "population"})[["sample", "population", "count"]]
    )
    return folder

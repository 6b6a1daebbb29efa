"""Made-up rows of biomarkers.tsv, for tests of biomarkers."""

import pandas as pd

from immune_landscape.schemas import fill_defaults, load_schema

SETTINGS = fill_defaults(load_schema("settings/measure_biomarkers"), {})
COLUMNS = load_schema("biomarkers")["properties"]
PROTEINS = ("mlh1", "msh2", "msh6", "pms2")
NUMBERS = [name for name, spec in COLUMNS.items() if spec["type"] in ("number", "integer")]


def sheet_of(*rows):
    """Return a typed sheet of rows given by column; what is not given is missing."""
    table = pd.DataFrame(rows).reindex(columns=list(COLUMNS))
    words = [name for name in COLUMNS if name not in NUMBERS]
    kinds = dict.fromkeys(NUMBERS, float) | dict.fromkeys(words, object)
    return table.astype(kinds).fillna(dict.fromkeys(words, ""))


def cells(patient="P01", tumour=3, lymphocytes=1, macrophages=1, viable=500, **more):
    """Return a row of PD-L1 counts."""
    counts = {"n_pos_tumour": tumour, "n_pos_lymphocytes": lymphocytes, "n_pos_macrophages": macrophages}
    return {"patient": patient, **counts, "n_viable_tumour": viable, **more}


def proteins(patient="P01", lost=(), undone=(), **more):
    """Return a row of mismatch repair."""
    states = {name: "lost" if name in lost else "not_done" if name in undone else "retained" for name in PROTEINS}
    return {"patient": patient, **states, **more}


def patients_of(number, **columns):
    """Return a table of patients, two of three in the arm new."""
    table = pd.DataFrame({"patient": [f"P{at:02d}" for at in range(1, number + 1)]})
    table["arm"] = ["old" if at % 3 == 0 else "new" for at in range(number)]
    return table.assign(msi="", cps=float("nan"), tmb=float("nan")).assign(**columns)

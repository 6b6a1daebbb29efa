"""Cells of the donor of an allogeneic product, by sex genes and by genotype, per patient and visit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from immune_landscape.cell_origins import require_known
from immune_landscape.clone_sharing import FLAGGED
from immune_landscape.donor_share import Cells, estimate_share
from immune_landscape.sex_genes import OTHER_SEX, UNDETERMINED

BY_SEX, BY_GENOTYPE = "sex_genes", "genotypes"
KINDS = ("nk", "other")
OWN = ("autologous", "none")
FOUND, NOT_FOUND, NO_DONOR = "donor cells found", "no donor cells found", "no donor"
IDS = ("sample", "patient", "visit", "product_origin", "patient_sex", "donor_sex")
DONOR_COLUMNS = (
    *("sample", "patient", "visit", "method", "product_origin", "patient_sex", "donor_sex"),
    *("nk_cells", "nk_carriers", "other_cells", "other_carriers", "reference_samples", "reference_cells"),
    *("background", "detection", "share", "ci_low", "ci_high", "verdict", "note"),
)
IN_DOUBT = "whose sample it is is in doubt"
MASKED = "not told before unblinding: only the product of one arm has a donor"


@dataclass(frozen=True)
class DonorRule:
    """When a share of donor cells is estimated.

    Attributes
    ----------
    min_cells
        NK cells, and other cells, that a sample needs.
    min_reference_cells
        NK cells that a sample of the donor's sex needs to serve as a reference.
    level
        Confidence level.
    absent
        Why the sex genes cannot be read; empty when they can.
    """

    min_cells: int
    min_reference_cells: int
    level: float
    absent: str


def find_donor_cells(
    cells: pd.DataFrame,
    samples: pd.DataFrame,
    origins: pd.DataFrame | None,
    design: pd.DataFrame,
    study: Mapping[str, Any],
    rule: DonorRule,
) -> pd.DataFrame:
    """Estimate the share of donor cells among the NK cells of every sample, by each method at hand.

    Parameters
    ----------
    cells
        Indexed by cell: sample, molecules, female, male (molecules of their genes), kind (nk, other or unassigned).
    samples
        One row per sample: sample, patient, visit, sex_by_genes, sex_on_sheet, sex_verdict, clone_verdict.
    origins
        As `cell_origins.read_origins` returns; None without demultiplexing.
    design
        One row per sample: sample, donor_sex, product_origin.
    study
        ``visits`` in order, of which the first is before the product, and ``unblinded``.
    rule
        Thresholds.

    Returns
    -------
    pandas.DataFrame
        One row per sample with cells and method (sex_genes, genotypes): sample, patient, visit, method,
        product_origin, patient_sex, donor_sex, nk_cells, nk_carriers (that carry the genes of the donor's sex, or
        their genotype), other_cells, other_carriers, reference_samples, reference_cells, background, detection, share,
        ci_low, ci_high (0 to 1, see `donor_share.estimate_share`; by genotypes Clopper and Pearson's), verdict (donor
        cells found, no donor cells found, no donor, cannot be determined), note. Donor cells are found when the
        interval lies above the background; by genotypes that is the share of the donor among the other cells.

    Notes
    -----
    References for a sex are NK cells of samples of that sex that hold no donor cells of the other: at the first
    of several visits, or of patients without a donor or with one of their own sex.
    """
    known = samples[samples["sample"].isin(cells["sample"])].reset_index(drop=True)
    columns = design.set_index("sample")[["donor_sex", "product_origin"]].fillna("").astype(str)
    known = known.join(columns, on="sample")
    known["patient_sex"] = _patient_sex(known, study)
    known["in_doubt"] = (known["sex_verdict"] == FLAGGED) | (known["clone_verdict"] == FLAGGED)
    parts = {(str(sample), str(kind)): part for (sample, kind), part in cells.groupby(["sample", "kind"])}
    references = {sex: _references(parts, known, sex, study, rule) for sex in OTHER_SEX}
    rows = [_by_sex(row, parts, references, study, rule) for row in known.to_dict("records")]
    if origins is not None and study["unblinded"]:
        require_known(origins, cells["sample"])
        told = {key: origins["origin"].reindex(part.index).fillna("") for key, part in parts.items()}
        rows += [_by_genotype(row, told, rule) for row in known.to_dict("records")]
        rows = _compared(rows)
    table = pd.DataFrame(rows, columns=list(DONOR_COLUMNS))
    counts = [name for name in DONOR_COLUMNS if name.endswith(("_cells", "_carriers", "_samples"))]
    return table.astype(dict.fromkeys(counts, "Int64"))


def _patient_sex(known: pd.DataFrame, study: Mapping[str, Any]) -> pd.Series:
    """Return the sex on the sheet, or else that by genes at the earliest visit that tells it."""
    order = {visit: at for at, visit in enumerate(study["visits"])}
    called = known[known["sex_by_genes"].isin(OTHER_SEX)]
    called = called.assign(at=called["visit"].map(order)).sort_values("at", kind="stable")
    first = called.drop_duplicates("patient").set_index("patient")["sex_by_genes"]
    sheet = known["sex_on_sheet"]
    return sheet.where(sheet.isin(OTHER_SEX), known["patient"].map(first)).fillna("unknown")


def _by_sex(
    row: dict[Any, Any],
    parts: Mapping[tuple[str, str], pd.DataFrame],
    references: Mapping[str, list[Cells]],
    study: Mapping[str, Any],
    rule: DonorRule,
) -> dict[str, Any]:
    made = {name: row[name] for name in IDS} | {"method": BY_SEX}
    if not study["unblinded"]:
        return made | {"verdict": UNDETERMINED, "note": MASKED}
    own = {kind: parts.get((row["sample"], kind)) for kind in KINDS}
    made |= {f"{kind}_cells": 0 if part is None else len(part) for kind, part in own.items()}
    if why := _why_not(row, rule):
        return made | {"verdict": NO_DONOR if row["product_origin"] in OWN else UNDETERMINED, "note": why}
    asked, background = (_cells(part, row["donor_sex"]) for part in own.values())
    made |= {"nk_carriers": int(asked.carries.sum()), "other_carriers": int(background.carries.sum())}
    known = references[row["donor_sex"]]
    made |= {"reference_samples": len(known), "reference_cells": sum(len(cells.carries) for cells in known)}
    return made | _estimated(asked, background, known, row["donor_sex"], rule)


def _estimated(asked: Cells, background: Cells, known: list[Cells], sex: str, rule: DonorRule) -> dict[str, Any]:
    if min(len(asked.carries), len(background.carries)) < rule.min_cells:
        return {"verdict": UNDETERMINED, "note": f"fewer than {rule.min_cells} NK cells or others"}
    if not known:
        note = f"no sample of {sex} NK cells tells how often their genes are seen"
        return {"verdict": UNDETERMINED, "note": note}
    found = estimate_share(asked, background, known, rule.level)
    if found is None:
        return {"verdict": UNDETERMINED, "note": f"genes of {sex} cells are seen too rarely"}
    numbers = {"share": found.share, "ci_low": found.low, "ci_high": found.high}
    single = "one reference sample: the interval knows nothing of differences between people"
    words = {"verdict": FOUND if found.low > 0 else NOT_FOUND, "note": "" if len(known) > 1 else single}
    return numbers | {"background": found.background, "detection": found.detection} | words


def _why_not(row: dict[Any, Any], rule: DonorRule) -> str:
    """Return why sex genes cannot tell donor cells of a sample; empty when they can."""
    if row["product_origin"] in OWN:
        return f"product_origin is {row['product_origin']}"
    if rule.absent:
        return rule.absent
    if row["donor_sex"] not in OTHER_SEX:
        return "the donor's sex is not on the sheet"
    if row["patient_sex"] not in OTHER_SEX:
        return "the patient's sex is known neither from the sheet nor by genes"
    if row["donor_sex"] == row["patient_sex"]:
        return f"donor and patient are both {row['donor_sex']}"
    return IN_DOUBT if row["in_doubt"] else ""


def _cells(part: pd.DataFrame | None, sex: str) -> Cells:
    if part is None:
        return Cells(np.zeros(0), np.zeros(0, dtype=bool))
    return Cells(part["molecules"].to_numpy(dtype=float), (part[sex] > 0).to_numpy())


def _references(
    parts: Mapping[tuple[str, str], pd.DataFrame],
    known: pd.DataFrame,
    sex: str,
    study: Mapping[str, Any],
    rule: DonorRule,
) -> list[Cells]:
    sound = (known["sex_by_genes"] == sex) & ~known["in_doubt"]
    # Where there is one visit alone, nothing tells that it was before the product.
    before = known["visit"].eq(study["visits"][0]) & (len(study["visits"]) > 1)
    pure = before | known["product_origin"].isin(OWN) | known["donor_sex"].eq(sex)
    found = [_cells(parts.get((name, "nk")), sex) for name in known["sample"][sound & pure]]
    return [part for part in found if len(part.carries) >= rule.min_reference_cells and part.carries.any()]


def _by_genotype(row: dict[Any, Any], origins: Mapping[tuple[str, str], pd.Series], rule: DonorRule) -> dict[str, Any]:
    from scipy import stats

    made = {name: row[name] for name in IDS} | {"method": BY_GENOTYPE}
    own = {kind: origins.get((row["sample"], kind), pd.Series(dtype=object)) for kind in KINDS}
    if not any((part != "").any() for part in own.values()):
        return made | {"verdict": UNDETERMINED, "note": "not in the demultiplexing table"}
    for kind, part in own.items():
        counts = part.value_counts()
        donors = int(counts.get("donor", 0))
        made |= {f"{kind}_cells": donors + int(counts.get("patient", 0)), f"{kind}_carriers": donors}
    if made["nk_cells"] < rule.min_cells:
        return made | {"verdict": UNDETERMINED, "note": f"fewer than {rule.min_cells} NK cells told apart"}
    result = stats.binomtest(made["nk_carriers"], made["nk_cells"])
    limits = result.proportion_ci(confidence_level=rule.level, method="exact")
    background = made["other_carriers"] / made["other_cells"] if made["other_cells"] else 0.0
    numbers = {"share": float(result.statistic), "ci_low": float(limits.low), "ci_high": float(limits.high)}
    verdict = FOUND if limits.low > background else NOT_FOUND
    left = len(own["nk"]) - made["nk_cells"]
    notes = [f"{left} NK cells not told apart"] if left else []
    notes += [IN_DOUBT] if row["in_doubt"] else []
    notes += (
        [f"though product_origin is {row['product_origin']}"]
        if verdict == FOUND and row["product_origin"] in OWN
        else []
    )
    return made | numbers | {"background": background, "verdict": verdict, "note": "; ".join(notes)}


def _compared(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Say in both rows of a sample whether the two methods agree."""
    estimated = {(row["sample"], row["method"]): row for row in rows if row.get("share") is not None}
    told = []
    for row in rows:
        method = BY_GENOTYPE if row["method"] == BY_SEX else BY_SEX
        other = estimated.get((row["sample"], method))
        if other is None or row.get("share") is None:
            told.append(row)
            continue
        meets = row["ci_low"] <= other["ci_high"] and other["ci_low"] <= row["ci_high"]
        word = "agrees with" if meets else "differs from"
        note = f"{word} {100 * other['share']:.1f} % by {method.replace('_', ' ')}"
        told.append(row | {"note": "; ".join(part for part in (row["note"], note) if part)})
    return told

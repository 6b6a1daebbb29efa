"""The summary page: what was compared, what was found, and what could not be found."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import pandas as pd

from immune_landscape.display_text import (
    counted,
    format_effect,
    format_p,
    interval_name,
    shown,
    shown_layer,
    shown_parent,
)
from immune_landscape.html_parts import (
    Html,
    bullets,
    cards,
    frame_table,
    join,
    page,
    section,
    table,
    tag,
)
from immune_landscape.palette import GROUPS, LAYERS, MUTED, VERDICTS, text_on
from immune_landscape.report_claims import claim_section
from immune_landscape.report_clinical import clinical_section
from immune_landscape.report_labels import agreement_section, cluster_section, identity_section
from immune_landscape.report_layers import (
    brief_lines,
    contrast_sections,
    definition_section,
    expression_section,
    null_section,
    power_section,
)

Tables = Mapping[str, pd.DataFrame | None]

PACKAGES = (
    "anndata",
    "scanpy",
    "scirpy",
    "harmonypy",
    "leidenalg",
    "igraph",
    "umap-learn",
    "decoupler",
    "numpy",
    "scipy",
    "pandas",
    "matplotlib",
    "snakemake",
)
COMPARED_AS = {"gex": "composition", "tcr": "expansion", "bulk_tcr": "repertoires"}
"""Kind of file -> layer that it is compared as."""

SHEETS = ("populations", "measures")
"""Layers that come with a sheet of their own."""


def report_cohort(tables: Tables, study: Mapping[str, Any]) -> str:
    """Write the summary page, every number of it from the tables.

    Parameters
    ----------
    tables
        By name, None or absent for what was not run: ``design`` (required), ``notes``, ``steps``,
        ``contrasts`` (all layers, as merged), ``null``, ``swept`` (definitions of a responder), ``claims``,
        ``expression``, ``agreement``, ``clusters_nk``, ``clusters_t``, ``anchors_nk``, ``anchors_t``, ``identity``,
        ``shared_clones``, ``donor_cells``, ``metrics``, ``chain_qc``, ``recovery``, ``endpoints``, ``comparisons``,
        ``safety``, ``mtd``, ``links``, ``marker_classes``, ``marker_conflicts``, ``versions``.
    study
        Facts of the cohort: title, simulated, visits, tissues, labels, contrasts, and alpha and power.

    Returns
    -------
    str
        An HTML document without scripts that loads nothing.
    """
    parts = [
        _banner(study),
        tag("h1", str(study.get("title") or "Cohort")),
        tag(
            "p",
            "Patient-level summary. The unit of every comparison is the patient, never the cell.",
            class_="lead",
        ),
        _brief(tables, study),
        section("Prior claims", _claims(tables, study)),
        section("Cohort", _flow(tables, study), _visits(tables, study)),
        section("What was analysed", _layers(tables, study)),
        section("Clinical endpoints", clinical_section(tables, study)),
        section("Primary families", _contrasts(tables, study, primary=True)),
        section("Other contrasts", _contrasts(tables, study, primary=False)),
        section("Gene expression by subset", _expression(tables, study)),
        section("Other definitions of a responder", _definitions_swept(tables, study)),
        section("What this cohort can show", _power(tables, study)),
        section("What luck would find", _null(tables, study)),
        section("Planted effects of the simulation", _recovery(tables, study)),
        section("Names of the cells", _labels(tables, study)),
        section("T-cell receptors", _receptors(tables)),
        section("Identity of the samples", _identity(tables)),
        section("Quality control", _quality(tables)),
        section("Notes of the input checks", _notes(tables)),
        section("Definitions", _definitions(study)),
        section("Software", _versions(tables)),
    ]
    return str(page(str(study.get("title") or "Cohort"), join(parts)))


def software_versions() -> pd.DataFrame:
    """List the versions of the packages that make the results, as installed here.

    Returns
    -------
    pandas.DataFrame
        ``package``, ``version``.
    """
    rows = []
    for name in PACKAGES:
        try:
            rows.append((name, version(name)))
        except PackageNotFoundError:
            continue
    return pd.DataFrame(rows, columns=["package", "version"])


def _get(tables: Tables, name: str) -> pd.DataFrame | None:
    found = tables.get(name)
    return None if found is None or found.empty else found


def _banner(study: Mapping[str, Any]) -> Html | None:
    if not study.get("simulated"):
        return None
    text = " Every number on this page describes made-up patients and says nothing of any treatment."
    return tag("div", tag("b", "SIMULATED DATA."), text, class_="simulated")


def _brief(tables: Tables, study: Mapping[str, Any]) -> Html:
    """Give the answer first."""
    contrasts, claims, recovery = (_get(tables, name) for name in ("contrasts", "claims", "recovery"))
    lines: list[str] = []
    if not study.get("unblinded", True):
        lines.append(
            "Masked: arms are not told apart, and no patient's response or outcome is told; endpoints are pooled."
        )
    if contrasts is None:
        lines.append("No contrast was compared: none is declared, or the cohort holds no data to compare.")
    else:
        lines += brief_lines(contrasts, study) or ["No contrast of the primary family is declared."]
    if claims is not None:
        counts = claims["verdict"].value_counts()
        lines.append(f"Prior claims: {', '.join(f'{count} {verdict}' for verdict, count in counts.items())}.")
    if recovery is not None:
        planted = recovery[recovery["planted"] != 0]
        found = planted[planted["verdict"] == "recovered"]
        lines.append(f"Simulation: {len(found)} of {counted(len(planted), 'planted effect')} recovered.")
    return tag("div", tag("b", "In brief"), bullets(lines), class_="brief")


def _flow(tables: Tables, study: Mapping[str, Any]) -> Html:
    design = tables["design"]
    if design is None or design.empty:
        return tag("p", "The design table has no sample.")
    patients = design.drop_duplicates("patient")
    response = patients["response"].fillna("").astype(str)
    facts = {"patients with samples": f"{len(patients):,}"}
    if "evaluable" in patients:
        facts["marked evaluable"] = f"{(patients['evaluable'] == 'yes').sum():,}"
    for group in ("responder", "non_responder"):
        facts[shown(study, group).lower()] = f"{(response == group).sum():,}"
    facts["response not known"] = f"{(response == '').sum():,}"
    facts["samples"] = f"{len(design):,}"
    visits = list(study.get("visits") or [])
    if len(visits) > 1:
        seen = design.groupby("patient")["visit"].agg(set)
        facts["patients with every visit"] = f"{sum(set(visits) <= have for have in seen):,}"
    return cards(facts)


def _visits(tables: Tables, study: Mapping[str, Any]) -> Html | None:
    design = _get(tables, "design")
    if design is None:
        return None
    keys = ["tissue", "visit"]
    order = {name: at for key in ("tissues", "visits") for at, name in enumerate(study.get(key) or [])}
    groups = sorted(
        design.groupby(keys, sort=False),
        key=lambda item: [order.get(str(name), len(order)) for name in item[0]],
    )
    rows = []
    for (tissue, visit), part in groups:
        response = part.drop_duplicates("patient")["response"].fillna("").astype(str)
        counts = [int((response == group).sum()) for group in GROUPS]
        rows.append([shown(study, str(tissue)), shown(study, str(visit)), len(part), *counts])
    headings = ["Tissue", "Visit", "Samples", "Responders", "Non-responders", "Response not known"]
    return table(headings, rows, numbers=range(2, 6))


def _layers(tables: Tables, study: Mapping[str, Any]) -> Html | None:
    design = _get(tables, "design")
    if design is None:
        return None
    rows = []
    for layer in LAYERS:
        held = design[layer].fillna("").astype(str) != "" if layer in design else pd.Series(False, index=design.index)
        analysed = COMPARED_AS[layer] in (study.get("layers") or [])
        status = (
            "analysed"
            if analysed
            else "files given, not analysed here"
            if held.any()
            else "missing: the sample sheet names no file"
        )
        rows.append(
            [
                shown(study, layer),
                f"{held.sum()} of {len(design)}",
                design.loc[held, "patient"].nunique(),
                status,
            ]
        )
    rows += [
        [shown_layer(name), "–", "–", "analysed" if name in (study.get("layers") or []) else "missing: no sheet"]
        for name in SHEETS
    ]
    return table(["Layer", "Samples", "Patients", "Status"], rows, numbers=(1, 2))


def _contrasts(tables: Tables, study: Mapping[str, Any], *, primary: bool) -> Html | None:
    contrasts = _get(tables, "contrasts")
    if contrasts is None:
        return tag("p", "Nothing was compared.") if primary else None
    parts = list(contrast_sections(contrasts, study, primary=primary))
    if not parts:
        return tag("p", "No contrast of the primary family is declared.") if primary else None
    return join(parts)


def _null(tables: Tables, study: Mapping[str, Any]) -> Html | None:
    null = _get(tables, "null")
    return None if null is None else null_section(null, study)


def _power(tables: Tables, study: Mapping[str, Any]) -> Html | None:
    contrasts = _get(tables, "contrasts")
    return None if contrasts is None else power_section(contrasts, study)


def _definitions_swept(tables: Tables, study: Mapping[str, Any]) -> Html | None:
    swept, contrasts = _get(tables, "swept"), _get(tables, "contrasts")
    return None if swept is None or contrasts is None else definition_section(swept, contrasts, study)


def _expression(tables: Tables, study: Mapping[str, Any]) -> Html | None:
    subsets = _get(tables, "expression")
    return None if subsets is None else expression_section(subsets, study)


def _claims(tables: Tables, study: Mapping[str, Any]) -> Html:
    claims = _get(tables, "claims")
    if claims is None:
        return tag("p", "No claims are declared: nothing published before is held against this cohort.")
    return claim_section(claims, study)


def _labels(tables: Tables, study: Mapping[str, Any]) -> Html | None:
    agreement = _get(tables, "agreement")
    parts = [] if agreement is None else [agreement_section(agreement, study)]
    for branch in ("nk", "t"):
        clusters, anchors = tables.get(f"clusters_{branch}"), tables.get(f"anchors_{branch}")
        if clusters is not None and anchors is not None and len(clusters):
            parts += [tag("h3", shown_parent(study, branch)), cluster_section(clusters, anchors, study)]
    return join(parts) if parts else None


def _identity(tables: Tables) -> Html | None:
    held = [_get(tables, name) for name in ("identity", "donor_cells", "shared_clones")]
    return None if all(table is None for table in held) else identity_section(*held)


def _recovery(tables: Tables, study: Mapping[str, Any]) -> Html | None:
    recovery = _get(tables, "recovery")
    if recovery is None:
        return None
    planted = recovery[recovery["planted"] != 0]
    found = planted["verdict"] == "recovered"
    others = recovery.loc[recovery["planted"] == 0, "verdict"].value_counts()
    lists = [
        tag("p", tag("b", "Recovered: "), _names(planted[found], study)),
        tag("p", tag("b", "Not recovered: "), _names(planted[~found], study)),
        tag(
            "p",
            tag("b", "Subsets without a planted effect: "),
            ", ".join(f"{count} {name}" for name, count in others.items()) or "none",
        ),
    ]
    rows = [
        [
            shown(study, str(row["subset"])),
            f"{row['planted']:+.2f}".replace("-", "−"),
            format_effect(row),
            format_p(row["p"]),
            format_p(row["p_maxt"]),
            _badge(str(row["verdict"])),
            "" if pd.isna(row.get("reason")) else str(row.get("reason")),
        ]
        for row in planted.to_dict("records")
    ]
    headings = ["Subset", "Planted", f"Found [{interval_name(study)}]", "p", "p maxT", "Verdict", "Why missed"]
    return join([*lists, table(headings, rows, numbers=(1, 2, 3, 4))])


def _names(rows: pd.DataFrame, study: Mapping[str, Any]) -> str:
    return ", ".join(shown(study, str(name)) for name in rows["subset"]) or "none"


def _badge(verdict: str) -> Html:
    colour = VERDICTS.get(verdict, MUTED)
    return tag("span", verdict, class_="badge", style=f"background:{colour};color:{text_on(colour)}")


def _receptors(tables: Tables) -> Html | None:
    chain_qc = _get(tables, "chain_qc")
    if chain_qc is None:
        return tag("p", "No single-cell TCR was analysed.")
    cells = chain_qc.groupby("chain_pairing")["cells"].sum()
    total = int(cells.sum())
    facts = {"samples": f"{chain_qc['sample'].nunique():,}", "barcodes": f"{total:,}"}
    facts["single pair"] = f"{cells.get('single pair', 0) / total:.0%}" if total else "–"
    facts["multichain"] = f"{cells.get('multichain', 0) / total:.1%}" if total else "–"
    metrics = _get(tables, "metrics")
    depth = metrics["depth"].dropna() if metrics is not None else pd.Series(dtype=float)
    if len(depth):
        facts["cells per sample after standardising"] = f"{int(depth.iloc[0]):,}"
    return cards(facts)


def _quality(tables: Tables) -> Html | None:
    steps = _get(tables, "steps")
    if steps is None:
        return tag("p", "No gene expression was analysed.")
    names = {
        "loaded": "cells loaded",
        "passed_quality": "passed quality control",
        "called_doublet": "called doublets",
        "kept": "kept",
    }
    low = steps.sort_values("kept", kind="stable").iloc[0]
    text = f"Fewest cells kept: {int(low['kept']):,} in sample {low['sample']}."
    return join(
        [
            cards({text: f"{int(steps[name].sum()):,}" for name, text in names.items()}),
            tag("p", text, class_="small"),
        ]
    )


def _notes(tables: Tables) -> Html:
    notes = _get(tables, "notes")
    return tag("p", "None.") if notes is None else frame_table(notes, limit=100)


def _definitions(study: Mapping[str, Any]) -> Html:
    alpha = float(study["alpha"])
    interval = interval_name(study)
    words = {
        "Responder": "By the best response of the patient sheet, as the cohort's configuration groups it. "
        "Response was not assigned at random.",
        "Effect": "Composition: mean difference, between groups of patients, of centred log ratios (natural "
        "log) of a subset within its parent; +0.69 is a doubling against the others. "
        "Other layers: in units of their values, each on the scale that its table names.",
        interval: "Effects that the permutation test does not reject; ∞: no finite bound can be excluded.",
        "p": "Two-sided, from a studentised difference permuted over patients; never 0.",
        "p maxT": "p corrected for all tests of the family (Westfall and Young). "
        f"A row is called associated below {alpha:g}.",
        "Flips": "Patients without whom p lies on the other side of the level: a finding that hangs on few patients "
        "has as many flips.",
        "Underpowered": "Below the minimum detectable effect of one test with these patients. "
        "An effect that was not found may still be there.",
        "Too sparse": "A subset with too few cells in too many samples; set aside before any test.",
    }
    return tag("dl", *(join([tag("dt", name), tag("dd", text)]) for name, text in words.items()))


def _versions(tables: Tables) -> Html | None:
    versions = _get(tables, "versions")
    if versions is None:
        return None
    return tag("p", ", ".join(" ".join(map(str, row)) for row in versions.iloc[:, :2].to_numpy()), class_="small")

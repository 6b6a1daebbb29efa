"""The summary page: what was compared, what was found, and what could not be found."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import pandas as pd

from immune_landscape.contrast_tests import is_significant
from immune_landscape.display_text import (
    counted,
    format_effect,
    format_p,
    interval_name,
    patients_of,
    reach_of,
    sentence,
    shown,
    shown_parent,
)
from immune_landscape.draw_contrasts import question_of
from immune_landscape.draw_expansion import METRICS
from immune_landscape.html_parts import (
    Html,
    bullets,
    cards,
    frame_table,
    interval_bar,
    join,
    page,
    section,
    table,
    tag,
)
from immune_landscape.measure_composition import is_unassigned
from immune_landscape.palette import GROUPS, LAYERS, MUTED, VERDICTS, text_on
from immune_landscape.verdicts import verdict_of

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
MADE_BY = {"gex": "steps", "tcr": "chain_qc", "bulk_tcr": ""}
"""Table that shows that a layer was analysed."""


def report_cohort(tables: Tables, study: Mapping[str, Any], *, alpha: float) -> str:
    """Write the summary page, every number of it from the tables.

    Parameters
    ----------
    tables
        By name, None or absent for what was not run: ``design`` (required), ``notes``, ``steps``,
        ``contrasts``, ``expansion_contrasts``, ``metrics``, ``chain_qc``, ``recovery``, ``versions``.
    study
        Facts of the cohort: title, simulated, visits, tissues, labels, contrasts, and alpha and power.
    alpha
        Level of the corrected p value at which a row is called associated.

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
        _brief(tables, study, alpha),
        section("Cohort", _flow(tables, study), _visits(tables, study)),
        section("What was analysed", _layers(tables, study)),
        section("Composition: primary family", _composition(tables, study, alpha, primary=True)),
        section("Composition: other contrasts", _composition(tables, study, alpha, primary=False)),
        section("Planted effects of the simulation", _recovery(tables, study)),
        section("T-cell receptors", _receptors(tables, study, alpha)),
        section("Quality control", _quality(tables)),
        section("Notes of the input checks", _notes(tables)),
        section("Definitions", _definitions(study, alpha)),
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


def _brief(tables: Tables, study: Mapping[str, Any], alpha: float) -> Html:
    """Give the answer first."""
    lines: list[str] = []
    contrasts = _get(tables, "contrasts")
    if contrasts is None:
        lines.append("No composition contrast was compared: none is declared, or no sample has gene expression.")
    else:
        lines += [
            _brief_contrast(rows, study, alpha, "subset") for rows in _by_contrast(_family(contrasts, study, True))
        ]
    expansion = _get(tables, "expansion_contrasts")
    if expansion is not None:
        rows = expansion[expansion["family"] == "primary"]
        lines += [_brief_contrast(part, study, alpha, "metric") for part in _by_contrast(rows)]
    recovery = _get(tables, "recovery")
    if recovery is not None:
        planted = recovery[recovery["planted"] != 0]
        found = planted[planted["verdict"] == "recovered"]
        lines.append(f"Simulation: {len(found)} of {counted(len(planted), 'planted effect')} recovered.")
    return tag("div", tag("b", "In brief"), bullets(lines), class_="brief")


def _brief_contrast(rows: pd.DataFrame, study: Mapping[str, Any], alpha: float, item: str) -> str:
    tested = rows[rows["status"] == "tested"]
    hits = [_name(row, study, item) for row in tested.to_dict("records") if is_significant(row, alpha)]
    what = "subset" if item == "subset" else "repertoire metric"
    start = f"{sentence(question_of(rows, study))}: {counted(len(tested), what)} tested"
    untested = len(rows) - len(tested)
    start += f" ({untested} could not be)" if untested else ""
    if not hits:
        return f"{start}; none significant after correction, which does not show that there is no difference."
    return f"{start}; associated after correction: {', '.join(hits)}."


def _name(row: Mapping[Any, Any], study: Mapping[str, Any], item: str) -> str:
    value = str(row[item])
    return METRICS.get(value, value) if item == "metric" else shown(study, value)


def _flow(tables: Tables, study: Mapping[str, Any]) -> Html:
    design = tables["design"]
    if design is None or design.empty:
        return tag("p", "The design table has no sample.")
    patients = design.drop_duplicates("patient")
    response = patients["response"].fillna("").astype(str)
    facts = {"patients": f"{len(patients):,}"}
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
        analysed = bool(MADE_BY[layer]) and _get(tables, MADE_BY[layer]) is not None
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
    return table(["Layer", "Samples", "Patients", "Status"], rows, numbers=(1, 2))


def _family(contrasts: pd.DataFrame, study: Mapping[str, Any], primary: bool) -> pd.DataFrame:
    """Rows of the primary family (its declared subsets, or all that are named), or all other rows."""
    declared = {item["name"]: list(item.get("subsets") or []) for item in study.get("contrasts") or []}
    listed = [
        row["family"] == "primary"
        and (
            row["subset"] in declared[row["contrast"]]
            if declared.get(row["contrast"])
            else not is_unassigned(str(row["subset"]))
        )
        for row in contrasts.to_dict("records")
    ]
    return contrasts[np.array(listed, dtype=bool) == primary]


def _by_contrast(contrasts: pd.DataFrame) -> list[pd.DataFrame]:
    return [rows for _, rows in contrasts.groupby("contrast", sort=False)]


def _composition(tables: Tables, study: Mapping[str, Any], alpha: float, *, primary: bool) -> Html | None:
    contrasts = _get(tables, "contrasts")
    if contrasts is None:
        return tag("p", "Nothing was compared.") if primary else None
    chosen = _by_contrast(_family(contrasts, study, primary))
    if not chosen:
        return tag("p", "No contrast of the primary family is declared.") if primary else None
    parts = [_contrast(rows, study, alpha, "subset", folded=not primary) for rows in chosen]
    return join(parts)


def _contrast(rows: pd.DataFrame, study: Mapping[str, Any], alpha: float, item: str, *, folded: bool) -> Html:
    rows = rows.assign(rank=rows["p"].fillna(2)).sort_values("rank", kind="stable")
    family = str(rows["family"].iloc[0])
    place = "outside the primary family" if folded and family == "primary" else family
    title = f"{sentence(question_of(rows, study))} ({place})"
    labelings = rows.loc[rows["status"] == "tested", "labelings"].dropna()
    text = (
        f"Permutation test of patients over {int(labelings.max()):,} labelings."
        if len(labelings)
        else "No row was tested."
    )
    content = join([tag("p", text, class_="small"), _contrast_table(rows, study, alpha, item)])
    return tag("details", tag("summary", title), content) if folded else join([tag("h3", title), content])


def _contrast_table(rows: pd.DataFrame, study: Mapping[str, Any], alpha: float, item: str) -> Html:
    interval = interval_name(study)
    reach = _reach(rows)
    lines = []
    for row in rows.to_dict("records"):
        significant = is_significant(row, alpha)
        verdict = tag("span", verdict_of(row, study, alpha), class_=f"verdict {'yes' if significant else 'no'}")
        n = patients_of(row)
        parent = (
            ""
            if row["parent"] in ("", "all", "cells") or pd.isna(row["parent"])
            else f"of {shown_parent(study, str(row['parent']))}"
        )
        name = tag("span", _name(row, study, item), tag("i", parent) if parent else None, class_="item")
        # Metrics have units of their own, so each has a picture of its own scale.
        own = reach if item == "subset" else _reach(pd.DataFrame([row]))
        bar = interval_bar(row, own, "#0F4C81" if significant else "#8A949E")
        lines.append([name, n, bar, format_effect(row), format_p(row["p"]), format_p(row["p_maxt"]), verdict])
    headings = [
        "Subset" if item == "subset" else "Metric",
        "n",
        interval,
        f"Effect [{interval}]",
        "p",
        "p maxT",
        "Verdict",
    ]
    return table(headings, lines, numbers=(1, 3, 4, 5))


def _reach(rows: pd.DataFrame) -> float:
    """Effect at the end of the small pictures; one very wide interval does not shrink the others."""
    effects = float(rows["effect"].abs().max()) if rows["effect"].notna().any() else 0.0
    return reach_of(effects, pd.concat([rows["ci_low"], rows["ci_high"]]), most=2.5) * 1.05 or 1.0


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
        ]
        for row in planted.to_dict("records")
    ]
    headings = ["Subset", "Planted", f"Found [{interval_name(study)}]", "p", "p maxT", "Verdict"]
    return join([*lists, table(headings, rows, numbers=(1, 2, 3, 4))])


def _names(rows: pd.DataFrame, study: Mapping[str, Any]) -> str:
    return ", ".join(shown(study, str(name)) for name in rows["subset"]) or "none"


def _badge(verdict: str) -> Html:
    colour = VERDICTS.get(verdict, MUTED)
    return tag("span", verdict, class_="badge", style=f"background:{colour};color:{text_on(colour)}")


def _receptors(tables: Tables, study: Mapping[str, Any], alpha: float) -> Html | None:
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
    contrasts = _get(tables, "expansion_contrasts")
    parts = (
        []
        if contrasts is None
        else [
            _contrast(rows, study, alpha, "metric", folded=rows["family"].iloc[0] != "primary")
            for rows in _by_contrast(contrasts)
        ]
    )
    return join([cards(facts), *parts])


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


def _definitions(study: Mapping[str, Any], alpha: float) -> Html:
    interval = interval_name(study)
    words = {
        "Responder": "By the best response of the patient sheet, as the cohort's configuration groups it. "
        "Response was not assigned at random.",
        "Effect": "Composition: mean difference, between groups of patients, of centred log ratios (natural "
        "log) of a subset within its parent; +0.69 is a doubling against the others. "
        "Repertoire: in units of the metric.",
        interval: "Effects that the permutation test does not reject; ∞: no finite bound can be excluded.",
        "p": "Two-sided, from a studentised difference permuted over patients; never 0.",
        "p maxT": "p corrected for all tests of the family (Westfall and Young). "
        f"A row is called associated at {alpha:g} or below.",
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

"""Made-up tables with the columns that the rules write, for tests of figures and of the summary page."""

import numpy as np
import pandas as pd

from immune_landscape.cell_types import types_of
from immune_landscape.measure_markers import marker_genes
from immune_landscape.merge_contrasts import merge_contrasts

STUDY = {
    "title": "Made-up cohort",
    "simulated": True,
    "visits": ["baseline", "on_treatment"],
    "tissues": ["blood"],
    "labels": {},
    "alpha": 0.05,
    "contrasts": [
        {
            "name": "response_change",
            "estimand": "response_by_visit",
            "reference": "baseline",
            "target": "on_treatment",
            "factor": "visit",
            "family": "primary",
        },
        {
            "name": "at_baseline",
            "estimand": "baseline",
            "reference": "baseline",
            "target": "",
            "factor": "visit",
            "family": "secondary",
        },
        {
            "name": "all_change",
            "estimand": "change",
            "reference": "baseline",
            "target": "on_treatment",
            "factor": "visit",
            "family": "secondary",
        },
    ],
}
SUBSETS = {
    "nk": list(types_of("subset", branch="nk").index),
    "t": list(types_of("subset", branch="t").index),
    "all": list(types_of("lineage").index),
}
METRICS = (
    "expanded_share",
    "top_clone_share",
    "gini_simpson",
    "pielou",
    "clonality",
    "hill_0",
    "hill_1",
    "hill_2",
)


def design_of(patients=19, responders=6, visits=("baseline", "on_treatment"), *, response=True, missing=2):
    """Return a design; the last patients lack the last visit."""
    rows = []
    for at in range(patients):
        group = ("responder" if at < responders else "non_responder") if response else ""
        for visit in visits[: len(visits) - (len(visits) > 1 and at >= patients - missing)]:
            sample = f"P{at + 1:02d}_{visit}"
            rows.append(
                {
                    "sample": sample,
                    "patient": f"P{at + 1:02d}",
                    "visit": visit,
                    "tissue": "blood",
                    "batch": f"b{at % 4 + 1}",
                    "gex": f"{sample}.h5",
                    "tcr": f"{sample}.csv" if at % 5 else "",
                    "bulk_tcr": "",
                    "response": group,
                    "arm": "",
                    "best_response": {"responder": "PR", "non_responder": "PD", "": ""}[group],
                    "evaluable": "yes",
                }
            )
    return pd.DataFrame(rows)


def steps_of(design, seed=1):
    rng = np.random.default_rng(seed)
    loaded = rng.integers(900, 4000, len(design))
    passed = (loaded * rng.uniform(0.75, 0.95, len(design))).astype(int)
    doublets = (passed * 0.04).astype(int)
    columns = {"sample": design["sample"], "loaded": loaded, "passed_quality": passed}
    return pd.DataFrame({**columns, "called_doublet": doublets, "kept": passed - doublets})


def quality_of(design, cells=150, seed=1):
    rng = np.random.default_rng(seed)
    tables = []
    for sample in design["sample"]:
        total = np.exp(rng.normal(8.3 + rng.normal(0, 0.2), 0.6, cells))
        mt = rng.gamma(3, 1.6, cells)
        keep = (total > 900) & (mt < 12)
        genes = (total**0.8 * 1.3).astype(int)
        tables.append(
            pd.DataFrame(
                {
                    "cell": [f"{sample}:{i}" for i in range(cells)],
                    "sample": sample,
                    "total_counts": total.astype(int),
                    "n_genes": genes,
                    "pct_mt": mt,
                    "keep": keep,
                    "reason": np.where(keep, "", "high_mt"),
                }
            )
        )
    return pd.concat(tables, ignore_index=True)


def doublets_of(quality, seed=1):
    rng = np.random.default_rng(seed)
    table = quality.loc[quality["keep"], ["cell", "sample"]].copy()
    table["expected_rate"] = 0.025
    table["doublet_score"] = rng.beta(1, 8, len(table))
    table["doublet"] = rng.random(len(table)) < 0.04
    kinds = dict(
        zip(
            table["sample"].unique(),
            ["scrublet", "expected_rate", "scrublet", "not_scored"] * 100,
            strict=False,
        )
    )
    return table.assign(cutoff=table["sample"].map(kinds))


def composition_of(design, seed=1):
    rng = np.random.default_rng(seed)
    tables = []
    for parent, subsets in SUBSETS.items():
        weights = rng.gamma(1, 1, len(subsets)) + 0.02
        for row in design.to_dict("records"):
            cells = rng.multinomial(600, rng.dirichlet(weights / weights.sum() * 60))
            facts = {name: row[name] for name in ("sample", "patient", "visit", "tissue")}
            tables.append(
                pd.DataFrame(
                    {
                        **facts,
                        "parent": parent,
                        "subset": subsets,
                        "cells": cells,
                        "total": 600,
                        "proportion": cells / 600,
                    }
                )
            )
    return pd.concat(tables, ignore_index=True)


def contrasts_of(study=STUDY, *, item="subset", seed=1, n=(6, 13)):
    """Return a contrasts table with tested, sparse, untestable, unbounded and cut rows."""
    rng = np.random.default_rng(seed)
    names = (
        [(parent, name) for parent in ("nk", "t") for name in SUBSETS[parent]]
        if item == "subset"
        else [("all", name) for name in METRICS]
    )
    rows = []
    for contrast in study["contrasts"]:
        one = contrast["estimand"] == "change"
        for parent, name in names:
            effect, half = rng.normal(0, 0.6), rng.uniform(0.5, 1.2)
            rows.append(
                {
                    "contrast": contrast["name"],
                    "estimand": contrast["estimand"],
                    "family": contrast["family"],
                    "parent": parent,
                    item: name,
                    "group_a": "all" if one else "responder",
                    "group_b": "" if one else "non_responder",
                    "n_a": sum(n) if one else n[0],
                    "n_b": 0 if one else n[1],
                    "effect": effect,
                    "ci_low": effect - half,
                    "ci_high": effect + half,
                    "ci_method": "inverted permutation test",
                    "statistic": effect / half * 2,
                    "p": min(1.0, 2 * np.exp(-2 * abs(effect) / half)),
                    "p_maxt": min(1.0, 6 * np.exp(-2 * abs(effect) / half)),
                    "labelings": 27132,
                    "exact": True,
                    "mde": 1.47 * half / 1.1,
                    "mde_d": 1.47,
                    "mde_d_family": 2.09,
                    "min_p": 1 / 27132,
                    "loo_flips": 1.0,
                    "status": "tested",
                    "note": "",
                }
            )
    table = pd.DataFrame(rows)
    blank = ["effect", "ci_low", "ci_high", "statistic", "p", "p_maxt", "labelings", "mde"]
    table = table.astype(dict.fromkeys(blank, float))
    each = len(names)
    for start in range(0, len(table), each):
        table.loc[start + 2, blank] = np.nan
        table.loc[start + 2, ["status", "note"]] = ["too_sparse", "fewer than 20 cells in 30 of 38 samples"]
        table.loc[start + 3, ["ci_low", "ci_high"]] = [-np.inf, np.inf]
        table.loc[start + 4, ["ci_high"]] = [40.0]
        table.loc[start + 5, blank] = np.nan
        table.loc[start + 5, ["status", "note"]] = ["not_testable", "groups and strata are confounded"]
        table.loc[start + 6, ["effect", "ci_low", "ci_high", "p", "p_maxt"]] = [
            1.9,
            0.9,
            2.9,
            0.00004,
            0.0007,
        ]
    return table


def merged_of(study=STUDY):
    """Return the contrasts of two layers as `merge_contrasts` stacks them."""
    layers = {"composition": contrasts_of(study), "expansion": contrasts_of(study, item="feature")}
    units = {"expansion": layers["expansion"][["parent", "feature"]].assign(unit="index")}
    return merge_contrasts(layers, units, study["contrasts"])


def null_of(study=STUDY):
    """Return null runs of the contrasts, stacked over layers."""
    rows = [
        {
            "layer": layer,
            "contrast": contrast["name"],
            "family": contrast["family"],
            "tests": 20,
            "runs": 1000,
            "found": 4,
            "found_corrected": 2,
            "null_mean_found": 1.02,
            "null_mean_corrected": 0.053,
            "null_share_any": 0.4,
        }
        for layer in ("composition", "expansion")
        for contrast in study["contrasts"]
    ]
    return pd.DataFrame(rows)


def definitions_of(merged):
    """Return the contrasts of the response again, under two other definitions."""
    rows = merged[merged["status"] == "tested"]
    tables = [
        rows.assign(definition=name, effect=rows["effect"] * factor, same_sign=True)
        for name, factor in (("as declared", 1.0), ("CR, PR or SD", 0.8), ("P03 (PR) moved", 0.7))
    ]
    columns = ["layer", "contrast", "parent", "feature", "definition", "n_a", "n_b", "effect", "p", "same_sign"]
    return pd.concat(tables, ignore_index=True)[columns]


def differences_of(composition, design, contrasts, study=STUDY):
    """Return patient-level values behind contrasts, proportions taken from the composition."""
    tables = []
    for contrast in study["contrasts"]:
        levels = [contrast["reference"], contrast["target"] or contrast["reference"]]
        share = composition.pivot_table(
            index=["parent", "subset", "patient"], columns="visit", values="proportion", aggfunc="first"
        )
        pairs = (
            share[levels[:1] + levels[1:]].dropna().reset_index()
            if levels[0] != levels[1]
            else share[levels[:1]].dropna().reset_index()
        )
        response = design.drop_duplicates("patient").set_index("patient")["response"]
        before, after = pairs[levels[0]].to_numpy(), pairs[levels[1]].to_numpy()
        if contrast["estimand"] == "baseline":
            after = np.full(len(before), np.nan)
        ratio = [np.log(part + 0.001) + 3 for part in (before, after)]
        group = "all" if contrast["estimand"] == "change" else pairs["patient"].map(response)
        tables.append(
            pd.DataFrame(
                {
                    "contrast": contrast["name"],
                    "parent": pairs["parent"],
                    "subset": pairs["subset"],
                    "patient": pairs["patient"],
                    "group": group,
                    "before": ratio[0],
                    "after": ratio[1],
                    "difference": ratio[1] - ratio[0],
                    "before_proportion": before,
                    "after_proportion": after,
                }
            )
        )
    return pd.concat(tables, ignore_index=True)


def umap_of(design, branch="t", cells=9000, seed=1):
    rng = np.random.default_rng(seed)
    names = SUBSETS[branch]
    centres = rng.uniform(-9, 9, (len(names), 2))
    label = rng.choice(len(names), cells, p=rng.dirichlet(np.full(len(names), 2.0)))
    places = centres[label] + rng.normal(0, 1.1, (cells, 2))
    sample = design.iloc[rng.integers(0, len(design), cells)].reset_index(drop=True)
    facts = sample[["sample", "patient", "visit", "response", "batch"]]
    return pd.DataFrame(
        {
            "cell": [f"c{i}" for i in range(cells)],
            "umap_1": places[:, 0],
            "umap_2": places[:, 1],
            "label": [names[i] for i in label],
            "cluster_name": [f"c{i + 1}-GENE{i}" if branch != "all" else "" for i in label],
        }
    ).join(facts)


def clonotypes_of(design, cells=220, seed=1):
    rng = np.random.default_rng(seed)
    tables = []
    for row in design[design["tcr"] != ""].to_dict("records"):
        clone = np.minimum(rng.zipf(1.5, cells), 10_000)
        has = rng.random(cells) < 0.85
        pairing = np.where(
            has,
            rng.choice(
                ["single pair", "orphan VDJ", "extra VJ", "orphan VJ", "extra VDJ"],
                cells,
                p=[0.7, 0.15, 0.08, 0.05, 0.02],
            ),
            rng.choice(["no IR", "multichain"], cells, p=[0.6, 0.4]),
        )
        facts = {name: row[name] for name in ("sample", "patient", "visit")}
        table = pd.DataFrame(
            {
                **facts,
                "chain_pairing": pairing,
                "has_receptor": has,
                "clonotype": [f"{row['patient']}-{c}" if h else "" for c, h in zip(clone, has, strict=True)],
            },
            index=[f"{row['sample']}:{i}" for i in range(cells)],
        )
        sizes = table.loc[has].groupby("clonotype")["sample"].transform("size")
        tables.append(table.assign(clonotype_size_sample=sizes.reindex(table.index).astype("Int64")))
    return pd.concat(tables).rename_axis("cell")


def chain_qc_of(clonotypes):
    counted = clonotypes.groupby(["sample", "patient", "visit", "chain_pairing"]).size().rename("cells").reset_index()
    counted["total"] = counted.groupby("sample")["cells"].transform("sum")
    return counted.assign(proportion=counted["cells"] / counted["total"])


def labels_of(clonotypes, seed=1):
    rng = np.random.default_rng(seed)
    subset = rng.choice(SUBSETS["t"], len(clonotypes), p=rng.dirichlet(np.full(len(SUBSETS["t"]), 2.0)))
    return pd.DataFrame(
        {"sample": clonotypes["sample"], "lineage": "t", "branch": "t", "subset": subset},
        index=clonotypes.index,
    )


def expansion_of(design, seed=1):
    """Return metrics of `measure_expansion` of all samples."""
    rng = np.random.default_rng(seed)
    rows = []
    for row in design.to_dict("records"):
        for metric in METRICS:
            value = rng.uniform(0.2, 0.7) * (150 if metric.startswith("hill") else 1)
            facts = {name: row[name] for name in ("sample", "patient", "visit", "tissue", "response")}
            spread = {"value": value, "low": value * 0.93, "high": value * 1.06, "depth": 180, "n_cells": 400}
            rows.append({**facts, "scope": "all", "metric": metric, **spread, "standardised": True, "unit": "index"})
    return pd.DataFrame(rows)


def expansion_differences(metrics, study=STUDY):
    tables = []
    for contrast in study["contrasts"]:
        wide = metrics.pivot_table(
            index=["metric", "patient", "response"], columns="visit", values="value", aggfunc="first"
        ).reset_index()
        baseline = contrast["estimand"] == "baseline"
        after = np.nan if baseline else wide[contrast["target"]]
        group = "all" if contrast["estimand"] == "change" else wide["response"]
        table = pd.DataFrame(
            {
                "contrast": contrast["name"],
                "parent": "all",
                "metric": wide["metric"],
                "patient": wide["patient"],
                "group": group,
                "before": wide[contrast["reference"]],
                "after": after,
            }
        )
        table["difference"] = table["after"] - table["before"]
        tables.append(table if baseline else table.dropna(subset=["difference"]))
    return pd.concat(tables, ignore_index=True)


def recovery_of(contrasts):
    table = contrasts[contrasts["contrast"] == "response_change"].reset_index(drop=True)
    planted = {"nk_cd56dim": 1.2, "cd8_teff": 1.0, "cd4_tn": -0.8, "nk_c6_il15": 0.7}
    table["planted"] = table["subset"].map(planted).fillna(0.0)
    table["expected"] = table["planted"] - table.groupby("parent")["planted"].transform("mean")
    found = table["p_maxt"] <= 0.05
    right = np.sign(table["effect"]) == np.sign(table["planted"])
    verdict = np.where(
        table["planted"] != 0,
        np.where(~right, "wrong direction", np.where(found, "recovered", "right direction, not significant")),
        np.where(found, "false positive", "rightly not found"),
    )
    table["verdict"] = np.where(table["status"] == "tested", verdict, "not tested")
    return table[
        [
            "contrast",
            "parent",
            "subset",
            "planted",
            "expected",
            "effect",
            "ci_low",
            "ci_high",
            "p",
            "p_maxt",
            "verdict",
        ]
    ]


def dots_of(branch, n_genes=4, seed=0):
    """Return a table of `measure_markers`, each subset high in its own markers."""
    rng = np.random.default_rng(seed)
    rows = []
    for subset in SUBSETS[branch]:
        for marker_of in SUBSETS[branch]:
            own = subset == marker_of
            for gene in marker_genes(marker_of, n_genes):
                mean, share = (
                    rng.uniform(1.5, 3.5) if own else rng.uniform(0, 0.7),
                    rng.uniform(0.5, 1) if own else rng.uniform(0, 0.3),
                )
                rows.append((subset, gene, marker_of, mean, share, 1234))
    return pd.DataFrame(rows, columns=["subset", "gene", "marker_of", "mean", "share", "cells"])

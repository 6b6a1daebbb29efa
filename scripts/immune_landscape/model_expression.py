"""Expression by an established model of counts, beside the primary test: do the signs agree?"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from immune_landscape.expression_panels import patients_with_sums
from immune_landscape.labelings import stratum_codes
from immune_landscape.model_formulas import model_matrix
from immune_landscape.patient_groups import PatientGroups
from immune_landscape.pseudobulk import Pseudobulk

MODEL_COLUMNS = [
    "contrast", "subset", "gene", "n_a", "n_b", "log2_fold", "se", "p", "padj", "effect", "compared", "same_sign",
]  # fmt: skip
AGREEMENT_COLUMNS = [
    "contrast", "subset", "n_a", "n_b", "genes", "compared", "share_same_sign", "correlation", "status", "note",
]  # fmt: skip
NESTED = "~ group + group:patient + group:time"
"""edgeR User's Guide, section 3.5: patients within groups, and a change of each group."""

FORMULAS = {"baseline": "~ group", "change": "~ patient + time"}


def model_expression(
    pseudobulk: Pseudobulk,
    design: pd.DataFrame,
    contrasts: Sequence[Mapping[str, Any]],
    genes: pd.DataFrame,
    *,
    branches: Sequence[str],
    top: int,
    max_genes: int,
) -> dict[str, pd.DataFrame]:
    """Fit negative binomial models to the sums, and compare their signs with the primary test.

    Parameters
    ----------
    pseudobulk
        Raw counts summed per sample and subset.
    design
        One row per sample.
    contrasts
        Contrasts of the cohort; of each, the subsets that it declares are fitted.
    genes
        Table ``genes`` of `compare_expression`: its tested subsets alone are fitted.
    branches
        Subsets fitted for every contrast besides.
    top
        First genes of each subset whose signs are compared.
    max_genes
        Genes fitted per subset at most: those compared, and others spread evenly over the levels of expression, from
        which the dispersion is learnt.

    Returns
    -------
    dict
        ``models``: one row per contrast, subset and gene fitted (`MODEL_COLUMNS`); ``agreement``: one row per contrast
        and subset chosen (`AGREEMENT_COLUMNS`), where `status` is ``not_fitted`` when `note` says why.

    Raises
    ------
    DesignError
        A contrast names an unknown estimand or a column that the design does not have.

    Notes
    -----
    Two groups over time have the model of edgeR's guide, `NESTED`, whose empty columns are dropped; the fold is the
    change of the first group less that of the second. Patients take up all that is constant in them, so strata and
    covariates enter as a change of their own (covariate:time), which is what they are in the primary test; `note` says
    which of them the samples leave estimable. An adjustment for the value at the reference does not enter. The p values
    are those of a Wald test, which takes the dispersion as known: with few patients they are too small, and make no
    finding.

    References
    ----------
    Love et al. (2014), https://doi.org/10.1186/s13059-014-0550-8; PyDESeq2, Muzellec et al. (2023),
    https://doi.org/10.1093/bioinformatics/btad547.
    """
    models: list[pd.DataFrame] = []
    agreement: list[dict[str, Any]] = []
    tested = genes[genes["status"] == "tested"]
    for contrast in contrasts:
        own = tested[tested["contrast"] == contrast["name"]]
        wanted = [*branches, *(contrast.get("subsets") or [])]
        for subset, ranked in own[own["subset"].isin(wanted)].groupby("subset", sort=False):
            groups, counts, _ = patients_with_sums(pseudobulk, str(subset), design, contrast)
            fitted, note = _fit_subset(groups, counts, ranked, contrast, top, max_genes)
            facts = {"contrast": contrast["name"], "subset": subset}
            facts |= {"n_a": int(groups.is_a.sum()), "n_b": int((~groups.is_a).sum())}
            models.append(fitted.assign(**facts))
            agreement.append(facts | _agreement(fitted, note))
    filled = [table for table in models if len(table)]
    table = pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=MODEL_COLUMNS)
    return {
        "models": table.reindex(columns=MODEL_COLUMNS),
        "agreement": pd.DataFrame(agreement, columns=AGREEMENT_COLUMNS),
    }


class _Fit(NamedTuple):
    table: pd.DataFrame
    note: str


NOTHING = pd.DataFrame(columns=["gene", "log2_fold", "se", "p", "padj", "effect", "compared", "same_sign"])


def _fit_subset(
    groups: PatientGroups,
    counts: pd.DataFrame,
    ranked: pd.DataFrame,
    contrast: Mapping[str, Any],
    top: int,
    max_genes: int,
) -> _Fit:
    samples = _samples_of(groups)
    if groups.paired and samples.groupby("patient").size().max() > 2:
        return _Fit(NOTHING, f"the {contrast.get('summary')} of several targets is no coefficient of the model")
    matrix, _ = model_matrix(samples, FORMULAS.get(str(contrast["estimand"]), NESTED))
    if not _estimable(matrix):
        return _Fit(NOTHING, "no residuals to estimate the error")
    weights = _coefficients(matrix, samples, groups)
    matrix, adjusted = adjusted_matrix(matrix, samples, groups, contrast)
    weights = np.pad(weights, (0, matrix.shape[1] - len(weights)))
    chosen = _chosen_genes(ranked, top, max_genes)
    everything = counts[ranked["gene"]].astype(int)
    fitted, note = _fit_counts(everything, chosen["gene"], matrix, weights)
    primary = chosen.set_index("gene")
    table = fitted.join(primary[["effect", "compared"]]).rename_axis("gene").reset_index()
    table["same_sign"] = np.sign(table["log2_fold"]) == np.sign(table["effect"])
    return _Fit(table, "; ".join(part for part in (*adjusted, note) if part))


def _estimable(matrix: np.ndarray) -> bool:
    return matrix.shape[1] < len(matrix) and int(np.linalg.matrix_rank(matrix)) == matrix.shape[1]


def adjusted_matrix(
    matrix: np.ndarray, samples: pd.DataFrame, groups: PatientGroups, contrast: Mapping[str, Any]
) -> tuple[np.ndarray, list[str]]:
    """Add strata and covariates to a model, as changes of their own over time.

    Parameters
    ----------
    matrix
        (samples, columns) model without them.
    samples
        `patient` and `time` (before or after) of each row.
    groups
        The patients, with strata and covariates.
    contrast
        One contrast of the cohort, which names them.

    Returns
    -------
    matrix : numpy.ndarray
        With a column more for each that the samples tell from the others and that leaves residuals.
    notes : list of str
        What was added, and what was left out.
    """
    codes = stratum_codes(groups.strata, len(groups.table))
    declared = {
        "strata": (codes[:, None] == np.unique(codes)[1:]).astype(float),
        "covariates": groups.covariates,
    }
    rows = pd.Index(groups.table["patient"].astype(str)).get_indexer(pd.Index(samples["patient"]))
    after = (samples["time"] == "after").to_numpy(dtype=float) if groups.paired else np.ones(len(samples))
    notes = []
    for key, columns in declared.items():
        if columns is None or not columns.shape[1]:
            continue
        wider = np.column_stack([matrix, columns[rows] * after[:, None]])
        names = ", ".join(map(str, contrast.get(key) or []))
        notes.append(f"adjusted for {names}" if _estimable(wider) else f"without {names}, not estimable in this model")
        matrix = wider if _estimable(wider) else matrix
    return matrix, notes + (["without the value at the reference"] if groups.adjust_baseline else [])


def _samples_of(groups: PatientGroups) -> pd.DataFrame:
    """Return the samples used, in the order of their counts, as the model sees them."""
    used = groups.weights[groups.weights["weight"] != 0]
    facts = groups.table.set_index("patient")
    return pd.DataFrame(
        {
            "patient": used["patient"].astype(str).to_numpy(dtype=object),
            "group": facts["group"].reindex(used["patient"]).astype(str).to_numpy(dtype=object),
            "time": np.where(used["weight"] < 0, "before", "after").astype(object),
        }
    )


def _coefficients(matrix: np.ndarray, samples: pd.DataFrame, groups: PatientGroups) -> np.ndarray:
    """Return the weight of each column of the model in the effect, found by what the column marks."""
    first = (samples["group"] == groups.groups[0]).to_numpy()
    after = (samples["time"] == "after").to_numpy()
    marks = {1.0: first & after, -1.0: ~first & after} if groups.paired else {1.0: first, -1.0: ~first}
    weights = np.zeros(matrix.shape[1])
    for weight, rows in marks.items():
        same = (matrix == rows[:, None]).all(axis=0) & rows.any() & ~rows.all()
        weights[same] = weight
    return weights


def _chosen_genes(ranked: pd.DataFrame, top: int, max_genes: int) -> pd.DataFrame:
    """Return the genes compared and, up to the most that are fitted, others over all levels of expression."""
    compared = ranked.head(top).assign(compared=True)
    others = ranked.iloc[top:].sort_values("mean_log_cpm", kind="stable").assign(compared=False)
    room = min(max(max_genes - len(compared), 0), len(others))
    places = np.linspace(0, max(len(others) - 1, 0), room).round().astype(int)
    return pd.concat([compared, others.iloc[places]])


def _fit_counts(
    counts: pd.DataFrame, chosen: pd.Series, matrix: np.ndarray, weights: np.ndarray
) -> tuple[pd.DataFrame, str]:
    """Fit the chosen genes, with size factors from all of them; return folds and what the library warned of."""
    from pydeseq2.dds import DeseqDataSet
    from pydeseq2.default_inference import DefaultInference
    from pydeseq2.ds import DeseqStats

    inference = DefaultInference(n_cpus=1)
    design = pd.DataFrame(matrix, index=counts.index, columns=[f"c{at}" for at in range(matrix.shape[1])])
    facts: dict[str, Any] = {"metadata": pd.DataFrame(index=counts.index), "design": design, "inference": inference}
    facts |= {"quiet": True, "refit_cooks": False}
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        whole = DeseqDataSet(counts=counts, **facts)
        whole.fit_size_factors()
        data = DeseqDataSet(counts=counts[list(chosen)], **facts)
        data.obs["size_factors"] = whole.obs["size_factors"]
        data.layers["normed_counts"] = whole.to_df(layer="normed_counts")[list(chosen)].to_numpy()
        data.var["_normed_means"] = data.layers["normed_counts"].mean(axis=0)
        data.fit_LFC()
        result = DeseqStats(
            data, contrast=weights, inference=inference, cooks_filter=False, independent_filter=False, quiet=True
        )
        result.summary()
    names = {"log2FoldChange": "log2_fold", "lfcSE": "se", "pvalue": "p", "padj": "padj"}
    said = dict.fromkeys(str(each.message) for each in told if each.category is UserWarning)
    return result.results_df[list(names)].rename(columns=names), "; ".join(said)


def _agreement(fitted: pd.DataFrame, note: str) -> dict[str, Any]:
    compared = fitted[fitted["compared"].astype(bool)]
    known = compared.dropna(subset=["log2_fold", "effect"])
    several = len(known) > 2
    folds, effects = known["log2_fold"].to_numpy(dtype=float), known["effect"].to_numpy(dtype=float)
    return {
        "genes": len(fitted),
        "compared": len(known),
        "share_same_sign": float(known["same_sign"].astype(bool).mean()) if len(known) else np.nan,
        "correlation": float(np.corrcoef(folds, effects)[0, 1]) if several else np.nan,
        "status": "fitted" if len(fitted) else "not_fitted",
        "note": note,
    }

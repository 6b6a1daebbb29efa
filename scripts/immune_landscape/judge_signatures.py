"""Compare the effects of signatures with those of random gene sets of like expression."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from immune_landscape.compare_values import measured_design
from immune_landscape.patient_groups import PatientGroups, compared_patients
from immune_landscape.scope_profiles import LAYER
from immune_landscape.score_signatures import score_signature, set_columns
from immune_landscape.seeds import seed_of
from immune_landscape.set_scores import Integers, draw_sets
from immune_landscape.signature_null import feature_effects, summarise_null
from immune_landscape.signature_registry import scored_rows

if TYPE_CHECKING:
    from anndata import AnnData

LOG = logging.getLogger("immune_landscape")

NULL_COLUMNS = [
    "contrast", "parent", "feature", "effect", "null_mean", "null_sd", "null_low", "null_high", "null_p", "sets",
]  # fmt: skip


class _Sets(NamedTuple):
    """Columns of a signature's genes and of random sets: the signature is the first row of each array."""

    positive: Integers
    negative: Integers


def judge_signatures(
    profiles: AnnData,
    registry: pd.DataFrame,
    contrasts: pd.DataFrame,
    design: pd.DataFrame,
    declared: Sequence[Mapping[str, Any]],
    seed: int,
    *,
    draws: int,
) -> pd.DataFrame:
    """Compare every tested effect of a signature with the effects of random sets of like expression.

    Parameters
    ----------
    profiles
        As `score_signatures.score_signatures` returns.
    registry
        Signatures and their genes, from the same.
    contrasts
        Contrasts of the signatures, as `compare_values.compare_values` returns.
    design
        One row per sample.
    declared
        Contrasts of the cohort.
    seed
        Seed of the random sets.
    draws
        Random sets per signature and branch.

    Returns
    -------
    pandas.DataFrame
        One row per tested row of `contrasts`: ``contrast, parent, feature, effect`` (of the signature), ``null_mean,
        null_sd, null_low, null_high`` (2.5-97.5 %) and ``null_p`` of the random sets' effects
        (`signature_null.summarise_null`), and ``sets``, their number: 0 where a bin of expression has too few other
        genes.

    Notes
    -----
    A random set has as many genes as the signature in each bin of expression, none of them the signature's, and is
    scored, averaged and contrasted in the same way. The null asks whether the signature is special among genes of like
    expression, not whether the effect is there: its units are genes, patients stay as they are. Genes of a signature
    vary together and random ones do not, so ``null_p`` is too small even without an effect on the signature, and says
    nothing where the contrast's own p is large (Goeman and Buehlmann 2007, doi:10.1093/bioinformatics/btm051).
    """
    tested = contrasts[contrasts["status"] == "tested"]
    sets = {branch: _sets_of(profiles, registry, branch, draws, seed) for branch in set(profiles.obs["branch"])}
    rows: list[dict[str, Any]] = []
    for contrast in declared:
        wanted = tested[tested["contrast"] == contrast["name"]]
        groups = compared_patients(measured_design(design, profiles.obs["sample"], contrast), contrast)
        for parent, part in wanted.groupby("parent", sort=False):
            scope = profiles[(profiles.obs["scope"] == parent).to_numpy()]
            own = sets[str(scope.obs["branch"].iloc[0])]
            chosen = {str(name): own[str(name)] for name in part["feature"]}
            found = _judge_scope(scope, chosen, groups)
            rows += [{"contrast": contrast["name"], "parent": parent, **row} for row in found]
    return pd.DataFrame(rows, columns=NULL_COLUMNS)


def _sets_of(profiles: AnnData, registry: pd.DataFrame, branch: str, draws: int, seed: int) -> dict[str, _Sets]:
    """Draw the random sets of each signature of a branch, the same for all scopes and contrasts."""
    bins = profiles.var[f"bin_{branch}"].to_numpy(dtype=np.int64)
    return {
        row["signature"]: _draw_like(
            bins, *set_columns(profiles.var_names, row), draws, seed_of(seed, branch, row["signature"])
        )
        for row in scored_rows(registry, branch)
    }


def _draw_like(bins: Integers, positive: Integers, negative: Integers, draws: int, seed: int) -> _Sets:
    both = np.hstack([positive, negative])[0]
    random = draw_sets(bins, both, both, draws, seed)
    if random is None:
        LOG.warning("no random sets: too few other genes in the bins of a signature of %d genes", len(both))
        return _Sets(positive, negative)
    split = positive.shape[1]
    return _Sets(np.vstack([positive, random[:, :split]]), np.vstack([negative, random[:, split:]]))


def _judge_scope(scope: AnnData, sets: Mapping[str, _Sets], groups: PatientGroups) -> list[dict[str, Any]]:
    """Return one row per signature."""
    means = np.asarray(scope.layers[LAYER], dtype=np.float64)
    bins = scope.var[f"bin_{scope.obs['branch'].iloc[0]}"].to_numpy(dtype=np.int64)
    scores = [score_signature(means, bins, *found) for found in sets.values()]
    by_sample = pd.DataFrame(np.hstack(scores), index=scope.obs["sample"].to_numpy())
    effects = feature_effects(groups.patient_values(by_sample), groups)
    ends = np.cumsum([score.shape[1] for score in scores])
    rows = []
    for name, part in zip(sets, np.split(effects, ends[:-1]), strict=True):
        summary = summarise_null(part[0], part[1:]) if len(part) > 1 else {}
        rows.append({"feature": name, "effect": part[0], **summary, "sets": len(part) - 1})
    return rows

"""How many receptors would be alike to known ones by chance, and how far an observed number is from it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

STRATA = (("v_call", "j_call", "length"), ("v_call", "length"), ("j_call", "length"), ("length",), ())
"""What background receptors share with those that they stand for, finest first."""

INTERVAL = (0.025, 0.975)
LEAST_MATCHES = 5
"""Background receptors alike to known ones from which their rate is told; with fewer, a ratio rests on chance."""


class Background:
    """Receptors drawn by chance, and which of them are alike to known ones.

    Parameters
    ----------
    receptors
        Background receptors: v_call, j_call, length (residues of the CDR3); unique index.
    hits
        Columns receptor (label of that index) and label, one row per receptor and label of what it is alike to.
    min_stratum
        Background receptors that a stratum needs; what is left of thinner ones is pooled by the next coarser.
    """

    def __init__(self, receptors: pd.DataFrame, hits: pd.DataFrame, *, min_stratum: int) -> None:
        self.size = len(receptors)
        found = hits[["receptor", "label"]].drop_duplicates()
        self._levels = []
        left = receptors
        for names in STRATA:
            if not names and len(left) < min_stratum:
                left = receptors
            keys = _keys(left, names)
            sizes = keys.value_counts()
            thick = sizes if not names else sizes[sizes >= min_stratum]
            keys = keys[keys.isin(thick.index)]
            of_hits = pd.DataFrame({"stratum": found["receptor"].map(keys), "label": found["label"]})
            matched = of_hits.groupby(["stratum", "label"]).size().rename("matched").reset_index()
            self._levels.append((names, thick, matched))
            left = left.drop(keys.index)

    def expect(self, receptors: pd.DataFrame) -> pd.DataFrame:
        """Return how many receptors of a sample would be alike to known ones by chance.

        Parameters
        ----------
        receptors
            Columns v_call, j_call, length.

        Returns
        -------
        pandas.DataFrame
            Indexed by label: expected, and variance of this estimate, which comes from the background being finite.
            A label that no background receptor bears has no row.

        Notes
        -----
        Direct standardisation: each receptor counts with the rate of the background receptors of the same V gene, J
        gene and CDR3 length. Where these are few, they are pooled with others of which there are few, as rare genes
        match less often than common ones.
        """
        left = receptors
        parts = []
        for names, sizes, matched in self._levels:
            keys = _keys(left, names)
            here = keys.isin(sizes.index)
            counts = keys[here].value_counts()
            rows = matched[matched["stratum"].isin(counts.index)]
            weight = rows["stratum"].map(counts).astype(float) / rows["stratum"].map(sizes).astype(float)
            expected, variance = weight * rows["matched"], weight**2 * rows["matched"]
            parts.append(pd.DataFrame({"label": rows["label"], "expected": expected, "variance": variance}))
            left = left[~here.to_numpy()]
        return pd.concat(parts).groupby("label")[["expected", "variance"]].sum()


def _keys(receptors: pd.DataFrame, names: tuple[str, ...]) -> pd.Series:
    keys = pd.Series("", index=receptors.index, dtype=object)
    for name in names:
        keys = keys + receptors[name].astype(str) + "|"
    return keys


def pooled_expectation(clonotypes: int, others: int, matched: pd.Series) -> pd.DataFrame:
    """Return how many clonotypes would be matched if they were drawn from those of other patients.

    Parameters
    ----------
    clonotypes
        Clonotypes of the sample.
    others
        Clonotypes of the other patients.
    matched
        Of these, the matched ones, by label.

    Returns
    -------
    pandas.DataFrame
        As `Background.expect`.
    """
    weight = clonotypes / others if others else np.nan
    return pd.DataFrame({"expected": weight * matched, "variance": weight**2 * matched}).rename_axis("label")


def scaled_expectation(chance: pd.DataFrame, observed: pd.Series, rivals: pd.Series, every: int) -> pd.DataFrame:
    """Scale what recombination alone gives by how far matches of other species exceed it in the same sample.

    Parameters
    ----------
    chance
        What `Background.expect` gives, one row per label.
    observed
        Matches by label.
    rivals
        Label -> label of its species: matches of that species are left out of the scale.
    every
        Label of a match of any antigen.

    Returns
    -------
    pandas.DataFrame
        As `Background.expect`; missing where nothing else is matched.

    Notes
    -----
    Receptors of the blood passed the thymus and are known better the more people share them, so that all species
    exceed recombination alike. The variance adds the relative variances of the three numbers.
    """
    expected, variance = chance["expected"], chance["variance"]
    others = observed[every] - rivals.map(observed)
    base = expected[every] - rivals.map(expected)
    base_variance = (variance[every] - rivals.map(variance)).clip(lower=0)
    usable = (others > 0) & (base > 0) & (expected > 0)
    scaled = (expected * others / base.where(usable)).where(usable)
    relative = 1 / others.where(usable) + variance / expected.where(usable) ** 2 + base_variance / base**2
    return pd.DataFrame({"expected": scaled, "variance": scaled**2 * relative}).rename_axis("label")


def compare_with_chance(
    observed: np.ndarray,
    expected: np.ndarray,
    variance: np.ndarray,
    clonotypes: int,
    *,
    draws: int,
    rng: np.random.Generator,
) -> Mapping[str, np.ndarray]:
    """Compare matches with repertoires of as many clonotypes drawn from the background.

    Parameters
    ----------
    observed, expected, variance
        (labels,) matches of the sample, those expected by chance, and the variance of that estimate.
    clonotypes
        Clonotypes of the sample, which each draw has as many of.
    draws
        Draws.
    rng
        Source of the draws.

    Returns
    -------
    dict
        (labels,) expected_low, expected_high: 2.5 and 97.5 % quantiles of the matches in the draws. ratio of observed
        to expected, ratio_low, ratio_high; excess, the difference as share of the clonotypes, excess_low, excess_high:
        intervals over draws in which both numbers vary. Missing where the expected number rests on fewer than
        `LEAST_MATCHES` background receptors (by its mean squared over its variance).

    Notes
    -----
    The rate of the background varies as a gamma with the mean and variance of the standardised rate (Fay & Feuer 1997,
    doi:10.1002/(SICI)1097-0258(19970415)16:7<791::AID-SIM500>3.0.CO;2-#), the matches of a draw as a binomial given it.
    The rate of the sample has the Jeffreys beta distribution of a binomial, and half an event is added to the gamma as
    well, so that both tails hold alike. Receptors are what is drawn, not patients.
    """
    given = np.nan_to_num(expected) > 0
    mean, spread = np.where(given, expected, 1.0), np.where(given, variance, 1.0)
    known = given & (mean**2 / spread >= LEAST_MATCHES * (1 - 1e-9))
    rate = rng.gamma(mean**2 / spread + 0.5, spread / mean, (draws, len(mean)))
    by_chance = rng.binomial(clonotypes, np.minimum(rate / clonotypes, 1.0))
    own = clonotypes * rng.beta(observed + 0.5, clonotypes - observed + 0.5, (draws, len(mean)))
    ratio, excess = own / rate, (own - rate) / clonotypes
    found = {"ratio": observed / mean, "excess": (observed - mean) / clonotypes}
    for name, drawn in (("expected", by_chance), ("ratio", ratio), ("excess", excess)):
        found[f"{name}_low"], found[f"{name}_high"] = np.quantile(drawn, INTERVAL, axis=0)
    return {name: np.where(known, values, np.nan) for name, values in found.items()}

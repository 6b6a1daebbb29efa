"""Tumour biomarkers by their written rules: PD-L1 score, mismatch repair, microsatellites, mutational burden."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

MMR_PROTEINS = ("mlh1", "msh2", "msh6", "pms2")
HELD_BY = {"pms2": "mlh1", "msh6": "msh2"}
"""Protein -> partner without which it is degraded; the partner is stable alone."""

BETHESDA = 5
"""Markers of the reference panel."""

MARKER_CLASSES = {"mmr": ("pMMR", "dMMR"), "msi": ("MSS", "MSI-L", "MSI-H"), "tmb": ("TMB-L", "TMB-H")}
"""Marker -> its classes; those of the PD-L1 score follow from its thresholds."""

NOT_EVALUABLE = ""


class Reading(NamedTuple):
    """What a rule makes of a measurement.

    Attributes
    ----------
    value
        Number behind the class; NaN where there is none.
    named
        Class; empty where the measurement cannot be read.
    reason
        Why it cannot be read, or what is unusual; may be empty.
    """

    value: float
    named: str
    reason: str = ""


def read_cps(positive: Sequence[float], viable: float, thresholds: Sequence[float], *, least: int) -> Reading:
    """Compute the combined positive score of PD-L1.

    Parameters
    ----------
    positive
        Positive tumour cells, lymphocytes and macrophages.
    viable
        Viable tumour cells.
    thresholds
        Scores at which classes begin, ascending.
    least
        Viable tumour cells that a score needs.

    Returns
    -------
    Reading
        Score, at most 100, and its class (`cps_class`).

    References
    ----------
    Kulangara et al. (2019), https://doi.org/10.5858/arpa.2018-0043-OA; at least 100 viable tumour cells, and no score
    above 100: interpretation manual of PD-L1 IHC 22C3 pharmDx.
    """
    if viable < least:
        return Reading(math.nan, NOT_EVALUABLE, f"{viable:g} viable tumour cells, fewer than {least}")
    value = min(100 * sum(positive) / viable, 100.0)
    return Reading(value, cps_class(value, thresholds))


def cps_class(value: float, thresholds: Sequence[float]) -> str:
    """Return the class of a score: ``below_1``, ``1_to_5`` (5 not included), ..., ``at_least_10``.

    Parameters
    ----------
    value
        Score.
    thresholds
        Scores at which classes begin, ascending.

    Returns
    -------
    str
        Empty for NaN.
    """
    if math.isnan(value):
        return NOT_EVALUABLE
    return cps_classes(thresholds)[sum(value >= bound for bound in thresholds)]


def cps_classes(thresholds: Sequence[float]) -> list[str]:
    """Return the classes that thresholds make, ascending."""
    named = [f"{bound:g}" for bound in thresholds]
    between = [f"{low}_to_{high}" for low, high in itertools.pairwise(named)]
    return [f"below_{named[0]}", *between, f"at_least_{named[-1]}"]


def read_mmr(proteins: Mapping[str, str]) -> Reading:
    """Class mismatch repair by the four proteins.

    Parameters
    ----------
    proteins
        Protein -> ``retained``, ``lost``, ``not_done`` or empty.

    Returns
    -------
    Reading
        Number of proteins lost and ``dMMR`` when any is; ``pMMR`` only when all four are retained. The reason names a
        pattern that biology does not expect: MLH1 lost with PMS2 retained, or MSH2 lost with MSH6 retained.

    References
    ----------
    At least one of four proteins lost: https://doi.org/10.3390/encyclopedia2030106. Partners:
    http://surgpathcriteria.stanford.edu/gitumors/hnpcc/supplemental-studies.html
    """
    lost = [name for name in MMR_PROTEINS if proteins[name] == "lost"]
    undone = [name for name in MMR_PROTEINS if proteins[name] not in ("lost", "retained")]
    if lost:
        odd = [
            f"{partner.upper()} lost with {name.upper()} retained"
            for name, partner in HELD_BY.items()
            if partner in lost and proteins[name] == "retained"
        ]
        return Reading(float(len(lost)), "dMMR", f"unusual: {' and '.join(odd)}" if odd else "")
    if undone:
        return Reading(math.nan, NOT_EVALUABLE, f"{', '.join(name.upper() for name in undone)} not done")
    return Reading(0.0, "pMMR")


def read_msi(unstable: float, tested: float, *, high_share: float) -> Reading:
    """Class microsatellite instability by PCR markers.

    Parameters
    ----------
    unstable, tested
        Markers.
    high_share
        Share of unstable markers from which an instability is high.

    Returns
    -------
    Reading
        Share of markers and ``MSI-H``, ``MSI-L`` or ``MSS``. At least two markers must be unstable for ``MSI-H``. Fewer
        than five markers can show ``MSI-H``, but nothing else.

    References
    ----------
    Boland et al. (1998), Cancer Res 58:5248-5257: two of five markers, or 30 to 40 % where more are tested.
    """
    share = unstable / tested
    if unstable >= 2 and share >= high_share:
        return Reading(share, "MSI-H")
    if tested < BETHESDA:
        return Reading(math.nan, NOT_EVALUABLE, f"{tested:g} markers tested, fewer than {BETHESDA}")
    return Reading(share, "MSI-L" if unstable else "MSS")


def read_tmb(mutations: float, callable_mb: float, *, high: float) -> Reading:
    """Compute the tumour mutational burden.

    Parameters
    ----------
    mutations
        Somatic mutations that the assay counts.
    callable_mb
        Megabases in which they could be called.
    high
        Burden from which it is high.

    Returns
    -------
    Reading
        Mutations per Mb and ``TMB-H`` or ``TMB-L``.

    References
    ----------
    At least 10 per Mb: Marabelle et al. (2020), KEYNOTE-158, https://doi.org/10.1016/S1470-2045(20)30445-9
    """
    # 10 of 1 Mb and 11 of 1.1 Mb are the same burden, whatever the last digit of a float says.
    value = round(mutations / callable_mb, 9)
    return Reading(value, tmb_class(value, high))


def tmb_class(value: float, high: float) -> str:
    """Return ``TMB-H`` or ``TMB-L``; empty for NaN."""
    return NOT_EVALUABLE if math.isnan(value) else "TMB-H" if value >= high else "TMB-L"


def panel_flag(callable_mb: float, *, small_panel_mb: float) -> str:
    """Tell when a panel is too small for a burden to be sure; empty otherwise.

    References
    ----------
    Vega et al. (2021), second phase of the harmonisation by Friends of Cancer Research, PMID 34606929: panels above
    0.667 Mb are needed to agree with exomes on who is high.
    """
    return f"panel of {callable_mb:g} Mb, below {small_panel_mb:g}" if callable_mb < small_panel_mb else ""


def clash_of(mmr: str, msi: str) -> str:
    """Tell when proteins and microsatellites disagree; empty when they agree or one of them is not known."""
    deficient = {"dMMR": True, "pMMR": False}.get(mmr)
    unstable = {"MSI-H": True, "MSI-L": False, "MSS": False}.get(msi)
    return f"{mmr} but {msi}" if None not in (deficient, unstable) and deficient != unstable else ""

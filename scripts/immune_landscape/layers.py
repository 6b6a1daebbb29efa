"""The layers that are compared between patients: what each needs, where its numbers are, and how it is told."""

from __future__ import annotations

from dataclasses import dataclass

RANDOM_DRAWS = "2.5-97.5 % of random draws to one depth: the spread due to subsampling alone, not to patients"

OF_SAMPLE = "95 % interval of what the repertoire gives at one depth: how sure one sample is, not how patients differ"


@dataclass(frozen=True)
class Layer:
    """One layer of a cohort.

    Attributes
    ----------
    name
        Display name.
    table
        Numbers per sample that are compared, under the folder of the results.
    needs
        What a cohort must hold: kinds of data (``gex``, ``tcr``, ...), ``receptors`` for either kind of them,
        ``visits`` for more than one visit, ``antigens`` for snapshots to look receptors up in, ``tissue`` for cells of
        more than blood.
    lacks
        What a patient without a value lacks.
    interval
        What the interval of a measurement is, in words; empty where there is none.
    exploratory
        Whether its rows stay out of the primary family of a contrast that does not name them.
    tells_change
        Whether its values are changes already, told of the later sample.
    """

    name: str
    table: str
    needs: tuple[str, ...]
    lacks: str = "a value"
    interval: str = ""
    exploratory: bool = False
    tells_change: bool = False


LAYERS = {
    "composition": Layer("Composition", "measure_composition/composition.tsv", ("gex",), lacks="cells"),
    "expansion": Layer(
        "Single-cell TCR", "measure_expansion/values.tsv", ("tcr",), lacks="receptor cells", interval=OF_SAMPLE
    ),
    "repertoires": Layer(
        "Bulk TCR", "measure_repertoires/values.tsv", ("bulk_tcr",), lacks="templates", interval=OF_SAMPLE
    ),
    "clone_subsets": Layer(
        "Expansion within subsets",
        "link_clones/values.tsv",
        ("gex", "tcr"),
        lacks="receptor cells of the subset",
        exploratory=True,
    ),
    "cell_tracks": Layer(
        "Clones followed, single cells",
        "track_clones/tcr/values.tsv",
        ("tcr", "visits"),
        lacks="receptor cells at both visits",
        interval=RANDOM_DRAWS,
        exploratory=True,
        tells_change=True,
    ),
    "tracks": Layer(
        "Clones followed, bulk TCR",
        "track_clones/bulk_tcr/values.tsv",
        ("bulk_tcr", "visits"),
        lacks="templates at both visits",
        interval=RANDOM_DRAWS,
        exploratory=True,
        tells_change=True,
    ),
    "usage": Layer(
        "V genes and CDR3, bulk TCR", "measure_usage/values.tsv", ("bulk_tcr",), lacks="templates", exploratory=True
    ),
    "bridge": Layer(
        "Bulk TCR by cell subset",
        "bridge_repertoires/values.tsv",
        ("tcr", "bulk_tcr"),
        lacks="clones seen both ways",
        interval=RANDOM_DRAWS,
        exploratory=True,
    ),
    "antigens": Layer(
        "Receptors of known antigen (prediction)",
        "match_antigens/values.tsv",
        ("receptors", "antigens"),
        lacks="matches enough",
        interval="95 % interval of counting receptors",
        exploratory=True,
    ),
    "signatures": Layer("Signatures", "score_signatures/values.tsv", ("gex",), lacks="cells"),
    "microenvironment": Layer(
        "Immune microenvironment of tissue",
        "measure_microenvironment/values.tsv",
        ("gex", "tissue"),
        lacks="cells",
        exploratory=True,
    ),
    "populations": Layer(
        "Gated populations",
        "measure_populations/values.tsv",
        ("populations",),
        lacks="the gate",
        interval="95 % interval of counting events alone",
    ),
    "measures": Layer("Other measures", "load_measures/values.tsv", ("measures",)),
    "quality": Layer("Sample quality", "measure_quality/values.tsv", ("gex",), exploratory=True),
}
"""Layer -> what it is, in the order of reports. The quality of samples is no hypothesis of a trial."""

"""How much hangs on the thresholds of the annotation, none of which was chosen on data kept apart for it.

Each is moved by a quarter either way, alone. What says how much of a marker set must be in the data is left out: it is
no matter of degree on a panel that has just enough, and tests of missing markers hold it.
"""

import importlib
from functools import partial

import pandas as pd
from science.labelled_cells import annotate_labelled, defaults, demo, kang, pbmc5p, pbmc68k, score, wu2020

SETTINGS = [
    ("annotate_lineages", "min_score"),
    ("annotate_lineages", "min_margin"),
    ("annotate_subsets", "min_score"),
    ("annotate_subsets", "min_margin"),
]
ANCHORS = [("annotate_subsets", "anchor_fold"), ("annotate_subsets", "anchor_share")]
CONSTANTS = [
    ("annotate_lineages", "GAIN"),
    ("annotate_subsets", "STATE_SCORE"),
    ("annotate_subsets", "SIDE_SCORE"),
    ("level_scores", "NEGATIVE_WEIGHT"),
    ("level_scores", "CLIP"),
    ("level_scores", "FLOOR"),
    ("level_scores", "PRIOR_CELLS"),
    ("level_scores", "SIDE_GAP"),
    ("consensus", "STRICT"),
    ("anchors", "MIN_SCORE"),
]
FACTORS = (0.75, 1.25)
SETS = {"pbmc5p": pbmc5p, "kang": kang, "pbmc68k": pbmc68k, "wu2020": wu2020}
FULL_SETS = SETS | {"demo NK": partial(demo, 60, "nk"), "demo T": partial(demo, 60, "t")}
BOUND = 0.03
"""Macro-F1 that one move may cost on one data set."""


def moves(monkeypatch, chosen):
    """Yield the name of each move and the settings that make it; constants are moved in their modules."""
    yield "none", {}
    for where, name in chosen:
        for factor in FACTORS:
            told = f"{where}.{name} x {factor}"
            if (where, name) in CONSTANTS:
                module = importlib.import_module(f"immune_landscape.{where}")
                with monkeypatch.context() as patch:
                    patch.setattr(module, name, getattr(module, name) * factor)
                    yield told, {}
            else:
                yield told, {where: {name: defaults(where)[name] * factor}}


def sensitivity(monkeypatch, sets, chosen):
    """Return macro-F1 and assigned share of each data set after each move."""
    rows = []
    for name, load in sets.items():
        labelled, maps = load(), {}
        for move, settings in moves(monkeypatch, chosen):
            f1, assigned = score(labelled, annotate_labelled(labelled, maps=maps, **settings))
            rows.append({"set": name, "move": move, "f1": f1, "assigned": assigned, "n": labelled.counts.n_obs})
    return pd.DataFrame(rows)


def test_no_threshold_decides_by_itself(science, monkeypatch):
    sets, chosen = (FULL_SETS, SETTINGS + ANCHORS + CONSTANTS) if science.full else (SETS, SETTINGS)
    table = sensitivity(monkeypatch, sets, chosen)
    wide = table.set_index(["move", "set"])[["f1", "assigned"]].unstack("set").loc[table["move"].unique()]  # noqa: PD010
    print(wide.round(3).to_string())
    before = table[table["move"] == "none"].set_index("set")
    table["loss"] = table["set"].map(before["f1"]) - table["f1"]
    shift = (table["assigned"] - table["set"].map(before["assigned"])).abs().max()
    worst = table.loc[table["loss"].idxmax()]
    what = (
        f"largest loss of macro-F1 on a data set by moving one of {len(chosen)} thresholds by 25 % ({len(sets)} sets; "
        f"{worst['move']}, {worst['set']}; assigned share moves by {shift:.3f} at most)"
    )
    science.row("annotation/threshold_sensitivity", what, worst["loss"], None, BOUND, before["n"].sum())

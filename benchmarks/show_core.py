"""Draw the times of the heavy steps, and write the table of the README, from the results of `time_core.py`.

python benchmarks/show_core.py benchmarks/results README.md
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from time_core import short

WAYS = {"plain": "plain scanpy", "core": "this project", "brisc": "brisc"}
COLOURS = {"plain": "#999999", "core": "#0072B2", "brisc": "#E69F00"}
"""Of Okabe and Ito's palette, which colour-blind readers can tell apart."""
START, END = "<!-- core times: written by benchmarks/show_core.py -->", "<!-- core times end -->"
TIED = "markers_ties"
STEPS = (
    *("import", "read", "qc", "filter", "doublets", "drop_doublets", "normalise", "genes", "pca", "harmony"),
    *("neighbours", "umap", "leiden", "markers", TIED, "write_counts", "write"),
)
MISSING = "–"
HEAD = ("Cells", "Plain scanpy", "This project", "brisc", "Ratio", "Peak memory", "ARI", "Doublet AUC", "Exponent")

Result = dict[str, Any]


def main(folder: Path, readme: Path) -> None:
    """Draw one figure a size and rewrite the table between its marks."""
    results = read_results(folder)
    for result in results:
        draw(result, folder / f"core_{short(result['cells'])}.png")
    text = readme.read_text(encoding="utf-8")
    readme.write_text(with_table(text, results), encoding="utf-8")


def read_results(folder: Path) -> list[Result]:
    """Return the results in a folder, the smallest first."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("core_*.json")]
    return sorted(found, key=cells_of)


def cells_of(result: Result) -> int:
    """Return the cells of a result."""
    return int(result["cells"])


def with_table(text: str, results: Sequence[Result]) -> str:
    """Return a text whose part between the marks is the table of these results."""
    before, rest = text.split(START)
    _, after = rest.split(END)
    return before + START + "\n" + table(results) + "\n" + END + after


def table(results: Sequence[Result]) -> str:
    """Return one row a size: seconds, ratios, memory and quality, ours beside the others."""
    rows = [HEAD, ("---",) * len(HEAD), *(row_of(result) for result in results)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def row_of(result: Result) -> tuple[str, ...]:
    """Return the cells of a row of the table."""
    totals = result["totals"]
    walls = {way: f"{totals[way]['wall']:.0f} s" if way in totals else MISSING for way in WAYS}
    ratio, peak = MISSING, f"{result['peak_gib']:.1f} GiB"
    if "time_ratio" in result:
        ratio = f"{result['time_ratio']:.1f} ({result['time_ratio_ties']:.1f})"
        peak += f" ({result['peak_ratio']:.2f} x)"
    quality = [" / ".join(shown(result, f"{name}_{way}") for way in WAYS) for name in ("ari", "auc")]
    exponent = result.get("scaling_exponent")
    cells = f"{result['cells']:,}"
    return (cells, *walls.values(), ratio, peak, *quality, MISSING if exponent is None else f"{exponent:.2f}")


def shown(result: Result, key: str) -> str:
    """Return a number of a result to three digits."""
    return f"{result[key]:.3f}" if key in result else MISSING


def draw(result: Result, target: Path) -> None:
    """Draw seconds and memory of each step, all ways side by side."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    named = {row["step"]: row for row in result["steps"]}
    steps = [name for name in STEPS if name in named]
    ways = [way for way in WAYS if way in result["totals"]]
    figure, panels = plt.subplots(1, 2, figsize=(9, 0.33 * len(steps) + 1.4), sharey=True, layout="constrained")
    for panel, (key, scale, label) in zip(panels, (("wall", 1, "seconds"), ("peak_mib", 1024, "GiB")), strict=True):
        for at, way in enumerate(ways):
            own = [(place, named[name][way][key] / scale) for place, name in enumerate(steps) if way in named[name]]
            places = [place + (at - (len(ways) - 1) / 2) * 0.8 / len(ways) for place, _ in own]
            heights = [value for _, value in own]
            panel.barh(places, heights, 0.8 / len(ways), color=COLOURS[way], label=WAYS[way])
        panel.set_xlabel(label)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_xscale("log")
    panels[0].set_yticks(range(len(steps)), [name.replace("_", " ") for name in steps])
    panels[0].invert_yaxis()
    panels[0].set_title("Time of each step", loc="left", fontsize=10)
    panels[1].set_title("Highest memory during it", loc="left", fontsize=10)
    panels[1].legend(frameon=False, fontsize=8)
    figure.suptitle(f"{result['cells']:,} simulated cells, {result['machine']['cpus']} processors", fontsize=11)
    figure.savefig(target, dpi=150, metadata={"Software": None})
    plt.close(figure)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

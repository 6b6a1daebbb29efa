"""Draw the times of the heavy steps, and write the tables of the README.

From the results of `time_core.py` (the steps by themselves) and `time_workflow.py` (the workflow around them).

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
STEPS_MARKS = ("<!-- core times: written by benchmarks/show_core.py -->", "<!-- core times end -->")
WORKFLOW_MARKS = ("<!-- workflow times: written by benchmarks/show_core.py -->", "<!-- workflow times end -->")
TIED = "markers_ties"
STEPS = (
    *("import", "read", "qc", "filter", "doublets", "drop_doublets", "normalise", "genes", "pca", "harmony"),
    *("neighbours", "umap", "leiden", "markers", TIED, "write_counts", "write"),
)
MISSING = "–"
HEAD = (
    "Cells",
    "Plain scanpy",
    "This project",
    "brisc",
    "Ratio",
    "Peak memory",
    "ARI",
    "Doublet AUC",
    "Recall",
    "Exponent",
)
WORKFLOW_HEAD = (
    *("Cells", "Jobs", "Time", "Above the jobs", "Processor", "of it: starts, Snakemake", "Stored files"),
    *("Peak memory",),
)

Result = dict[str, Any]


def main(folder: Path, readme: Path) -> None:
    """Draw one figure a size and rewrite the tables between their marks."""
    results = read_results(folder, "core")
    for result in results:
        draw(result, folder / f"core_{short(result['cells'])}.png")
    text = readme.read_text(encoding="utf-8")
    readme.write_text(with_tables(text, folder), encoding="utf-8")


def read_results(folder: Path, kind: str) -> list[Result]:
    """Return the results of one kind in a folder, the smallest first."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in folder.glob(f"{kind}_*.json")]
    return sorted(found, key=cells_of)


def cells_of(result: Result) -> int:
    """Return the cells of a result."""
    return int(result["cells"])


def with_tables(text: str, folder: Path) -> str:
    """Return a text whose parts between the marks are the tables of the results in a folder."""
    text = with_table(text, STEPS_MARKS, HEAD, [row_of(result) for result in read_results(folder, "core")])
    rows = [workflow_row(result) for result in read_results(folder, "workflow")]
    return with_table(text, WORKFLOW_MARKS, WORKFLOW_HEAD, rows)


def with_table(text: str, marks: tuple[str, str], head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a text whose part between two marks is a table."""
    start, end = marks
    before, rest = text.split(start)
    _, after = rest.split(end)
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join((before + start, *(f"| {' | '.join(line)} |" for line in lines), end + after))


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
    recall = shown(result, "recall_core")
    return (cells, *walls.values(), ratio, peak, *quality, recall, MISSING if exponent is None else f"{exponent:.2f}")


def workflow_row(result: Result) -> tuple[str, ...]:
    """Return the cells of a row of the table of the whole workflow."""
    seconds = (f"{result['cpu_of_jobs'] + result['cpu_of_snakemake']:.0f} s", f"{result['cpu_fixed']:.0f} s")
    shares = (f"{result['overhead']:.0%}", f"{result['share_stored_files']:.0%}")
    counts = (f"{result['cells']:,}", str(result["jobs"]))
    peak = f"{result['peak_mib'] / 1024:.1f} GiB"
    return (*counts, f"{result['wall']:.0f} s", shares[0], *seconds, shares[1], peak)


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

"""The HTML report, written by Snakemake itself once a run has ended well."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any


def write_report(
    snakefile: str | Path, config: Mapping[str, Any], report: str | Path, needed: Collection[str | Path]
) -> None:
    """Write the report of a finished run and print where it lies; say so where the run made a part of it alone.

    A rule cannot do this: the report describes the rules of a run that has ended.

    Parameters
    ----------
    snakefile
        Snakefile of the run.
    config
        Config given on the command line of the run.
    report
        HTML file to write.
    needed
        Results of the whole run. With one of them missing, as after a run of a single target, no report is written.
    """
    missing = [str(path) for path in needed if not Path(path).exists()]
    if missing:
        told = f"{len(missing)} of {len(needed)} results of the whole run are not there, such as {missing[0]}"
        print(f"\nNo report: {told}. Run without a target to make them.\n", file=sys.stderr)
        return
    with tempfile.NamedTemporaryFile("w", suffix=".json") as handle:
        json.dump(dict(config), handle)
        handle.flush()
        command = [
            sys.executable,
            "-m",
            "snakemake",
            "--snakefile",
            str(snakefile),
            "--cores",
            "1",
            "--nolock",
        ]
        command += ["--report", str(report), "--configfile", handle.name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"The run ended well, but its report was not written:\n{done.stderr}", file=sys.stderr)
        sys.exit(done.returncode)
    print(f"\nReport: {Path(report).resolve()}\n", file=sys.stderr)

"""Rows of `results/science.json`: what a simulation or golden check found, beside the limits stated for it.

A test asks for the fixture `science`. Rows travel with the test's report, so that they arrive where tests run in
several processes.
"""

import json
import math
import os
import shlex
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

KEYS = ("id", "what", "value", "low", "high", "n", "command")
PROPERTY = "science_row"
CHANCE = 1e-3
"""Chance at which a rate at the edge of the full limits falls outside those of fewer replicates."""


def pytest_addoption(parser):
    group = parser.getgroup("science", "simulations and golden checks")
    group.addoption(
        "--science-full",
        action="store_true",
        default=os.environ.get("SCIENCE_FULL", "") not in ("", "0"),
        help="run all replicates, held to the limits stated for them (also SCIENCE_FULL=1)",
    )
    group.addoption(
        "--science-json",
        metavar="PATH",
        default=os.environ.get("SCIENCE_JSON", ""),
        help="write the rows to this file (also SCIENCE_JSON=PATH)",
    )


def pytest_configure(config):
    config.pluginmanager.register(Collector(config), "science_rows")


class Collector:
    """Gather the rows of all reports, write them and print them; the controller of several processes alone does."""

    def __init__(self, config):
        self.rows = []
        self.path = config.getoption("science_json")
        self.is_worker = hasattr(config, "workerinput")

    def pytest_runtest_logreport(self, report):
        if report.when == "call" and not self.is_worker:
            self.rows += [row for name, row in report.user_properties if name == PROPERTY]

    def pytest_sessionfinish(self):
        if self.path and not self.is_worker:
            path = Path(self.path)
            path.parent.mkdir(parents=True, exist_ok=True)
            text = json.dumps(sorted(self.rows, key=lambda row: row["id"]), indent=2, ensure_ascii=False)
            path.write_text(text + "\n", encoding="utf-8")

    def pytest_terminal_summary(self, terminalreporter):
        if self.rows and not self.is_worker:
            terminalreporter.section("science")
            for line in table_lines(self.rows):
                terminalreporter.write_line(line)
            if self.path:
                terminalreporter.write_line(f"written to {self.path}")


def table_lines(rows):
    """Return the rows as lines of a table."""
    cells = [["id", "value", "low", "high", "n", "", "what"]]
    for row in sorted(rows, key=lambda row: row["id"]):
        numbers = ["" if row[name] is None else f"{row[name]:.4g}" for name in ("value", "low", "high")]
        value = math.nan if row["value"] is None else row["value"]
        verdict = "" if within(value, row["low"], row["high"]) else "OUTSIDE"
        cells.append([row["id"], *numbers, str(row["n"]), verdict, row["what"]])
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]


def within(value, low, high):
    """Tell whether a value lies within limits, either of which may be missing; NaN lies within none."""
    return (-math.inf if low is None else low) <= value <= (math.inf if high is None else high)


def widened(low, high, n):
    """Return the limits of an observed share of `n` trials whose true share is anywhere from `low` to `high`."""
    return float(stats.binom.ppf(CHANCE, n, low) / n), float(stats.binom.isf(CHANCE, n, high) / n)


class Science:
    """What a test of the science group records."""

    def __init__(self, node, full):
        self.node = node
        self.full = full

    def replicates(self, full=500, quick=40):
        """Return how many cohorts to simulate."""
        return full if self.full else quick

    def limits(self, low, high, n):
        """Return the limits of a share: those stated, or with fewer replicates wider by the error of `n` trials."""
        return (low, high) if self.full else widened(low, high, n)

    def row(self, id, what, value, low, high, n):  # noqa: A002 - the key of the file
        """Record a row, then fail unless the value lies within its limits."""
        numbers = [None if number is None else float(number) for number in (value, low, high)]
        # JSON has no word for a number that is not defined.
        written = [None if number is None or not math.isfinite(number) else number for number in numbers]
        row = dict(zip(KEYS, (id, what, *written, int(n), self.command), strict=True))
        self.node.user_properties.append((PROPERTY, row))
        if not within(*numbers):
            __tracebackhide__ = True
            pytest.fail(f"{id}: {what}: {numbers[0]:.4g} is not within {numbers[1]} to {numbers[2]} (n = {n})")

    @property
    def command(self):
        """What repeats the row."""
        # Under pytest-xdist the group of a test is part of its id.
        test = self.node.nodeid.rsplit("@", 1)[0]
        return " ".join(["python -m pytest", shlex.quote(test), *["--science-full"] * self.full])


@pytest.fixture
def science(request):
    return Science(request.node, request.config.getoption("science_full"))


def share(found):
    """Return the share of true among values that are not missing, and their number."""
    found = np.asarray(found, dtype=float)
    known = found[~np.isnan(found)]
    return float(known.mean()), len(known)

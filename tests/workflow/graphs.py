"""Which jobs must run again after a change, found without the product's own code."""

import ast
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from workflow.runs import Run, run_snakemake

PACKAGE = "immune_landscape"


class JobGraph:
    """Jobs of a run and what needs what, as ``snakemake --dag`` tells."""

    def __init__(self, text: str):
        labels = re.findall(r'^\s*(\d+)\[label = "(\w+)', text, re.M)
        self.rules = {int(number): rule for number, rule in labels if rule not in ("all", "default")}
        self.edges = [(int(a), int(b)) for a, b in re.findall(r"^\s*(\d+) -> (\d+)", text, re.M)]

    def downstream(self, jobs: Iterable[int]) -> set[int]:
        reached, waiting = set(), list(jobs)
        while waiting:
            job = waiting.pop()
            if job not in reached:
                reached.add(job)
                waiting += [after for before, after in self.edges if before == job]
        return reached & set(self.rules)

    def rerun(self, rules: set[str], temporary: set[str]) -> Counter[str]:
        """Count the jobs that must run when these rules have changed, by rule.

        What only lived while the run did (temp outputs) is made again for the jobs that read it, and all that
        follows from it.
        """
        jobs = self.downstream(job for job, rule in self.rules.items() if rule in rules)
        while True:
            makers = {a for a, b in self.edges if b in jobs and self.rules.get(a) in temporary}
            wider = self.downstream(jobs | makers)
            if wider == jobs:
                return Counter(self.rules[job] for job in jobs)
            jobs = wider


def job_graph(run: Run) -> JobGraph:
    shown = run_snakemake(run.tree, run.cohort, "--dag", "--forceall", "--cores", "1")
    return JobGraph(shown.text)


def temporary_rules(tree: Path) -> set[str]:
    """Name the rules with a temp() output."""
    found = set()
    for path in (tree / "workflow" / "rules").glob("*.smk"):
        blocks = re.split(r"^ *rule (\w+):\n", path.read_text(encoding="utf-8"), flags=re.M)
        found |= {name for name, text in zip(blocks[1::2], blocks[2::2], strict=True) if "temp(" in text}
    return found


def rules_that_import(tree: Path, module: str) -> set[str]:
    """Name the rules whose script or module reaches a package module by imports, however many steps away."""
    scripts = tree / "scripts"
    reached = {path.stem: _reach(path, scripts, set()) | {path.stem} for path in scripts.glob("*.py")}
    return {rule for rule, names in reached.items() if module in names}


def _reach(path: Path, scripts: Path, seen: set[str]) -> set[str]:
    for name in _imported(path, scripts) - seen:
        seen.add(name)
        _reach(scripts / PACKAGE / f"{name}.py", scripts, seen)
    return seen


def _imported(path: Path, scripts: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            # A relative import counts as one from the package.
            base = ".".join(part for part in (PACKAGE if node.level else "", node.module or "") if part)
            names |= {base} | {f"{base}.{alias.name}" for alias in node.names}
    inside = {name.split(".")[1] for name in names if name.startswith(f"{PACKAGE}.")}
    return {name for name in inside if (scripts / PACKAGE / f"{name}.py").exists()}

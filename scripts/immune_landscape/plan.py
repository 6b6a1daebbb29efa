"""What one run consists of: the cohort, its layers, and how its samples are dealt to jobs."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from immune_landscape.check_inputs import problems_of, stopping_contrasts
from immune_landscape.cohort import Cohort, examine_cohort
from immune_landscape.config_checks import is_simulated
from immune_landscape.errors import ProblemsError
from immune_landscape.further_files import (
    DONOR_CELLS,
    find_antigens,
    find_earlier,
    find_origins,
    find_reference,
    lacks_files,
)
from immune_landscape.layers import LAYERS
from immune_landscape.schemas import section_names

RECEPTORS = {"tcr", "bulk_tcr"}
STUDY_KEYS = (
    *("title", "simulated", "visits", "tissues", "labels", "contrasts", "responders", "unblinded", "time_unit"),
)
"""What figures and comparisons may know of the study, besides the design table."""


@dataclass(frozen=True)
class Plan:
    """A run, as the rules need it.

    Attributes
    ----------
    name
        Folder name of the cohort: names the folders of results and logs.
    cohort
        The cohort as read.
    data_root
        Folder of simulated files; None when the data are the user's.
    jobs
        Job id -> samples with single-cell counts that it handles.
    base, overrides
        Config below and above cohort.yaml, without the settings of rules, for a job that reads the cohort again.
    """

    name: str
    cohort: Cohort
    data_root: str | None
    jobs: dict[str, list[str]]
    base: dict[str, Any]
    overrides: dict[str, Any]

    @property
    def study(self) -> dict[str, Any]:
        """Facts of the study that figures and comparisons may use, as plain values."""
        config = self.cohort.config
        level = {key: config["testing"][key] for key in ("alpha", "power")}
        return {key: config[key] for key in STUDY_KEYS} | level | {"layers": list(self.compared)}

    @property
    def compared(self) -> dict[str, str]:
        """Layers that this cohort compares between patients -> their table, under the folder of the results."""
        config, held = self.cohort.config, set(self.cohort.config["layers"])
        further = {"visits": len(config["visits"]) > 1, "antigens": config["antigens"], "receptors": held & RECEPTORS}
        further["tissue"] = self.has_tissue
        held |= {name for name, there in further.items() if there}
        return {name: layer.table for name, layer in LAYERS.items() if held.issuperset(layer.needs)}

    @property
    def has_tissue(self) -> bool:
        """Whether any sample with single cells is of tissue rather than blood."""
        fluids = self.cohort.config["measure_microenvironment"]["fluids"]
        return not set(self.cohort.samples.loc[self.cohort.samples["gex"] != "", "tissue"]).issubset(fluids)

    @property
    def second_sources(self) -> list[str]:
        """Extra columns of patients.tsv that give the best response again."""
        declared = self.cohort.config["extra_columns"].get("patients", {})
        return [name for name, column in declared.items() if column.get("same_as") == "best_response"]

    def files(self, column: str, samples: list[str] | None = None) -> list[str]:
        """Return the distinct files of a column of samples.tsv, in its order.

        Parameters
        ----------
        column
            ``gex``, ``tcr`` or ``bulk_tcr``.
        samples
            Only these samples; None for all.

        Returns
        -------
        list of str
            Paths as resolved.
        """
        if column not in self.cohort.config["layers"]:
            return []
        table = self.cohort.samples
        rows = table if samples is None else table[table["sample"].isin(samples)]
        return list(dict.fromkeys(path for path in rows[column] if path))

    def samples_with(self, column: str) -> list[str]:
        """Return the samples that have a file in a column of samples.tsv, in its order; none where it is no layer."""
        if column not in self.cohort.config["layers"]:
            return []
        table = self.cohort.samples
        return [str(name) for name in table.loc[table[column] != "", "sample"]]

    @property
    def contract(self) -> dict[str, Any]:
        """The effective config without the settings of single rules: what the cohort is, not how it is analysed."""
        return _without_sections(self.cohort.config)

    @property
    def origins(self) -> str:
        """Sheet that tells cells of the patient from cells of a donor; empty without one."""
        return find_origins(self.cohort)

    @property
    def reference(self) -> str:
        """File of the reference that cohort.yaml names; empty without one."""
        return find_reference(self.cohort)

    @property
    def antigens(self) -> list[str]:
        """Files of the snapshots of receptors with known antigens that cohort.yaml names."""
        return find_antigens(self.cohort)

    @property
    def earlier_labels(self) -> str:
        """Labels of an earlier run, whose numbers clusters keep; empty without them."""
        return find_earlier(self.cohort)

    def sheets(self) -> list[str]:
        """Return the tables of the cohort folder that exist."""
        names = ["patients.tsv", "samples.tsv", "populations.tsv", "measures.tsv"]
        names += ["assessments.tsv", "adverse_events.tsv", "biomarkers.tsv", DONOR_CELLS]
        return [str(self.cohort.folder / name) for name in names if (self.cohort.folder / name).exists()]


def make_plan(base: Mapping[str, Any], overrides: Mapping[str, Any], *, results: str = "results") -> Plan:
    """Read the cohort that a config names and lay out its run.

    Parameters
    ----------
    base
        Config of the workflow, which names the cohort folder.
    overrides
        Config given on the command line.
    results
        Folder of results.

    Returns
    -------
    Plan
        What the rules need.

    Raises
    ------
    ProblemsError
        With every mistake of the cohort at once, those inside data files included.
    """
    folder = Path(base["cohort"])
    name = folder.resolve().name
    cohort, problems = examine_cohort(folder, overrides, base=base)
    simulated = cohort is not None and is_simulated(cohort.config)
    root = f"{results}/{name}/simulate_cohort" if simulated else None
    if simulated:
        cohort, problems = examine_cohort(folder, overrides, base=base, data_root=root)
    if problems or cohort is None or lacks_files(cohort):
        # Look into the data files as well, so that one pass tells everything.
        raise ProblemsError(problems_of(folder, overrides, root, base=base))
    if untestable := stopping_contrasts(cohort):
        raise ProblemsError(untestable)
    jobs = deal_samples(cohort, cohort.config["samples_per_job"])
    return Plan(name, cohort, root, jobs, _without_sections(base), _without_sections(overrides))


def _without_sections(config: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out the settings of single rules: another figure size must not make a job read the cohort anew."""
    sections = set(section_names())
    return copy.deepcopy({key: value for key, value in config.items() if key not in sections})


def deal_samples(cohort: Cohort, samples_per_job: int) -> dict[str, list[str]]:
    """Deal the samples with single-cell counts to jobs of about equal size, in the order of the sheet.

    Starting a job costs seconds (importing scanpy), so one job per sample would cost more than the work itself.

    Parameters
    ----------
    cohort
        The cohort.
    samples_per_job
        At most so many samples in one job.

    Returns
    -------
    dict
        Job id -> sample ids.
    """
    if "gex" not in cohort.config["layers"]:
        return {}
    samples = [str(name) for name in cohort.samples.loc[cohort.samples["gex"] != "", "sample"]]
    count = -(-len(samples) // samples_per_job)
    bounds = [round(i * len(samples) / count) for i in range(count + 1)] if count else [0]
    return {f"{i + 1:03d}": samples[bounds[i] : bounds[i + 1]] for i in range(count)}

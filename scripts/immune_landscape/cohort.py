"""The cohort folder, read once, checked as a whole, and handed on as plain tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from immune_landscape import cohort_checks as checks
from immune_landscape.clinical_checks import with_derived
from immune_landscape.config_checks import config_problems, is_simulated
from immune_landscape.data_files import root_folder, shown_path
from immune_landscape.errors import Problem, ProblemsError
from immune_landscape.masking import masked_table, told_notes
from immune_landscape.schemas import Location, config_schema, fill_defaults, load_schema, merge, schema_problems, typed
from immune_landscape.sheet_notes import sheet_notes
from immune_landscape.sheet_tables import Table, Tables
from immune_landscape.sheets import Sheet, read_sheet, typed_columns
from immune_landscape.strict_yaml import KeyPath, YamlFile, dotted, read_yaml, top_key

if TYPE_CHECKING:
    import pandas as pd

OLDEST = 90
# Keys of the workflow, not of the cohort, that Snakemake hands over in the same config.
WORKFLOW_KEYS = ("cohort", "pathvars")


@dataclass(frozen=True)
class Cohort:
    """A cohort as its folder describes it.

    Attributes
    ----------
    folder
        Folder of the cohort.
    config
        Effective config with every default filled in, rule sections included.
    patients
        One row per patient; all columns of the schema, text empty and numbers NaN when missing.
    samples
        One row per sample; ``gex``, ``tcr`` and ``bulk_tcr`` are resolved paths or empty.
    populations, measures
        Gated populations and other numbers per sample, where the folder has them.
    assessments, adverse_events, biomarkers
        Clinical sheets, where the folder has them.
    data_root
        Folder that the paths in samples.tsv were resolved against.
    sample_lines
        Line in samples.tsv of each row of ``samples``.
    config_lines
        Line in cohort.yaml of each key, by dotted path such as ``contrasts[0]``.
    notes
        What was accepted though unusual.
    """

    folder: Path
    config: dict[str, Any]
    patients: pd.DataFrame
    samples: pd.DataFrame
    populations: pd.DataFrame | None
    measures: pd.DataFrame | None
    assessments: pd.DataFrame | None = None
    adverse_events: pd.DataFrame | None = None
    biomarkers: pd.DataFrame | None = None
    data_root: Path = Path()
    sample_lines: tuple[int, ...] = ()
    config_lines: dict[str, int] = field(default_factory=dict)
    notes: tuple[Problem, ...] = ()


@dataclass(frozen=True)
class _Config:
    """The effective config, where each key came from, and which top-level keys are unsound."""

    effective: dict[str, Any]
    problems: list[Problem]
    unsound: set[str]
    file: YamlFile
    overrides: Mapping[str, Any]

    def place(self, path: KeyPath) -> Location:
        """Return the file and line where a key was set; the line of its parent for a key that was left out."""
        inner: Any = self.overrides
        for part in path:
            inner = inner.get(part) if isinstance(inner, Mapping) else None
        if path and inner is not None:
            return "--config", 0
        while path and path not in self.file.lines:
            path = path[:-1]
        return self.file.label, self.file.lines[path] if path else 0


def read_cohort(
    folder: str | Path,
    overrides: Mapping[str, Any] | None = None,
    *,
    base: Mapping[str, Any] | None = None,
    data_root: str | Path | None = None,
) -> Cohort:
    """Read a cohort folder and check its sheets, without opening a data file.

    Parameters
    ----------
    folder
        Folder with cohort.yaml, patients.tsv and samples.tsv.
    overrides
        Config given on the command line; wins over cohort.yaml.
    base
        Config of the workflow (config/config.yaml); gives way to cohort.yaml.
    data_root
        Folder that the paths in samples.tsv resolve against, in place of the key ``data_root``;
        relative to the working directory.

    Returns
    -------
    Cohort
        Typed tables and the effective config.

    Raises
    ------
    ProblemsError
        With every mistake of the config and the sheets at once.
    """
    cohort, problems = examine_cohort(folder, overrides, base=base, data_root=data_root)
    if problems or cohort is None:
        raise ProblemsError(problems)
    return cohort


def examine_cohort(
    folder: str | Path,
    overrides: Mapping[str, Any] | None = None,
    *,
    base: Mapping[str, Any] | None = None,
    data_root: str | Path | None = None,
) -> tuple[Cohort | None, list[Problem]]:
    """Read a cohort folder as far as it can be read.

    Parameters
    ----------
    folder, overrides, base, data_root
        As in ``read_cohort``.

    Returns
    -------
    cohort : Cohort or None
        What could be read; none when there is no folder. Faulty paths are empty.
    problems : list of Problem
        Every mistake found.
    """
    folder = Path(folder)
    if not folder.is_dir():
        message = "no such cohort folder, expected one with cohort.yaml, patients.tsv and samples.tsv"
        return None, [Problem(shown_path(folder), 0, "", message, "missing_folder")]
    config = _read_config(folder, overrides or {}, base or {})
    sheets = _read_sheets(folder, config)
    problems = [*config.problems, *config_problems(config.effective, folder, config.unsound, config.place)]
    problems += [problem for _, faults, _ in sheets for problem in faults]
    found = Tables(*(table for table, _, _ in sheets))
    problems += checks.sheet_problems(found, config.effective, config.unsound, config.place, _faulty_cells(problems))
    root, root_problems = _root(folder, config, data_root)
    resolved, path_problems = checks.resolved_paths(found.samples, root, config.effective)
    notes = [note for _, _, noted in sheets for note in noted]
    notes = told_notes(notes + sheet_notes(found, config.effective), _sheet_label(folder, "patients"), config.effective)
    cohort = _assemble(folder, config, found, resolved, root, notes)
    return cohort, sorted({*problems, *root_problems, *path_problems})


def design_table(cohort: Cohort) -> pd.DataFrame:
    """Return one row per sample with all that later stages may know of it.

    Parameters
    ----------
    cohort
        Cohort as read.

    Returns
    -------
    pandas.DataFrame
        Columns of samples.tsv, ``response`` (``responder``, ``non_responder`` or empty), and the
        columns of patients.tsv. A patient who is not evaluable has no response. In a blinded
        cohort arm, response and outcome are empty (see ``masking.masked_columns``).
    """
    table = cohort.samples.merge(patient_table(cohort), on="patient", how="left", validate="many_to_one")
    first = [*cohort.samples.columns, "response"]
    return table[[*first, *(name for name in table.columns if name not in first)]]


def patient_table(cohort: Cohort) -> pd.DataFrame:
    """Return one row per patient with all that later stages may know, those without a sample included.

    Parameters
    ----------
    cohort
        Cohort as read.

    Returns
    -------
    pandas.DataFrame
        Columns of patients.tsv and ``response``, masked as in `design_table`. ``best_response`` is the one that is used
        where assessments.tsv gives another.
    """
    patients = with_derived(cohort.patients, cohort.assessments, cohort.config)
    return masked_table(patients.assign(response=_responses(patients, cohort.config)), cohort.config)


def _responses(patients: pd.DataFrame, config: Mapping[str, Any]) -> list[str]:
    responders = config["responders"]
    names = dict.fromkeys(responders["positive"], "responder") | dict.fromkeys(responders["negative"], "non_responder")
    pairs = zip(patients["best_response"], patients["evaluable"], strict=True)
    return ["" if evaluable == "no" else names.get(response, "") for response, evaluable in pairs]


def _read_config(folder: Path, overrides: Mapping[str, Any], base: Mapping[str, Any]) -> _Config:
    path = folder / "cohort.yaml"
    file = read_yaml(path, shown_path(path))
    upper = typed(config_schema(), {key: value for key, value in overrides.items() if key not in WORKFLOW_KEYS})
    lower = {key: value for key, value in base.items() if key not in WORKFLOW_KEYS}
    schema = config_schema()
    values = fill_defaults(schema, merge(merge(lower, file.value), upper))
    config = _Config(values, [], set(), file, upper)
    unreadable = not file.value and file.problems
    found = [] if unreadable else schema_problems(schema, values, config.place)
    told = {(problem.line, problem.column) for problem in file.problems}
    problems = [*file.problems, *(problem for problem in found if (problem.line, problem.column) not in told)]
    unsound = {top_key(problem.column) for problem in problems} - {""}
    return _Config(_sound(values, unsound | ({"visits"} - set(values))), problems, unsound, file, upper)


def _sound(values: dict[str, Any], unsound: set[str]) -> dict[str, Any]:
    """Put defaults in place of unsound values, so that the sheets can still be checked."""
    properties = config_schema()["properties"]
    kept = {key: value for key, value in values.items() if key not in unsound}
    known = {key: properties[key]["default"] for key in unsound if "default" in properties.get(key, {})}
    return fill_defaults(config_schema(), {"visits": [], "title": "", **kept, **known})


def _specs(name: str, config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    extra = config["extra_columns"].get(name, {})
    specs = {**load_schema(name)["properties"], **extra}
    if name in ("samples", "biomarkers") and config["visits"]:
        specs["visit"] = {**specs["visit"], "enum": config["visits"]}
    if name in ("samples", "biomarkers"):
        specs["tissue"] = {**specs["tissue"], "enum": config["tissues"]}
    return specs


_Read = tuple["Table | None", list[Problem], list[Problem]]


def _read_sheets(folder: Path, config: _Config) -> list[_Read]:
    names = ("patients", "samples", "populations", "measures", "assessments", "adverse_events", "biomarkers")
    # A cohort of clinical tables alone says so, and then needs no samples.
    without_samples = config.effective.get("layers") == []
    optional = [False, without_samples, *[True] * (len(names) - 2)]
    return [_read_table(folder, *pair, config.effective) for pair in zip(names, optional, strict=True)]


def _read_table(folder: Path, name: str, optional: bool, config: Mapping[str, Any]) -> _Read:
    path, label = folder / f"{name}.tsv", _sheet_label(folder, name)
    if not path.exists() and not path.is_symlink():
        if optional and name == "samples":
            return Table(label, typed_columns(Sheet(label), _specs(name, config))[0], frozenset(), frozenset()), [], []
        hint = "; a cohort of clinical tables alone has `layers: []` in cohort.yaml" if name == "samples" else ""
        missing = [] if optional else [Problem(label, 0, "", f"sheet is missing{hint}", "missing_sheet")]
        return None, missing, []
    specs = _specs(name, config)
    sheet: Sheet = read_sheet(path, label, specs=specs, required=load_schema(name)["required"])
    frame, problems = typed_columns(sheet, specs)
    table = Table(label, frame, frozenset(sheet.columns), sheet.broken)
    if sheet.columns and not sheet.lines and not optional:
        problems.append(Problem(label, 1, "", "has a header but no row", "empty_sheet"))
    return table, [*sheet.problems, *problems], sheet.notes


def _sheet_label(folder: Path, name: str) -> str:
    return shown_path(folder / f"{name}.tsv")


def _faulty_cells(problems: list[Problem]) -> set[tuple[str, int, str]]:
    return {(problem.file, problem.line, problem.column) for problem in problems}


def _root(folder: Path, config: _Config, data_root: str | Path | None) -> tuple[Path, list[Problem]]:
    if data_root is not None:
        return Path(data_root), []
    root, fault = root_folder(folder, config.effective["data_root"])
    if fault is None or is_simulated(config.effective):
        return root, []
    return root, [Problem(*config.place(("data_root",)), "data_root", fault, "missing_folder")]


def _assemble(
    folder: Path,
    config: _Config,
    found: Tables,
    resolved: Mapping[str, list[str]],
    root: Path,
    notes: list[Problem],
) -> Cohort | None:
    if found.patients is None or found.samples is None:
        return None
    patients, samples = found.patients.frame, found.samples.frame
    lines = tuple(int(line) for line in samples.index)
    samples = samples.assign(
        tissue=samples["tissue"].mask(samples["tissue"] == "", config.effective["tissues"][0]),
        gex_label=samples["gex_label"].mask(samples["gex_label"] == "", samples["sample"]),
        **resolved,
    )
    tables = {"patients": patients.assign(age=patients["age"].clip(upper=OLDEST)), "samples": samples}
    tables |= {name: table.frame for name, table in (found.optional() | found.clinical()).items()}
    bare = {name: frame.reset_index(drop=True) for name, frame in tables.items()}
    completed = checks.completed_config(config.effective, found)
    return Cohort(
        folder=folder,
        config=completed,
        patients=bare["patients"],
        samples=bare["samples"],
        populations=bare.get("populations"),
        measures=bare.get("measures"),
        assessments=bare.get("assessments"),
        adverse_events=bare.get("adverse_events"),
        biomarkers=bare.get("biomarkers"),
        data_root=root,
        sample_lines=lines,
        config_lines={dotted(path): line for path, line in config.file.lines.items()},
        notes=tuple(sorted(set(notes))),
    )

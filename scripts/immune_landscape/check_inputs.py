"""Check data files and contrasts before any heavy job, and tell every problem at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from immune_landscape.clinical_tables import assessment_table, biomarker_table, event_table, outcome_table
from immune_landscape.cohort import Cohort, design_table, examine_cohort, patient_table
from immune_landscape.cohort_checks import FILE_LAYERS
from immune_landscape.config_checks import is_simulated
from immune_landscape.data_files import shown_path
from immune_landscape.designs import GROUP_COLUMNS, check_contrast
from immune_landscape.errors import DesignError, InputError, Problem, ProblemsError
from immune_landscape.further_files import further_problems
from immune_landscape.identifiers import personal_kind
from immune_landscape.number_checks import scale_name
from immune_landscape.strict_yaml import top_key
from immune_landscape.text_files import printable

if TYPE_CHECKING:
    import pandas as pd

    from immune_landscape.input_files import Place
    from immune_landscape.input_probes import Counts

DESIGN_COLUMNS = (
    *("patient", "sample", "visit", "tissue", "batch", "arm", "best_response", "evaluable"),
    *("visits", "tissues", "contrasts", "responders", "strata", "extra_columns"),
)
INPUT_COLUMNS = ["path", "sha256", "bytes", "layer", "sample", "note"]
NOTE_COLUMNS = ["file", "line", "column", "kind", "message"]
POPULATION_COLUMNS = ["sample", "population", "parent", "count", "fraction"]
MEASURE_COLUMNS = ["sample", "measure", "value", "unit", "scale"]
WITHHELD = "checksum and size withheld: they would tell whether arm, response or outcome changed"


def check_inputs(
    cohort: Cohort, *, min_pairs: int, untestable_contrasts: str, probe_cells: int
) -> dict[str, pd.DataFrame]:
    """Check the data files and contrasts of a cohort.

    Parameters
    ----------
    cohort
        Cohort as read.
    min_pairs
        Least number of complete patients per group of a contrast.
    untestable_contrasts
        ``stop`` on a contrast that the sheets cannot answer, or ``note`` it.
    probe_cells
        Number of cells of each count matrix whose values are looked at.

    Returns
    -------
    dict of str to pandas.DataFrame
        ``design`` (see ``cohort.design_table``), ``patients`` (see ``cohort.patient_table``), ``inputs`` (path,
        sha256, bytes, layer, sample, note; the sheets included, that of patients without checksum in a blinded
        cohort), ``notes`` (file, line, column, kind, message), ``populations`` (sample, population, parent, count,
        fraction), ``measures`` (sample, measure, value, unit, scale), ``outcomes`` (see
        ``clinical_tables.outcome_table``), ``assessments``, ``adverse_events`` and ``biomarkers`` (columns of their
        sheets); tables have no row where the cohort has no such layer or sheet.

    Raises
    ------
    ProblemsError
        With every file that cannot be used and every contrast that cannot be estimated.
    """
    content, noted = content_problems(cohort, probe_cells=probe_cells)
    contrasts, blinded = contrast_problems(cohort, min_pairs=min_pairs)
    stopping = contrasts if untestable_contrasts == "stop" else []
    if content or stopping:
        raise ProblemsError([*content, *stopping])
    notes = [*cohort.notes, *noted, *blinded, *(contrasts if not stopping else []), *_layer_notes(cohort)]
    tables = {"design": design_table(cohort), "patients": patient_table(cohort)}
    tables |= {"inputs": _input_table(cohort), "notes": _note_table(notes), "outcomes": outcome_table(cohort)}
    tables |= {"assessments": assessment_table(cohort), "adverse_events": event_table(cohort)}
    tables |= {"biomarkers": biomarker_table(cohort)}
    return tables | {"populations": _population_table(cohort), "measures": _measure_table(cohort)}


def declared_texts(cohort: Cohort) -> set[str]:
    """Return the extra columns of the sheets whose cells are text, though they may look like numbers.

    Parameters
    ----------
    cohort
        Cohort as read.

    Returns
    -------
    set of str
        Names as declared in cohort.yaml.
    """
    declared = cohort.config["extra_columns"].values()
    return {name for columns in declared for name, spec in columns.items() if spec["type"] in ("string", "boolean")}


def problems_of(
    folder: str | Path,
    overrides: Mapping[str, Any] | None = None,
    data_root: str | Path | None = None,
    *,
    base: Mapping[str, Any] | None = None,
) -> list[Problem]:
    """Return every problem of a cohort: config, sheets, and the data files that could be found.

    Parameters
    ----------
    folder, overrides, base, data_root
        As in ``cohort.read_cohort``.

    Returns
    -------
    list of Problem
        Sorted, without repeats; empty for a sound cohort.
    """
    cohort, problems = examine_cohort(folder, overrides, base=base, data_root=data_root)
    if cohort is not None:
        settings = cohort.config["check_inputs"]
        found, _ = content_problems(cohort, probe_cells=settings["probe_cells"])
        contrasts = [] if _shakes_contrasts(problems) else stopping_contrasts(cohort)
        problems = [*problems, *found, *contrasts]
    return sorted(set(problems))


def stopping_contrasts(cohort: Cohort) -> list[Problem]:
    """Return the contrasts that the sheets cannot answer, where the config says that they stop the run.

    Parameters
    ----------
    cohort
        Cohort as read.

    Returns
    -------
    list of Problem
        Empty when ``check_inputs.untestable_contrasts`` is ``note``.
    """
    settings = cohort.config["check_inputs"]
    if settings["untestable_contrasts"] != "stop":
        return []
    return contrast_problems(cohort, min_pairs=settings["min_pairs"])[0]


def _shakes_contrasts(problems: list[Problem]) -> bool:
    """Return whether a mistake touches what contrasts are built from, so that a verdict on them would be a guess."""
    return any(not problem.line or top_key(problem.column) in {*DESIGN_COLUMNS, ""} for problem in problems)


def contrast_problems(cohort: Cohort, *, min_pairs: int) -> tuple[list[Problem], list[Problem]]:
    """Check that the sheets can answer each contrast.

    Parameters
    ----------
    cohort
        Cohort as read.
    min_pairs
        Least number of complete patients per group.

    Returns
    -------
    problems : list of Problem
        Contrasts that cannot be estimated.
    notes : list of Problem
        Contrasts that wait for unblinding.
    """
    design = design_table(cohort)
    file = shown_path(cohort.folder / "cohort.yaml")
    problems, notes = [], []
    for i, contrast in enumerate(cohort.config["contrasts"]):
        line = cohort.config_lines.get(f"contrasts[{i}]", 0)
        column = f"contrasts.{contrast['name']}"
        if contrast["estimand"] in GROUP_COLUMNS and not cohort.config["unblinded"]:
            notes.append(Problem(file, line, column, "waits for unblinding", "blinded"))
            continue
        try:
            problems += check_contrast(design, contrast, min_pairs=min_pairs, file=file, line=line)
        except DesignError as error:
            problems.append(Problem(file, line, column, str(error), "design"))
    return problems, notes


@dataclass
class _Look:
    """The content pass: what has been seen of each file, and what was found wrong or odd."""

    cohort: Cohort
    probe_cells: int
    files: dict[str, Counts | InputError] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    notes: list[Problem] = field(default_factory=list)

    @property
    def sheet(self) -> str:
        """Return the samples sheet as the user would type it."""
        return shown_path(self.cohort.folder / "samples.tsv")

    @property
    def inputs(self) -> dict[str, Any]:
        """Return how the cohort says that its files are to be read."""
        return self.cohort.config["inputs"]

    def note(self, line: int, layer: str, message: str, kind: str) -> None:
        """Keep something odd that does not stop the run."""
        self.notes.append(Problem(self.sheet, line, layer, message, kind))

    @contextmanager
    def reporting(self, place: Place, line: int, layer: str) -> Iterator[None]:
        """Turn any failure on a file into a problem of its cell in samples.tsv."""
        from immune_landscape.input_files import reading

        try:
            with reading(place, "the file"):
                yield
        except InputError as error:
            message = str(error).removeprefix(f"{place}: ")
            named = f"{printable(place.path.name)} {message}"
            self.problems.append(Problem(self.sheet, line, layer, named, "unusable_file"))

    def counts(self, place: Place) -> Counts:
        """Look into a file of counts once, though many samples may lie in it."""
        from immune_landscape.gene_names import name_genes
        from immune_landscape.input_probes import probe_counts

        key = str(place.path)
        if key not in self.files:
            try:
                found = probe_counts(place, cells=self.probe_cells)
                name_genes(found.genes, self.cohort.config["species"], place)
                self.files[key] = found
            except InputError as error:
                self.files[key] = InputError(str(error).removeprefix(f"{place}: "))
        seen = self.files[key]
        if isinstance(seen, InputError):
            raise place.error(str(seen))
        return seen


def content_problems(cohort: Cohort, *, probe_cells: int) -> tuple[list[Problem], list[Problem]]:
    """Look into every data file of a cohort.

    Parameters
    ----------
    cohort
        Cohort as read; samples without a path, and simulated files not yet made, are passed over.
    probe_cells
        Number of cells of each count matrix whose values are looked at.

    Returns
    -------
    problems : list of Problem
        One per sample and file that cannot be used, at its cell in samples.tsv, and those of further files.
    notes : list of Problem
        What is unusual but usable, such as genes without any mitochondrial one.
    """
    look = _Look(cohort, probe_cells)
    rows = cohort.samples[["sample", "gex_label", *FILE_LAYERS]].itertuples(index=False)
    for line, (sample, label, *paths) in zip(cohort.sample_lines, rows, strict=True):
        there = {layer: path for layer, path in zip(FILE_LAYERS, paths, strict=True) if path and Path(path).exists()}
        cells = _check_gex(look, line, sample, label, there.get("gex", ""))
        _check_tcr(look, line, sample, label, there.get("tcr", ""), cells)
        _check_bulk(look, line, sample, there.get("bulk_tcr", ""))
        for layer, path in there.items():
            _note_personal(look, line, layer, path)
    return [*look.problems, *further_problems(cohort)], look.notes


def _note_personal(look: _Look, line: int, layer: str, path: str) -> None:
    inside = path.removeprefix(str(look.cohort.data_root))
    personal = personal_kind(inside, person=False)
    if personal:
        message = f"the path holds what looks like {personal} and is written to the results; rename the file"
        look.note(line, layer, message, "personal_path")


def _check_gex(look: _Look, line: int, sample: str, label: str, path: str) -> list[str] | None:
    """Return the barcodes of a sample, or none without a usable file."""
    if not path:
        return None
    from immune_landscape.h5ad_files import kept_columns, sample_rows
    from immune_landscape.input_files import Place, find_barcodes

    place = Place(Path(path), sample)
    with look.reporting(place, line, "gex"):
        found = look.counts(place)
        kept_columns(found.cells.iloc[:0], look.inputs["keep_columns"], place)
        column = look.inputs["gex_sample_column"] if len(found.cells.columns) else None
        ids = found.cells.index[sample_rows(found.cells, column, label, place)]
        barcodes = find_barcodes(ids, look.inputs["barcode_pattern"], place)
        _note_counts(look, line, found, len(ids))
        return [str(barcode) for barcode in barcodes]
    return None


def _note_counts(look: _Look, line: int, found: Counts, cells: int) -> None:
    from immune_landscape.gene_names import has_mitochondrial

    for kind, message in found.notes:
        look.note(line, "gex", message, kind)
    if not cells:
        look.note(line, "gex", "holds no cell", "empty_sample")
    if not has_mitochondrial(found.genes.index):
        message = "the genes include no mitochondrial one, so cells cannot be judged by them"
        look.note(line, "gex", message, "no_mt_genes")


def _check_tcr(look: _Look, line: int, sample: str, label: str, path: str, cells: list[str] | None) -> None:
    if not path:
        return
    from immune_landscape.input_files import Place, find_barcodes
    from immune_landscape.input_probes import probe_receptors

    place = Place(Path(path), sample)
    with look.reporting(place, line, "tcr"):
        ids = probe_receptors(place, label, look.inputs["gex_sample_column"])
        barcodes = find_barcodes(ids, look.inputs["barcode_pattern"], place)
        if not ids:
            look.note(line, "tcr", "holds no cell with a receptor", "empty_sample")
        elif cells:
            _check_overlap(look, line, cells, [str(barcode) for barcode in barcodes])


def _check_overlap(look: _Look, line: int, cells: list[str], receptors: list[str]) -> None:
    from immune_landscape.load_receptors import MIN_BARCODES_TO_JUDGE
    from immune_landscape.receptors_io import match_barcodes

    match = match_barcodes(cells, receptors)
    smaller, least = min(len(cells), len(receptors)), look.inputs["min_tcr_overlap"]
    found = f"{match.share:.1%} of {smaller} barcodes in common with gex, such as {receptors[0]} and {cells[0]}"
    if match.share >= least:
        if match.stripped:
            look.note(line, "tcr", "barcodes match only without their -1 suffix", "suffix_stripped")
    elif smaller < MIN_BARCODES_TO_JUDGE:
        look.note(line, "tcr", f"{found}; too few to judge", "low_overlap")
    else:
        message = f"{found}; expected {least:.0%} (inputs.min_tcr_overlap); is it the same sample?"
        look.problems.append(Problem(look.sheet, line, "tcr", message, "tcr_overlap"))


def _check_bulk(look: _Look, line: int, sample: str, path: str) -> None:
    if not path:
        return
    from immune_landscape.bulk_io import read_bulk
    from immune_landscape.input_files import Place
    from immune_landscape.load_repertoires import why_unusable

    place = Place(Path(path), sample)
    with look.reporting(place, line, "bulk_tcr"):
        # Read whole, in seconds: a bad count in the last line would stop the run later.
        found = read_bulk(place)
        if reason := why_unusable(found, look.cohort.config["load_repertoires"]["sequence"]):
            raise place.error(reason)
        if not found.rows["productive"].any():
            look.note(line, "bulk_tcr", "holds no productive rearrangement", "empty_sample")


def _layer_notes(cohort: Cohort) -> list[Problem]:
    sheet = shown_path(cohort.folder / "samples.tsv")
    held = cohort.config["layers"]
    absent = [layer for layer in FILE_LAYERS if layer not in held]
    notes = [
        Problem(sheet, 0, layer, f"no sample has {layer}; its analyses are left out", "empty_layer") for layer in absent
    ]
    for layer in (name for name in FILE_LAYERS if name in held):
        without = cohort.samples.loc[cohort.samples[layer] == "", "sample"]
        if len(without):
            message = f"{len(without)} of {len(cohort.samples)} samples have no {layer}"
            notes.append(Problem(sheet, 0, layer, message, "missing_layer"))
    if is_simulated(cohort.config):
        notes.append(Problem(shown_path(cohort.folder), 0, "", "the data files are simulated", "simulated"))
    return notes


def _note_table(notes: list[Problem]) -> pd.DataFrame:
    import pandas as pd

    rows = [(note.file, note.line, note.column, note.kind, note.message) for note in sorted(set(notes))]
    return pd.DataFrame(rows, columns=NOTE_COLUMNS)


def _population_table(cohort: Cohort) -> pd.DataFrame:
    import pandas as pd

    if cohort.populations is None or "populations" not in cohort.config["layers"]:
        return pd.DataFrame(columns=POPULATION_COLUMNS)
    return cohort.populations[POPULATION_COLUMNS].astype({"count": "Int64"})


def _measure_table(cohort: Cohort) -> pd.DataFrame:
    import pandas as pd

    if cohort.measures is None or "measures" not in cohort.config["layers"]:
        return pd.DataFrame(columns=MEASURE_COLUMNS)
    return cohort.measures[MEASURE_COLUMNS].assign(scale=cohort.measures["scale"].map(scale_name))


def _input_table(cohort: Cohort) -> pd.DataFrame:
    import pandas as pd

    rows: list[tuple[Any, ...]] = [_described_sheet(path, cohort) for path in _sheets(cohort.folder)]
    described: dict[str, list[tuple[str, str, int]]] = {}
    for sample, *paths in cohort.samples[["sample", *FILE_LAYERS]].itertuples(index=False):
        for layer, path in zip(FILE_LAYERS, paths, strict=True):
            if path and path not in described:
                described[path] = _described_members(Path(path), cohort.data_root)
            rows += [(*row, layer, sample, "") for row in described.get(path, [])]
    return pd.DataFrame(rows, columns=INPUT_COLUMNS).astype({"bytes": "Int64"})


def _sheets(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.tsv") if path.is_file())


def _described_sheet(path: Path, cohort: Cohort) -> tuple[Any, ...]:
    if path.name in ("patients.tsv", "assessments.tsv") and not cohort.config["unblinded"]:
        return path.name, "", None, "sheet", "", WITHHELD
    return (*_described(path, cohort.folder), "sheet", "", "")


def _described_members(path: Path, root: Path) -> list[tuple[str, str, int]]:
    from immune_landscape.ten_x_files import matrix_members

    return [_described(member, root) for member in matrix_members(path) if member.is_file()]


def _described(path: Path, root: Path) -> tuple[str, str, int]:
    from immune_landscape.store import sha256_of

    shown_as = path.relative_to(root) if path.is_relative_to(root) else path
    return str(shown_as), sha256_of(path), path.stat().st_size

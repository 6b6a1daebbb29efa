import codecs
import math

import pytest

from immune_landscape.identifiers import SLUG, id_fault, personal_kind, suggest_slug
from immune_landscape.schemas import load_schema
from immune_landscape.sheets import cell_fault, read_sheet, typed_columns

SPECS = load_schema("patients")["properties"]
SOUND = "patient\tbest_response\tage\nP01\tPR\t61\nP02\tSD\t\n"


def read(tmp_path, content):
    path = tmp_path / "patients.tsv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_sheet(path, "patients.tsv", specs=SPECS, required=["patient"])


def told(problems):
    return [(problem.line, problem.column, problem.kind) for problem in problems]


def test_a_sound_sheet_is_typed(tmp_path):
    frame, problems = typed_columns(read(tmp_path, SOUND), SPECS)
    assert not problems
    assert frame.index.tolist() == [2, 3]
    assert list(frame.columns) == list(SPECS)
    assert frame["patient"].tolist() == ["P01", "P02"]
    assert frame.loc[2, "age"] == 61
    assert math.isnan(frame.loc[3, "age"])
    assert frame["arm"].tolist() == ["", ""]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (codecs.BOM_UTF8 + SOUND.encode(), "byte_order_mark"),
        (SOUND.replace("\n", "\r\n"), "line_ends"),
        (SOUND.replace("\n", "\r"), "line_ends"),
        (SOUND.replace("P01", "P01 "), "blanks"),
        (SOUND.replace("61", "61\t\t"), "trailing_tabs"),
        (SOUND.replace("P02", "\nP02"), "blank_line"),
    ],
)
def test_harmless_habits_are_accepted_and_noted(tmp_path, content, kind):
    sheet = read(tmp_path, content)
    frame, problems = typed_columns(sheet, SPECS)
    assert not sheet.problems
    assert not problems
    assert {note.kind for note in sheet.notes} == {kind}
    assert frame["patient"].tolist() == ["P01", "P02"]
    assert frame["best_response"].tolist() == ["PR", "SD"]


def test_no_final_newline_and_trailing_blank_lines_pass(tmp_path):
    assert not read(tmp_path, SOUND.rstrip("\n")).problems
    assert not read(tmp_path, SOUND + "\n\n").problems


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (SOUND.replace("P02", "Zoë").encode("latin-1"), "Latin-1"),
        (codecs.BOM_UTF16_LE + SOUND.encode("utf-16-le"), "UTF-16"),
        (SOUND.encode("utf-16-be"), "UTF-16"),
        (b"PK\x03\x04rest of a workbook", "Excel"),
        (b"\x1f\x8b\x08rest", "gzip"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
    ],
)
def test_other_encodings_and_files_are_refused_by_name(tmp_path, content, words):
    (problem,) = read(tmp_path, content).problems
    assert problem.kind == "encoding"
    assert words in problem.message


def test_the_line_of_a_latin_1_byte_is_told(tmp_path):
    assert read(tmp_path, SOUND.replace("P02", "Zoë").encode("latin-1")).problems[0].line == 3


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", [(0, "", "empty_sheet")]),
        ("patient,best_response\nP01,PR\n", [(1, "", "not_tab_separated")]),
        (SOUND.replace("age", "patient"), [(1, "patient", "duplicate_column")]),
        (SOUND.replace("age", "aeg"), [(1, "aeg", "unknown_column")]),
        (SOUND.replace("patient", "pateint"), [(1, "pateint", "unknown_column")]),
        (SOUND.replace("patient", "os_time"), [(1, "patient", "missing_column")]),
        (SOUND.replace("\tPR\t61", "\tPR"), [(2, "", "short_row")]),
        (SOUND.replace("61", "61\tmore"), [(2, "", "long_row")]),
        (SOUND.replace("P02", ""), [(3, "patient", "missing_value")]),
    ],
)
def test_mistakes_of_form(tmp_path, content, expected):
    assert told(read(tmp_path, content).problems) == expected


def test_a_misspelt_column_gets_a_suggestion(tmp_path):
    (problem,) = read(tmp_path, SOUND.replace("best_response", "best_respons")).problems
    assert "did you mean best_response?" in problem.message


@pytest.mark.parametrize(
    ("column", "cell", "kind", "words"),
    [
        ("best_response", "PD ", "not_allowed", "probably PD, with a blank around it"),
        ("best_response", "pd", "not_allowed", "probably PD"),
        ("best_response", "progressive disease", "not_allowed", "probably PD"),
        ("best_response", "NA", "not_allowed", "leave the cell empty"),
        ("sex", "F", "not_allowed", "probably female"),
        ("evaluable", "Y", "not_allowed", "probably yes"),
        ("cps", "101", "out_of_range", "0 to 100"),
        ("cps", "-1", "out_of_range", "0 to 100"),
        ("cps", "1,5", "not_a_number", "write 1.5"),
        ("cps", "nan", "not_a_number", "leave the cell empty"),
        ("cps", "1e999", "not_a_number", "a number"),
        ("cps", "1_000", "not_a_number", "a number"),
        ("cps", "٣", "not_a_number", "a number"),
        ("pfs_time", "-0.5", "out_of_range", "0 or more"),
        ("pfs_time", "12/03/2024", "calendar_date", "not shown"),
        ("pfs_event", "2", "not_allowed", "0, 1"),
        ("pfs_event", "0.5", "not_allowed", "0, 1"),
        ("arm", "arm a", "unsafe_id", "write arm_a"),
        ("arm", "a\x07b", "control_character", "\\x07"),
    ],
)
def test_bad_cells(column, cell, kind, words):
    found, message = cell_fault(cell, SPECS[column])
    assert found == kind
    assert words in message


@pytest.mark.parametrize("cell", ["0", "100", "1e1", "5.", ".5", "+3"])
def test_plain_numbers_pass(cell):
    assert cell_fault(cell, SPECS["cps"]) is None


HOSTILE = [
    "..",
    "../up",
    "a/b",
    "a\\b",
    "-x",
    ".x",
    "a b",
    "a'b",
    "a;b",
    "$(id)",
    "{x}",
    "a\nb",
    "a\0b",
    "x" * 300,
    "=",
]


@pytest.mark.parametrize(
    "value", [*HOSTILE, "Zoë", "Zoe\u0308", "\u0420\u0430\u04301", "病人", "P01\u200b", "\u202eP01"]
)
def test_unsafe_ids_are_refused_with_a_safe_suggestion(value):
    kind, message = id_fault(value, person=True)
    assert kind == "unsafe_id"
    assert message.isprintable()
    slug = suggest_slug(value)
    assert slug == "" or SLUG.fullmatch(slug)


@pytest.mark.parametrize("value", ["CON", "con", "nul", "COM1", "lpt9", "aux.txt"])
def test_device_names_are_refused(value):
    assert id_fault(value, person=False)[0] == "reserved_name"


@pytest.mark.parametrize(
    "value", ["NA", "nan", "None", "true", "1e5", "007", "P01", "Lung1", "101", "on", "GSM4385993"]
)
def test_odd_but_safe_ids_are_kept(value):
    assert id_fault(value, person=True) is None


@pytest.mark.parametrize(
    "value",
    ["1961-04-23", "23.04.1961", "P01_2020-03-05", "12345678", "4711008", "Anna_Schmidt", "Anna Schmidt"],
)
def test_what_looks_personal_is_refused_and_not_repeated(value):
    kind, message = id_fault(value, person=True)
    assert kind == "personal_identifier"
    assert value not in message


def test_look_alike_letters_are_named_and_mapped():
    assert suggest_slug("\u0420\u043e\u0440-01") == "Pop-01"
    assert "CYRILLIC CAPITAL LETTER ER" in id_fault("\u042001", person=True)[1]
    assert suggest_slug("Zoë Groß") == suggest_slug("Zoe\u0308 Groß") == "Zoe_Gross"


@pytest.mark.parametrize(
    "value", ["Lung_Tumor1", "Patient_One", "Healthy_Control", "P01_on_treatment", "NCT07212933_P1"]
)
def test_ordinary_codes_do_not_look_personal(value):
    assert personal_kind(value, person=True) is None

"""A cohort folder with mistakes stops before any job, with every mistake on a line of its own."""

import re

import pytest
from faults.test_sheet_mistakes import expected, write_spoiled
from workflow.runs import dry_run, run_snakemake


def stopped(checkout, folder, *arguments):
    run = dry_run(checkout, folder, *arguments)
    assert run.code != 0
    assert "Traceback" not in run.text
    assert run.jobs() == {}
    assert not run.results.exists()
    return run.text


def told(text, folder):
    """Return (file, line or None, rest) of each mistake in the output."""
    lines = [line for line in text.splitlines() if line.startswith(f"{folder}/")]
    return [re.fullmatch(r"([^:]+)(?::(\d+))?: (.+)", line.removeprefix(f"{folder}/")).groups() for line in lines]


def test_all_25_mistakes_are_told_in_one_pass(checkout, tmp_path):
    folder = write_spoiled(tmp_path / "spoiled")
    mistakes = told(stopped(checkout, folder), folder)
    seeded = [(file, str(line), f"{column}: " if column else "") for file, line, column, _ in expected()]
    found = [
        [mistake for mistake in mistakes if mistake[:2] == (file, line) and mistake[2].startswith(column)]
        for file, line, column in seeded
    ]
    # The builder's data files are empty, which is a mistake of its own.
    others = [mistake for mistake in mistakes if "is an empty file" not in mistake[2]]
    print(f"mistakes: {sum(map(bool, found))} of {len(seeded)} told, {len(others) - len(seeded)} others")
    assert all(found)
    assert len(others) == len(seeded) == 25


def test_the_count_of_mistakes_and_the_values_found_are_told(checkout, tmp_path):
    folder = write_spoiled(tmp_path / "spoiled")
    text = stopped(checkout, folder)
    assert f"{len(told(text, folder))} problems in 3 files" in text
    assert "'PX', expected one of CR, PR, SD, PD, NE" in text
    assert "did you mean seed?" in text
    assert "Schmidt" not in text


def test_a_real_run_stops_as_well(checkout, tmp_path):
    folder = write_spoiled(tmp_path / "spoiled")
    run = run_snakemake(checkout, folder, "--cores", "1")
    assert run.code != 0
    assert "Traceback" not in run.text
    assert len(told(run.text, folder)) >= 25
    assert not run.results.exists()


def test_a_folder_that_is_not_there_is_told(checkout, tmp_path):
    text = stopped(checkout, tmp_path / "nowhere")
    assert "nowhere" in text
    assert "no such cohort folder" in text


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"sede": "1"}, "sede: unknown key; did you mean seed?"),
        ({"device": "cup"}, "device: 'cup', expected one of auto, cpu, gpu"),
        ({"draw_quality": "{violins: 3}"}, "draw_quality.violins: unknown key"),
    ],
)
def test_mistakes_on_the_command_line_are_told_as_such(checkout, config, words):
    run = dry_run(checkout, "config/cohorts/demo", config=config)
    assert run.code != 0
    assert f"--config: {words}" in run.text
    assert "Traceback" not in run.text


def test_whole_numbers_in_a_section_can_be_given_on_the_command_line(checkout):
    run = dry_run(checkout, "config/cohorts/demo", config={"draw_quality": "{violins_up_to: 3}"})
    assert run.code == 0, run.text
    assert run.jobs()["draw_quality"] == 1


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("__use_yte__: true", "__use_yte__: "),
        ("title: !!python/name:os.system x", ""),
        ("title: '<b>x</b>'", "title: "),
    ],
)
def test_configs_that_could_run_code_or_markup_are_refused(checkout, tmp_path, line, words):
    folder = write_spoiled(tmp_path / "spoiled")
    (folder / "cohort.yaml").write_text(f"visits: [baseline, on_treatment]\n{line}\n", encoding="utf-8")
    refused = [
        rest for file, number, rest in told(stopped(checkout, folder), folder) if (file, number) == ("cohort.yaml", "2")
    ]
    assert any(rest.startswith(words) for rest in refused)

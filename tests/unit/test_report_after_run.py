import subprocess

import pytest

from immune_landscape import report_after_run
from immune_landscape.report_after_run import write_report


@pytest.fixture
def calls(monkeypatch):
    """Keep the commands that would be run, and let them end with the code set."""
    made = {"commands": [], "code": 0}

    def run(command, **given):
        made["commands"].append(command)
        return subprocess.CompletedProcess(command, made["code"], "", "what went wrong")

    monkeypatch.setattr(report_after_run.subprocess, "run", run)
    return made


def test_a_run_of_everything_writes_the_report(calls, tmp_path, capsys):
    needed = [tmp_path / "a.tsv", tmp_path / "b.png"]
    for path in needed:
        path.touch()
    write_report("Snakefile", {"cohort": "x"}, tmp_path / "report.html", needed)
    (command,) = calls["commands"]
    assert command[command.index("--report") + 1] == str(tmp_path / "report.html")
    assert "Report: " in capsys.readouterr().err


def test_a_run_of_a_part_writes_none_and_ends_well(calls, tmp_path, capsys):
    (tmp_path / "a.tsv").touch()
    write_report("Snakefile", {}, tmp_path / "report.html", [tmp_path / "a.tsv", tmp_path / "b.png"])
    assert calls["commands"] == []
    told = capsys.readouterr().err
    assert "1 of 2 results of the whole run are not there" in told
    assert "b.png" in told


def test_a_report_that_fails_ends_the_run_with_its_code(calls, tmp_path, capsys):
    calls["code"] = 3
    with pytest.raises(SystemExit) as ended:
        write_report("Snakefile", {}, tmp_path / "report.html", [])
    assert ended.value.code == 3
    assert "what went wrong" in capsys.readouterr().err

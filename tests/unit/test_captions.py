from pathlib import Path
from types import SimpleNamespace

import jinja2
import pytest
from docutils.core import publish_parts

from immune_landscape.schemas import config_schema, fill_defaults

REPORT = Path(__file__).resolve().parents[2] / "workflow" / "report"
CAPTIONS = sorted(path.name for path in REPORT.glob("*.rst"))
CONTRAST = {"name": "response_change", "estimand": "response_by_visit", "reference": "a", "target": "b"}


def config_of(**changes):
    given = {
        "title": "<b>Title</b> of the cohort",
        "description": "free text",
        "visits": ["a", "b"],
        "contrasts": [CONTRAST],
    }
    return {**fill_defaults(config_schema(), given), **changes}


def render(name, config, branch="nk"):
    # A missing setting must fail, where Snakemake would leave a hole in the sentence.
    env = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    snakemake = SimpleNamespace(config=config, wildcards=SimpleNamespace(branch=branch))
    return env.from_string((REPORT / name).read_text(encoding="utf-8")).render(snakemake=snakemake)


@pytest.mark.parametrize("name", CAPTIONS)
def test_captions_render_from_the_defaults_without_a_warning(name):
    text = render(name, config_of())
    settings = {"report_level": 2, "halt_level": 2, "warning_stream": False}
    assert "<p>" in publish_parts(text, writer="html", settings_overrides=settings)["body"]
    assert ".0 %" not in text
    assert "None" not in text


@pytest.mark.parametrize("name", CAPTIONS)
def test_captions_print_no_free_text_of_the_cohort(name):
    text = render(name, config_of())
    assert "of the cohort</b>" not in text
    assert "<b>" not in text
    assert "free text" not in text


@pytest.mark.parametrize("name", CAPTIONS)
def test_captions_mark_simulated_data_and_only_those(name):
    assert "simulated data" in render(name, config_of(simulated=True)).lower()
    assert "**simulated data" not in render(name, config_of(simulated=False)).lower()


def test_captions_state_the_settings_used():
    config = config_of()
    config["filter_cells"]["min_genes"] = 4321
    config["testing"]["alpha"] = 0.01
    assert "4321 genes" in render("draw_quality.rst", config)
    assert "99 % confidence" in render("draw_contrasts.rst", config)


def test_every_figure_rule_has_a_caption():
    scripts = REPORT.parents[1] / "scripts"
    rules = [path.stem for path in scripts.glob("draw_*.py")] + ["report_cohort"]
    assert {f"{rule}.rst" for rule in rules} <= set(CAPTIONS)

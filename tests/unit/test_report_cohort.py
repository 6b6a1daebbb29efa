import html.parser
import re

import claims as judged
import figure_tables as made
import numpy as np
import pandas as pd
import pytest

from immune_landscape.contrast_tests import is_significant
from immune_landscape.display_text import format_effect
from immune_landscape.html_parts import Html, interval_bar, tag
from immune_landscape.judge_claims import judge_claims
from immune_landscape.report_cohort import report_cohort, software_versions
from immune_landscape.verdicts import verdict_of

STUDY = {**made.STUDY, "power": 0.8, "layers": ["composition", "expansion"]}
PAYLOADS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "</style><script>x</script>",
    "javascript:alert(1)",
    "{{ 7 * 7 }}",
    "{% raw %}",
    "<iframe src='http://example.org'>",
    "' onmouseover='x",
    "&lt;b&gt;<b>",
]


class Parsed(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.words = [], [], []
        self.feed(text)

    def handle_starttag(self, name, attributes):
        self.tags.append(name)
        self.attributes += [(name, *pair) for pair in attributes]

    def handle_data(self, text):
        self.words.append(text)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.words))


def ledger():
    """Return three judged claims: one that holds, one too sparse, one of an endpoint."""
    claims = [judged.claim("treg"), judged.claim("c6"), judged.endpoint()]
    rows = [judged.row("treg"), judged.row("c6", status="too_sparse", note="few cells", p=np.nan, p_maxt=np.nan)]
    rates = judged.endpoints(orr=(0.32, 0.13, 0.57, "share"))
    files = [judged.claims_file(*claims)]
    return judge_claims(files, judged.contrasts(*rows), rates, {}, judged.STUDY, **judged.SETTINGS)


def tables_of():
    design = made.design_of()
    contrasts, merged = made.contrasts_of(), made.merged_of()
    return {
        "design": design,
        "notes": pd.DataFrame(
            {
                "file": ["samples.tsv"],
                "line": [4],
                "column": ["tcr"],
                "kind": ["k"],
                "message": ["few shared"],
            }
        ),
        "steps": made.steps_of(design),
        "contrasts": merged,
        "null": made.null_of(),
        "swept": made.definitions_of(merged),
        "claims": ledger(),
        "metrics": made.expansion_of(design),
        "chain_qc": made.chain_qc_of(made.clonotypes_of(design)),
        "recovery": made.recovery_of(contrasts),
        "versions": software_versions(),
    }


def page_of(tables=None, study=STUDY):
    return report_cohort(tables_of() if tables is None else tables, study)


def test_page_loads_and_runs_nothing():
    page = Parsed(page_of())
    assert not {"script", "link", "img", "iframe", "object", "embed", "form", "base"} & set(page.tags)
    assert not [item for item in page.attributes if item[1].startswith("on") or item[1] in ("src", "href")]
    text = page_of()
    assert "url(" not in text
    assert "@import" not in text
    assert "default-src 'none'" in text


@pytest.mark.parametrize("payload", PAYLOADS)
def test_payloads_in_any_text_are_shown_as_text(payload):
    plain = Parsed(page_of())
    tables = tables_of()
    tables["notes"] = tables["notes"].assign(message=payload, file=payload)
    tables["contrasts"] = tables["contrasts"].assign(note=payload)
    tables["recovery"] = tables["recovery"].assign(verdict=lambda t: t["verdict"].where(t["planted"] == 0, payload))
    study = {
        **STUDY,
        "title": payload,
        "labels": {"on_treatment": payload, "cd8_teff": payload, "blood": payload},
    }
    page = Parsed(page_of(tables, study))
    assert set(page.tags) <= set(plain.tags)
    assert payload in "".join(page.words)
    assert not [item for item in page.attributes if item[1].startswith("on")]


def test_simulated_pages_say_so_first_and_real_ones_do_not():
    words = [word.strip() for word in Parsed(page_of().split("<body>")[1]).words if word.strip()]
    assert words[0] == "SIMULATED DATA."
    assert "SIMULATED" not in page_of(study={**STUDY, "simulated": False})


def test_cohort_numbers_are_those_of_the_design():
    text = Parsed(page_of()).text
    for number, name in (
        (19, "patients"),
        (6, "responders"),
        (13, "non-responders"),
        (36, "samples"),
        (17, "patients with every visit"),
    ):
        assert f"{number} {name}" in text


def test_every_primary_row_is_listed_with_effect_interval_and_verdict():
    tables = tables_of()
    text = Parsed(page_of(tables)).text
    rows = tables["contrasts"][tables["contrasts"]["family"] == "primary"]
    for row in rows.to_dict("records"):
        assert format_effect(row) in text
        assert verdict_of(row, STUDY, 0.05) in text


def test_every_layer_is_told_apart_and_named():
    text = Parsed(page_of()).text
    assert "Composition: change from Baseline to On treatment: Responders against Non-responders (primary)" in text
    assert "Single-cell TCR: change from Baseline to On treatment" in text
    assert "Share of expanded cells" in text


def test_claims_are_listed_with_verdict_and_reason():
    text = Parsed(page_of()).text
    for row in ledger().to_dict("records"):
        assert row["statement"] in text
        assert row["verdict"] in text
        assert row["reason"] in text


def test_a_cohort_without_claims_says_so():
    assert "No claims are declared" not in Parsed(page_of()).text
    text = Parsed(page_of({**tables_of(), "claims": None})).text
    assert "No claims are declared" in text.split("Prior claims")[1].split("Cohort")[0]


def test_luck_and_other_definitions_have_their_numbers():
    text = Parsed(page_of()).text
    assert "over 1,000 cohorts with permuted labels" in text
    assert "0.05" in text
    assert "CR, PR or SD: " in text


def test_the_power_of_each_family_is_told():
    text = Parsed(page_of()).text
    part = text.split("What this cohort can show")[1].split("What luck would find")[0]
    assert "27,132" in part
    assert "1.47" in part
    assert "2.09" in part


def test_exploratory_rows_alone_make_no_empty_table_of_power():
    tables = tables_of()
    tables["contrasts"] = tables["contrasts"].assign(family="exploratory")
    text = Parsed(page_of(tables)).text
    part = text.split("What this cohort can show")[1].split("What luck would find")[0]
    assert "No family was tested" in part
    assert "Labelings" not in part


def test_masked_pages_say_so():
    assert "Masked: arms are not told apart" in Parsed(page_of(study={**STUDY, "unblinded": False})).text


def test_a_family_without_a_tested_row_is_not_called_a_null_finding():
    tables = tables_of()
    tables["contrasts"] = tables["contrasts"].assign(status="not_testable")
    brief = Parsed(page_of(tables)).text.split("In brief")[1].split("Prior claims")[0]
    assert "none could be tested" in brief
    assert "significant" not in brief


def test_words_never_claim_cause_or_the_absence_of_a_difference():
    text = Parsed(page_of()).text.lower()
    for phrase in (
        "drives",
        "driven by",
        "causes",
        "no effect of",
        "no significant difference",
        "there was no difference",
    ):
        assert phrase not in text
    assert text.count("no difference") == text.count("does not show that there is no difference")


def test_recovered_and_missed_effects_are_named():
    tables = tables_of()
    text = Parsed(page_of(tables)).text
    assert "Recovered: NK CD56dim" in text
    assert "Not recovered: NK c6-IL15, CD4 Tn, CD8 Teff" in text
    assert "1 of 4 planted effects recovered" in text


def test_rows_outside_the_primary_family_are_folded():
    tables = tables_of()
    inside = tables["contrasts"]["feature"].eq("treg") & tables["contrasts"]["family"].eq("primary")
    tables["contrasts"]["family"] = np.where(inside, "primary", "exploratory")
    page = page_of(tables)
    primary = page.split("Primary families")[1].split("Other contrasts")[0]
    assert primary.count("<tr>") == 2
    assert "Treg" in primary
    assert "<details>" in page.split("Other contrasts")[1]


def test_only_the_design_is_needed():
    design = made.design_of(4, 0, response=False).assign(tcr="")
    text = Parsed(page_of({"design": design}, {**STUDY, "contrasts": [], "layers": []})).text
    assert "No contrast was compared" in text
    assert "missing: the sample sheet names no file" in text
    assert "4 response not known" in text
    assert "files given, not analysed here" in text


def test_all_too_sparse_says_so():
    tables = tables_of()
    blank = dict.fromkeys(("effect", "ci_low", "ci_high", "p", "p_maxt", "mde"), np.nan)
    tables["contrasts"] = tables["contrasts"].assign(status="too_sparse", **blank)
    text = Parsed(page_of(tables)).text
    count = (tables["contrasts"].query("layer == 'composition' and family == 'primary'")).shape[0]
    assert f"{count} features, none could be tested." in text


ROW = {
    "contrast": "response_change",
    "estimand": "response_by_visit",
    "status": "tested",
    "group_a": "responder",
    "group_b": "non_responder",
    "effect": 1.0,
    "ci_low": 0.2,
    "ci_high": 1.8,
    "p": 0.001,
    "p_maxt": 0.01,
    "mde": 0.9,
    "note": "",
}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({}, "Associated with response: change from Baseline to On treatment is higher in responders."),
        (
            {"effect": -1.0},
            "Associated with response: change from Baseline to On treatment is lower in responders.",
        ),
        (
            {"estimand": "baseline", "contrast": "at_baseline"},
            "Associated with response: higher in responders at Baseline.",
        ),
        (
            {"estimand": "change", "contrast": "all_change", "group_a": "all"},
            "Associated with time: rises from Baseline to On treatment in all patients.",
        ),
        ({"p": 0.2, "p_maxt": 0.6}, "Not significant; underpowered for effects below ±0.90 (80 % power)."),
        (
            {"p_maxt": 0.06},
            (
                "Not significant once corrected for the family, though p alone is; "
                "underpowered for effects below ±0.90 (80 % power)."
            ),
        ),
        ({"p": 0.2, "p_maxt": 0.6, "mde": np.nan}, "Not significant; underpowered to an unknown degree."),
        ({"status": "too_sparse", "note": "few cells"}, "Not tested: too sparse (few cells)."),
        ({"status": "not_testable", "note": np.nan}, "Not tested: not testable."),
    ],
)
def test_verdicts_in_words(change, text):
    assert verdict_of({**ROW, **change}, STUDY, 0.05) == text


def test_outside_a_family_p_decides():
    assert is_significant({**ROW, "p_maxt": np.nan}, 0.05)
    assert not is_significant({**ROW, "p_maxt": np.nan, "p": 0.2}, 0.05)
    assert not is_significant({**ROW, "p_maxt": 0.05}, 0.05)
    assert not is_significant({**ROW, "status": "not_testable"}, 0.05)


def test_markup_is_kept_and_all_else_is_escaped():
    assert tag("p", "<b>", Html("<i>x</i>"), None, class_='a"b') == '<p class="a&quot;b">&lt;b&gt;<i>x</i></p>'


def test_open_intervals_are_arrows_in_the_small_pictures():
    assert interval_bar({**ROW, "ci_low": -np.inf, "ci_high": np.inf}, 2.0, "#000000").count("<polygon") == 2
    assert interval_bar({**ROW, "ci_low": np.nan, "ci_high": np.nan}, 2.0, "#000000").count("<line") == 1
    assert interval_bar({**ROW, "effect": np.nan}, 2.0, "#000000") == ""


def test_versions_are_those_installed():
    table = software_versions().set_index("package")["version"]
    assert table["pandas"] == pd.__version__
    assert table["numpy"] == np.__version__


def test_expression_tells_calibration_and_what_was_not_tested():
    facts = {"contrast": "response_change", "estimand": "response_by_visit", "family": "primary", "fdr": 0.05}
    groups = {"group_a": "responder", "group_b": "non_responder"}
    tested = {"n_a": 6, "n_b": 11, "genes": 2157, "found": 33, "found_carried": 2, "null_mean_found": 0.05}
    tested |= {"inflation": 1.53, "null_inflation": 0.99, "calibrated": False, "status": "tested", "subset": "treg"}
    open_row = dict.fromkeys(tested, np.nan) | {"status": "not_testable", "subset": "cd4_ctl"}
    subsets = pd.DataFrame([facts | groups | tested, facts | groups | open_row])
    page = page_of(tables_of() | {"expression": subsets})
    assert "Not tested for want of patients or cells: CD4 CTL." in page
    row = page[page.index(">Treg<", page.index("Gene expression by subset")) :].split("</tr>")[0]
    for text in ("6 / 11", "2,157", ">33<", ">2<", "0.05", "1.53", "0.99", ">no<"):
        assert text in row, text

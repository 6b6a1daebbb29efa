import pandas as pd
from unit.test_link_outcomes import STUDY, linked, made

from immune_landscape.report_clinical import clinical_section
from immune_landscape.report_links import link_part, marker_name, view_name


def test_the_page_tells_links_and_how_many_were_looked_at():
    links = linked(*made())["links"]
    page = str(link_part(links, STUDY))
    assert "4 hazard ratios" in page
    assert "no cut-point was searched" in page
    row = links[links["marker"] == "per_sd"].iloc[0]
    assert f"{row['hazard_ratio']:.2f} [{row['low']:.2f}, {row['high']:.2f}]" in page
    assert page in str(clinical_section({"links": links}, STUDY))


def test_without_links_there_is_no_part():
    assert link_part(None, STUDY) is None
    assert link_part(linked(*made())["links"].iloc[:0], STUDY) is None


def test_names_tell_denominator_and_visit():
    row = {"layer": "composition", "parent": "cells", "feature": "cd8_teff", "analysis": "landmark"}
    row |= {"visit": "week_8", "compared": "value", "landmark": 1.84}
    assert marker_name(row, STUDY) == "CD8 Teff (All cells)"
    assert view_name(row, STUDY) == "Value at Week 8, followed from 1.84 months on"
    assert marker_name(row | {"layer": "measures", "feature": "CRP"}, STUDY) == "CRP (Other measures)"


def test_rows_are_those_of_the_smallest_p_that_is_shown():
    links = linked(*made())["links"]
    one = links[links["marker"] == "per_sd"].iloc[:1]
    many = pd.concat([one.assign(feature=f"m{at:02d}", p=(at + 1) / 100, p_permutation=0.5) for at in range(14)])
    many.loc[many["feature"] == "m13", "p_permutation"] = 0.01
    page = str(link_part(many.reset_index(drop=True), STUDY))
    assert page.index("m13") < page.index("m00")
    assert "m12" not in page

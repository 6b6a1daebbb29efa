import numpy as np
import pandas as pd
import pytest
from science.simulated_layers import settings_of

from immune_landscape.errors import DesignError
from immune_landscape.hazards import fit_cox
from immune_landscape.link_outcomes import COLUMNS, link_outcomes
from immune_landscape.score_tests import permute_markers

STUDY = {
    "visits": ["baseline", "week_8"],
    "tissues": ["blood", "tumour"],
    "contrasts": [],
    "time_unit": "months",
    "randomisation": {},
    "floors": settings_of("compare_composition"),
}
MONTH = 30.4375


def made(n=40, seed=1):
    """Return values, design and outcomes: all have a sample before treatment, and those alive at week 8 one then."""
    rng = np.random.default_rng(seed)
    names = [f"p{at:02d}" for at in range(n)]
    outcomes = pd.DataFrame({"patient": names, "pfs_time": rng.exponential(6, n), "pfs_event": 1, "age": 60.0})
    outcomes["pfs_event"] = (rng.random(n) < 0.8).astype(int)
    outcomes["arm"] = np.where(np.arange(n) % 3 == 0, "systemic", "conversion")
    first = pd.DataFrame({"patient": names, "visit": "baseline", "tissue": "blood", "day": -2.0})
    alive = outcomes.loc[outcomes["pfs_time"] * MONTH > 56, "patient"]
    later = pd.DataFrame({"patient": alive, "visit": "week_8", "tissue": "blood", "day": 56.0})
    design = pd.concat([first, later], ignore_index=True)
    design["sample"] = design["patient"] + "_" + design["visit"]
    table = pd.DataFrame({"sample": np.repeat(design["sample"], 2), "parent": "all", "unit": "fraction"})
    table["feature"] = np.tile(["clonality", "gini"], len(design))
    table["value"] = rng.normal(0, 1, len(table))
    return table.reset_index(drop=True), design, outcomes


def linked(table, design, outcomes, study=STUDY, **changes):
    chosen = settings_of("link_outcomes", draws=199, **changes)
    return link_outcomes({"expansion": table}, design, outcomes, study, 3, **chosen)


def one(links, analysis, marker="per_sd", feature="clonality"):
    found = links[(links["analysis"] == analysis) & (links["marker"] == marker) & (links["feature"] == feature)]
    assert len(found) == 1
    return found.iloc[0]


def values_at(table, design, visit, feature="clonality"):
    own = table[table["feature"] == feature].set_index("sample")["value"]
    rows = design[design["visit"] == visit].set_index("patient")["sample"]
    return pd.Series(own[rows].to_numpy(), index=rows.index)


def test_values_before_treatment_are_followed_from_the_start():
    table, design, outcomes = made()
    links = linked(table, design, outcomes)["links"]
    row = one(links, "baseline")
    marker = values_at(table, design, "baseline")[outcomes["patient"]].to_numpy()
    times, events = outcomes["pfs_time"].to_numpy(), outcomes["pfs_event"].to_numpy() == 1
    fit = fit_cox(times, events, marker, 0.95)
    assert row["hazard_ratio"] == pytest.approx(np.exp(fit.coefficients[0] * marker.std(ddof=1)), rel=1e-6)
    assert (row["n"], row["events"], row["followed"]) == (40, events.sum(), 40)
    expected = permute_markers(marker, times, events, 0, max_exact=199, draws=20_000).p[0]
    assert row["p_permutation"] == pytest.approx(expected, abs=0.12)
    assert list(links.columns) == COLUMNS


def test_later_values_are_followed_from_the_landmark_on():
    table, design, outcomes = made()
    row = one(linked(table, design, outcomes)["links"], "landmark")
    landmark = 56 / MONTH
    assert row["landmark"] == pytest.approx(landmark)
    kept = outcomes[outcomes["pfs_time"] > landmark]
    change = (values_at(table, design, "week_8") - values_at(table, design, "baseline"))[kept["patient"]].to_numpy()
    fit = fit_cox(kept["pfs_time"] - landmark, kept["pfs_event"] == 1, change, 0.95)
    assert row["hazard_ratio"] == pytest.approx(np.exp(fit.coefficients[0] * change.std(ddof=1)), rel=1e-6)
    early = outcomes[outcomes["pfs_time"] <= landmark]
    counts = [row[name] for name in ("events_before", "censored_before", "n", "followed")]
    assert counts == [early["pfs_event"].sum(), (early["pfs_event"] == 0).sum(), len(kept), 40]
    assert len(early) > 3


def test_patients_left_out_add_up():
    table, design, outcomes = made()
    dropped = table["sample"].isin(["p00_baseline", "p01_baseline", "p05_week_8"])
    design.loc[design["sample"] == "p02_baseline", "day"] = 9.0
    design.loc[design["visit"].eq("week_8") & (design.index % 7 == 0), "day"] = 80.0
    links = linked(table[~dropped], design, outcomes, landmarks={"week_8": 2.0}, on_treatment=["landmark"])["links"]
    out = links[["events_before", "censored_before", "sampled_late", "no_value"]].fillna(0).sum(axis=1)
    assert (links["n"] + out == links["followed"]).all()
    assert one(links, "baseline")["sampled_late"] == 1
    assert one(links, "baseline")["no_value"] == 2
    assert one(links, "landmark")["sampled_late"] > 0


def test_the_value_itself_and_a_cut_point_known_beforehand():
    table, design, outcomes = made()
    markers = [{"layer": "expansion", "feature": "all/clonality", "cut": 0.4}]
    links = linked(table, design, outcomes, markers=markers, later_marker="value")["links"]
    row = one(links, "landmark", "cut")
    assert (row["cut"], row["compared"]) == (0.4, "value")
    assert set(links["feature"]) == {"clonality"}
    assert one(links, "baseline", "median")["mean_difference"] == pytest.approx(
        one(links, "baseline", "median")["mean_low"] / 2 + one(links, "baseline", "median")["mean_high"] / 2
    )
    values = values_at(table, design, "week_8")
    kept = outcomes[outcomes["pfs_time"] > 56 / MONTH]
    above = values[kept["patient"]].to_numpy() > 0.4
    fit = fit_cox(kept["pfs_time"], kept["pfs_event"] == 1, above.astype(float), 0.95)
    assert row["hazard_ratio"] == pytest.approx(np.exp(fit.coefficients[0]), rel=1e-6)


def test_values_that_change_enter_as_they_change():
    table, design, outcomes = made()
    links = linked(table, design, outcomes, on_treatment=["time_dependent"])["links"]
    assert set(links["analysis"]) == {"baseline", "time_dependent"}
    row = one(links, "time_dependent")
    first, later = (values_at(table, design, visit) for visit in STUDY["visits"])
    rows = []
    for name, time, event in outcomes[["patient", "pfs_time", "pfs_event"]].itertuples(index=False):
        if name in later.index:
            rows += [(0, 56 / MONTH, 0, first[name]), (56 / MONTH, time, event, later[name])]
        else:
            rows.append((0, time, event, first[name]))
    start, stop, event, value = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    fit = fit_cox(stop, event == 1, value, 0.95, None, start)
    assert row["hazard_ratio"] == pytest.approx(np.exp(fit.coefficients[0] * value.std(ddof=1)), rel=1e-6)
    assert (row["n"], row["events"]) == (40, outcomes["pfs_event"].sum())
    assert np.isnan(row["p_permutation"])


def test_a_later_visit_without_a_landmark_is_refused():
    with pytest.raises(DesignError, match="week_8 is known only after treatment began"):
        linked(*made(), visits=["baseline", "week_8"], on_treatment=[])
    assert set(linked(*made(), on_treatment=[])["links"]["analysis"]) == {"baseline"}


def test_families_are_endpoint_layer_analysis_and_visit():
    table, design, outcomes = made()
    outcomes = outcomes.assign(os_time=outcomes["pfs_time"] + 1, os_event=outcomes["pfs_event"])
    links = linked(table, design, outcomes, on_treatment=["landmark", "time_dependent"])["links"]
    single = links[links["marker"] == "per_sd"]
    assert (single["tests"] == 2).all()
    for _, own in single.groupby(["endpoint", "analysis"]):
        p = own["p_permutation"].fillna(own["p"]).to_numpy(dtype=float)
        assert own["q"].max() == pytest.approx(p.max())
        assert own["q"].min() == pytest.approx(min(2 * p.min(), p.max()))
    assert links.loc[links["marker"] == "median", "q"].isna().all()
    assert list(dict.fromkeys(links["endpoint"])) == ["pfs", "os"]
    assert list(dict.fromkeys(links["analysis"])) == ["baseline", "landmark", "time_dependent"]


def test_randomised_arms_are_strata():
    table, design, outcomes = made()
    study = STUDY | {"randomisation": {"ratio": {"conversion": 2, "systemic": 1}, "control": "systemic", "strata": []}}
    row = one(linked(table, design, outcomes, study)["links"], "baseline")
    assert row["strata"] == "arm"
    marker = values_at(table, design, "baseline")[outcomes["patient"]].to_numpy()
    fit = fit_cox(outcomes["pfs_time"], outcomes["pfs_event"] == 1, marker, 0.95, outcomes["arm"].to_numpy())
    assert row["hazard_ratio"] == pytest.approx(np.exp(fit.coefficients[0] * marker.std(ddof=1)), rel=1e-6)
    assert one(linked(table, design, outcomes, study, strata=[])["links"], "baseline")["strata"] == ""


def test_without_days_a_later_visit_needs_a_declared_landmark():
    table, design, outcomes = made()
    design["day"] = np.nan
    row = one(linked(table, design, outcomes)["links"], "landmark")
    assert row["note"] == "no day of its samples and no landmark"
    assert np.isnan(row["hazard_ratio"])
    assert one(linked(table, design, outcomes, landmarks={"week_8": 2.0})["links"], "landmark")["hazard_ratio"] > 0


def test_curves_are_those_of_the_sides_of_the_median():
    tables = linked(*made())
    row = one(tables["links"], "baseline", "median")
    own = tables["curves"]
    own = own[(own["analysis"] == "baseline") & (own["feature"] == "clonality")]
    starts = own.groupby("side")["at_risk"].first()
    assert starts.to_dict() == {"above": 20, "below": 20}
    assert own["events"].sum() == row["events"]
    risks = tables["at_risk"].merge(own[["endpoint", "feature", "analysis", "visit"]].drop_duplicates())
    assert risks[risks["time"] == 0]["at_risk"].tolist() == [20, 20]


def test_without_times_there_are_no_links():
    table, design, outcomes = made()
    tables = linked(table, design, outcomes.drop(columns=["pfs_time", "pfs_event"]))
    assert {name: len(found) for name, found in tables.items()} == {"links": 0, "curves": 0, "at_risk": 0}


def test_other_tissues_are_left_alone():
    table, design, outcomes = made()
    assert (linked(table, design, outcomes, tissue="tumour")["links"]["n"] == 0).all()


def test_layers_that_tell_changes_have_none_before_treatment():
    table, design, outcomes = made()
    later = table[table["sample"].str.endswith("week_8")]
    chosen = settings_of("link_outcomes", draws=199, markers=[{"layer": "tracks", "feature": "", "cut": None}])
    links = link_outcomes({"tracks": later}, design, outcomes, STUDY, 3, **chosen)["links"]
    assert set(links["analysis"]) == {"landmark"}
    assert set(links["compared"]) == {"change"}
    values = later.loc[later["feature"] == "clonality", "value"]
    assert one(links, "landmark")["sd"] == pytest.approx(values.std(ddof=1))


def test_regions_of_a_tissue_are_averaged():
    table, design, outcomes = made()
    whole = linked(table, design, outcomes, on_treatment=["landmark", "time_dependent"])["links"]
    parts = [design.assign(sample=design["sample"] + end, region=end) for end in ("_core", "_edge")]
    shifted = [
        table.assign(sample=table["sample"] + end, value=table["value"] + by)
        for end, by in (("_core", 0.5), ("_edge", -0.5))
    ]
    found = linked(pd.concat(shifted), pd.concat(parts), outcomes, on_treatment=["landmark", "time_dependent"])["links"]
    pd.testing.assert_frame_equal(found, whole)


def test_a_first_sample_after_the_landmark_is_no_reference_of_a_change():
    table, design, outcomes = made()
    living = design.loc[design["visit"] == "week_8", "patient"].iloc[0]
    design.loc[design["sample"] == f"{living}_baseline", "day"] = 90.0
    row = one(linked(table, design, outcomes)["links"], "landmark")
    assert row["no_value"] == 1
    without = table[table["sample"] != f"{living}_baseline"]
    expected = one(linked(without, design, outcomes)["links"], "landmark")
    assert row["hazard_ratio"] == expected["hazard_ratio"]


def test_cut_points_and_last_values_of_changes_are_told_as_changes():
    table, design, outcomes = made()
    later = table[table["sample"].str.endswith("week_8")]
    markers = [{"layer": "tracks", "feature": "clonality", "cut": 0.1}]
    chosen = settings_of("link_outcomes", draws=199, markers=markers, on_treatment=["landmark", "time_dependent"])
    links = link_outcomes({"tracks": later}, design, outcomes, STUDY, 3, **chosen)["links"]
    assert set(links["analysis"]) == {"landmark", "time_dependent"}
    assert set(links["compared"]) == {"change"}


def test_one_late_sample_that_moves_the_landmark_is_told():
    table, design, outcomes = made()
    usual = one(linked(table, design, outcomes)["links"], "landmark")
    assert "last sample" not in usual["note"]
    late = design.copy()
    late.loc[late.index[-1], "day"] = 112.0
    assert "last sample was taken at 3.68" in one(linked(table, late, outcomes)["links"], "landmark")["note"]
    declared = linked(table, late, outcomes, landmarks={"week_8": 2.0})["links"]
    assert "last sample" not in one(declared, "landmark")["note"]


def test_a_sample_without_a_day_counts_as_late_where_others_have_one():
    table, design, outcomes = made()
    before = one(linked(table, design, outcomes)["links"], "landmark")
    undated = design.copy()
    alive = outcomes.set_index("patient")["pfs_time"].idxmax()
    undated.loc[(undated["patient"] == alive) & (undated["visit"] == "week_8"), "day"] = np.nan
    row = one(linked(table, undated, outcomes)["links"], "landmark")
    assert row["n"] == before["n"] - 1
    assert row["sampled_late"] == before["sampled_late"] + 1

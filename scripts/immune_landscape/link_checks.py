"""Rules of the settings that relate immune features to outcome, before any job."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from immune_landscape.config_checks import LocationOf
from immune_landscape.errors import Problem
from immune_landscape.guarantee_time import guarantee_message, unguarded
from immune_landscape.layers import LAYERS
from immune_landscape.schemas import load_schema
from immune_landscape.strict_yaml import KeyPath, dotted
from immune_landscape.text_files import did_you_mean, listed, printable

if TYPE_CHECKING:
    from collections.abc import Collection

SECTION = "link_outcomes"
FOLLOW_UP = ("pfs_time", "pfs_event", "os_time", "os_event", "treatment_time", "last_contact", "dlt_evaluable")
"""Further columns of patients that only follow-up tells; no sensible group, but no covariate either."""

Fault = tuple[KeyPath, str, str]


def link_problems(config: Mapping[str, Any], late: Collection[str], place_of: LocationOf) -> list[Problem]:
    """Return what is wrong in the settings of the links.

    Parameters
    ----------
    config
        Effective config.
    late
        Columns of patients known only after treatment began.
    place_of
        Tells the file and line of a config key path.

    Returns
    -------
    list of Problem
        Unknown layers, visits, tissues and columns; columns known only after treatment began; and later visits
        without a landmark or time-dependent values.
    """
    settings = config[SECTION]
    faults = [
        *_level_faults(settings, config),
        *_late_visits(settings, config),
        *_column_faults(settings, config, late),
    ]
    paths = [((SECTION, *path), message, kind) for path, message, kind in faults]
    return [Problem(*place_of(path), dotted(path), message, kind) for path, message, kind in paths]


def _level_faults(settings: Mapping[str, Any], config: Mapping[str, Any]) -> Iterator[Fault]:
    visits, tissues = config["visits"], config["tissues"]
    asked: list[tuple[KeyPath, str, list[str]]]
    asked = [(("markers", at, "layer"), entry["layer"], list(LAYERS)) for at, entry in enumerate(settings["markers"])]
    asked += [(("visits", at), visit, visits) for at, visit in enumerate(settings["visits"])]
    asked += [(("landmarks", visit), visit, visits) for visit in settings["landmarks"]]
    asked += [(("tissue",), settings["tissue"], tissues)] if settings["tissue"] else []
    for path, value, known in asked:
        if value not in known:
            yield (
                path,
                f"{printable(value)}, expected one of {listed(known)}{did_you_mean(value, known)}",
                "unknown_level",
            )


def _late_visits(settings: Mapping[str, Any], config: Mapping[str, Any]) -> Iterator[Fault]:
    refused = unguarded(settings["visits"], config["visits"][1:], guarded=bool(settings["on_treatment"]))
    for visit in refused:
        remedy = "set link_outcomes.on_treatment to landmark, time_dependent or both"
        message = guarantee_message(f"a value at {visit}", remedy)
        yield ("visits", settings["visits"].index(visit)), message, "guarantee_time"


def _column_faults(settings: Mapping[str, Any], config: Mapping[str, Any], late: Collection[str]) -> Iterator[Fault]:
    extra = config["extra_columns"].get("patients", {})
    known = [*load_schema("patients")["properties"], *extra]
    late = {*late, *FOLLOW_UP, *(name for name, spec in extra.items() if spec["same_as"] in FOLLOW_UP)}
    for key in ("strata", "covariates"):
        for at, name in enumerate(settings[key] or []):
            if unguarded([name], late, guarded=False):
                yield (key, at), guarantee_message(name, "take columns known at the start"), "guarantee_time"
            elif name not in known:
                message = f"{printable(name)} is not a column of patients.tsv{did_you_mean(name, known)}"
                yield (key, at), message, "unknown_column"

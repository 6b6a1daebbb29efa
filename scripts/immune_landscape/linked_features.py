"""Which immune features are related to outcome: those declared beforehand, or all of the layers that are no quality."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from immune_landscape.layers import LAYERS

Contrast = Mapping[str, Any]


def declaring_contrast(contrasts: Sequence[Contrast]) -> Contrast | None:
    """Return the first primary contrast that says what its family is.

    Parameters
    ----------
    contrasts
        Contrasts of the cohort.

    Returns
    -------
    Mapping or None
        None when no primary contrast names subsets or features.
    """
    for contrast in contrasts:
        declared = contrast.get("subsets") or any((contrast.get("features") or {}).values())
        if (contrast.get("family") or "primary") == "primary" and declared:
            return contrast
    return None


def linked_markers(
    markers: Sequence[Mapping[str, Any]], contrasts: Sequence[Contrast], layers: Collection[str]
) -> list[dict[str, Any]]:
    """Return the features that are related to outcome.

    Parameters
    ----------
    markers
        Those of the settings: ``layer, feature, cut``.
    contrasts
        Contrasts of the cohort.
    layers
        Layers that the cohort compares.

    Returns
    -------
    list of dict
        ``layer``; ``feature``, as ``feature`` or ``parent/feature``, empty for all of the layer; ``cut`` or None. Those
        of the settings; without any, the family of `declaring_contrast`; without one, all features of the layers that
        are not exploratory.
    """
    if markers:
        chosen = [(entry["layer"], entry.get("feature") or "", entry.get("cut")) for entry in markers]
    elif (contrast := declaring_contrast(contrasts)) is not None:
        parents = contrast.get("parents") or [""]
        subsets = [f"{parent}/{name}".lstrip("/") for parent in parents for name in contrast.get("subsets") or []]
        chosen = [("composition", name, None) for name in subsets]
        features = contrast.get("features") or {}
        chosen += [(layer, name, None) for layer, names in features.items() for name in names or []]
    else:
        chosen = [(layer, "", None) for layer in layers if not LAYERS[layer].exploratory]
    return [dict(zip(("layer", "feature", "cut"), each, strict=True)) for each in chosen if each[0] in layers]


def linked_layers(config: Mapping[str, Any], compared: Mapping[str, str]) -> dict[str, str]:
    """Return the layers that are related to outcome.

    Parameters
    ----------
    config
        Effective config: ``contrasts`` and the settings of ``link_outcomes``.
    compared
        Layer that the cohort compares -> its table.

    Returns
    -------
    dict
        Layer -> its table, in the order of the layers.
    """
    chosen = linked_markers(config["link_outcomes"]["markers"], config["contrasts"], compared)
    named = {entry["layer"] for entry in chosen}
    return {layer: table for layer, table in compared.items() if layer in named}

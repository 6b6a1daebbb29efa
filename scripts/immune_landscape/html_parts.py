"""Pieces of an HTML page that cannot carry markup from data: whatever is not `Html` is escaped."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from immune_landscape.html_style import STYLE


class Html(str):
    """Text that is markup already; only this module and its callers' constants make it."""

    __slots__ = ()


def tag(name: str, *children: Any, **attributes: str) -> Html:
    """Write one element.

    Parameters
    ----------
    name
        Element name.
    *children
        `Html` is kept, everything else is escaped; None is left out.
    **attributes
        Values are escaped; ``class_`` stands for ``class``.

    Returns
    -------
    Html
        The element.
    """
    pairs = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"' for key, value in attributes.items()
    )
    return Html(f"<{name}{pairs}>{join(children)}</{name}>")


def join(children: Iterable[Any]) -> Html:
    """Put pieces one after the other.

    Parameters
    ----------
    children
        As for `tag`.

    Returns
    -------
    Html
        Without anything between.
    """
    parts = [child if isinstance(child, Html) else html.escape(str(child)) for child in children if child is not None]
    return Html("".join(parts))


def section(title: str, *children: Any) -> Html:
    """Write a section with a heading.

    Parameters
    ----------
    title
        Heading.
    *children
        As for `tag`; a section without any is left out.

    Returns
    -------
    Html
        The section.
    """
    kept = [child for child in children if child is not None and child != ""]
    return tag("section", tag("h2", title), *kept) if kept else Html("")


def table(headings: Sequence[str], rows: Iterable[Sequence[Any]], *, numbers: Sequence[int] = ()) -> Html:
    """Write a table.

    Parameters
    ----------
    headings
        One per column.
    rows
        Cells, as for `tag`.
    numbers
        Columns set to the right.

    Returns
    -------
    Html
        The table, in a box that scrolls when it is too wide.
    """
    kinds = ["num" if at in numbers else "txt" for at in range(len(headings))]
    head = tag("tr", *(tag("th", name, class_=kind) for name, kind in zip(headings, kinds, strict=True)))
    body = [tag("tr", *(tag("td", cell, class_=kind) for cell, kind in zip(row, kinds, strict=True))) for row in rows]
    return tag("div", tag("table", tag("thead", head), tag("tbody", *body)), class_="wide")


def frame_table(frame: pd.DataFrame, *, limit: int = 200) -> Html:
    """Write a whole DataFrame as a table.

    Parameters
    ----------
    frame
        Missing values are shown as nothing.
    limit
        Rows at most; the rest are counted.

    Returns
    -------
    Html
        The table.
    """
    shown = frame.head(limit).astype(object)
    shown = shown.where(shown.notna(), "")
    whole = table([str(name) for name in shown], shown.to_numpy().tolist())
    rest = len(frame) - len(shown)
    return (
        join([whole, tag("p", f"{rest:,} further rows are in the table itself.", class_="small")])
        if rest > 0
        else whole
    )


def bullets(items: Iterable[Any]) -> Html:
    """Write a list.

    Parameters
    ----------
    items
        As for `tag`; none gives nothing.

    Returns
    -------
    Html
        The list.
    """
    lines = [tag("li", item) for item in items]
    return tag("ul", *lines) if lines else Html("")


def cards(facts: Mapping[str, str]) -> Html:
    """Write numbers that stand out, each with its name below.

    Parameters
    ----------
    facts
        Name -> number.

    Returns
    -------
    Html
        A row of boxes.
    """
    boxes = [tag("div", tag("b", value), tag("span", name), class_="card") for name, value in facts.items()]
    return tag("div", *boxes, class_="cards")


def interval_bar(row: Mapping[Any, Any], reach: float, colour: str) -> Html:
    """Draw effect and interval of one row as a small picture; a bound beyond the reach ends in an arrow.

    Parameters
    ----------
    row
        ``effect``, ``ci_low``, ``ci_high``.
    reach
        Effect at the picture's ends.
    colour
        Hex colour.

    Returns
    -------
    Html
        Inline SVG, or nothing for a row without an effect.
    """
    effect, low, high = (float(row[name]) for name in ("effect", "ci_low", "ci_high"))
    if math.isnan(effect):
        return Html("")
    parts = [_line(80, 2, 80, 20, "#B5B5B5", 1)]
    if not (math.isnan(low) or math.isnan(high)):
        ends = [_place(low, reach), _place(high, reach)]
        parts.append(_line(ends[0], 11, ends[1], 11, colour, 2))
        parts += [_arrow(-1, colour)] if low < -reach else []
        parts += [_arrow(1, colour)] if high > reach else []
    parts.append(tag("circle", cx=f"{_place(effect, reach):.1f}", cy="11", r="4", fill=colour))
    return tag(
        "svg",
        *parts,
        width="160",
        height="22",
        viewBox="0 0 160 22",
        role="img",
        aria_label="effect and interval",
    )


def _place(value: float, reach: float) -> float:
    return 80 + 72 * max(-1.0, min(1.0, value / reach))


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, width: float) -> Html:
    ends = {"x1": f"{x1:.1f}", "y1": f"{y1:.1f}", "x2": f"{x2:.1f}", "y2": f"{y2:.1f}"}
    return tag("line", stroke=colour, stroke_width=str(width), **ends)


def _arrow(side: int, colour: str) -> Html:
    tip, back = 80 + 78 * side, 80 + 71 * side
    return tag("polygon", points=f"{tip},11 {back},7 {back},15", fill=colour)


def page(title: str, body: Html) -> Html:
    """Write a whole page that loads nothing: its policy forbids scripts and any address.

    Parameters
    ----------
    title
        Of the window.
    body
        Contents.

    Returns
    -------
    Html
        A document.
    """
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    head = join(
        [
            Html('<meta charset="utf-8">'),
            Html(f'<meta http-equiv="Content-Security-Policy" content="{policy}">'),
            Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
            tag("title", title),
            Html(f"<style>{STYLE}</style>"),
        ]
    )
    whole = tag("html", tag("head", head), tag("body", tag("main", body)), lang="en")
    return Html(f"<!DOCTYPE html>\n{whole}\n")

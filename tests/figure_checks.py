"""Checks that any figure must pass, whatever it shows."""


def texts_of(figure):
    """Return every visible, non-empty text of a figure, tick labels included."""
    from matplotlib.text import Text

    figure.draw_without_rendering()
    return [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]


def words_of(figure):
    """Return all text as one string."""
    return "\n".join(text.get_text() for text in texts_of(figure))


def assert_inside(figure, slack=2.0):
    """Fail when a text that is drawn reaches beyond the page."""
    found = texts_of(figure)
    hidden = _ticks_outside_limits(figure)
    wide, high = figure.bbox.width, figure.bbox.height
    for text in found:
        if text in hidden or not _axes_shown(text):
            continue
        box = text.get_window_extent()
        beyond = max(-box.x0, -box.y0, box.x1 - wide, box.y1 - high)
        assert beyond <= slack, f"{text.get_text()!r} is {beyond:.1f} px outside the figure"


def assert_no_overlap(texts, slack=1.0):
    """Fail when two of the texts cover each other."""
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts]
    for at, (name, box) in enumerate(boxes):
        for other, second in boxes[at + 1 :]:
            across = min(box.x1, second.x1) - max(box.x0, second.x0)
            along = min(box.y1, second.y1) - max(box.y0, second.y0)
            assert across <= slack or along <= slack, f"{name!r} covers {other!r}"


def tick_texts(axes, which):
    """Return the tick labels that are drawn: with text and within the limits."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    low, high = sorted(axis.get_view_interval())
    places = zip(axis.get_ticklocs(), axis.get_ticklabels(), strict=False)
    return [text for place, text in places if low <= place <= high and text.get_text() and text.get_visible()]


def artists(figure, gid):
    """Return the artists with a group id."""
    return figure.findobj(lambda artist: artist.get_gid() == gid)


def check(figure):
    """Check page, tick labels and frame texts of a figure."""
    assert_inside(figure)
    for axes in figure.axes:
        if axes.get_visible() and axes.axison:
            for which in "xy":
                assert_no_overlap(tick_texts(axes, which))
    assert_no_overlap(figure.texts)
    return words_of(figure)


def _ticks_outside_limits(figure):
    hidden = set()
    for axes in figure.axes:
        for which, axis in (("x", axes.xaxis), ("y", axes.yaxis)):
            drawn = set(tick_texts(axes, which)) if axes.axison else set()
            hidden |= {text for text in (*axis.get_ticklabels(), *axis.get_ticklabels(minor=True)) if text not in drawn}
    return hidden


def _axes_shown(text):
    from matplotlib.axis import Axis

    axes = text.axes
    if axes is None or axes.axison:
        return True
    return not any(text in axis.findobj(type(text)) for axis in (axes.xaxis, axes.yaxis) if isinstance(axis, Axis))

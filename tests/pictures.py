"""What a matplotlib figure shows: its pixels and its texts, compared with what should be there."""

from itertools import combinations, pairwise

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.text import Text
from scipy.ndimage import binary_dilation


def rendered(figure):
    """Pixels of a figure, rows from the bottom."""
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[::-1, :, :3].astype(int)


def near(pixels, colour):
    """Which pixels have a colour: 60 of 255 per channel keep the smooth edges of others out."""
    return np.abs(pixels - 255 * np.array(to_rgb(colour))).max(axis=-1) < 60


def covered(ax, x, y, shape):
    """Which pixels a line through these points runs through."""
    corners = ax.transData.transform(np.column_stack([x, y]))
    steps = [np.linspace(a, b, 2 + int(2 * np.abs(b - a).max())) for a, b in pairwise(corners)]
    column, row = np.concatenate(steps).astype(int).T
    pixels = np.zeros(shape, dtype=bool)
    pixels[row, column] = True
    return pixels


def assert_drawn(ax, x, y, colour, legend=None):
    """Within the axes the pixels of a colour are those of a line: none is missing along it, none is away from it.

    Two pixels either way are for the line's width, for smooth edges and for rounding to whole pixels.
    """
    pixels = rendered(ax.figure)
    inside = np.zeros(pixels.shape[:2], dtype=bool)
    inside[window(ax)] = True
    if legend is not None:
        inside[window(legend)] = False
    found = near(pixels, colour) & inside
    expected = covered(ax, x, y, inside.shape) & inside
    assert found.any()
    assert not (found & ~binary_dilation(expected, np.ones((5, 5)))).any(), "colour away from the line"
    assert not (expected & ~binary_dilation(found, np.ones((5, 5)))).any(), "a part of the line is missing"


def window(artist):
    """The pixels of an artist's box."""
    box = artist.get_window_extent()
    return slice(int(box.y0), int(box.y1) + 1), slice(int(box.x0), int(box.x1) + 1)


def assert_texts_apart(figure):
    """No text of a figure touches another, and none is cut."""
    figure.canvas.draw()
    texts = {text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()}
    for ax in figure.axes:
        for axis in (ax.xaxis, ax.yaxis):
            low, high = np.sort(axis.get_view_interval())
            for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
                if not (ax.axison and low <= tick.get_loc() <= high):  # which is not drawn
                    texts -= {tick.label1, tick.label2}
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts]
    for name, box in boxes:
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1, name
    for (name, box), (other_name, other) in combinations(boxes, 2):
        assert not box.overlaps(other), (name, other_name)

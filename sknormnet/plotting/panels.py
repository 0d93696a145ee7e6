"""What the displays share: panels to draw on, the axis of the strengths, the counts above it, legends, styles."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

LOWER, COUNTS = "_sknormnet_lower", "_sknormnet_counts"  # attributes of axes: their lower panel, their axis of counts


def import_pyplot(display: str) -> Any:
    """matplotlib.pyplot, for a display of that name."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            f"{display} draws with matplotlib, which is not installed: python -m pip install matplotlib, or install "
            'sknormnet with its extra "plot"'
        ) from error
    return plt


def style(defaults: dict[str, Any], given: dict[str, Any] | None, artist: type) -> dict[str, Any]:
    """Keywords of an artist, by any of their names; the given ones come before the defaults."""
    from matplotlib.cbook import normalize_kwargs

    return {**normalize_kwargs(defaults, artist), **normalize_kwargs(given or {}, artist)}


def make_panels(plt: Any, ax: Any, n: int) -> tuple[Any, np.ndarray]:
    """Figure and n axes: new ones, those given, or one that becomes the upper panel, with a lower one below it.

    New panels have a common x axis, and numbers below the lowest only. Axes that were divided keep their lower panel.
    """
    heights = (2, 1)[:n]
    if ax is None:
        figure = plt.figure(layout="constrained")
        return figure, figure.subplots(n, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    if isinstance(ax, Sequence | np.ndarray):
        axes = np.array(ax, dtype=object).ravel()
        if len(axes) != n:
            raise ValueError(f"this display has {n} panel{'s' * (n > 1)}, but ax has {len(axes)} axes")
        return axes[0].figure, axes
    if n == 1:
        return ax.figure, np.array([ax], dtype=object)
    if getattr(ax, LOWER, None) in ax.figure.axes:
        return ax.figure, np.array([ax, getattr(ax, LOWER)], dtype=object)
    if ax.get_subplotspec() is None:
        raise ValueError(
            f"this display has {n} panels, and axes that are no subplot cannot be divided: give {n} axes as ax"
        )
    grid = ax.get_subplotspec().subgridspec(n, 1, height_ratios=heights, hspace=0.1)
    ax.set_subplotspec(grid[0])  # the user's own axes stay in sight, with their title
    lower = ax.figure.add_subplot(grid[1], sharex=ax)
    ax.tick_params(labelbottom=False)
    ax.set_xlabel("")
    ax.set_zorder(lower.get_zorder() + 1)  # the lower panel does not cover the legend
    setattr(ax, LOWER, lower)
    ax.figure.sca(ax)
    return ax.figure, np.array([ax, lower], dtype=object)


def remove_earlier(artists: Iterable[Any], axes: Iterable[Any]) -> None:
    """Remove the artists that stand in these axes, as a display does with its own before it draws again."""
    here = [artist for artist in artists if any(artist.axes is ax for ax in axes)]
    for artist in here:
        artist.remove()
    for ax in axes if here else ():
        ax.relim()
        ax.set_prop_cycle(None)  # the same colours again


def rows_of_text(ax: Any) -> float:
    """How many lines of a legend have the height of the axes."""
    return _size_in_texts(ax)[1] / 1.5


def _size_in_texts(ax: Any) -> tuple[float, float]:
    """Width and height of axes, in sizes of a legend's small font."""
    from matplotlib.font_manager import FontProperties

    box, size = ax.get_window_extent(), FontProperties(size="small").get_size_in_points()
    return tuple(length * 72 / ax.figure.dpi / size for length in (box.width, box.height))


def fits_beside(ax: Any, names: Sequence[str], columns: int) -> bool:
    """Whether a legend can stand beside axes: the figure makes room, and leaves most of the width to the axes."""
    letters = columns * (7 + max(map(len, names), default=0))  # 7 for the line and the margins
    return ax.figure.get_layout_engine() is not None and 0.55 * letters < 0.65 * _size_in_texts(ax)[0]


def add_legend(
    ax: Any, given: dict[str, Any] | None, handles: Sequence[Any] = (), names: Sequence[str] = (), beside: bool = False
) -> Any:
    """Legend in a small font: beside the axes, or where it covers least and so small that it stays within them.

    It tells the names of the handles, and after them whatever else in the axes has a label.
    """
    keywords = {"fontsize": "small", **(given or {})}
    if beside and "loc" not in keywords:
        keywords = {"loc": "upper left", "bbox_to_anchor": (1.01, 1.0), "borderaxespad": 0.0, **keywords}
    legend = _legend(ax, keywords, handles, names)
    if not {"fontsize", "prop"}.isdisjoint(given or {}) or "bbox_to_anchor" in keywords:
        return legend
    box, panel = legend.get_window_extent(), ax.get_window_extent()
    part = 0.95 if ax.figure.get_layout_engine() is None else 0.75  # since a layout will make the axes smaller
    shrink = part * min(panel.width / box.width, panel.height / box.height)
    if shrink >= 1:
        return legend
    size = max(shrink, 0.5) * legend.get_texts()[0].get_size()
    return _legend(ax, {**keywords, "fontsize": size}, handles, names)


def _legend(ax: Any, keywords: dict[str, Any], handles: Sequence[Any], names: Sequence[str]) -> Any:
    others = [pair for pair in zip(*ax.get_legend_handles_labels(), strict=True) if pair[0] not in handles]
    labels = [str(i) for i in range(len(names))] + [label for _, label in others]
    legend = ax.legend(**{"handles": [*handles, *(handle for handle, _ in others)], "labels": labels, **keywords})
    if "handles" not in keywords and "labels" not in keywords:
        # set afterwards, for a legend leaves out labels that begin with "_", and takes "$" for mathematics
        for text, name in zip(legend.get_texts(), names, strict=False):
            text.set_parse_math(False)
            text.set_text(name)
    return legend


def shorten(name: str, length: int = 30) -> str:
    """A long name without its middle."""
    return name if len(name) <= length else f"{name[: length // 2]}…{name[1 - length // 2 :]}"


def label_x(ax: Any, label: str) -> None:
    """Name the x axis where it has numbers."""
    if ax.get_xticklabels():  # those that are visible
        ax.set_xlabel(label)


def set_strength_axis(ax: Any, alphas: np.ndarray) -> None:
    """Logarithmic x axis over the strengths; zero has a place of its own, a decade below the smallest other one."""
    positive = alphas[alphas > 0]
    if len(positive) == len(alphas):
        ax.set_xscale("log")
    elif len(positive):
        ax.set_xscale("symlog", linthresh=positive.min())
    ax.margins(x=0.02)
    label_x(ax, "alpha")


def make_head(ax: Any) -> None:
    """Take room for the counts from the axes where no layout makes it, so that a title above them is not cut."""
    spec = ax.get_subplotspec()
    if spec is None or ax.figure.get_layout_engine() is not None or hasattr(ax, COUNTS):
        return
    height = _size_in_texts(ax)[1]
    head = min(3.5, height / 2)  # ticks and two lines
    ax.set_subplotspec(spec.subgridspec(2, 1, height_ratios=(head, height - head), hspace=0)[1])


def add_count_axis(ax: Any, alphas: np.ndarray, counts: np.ndarray, label: str) -> Any:
    """Axis on top that tells a count at some of the strengths, in place of an earlier one; it follows the limits.

    A secondary axis would not do: on a scale other than "log" its ticks stand elsewhere.
    """
    from sknormnet.plotting.ticks import CountFormatter, CountLocator

    earlier: Any = getattr(ax, COUNTS, None)
    if earlier in ax.figure.axes:
        earlier.remove()
    top = ax.twiny()
    setattr(ax, COUNTS, top)
    scale = ax.get_xscale()
    top.set_xscale(scale, **({"linthresh": ax.xaxis.get_transform().linthresh} if scale == "symlog" else {}))
    top.xaxis.set_major_locator(CountLocator(alphas, counts))
    top.xaxis.set_major_formatter(CountFormatter(alphas, counts))
    top.set_xticks([], minor=True)
    top.tick_params(labelsize="small", length=3, pad=2)  # a low head, for the title above it
    top.set_xlabel(label, fontsize="small", labelpad=4)
    top.set_xlim(ax.get_xlim())
    ax.figure.sca(ax)
    ax.callbacks.connect("xlim_changed", lambda changed: top.set_xlim(changed.get_xlim()))
    return top

"""What the displays share: panels to draw on, the axis of the strengths, the counts above it, styles."""

from collections.abc import Sequence
from typing import Any

import numpy as np


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
    """Figure and n axes: new ones, one axes divided into an upper and a lower part, or those given.

    New panels have a common x axis, and numbers below the lowest only.
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
    if ax.get_subplotspec() is None:
        raise ValueError(
            f"this display has {n} panels, and axes that are no subplot cannot be divided: give {n} axes as ax"
        )
    if not ax.axison:
        raise ValueError("these axes are hidden, as after an earlier plot has divided them: give display.axes_ as ax")
    ax.set_axis_off()
    grid = ax.get_subplotspec().subgridspec(n, 1, height_ratios=heights, hspace=0.1)
    upper = ax.figure.add_subplot(grid[0])
    lower = ax.figure.add_subplot(grid[1], sharex=upper)
    upper.tick_params(labelbottom=False)
    return ax.figure, np.array([upper, lower], dtype=object)


def makes_room(figure: Any) -> bool:
    """Whether a figure moves its axes so that what stands beside them is seen."""
    return figure.get_layout_engine() is not None


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


def add_count_axis(ax: Any, alphas: np.ndarray, counts: np.ndarray, label: str) -> Any:
    """Axis on top that tells a count at some of the strengths, spread over the scale; it follows the limits.

    A secondary axis would not do: on a scale other than "log" its ticks stand elsewhere.
    """
    places = ax.xaxis.get_transform().transform(np.asarray(alphas, dtype=float))
    texts = np.array([str(int(count)) for count in counts])
    room = ax.get_window_extent().width * 72 / ax.figure.dpi / ax.xaxis.label.get_size()  # in heights of a text
    n_ticks = np.clip(int(room / (2 + max(map(len, texts)))), 2, 7)
    targets, step = np.linspace(places.max(), places.min(), n_ticks, retstep=True)
    shown: list[int] = []
    for target in targets:
        i = int(np.argmin(np.abs(places - target)))
        if not shown or places[shown[-1]] - places[i] > -step / 2:
            shown.append(i)
    top = ax.twiny()
    scale = ax.get_xscale()
    top.set_xscale(scale, **({"linthresh": ax.xaxis.get_transform().linthresh} if scale == "symlog" else {}))
    top.set_xticks(alphas[shown], texts[shown])
    top.set_xticks([], minor=True)
    top.set_xlabel(label)
    top.set_xlim(ax.get_xlim())
    ax.figure.sca(ax)
    ax.callbacks.connect("xlim_changed", lambda changed: top.set_xlim(changed.get_xlim()))
    return top

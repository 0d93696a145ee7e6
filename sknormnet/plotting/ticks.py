"""Ticks of the axis of counts; imported when a display draws, since it needs matplotlib."""

from typing import Any

import numpy as np
from matplotlib.ticker import Formatter, Locator


class CountLocator(Locator):
    """Some of the strengths, spread over the scale: as many as have room for their counts, seven at most.

    The room is that of the moment: a layout may have changed the width since the display was made.
    """

    def __init__(self, alphas: np.ndarray, counts: np.ndarray):
        self.alphas = np.asarray(alphas, dtype=float)
        self.digits = max(len(str(int(count))) for count in counts)

    def __call__(self) -> Any:
        axis: Any = self.axis
        axes, size = axis.axes, axis.get_major_ticks(1)[0].label2.get_size()
        room = axes.get_window_extent().width * 72 / axes.figure.dpi / size  # in heights of a text
        n_ticks = np.clip(int(room / (2 + self.digits)), 2, 7)
        places = axes.transData.transform(np.column_stack([self.alphas, np.zeros(len(self.alphas))]))[:, 0]
        targets, step = np.linspace(places.max(), places.min(), n_ticks, retstep=True)
        shown: list[int] = []
        for target in targets:
            i = int(np.argmin(np.abs(places - target)))
            if not shown or places[shown[-1]] - places[i] > -step / 2:
                shown.append(i)
        return self.alphas[shown]


class CountFormatter(Formatter):
    """The count at a strength."""

    def __init__(self, alphas: np.ndarray, counts: np.ndarray):
        self.alphas, self.counts = np.asarray(alphas, dtype=float), np.asarray(counts)

    def __call__(self, x: float, pos: int | None = None) -> str:
        return str(int(self.counts[np.argmin(np.abs(self.alphas - x))]))

"""One loss for several columns of classes."""

from collections.abc import Sequence

import numpy as np

from sknormnet._core.losses import HeadsKernel
from sknormnet.losses.base import CompiledLoss, Loss
from sknormnet.losses.links import Link


class Heads(CompiledLoss):
    """Sum over several columns of class numbers of one loss, each on raw columns of its own: a head.

    The estimator makes it of the loss that its user chose. The heads lie side by side in raw, in the columns' order,
    and each is what the loss asks for where its column is the whole target.

    Parameters
    ----------
    loss : Loss
        Of one column of class numbers.
    widths : sequence of int
        Raw columns of each head.
    """

    task = "classification"

    def __init__(self, loss: Loss, widths: Sequence[int]):
        self.loss = loss
        self.widths = tuple(widths)

    def __repr__(self) -> str:
        return repr(self.loss)  # that the user knows

    @property
    def convex(self) -> bool:  # type: ignore[override]
        return self.loss.convex

    @property
    def kinked(self) -> bool:  # type: ignore[override]
        return self.loss.kinked

    def check_parameters(self) -> None:
        self.loss.check_parameters()

    def check_target(self, y: np.ndarray) -> None:
        for h in range(len(self.widths)):
            try:
                self.loss.check_target(y[:, [h]])
            except ValueError as error:
                raise ValueError(f"column {h} of y, by the numbers of its classes: {error}") from error

    def n_raw(self, n_targets: int, n_classes: int | None = None) -> int:
        return sum(self.widths)

    def link(self, n_targets: int, n_raw: int) -> "HeadsLink":
        return HeadsLink(self)

    def split(self, raw: np.ndarray) -> list[np.ndarray]:
        """The columns of each head."""
        if raw.shape[1] != sum(self.widths):
            raise ValueError(f"raw predictions of {raw.shape[1]} columns do not fit heads of {self.widths} columns")
        return np.split(raw, np.cumsum(self.widths)[:-1], axis=1)

    def kernel(self) -> HeadsKernel:
        return HeadsKernel(self.loss.kernel(), self.widths)


class HeadsLink(Link):
    """The links of heads side by side."""

    def __init__(self, heads: Heads):
        self.heads = heads
        self.links = [heads.loss.link(1, width) for width in heads.widths]
        names = tuple(link.name for link in self.links)
        self.name = names[0] if len(set(names)) == 1 else names  # type: ignore[misc, assignment]
        self.gives_probabilities = all(link.gives_probabilities for link in self.links)  # type: ignore[misc]

    def link(self, mean: np.ndarray) -> np.ndarray:
        parts = self.heads.split(mean)
        return np.hstack([link.link(part) for link, part in zip(self.links, parts, strict=True)])

    def inverse(self, raw: np.ndarray) -> np.ndarray:
        parts = self.heads.split(raw)
        return np.hstack([link.inverse(part) for link, part in zip(self.links, parts, strict=True)])

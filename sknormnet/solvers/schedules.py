"""Learning rates over the epochs."""

import math
from abc import ABC, abstractmethod

SMALLEST_RATE = 1e-6  # "adaptive" stops here


class Schedule(ABC):
    """Learning rate of each epoch."""

    def __init__(self, initial: float):
        self.initial = initial

    @abstractmethod
    def rates(self, epoch: int, n_seen: int) -> tuple[float, float]:
        """Rates at the start and the end of an epoch, between which batches interpolate.

        Parameters
        ----------
        epoch : int
            From 0.
        n_seen : int
            Rows visited before this epoch.
        """

    stops_on_plateau = True

    def shrink(self) -> bool:
        """Called when patience is at its end: True if the rate was lowered and training goes on."""
        return False

    def state(self) -> dict[str, float]:
        """What a later run goes on from."""
        return {}

    def resume(self, state: dict[str, float]) -> None:
        """Go on from an earlier run's state."""
        return None


class Constant(Schedule):
    """learning_rate_init throughout."""

    def rates(self, epoch: int, n_seen: int) -> tuple[float, float]:
        return self.initial, self.initial


class InverseScaling(Schedule):
    """learning_rate_init / (n_seen + 1)**power_t, as scikit-learn's MLP."""

    def __init__(self, initial: float, power_t: float):
        super().__init__(initial)
        self.power_t = power_t

    def rates(self, epoch: int, n_seen: int) -> tuple[float, float]:
        try:
            rate = self.initial / (n_seen + 1) ** self.power_t
        except OverflowError:
            rate = 0.0
        return rate, rate


class Adaptive(Schedule):
    """A fifth of the rate whenever patience is at its end, until 1e-6, as scikit-learn's MLP."""

    def __init__(self, initial: float):
        super().__init__(initial)
        self.rate = initial

    def rates(self, epoch: int, n_seen: int) -> tuple[float, float]:
        return self.rate, self.rate

    def shrink(self) -> bool:
        if self.rate <= SMALLEST_RATE:
            return False
        self.rate /= 5.0
        return True

    def state(self) -> dict[str, float]:
        return {"initial": self.initial, "rate": self.rate}

    def resume(self, state: dict[str, float]) -> None:
        if state.get("initial") == self.initial:  # otherwise the user has set another
            self.rate = state["rate"]


class Cosine(Schedule):
    """Half a cosine from learning_rate_init down to zero at max_iter epochs; a plateau does not stop it.

    References
    ----------
    Loshchilov and Hutter (2017), SGDR: stochastic gradient descent with warm restarts, section 3 (without restarts).
    """

    stops_on_plateau = False

    def __init__(self, initial: float, max_iter: int):
        super().__init__(initial)
        self.max_iter = max_iter

    def rates(self, epoch: int, n_seen: int) -> tuple[float, float]:
        return self._rate(epoch), self._rate(epoch + 1)

    def _rate(self, epoch: int) -> float:
        return 0.5 * self.initial * (1 + math.cos(math.pi * min(epoch / self.max_iter, 1.0)))


def make_schedule(name: str, initial: float, *, power_t: float, max_iter: int, solver: str) -> Schedule:
    """The schedule of a name; as in scikit-learn's MLP, "invscaling" and "adaptive" are sgd's alone."""
    if name == "cosine":
        return Cosine(initial, max_iter)
    if solver == "sgd" and name == "invscaling":
        return InverseScaling(initial, power_t)
    if solver == "sgd" and name == "adaptive":
        return Adaptive(initial)
    return Constant(initial)

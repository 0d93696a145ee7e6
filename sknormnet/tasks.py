"""Training as the tasks that scikit-learn's callbacks follow."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from typing import Any

import numpy as np
from sklearn.callback import CallbackContext

_RECONSTRUCTIONS: dict[CallbackContext, Callable[[], Any]] = {}  # not on contexts, which pickled estimators hold


def reconstruct(context: CallbackContext) -> Any:
    """An estimator as it stands, fitted; for hooks, with the context that they are called with."""
    return _RECONSTRUCTIONS[context]()


class EpochTasks:
    """One task per epoch or iteration of a fit, for the callbacks that ``set_callbacks`` has set.

    While a hook runs, ``reconstruct(context)`` makes what hooks get as `fitted_estimator`. The protocol makes one for
    every task of a callback that names it; a callback that needs one now and then asks there.

    Parameters
    ----------
    context : sklearn.callback.CallbackContext
        Of the fit.
    max_tasks : int
    data : dict
        estimator, X, y and metadata, as the hooks get them.
    attributes : callable
        theta -> the attributes of an estimator that is fitted with it, which hooks get as `fitted_estimator`.
    """

    def __init__(
        self,
        context: CallbackContext,
        max_tasks: int,
        data: dict[str, Any],
        attributes: Callable[[np.ndarray], dict[str, Any]],
    ):
        self._context = context
        self._left = max_tasks
        self._data = data
        self._attributes = attributes
        self._open: CallbackContext | None = None

    def begin(self, theta: np.ndarray) -> None:
        """A task begins, unless one has begun already."""
        if self._open is None and self._left > 0:
            self._left -= 1
            self._open = self._context.subcontext(task_name="epoch")
            with self._reconstructing(self._open, theta) as attributes:
                self._open.call_on_fit_task_begin(**self._data, reconstruction_attributes=attributes)

    def end(self, theta: np.ndarray) -> bool:
        """The task ends; whether a callback asks to stop."""
        if self._open is None:
            return False
        task, self._open = self._open, None
        with self._reconstructing(task, theta) as attributes:
            return task.call_on_fit_task_end(**self._data, reconstruction_attributes=attributes)

    def close(self) -> None:
        """End a task that began and did not get through."""
        if self._open is not None:
            self._open.call_on_fit_task_end(estimator=self._data["estimator"])
            self._open = None

    def end_fit(self, theta: np.ndarray, fitted: Callable[[], dict[str, Any]]) -> None:
        """The fit ends, with theta after the last epoch; fitted makes the attributes of the fitted estimator."""
        with self._reconstructing(self._context, theta):
            self._context.call_on_fit_task_end(**self._data, reconstruction_attributes=fitted)

    @contextmanager
    def _reconstructing(self, task: CallbackContext, theta: np.ndarray) -> Iterator[Callable[[], dict[str, Any]]]:
        """Let hooks reconstruct an estimator from theta: yields a function that makes its attributes."""

        def reconstructed() -> Any:
            estimator = copy(self._data["estimator"])
            vars(estimator).update(self._attributes(theta.copy()))
            return estimator

        _RECONSTRUCTIONS[task] = reconstructed
        try:
            yield lambda: self._attributes(theta.copy())
        finally:
            del _RECONSTRUCTIONS[task]

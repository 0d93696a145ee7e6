"""Callbacks: training as the tasks that scikit-learn's callbacks follow."""

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.callback import CallbackContext

__all__ = ["EpochTasks"]


class EpochTasks:
    """One task per epoch or iteration of a fit, for the callbacks that ``set_callbacks`` has set.

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
            self._open.call_on_fit_task_begin(
                **self._data, reconstruction_attributes=lambda: self._attributes(theta.copy())
            )

    def end(self, theta: np.ndarray) -> bool:
        """The task ends; whether a callback asks to stop."""
        if self._open is None:
            return False
        task, self._open = self._open, None
        return task.call_on_fit_task_end(**self._data, reconstruction_attributes=lambda: self._attributes(theta.copy()))

    def close(self) -> None:
        """End a task that began and did not get through."""
        if self._open is not None:
            self._open.call_on_fit_task_end(estimator=self._data["estimator"])
            self._open = None

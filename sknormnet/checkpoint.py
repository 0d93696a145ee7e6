"""Checkpoints: a fit on the disk, from which it can be resumed."""

import math
import os
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from numbers import Integral, Real
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import sklearn
from sklearn.base import clone
from sklearn.callback import CallbackContext

from sknormnet import storage
from sknormnet.base import BaseNormRegMLP
from sknormnet.classifier import NormRegMLPClassifier
from sknormnet.path.folds import PathCV
from sknormnet.regressor import NormRegMLPRegressor
from sknormnet.solvers import STOCHASTIC_SOLVERS
from sknormnet.tasks import reconstruct

FORMAT = "sknormnet checkpoint"
VERSION = 1
ESTIMATORS = {cls.__name__: cls for cls in (NormRegMLPClassifier, NormRegMLPRegressor)}
# Attributes that scikit-learn keeps for itself, and the one that is made from a parameter.
NOT_WRITTEN = {"_skl_callbacks", "_skl_callbacks_to_teardown", "_callback_fit_ctx", "_parent_callback_ctx"} | {
    "_metadata_request",
    "_fitted_loss",
}


@dataclass
class _Fit:
    """A fit that is being saved."""

    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    saved: bool = False
    saved_at: float = 0.0
    epochs: int = 0  # since


class Checkpoint:
    """Callback that saves a fit with sgd or adam to a file, from which `resume` runs the rest of it.

    Saves when training begins, then at the end of the first epoch that is due by `every_epochs` or by `every_seconds`,
    whichever comes first, and when the fit ends. A file that is there is replaced. A save that fails ends the fit, and
    leaves the file of the save before; so does a process that is killed while it saves.

    Parameters
    ----------
    path : str or path-like
        Of the file. Its folder must exist; new files are written there as ``<name>.<random>.tmp`` first.
    every_epochs : int >= 1, default=None
        Epochs between two saves; None leaves it to `every_seconds`.
    every_seconds : float > 0, default=60.0
        Seconds between two saves; None leaves it to `every_epochs`.

    See Also
    --------
    resume : Runs the epochs left of a saved fit.

    Notes
    -----
    The file is NumPy's .npz with arrays and a JSON text; reading it executes nothing. It holds the weights, those of
    the best epoch, the optimiser's state, the random stream, the history, the parameters, and a checksum of the data,
    not the data.

    Set it on the network, in a Pipeline on the network's step. In a search the fits of the folds, which run side by
    side, are not saved; the refit is. Fits that run at once must have paths of their own: one that finds another's file
    in the place of its own raises RuntimeError. `partial_fit` calls no callbacks.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.preprocessing import scale
    >>> from sknormnet import NormRegMLPRegressor
    >>> from sknormnet.callbacks import Checkpoint, resume
    >>> X, y = load_diabetes(return_X_y=True)
    >>> y = scale(y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "fit.npz"
    ...     model = NormRegMLPRegressor((10,), early_stopping=True, learning_rate_init=0.01, random_state=0)
    ...     model = model.set_callbacks(Checkpoint(path, every_epochs=10)).fit(X, y)
    ...     same = resume(path, X, y)
    >>> bool((same.predict(X) == model.predict(X)).all())
    True
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        every_epochs: int | None = None,
        every_seconds: float | None = 60.0,
    ):
        if every_epochs is None and every_seconds is None:
            raise ValueError("give every_epochs or every_seconds: without them nothing but the end would be saved")
        if every_epochs is not None and not (_is(Integral, every_epochs) and every_epochs >= 1):
            raise ValueError(f"every_epochs must be an integer >= 1 or None, got {every_epochs!r}")
        if every_seconds is not None and not (_is(Real, every_seconds) and every_seconds > 0):
            raise ValueError(f"every_seconds must be a number > 0 or None, got {every_seconds!r}")
        self.path = Path(path)
        self.every_epochs = every_epochs
        self.every_seconds = every_seconds
        self._fits: dict[CallbackContext, _Fit] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_fits": {}}

    def setup(self, estimator: Any, context: CallbackContext) -> None:
        """Refuse what cannot be saved, before anything is fitted."""
        if not isinstance(estimator, BaseNormRegMLP):
            raise TypeError(
                f"Checkpoint saves the fit of a NormRegMLPClassifier or NormRegMLPRegressor, not of a "
                f"{type(estimator).__name__}; set it on the network itself, such as pipeline[-1].set_callbacks(...)"
            )
        if isinstance(estimator, PathCV):
            raise TypeError(
                f"Checkpoint saves one fit, and {type(estimator).__name__} follows paths of many; set it on the plain "
                "estimator"
            )
        if estimator.solver not in STOCHASTIC_SOLVERS:
            raise ValueError(
                f"Checkpoint saves fits of the solvers {list(STOCHASTIC_SOLVERS)}; {estimator.solver!r} cannot go on "
                "from a file"
            )
        if _is_one_of_many(context):
            return
        if self._fits:
            raise RuntimeError(f"this Checkpoint saves another fit to {self.path} now; give each fit one of its own")
        self._fits[context] = _Fit()

    def teardown(self, estimator: Any, context: CallbackContext) -> None:
        """Forget the fit."""
        self._fits.pop(context, None)

    def on_fit_task_begin(self, estimator: Any, context: CallbackContext) -> None:
        """An epoch begins: that the one before did not end the fit is settled."""
        fit = self._fits.get(context.parent)
        if fit is None:
            return
        by_epochs = self.every_epochs is not None and fit.epochs >= self.every_epochs
        by_seconds = self.every_seconds is not None and time.monotonic() - fit.saved_at >= self.every_seconds
        if not fit.saved or by_epochs or by_seconds:
            self._save(reconstruct(context), fit)
        fit.epochs += 1

    def on_fit_task_end(self, estimator: Any, context: CallbackContext) -> None:
        """The fit ends."""
        fit = self._fits.get(context)
        if fit is not None and estimator.stop_reason_ != "diverged":  # which the epoch after the last save will again
            self._save(reconstruct(context), fit)

    def _save(self, estimator: BaseNormRegMLP, fit: _Fit) -> None:
        encoder = storage.Encoder()
        settings = {"every_epochs": self.every_epochs, "every_seconds": self.every_seconds}
        tree = {
            "format": FORMAT,
            "version": VERSION,
            "fit": fit.id,
            "written_with": {"numpy": np.__version__, "scikit-learn": sklearn.__version__},
            "checkpoint": encoder.encode(settings),
            **_written(estimator, encoder),
        }
        if fit.saved and _id_of(self.path) not in (None, fit.id):
            raise RuntimeError(f"{self.path} is written by another fit at the same time; give each fit its own path")
        storage.write(self.path, tree, encoder.arrays)
        fit.saved, fit.saved_at, fit.epochs = True, time.monotonic(), 0


def resume(
    path: str | os.PathLike[str],
    X,
    y,
    sample_weight=None,
    *,
    X_val=None,
    y_val=None,
    sample_weight_val=None,
    estimator: BaseNormRegMLP | None = None,
    callbacks: Sequence[Any] | None = None,
):
    """Run the rest of a fit that `Checkpoint` has saved.

    Returns what the fit would have returned, in bits, but for the seconds in `history_`: the epochs since the last save
    run again. That holds for the same versions of this package, NumPy and scikit-learn on processors with the same
    instruction set. A fit that had ended is returned as it was.

    Parameters
    ----------
    path : str or path-like
        Of the file.
    X, y, sample_weight, X_val, y_val, sample_weight_val
        As they were given to `fit`. Other data are refused.
    estimator : NormRegMLPClassifier or NormRegMLPRegressor, default=None
        With the parameters that the fit had. Needed where one of them is not this package's own, and so is not in the
        file: a loss or penalty of yours, a callable scorer, a class derived from the estimator. It is cloned; a
        parameter that differs from the file's is refused, but `random_state`, which is taken from the file, and
        `verbose`.
    callbacks : sequence, default=None
        For the epochs left, in the place of those that the fit had. None: a `Checkpoint` on the same file.

    Returns
    -------
    estimator : NormRegMLPClassifier or NormRegMLPRegressor
        Fitted.

    Raises
    ------
    ValueError
        If the file is damaged or no checkpoint, `estimator` is needed or does not agree, or the data are not the same.

    See Also
    --------
    Checkpoint : Saves a fit.

    Examples
    --------
    A fit that is ended after 5 epochs, and the rest of it:

    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn.datasets import load_iris
    >>> from sknormnet import NormRegMLPClassifier
    >>> from sknormnet.callbacks import Checkpoint, resume
    >>> class Kill:
    ...     def setup(self, estimator, context): ...
    ...     def teardown(self, estimator, context): ...
    ...     def on_fit_task_begin(self, estimator, context): ...
    ...     def on_fit_task_end(self, estimator, context):
    ...         if context.task_id == 5:
    ...             raise KeyboardInterrupt
    >>> X, y = load_iris(return_X_y=True)
    >>> whole = NormRegMLPClassifier((10,), learning_rate_init=0.01, tol=0.01, random_state=0).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "fit.npz"
    ...     killed = NormRegMLPClassifier((10,), learning_rate_init=0.01, tol=0.01, random_state=0)
    ...     try:
    ...         killed.set_callbacks(Checkpoint(path, every_epochs=1), Kill()).fit(X, y)
    ...     except KeyboardInterrupt:
    ...         model = resume(path, X, y)
    >>> model.n_iter_ == whole.n_iter_ and bool((model.coefs_[0] == whole.coefs_[0]).all())
    True
    """
    path = Path(path)
    with open(path, "rb") as file:
        try:
            saved = _read(file)
        except Exception as error:  # whatever a damaged file provokes
            raise ValueError(f"{path} is not a checkpoint, or it is damaged: {error}") from error
    model = _rebuild(saved, estimator, path)
    try:
        _attach(model, saved["attributes"])
    except Exception as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    model.set_callbacks(*([Checkpoint(path, **saved["checkpoint"])] if callbacks is None else callbacks))
    return model._resume(X, y, sample_weight, (X_val, y_val, sample_weight_val))


def _is(kind: type, value: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool) and math.isfinite(value)  # type: ignore[arg-type]


def _is_one_of_many(context: CallbackContext) -> bool:
    """Whether a fit runs beside others, as those of a search's folds do."""
    while context.parent is not None:
        context = context.parent
        if not context.sequential_subtasks:
            return True
    return False


def _id_of(path: Path) -> str | None:
    """Which fit a file is of; None if there is no file to read."""
    try:
        with open(path, "rb") as file:
            return storage.read_tree(file)["fit"]
    except Exception:
        return None


def _class_name(estimator: BaseNormRegMLP) -> str:
    return f"{type(estimator).__module__}.{type(estimator).__qualname__}"


def _written(estimator: BaseNormRegMLP, encoder: storage.Encoder) -> dict[str, Any]:
    """The estimator for a file."""
    parameters: dict[str, Any] = {}
    foreign: dict[str, str] = {}
    given = estimator.get_params(deep=False)
    for name, value in given.items():
        try:
            parameters[name] = encoder.encode(value)
        except storage.Foreign as error:
            foreign[name] = str(error)
    attributes = {}
    for name, value in vars(estimator).items():
        if name not in given and name not in NOT_WRITTEN:
            try:
                attributes[name] = encoder.encode(value)
            except storage.Foreign as error:
                raise TypeError(f"Checkpoint cannot save {name}, which holds {error}") from error
    own = ESTIMATORS.get(type(estimator).__name__) is type(estimator)
    return {
        "estimator": type(estimator).__name__ if own else None,
        "class": _class_name(estimator),
        "parameters": parameters,
        "foreign": foreign,
        "attributes": attributes,
    }


def _read(file: BinaryIO) -> dict[str, Any]:
    """The contents of a file, values decoded."""
    tree, arrays = storage.read(file)
    if not isinstance(tree, dict) or tree.get("format") != FORMAT:
        raise ValueError("it does not say that it is one")
    if tree["version"] != VERSION:
        raise ValueError(f"its format has version {tree['version']!r}, this package reads version {VERSION}")
    for name in ("parameters", "attributes"):
        tree[name] = {key: storage.decode(value, arrays) for key, value in tree[name].items()}
    tree["checkpoint"] = storage.decode(tree["checkpoint"], arrays)
    Checkpoint("", **tree["checkpoint"])
    if tree["estimator"] is not None:
        ESTIMATORS[tree["estimator"]]().set_params(**tree["parameters"])
    return tree


def _rebuild(saved: dict[str, Any], estimator: BaseNormRegMLP | None, path: Path) -> BaseNormRegMLP:
    """The estimator as it was before the fit."""
    if estimator is None:
        lacking = [f"{name} ({what})" for name, what in saved["foreign"].items()]
        if saved["estimator"] is None:
            lacking.append(f"the class {saved['class']}")
        if lacking:
            raise ValueError(
                f"{path} does not hold {', '.join(lacking)}: no file that executes nothing can. Give resume an "
                "estimator= with the parameters that the fit had"
            )
        return ESTIMATORS[saved["estimator"]](**saved["parameters"])
    if _class_name(estimator) != saved["class"]:
        raise ValueError(f"estimator is a {_class_name(estimator)}; the fit in {path} was that of a {saved['class']}")
    model = clone(estimator)
    given = model.get_params(deep=False)
    for name, value in saved["parameters"].items():
        if name == "random_state":
            model.set_params(random_state=value)
        elif name != "verbose" and not storage.same(given.get(name), value):
            raise ValueError(f"estimator has {name}={given.get(name)!r}; the fit in {path} had {value!r}")
    return model


def _attach(model: BaseNormRegMLP, attributes: dict[str, Any]) -> None:
    """Give an estimator the attributes of a file, after a look at what training will read."""
    strange = [name for name in attributes if hasattr(type(model), name) or name in model.get_params(deep=False)]
    if strange:
        raise ValueError(f"{strange[0]} is no fitted attribute")
    loss = model.loss
    model.__dict__.update(attributes, _fitted_loss=loss if isinstance(loss, str) else clone(loss))
    model._check_fitted_state()
    state = attributes["_training_state"]
    n_epochs = state["under_way"]["n_epochs"]
    if state["solver"] != model.solver or not state["optimizer"] or n_epochs > model.max_iter:
        raise ValueError("its state is not that of a fit with its parameters")

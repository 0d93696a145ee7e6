"""Picture of a fit's history."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sknormnet.plotting.panels import add_legend, import_pyplot, label_x, make_panels, remove_earlier, style

CURVES = ("data_loss", "penalty", "validation_score", "validation_loss")
COLORS = {"data_loss": "C0", "penalty": "C1", "objective": "C2", "validation_loss": "C3", "validation_score": "C3"}


class TrainingCurveDisplay:
    """Data loss, penalty and objective over the epochs of a fit, and what the validation data say.

    The upper panel has the two terms of the objective and their sum, and the loss on the validation data. A lower panel
    has the validation score, where there are scores, and a vertical line in both marks the epoch of the highest.
    Without a penalty the data loss is the objective, and only the former is drawn. Make one with `from_estimator`;
    parameters become attributes.

    Parameters
    ----------
    data_loss, penalty : ndarray of shape (n_epochs,)
        Terms of the objective.
    validation_score, validation_loss : ndarray of shape (n_epochs,), default=None
        NaN where an epoch has none. None: no epoch has.
    unit : str, default="epoch"
        What the x axis counts.

    Attributes
    ----------
    best_epoch : int or None
        The first with the highest validation score, counted from 1: its parameters are the model's after one `fit`.
    figure_ : matplotlib Figure
    ax_ : matplotlib Axes
        The upper panel.
    score_ax_ : matplotlib Axes or None
        The lower panel.
    axes_ : ndarray of matplotlib Axes
        Both, as `plot` takes them.
    lines_ : dict of str to matplotlib Line2D
        "data_loss", "penalty", "objective", "validation_loss" and "validation_score", those that are drawn.
    best_lines_ : list of matplotlib Line2D
        The vertical line of each panel.
    legend_ : matplotlib Legend

    Examples
    --------
    >>> import numpy as np
    >>> from sknormnet import NormRegMLPRegressor
    >>> from sknormnet.plotting import TrainingCurveDisplay
    >>> X = np.random.default_rng(0).standard_normal((200, 3))
    >>> y = X[:, 0] + X[:, 1] * X[:, 2]
    >>> model = NormRegMLPRegressor((8,), solver="lbfgs", alpha=0.01, early_stopping=True, random_state=0)
    >>> model = model.fit(X[:150], y[:150], X_val=X[150:], y_val=y[150:])
    >>> display = TrainingCurveDisplay.from_estimator(model)
    >>> list(display.lines_)
    ['data_loss', 'penalty', 'objective', 'validation_loss', 'validation_score']
    >>> float(display.validation_score[display.best_epoch - 1]) == model.best_validation_score_
    True
    """

    _drawn: Sequence[Any] = ()

    def __init__(
        self,
        *,
        data_loss: np.ndarray,
        penalty: np.ndarray,
        validation_score: np.ndarray | None = None,
        validation_loss: np.ndarray | None = None,
        unit: str = "epoch",
    ):
        self.data_loss = data_loss
        self.penalty = penalty
        self.validation_score = validation_score
        self.validation_loss = validation_loss
        self.unit = unit

    @property
    def best_epoch(self) -> int | None:
        scores = self.validation_score
        return None if scores is None or np.isnan(scores).all() else int(np.nanargmax(scores)) + 1

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        ax: Any = None,
        line_kw: dict[str, Any] | None = None,
        best_kw: dict[str, Any] | None = None,
        legend_kw: dict[str, Any] | None = None,
    ) -> "TrainingCurveDisplay":
        """Draw the history of a fitted estimator.

        Parameters
        ----------
        estimator : NormRegMLPClassifier or NormRegMLPRegressor
            Fitted, by any solver. Its `history_` is drawn, with the epochs of earlier fits that it went on from.
        ax, line_kw, best_kw, legend_kw
            As in `plot`.

        Returns
        -------
        TrainingCurveDisplay
        """
        check_is_fitted(estimator)
        if not isinstance(getattr(estimator, "history_", None), dict):
            raise TypeError(
                f"{cls.__name__} draws NormRegMLPClassifier and NormRegMLPRegressor, got {type(estimator).__name__}; "
                "of a pipeline, give the last step"
            )
        loss, penalty, *validation = (np.array(estimator.history_[key], dtype=float) for key in CURVES)  # None is NaN
        score, validation_loss = (None if np.isnan(values).all() else values for values in validation)
        display = cls(
            data_loss=loss,
            penalty=penalty,
            validation_score=score,
            validation_loss=validation_loss,
            unit="iteration" if estimator.solver in ("lbfgs", "fista") else "epoch",
        )
        return display.plot(ax, line_kw=line_kw, best_kw=best_kw, legend_kw=legend_kw)

    def plot(
        self,
        ax: Any = None,
        *,
        line_kw: dict[str, Any] | None = None,
        best_kw: dict[str, Any] | None = None,
        legend_kw: dict[str, Any] | None = None,
    ) -> "TrainingCurveDisplay":
        """Draw.

        Axes that this display has drawn on before lose what it drew there; those of another display keep its lines.

        Parameters
        ----------
        ax : matplotlib Axes or sequence of them, default=None
            None: a new figure. One Axes becomes the upper panel, with a lower one below it, where there are two panels;
            otherwise as many Axes as panels.
        line_kw, best_kw : dict, default=None
            Keywords of matplotlib's Line2D: of all curves, and of the vertical lines.
        legend_kw : dict, default=None
            Keywords of `Axes.legend`.

        Returns
        -------
        self : TrainingCurveDisplay
        """
        plt = import_pyplot(type(self).__name__)
        from matplotlib.lines import Line2D

        self.figure_, self.axes_ = make_panels(plt, ax, 1 if self.best_epoch is None else 2)
        remove_earlier(self._drawn, self.axes_)
        self.ax_, self.score_ax_ = self.axes_[0], None if self.best_epoch is None else self.axes_[-1]
        loss, penalty = np.asarray(self.data_loss), np.asarray(self.penalty)
        curves = {"data_loss": loss}
        if penalty.any():
            curves |= {"penalty": penalty, "objective": loss + penalty}
        curves |= {key: getattr(self, key) for key in ("validation_loss", "validation_score")}
        epochs = np.arange(1, len(loss) + 1)
        self.lines_ = {}
        for key, values in curves.items():
            if values is not None:
                panel = self.axes_[-1] if key == "validation_score" else self.ax_
                defaults = {
                    "label": key.replace("_", " "),
                    "color": COLORS[key],
                    "marker": "." if len(loss) == 1 else "",
                }
                (self.lines_[key],) = panel.plot(epochs, values, **style(defaults, line_kw, Line2D))
        self.ax_.set_ylabel("loss")
        self.best_lines_ = []
        if self.best_epoch is not None:
            self.axes_[-1].set_ylabel("validation score")
            mark = {"color": "0.4", "linestyle": ":", "label": f"best {self.unit}: {self.best_epoch}"}
            self.best_lines_ = [panel.axvline(self.best_epoch, **style(mark, best_kw, Line2D)) for panel in self.axes_]
        self.legend_ = add_legend(self.ax_, legend_kw)
        self._drawn = [*self.lines_.values(), *self.best_lines_, self.legend_]
        for panel in self.axes_:
            panel.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)  # one epoch: one tick
            label_x(panel, self.unit)
        return self

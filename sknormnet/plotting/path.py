"""Picture of a regularization path."""

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np

from sknormnet.path.result import RegularizationPath
from sknormnet.plotting.panels import (
    add_count_axis,
    add_legend,
    fits_beside,
    import_pyplot,
    make_head,
    make_panels,
    remove_earlier,
    rows_of_text,
    set_strength_axis,
    shorten,
    style,
)


class RegularizationPathDisplay:
    """The inputs of a network along a path of strengths.

    The upper panel has a line for each input: the Euclidean norm of its row of the first matrix against alpha, with the
    number of inputs alive on the top axis. A lower panel has the validation score, where the path has scores. Make one
    with `from_path`; parameters become attributes.

    Parameters
    ----------
    alphas : ndarray of shape (n_alphas,)
        Strengths, ascending or descending; 0 is drawn a decade below the smallest other one.
    feature_norms : ndarray of shape (n_alphas, n_features)
        Norm of each input's row.
    n_features : ndarray of int of shape (n_alphas,)
        Number of inputs alive.
    feature_order : ndarray of int of shape (n_features,)
        Inputs by importance: the last to leave first.
    feature_names : array-like of str of shape (n_features,), default=None
        None: "x0", "x1", and so on.
    validation_scores : ndarray of shape (n_alphas,), default=None
        None: there is no lower panel.
    score_name : str, default="validation score"

    Attributes
    ----------
    figure_ : matplotlib Figure
    ax_ : matplotlib Axes
        The upper panel.
    score_ax_ : matplotlib Axes or None
        The lower panel.
    axes_ : ndarray of matplotlib Axes
        Both, as `plot` takes them.
    top_ax_ : matplotlib Axes
        The one with the axis of counts.
    lines_ : matplotlib LineCollection
        Inputs that are not highlighted, by number.
    highlighted_ : dict of int to matplotlib Line2D
        Line of each highlighted input, by its number.
    legend_ : matplotlib Legend or None
    score_line_ : matplotlib Line2D or None

    See Also
    --------
    CVPathDisplay : Cross-validated scores along a path.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.preprocessing import scale
    >>> from sknormnet import NormRegMLPRegressor, regularization_path
    >>> from sknormnet.plotting import RegularizationPathDisplay
    >>> X, y = load_diabetes(return_X_y=True)
    >>> lasso = NormRegMLPRegressor((), penalty="l1", solver="fista", tol=1e-6, max_iter=1000)
    >>> path = regularization_path(lasso, scale(X), scale(y), n_alphas=20)
    >>> display = RegularizationPathDisplay.from_path(path, highlight=3)
    >>> [text.get_text() for text in display.legend_.get_texts()]
    ['x2', 'x8', 'x3']
    """

    _drawn: Sequence[Any] = ()

    def __init__(
        self,
        *,
        alphas: np.ndarray,
        feature_norms: np.ndarray,
        n_features: np.ndarray,
        feature_order: np.ndarray,
        feature_names: Any = None,
        validation_scores: np.ndarray | None = None,
        score_name: str = "validation score",
    ):
        self.alphas = alphas
        self.feature_norms = feature_norms
        self.n_features = n_features
        self.feature_order = feature_order
        self.feature_names = feature_names
        self.validation_scores = validation_scores
        self.score_name = score_name

    @classmethod
    def from_path(
        cls,
        path: Any,
        *,
        feature_names: Any = None,
        score_name: str = "validation score",
        ax: Any = None,
        highlight: int | Sequence[int] | None = None,
        line_kw: dict[str, Any] | None = None,
        highlight_kw: dict[str, Any] | None = None,
        legend_kw: dict[str, Any] | None = None,
        score_kw: dict[str, Any] | None = None,
    ) -> "RegularizationPathDisplay":
        """Draw a path.

        Parameters
        ----------
        path : RegularizationPath
            Of `sknormnet.regularization_path`, or the `path_` of a cross-validated estimator.
        feature_names : array-like of str of shape (n_features,), default=None
            None: those that the path was fitted with, or "x0", "x1", and so on.
        score_name : str, default="validation score"
            Label of the lower panel.
        ax, highlight, line_kw, highlight_kw, legend_kw, score_kw
            As in `plot`.

        Returns
        -------
        RegularizationPathDisplay
        """
        if not isinstance(path, RegularizationPath):
            raise TypeError(
                f"{cls.__name__} draws a RegularizationPath, got {type(path).__name__}; make one with "
                "regularization_path, of a cross-validated estimator give path_, and for path.relaxed pass relax=True "
                "to regularization_path"
            )
        if feature_names is None:
            feature_names = path.feature_names_in
        display = cls(
            alphas=path.alphas,
            feature_norms=path.feature_norms,
            n_features=path.n_features,
            feature_order=path.feature_order,
            feature_names=feature_names,
            validation_scores=path.validation_scores,
            score_name=score_name,
        )
        return display.plot(
            ax,
            highlight=highlight,
            line_kw=line_kw,
            highlight_kw=highlight_kw,
            legend_kw=legend_kw,
            score_kw=score_kw,
        )

    def plot(
        self,
        ax: Any = None,
        *,
        highlight: int | Sequence[int] | None = None,
        line_kw: dict[str, Any] | None = None,
        highlight_kw: dict[str, Any] | None = None,
        legend_kw: dict[str, Any] | None = None,
        score_kw: dict[str, Any] | None = None,
    ) -> "RegularizationPathDisplay":
        """Draw.

        Axes that this display has drawn on before lose what it drew there; those of another display keep its lines,
        but have one axis of counts, the last.

        Parameters
        ----------
        ax : matplotlib Axes or sequence of them, default=None
            None: a new figure. One Axes becomes the upper panel, with a lower one below it, where there are two panels;
            otherwise as many Axes as panels. Without a layout the upper one becomes lower by the height of the counts.
        highlight : int or sequence of int, default=None
            Inputs that have a colour and a name in the legend: so many of the first in `feature_order` that are alive
            at some strength, or those of these numbers. 0: none, and no legend. None: ten, or as many as the legend has
            room for in a low panel. Colours repeat, usually after ten.
        line_kw, highlight_kw, score_kw : dict, default=None
            Keywords of matplotlib's LineCollection (inputs that are not highlighted), and of the Line2D of highlighted
            inputs and of the score.
        legend_kw : dict, default=None
            Keywords of `Axes.legend`. By default the legend is to the right of the panel where the figure has a layout
            that makes room for it, as ``plt.subplots(layout="constrained")``, and the names are not too wide; otherwise
            it is within the panel. Names of more than 30 characters are shown without their middle, and with the
            number of the input where they would look alike.

        Returns
        -------
        self : RegularizationPathDisplay
        """
        plt = import_pyplot(type(self).__name__)
        from matplotlib.collections import LineCollection
        from matplotlib.lines import Line2D

        alphas, norms = np.asarray(self.alphas), np.asarray(self.feature_norms)
        names = self._names(norms.shape[1])
        if len(alphas) < 2:
            raise ValueError(f"a line needs two strengths or more, the path has {len(alphas)}")
        highlighted = self._highlighted(10 if highlight is None else highlight, norms)
        scores = self.validation_scores
        self.figure_, self.axes_ = make_panels(plt, ax, 1 if scores is None else 2)
        self.ax_ = self.axes_[0]
        remove_earlier(self._drawn, self.axes_)
        make_head(self.ax_)
        self.score_ax_, self.score_line_, self.legend_ = None, None, None
        set_strength_axis(self.ax_, alphas)

        labels = self._labels(names, highlighted)
        columns = -(-len(labels) // 12)
        beside = fits_beside(self.ax_, labels, columns)
        if highlight is None:  # a legend within the panel leaves half of it to the lines
            highlighted = highlighted[: max(1, int(rows_of_text(self.ax_) * (0.8 if beside else 0.5)))]
        others = np.setdiff1d(np.arange(norms.shape[1]), highlighted)
        segments = np.stack(np.broadcast_arrays(alphas, norms.T[others]), axis=-1)
        grey = {"edgecolor": "0.75", "linewidth": 0.8, "zorder": 1.5}
        self.lines_ = self.ax_.add_collection(LineCollection(list(segments), **style(grey, line_kw, LineCollection)))
        self.ax_.autoscale_view()
        self.highlighted_ = {}
        for i, label in zip(highlighted, labels, strict=False):
            keywords = style({"label": label.replace("$", r"\$")}, highlight_kw, Line2D)  # no mathematics
            (self.highlighted_[int(i)],) = self.ax_.plot(alphas, norms[:, i], **keywords)
        if len(highlighted):
            named = {} if "label" in (highlight_kw or {}) else self.highlighted_
            legend_kw = {"ncols": columns, **(legend_kw or {})}
            self.legend_ = add_legend(self.ax_, legend_kw, list(named.values()), labels[: len(named)], beside)
        self.ax_.set_ylabel("norm of weights")
        if scores is not None:
            self.score_ax_ = self.axes_[1]
            set_strength_axis(self.score_ax_, alphas)
            (self.score_line_,) = self.score_ax_.plot(alphas, scores, **style({"color": "C0"}, score_kw, Line2D))
            self.score_ax_.set_ylabel(self.score_name)
        self.top_ax_ = add_count_axis(self.ax_, alphas, np.asarray(self.n_features), "inputs alive")
        drawn = [self.lines_, *self.highlighted_.values(), self.legend_, self.score_line_]
        self._drawn = [artist for artist in drawn if artist is not None]
        return self

    def _names(self, n_features: int) -> Sequence[str]:
        if self.feature_names is None:
            return [f"x{i}" for i in range(n_features)]
        if len(self.feature_names) != n_features:
            raise ValueError(f"feature_names has {len(self.feature_names)} names, the path has {n_features} inputs")
        return self.feature_names

    @staticmethod
    def _labels(names: Sequence[str], highlighted: np.ndarray) -> list[str]:
        full = [str(names[i]) for i in highlighted]
        short = [shorten(name) for name in full]
        if len(set(short)) < len(set(full)):  # what tells them apart was in the middle
            return [f"{i}: {name}" for i, name in zip(highlighted, short, strict=True)]
        return short

    def _highlighted(self, highlight: int | Sequence[int], norms: np.ndarray) -> np.ndarray:
        if isinstance(highlight, Integral) and not isinstance(highlight, bool):
            if highlight < 0:
                raise ValueError(f"highlight must be a number >= 0 of inputs, or a sequence of inputs, got {highlight}")
            order = np.asarray(self.feature_order, dtype=int)
            return order[np.any(norms[:, order] > 0, axis=0)][:highlight]
        chosen = np.asarray(highlight)
        if chosen.ndim != 1 or (chosen.size and chosen.dtype.kind not in "iu"):
            raise ValueError(
                f"highlight must be a number of inputs, or a sequence of integers, got {highlight!r}; np.flatnonzero "
                "makes one of a mask"
            )
        chosen = chosen.astype(int)
        if len(chosen) and not (chosen.min() >= 0 and chosen.max() < norms.shape[1]):
            raise ValueError(f"highlight names inputs from 0 to {norms.shape[1] - 1}, got {list(chosen)}")
        return np.array(list(dict.fromkeys(chosen)), dtype=int)  # each once

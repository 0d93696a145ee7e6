"""Picture of cross-validated scores along a path."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sknormnet.plotting.panels import (
    add_count_axis,
    add_legend,
    import_pyplot,
    make_head,
    make_panels,
    remove_earlier,
    set_strength_axis,
    style,
)


class CVPathDisplay:
    """Mean score over the folds, and its standard error, along a path of strengths.

    Vertical lines stand at the strength of the best mean, and at the largest one whose mean is within one standard
    error of it ("1-SE"); the legend says which was chosen. The top axis has the number of inputs alive in the path on
    all data. Make one with `from_estimator`; parameters become attributes.

    Parameters
    ----------
    alphas : ndarray of shape (n_alphas,)
        Strengths; 0 is drawn a decade below the smallest other one.
    mean_scores, standard_errors : ndarray of shape (n_alphas,)
        Of the scores over the folds.
    best_index, one_se_index : int
        Of the strength with the best mean, and of that by the rule of one standard error.
    chosen_index : int
        Of the strength that was chosen.
    n_features : ndarray of int of shape (n_alphas,), default=None
        Number of inputs alive. None: no top axis.
    score_name : str, default="score"

    Attributes
    ----------
    figure_ : matplotlib Figure
    ax_ : matplotlib Axes
    top_ax_ : matplotlib Axes or None
        The one with the axis of counts.
    line_ : matplotlib Line2D
        The means.
    band_ : matplotlib PolyCollection
        Mean minus to mean plus one standard error.
    best_line_, one_se_line_ : matplotlib Line2D
        The vertical lines; one and the same where the strengths are.
    legend_ : matplotlib Legend

    See Also
    --------
    RegularizationPathDisplay : The inputs along a path.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.preprocessing import scale
    >>> from sknormnet import NormRegMLPRegressorCV
    >>> from sknormnet.plotting import CVPathDisplay
    >>> X, y = load_diabetes(return_X_y=True)
    >>> lasso = NormRegMLPRegressorCV((), penalty="l1", solver="fista", n_alphas=20, selection="1se")
    >>> display = CVPathDisplay.from_estimator(lasso.fit(scale(X), scale(y)), score_name="R2")
    >>> display.best_index < display.one_se_index == display.chosen_index
    True
    """

    _drawn: Sequence[Any] = ()

    def __init__(
        self,
        *,
        alphas: np.ndarray,
        mean_scores: np.ndarray,
        standard_errors: np.ndarray,
        best_index: int,
        one_se_index: int,
        chosen_index: int,
        n_features: np.ndarray | None = None,
        score_name: str = "score",
    ):
        self.alphas = alphas
        self.mean_scores = mean_scores
        self.standard_errors = standard_errors
        self.best_index = best_index
        self.one_se_index = one_se_index
        self.chosen_index = chosen_index
        self.n_features = n_features
        self.score_name = score_name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        score_name: str | None = None,
        ax: Any = None,
        line_kw: dict[str, Any] | None = None,
        band_kw: dict[str, Any] | None = None,
        best_kw: dict[str, Any] | None = None,
        one_se_kw: dict[str, Any] | None = None,
        legend_kw: dict[str, Any] | None = None,
    ) -> "CVPathDisplay":
        """Draw the scores of a cross-validated estimator.

        Parameters
        ----------
        estimator : NormRegMLPClassifierCV or NormRegMLPRegressorCV
            Fitted.
        score_name : str, default=None
            Label of the y axis. None: the name of its `scoring`, or "score".
        ax, line_kw, band_kw, best_kw, one_se_kw, legend_kw
            As in `plot`.

        Returns
        -------
        CVPathDisplay
        """
        check_is_fitted(estimator)
        if not hasattr(estimator, "scores_path_"):
            raise TypeError(
                f"{cls.__name__} draws NormRegMLPClassifierCV and NormRegMLPRegressorCV, got "
                f"{type(estimator).__name__}; of a pipeline, give the last step"
            )
        if score_name is None:
            score_name = estimator.scoring.replace("_", " ") if isinstance(estimator.scoring, str) else "score"
        display = cls(
            alphas=estimator.alphas_,
            mean_scores=estimator.mean_scores_,
            standard_errors=estimator.standard_errors_,
            best_index=estimator.best_index_,
            one_se_index=estimator.one_se_index_,
            chosen_index=int(np.argmin(np.abs(estimator.alphas_ - estimator.alpha_))),
            n_features=estimator.path_.n_features,
            score_name=score_name,
        )
        return display.plot(
            ax, line_kw=line_kw, band_kw=band_kw, best_kw=best_kw, one_se_kw=one_se_kw, legend_kw=legend_kw
        )

    def plot(
        self,
        ax: Any = None,
        *,
        line_kw: dict[str, Any] | None = None,
        band_kw: dict[str, Any] | None = None,
        best_kw: dict[str, Any] | None = None,
        one_se_kw: dict[str, Any] | None = None,
        legend_kw: dict[str, Any] | None = None,
    ) -> "CVPathDisplay":
        """Draw.

        Axes that this display has drawn on before lose what it drew there; those of another display keep its lines,
        but have one axis of counts, the last.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            None: a new figure. Without a layout the axes become lower by the height of the counts.
        line_kw, best_kw, one_se_kw : dict, default=None
            Keywords of matplotlib's Line2D: of the means, and of the two vertical lines.
        band_kw : dict, default=None
            Keywords of `Axes.fill_between`.
        legend_kw : dict, default=None
            Keywords of `Axes.legend`.

        Returns
        -------
        self : CVPathDisplay
        """
        plt = import_pyplot(type(self).__name__)
        from matplotlib.collections import PolyCollection
        from matplotlib.lines import Line2D

        alphas, mean, error = map(np.asarray, (self.alphas, self.mean_scores, self.standard_errors))
        if len(alphas) < 2:
            raise ValueError(f"a line needs two strengths or more, the path has {len(alphas)}")
        self.figure_, (self.ax_,) = make_panels(plt, ax, 1)
        remove_earlier(self._drawn, [self.ax_])
        if self.n_features is not None:
            make_head(self.ax_)
        set_strength_axis(self.ax_, alphas)
        (self.line_,) = self.ax_.plot(alphas, mean, **style({"color": "C0"}, line_kw, Line2D))
        keywords = style({"color": self.line_.get_color(), "alpha": 0.25, "linewidth": 0}, band_kw, PolyCollection)
        self.band_ = self.ax_.fill_between(alphas, mean - error, mean + error, **keywords)
        self.best_line_ = self._vertical(self.best_index, {"color": "C1", "linestyle": "--"}, best_kw)
        self.one_se_line_ = self.best_line_
        if self.one_se_index != self.best_index:
            self.one_se_line_ = self._vertical(self.one_se_index, {"color": "C2", "linestyle": "-."}, one_se_kw)
        self.legend_ = add_legend(self.ax_, legend_kw)
        self._drawn = list(dict.fromkeys((self.line_, self.band_, self.best_line_, self.one_se_line_, self.legend_)))
        self.ax_.set_ylabel(self.score_name)
        self.top_ax_ = None
        if self.n_features is not None:
            self.top_ax_ = add_count_axis(self.ax_, alphas, np.asarray(self.n_features), "inputs alive")
        return self

    def _vertical(self, index: int, defaults: dict[str, Any], given: dict[str, Any] | None) -> Any:
        from matplotlib.lines import Line2D

        rules = {"best": self.best_index, "1-SE": self.one_se_index}
        label = " and ".join(rule for rule, i in rules.items() if i == index)
        label += f"{' (chosen)' * (index == self.chosen_index)}\nalpha={self.alphas[index]:.3g}"
        return self.ax_.axvline(self.alphas[index], **style({**defaults, "label": label}, given, Line2D))

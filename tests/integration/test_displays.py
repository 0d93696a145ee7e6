"""Displays: what is in the picture is the object's data, seen in its artists and in its pixels."""

import importlib
import statistics
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest
from pictures import assert_drawn, assert_texts_apart, near, rendered
from sklearn.datasets import load_diabetes
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import sknormnet
from sknormnet import NormRegMLPClassifier, NormRegMLPRegressor, NormRegMLPRegressorCV, regularization_path
from sknormnet.plotting import CVPathDisplay, RegularizationPathDisplay, TrainingCurveDisplay

COLOURS = ["#ff00ff", "#00ff00", "#00ffff", "#ffff00"]  # which nothing else in a picture has


@pytest.fixture(autouse=True)
def backend():
    plt.switch_backend("agg")
    yield
    plt.close("all")


def made(n_features=4, n_alphas=12, *, scores=True, alphas=None, names=None):
    """A display of made-up numbers: input i leaves after input i - 1."""
    alphas = np.logspace(-3, 0, n_alphas) if alphas is None else alphas
    rank = np.linspace(0, 1, len(alphas))
    norms = np.maximum(0, 1 - rank[:, None] / np.linspace(0.3, 0.9, n_features)) * np.arange(1, n_features + 1)
    return RegularizationPathDisplay(
        alphas=alphas,
        feature_norms=norms,
        n_features=np.count_nonzero(norms, axis=1),
        feature_order=np.arange(n_features)[::-1],
        feature_names=names,
        validation_scores=0.9 - 0.5 * rank**2 if scores else None,
    )


def tick_texts(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


# ------------------------------------------------------------------------------------------------------- paths


@pytest.fixture(scope="module")
def diabetes():
    """With named inputs, and a target of unit variance."""
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    return X / X.std(), (y - y.mean()) / y.std()


@pytest.mark.parametrize("direction", [1, -1], ids=["ascending", "descending"])
def test_path_has_norms_scores_and_counts(diabetes, direction):
    X, y = diabetes
    lasso = NormRegMLPRegressor((), penalty="l1", solver="fista", tol=1e-5, max_iter=1000)
    path = regularization_path(lasso, X, y, alphas=np.logspace(-3, 0, 12)[::direction], X_val=X, y_val=y)
    display = RegularizationPathDisplay.from_path(path, highlight=3, score_name="R2")
    norms = np.abs(path.coefs[0].toarray())  # of one output
    assert list(display.highlighted_) == list(path.feature_order[:3])
    lines = {i: line.get_xydata() for i, line in display.highlighted_.items()}
    lines |= zip(np.delete(range(10), list(lines)), display.lines_.get_segments(), strict=True)
    for i in range(10):
        np.testing.assert_allclose(lines[i], np.c_[path.alphas, norms[:, i]])
    np.testing.assert_array_equal(display.score_line_.get_xydata(), np.c_[path.alphas, path.validation_scores])
    names = ["age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6"]
    assert [text.get_text() for text in display.legend_.get_texts()] == [names[i] for i in path.feature_order[:3]]
    counts = {alpha: str(np.count_nonzero(row)) for alpha, row in zip(path.alphas, norms, strict=True)}
    assert tick_texts(display.top_ax_.xaxis) == [counts[alpha] for alpha in display.top_ax_.get_xticks()]
    assert tick_texts(display.top_ax_.xaxis)[0] == "0"
    assert display.ax_.get_xscale() == display.score_ax_.get_xscale() == "log"
    assert display.ax_.get_xlim() == display.score_ax_.get_xlim() == display.top_ax_.get_xlim()
    assert (display.score_ax_.get_ylabel(), display.score_ax_.get_xlabel()) == ("R2", "alpha")
    assert (display.top_ax_.get_xlabel(), display.ax_.get_xlabel()) == ("inputs alive", "")
    assert display.figure_ is display.ax_.figure
    assert plt.gca() is not display.top_ax_
    for no_path in (lasso.fit(X, y), NormRegMLPRegressorCV(), path.relaxed, [path]):
        with pytest.raises(TypeError, match=r"cross-validated estimator give path_, .*pass relax=True"):
            RegularizationPathDisplay.from_path(no_path)
    renamed = RegularizationPathDisplay.from_path(path, feature_names=list("abcdefghij"), highlight=[0, 9])
    assert [text.get_text() for text in renamed.legend_.get_texts()] == ["a", "j"]


def test_pixels_of_a_path():
    alphas = np.logspace(0, -3, 9)
    norms = np.arange(1, 5) * (1.2 - np.linspace(1, 0, 9) ** 2)[:, None]  # no line covers another
    scores = np.sqrt(norms[:, 0])
    display = RegularizationPathDisplay(
        alphas=alphas,
        feature_norms=norms,
        n_features=np.full(9, 4),
        feature_order=np.array([2, 0, 3, 1]),
        validation_scores=scores,
    )
    display.plot(highlight=3, line_kw={"color": COLOURS[3], "linewidth": 2}, score_kw={"color": COLOURS[0]})
    for (i, line), colour in zip(display.highlighted_.items(), COLOURS, strict=False):
        line.set_color(colour)
        assert_drawn(display.ax_, alphas, norms[:, i], colour)
    assert_drawn(display.ax_, alphas, norms[:, 1], COLOURS[3])
    assert_drawn(display.score_ax_, alphas, scores, COLOURS[0])
    with pytest.raises(AssertionError, match="away from the line"):  # the check sees a line that is elsewhere
        assert_drawn(display.score_ax_, alphas, scores[::-1], COLOURS[0])


@pytest.mark.parametrize("n_features", [5, 700])
@pytest.mark.parametrize("alphas", [np.logspace(-4, 1, 100), np.r_[np.logspace(-4, -3.99, 50), 1.0, 1.01, 50.0]])
def test_counts_on_top_are_few_and_those_of_their_strengths(n_features, alphas):
    display = made(n_features, alphas=alphas, scores=False).plot()
    ticks = display.top_ax_.get_xticks()
    assert 2 <= len(ticks) <= 8
    counts = dict(zip(display.alphas, display.n_features, strict=True))
    assert tick_texts(display.top_ax_.xaxis) == [str(counts[tick]) for tick in ticks]
    assert alphas[-1] in ticks
    assert ticks.min() <= 1.1 * alphas[0]
    assert_texts_apart(display.figure_)


def test_counts_stay_where_they_belong_when_the_limits_change():
    display = made().plot()
    display.ax_.set_xlim(1e-2, 1e-1)
    ticks = display.top_ax_.get_xticks()
    points = np.column_stack([ticks, np.zeros(len(ticks))])
    np.testing.assert_allclose(display.top_ax_.transData.transform(points), display.ax_.transData.transform(points))


def test_strength_zero_has_a_place():
    alphas = np.r_[0.0, np.logspace(-3, 0, 7)]
    norms = (np.arange(1, 3)[::-1] * np.linspace(1.5, 0.5, 8)[:, None]).copy()
    display = RegularizationPathDisplay(
        alphas=alphas, feature_norms=norms, n_features=np.full(8, 2), feature_order=np.arange(2)
    ).plot()
    display.highlighted_[0].set_color(COLOURS[0])
    assert_drawn(display.ax_, alphas, norms[:, 0], COLOURS[0])
    left, smallest, next_decade = display.ax_.transData.transform([[0, 0], [1e-3, 0], [1e-2, 0]])[:, 0]
    assert smallest - left == pytest.approx(next_decade - smallest, rel=0.2)  # about a decade, says the documentation
    np.testing.assert_allclose(display.top_ax_.transData.transform([[1e-3, 0]])[0, 0], smallest)
    assert 0.0 in display.ax_.get_xticks() and 0.0 in display.top_ax_.get_xticks()
    assert_texts_apart(display.figure_)


@pytest.mark.parametrize("highlight", [True, [True, False, True], [0.5], "x0", [[0, 1]]], ids=str)
def test_what_is_no_choice_of_inputs(highlight):
    with pytest.raises(ValueError, match="highlight must be a number of inputs, or a sequence of integers"):
        made().plot(highlight=highlight)


def test_highlighted_inputs_can_be_named_chosen_or_left_out():
    names = np.array(["mean radius", "mean texture", "mean concave points", "worst fractal dimension"])
    display = made(names=names, scores=False).plot(highlight=[1, 3], highlight_kw={"lw": 3})
    assert [text.get_text() for text in display.legend_.get_texts()] == ["mean texture", "worst fractal dimension"]
    assert {line.get_linewidth() for line in display.highlighted_.values()} == {3}
    assert len(display.lines_.get_segments()) == 2
    assert display.score_ax_ is None and display.score_line_ is None and len(display.axes_) == 1
    assert_texts_apart(display.figure_)
    assert display.legend_.get_window_extent().x0 > display.ax_.get_window_extent().x1  # beside the lines
    assert len(made().plot(highlight=[2, 1, 2]).legend_.get_texts()) == 2
    display.plot(highlight=0)
    assert display.legend_ is None and not display.highlighted_ and len(display.lines_.get_segments()) == 4
    display.feature_norms[:, 1:] = 0.0
    display.plot(legend_kw={"title": "inputs"})
    assert list(display.highlighted_) == [0]  # the others are never alive
    assert display.legend_.get_title().get_text() == "inputs"
    assert_texts_apart(made(40).plot(highlight=30).figure_)


def test_thousands_of_inputs_are_one_artist_and_readable_in_a_small_figure():
    figure, ax = plt.subplots(figsize=(3, 3), layout="constrained")
    display = made(12000, 8, scores=False).plot(ax, highlight=0)
    assert len(display.lines_.get_segments()) == 12000 and not display.ax_.lines
    assert tick_texts(display.top_ax_.xaxis)[-1] == "12000"
    assert_texts_apart(figure)


# ---------------------------------------------------------------------------------------------------- the axes given


def test_one_axes_is_divided_and_several_are_taken_as_they_are():
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 5), layout="constrained")
    display = made().plot(left, highlight=2)
    assert display.figure_ is figure and display.ax_ is left
    figure.canvas.draw()
    upper, lower = (ax.get_window_extent() for ax in (display.ax_, display.score_ax_))
    assert upper.y0 > lower.y1 and upper.height > 1.5 * lower.height and upper.x1 < right.get_window_extent().x0
    assert_texts_apart(figure)
    again = made().plot(display.axes_)
    assert again.ax_ is display.ax_ and again.score_ax_ is display.score_ax_
    one = made(scores=False).plot(right)
    assert one.ax_ is right and right.get_xlabel() == "alpha"
    _, side_by_side = plt.subplots(1, 2)
    display = made().plot(side_by_side)
    assert [ax.get_xlabel() for ax in side_by_side] == ["alpha", "alpha"]
    assert display.legend_.get_window_extent().x1 <= side_by_side[0].get_window_extent().x1  # nothing makes room


def test_parts_of_divided_axes_do_not_touch_without_a_layout():
    figure, ax = plt.subplots(figsize=(8, 6))
    display = made().plot(ax)
    assert display.ax_.get_window_extent().y0 > display.score_ax_.get_window_extent().y1
    assert_texts_apart(figure)


@pytest.mark.parametrize("layout", [None, "constrained"])
@pytest.mark.parametrize("before", [True, False])
def test_title_stands_above_the_counts_and_within_the_figure(layout, before):
    figure, axes = plt.subplots(1, 3, figsize=(9, 3.5), layout=layout)
    for ax, display in zip(axes, (made(), made_cv(n_features=np.arange(6)), made_training()), strict=True):
        if before:
            ax.set_title("a title")
        display.plot(ax)
        ax.set_title("a title")
        figure.canvas.draw()
        title = ax.title.get_window_extent()
        assert ax.get_window_extent().y1 <= title.y0 and title.y1 <= figure.bbox.y1
        assert len([other for other in figure.axes if other.get_title()]) == 1
        if not isinstance(display, TrainingCurveDisplay):
            for text in (display.top_ax_.xaxis.label, *display.top_ax_.get_xticklabels()):
                assert title.y0 >= text.get_window_extent().y1
        ax.set_title("")


@pytest.mark.parametrize("highlight", [None, 10])
@pytest.mark.parametrize("layout", [None, "constrained"])
def test_legends_stay_within_their_part_of_a_row(layout, highlight):
    """Within the axes, or beside them where the layout keeps other axes away."""
    figure, axes = plt.subplots(1, 3, figsize=(9, 3), layout=layout)
    names = [f"worst symmetry {i}" for i in range(30)]
    draw = (
        lambda ax: made(30, names=names).plot(ax, highlight=highlight),
        lambda ax: made_cv().plot(ax),
        lambda ax: made_training().plot(ax),
    )
    displays = [plot(ax) for plot, ax in zip(draw, axes, strict=True)]
    figure.canvas.draw()
    for display in displays:
        legend = display.legend_.get_window_extent()
        panel = display.ax_.get_window_extent()
        if legend.x0 < panel.x1:
            assert panel.x0 <= legend.x0 and legend.x1 <= panel.x1
            assert panel.y0 <= legend.y0 and legend.y1 <= panel.y1
        else:
            assert layout and not any(legend.overlaps(ax.get_window_extent()) for ax in figure.axes)
    if highlight is None:  # there are fewer in a low panel, and all ten in a figure of their own
        assert len(displays[0].highlighted_) < len(made(30, names=names).plot().highlighted_) == 10
    else:
        assert len(displays[0].highlighted_) == 10


def test_a_legend_is_not_hidden_by_the_lower_panel():
    display = made().plot(plt.subplots()[1])
    assert display.ax_.get_zorder() > display.score_ax_.get_zorder()


def test_names_in_a_legend_are_as_they_are_written():
    names = ["_hidden", "b$_$", "c$^$d", "plain"]
    ax = plt.subplots()[1]
    ax.axhline(0.5, label="a line of one's own")
    display = made(names=names).plot(ax)
    assert [text.get_text() for text in display.legend_.get_texts()] == [*names[::-1], "a line of one's own"]
    made(names=names).plot(ax)
    rendered(ax.figure)


def test_long_names_lose_their_middle_and_leave_the_axes_room():
    names = np.array([f"input {i} with a name of very many words, more than a picture has room for" for i in range(10)])
    for n_alphas in (12, 40):
        display = made(10, n_alphas, names=names).plot()
        rendered(display.figure_)
        assert display.ax_.get_position().width > 0.4
        assert_texts_apart(display.figure_)
    texts = [text.get_text() for text in display.legend_.get_texts()]
    assert all(len(text) <= 30 and text[:7] == name[:7] for text, name in zip(texts, names[::-1], strict=True))
    assert list(display.feature_names) == list(names)
    alike = [f"a name of very many words in front of {i} and very many words behind it" for i in range(4)]
    texts = [text.get_text() for text in made(names=alike).plot().legend_.get_texts()]
    assert [text.split(":")[0] for text in texts] == ["3", "2", "1", "0"]


def test_counts_have_room_in_axes_that_become_narrow_after_they_were_drawn():
    display = made(4000, 40, scores=False).plot()
    figure = display.figure_
    few = len(display.top_ax_.get_xticks())
    figure.set_size_inches(2.5, 3)
    assert_texts_apart(figure)
    assert 2 <= len(display.top_ax_.get_xticks()) < few


def made_training(n_epochs=10):
    loss = 5.0 / np.arange(2, n_epochs + 2)
    penalty, score = np.linspace(0.2, 0.6, n_epochs), np.linspace(0.1, 0.5, n_epochs)
    return TrainingCurveDisplay(data_loss=loss, penalty=penalty, validation_loss=loss + 1.5, validation_score=score)


@pytest.mark.parametrize("make", [lambda: made(), lambda: made_cv(n_features=np.arange(6)), lambda: made_training()])
def test_a_second_plot_on_the_same_axes_replaces_the_first(make):
    figure, ax = plt.subplots()
    display = make().plot(ax)
    first = rendered(figure)
    for again in (ax, getattr(display, "axes_", ax)):
        display.plot(again)
        np.testing.assert_array_equal(rendered(figure), first)
    elsewhere = display.plot(plt.subplots()[1])
    assert elsewhere.figure_ is not figure
    np.testing.assert_array_equal(rendered(figure), first)


def test_two_displays_on_the_same_axes_have_one_axis_of_counts():
    first, second = made(4), made(6)
    ax = plt.subplots()[1]
    first.plot(ax, highlight=2)
    second.plot(ax, highlight=3)
    assert len(ax.figure.axes) == 3 and len(ax.lines) == 5 and len(ax.collections) == 2
    assert tick_texts(second.top_ax_.xaxis)[-1] == "6" and first.top_ax_ not in ax.figure.axes
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["x5", "x4", "x3", "x3", "x2"]
    first.plot(ax, highlight=2)
    assert len(ax.figure.axes) == 3 and len(ax.lines) == 5 and len(ax.collections) == 2
    assert_texts_apart(ax.figure)


def test_axes_that_cannot_be_used_are_refused():
    with pytest.raises(ValueError, match="2 panels, but ax has 3 axes"):
        made().plot(plt.subplots(3)[1])
    with pytest.raises(ValueError, match="1 panel, but ax has 2 axes"):
        made(scores=False).plot(plt.subplots(2)[1])
    with pytest.raises(ValueError, match="no subplot cannot be divided: give 2 axes"):
        made().plot(plt.figure().add_axes((0.1, 0.1, 0.8, 0.8)))


@pytest.mark.parametrize(
    ("names", "highlight", "message"),
    [
        (None, -1, "highlight must be a number >= 0 of inputs"),
        (None, [0, 4], "inputs from 0 to 3"),
        (["a"], 1, "feature_names has 1 names, the path has 4 inputs"),
    ],
)
def test_wrong_requests_are_refused_before_a_figure_is_made(names, highlight, message):
    with pytest.raises(ValueError, match=message):
        made(names=names).plot(highlight=highlight)
    assert not plt.get_fignums()


def test_one_strength_is_no_line():
    for display in (made(alphas=np.ones(1)), made_cv(alphas=np.ones(1))):
        with pytest.raises(ValueError, match="two strengths or more, the path has 1"):
            display.plot()


# ------------------------------------------------------------------------------------------------- cross-validation


def made_cv(one_se_index=3, **changed):
    """A display of made-up numbers, the best strength the second."""
    numbers = {
        "alphas": np.logspace(-3, 0, 6),
        "mean_scores": np.array([0.82, 0.88, 0.87, 0.86, 0.8, 0.5]),
        "standard_errors": np.array([0.01, 0.02, 0.01, 0.01, 0.02, 0.0]),
        "best_index": 1,
        "one_se_index": one_se_index,
        "chosen_index": 1,
    }
    return CVPathDisplay(**{**numbers, **changed})


@pytest.mark.parametrize("selection", ["best", "1se"])
@pytest.mark.parametrize("direction", [1, -1], ids=["ascending", "descending"])
def test_cross_validated_scores_with_both_rules(diabetes, selection, direction):
    """Mean, standard error and rules are computed anew from the folds' scores, by other means."""
    alphas = np.logspace(-4, 0, 9)[::direction]
    lasso = NormRegMLPRegressorCV((), penalty="l1", solver="fista", tol=1e-5, max_iter=1000, alphas=alphas)
    rows_of_equal_folds = (part[:440] for part in diabetes)
    lasso.set_params(scoring="neg_median_absolute_error", selection=selection).fit(*rows_of_equal_folds)
    display = CVPathDisplay.from_estimator(lasso, line_kw={"color": COLOURS[2]})
    means = np.array([statistics.mean(row) for row in lasso.scores_path_])
    errors = np.array([statistics.stdev(row) / 5**0.5 for row in lasso.scores_path_])
    np.testing.assert_allclose(display.line_.get_xydata(), np.c_[alphas, means])
    corners = {tuple(corner) for corner in display.band_.get_paths()[0].vertices.round(9)}
    for sign in (-1, 1):
        assert {tuple(corner) for corner in np.c_[alphas, means + sign * errors].round(9)} <= corners
    best = means.argmax()
    one_se = alphas[means >= means[best] - errors[best]].max()
    assert alphas[best] < one_se
    assert display.best_line_.get_xdata() == pytest.approx([alphas[best]] * 2)
    assert display.one_se_line_.get_xdata() == pytest.approx([one_se] * 2)
    told = ["best", "1-SE"]
    told[selection == "1se"] += " (chosen)"
    told = [f"{rule}\nalpha={alpha:.3g}" for rule, alpha in zip(told, (alphas[best], one_se), strict=True)]
    assert [text.get_text() for text in display.legend_.get_texts()] == told
    assert display.ax_.get_ylabel() == "neg median absolute error"
    counts = dict(zip(alphas, lasso.path_.n_features, strict=True))
    assert tick_texts(display.top_ax_.xaxis) == [str(counts[tick]) for tick in display.top_ax_.get_xticks()]
    assert_texts_apart(display.figure_)
    assert TrainingCurveDisplay.from_estimator(lasso).unit == "iteration"


def test_pixels_of_cross_validated_scores():
    display = made_cv().plot(
        line_kw={"color": COLOURS[2]},
        best_kw={"color": COLOURS[0], "linestyle": "-", "zorder": 1},
        one_se_kw={"c": COLOURS[1], "ls": "-", "zorder": 1},
        band_kw={"color": COLOURS[3], "alpha": None, "zorder": 0},
        legend_kw={"loc": "lower left"},
    )
    assert display.ax_.get_ylabel() == "score" and display.top_ax_ is None
    assert_drawn(display.ax_, display.alphas, display.mean_scores, COLOURS[2], display.legend_)
    pixels = rendered(display.figure_)
    inner_and_outer = np.array([-0.7, 0.7, -1.3, 1.3])
    for index in (2, 4):
        heights = display.mean_scores[index] + inner_and_outer * display.standard_errors[index]
        column, row = display.ax_.transData.transform(np.c_[[display.alphas[index]] * 4, heights]).astype(int).T
        assert near(pixels[row, column], COLOURS[3]).tolist() == [True, True, False, False]
    for index, line in ((1, display.best_line_), (3, display.one_se_line_)):
        line.set_zorder(4)
        ends = [display.alphas[index]] * 2, display.ax_.get_ylim()
        assert_drawn(display.ax_, *ends, line.get_color(), display.legend_)


def test_rules_that_agree_share_a_line():
    display = made_cv(one_se_index=1).plot()
    assert display.one_se_line_ is display.best_line_
    assert [t.get_text() for t in display.legend_.get_texts()] == ["best and 1-SE (chosen)\nalpha=0.00398"]


# --------------------------------------------------------------------------------------------------------- training


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((120, 3))
    return X, X[:, 0] + X[:, 1] * X[:, 2] + 0.3 * rng.standard_normal(120)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("solver", ["adam", "sgd", "fista", "lbfgs"])
def test_training_curve_draws_the_history(data, solver):
    X, y = data
    model = NormRegMLPRegressor((6,), penalty="l1", alpha=0.01, solver=solver, max_iter=12, random_state=0)
    model.fit(X[:80], y[:80], X_val=X[80:], y_val=y[80:])
    display = TrainingCurveDisplay.from_estimator(model)
    keys = ["data_loss", "penalty", "objective", "validation_loss", "validation_score"]
    assert list(display.lines_) == keys
    for key in keys:
        np.testing.assert_allclose(display.lines_[key].get_ydata(), model.history_[key], rtol=1e-15)
        np.testing.assert_array_equal(display.lines_[key].get_xdata(), range(1, len(model.loss_curve_) + 1))
    best = model.history_["validation_score"].index(model.best_validation_score_) + 1
    assert display.best_epoch == best
    assert [line.get_xdata()[0] for line in display.best_lines_] == [best, best]
    unit = "epoch" if solver in ("adam", "sgd") else "iteration"
    told = ["data loss", "penalty", "objective", "validation loss", f"best {unit}: {best}"]
    assert [text.get_text() for text in display.legend_.get_texts()] == told
    assert [ax.get_xlabel() for ax in display.axes_] == ["", unit]
    assert [ax.get_ylabel() for ax in display.axes_] == ["loss", "validation score"]
    assert_texts_apart(display.figure_)


def test_pixels_of_a_training_curve():
    loss, penalty = 5.0 / np.arange(2, 12), np.linspace(0.2, 0.6, 10)
    scores = np.array([0.1, 0.3, 0.5, 0.6, 0.7, 0.8, 0.7, 0.65, 0.6, 0.55])
    display = TrainingCurveDisplay(
        data_loss=loss, penalty=penalty, validation_score=scores, validation_loss=loss + 1.5
    ).plot(best_kw={"visible": False})
    epochs = np.arange(1, 11)
    for (key, line), colour in zip(display.lines_.items(), COLOURS, strict=False):
        line.set(color=colour, zorder=4)
        values = {"data_loss": loss, "penalty": penalty, "objective": loss + penalty, "validation_loss": loss + 1.5}[
            key
        ]
        assert_drawn(display.ax_, epochs, values, colour, display.legend_)
        line.set_zorder(2)
    display.lines_["validation_score"].set_color(COLOURS[0])
    assert_drawn(display.score_ax_, epochs, scores, COLOURS[0])
    display.best_lines_[1].set(visible=True, color=COLOURS[1], linestyle="-", zorder=4)
    assert_drawn(display.score_ax_, [6, 6], display.score_ax_.get_ylim(), COLOURS[1])


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_training_curve_has_only_what_there_is(data):
    X, y = data
    display = TrainingCurveDisplay.from_estimator(NormRegMLPRegressor((4,), alpha=0.0, max_iter=3).fit(X, y))
    assert list(display.lines_) == ["data_loss"] and display.best_epoch is None and display.score_ax_ is None
    assert not display.best_lines_
    model = NormRegMLPClassifier((4,), random_state=0)
    model.partial_fit(X, y > 0, classes=[False, True])
    display = TrainingCurveDisplay.from_estimator(model)
    assert display.lines_["objective"].get_marker() == "."  # a line of one point is not seen
    low, high = display.ax_.get_xlim()
    assert [tick for tick in display.ax_.get_xticks() if low <= tick <= high] == [1]
    model.partial_fit(X, y > 0, X_val=X, y_val=y > 0)
    display = TrainingCurveDisplay.from_estimator(model)
    assert np.isnan(display.validation_score[0]) and display.best_epoch == 2
    assert all(tick == round(tick) for tick in display.ax_.get_xticks())  # by themselves they would be halves


def test_what_is_no_fitted_estimator_of_this_package_is_refused(data):
    X, y = data
    pipeline = make_pipeline(StandardScaler(), NormRegMLPRegressor((), solver="lbfgs")).fit(X, y)
    for display in (TrainingCurveDisplay, CVPathDisplay):
        with pytest.raises(TypeError, match=r"got Pipeline; of a pipeline, give the last step"):
            display.from_estimator(pipeline)
        with pytest.raises(NotFittedError):
            display.from_estimator(NormRegMLPRegressor())
    TrainingCurveDisplay.from_estimator(pipeline[-1])


# ------------------------------------------------------------------------------------------------------- matplotlib


def test_matplotlib_is_needed_to_draw_only(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr(sknormnet, "plotting", None)  # which monkeypatch puts back
    for name in [name for name in sys.modules if name.startswith("sknormnet.plotting")]:
        monkeypatch.delitem(sys.modules, name)
    display = importlib.import_module("sknormnet.plotting").TrainingCurveDisplay(data_loss=[1.0], penalty=[0.0])
    with pytest.raises(ImportError, match=r'TrainingCurveDisplay draws with matplotlib.* extra "plot"'):
        display.plot()

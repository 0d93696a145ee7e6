"""verbose=True prints the history as a table."""

import pytest
from fits import make_model

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

HEADER = "epoch data loss penalty objective val. score non-zeros learn. rate seconds"


def cell(value, form):
    return "-" if value is None else format(value, form)


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("loss", ["squared_error", "absolute_error"])
@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs", "fista"])
def test_table_is_the_history_under_one_header(solver, loss, early_stopping, make_problem, capsys):
    problem = make_problem("regression")
    model = make_model(problem, solver=solver, loss=loss, penalty="l1", early_stopping=early_stopping)
    silent = model.fit(problem.X, problem.y)
    assert capsys.readouterr() == ("", "")

    history = model.set_params(verbose=True).fit(problem.X, problem.y).history_
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split() == HEADER.split()
    assert len({len(line) for line in [header, *lines]}) == 1  # columns stand below each other
    assert len(lines) == silent.n_iter_
    for k, line in enumerate(lines):
        assert line.split() == [
            str(k + 1),
            cell(history["data_loss"][k], ".6g"),
            cell(history["penalty"][k], ".6g"),
            cell(history["objective"][k], ".6g"),
            cell(history["validation_score"][k], ".6g"),
            str(sum(history["n_nonzero"][k])),
            cell(history["learning_rate"][k], ".3g"),
            cell(history["seconds"][k], ".3g"),
        ]


def test_calls_of_partial_fit_continue_the_table(make_problem, capsys):
    problem = make_problem("regression")
    model = make_model(problem, verbose=True)
    for _ in range(3):
        model.partial_fit(problem.X, problem.y)
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split() == HEADER.split()
    assert [line.split()[0] for line in lines] == ["1", "2", "3"]


def test_every_warm_start_has_a_table(make_problem, capsys):
    problem = make_problem("regression")
    model = make_model(problem, verbose=True, warm_start=True, max_iter=2)
    for _ in range(2):
        model.fit(problem.X, problem.y)
        _, *lines = capsys.readouterr().out.splitlines()
        assert [line.split()[0] for line in lines] == ["1", "2"]


def test_a_wide_score_does_not_shift_the_table(make_problem, capsys):
    problem = make_problem("regression")
    scores = iter([-1e9, -1.5, float("nan"), 0.25, 1e-9, 123456789.0])
    model = make_model(problem, verbose=True, validation_scoring=lambda estimator, X, y: next(scores))
    model.fit(problem.X, problem.y, X_val=problem.X, y_val=problem.y)
    lines = capsys.readouterr().out.splitlines()
    assert len({len(line) for line in lines}) == 1
    assert [float(line.split()[4]) for line in lines[1:]] == pytest.approx(
        model.validation_scores_, nan_ok=True, rel=1e-3
    )

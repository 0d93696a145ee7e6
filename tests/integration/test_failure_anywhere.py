"""A fit that ends anywhere, by Ctrl-C or a failed allocation, leaves the estimator as it was."""

import itertools
import sys
from pathlib import Path

import joblib
import pytest
from fits import assert_same_model, make_model

import sknormnet

PACKAGE = str(Path(sknormnet.__file__).parent)
# A stop on the way out of the limit of BLAS's threads would leave the limit to the tests that follow.
LIMIT = str(Path(PACKAGE) / "_core" / "blas_threads.py")
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def train_but_stop_at(k, train, data):
    """Raise KeyboardInterrupt at the k-th call of a function of the package; False if training ended before."""
    left = k

    def watch(frame, event, _):
        nonlocal left
        file = frame.f_code.co_filename
        if event == "call" and file.startswith(PACKAGE) and file != LIMIT:
            left -= 1
            if left == 0:
                raise KeyboardInterrupt

    profile = sys.getprofile()
    sys.setprofile(watch)
    try:
        train(*data)
    except KeyboardInterrupt:
        return True
    finally:
        sys.setprofile(profile)
    return False


CASES = {
    "sgd": dict(solver="sgd", penalty="l1"),
    "adam": dict(early_stopping=True, class_weight="balanced", validation_scoring="accuracy", max_iter=1),
    "adam, warm": dict(warm_start=True),
    "lbfgs, warm": dict(solver="lbfgs", warm_start=True, early_stopping=True, max_iter=1),
    "fista": dict(solver="fista", penalty="group_lasso"),
    "partial_fit": dict(solver="sgd"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_fit_may_stop_at_any_call(case, make_problem):
    problem = make_problem("multiclass")
    method = "partial_fit" if case == "partial_fit" else "fit"
    params = {"max_iter": 2, **CASES[case]}
    model, undisturbed = (make_model(problem, **params).fit(problem.X[:50], problem.y[:50]) for _ in range(2))
    before = joblib.hash(vars(model))
    for k in itertools.count(1, 4):
        if not train_but_stop_at(k, getattr(model, method), (problem.X, problem.y)):
            break
        assert joblib.hash(vars(model)) == before, f"stopped at call {k}"
    assert k > 50
    assert_same_model(model, getattr(undisturbed, method)(problem.X, problem.y))

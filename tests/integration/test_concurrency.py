"""Threads and forks do not change a bit of any model."""

import multiprocessing
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sklearn.base import clone
from threadpoolctl import threadpool_info

from sknormnet import NormRegMLPClassifier, NormRegMLPRegressor

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]

needs_fork = pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods() or sys.platform == "darwin",
    reason="the platform has no safe fork",
)


def data(n_samples=400, dtype=np.float64):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n_samples, 30)).astype(dtype)
    return X, X[:, 0] - X[:, 1] ** 2 + 0.1 * rng.standard_normal(n_samples)


def eight_models():
    common = dict(max_iter=25, alpha=0.01)
    return [
        NormRegMLPRegressor((60, 20), random_state=0, **common),
        NormRegMLPRegressor((50,), solver="sgd", random_state=1, **common),
        NormRegMLPRegressor((50,), "tanh", solver="lbfgs", random_state=2, penalty="l1", **common),
        NormRegMLPRegressor((), solver="fista", penalty="elasticnet", **common),
        NormRegMLPClassifier((64,), "logistic", random_state=4, **common),
        NormRegMLPClassifier((40, 30), solver="sgd", penalty="l1", random_state=5, **common),
        NormRegMLPClassifier((80,), solver="lbfgs", random_state=6, **common),
        NormRegMLPClassifier(
            (30, 20, 10),
            batch_size=16,
            penalty="elasticnet",
            random_state=7,
            dtype="float32",
            **common,
        ),
    ]


def fit(model, barrier=None):
    X, y = data()
    if isinstance(model, NormRegMLPClassifier):
        y = np.digitize(y, [-1, 0])
    if model.random_state is None:
        model.set_params(random_state=3)
    if barrier is not None:
        barrier.wait(timeout=60)
    return model.fit(X, y)


def assert_same_bits(a, b):
    assert a.n_iter_ == b.n_iter_
    assert a.objective_ == b.objective_
    for name in ("coefs_", "intercepts_"):
        for left, right in zip(getattr(a, name), getattr(b, name), strict=True):
            assert left.dtype == right.dtype
            assert np.array_equal(left, right)


def test_eight_fits_at_once():
    serial = [fit(model) for model in eight_models()]
    barrier = threading.Barrier(8)
    with ThreadPoolExecutor(8) as pool:
        for _ in range(2):
            futures = [pool.submit(fit, model, barrier) for model in eight_models()]
            for future, expected in zip(futures, serial, strict=True):
                assert_same_bits(future.result(timeout=120), expected)


@pytest.mark.parametrize("index", [0, 7], ids=["regressor", "classifier"])
def test_sixteen_predictions_at_once(index):
    model = fit(eight_models()[index])
    method = getattr(model, "predict_proba", model.predict)
    X, _ = data(5000)
    expected = method(X)
    barrier = threading.Barrier(16)

    def predict(_):
        barrier.wait(timeout=60)
        return method(X)

    with ThreadPoolExecutor(16) as pool:
        for result in pool.map(predict, range(16)):
            assert np.array_equal(result, expected)


def test_predicting_while_fitting():
    model = fit(eight_models()[0])
    X, _ = data(500)
    expected = model.predict(X)
    with ThreadPoolExecutor(2) as pool:
        future = pool.submit(fit, eight_models()[1])
        while not future.done():
            assert np.array_equal(model.predict(X), expected)
        future.result()


def blas_threads():
    return {
        library["filepath"]: library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"
    }


def _fit_in_child(model, connection):
    try:
        fitted = fit(model)
        connection.send((fitted.coefs_, blas_threads()))
    except BaseException as error:
        connection.send(error)
        raise
    finally:
        connection.close()


def fit_in_fork(model):
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_fit_in_child, args=(model, sender))
    process.start()
    sender.close()
    try:
        assert receiver.poll(60), "the child hangs"
        answer = receiver.recv()
    finally:
        process.join(5)
        if process.is_alive():
            process.kill()
            process.join()
    assert not isinstance(answer, BaseException), answer
    assert process.exitcode == 0
    return answer


@needs_fork
def test_fit_after_fork():
    before = blas_threads()
    model = eight_models()[0]
    expected = fit(clone(model))
    coefs, child_threads = fit_in_fork(model)
    for a, b in zip(coefs, expected.coefs_, strict=True):
        assert np.array_equal(a, b)
    assert child_threads == before


@needs_fork
def test_fork_while_another_thread_is_fitting():
    """The child starts with a clean count of the fits inside the core."""
    model = eight_models()[0]
    expected = fit(clone(model))
    stop = threading.Event()

    def keep_fitting():
        while not stop.is_set():
            fit(eight_models()[1])

    thread = threading.Thread(target=keep_fitting)
    thread.start()
    try:
        for _ in range(3):
            coefs, _ = fit_in_fork(model)
            for a, b in zip(coefs, expected.coefs_, strict=True):
                assert np.array_equal(a, b)
    finally:
        stop.set()
        thread.join(60)

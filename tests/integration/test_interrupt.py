"""Ctrl-C during fit raises KeyboardInterrupt at once and changes nothing."""

import signal
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a process cannot send itself Ctrl-C alone")

SCRIPT = """
import sys, time, warnings
import joblib
import numpy as np
from sknormnet import NormRegMLPRegressor

warnings.simplefilter("ignore")
rng = np.random.default_rng(0)
X = rng.standard_normal((20000, 60))
y = np.sin(3 * X[:, 0]) + X[:, 1] * X[:, 2]
model = NormRegMLPRegressor(
    (50,), "tanh", solver=sys.argv[1], max_iter=2, random_state=0
)
model.fit(X[:200], y[:200])
model.set_params(max_iter=10**6, max_fun=10**9, tol=0.0, n_iter_no_change=10**6)
if sys.argv[1] == "sgd":
    model.set_params(batch_size=20000)
elif sys.argv[1] == "adam":
    model.set_params(batch_size=8)
before = joblib.hash(vars(model))
print("fitting", flush=True)
try:
    model.fit(X, y)
except KeyboardInterrupt:
    now = time.monotonic()
    print("interrupted", now, joblib.hash(vars(model)) == before, flush=True)
else:
    print("finished", flush=True)
"""

THREADS_SCRIPT = """
import threading, time, warnings
import joblib
import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits
from sknormnet import NormRegMLPRegressorCV

def n_threads():
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]

warnings.simplefilter("ignore")
rng = np.random.default_rng(0)
X = rng.standard_normal((2000, 20))
y = np.sin(3 * X[:, 0]) + X[:, 1] * X[:, 2]
model = NormRegMLPRegressorCV((10,), "tanh", alphas=[1e-3, 1e-2], max_iter=2, cv=3, n_jobs=2, random_state=0).fit(X, y)
model.set_params(max_iter=10**7, tol=0.0, n_iter_no_change=10**7)
threadpool_limits(2, user_api="blas")
before, blas, threads = joblib.hash(vars(model)), n_threads(), threading.active_count()
print("fitting", flush=True)
try:
    model.fit(X, y)
except KeyboardInterrupt:
    restored = n_threads() == blas  # once no thread is in the core any more
    now, used = time.monotonic(), time.process_time()
    time.sleep(0.3)
    print("interrupted", now, joblib.hash(vars(model)) == before, restored,
          time.process_time() - used < 0.15, threading.active_count() - threads, flush=True)
"""

# 0.2 s are promised, plus one batch; the rest is for a loaded machine.
LIMIT = 0.2 + 0.8


def interrupted(script, *arguments):
    """What a script prints after Ctrl-C, and the seconds that this took."""
    process = subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout.readline().strip() == "fitting", process.stderr.read()
        time.sleep(0.5)
        sent = time.monotonic()
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    words = output.split()
    assert words and words[0] == "interrupted", output + errors
    assert process.returncode == 0
    return words[2:], float(words[1]) - sent


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs", "fista"])
def test_interrupt(solver):
    (unchanged,), seconds = interrupted(SCRIPT, solver)
    assert seconds < LIMIT
    assert unchanged == "True", "the estimator has changed"


def test_interrupt_of_threads():
    """Those of a cross-validated path have left the core when fit ends; joblib's own wait for work that never comes."""
    (unchanged, blas_restored, idle, more_threads), seconds = interrupted(THREADS_SCRIPT)
    assert seconds < LIMIT + 1.0  # for the epochs under way, and what joblib waits for
    assert (unchanged, blas_restored, idle) == ("True", "True", "True")
    assert int(more_threads) <= 0

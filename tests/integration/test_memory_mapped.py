"""A memory map of float32 rows is read row by row, never loaded: the process's own memory does not grow with it."""

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="RssAnon is Linux's")

CALLS = {
    "fit": "make().fit(X, y)",
    "held out": "make(early_stopping=True, class_weight='balanced', shuffle='block').fit(X, y, weight)",
    "given": "make(early_stopping=True, validation_scoring='accuracy').fit(X[:99], y[:99], X_val=X, y_val=y)",
    "weights": "make().fit(X, y, weight, **validation)",
    "partial_fit": "model.partial_fit(X, y, weight, **validation)",
    "lbfgs": "make(solver='lbfgs', early_stopping=True).fit(X, y, weight)",
    "fista": "make(solver='fista').fit(X, y, weight, **validation)",
    "some columns": "make().fit(X[::-1, 100:], y)",
    "predict": "model.predict(X); model.score(X, y, weight); model.transform(X)",
    "certificate": "stationarity(model, X, y, weight)",
    "copied": "make().fit(np.asfortranarray(X[:, 1:]), y)",  # what the test would see
}

SCRIPT = """
import json, sys, threading, warnings
import numpy as np
from sknormnet import NormRegMLPClassifier
from sknormnet.inspection import stationarity

warnings.simplefilter("ignore")
path, calls = sys.argv[1], json.loads(sys.argv[2])
N, D = 40_000, 1000  # 153 MB
with open(path, "wb") as file:  # a hole but for every hundredth row
    file.truncate(4 * N * D)
table = np.memmap(path, np.float32, mode="r+", shape=(N, D))
table[::100] = np.random.default_rng(0).standard_normal((N // 100, D), dtype=np.float32)
X, y = np.memmap(path, np.float32, mode="r", shape=(N, D)), np.arange(N) % 2
weight = np.where(np.arange(N) % 10 == 0, 0.0, 1.0)
validation = dict(X_val=X[::2], y_val=y[::2], sample_weight_val=weight[::2])

def make(**parameters):
    return NormRegMLPClassifier((4,), max_iter=1, batch_size=1000, random_state=0, **parameters)

def anonymous():
    for line in open("/proc/self/status"):
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1024

def extra(call):
    before, peak, finished = anonymous(), 0, threading.Event()
    def watch():
        nonlocal peak
        while not finished.wait(0.001):
            peak = max(peak, anonymous())
    thread = threading.Thread(target=watch)
    thread.start()
    try:
        exec(call, globals())
    finally:
        finished.set()
        thread.join()
    return max(peak, anonymous()) - before

model = make().fit(X[:1000], y[:1000])
print(json.dumps({name: extra(call) for name, call in calls.items()}))
"""


@pytest.fixture(scope="module")
def megabytes(tmp_path_factory):
    path = tmp_path_factory.mktemp("mapped") / "table"
    command = [sys.executable, "-c", SCRIPT, str(path), json.dumps(CALLS)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


@pytest.mark.parametrize("call", CALLS)
def test_anonymous_memory(call, megabytes):
    """A quarter of the table would be noticed: a mask with a byte for each number, say."""
    if call == "copied":
        assert megabytes[call] > 150
    else:
        assert megabytes[call] < 35

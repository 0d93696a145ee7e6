"""Peak memory, measured in processes of their own."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="ru_maxrss is in kilobytes on Linux")

PREAMBLE = """
import resource, warnings
import numpy as np
from sknormnet import NormRegMLPClassifier, NormRegMLPRegressor

warnings.simplefilter("ignore")
rng = np.random.default_rng(0)

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
"""

PREDICT = """
X = rng.standard_normal((600_000, 8), dtype=np.float32)
y = X[:1000, 0] > 0
model = NormRegMLPClassifier((200,), max_iter=2).fit(X[:1000], y)
model.predict_proba(X[:1000])
before = peak()
result = model.predict_proba(X)
print(peak() - before - result.nbytes / 2**20)
"""

FIT = """
X = rng.standard_normal((400_000, 100), dtype=np.float32)
y = X[:, 0].copy()
weight = rng.random(len(y), dtype=np.float32) + 0.1
model = NormRegMLPRegressor((20,), max_iter=1, batch_size=200)
model.fit(X[:1000], y[:1000])
before = peak()
model.fit(X, y)
model.set_params(early_stopping=True).fit(X, y, sample_weight=weight)
print(peak() - before)
"""

FIT_SPARSE = """
import scipy.sparse
X = scipy.sparse.random_array(
    (20_000, 50_000), density=1e-4, format="csr", dtype=np.float32, rng=rng
)
y = np.asarray(X.sum(axis=1)).ravel()
model = NormRegMLPRegressor((8,), max_iter=2, penalty="l1", random_state=0)
model.fit(X[:1000], y[:1000])
before = peak()
model.fit(X, y).predict(X)
model.set_params(solver="fista").fit(X, y)
print(peak() - before)
"""

TRANSFORM = """
X = rng.standard_normal((600_000, 40), dtype=np.float32)
model = NormRegMLPRegressor((200, 4), max_iter=2).fit(X[:1000], X[:1000, 0])
model.coefs_[0][0] = 0
small = model.compact()
for fitted in (model, small):
    fitted.transform(X[:1000])
before = peak()
results = model.transform(X), small.transform(X), small.predict(X)
print(peak() - before - sum(result.nbytes for result in results) / 2**20)
"""

SCRIPTS = {"predict": PREDICT, "transform": TRANSFORM, "fit": FIT, "fit-sparse": FIT_SPARSE}


@pytest.mark.parametrize("script", SCRIPTS)
def test_extra_memory_is_below_64_megabytes(script):
    """Of predict and transform beyond their results, of fit beyond the data (160 MB when dense)."""
    run = subprocess.run(
        [sys.executable, "-c", PREAMBLE + SCRIPTS[script]], capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stderr
    assert float(run.stdout) < 64

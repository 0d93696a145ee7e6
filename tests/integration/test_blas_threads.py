"""SciPy's BLAS has one thread while anything is inside the core, and its own number again afterwards."""

import subprocess
import sys

# A process of its own: the number of threads is the whole process's, and other tests have been using it.
SCRIPT = """
import threading, warnings
import numpy as np
import scipy.linalg.cython_blas
from threadpoolctl import threadpool_info, threadpool_limits
from sknormnet import NormRegMLPRegressor

warnings.simplefilter("ignore")

def n_threads():
    blas = [library for library in threadpool_info() if library["user_api"] == "blas"]
    return {library["num_threads"] for library in blas if "numpy.libs" not in library["filepath"]}

class Spy(np.random.RandomState):
    # draws on behalf of a fit, so it sees the inside of one
    def __init__(self, look):
        super().__init__(0)
        self.look = look

    def uniform(self, *args, **kwargs):
        self.look()
        return super().uniform(*args, **kwargs)

rng = np.random.default_rng(0)
X, y = rng.standard_normal((50, 3)), rng.standard_normal(50)
threadpool_limits(2, user_api="blas")
if n_threads() != {2}:
    print("this BLAS has one thread only")
    raise SystemExit

seen = []
model = NormRegMLPRegressor((4,), max_iter=2, random_state=Spy(lambda: seen.append(n_threads())))
model.fit(X, y)
assert seen and all(number == {1} for number in seen), seen
assert n_threads() == {2}
model.predict(X)
assert n_threads() == {2}
try:
    model.fit(np.full((10, 3), np.nan), np.zeros(10))
except ValueError:
    assert n_threads() == {2}

# threadpoolctl lets only the first thread that sets a number set it again: later threads must not depend on that.
for _ in range(3):
    seen.clear()
    thread = threading.Thread(target=model.fit, args=(X, y))
    thread.start()
    thread.join(60)
    assert seen and all(number == {1} for number in seen), seen
    assert n_threads() == {2}

# Of two fits that overlap the one that ends first must not lift the limit of the other.
inside, leave = threading.Event(), threading.Event()

def wait_inside():
    inside.set()
    assert leave.wait(60)

slow = NormRegMLPRegressor((4,), max_iter=2, random_state=Spy(wait_inside))
thread = threading.Thread(target=slow.fit, args=(X, y))
thread.start()
assert inside.wait(60)
NormRegMLPRegressor((4,), max_iter=2).fit(X, y)
still = n_threads()
leave.set()
thread.join(60)
assert still == {1}, still
assert n_threads() == {2}

# A number that someone else sets during a fit is left alone.
NormRegMLPRegressor((4,), max_iter=2, random_state=Spy(lambda: threadpool_limits(3, user_api="blas"))).fit(X, y)
assert n_threads() == {3}
"""


def test_the_limit_holds_inside_and_is_lifted_outside():
    run = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr

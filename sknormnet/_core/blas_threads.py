"""One BLAS thread while the core works.

OpenBLAS may return wrong numbers when threaded products run concurrently, and its threads do not pay at the sizes of a
minibatch. The limit is counted, so that overlapping fits and predictions of several threads share it, and only SciPy's
BLAS, the one that the core calls, is touched.
"""

import os
import sys
import threading
from functools import cache
from pathlib import Path

import scipy
from threadpoolctl import ThreadpoolController


@cache
def _libraries():
    """Controllers of SciPy's BLAS; of every BLAS but NumPy's own if SciPy brings none along."""
    import scipy.linalg.cython_blas  # noqa: F401  loads the library

    blas = ThreadpoolController().select(user_api="blas").lib_controllers
    package = Path(scipy.__file__).resolve().parent
    homes = (package, package.with_name("scipy.libs"))
    own = [c for c in blas if any(home in Path(c.filepath).resolve().parents for home in homes)]
    return tuple(own or [c for c in blas if "numpy" not in c.filepath])


class _SingleThread:
    def __init__(self):
        self._reset()

    def _reset(self):
        self._lock = threading.Lock()
        self._users = 0
        self._before = ()

    def _reset_in_child(self):
        # The parent's threads are gone, and with them their claims on the limit.
        before = self._before if self._users else ()
        self._reset()
        self._restore(before)

    @staticmethod
    def _restore(before):
        for library, n_threads in before:
            if library.get_num_threads() == 1:  # still ours
                library.set_num_threads(n_threads)

    def __enter__(self):
        with self._lock:
            if self._users == 0:
                self._before = tuple((c, n) for c in _libraries() if (n := c.get_num_threads()) not in (1, None))
                for library, _ in self._before:
                    library.set_num_threads(1)
            self._users += 1

    def __exit__(self, *exception):
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self._restore(self._before)
                self._before = ()


single_thread = _SingleThread()

if sys.platform != "win32":
    os.register_at_fork(after_in_child=single_thread._reset_in_child)

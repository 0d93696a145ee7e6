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
from typing import Any

from threadpoolctl import ThreadpoolController


@cache
def _libraries():
    """Controllers of SciPy's BLAS; of every BLAS but NumPy's own if SciPy brings none along."""
    import scipy.linalg.cython_blas

    blas = ThreadpoolController().select(user_api="blas").lib_controllers
    package = Path(scipy.__file__).resolve().parent
    homes = (package, package.with_name("scipy.libs"))
    own = [c for c in blas if any(home in Path(c.filepath).resolve().parents for home in homes)]
    return tuple(own or [c for c in blas if "numpy" not in c.filepath])


def _set_num_threads(library, n_threads: int) -> None:
    # threadpoolctl lets one Python thread at a time set the number; our limit is counted over all of them.
    getattr(library, "_real_set_num_threads", library.set_num_threads)(n_threads)


def _is_per_thread(library) -> bool:
    """With OpenMP every thread has a number of its own."""
    return getattr(library, "threading_layer", None) == "openmp"


@cache
def small_products_are_faster() -> bool:
    """Whether SciPy's BLAS runs OpenBLAS's AVX-512 kernels, which multiply small matrices faster than large ones."""
    return any(getattr(library, "architecture", None) == "SkylakeX" for library in _libraries())


class _SingleThread:
    """Context manager, counted over threads."""

    def __init__(self):
        self._reset()

    def _reset(self):
        self._lock = threading.Lock()
        self._users = 0
        self._before: tuple[tuple[Any, int], ...] = ()
        self._own = threading.local()  # of each thread: what it had, where the number is its own

    def _reset_in_child(self):
        # The parent's threads are gone, and with them their claims on the limit.
        before = self._before if self._users else ()
        self._reset()
        self._restore(before)

    @staticmethod
    def _limit(libraries) -> tuple[tuple[Any, int], ...]:
        before = tuple((c, n) for c in libraries if (n := c.get_num_threads()) not in (1, None))
        for library, _ in before:
            _set_num_threads(library, 1)
        return before

    @staticmethod
    def _restore(before) -> None:
        for library, n_threads in before:
            if library.get_num_threads() == 1:  # still ours
                _set_num_threads(library, n_threads)

    def __enter__(self):
        libraries = _libraries()
        own = self._limit([c for c in libraries if _is_per_thread(c)])
        self._own.stack = (*getattr(self._own, "stack", ()), own)
        with self._lock:
            if self._users == 0:
                self._before = self._limit([c for c in libraries if not _is_per_thread(c)])
            self._users += 1

    def __exit__(self, *exception):
        stack = getattr(self._own, "stack", ())
        if not stack:
            return  # forked inside: the claim was the parent's
        self._own.stack, own = stack[:-1], stack[-1]
        self._restore(own)
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self._restore(self._before)
                self._before = ()


single_thread = _SingleThread()

if sys.platform != "win32":
    os.register_at_fork(after_in_child=single_thread._reset_in_child)

"""Several paths side by side."""

from collections.abc import Callable, Sequence
from threading import Event, Lock
from typing import Any

import numpy as np
from sklearn.utils.parallel import Parallel, delayed

from sknormnet._core.blas_threads import single_thread
from sknormnet.path.walk import Cancelled

LARGEST_SEED = np.iinfo(np.int32).max  # of a job's random numbers


def run_jobs(jobs: Sequence[Callable[[], Any]], n_jobs: int | None, cancelled: Event) -> list[Any]:
    """Results of jobs that run in threads, for the core holds no lock; none outlives a failure.

    The walks of all jobs watch `cancelled`.
    """
    locks = [Lock() for _ in jobs]

    def run(job: Callable[[], Any], lock: Lock) -> Any:
        with lock, single_thread:
            if cancelled.is_set():
                raise Cancelled
            return job()

    try:
        return Parallel(n_jobs=n_jobs, require="sharedmem")(map(delayed(run), jobs, locks))
    except BaseException:
        cancelled.set()
        for lock in locks:  # held while the job runs
            with lock:
                pass
        raise

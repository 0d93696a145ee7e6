"""Anonymous memory and epochs of fits whose X is a memory map of float32 rows (Linux)."""

import mmap
import os
import tempfile
import warnings
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from threading import Event, Thread
from time import perf_counter

import numpy as np
import sklearn

from libraries import load
from memory import MB, in_new_process, status
from report import print_table

N_FEATURES = 1000
HIDDEN = (32,)
CHUNK = 10_000  # rows
ALLOWED = 200 * MB
SHUFFLES = (False, True, "block")
REMEMBERED = 0.25  # of the table, by a machine whose memory is too small for it

# What is called, and with what parameters.
CASES = {
    "fit, adam": dict(),
    "fit, adam, block, early stopping": dict(shuffle="block", early_stopping=True, class_weight="balanced"),
    "fit, adam, X_val, weights": dict(given=True),
    "partial_fit": dict(call="partial_fit"),
    "fit, lbfgs": dict(solver="lbfgs"),
    "fit, fista": dict(solver="fista"),
    "predict": dict(call="predict"),
    "score": dict(call="score"),
}


def run(gigabytes, repeats):
    if load("sknormnet").VERSION is None:
        return {"memory": "absent"}
    n_rows = int(gigabytes * 2**30) // (4 * N_FEATURES)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table"
        write(path, n_rows)
        memory = [in_new_process(anonymous, path, name) for name in CASES]
        report_memory(memory, gigabytes)
        turns = [(forgets, shuffle) for forgets in (False, True) for shuffle in SHUFFLES]
        seconds = {turn: [] for turn in turns}
        for _ in range(repeats):
            for turn in turns:
                seconds[turn].append(in_new_process(epoch, path, *turn))
    epochs = [{"forgets": forgets, "shuffle": s, "seconds": seconds[forgets, s]} for forgets, s in turns]
    report_epochs(epochs)
    return {"memory": memory, "epochs": epochs}


def write(path, n_rows):
    rng = np.random.default_rng(0)
    with path.open("wb") as file:
        for start in range(0, n_rows, CHUNK):
            rng.standard_normal((min(CHUNK, n_rows - start), N_FEATURES), dtype=np.float32).tofile(file)


def opened(path):
    """X of the file, and classes that follow from its first two columns."""
    X = np.memmap(path, np.float32, mode="r").reshape(-1, N_FEATURES)
    return X, (X[:, 0] + X[:, 1] > 0).astype(np.int8)


def anonymous(path, name):
    """Runs in a process of its own."""
    case = dict(CASES[name])
    call, given = case.pop("call", "fit"), case.pop("given", False)
    X, y = opened(path)
    Classifier = load("sknormnet").Classifier
    model = Classifier(HIDDEN, **{"max_iter": 1, "random_state": 0, **case}).fit(X[:1000], y[:1000])
    keywords = {}
    if given:
        weight = np.arange(len(X)) % 10 > 0  # a tenth of the rows has weight zero
        keywords = {"sample_weight": weight, "X_val": X[::2], "y_val": y[::2]}
    arguments = (X,) if call == "predict" else (X, y)
    before = status("RssAnon")
    with sampled("RssAnon") as peaks:
        getattr(model, call)(*arguments, **keywords)
    return {"name": name, "rows": len(X), "before": before, "peak": peaks[0], "extra": peaks[0] - before}


@contextmanager
def sampled(key):
    """The highest value of a key of /proc/self/status, looked at every two milliseconds."""
    peaks, finished = [status(key)], Event()

    def watch():
        while not finished.wait(0.002):
            peaks[0] = max(peaks[0], status(key))

    with running(watch, finished):
        yield peaks


@contextmanager
def running(watch, finished):
    thread = Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        finished.set()
        thread.join()


def epoch(path, forgets, shuffle):
    """Seconds of an epoch that begins with nothing of the file in memory. Runs in a process of its own."""
    X, y = opened(path)
    finished = Event()

    def forget():
        """Drop the whole table whenever too much of it is in memory."""
        while not finished.wait(0.002):
            if forgets and status("RssFile") > REMEMBERED * X.nbytes:
                drop(path, X)

    warnings.simplefilter("ignore")
    model = load("sknormnet").Classifier(HIDDEN, max_iter=1, shuffle=shuffle, random_state=0)
    drop(path, X)
    with running(forget, finished), sklearn.config_context(assume_finite=True):  # the check would read the table first
        started = perf_counter()
        model.fit(X, y)
        whole = perf_counter() - started
    return {"epoch": model.history_["seconds"][0], "fit": whole}


def drop(path, X):
    """Take the file's pages from the process, and then from the system's cache."""
    X._mmap.madvise(mmap.MADV_DONTNEED)
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def report_memory(records, gigabytes):
    rows = [
        {
            "call": record["name"],
            "rows": record["rows"],
            "before MB": record["before"] / MB,
            "extra MB": record["extra"] / MB,
            "below 200 MB": "yes" if record["extra"] < ALLOWED else "NO",
        }
        for record in records
    ]
    print_table(f"RssAnon beyond what the process held before; X is a memory map of {gigabytes:g} GB", rows)


def report_epochs(records):
    rows = []
    for record in records:
        seconds = median(turn["epoch"] for turn in record["seconds"])
        plain = median(
            turn["epoch"] for turn in next(r for r in records if r["forgets"] == record["forgets"])["seconds"]
        )
        rows.append(
            {
                "memory": "a quarter" if record["forgets"] else "all",
                "shuffle": str(record["shuffle"]),
                "epoch s": seconds,
                "over False": seconds / plain,
            }
        )
    print_table("An epoch that finds nothing in memory, by how much of the table memory holds", rows)

"""Peak memory, measured in a process of its own (Linux)."""

import ctypes
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np

from libraries import load
from report import print_table

MB = 2**20
N_CLASSES = 10
BATCH_SIZE = 200
# (rows, features, hidden): much data, and many parameters
FITS = ((1_000_000, 100, (32,)), (50_000, 200, (2048, 1024)))


def in_new_process(function, *arguments):
    """Call the function in a fresh interpreter: what it leaves behind cannot mislead."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as executor:
        return executor.submit(function, *arguments).result()


def resident():
    return status("VmRSS")


def extra_peak(function):
    """Bytes by which the call raises the peak above what the process holds before it."""
    ctypes.CDLL(None).malloc_trim(0)  # or the call could live on freed memory
    before = resident()
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew from here
    function()
    return status("VmHWM") - before


def status(key):
    """Bytes, by a key of this process's status."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"no {key} in /proc/self/status: this benchmark needs Linux")


def run():
    records = []
    for name in ("sknormnet", "scikit-learn"):
        for n_samples, n_features, hidden in FITS:
            record = {
                "library": name,
                "n_samples": n_samples,
                "n_features": n_features,
                "hidden": hidden,
                "status": "absent",
            }
            if load(name).VERSION is not None:
                measured = in_new_process(fit, name, n_samples, n_features, hidden)
                record.update(status="measured", **measured)
            records.append(record)
    report(records)
    return records


def fit(name, n_samples, n_features, hidden):
    """One epoch on float32 rows in C order."""
    Classifier = load(name).Classifier
    imported = resident()
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n_samples, n_features), dtype=np.float32)
    y = rng.integers(N_CLASSES, size=n_samples)
    model = Classifier(hidden, batch_size=BATCH_SIZE, max_iter=1, random_state=0)
    held = resident()
    extra = extra_peak(lambda: model.fit(X, y))
    sizes = (n_features, *hidden, N_CLASSES)
    n_parameters = sum(fan_in * fan_out + fan_out for fan_in, fan_out in pairwise(sizes))
    return {
        "imported": imported,
        "data": X.nbytes + y.nbytes,
        "held": held,
        "extra": extra,
        "allowed": 64 * MB + 4 * (6 * n_parameters + BATCH_SIZE * sum(sizes)),
    }


def report(records):
    rows = [
        {
            "library": record["library"],
            "problem": "{n_samples} x {n_features}, {hidden}".format(**record),
            **{
                f"{key} MB": record[key] / MB if key in record else record["status"]
                for key in ("imported", "data", "held", "extra", "allowed")
            },
        }
        for record in records
    ]
    print_table("Memory of a fit; extra is the peak above what was held before it", rows)

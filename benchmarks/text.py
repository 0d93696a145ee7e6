"""Sparse rows as of texts: time per epoch beside scikit-learn's, and what memory a fit takes."""

from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from statistics import median

import numpy as np
import scipy.sparse as sp

from libraries import load
from memory import MB, in_new_process, status
from memory_mapped import sampled
from problems import SEED, Shape
from report import print_table
from steps import CLOCKS, turn

NAMES = ("sknormnet", "scikit-learn")
WORDS_PER_TEXT = 100  # of 50,000: 0.2 %
# A word is the floor of 50,000 * u**power, u uniform: all alike, or the i-th about as often as i**(-2/3).
POWERS = {"uniform": 1, "Zipf-like": 3}


@dataclass(frozen=True)
class Texts(Shape):
    """As many different words in each row, with random values; classes of a noisy linear teacher."""

    law: str = "uniform"

    def data(self, dtype):
        X, y = texts(self.law, self.n_samples, self.n_features, self.n_classes)
        return X.astype(dtype, copy=False), y


@lru_cache
def texts(law, n_samples, n_features, n_classes):
    rng = np.random.default_rng(SEED)
    draws = n_features * rng.random((n_samples, 2 * WORDS_PER_TEXT)) ** POWERS[law]
    words = [rng.permutation(np.unique(row))[:WORDS_PER_TEXT] for row in draws.astype(np.int32)]
    starts = np.arange(0, n_samples * WORDS_PER_TEXT + 1, WORDS_PER_TEXT)
    values = rng.random(starts[-1], dtype=np.float32)
    X = sp.csr_matrix((values, np.concatenate(words), starts), shape=(n_samples, n_features))
    X.sort_indices()
    scores = X @ rng.standard_normal((n_features, n_classes))
    scores += scores.std() * rng.standard_normal(scores.shape)
    return X, scores.argmax(axis=1)


def run(dtypes, repeats, clock):
    records = []
    for law, hidden, dtype in product(POWERS, ((100,), (100, 50)), dtypes):
        shape = Texts(20_000, 50_000, hidden, 20, 200, epochs=1, floor=3.0, law=law)
        records += measure(shape, dtype, repeats, CLOCKS[clock])
    report(records)
    return records


def measure(shape, dtype, repeats, clock):
    records, turns = [], []
    for name in NAMES:
        record = {"words": shape.law, "hidden": shape.hidden, "dtype": dtype, "library": name, "status": "absent"}
        records.append(record)
        library = load(name)
        if library.VERSION is None:
            continue
        record.update(status="measured", **in_new_process(memory, name, shape, dtype))
        train = library.trainer(shape, np.dtype(dtype), "relu")
        record["objective"] = shape.objective("relu", *train(1 + shape.epochs))
        turns.append((record, train, []))
    for _ in range(repeats):
        for _, train, times in turns:
            times.append(turn(train, shape.epochs, clock))
    for record, _, times in turns:
        record["epoch_seconds"] = [time[0] for time in times]
        record["cpu_share"] = median(time[2] for time in times)
    if len(turns) == 2:
        ours, theirs = (record["epoch_seconds"] for record, *_ in turns)
        turns[0][0]["times_faster"] = median(b / a for a, b in zip(ours, theirs, strict=True))
    return records


def memory(name, shape, dtype):
    """The peak of RssAnon in a fit beyond what was held before. Runs in a process of its own."""
    train = load(name).trainer(shape, np.dtype(dtype), "relu")
    before = status("RssAnon")
    with sampled("RssAnon") as peaks:
        train(1)
    return {"extra": peaks[0] - before, "dense": shape.n_samples * shape.n_features * np.dtype(dtype).itemsize}


def report(records):
    rows = []
    for record in records:
        measured = record["status"] == "measured"
        rows.append(
            {
                "words": record["words"],
                "hidden": str(record["hidden"]),
                "dtype": record["dtype"],
                "library": record["library"],
                "epoch s": median(record["epoch_seconds"]) if measured else record["status"],
                "times faster": record.get("times_faster"),
                "objective": record.get("objective"),
                "CPU/wall": record.get("cpu_share"),
                "extra MB": record["extra"] / MB if measured else None,
                "dense X MB": record["dense"] / MB if measured else None,
            }
        )
    print_table("20000 x 50000 texts with 100 words each, 20 classes, Adam, batches of 200", rows)

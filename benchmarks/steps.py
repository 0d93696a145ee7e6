"""Time per minibatch step: loss, gradient, Adam update, and the epoch's share of overhead."""

import gc
from statistics import median
from time import perf_counter, process_time

import numpy as np
from scipy.linalg.blas import dgemm, sgemm

from libraries import load
from problems import SHAPES
from report import print_table

TURN = 0.1  # seconds: a turn of a fast library is the median of several fits
CLOCKS = {"wall": perf_counter, "cpu": process_time}


def run(dtypes, activations, repeats, names, clock):
    """One record per shape, dtype, activation and library."""
    records = []
    for dtype in dtypes:
        peak = peak_flops(dtype, CLOCKS[clock])
        print(f"\n{dtype}: one core's largest products run at {peak / 1e9:.0f} GFLOP/s")
        for shape in SHAPES:
            new = measure(shape, dtype, activations, repeats, names, CLOCKS[clock])
            add_shares(new, shape, peak)
            add_ratios(new)
            records += new
            report(new)
    if "float32" in dtypes and "relu" in activations:
        print_table("float32 relu against the floors", summary(records, names))
    return records


def measure(shape, dtype, activations, repeats, names, clock):
    records, turns = [], []
    for activation in activations:
        for name in names:
            record = {
                "shape": shape.name,
                "dtype": dtype,
                "activation": activation,
                "library": name,
                "status": "absent",
            }
            records.append(record)
            library = load(name)
            if library.VERSION is None:
                continue
            train = library.trainer(shape, np.dtype(dtype), activation)
            # The first fit compiles, warms up, and shows that all solve one problem.
            weights = train(1 + shape.epochs)
            record["status"] = "measured"
            record["objective"] = shape.objective(activation, *weights)
            turns.append((record, train, []))
    gemm = []
    for _ in range(repeats):
        for _, train, times in turns:
            times.append(turn(train, shape.epochs, clock))
        if "sknormnet" in {record["library"] for record, _, _ in turns}:
            gemm.append(gemm_seconds_per_step(shape, dtype))
    for record, _, times in turns:
        per_epoch, fixed, cpu = zip(*times, strict=True)
        n_steps = len(shape.batches)
        low, middle, high = np.percentile(per_epoch, (25, 50, 75)) * 1e6 / n_steps
        record.update(
            microseconds=float(middle),
            quartiles=(float(low), float(high)),
            fixed_milliseconds=1e3 * median(fixed),
            cpu_share=median(cpu),
        )
        if record["library"] == "sknormnet":
            record["gemm_microseconds"] = 1e6 * median(gemm)
    return records


def turn(train, epochs, clock, shortest=TURN):
    """Seconds per epoch, seconds of a fit beside its epochs, and CPU time / wall time.

    A fit's fixed cost (validation, initial weights, the first use of the data) drops out
    of the difference between a long fit and a fit of one epoch.
    """
    gc.collect()
    gc.disable()
    try:
        start, cpu_start = perf_counter(), process_time()
        per_epoch, fixed = [], []
        while not per_epoch or perf_counter() - start < shortest:
            short, long = seconds(train, 1, clock), seconds(train, 1 + epochs, clock)
            per_epoch.append((long - short) / epochs)
            fixed.append(short - per_epoch[-1])
        wall = perf_counter() - start
        return median(per_epoch), median(fixed), (process_time() - cpu_start) / wall
    finally:
        gc.enable()


def seconds(train, epochs, clock):
    start = clock()
    train(epochs)
    return clock() - start


def peak_flops(dtype, clock, size=1536, repeats=5):
    """FLOP/s of a large square product, which is what one core's BLAS reaches."""
    gemm = sgemm if dtype == "float32" else dgemm
    A = np.ones((size, size), dtype=dtype, order="F")
    times = [seconds(lambda _: gemm(1, A, A), None, clock) for _ in range(repeats)]
    return 2 * size**3 / min(times)


def gemm_seconds_per_step(shape, dtype):
    """The matrix products of our step alone, on warm buffers."""
    from sknormnet._core.network import gemm_seconds

    def shortest(rows):
        arguments = shape.layer_sizes, rows, np.dtype(dtype)
        repeats = max(1, int(2e-3 / gemm_seconds(*arguments, 1)))
        return min(gemm_seconds(*arguments, repeats) for _ in range(15))

    batches = shape.batches
    seconds = {rows: shortest(rows) for rows in set(batches)}
    return sum(seconds[rows] for rows in batches) / len(batches)


def add_shares(records, shape, peak):
    """Which part of our step the products are, and how near to the peak it runs."""
    for record in records:
        if "gemm_microseconds" in record:
            record["gemm_share"] = record["gemm_microseconds"] / record["microseconds"]
            epoch = record["microseconds"] * 1e-6 * len(shape.batches)
            record["peak_share"] = shape.epoch_flops / epoch / peak


def add_ratios(records):
    """Times faster than each rival; and tanh against relu, ours alone."""
    ours = {r["activation"]: r for r in records if r["library"] == "sknormnet"}
    for record in records:
        base = ours.get(record["activation"], {}).get("microseconds")
        if base and "microseconds" in record:
            record["ratio"] = record["microseconds"] / base
    if {"relu", "tanh"} <= set(ours) and "microseconds" in ours["tanh"]:
        ratio = ours["tanh"]["microseconds"] / ours["relu"]["microseconds"]
        ours["tanh"]["tanh_over_relu"] = ratio


def report(records):
    first = records[0]
    rows = [
        {
            "library": record["library"],
            "activation": record["activation"],
            "us/step": record.get("microseconds", record["status"]),
            "25%": record.get("quartiles", (None, None))[0],
            "75%": record.get("quartiles", (None, None))[1],
            "ours is faster": times_faster(record),
            "objective": f"{record['objective']:.6f}" if "objective" in record else None,
            "CPU/wall": record.get("cpu_share"),
            "GEMM share": record.get("gemm_share"),
            "of peak": record.get("peak_share"),
            "tanh/relu": record.get("tanh_over_relu"),
        }
        for record in records
    ]
    print_table(f"{first['shape']} {first['dtype']}", rows)


def summary(records, names):
    rows = []
    for shape in SHAPES:
        here = {
            r["library"]: r
            for r in records
            if (r["shape"], r["dtype"], r["activation"]) == (shape.name, "float32", "relu")
        }
        ours = here.get("sknormnet", {})
        rivals = [name for name in names if name != "sknormnet"]
        rows.append(
            {
                "shape": shape.name,
                "us/step": ours.get("microseconds", ours.get("status")),
                **{name: times_faster(here[name]) for name in rivals},
                "floor": f"{shape.floor:.3g}x",
                "GEMM share": ours.get("gemm_share"),
                "of peak": ours.get("peak_share"),
                "reached": verdict(here, shape.floor),
            }
        )
    return rows


def verdict(here, floor):
    """At least the floor against scikit-learn, and never slower than JAX."""
    bounds = {"scikit-learn": floor, "jax": 1}
    ratios = {name: here.get(name, {}).get("ratio") for name in bounds}
    if None in ratios.values():
        return "not measured"
    return "yes" if all(ratios[name] >= bounds[name] for name in bounds) else "no"


def times_faster(record):
    if "ratio" in record:
        return f"{record['ratio']:.3g}x"
    return "-" if record["status"] == "measured" else record["status"]

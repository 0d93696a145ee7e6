"""Measure this package against others; README.md beside this file says how."""

import argparse
import importlib
import os
import warnings

from libraries import FILES, load

ONE_THREAD = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}
REPEATS = {"search": 3, "memory_mapped": 1, "text": 3, "path_cv": 3}
FIXED = ("memory", "selection", "widths")  # commands without options
FEATURE_TABLES = ("mice", "isolet1", "madelon", "mnist_t10k")
DTYPES = ("float32", "float64")
ACTIVATIONS = ("relu", "tanh")


def parse():
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    measured = "steps", "penalties", "search", "predict", "memory_mapped", "text"
    for name in (*measured, "paths", "path_cv", "feature_paths", *FIXED):
        command = commands.add_parser(name)
        command.add_argument("--json", metavar="FILE")
        if name in FIXED:
            continue
        if name in ("paths", "feature_paths"):
            command.add_argument("--data", metavar="FOLDER", required=True, help="of the tables, as .npz")
        if name == "paths":
            continue
        if name == "feature_paths":
            command.add_argument("--results", required=True, help="file of what is measured; a new run goes on from it")
            command.add_argument("--tables", nargs="+", choices=FEATURE_TABLES, default=FEATURE_TABLES)
            command.add_argument("--only", choices=("sknormnet", "lassonet"), help="one of the two libraries")
            command.add_argument("--clock", choices=("wall", "cpu"), default="wall")
            continue
        command.add_argument("--repeats", type=int, default=REPEATS.get(name, 5))
        if name == "path_cv":
            continue
        if name == "memory_mapped":
            command.add_argument("--gigabytes", type=float, default=4.0, help="size of the table, on disk")
            continue
        command.add_argument(
            "--dtype",
            nargs="+",
            choices=DTYPES,
            default=["float32"] if name in ("search", "text") else DTYPES,
        )
        if name in ("steps", "penalties", "text"):
            command.add_argument("--clock", choices=("wall", "cpu"), default="wall")
        if name in ("penalties", "text"):
            continue
        command.add_argument(
            "--activation",
            nargs="+",
            choices=ACTIVATIONS,
            default=ACTIVATIONS if name == "steps" else ["relu"],
        )
        if name == "steps":
            command.add_argument("--libraries", nargs="+", choices=FILES, default=[*FILES])
            command.add_argument("--only", choices=("libraries", "losses", "activations"), help="one part of it")
        if name == "search":
            command.add_argument("--batch-size", nargs="+", type=int, default=[32, 200])
    return parser.parse_args()


def main():
    options = parse()
    # Before the libraries are imported: they count and start their threads then.
    os.environ.update(ONE_THREAD, PYTHONWARNINGS="ignore")
    warnings.simplefilter("ignore")  # every fit stops at max_iter and says so
    if options.command not in ("search", "path_cv") and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    results = measure(options)
    if options.json:
        import report

        report.write_json(options.json, options.command, vars(options), results)


def measure(options):
    if options.command in FIXED:
        return importlib.import_module(options.command).run()
    if options.command == "penalties":
        import penalties

        return penalties.run(options.dtype, options.repeats, options.clock)
    if options.command == "memory_mapped":
        import memory_mapped

        return memory_mapped.run(options.gigabytes, options.repeats)
    if options.command == "paths":
        import paths

        return paths.run(options.data)
    if options.command == "path_cv":
        import path_cv

        return path_cv.run(options.repeats)
    if options.command == "text":
        import text

        return text.run(options.dtype, options.repeats, options.clock)
    if options.command == "feature_paths":
        import feature_paths

        libraries = (options.only,) if options.only else feature_paths.LIBRARIES
        return feature_paths.run(options.data, options.results, options.tables, libraries, options.clock)
    arguments = options.dtype, options.activation, options.repeats
    if options.command == "predict":
        import predict

        return predict.run(*arguments)
    if options.command == "search":
        import search

        return search.run(*arguments, options.batch_size)
    results = {}
    if options.only in (None, "libraries"):
        import steps

        results["libraries"] = steps.run(*arguments, options.libraries, options.clock)
    if load("sknormnet").VERSION is None:
        return results
    if options.only in (None, "losses"):
        import losses

        results["losses"] = losses.run(options.dtype, options.repeats, options.clock)
    if options.only in (None, "activations"):
        import activations

        results["activations"] = activations.run(options.dtype, options.repeats, options.clock)
    return results


if __name__ == "__main__":
    main()

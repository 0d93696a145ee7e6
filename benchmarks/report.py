"""Tables on the screen, JSON in a file, and what machine the figures come from."""

import json
import os
import platform
from pathlib import Path

import numpy
import scipy

from libraries import FILES, load


def machine():
    cpuinfo = Path("/proc/cpuinfo")
    model = platform.processor()
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        models = [line.split(":")[1].strip() for line in lines if "model name" in line]
        model = models[0] if models else model
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "numpy": numpy.__version__,
        "scipy": scipy.__version__,
        **{name: load(name).VERSION or "absent" for name in FILES},
    }


def print_table(title, rows):
    """Print rows, dicts with the same keys, which head the columns."""
    print(f"\n{title}\n")
    cells = [list(rows[0])] + [[_text(value) for value in row.values()] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    cells.insert(1, ["-" * width for width in widths])
    for line in cells:
        text = [line[0].ljust(widths[0])]
        text += [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
        print("| " + " | ".join(text) + " |")


def _text(value):
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}" if value < 1000 else f"{value:.0f}"
    return str(value)


def write_json(path, command, options, results):
    document = {
        "command": command,
        "options": options,
        "machine": machine(),
        "results": results,
    }
    Path(path).write_text(json.dumps(document, indent=1, default=str) + "\n")

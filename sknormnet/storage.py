"""Plain values in a file that executes nothing when it is read.

The file is NumPy's .npz. Its member "json" is a text in which a value stands as itself (None, bool, int, float, str,
list) or as an object with one key that says what it is, such as {"tuple": [...]} or {"array": "array_3"}, the name of
another member. Losses, penalties and PerLayer are written as their class's name and parameters; only names of this
package are looked up.
"""

import json
import os
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from sknormnet.losses import LOSSES
from sknormnet.penalties import PENALTIES, Sum
from sknormnet.plan import PerLayer
from sknormnet.warm_start import restore_rng, save_rng

_CLASSES: list[Any] = [*LOSSES.values(), *PENALTIES.values(), Sum, PerLayer]
PARTS = {cls.__name__: cls for cls in _CLASSES}
DTYPES: dict[str, Any] = {"float32": np.float32, "float64": np.float64}


class Foreign(TypeError):
    """A value that cannot be written without code being executed when it is read."""


class Encoder:
    """Turns values into what JSON holds, and arrays beside it.

    Attributes
    ----------
    arrays : dict of ndarray
        By the names that the text has for them.
    """

    def __init__(self) -> None:
        self.arrays: dict[str, np.ndarray] = {}

    def encode(self, value: Any) -> Any:
        """The value for JSON. Raises Foreign."""
        kind = type(value)
        if value is None or kind in (bool, int, float, str):
            return value
        if kind is list:
            return [self.encode(v) for v in value]
        if kind is tuple:
            return {"tuple": [self.encode(v) for v in value]}
        if kind is dict:
            return {"dict": [[self.encode(k), self.encode(v)] for k, v in value.items()]}
        if kind is np.ndarray and value.dtype == object:
            return self._encode_strings(value)
        if kind is np.ndarray or isinstance(value, np.generic):
            return {"array" if kind is np.ndarray else "scalar": self._add(np.asarray(value))}
        if kind is np.random.RandomState:
            return {"random_state": self.encode(save_rng(value))}
        if kind is type and value in DTYPES.values():
            return {"dtype": value.__name__}
        if PARTS.get(kind.__name__) is kind:
            return {"part": kind.__name__, "parameters": self.encode(value.get_params(deep=False))}
        raise Foreign(f"a {kind.__module__}.{kind.__qualname__}")

    def _add(self, array: np.ndarray) -> str:
        if array.dtype.kind not in "biufcSUmM":
            raise Foreign(f"an array of {array.dtype}")
        name = f"array_{len(self.arrays)}"
        self.arrays[name] = array
        return name

    def _encode_strings(self, array: np.ndarray) -> dict[str, Any]:
        values = array.ravel().tolist()
        others = [v for v in values if type(v) is not str]
        if others:
            raise Foreign(f"an array of objects, one of which is {others[0]!r}; of objects, str alone can be written")
        return {"strings": values, "shape": list(array.shape)}


def decode(tree: Any, arrays: dict[str, np.ndarray]) -> Any:
    """The value that `Encoder.encode` has turned into tree and arrays."""
    if isinstance(tree, list):
        return [decode(t, arrays) for t in tree]
    if not isinstance(tree, dict):
        return tree
    kind, content = next(iter(tree.items()))
    if kind == "tuple":
        return tuple(decode(t, arrays) for t in content)
    if kind == "dict":
        return {decode(k, arrays): decode(v, arrays) for k, v in content}
    if kind == "array":
        return arrays[content]
    if kind == "scalar":
        return arrays[content][()]
    if kind == "strings":
        strings = np.empty(len(content), dtype=object)
        strings[:] = [str(text) for text in content]
        return strings.reshape(tree["shape"])
    if kind == "random_state":
        return restore_rng(decode(content, arrays))
    if kind == "dtype":
        return DTYPES[content]
    if kind == "part":
        return PARTS[content](**decode(tree["parameters"], arrays))
    raise ValueError(f"it holds a {kind!r}, which is unknown")


def same(value: Any, other: Any) -> bool:
    """Whether two values are written alike."""
    one, two = Encoder(), Encoder()
    try:
        if json.dumps(one.encode(value)) != json.dumps(two.encode(other)):
            return False
    except Foreign:
        return False
    return all(
        a.dtype == b.dtype and np.array_equal(a, b)
        for a, b in zip(one.arrays.values(), two.arrays.values(), strict=True)
    )


def write(path: Path, tree: Any, arrays: dict[str, np.ndarray]) -> None:
    """Write a file, or leave the one that is there as it is.

    The new file is complete and on the disk under another name before it takes the place of the old one.
    """
    text = np.frombuffer(json.dumps(tree).encode(), dtype=np.uint8)
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with open(temporary, "xb") as file:
            np.savez(file, **{"json": text, **arrays})  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    if os.name == "posix":  # where a rename is on the disk once its folder is
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def read(file: BinaryIO) -> tuple[Any, dict[str, np.ndarray]]:
    """The tree and the arrays of a file."""
    with np.load(file, allow_pickle=False) as members:
        arrays = {name: members[name] for name in members.files}
    return json.loads(arrays.pop("json").tobytes()), arrays


def read_tree(file: BinaryIO) -> Any:
    """The tree of a file alone."""
    with np.load(file, allow_pickle=False) as members:
        return json.loads(members["json"].tobytes())

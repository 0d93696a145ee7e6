"""What the conformance suites share."""

import pickle
from typing import Any, NoReturn

import numpy as np
from joblib import wrap_non_picklable_objects
from sklearn.base import clone


class Case:
    """A part under test in one setting, which ``str`` names; subclasses say what else belongs to the setting."""

    def fail(self, text: str) -> NoReturn:
        raise AssertionError(f"{self}: {text}")

    def check_close(self, got: Any, expected: Any, tolerance: float, text: str) -> None:
        """Entry by entry, relative to the larger of 1 and the expected size; NaN is close to nothing."""
        got, expected = np.broadcast_arrays(got, expected)
        far = ~(np.abs(got - expected) <= tolerance * np.maximum(1, np.abs(expected)))
        if far.any():
            self.fail(f"{text}: {got[far].flat[0]!s} where {expected[far].flat[0]!s} is expected")

    def copies(self, part: Any) -> dict[str, Any]:
        """The part's clone and its pickle, which must have its parameters."""
        # What joblib does for its workers: it pickles classes that are defined in __main__, too.
        wrapped = wrap_non_picklable_objects(part, keep_wrapper=False)
        try:
            copies = {"clone": clone(part), "pickle": pickle.loads(pickle.dumps(wrapped))}
        except Exception as error:
            self.fail(f"cannot be copied: {error}")
        for how, copy in copies.items():
            if repr(copy) != repr(part):
                self.fail(f"its {how} has other parameters: {copy!r}")
        return copies

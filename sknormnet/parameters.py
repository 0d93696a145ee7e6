"""Checks of the constructor arguments of losses and penalties."""

import math
from collections.abc import Callable
from numbers import Real


def check_number(part: object, parameter: str, allowed: str, fits: Callable[[float], bool]) -> None:
    """Raise TypeError or ValueError where an attribute is no finite number or does not fit; allowed says what fits."""
    value = getattr(part, parameter)
    name = f"{parameter} of {type(part).__name__}"
    if not isinstance(value, Real) or isinstance(value, bool):
        raise TypeError(f"{name} must be a number {allowed}, got {value!r}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number) or not fits(number):
        raise ValueError(f"{name} must be {allowed}, got {value!r}")

"""Penalties on matrices whose entries differ by any order of magnitude, at any step and strength.

That a prox is the minimum, and a subgradient the smallest, is tested at ordinary numbers: test_penalties.py. Here
neither may become NaN, infinite or larger than what it was given.
"""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from penalty_cases import ALL

PENALTIES = {name: make for name, make in ALL.items() if "LogSum" not in name and "RowLasso" not in name}  # users'
# Of steps and of strengths, whose product does not overflow.
POSITIVE = {
    np.float32: st.sampled_from([1e-30, 1e-6, 0.1, 1.0, 10.0, 1e6, 1e15]),
    np.float64: st.sampled_from([1e-300, 1e-30, 1e-6, 0.1, 1.0, 10.0, 1e6, 1e30]),
}


@st.composite
def matrices(draw, dtype, shape):
    """Of any magnitude whose square does not overflow, subnormal numbers too."""
    most = {np.float32: 2.0**60, np.float64: 2.0**500}[dtype]
    numbers = st.floats(-most, most, width=8 * np.dtype(dtype).itemsize)
    ordinary = st.sampled_from([0.0, 1.0, -1.0, 0.5, -3.0])
    return draw(arrays(dtype, shape, elements=st.one_of(ordinary, numbers), fill=ordinary))


@given(st.data(), st.sampled_from(list(PENALTIES)), st.sampled_from([np.float32, np.float64]))
def test_nothing_becomes_nan_or_larger(data, name, dtype):
    shape = data.draw(array_shapes(min_dims=2, max_dims=2, max_side=4))
    V, G = (data.draw(matrices(dtype, shape)) for _ in range(2))
    step, strength = data.draw(POSITIVE[dtype]), data.draw(st.one_of(st.just(0.0), POSITIVE[dtype]))
    penalty = PENALTIES[name](shape[0])
    P = penalty.prox(V, step, strength)
    assert P.shape == V.shape and P.dtype == dtype
    assert np.isfinite(P).all()
    if "NuclearNorm" not in repr(penalty):  # which rotates
        assert (np.abs(P) <= np.abs(V)).all()
        assert (P * np.sign(V) >= 0).all()
    if penalty.constraint:
        assert penalty.value(P, 0.0) == 0
    assert penalty.value(V, strength) >= 0
    assert not np.isnan(penalty.subgradient(V, strength)).any()
    assert (penalty.residual(P, G, strength) >= 0).all()

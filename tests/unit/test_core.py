"""The compiled core: addressing, denormals, threads, and what it refuses."""

import itertools
import multiprocessing
import sys
import threading

import numpy as np
import pytest
import scipy.sparse as sp

from sknormnet._core import blas_threads
from sknormnet._core.activations import instruction_set
from sknormnet._core.network import LayerPenalties, Network, RowOrder, UpdateRule, aligned_empty, gemm_seconds
from sknormnet._core.penalties import ElementwiseKernel
from sknormnet.losses import LOSSES


def layers(sizes, dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    pairs = list(itertools.pairwise(sizes))
    return [rng.normal(size=s).astype(dtype) for s in pairs], [rng.normal(size=o).astype(dtype) for _, o in pairs]


def join(weights, intercepts):
    return np.concatenate([a.ravel() for pair in zip(weights, intercepts, strict=True) for a in pair])


def relu_forward(weights, intercepts, X):
    for W, b in zip(weights[:-1], intercepts[:-1], strict=True):
        X = np.maximum(X @ W + b, 0)
    return X @ weights[-1] + intercepts[-1]


def no_penalty(n_layers):
    return LayerPenalties([(ElementwiseKernel(), 0.0)] * n_layers, [(1, 1)] * n_layers, False)


def train(X, y, sizes, *, rows=None, batch_size=7, n_epochs=3, dtype=np.float64, loss="squared_error"):
    """A few epochs of sgd; returns theta."""
    network = Network(sizes, "relu", dtype)
    network.bind(X, y, None, LOSSES[loss]().kernel())
    theta = aligned_empty(network.n_parameters, dtype)
    theta[:] = np.random.default_rng(1).normal(scale=0.3, size=theta.size)
    rule = UpdateRule.sgd(theta.size, dtype, momentum=0.5, nesterov=False)
    order = None if rows is None else RowOrder(rows, len(y))
    for _ in range(n_epochs):
        network.run_epoch(theta, order, batch_size, rule, 0.01, 0.01, no_penalty(len(sizes) - 1))
    return theta


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sizes", [(5, 1), (5, 4), (1, 3, 1), (5, 7, 2), (3, 1, 1, 4), (40, 300, 20, 3)], ids=str)
@pytest.mark.parametrize("n", [1, 2, 65, 1000])
def test_forward(n, sizes, dtype):
    X = np.random.default_rng(2).normal(size=(n, sizes[0])).astype(dtype)
    weights, intercepts = layers(sizes, dtype)
    network = Network(sizes, "relu", dtype)
    expected = relu_forward(weights, intercepts, X.astype(float))
    tolerance = 1e-4 if dtype == np.float32 else 1e-11
    np.testing.assert_allclose(network.forward(weights, intercepts, X), expected, rtol=tolerance, atol=tolerance * 10)
    table = sp.csr_array(X)
    np.testing.assert_allclose(
        network.forward(weights, intercepts, table), expected, rtol=tolerance, atol=tolerance * 10
    )
    rows = np.array([n - 1, 0, n // 2], dtype=np.int64)
    np.testing.assert_allclose(
        network.forward(weights, intercepts, X, RowOrder(rows, n)), expected[rows], rtol=tolerance, atol=tolerance * 10
    )


@pytest.mark.parametrize("layout", ["row stride", "reversed rows", "one repeated row", "offset"])
def test_any_row_stride(layout):
    rng = np.random.default_rng(0)
    base = rng.normal(size=(90, 12))
    X = {
        "row stride": base[::3, 2:8],
        "reversed rows": base[::-3, 2:8],
        "one repeated row": np.broadcast_to(base[0, :6], (30, 6)),
        "offset": base[7:37, 1:7],
    }[layout]
    y = rng.normal(size=(30, 1))
    for rows in (None, rng.permutation(30)):
        expected = train(np.ascontiguousarray(X), y, (6, 4, 1), rows=rows)
        np.testing.assert_allclose(train(X, y, (6, 4, 1), rows=rows), expected, rtol=1e-12)


@pytest.mark.parametrize("index", [np.int32, np.int64])
@pytest.mark.parametrize("hidden", [(), (4,)])
def test_csr_trains_as_dense(hidden, index):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, 6)) * (rng.random((30, 6)) < 0.3)
    X[3] = 0  # an empty row
    table = sp.csr_array(X)
    table.indices, table.indptr = table.indices.astype(index), table.indptr.astype(index)
    y, rows = rng.normal(size=(30, 1)), rng.permutation(30)
    for order in (None, rows):
        np.testing.assert_allclose(
            train(table, y, (6, *hidden, 1), rows=order), train(X, y, (6, *hidden, 1), rows=order), rtol=1e-10
        )


@pytest.mark.skipif(sys.platform == "win32", reason="needs files with holes")
def test_offsets_beyond_2_to_the_31(tmp_path):
    """Five rows, 2**29 elements apart: the last begins at element 2**31. The file is a hole but for those rows."""
    rng = np.random.default_rng(0)
    small = rng.normal(size=(5, 3)).astype(np.float32)
    y = rng.normal(size=(5, 1)).astype(np.float32)
    stride = 2**29
    flat = np.memmap(tmp_path / "table", dtype=np.float32, mode="w+", shape=4 * stride + 3)
    X = np.lib.stride_tricks.as_strided(flat, shape=(5, 3), strides=(4 * stride, 4))
    X[:] = small
    weights, intercepts = layers((3, 4, 1), np.float32)
    network = Network((3, 4, 1), "relu", np.float32)
    np.testing.assert_allclose(
        network.forward(weights, intercepts, X), network.forward(weights, intercepts, small), rtol=1e-5
    )
    for rows in (None, rng.permutation(5)):
        expected = train(small, y, (3, 4, 1), rows=rows, batch_size=2, dtype=np.float32)
        got = train(X, y, (3, 4, 1), rows=rows, batch_size=2, dtype=np.float32)
        np.testing.assert_array_equal(got, expected)


def test_denormals_are_zero_inside_the_core_only():
    tiny = np.float32(1e-40)
    network = Network((1, 1), "identity", np.float32)
    W, b = np.full((1, 1), tiny), np.zeros(1, dtype=np.float32)
    raw = network.forward([W], [b], np.full((3, 1), 1e-3, dtype=np.float32))
    if instruction_set() != "portable":
        assert (raw == 0).all()
    assert tiny * np.float32(0.5) > 0  # the process's own mode is as it was
    train(np.ones((10, 2)), np.ones((10, 1)), (2, 3, 1))
    assert np.float64(5e-324) * 1.0 > 0


def test_scratch_memory_starts_on_a_cache_line():
    for n in (1, 3, 1000):
        for dtype in (np.float32, np.float64):
            array = aligned_empty(n, dtype)
            assert array.ctypes.data % 64 == 0 and array.shape == (n,) and array.dtype == dtype


def test_blas_limit_is_counted_and_restored():
    libraries = blas_threads._libraries()
    if not libraries:
        pytest.skip("no BLAS that threadpoolctl knows")
    limit = blas_threads.single_thread
    before = [library.get_num_threads() for library in libraries]
    try:
        for library in libraries:
            blas_threads._set_num_threads(library, 2)
        with limit:
            with limit:
                assert {library.get_num_threads() for library in libraries} == {1}
            assert {library.get_num_threads() for library in libraries} == {1}
        assert {library.get_num_threads() for library in libraries} == {2}
        with limit:
            blas_threads._set_num_threads(libraries[0], 2)  # somebody else's choice in the meantime stands
        assert libraries[0].get_num_threads() == 2
        with pytest.raises(RuntimeError), limit:
            raise RuntimeError
        assert limit._users == 0
    finally:
        for library, n_threads in zip(libraries, before, strict=True):
            blas_threads._set_num_threads(library, n_threads)


def _fit_in_child(connection):
    rng = np.random.default_rng(0)
    connection.send(
        (blas_threads.single_thread._users, train(rng.normal(size=(30, 4)), rng.normal(size=(30, 1)), (4, 3, 1)))
    )


@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_fork_while_another_thread_is_inside():
    rng = np.random.default_rng(0)
    expected = train(rng.normal(size=(30, 4)), rng.normal(size=(30, 1)), (4, 3, 1))
    release = threading.Event()

    def hold():
        with blas_threads.single_thread:
            release.wait(20)

    holder = threading.Thread(target=hold)
    holder.start()
    context = multiprocessing.get_context("fork")
    parent, child = context.Pipe()
    process = context.Process(target=_fit_in_child, args=(child,))
    process.start()
    try:
        assert parent.poll(20), "the child hangs"
        users, theta = parent.recv()
    finally:
        release.set()
        holder.join()
        process.join(5)
    assert users == 0
    np.testing.assert_array_equal(theta, expected)


def test_an_epoch_ends_where_it_stops_being_finite():
    X, y = np.ones((40, 2)), np.ones((40, 1))
    X[12, 1] = np.inf
    network = Network((2, 3, 1), "relu", np.float64)
    network.bind(X, y, None, LOSSES["squared_error"]().kernel())
    theta = np.full(network.n_parameters, 0.1)
    rule = UpdateRule.sgd(theta.size, np.float64, momentum=0.0, nesterov=False)
    *_, finite = network.run_epoch(theta, None, 10, rule, 0.1, 0.1, no_penalty(2))
    assert not finite
    assert rule.steps_done == 1
    assert np.isfinite(theta).all()


def test_refuses_what_it_cannot_address():
    X, y = np.ones((4, 2)), np.ones((4, 1))
    network = Network((2, 3, 1), "relu", np.float64)
    theta = np.zeros(network.n_parameters)
    rule = UpdateRule.sgd(theta.size, np.float64, momentum=0.0, nesterov=False)
    with pytest.raises(RuntimeError, match="bind"):
        network.value_and_gradient(theta, theta.copy())
    for bad in (np.ones((4, 3)), np.ones((4, 2), dtype=np.float32), np.ones((2, 4)).T):
        with pytest.raises(ValueError, match="X must be|contiguous"):
            network.bind(bad, y, None, LOSSES["squared_error"]().kernel())
    with pytest.raises(ValueError, match="expected a float64 array"):
        network.bind(X, np.ones((3, 1)), None, LOSSES["squared_error"]().kernel())
    network.bind(X, y, None, LOSSES["squared_error"]().kernel())
    for rows in ([0, 4], [-1], []):
        with pytest.raises(ValueError, match="rows must"):
            RowOrder(np.array(rows, dtype=np.int64), 4)
    with pytest.raises(ValueError, match="table of 5 rows"):
        network.run_epoch(theta, RowOrder(np.arange(4), 5), 2, rule, 0.1, 0.1, no_penalty(2))
    with pytest.raises(ValueError, match="one term per weight matrix"):
        network.run_epoch(theta, None, 2, rule, 0.1, 0.1, no_penalty(1))
    with pytest.raises(ValueError, match="batch_size"):
        network.run_epoch(theta, None, 0, rule, 0.1, 0.1, no_penalty(2))
    frozen = theta.copy()
    frozen.setflags(write=False)
    with pytest.raises(ValueError, match="writable"):
        network.run_epoch(frozen, None, 2, rule, 0.1, 0.1, no_penalty(2))
    with pytest.raises(ValueError, match="float32 or float64"):
        Network((2, 1), "relu", np.int64)


def test_gemm_seconds_is_a_time():
    assert 0 < gemm_seconds((20, 32, 1), 32, np.float32, 10) < 1

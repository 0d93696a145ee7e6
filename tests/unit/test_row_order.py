"""The order in which rows are visited."""

import numpy as np
import oracles
import pytest
import scipy.sparse

from sknormnet._core.network import RowOrder, SelectedRows
from sknormnet.objective import BLOCK_VALUES, block_rows


@pytest.mark.parametrize("n", [1, 2, 3, 64, 65, 1000, 4097])
def test_shuffles_as_numpy_does(n):
    ours, theirs = np.random.RandomState(5), np.random.RandomState(5)
    order, expected = RowOrder(np.arange(n), n), np.arange(n)
    for _ in range(5):
        order.shuffle(ours)
        theirs.shuffle(expected)
        np.testing.assert_array_equal(order.to_array(), expected)
    assert ours.uniform() == theirs.uniform()


@pytest.mark.parametrize("size", [1, 2, 7, 64, 499, 500, 501, 2**40])
@pytest.mark.parametrize("n", [1, 2, 500, 1001])
@pytest.mark.parametrize("subset", [False, True])
def test_shuffles_in_blocks_as_documented(subset, n, size):
    rows = np.arange(0, 3 * n, 3) if subset else np.arange(n)
    ours, theirs = np.random.RandomState(5), np.random.RandomState(5)
    order = RowOrder(rows, 3 * n, size)
    np.testing.assert_array_equal(order.to_array(), rows)
    for _ in range(3):
        order.shuffle(ours)
        np.testing.assert_array_equal(order.to_array(), oracles.block_order(rows, size, theirs))
        np.testing.assert_array_equal(np.sort(order.to_array()), rows)
    assert ours.uniform() == theirs.uniform()


def test_runs_of_neighbours():
    """A block is left only when all its rows have been visited."""
    order = RowOrder(np.arange(1000), 1000, 64)
    order.shuffle(np.random.RandomState(0))
    blocks = order.to_array() // 64
    assert (np.diff(blocks) != 0).sum() == 15 == len(set(blocks.tolist())) - 1
    assert not np.array_equal(order.to_array(), np.sort(order.to_array()))


def test_rows_of_a_block():
    """Documented sizes."""
    assert BLOCK_VALUES == 2**23
    assert block_rows(np.empty((10, 1000), dtype=np.float32)) == 8388
    assert block_rows(SelectedRows(np.empty((10, 1000)), np.arange(3))) == 8388
    assert block_rows(np.broadcast_to(np.float32(0), (3, 2**24))) == 1
    table = scipy.sparse.csr_array((np.ones(108), (np.arange(108) % 100, np.arange(108))), shape=(100, 50_000))
    assert block_rows(table) == 2**23 * 100 // 108
    assert block_rows(SelectedRows(table, np.array([0, 50]))) == 2**23 * 2 // 3
    assert block_rows(scipy.sparse.csr_array((4, 3))) >= 4


def test_bad_orders():
    with pytest.raises(ValueError, match="block_rows must be at least 1, got 0"):
        RowOrder(np.arange(4), 4, 0)
    with pytest.raises(ValueError, match="numbers in"):
        SelectedRows(np.empty((3, 2)), np.array([0, 3]))

"""Kinds of X and y: a fit is, in bits, that of the plain C-contiguous array or canonical CSR with the same numbers."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse
from fits import assert_same_model, make_model
from numpy.testing import assert_array_equal

from sknormnet.inspection import stationarity

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:X has feature names"),
]

SOLVERS = ("adam", "sgd", "lbfgs", "fista")
NAMES = np.array(["ash", "birch", "cedar"])


def assert_same_fits(problem, given, plain, *, y=None, **parameters):
    """Fit, prediction and the certificate on both."""
    y = problem.y if y is None else y
    model, expected = (make_model(problem, **parameters).fit(X, y) for X in (given, plain))
    assert_same_model(model, expected)
    assert_array_equal(model.predict(given), expected.predict(plain))
    assert stationarity(model, given, y) == stationarity(expected, plain, y)


# ------------------------------------------------------------------------------------------------------------- arrays


def read_only(X, folder):
    X = X.copy()
    X.flags.writeable = False
    return X


def wide(X, folder):
    """A view of some columns of a larger table."""
    table = np.full((len(X), 9), np.nan, dtype=X.dtype)
    table[:, 2:7] = X
    return table[:, 2:7]


def strided(X, folder):
    table = np.full((2 * len(X), 10), np.nan, dtype=X.dtype)
    table[::2, ::2] = X
    return table[::2, ::2]


def misaligned(X, folder):
    raw = np.zeros(X.nbytes + 1, dtype=np.uint8)
    view = raw[1:].view(X.dtype).reshape(X.shape)
    view[:] = X
    assert not view.flags.aligned
    return view


def record_field(X, folder):
    """A field of packed records: rows and elements apart, and not aligned."""
    table = np.zeros(len(X), dtype=[("flag", np.uint8), ("row", X.dtype, 5)])
    table["row"] = X
    return table["row"]


def memory_map(X, folder, mode="r", order="C"):
    X.ravel(order).tofile(folder / "X")
    return np.memmap(folder / "X", X.dtype, mode=mode, shape=X.shape, order=order)


LAYOUTS = {
    "read-only": read_only,
    "Fortran": lambda X, folder: np.asfortranarray(X),
    "some columns": wide,
    "strided": strided,
    "every second row": lambda X, folder: np.repeat(X, 2, axis=0)[::2],
    "reversed": lambda X, folder: X[::-1].copy()[::-1],
    "misaligned": misaligned,
    "field of records": record_field,
    "other byte order": lambda X, folder: X.astype(X.dtype.newbyteorder()),
    "memory map": memory_map,
    "memory map, copy on write": lambda X, folder: memory_map(X, folder, "c"),
    "memory map, Fortran": lambda X, folder: memory_map(X, folder, order="F"),
    "pandas": lambda X, folder: pd.DataFrame(X, columns=list("abcde")),
    "pandas, masked": lambda X, folder: pd.DataFrame(X).astype("Float32" if X.dtype == np.float32 else "Float64"),
    "polars": lambda X, folder: pl.DataFrame(X, schema=list("abcde")),
}


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(layout, dtype, solver, make_problem, tmp_path):
    problem = make_problem("multiclass")
    X = problem.X.astype(dtype)
    given = LAYOUTS[layout](X, tmp_path)
    assert_array_equal(np.asarray(given), X)
    assert_same_fits(problem, given, X, solver=solver)
    assert make_model(problem, solver=solver).fit(given, problem.y).coefs_[0].dtype == dtype


@pytest.mark.parametrize("kind", [np.float16, np.int8, np.int64, np.uint32, bool, object])
def test_other_kinds_of_numbers_become_float64(kind, make_problem):
    problem = make_problem("multiclass")
    X = np.abs(10 * problem.X).astype(kind)
    assert_same_fits(problem, X, X.astype(np.float64))
    assert_same_fits(problem, X, X.astype(np.float32), dtype="float32")


@pytest.mark.parametrize("early_stopping", [False, True])
def test_validation_data_of_any_kind(early_stopping, make_problem, tmp_path):
    problem = make_problem("multiclass")
    X, X_val, y_val = problem.X[:40], problem.X[40:], problem.y[40:]
    model = make_model(problem, early_stopping=early_stopping)
    expected = make_model(problem, early_stopping=early_stopping).fit(X, problem.y[:40], X_val=X_val, y_val=y_val)
    for layout in (*LAYOUTS.values(), lambda X, folder: scipy.sparse.csr_array(X)):
        model.fit(X, problem.y[:40], X_val=layout(X_val, tmp_path), y_val=y_val)
        assert_same_model(model, expected)


# ------------------------------------------------------------------------------------------------------------- frames


@pytest.mark.parametrize(
    "labels",
    [
        lambda y: NAMES[y],
        lambda y: NAMES[y].astype(object),
        lambda y: NAMES[y].tolist(),
        lambda y: pd.Series(NAMES[y], dtype="category"),
        lambda y: pd.Series(NAMES[y], dtype="string"),
        lambda y: pd.Series(NAMES[y], dtype=object),
        lambda y: pl.Series(NAMES[y]),
        lambda y: pl.Series(NAMES[y], dtype=pl.Categorical),
        lambda y: pl.Series(NAMES[y], dtype=pl.Enum(NAMES)),
    ],
    ids=["str", "object", "list", "pd.category", "pd.string", "pd.object", "pl.String", "pl.Categorical", "pl.Enum"],
)
@pytest.mark.parametrize("Frame", [pd.DataFrame, pl.DataFrame])
def test_frames_with_string_classes(Frame, labels, make_problem):
    problem = make_problem("multiclass")
    frame = Frame(dict(zip("abcde", problem.X.T, strict=True)))
    y = labels(problem.y)
    model = make_model(problem, early_stopping=True).fit(frame, y)
    assert model.classes_.tolist() == NAMES.tolist()
    assert model.feature_names_in_.tolist() == list("abcde")
    assert_same_model(model, make_model(problem, early_stopping=True).fit(problem.X, problem.y))
    assert model.score(frame, y) == np.mean(model.predict(frame) == NAMES[problem.y])
    assert model.get_feature_names_out().tolist() == [f"normregmlpclassifier{i}" for i in range(6)]
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(Frame(dict(zip("zbcde", problem.X.T, strict=True))))


@pytest.mark.parametrize("task", ["regression", "multioutput", "multilabel"])
@pytest.mark.parametrize("kind", [pd, pl])
def test_targets_and_weights_of_frames(kind, task, make_problem):
    problem = make_problem(task)
    weight = np.arange(60) % 7
    y = kind.Series(problem.y) if problem.y.ndim == 1 else kind.DataFrame(problem.y)
    model = make_model(problem).fit(problem.X, y, sample_weight=kind.Series(weight))
    assert_same_model(model, make_model(problem).fit(problem.X, problem.y, sample_weight=weight))


@pytest.mark.parametrize("kind", [pd, pl])
def test_frames_of_columns_of_classes(kind, make_problem):
    """Columns of different types, of two types of strings, and validation data."""
    problem = make_problem("multiclass")
    columns = {"tree": NAMES[problem.y].tolist(), "number": problem.y.tolist()}
    y, names = kind.DataFrame(columns), kind.DataFrame({"tree": columns["tree"], "other": columns["tree"][::-1]})
    given = {"X_val": problem.X, "y_val": y}
    model = make_model(problem).fit(problem.X, y, **given)
    plain = np.array(list(zip(*columns.values(), strict=True)), dtype=object)
    assert_same_model(model, make_model(problem).fit(problem.X, plain, X_val=problem.X, y_val=plain))
    assert [classes.tolist() for classes in model.classes_] == [NAMES.tolist(), [0, 1, 2]]
    assert model.score(problem.X, y) == model.score(problem.X, plain) == model.best_validation_score_
    in_parts = make_model(problem).partial_fit(problem.X, y, classes=[NAMES, kind.Series([0, 1, 2])])
    assert in_parts.predict(problem.X).shape == (60, 2)
    assert make_model(problem).fit(problem.X, names).predict(problem.X).dtype == NAMES.dtype


def test_float32_frames_give_float32_models(make_problem):
    problem = make_problem("regression")
    X = problem.X.astype(np.float32)
    for frame in (pd.DataFrame(X), pd.DataFrame(X).astype("Float32"), pl.DataFrame(X)):
        model = make_model(problem).fit(frame, problem.y)
        assert model.coefs_[0].dtype == model.predict(frame).dtype == np.float32
    mixed = pl.DataFrame(X).with_columns(flag=pl.Series(problem.y > 0))
    assert make_model(problem).fit(mixed, problem.y).coefs_[0].dtype == np.float64


def test_missing_values_of_frames(make_problem):
    problem = make_problem("regression")
    columns = dict(zip("abcde", problem.X.T.tolist(), strict=True))
    columns["c"][5] = None
    for frame in (pl.DataFrame(columns), pd.DataFrame(columns), pd.DataFrame(columns).convert_dtypes()):
        with pytest.raises(ValueError, match="contains NaN"):
            make_model(problem).fit(frame, problem.y)


# ------------------------------------------------------------------------------------------------------------- sparse


def sparse_rows(n=60):
    rng = np.random.default_rng(0)
    X = rng.integers(-8, 9, size=(n, 12)) / 8  # halves add up without rounding
    X[rng.random(X.shape) < 0.7] = 0.0
    X[3] = 0.0
    return X


def wide_indices(X):
    X.indices, X.indptr = X.indices.astype(np.int64), X.indptr.astype(np.int64)
    return X


def repeated(X):
    """Each entry as two halves, and the flags of the matrix that it was."""
    assert X.has_canonical_format
    X.indptr, X.indices, X.data = 2 * X.indptr, np.repeat(X.indices, 2), np.repeat(X.data / 2, 2)
    return X


def unsorted(X):
    for start, stop in zip(X.indptr[:-1], X.indptr[1:], strict=True):
        X.indices[start:stop], X.data[start:stop] = X.indices[start:stop][::-1].copy(), X.data[start:stop][::-1].copy()
    return X


def too_long(X):
    X.indices, X.data = np.append(X.indices, [0, 0]), np.append(X.data, [1.0, 2.0]).astype(X.dtype)
    return X


def frozen(X):
    for part in (X.data, X.indices, X.indptr):
        part.flags.writeable = False
    return X


UNUSUAL = {f.__name__: f for f in (wide_indices, repeated, unsorted, too_long, frozen)}


def parts(X):
    return [np.array(part) for part in (X.data, X.indices, X.indptr)]


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("how", UNUSUAL)
@pytest.mark.parametrize("container", ["csr_matrix", "csr_array", "csc_array"])
def test_unusual_sparse_tables(container, how, dtype, solver, make_problem):
    problem = make_problem("multiclass")
    canonical = scipy.sparse.csr_array(sparse_rows().astype(dtype))
    given = UNUSUAL[how](getattr(scipy.sparse, container)(canonical))
    before = parts(given)
    assert_same_fits(problem, given, canonical, solver=solver, penalty="l1", alpha=0.01)
    for old, new in zip(before, parts(given), strict=True):
        assert_array_equal(old, new)
        assert old.dtype == new.dtype


@pytest.mark.parametrize("container", ["coo", "lil", "dok", "dia", "bsr"])
def test_other_sparse_containers(container, make_problem):
    problem = make_problem("multiclass")
    canonical = scipy.sparse.csr_array(sparse_rows())
    assert_same_fits(problem, canonical.asformat(container), canonical)


@pytest.mark.parametrize("kind", [np.float16, np.int8, bool])
def test_sparse_tables_of_other_numbers(kind, make_problem):
    problem = make_problem("multiclass")
    X = (8 * sparse_rows()).astype(kind)
    given = scipy.sparse.csc_array(X) if kind != np.float16 else scipy.sparse.csc_array(X.astype(np.float32))
    assert_same_fits(problem, given, scipy.sparse.csr_array(X.astype(np.float64)), dtype="float64")


def test_a_frame_of_sparse_columns(make_problem):
    problem = make_problem("multiclass")
    canonical = scipy.sparse.csr_array(sparse_rows())
    assert_same_fits(problem, pd.DataFrame.sparse.from_spmatrix(canonical), canonical)


def test_repeated_entries_too_large_together(make_problem):
    problem = make_problem("regression")
    X = scipy.sparse.csr_array((np.full(4, 3e38, dtype=np.float32), [0, 1, 2, 2], [0, 1, 2, 4]), shape=(3, 3))
    with pytest.raises(ValueError, match="repeated entries whose sum is too large for float32"):
        make_model(problem, batch_size=2).fit(X, problem.y[:3])


def test_the_certificate_of_repeated_entries_is_no_larger_than_one(make_problem):
    """Each value as 1 + x and -1: the row's norm is that of x."""
    problem = make_problem("regression")
    X = np.ones((60, 1)) / 1024
    repeats = scipy.sparse.csr_array(
        (np.tile([1 + 1 / 1024, -1.0], 60), np.zeros(120, int), np.arange(0, 121, 2)), (60, 1)
    )
    model = make_model(problem, hidden_layer_sizes=(), alpha=0.0).fit(X, problem.y)
    assert stationarity(model, repeats, problem.y) == stationarity(model, scipy.sparse.csr_array(X), problem.y)


# ---------------------------------------------------------------------------------------------- rows of weight zero


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("container", [np.asarray, scipy.sparse.csr_array])
@pytest.mark.parametrize("shuffle", [True, "block"])
def test_rows_of_weight_zero_are_no_rows(shuffle, container, solver, early_stopping, make_problem):
    """They are skipped without a copy of the others. Their targets may be anything."""
    problem = make_problem("multiclass", n_samples=90)
    X = container(problem.X if container is np.asarray else sparse_rows(90))
    weight = np.where(np.arange(90) % 3 == 1, 0.0, 1.0 + np.arange(90) % 4)
    kept = weight > 0
    y = np.where(kept, problem.y, 7)
    model, expected = (make_model(problem, solver=solver, shuffle=shuffle, early_stopping=early_stopping) for _ in "ab")
    model.fit(X, y, sample_weight=weight)
    expected.fit(X[kept], y[kept], sample_weight=weight[kept])
    assert_same_model(model, expected)
    assert model.history_["data_loss"] == expected.history_["data_loss"]
    assert model.history_["validation_loss"] == expected.history_["validation_loss"]
    assert stationarity(model, X, y, weight) == stationarity(model, X[kept], y[kept], weight[kept])


@pytest.mark.parametrize("scoring", [None, "loss", "accuracy"])
@pytest.mark.parametrize("container", [np.asarray, scipy.sparse.csr_array])
def test_validation_rows_of_weight_zero(container, scoring, make_problem):
    problem = make_problem("binary")
    X, X_val = container(problem.X[:40]), container(problem.X[40:])
    y, y_val, weight = problem.y[:40], problem.y[40:], np.arange(20) % 3
    kept = weight > 0
    model, expected = (make_model(problem, validation_scoring=scoring, early_stopping=True) for _ in "ab")
    model.fit(X, y, X_val=X_val, y_val=y_val, sample_weight_val=weight)
    expected.fit(X, y, X_val=X_val[kept], y_val=y_val[kept], sample_weight_val=weight[kept])
    assert model.validation_scores_ == expected.validation_scores_
    assert_same_model(model, expected)


@pytest.mark.parametrize("scoring", ["loss", "accuracy"])
def test_held_out_rows_among_those_of_positive_weight(scoring, make_problem):
    problem = make_problem("binary", n_samples=90)
    weight = np.arange(90) % 3
    kept = weight > 0
    model, expected = (make_model(problem, validation_scoring=scoring, early_stopping=True) for _ in "ab")
    model.fit(problem.X, problem.y, sample_weight=weight)
    expected.fit(problem.X[kept], problem.y[kept], sample_weight=weight[kept])
    assert model.validation_scores_ == expected.validation_scores_
    assert_same_model(model, expected)

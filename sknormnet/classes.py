"""How classes become what a loss takes, and how raw predictions become classes: one column, several, or labels.

An encoding is made of fitted attributes whenever one is needed; it is no fitted state.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from numbers import Real
from typing import Any

import numpy as np
from sklearn.metrics import accuracy_score
from sklearn.utils.multiclass import check_classification_targets, type_of_target, unique_labels

from sknormnet.losses import Loss
from sknormnet.losses.heads import Heads
from sknormnet.problem import Target
from sknormnet.validation import check_outputs


class Encoding(ABC):
    """What an estimator has to know about the classes of its target.

    Attributes
    ----------
    classes : ndarray or list of ndarray
        The estimator's `classes_`.
    n_label_columns : int or None
        Of an indicator matrix.
    """

    classes: Any
    n_label_columns: int | None = None

    @abstractmethod
    def check_classes(self, classes: Any) -> None:
        """Raise ValueError where a later call of partial_fit names other classes than the first."""

    @abstractmethod
    def encode(self, y: np.ndarray, dtype: np.dtype) -> Target:
        """y in the numbers that the loss takes; ValueError where y is not of the kind that was first fitted."""

    @abstractmethod
    def outputs(self, loss: Loss) -> tuple[Loss, int]:
        """The loss of the whole target, made of the one that the user chose, and its number of raw columns."""

    @abstractmethod
    def numbers(self, raw: np.ndarray, loss: Loss) -> np.ndarray:
        """What raw predicts, in the form of an encoded target; loss is that of the whole target."""

    @abstractmethod
    def decode(self, numbers: np.ndarray) -> np.ndarray:
        """Classes of an encoded target, in the form of y."""

    @abstractmethod
    def decision(self, raw: np.ndarray, loss: Loss) -> Any:
        """What decision_function returns."""

    @abstractmethod
    def probabilities(self, raw: np.ndarray, loss: Loss, log: bool) -> Any:
        """Probabilities of the classes, or their logarithms."""

    @abstractmethod
    def class_weights(self, class_weight: Any, y: np.ndarray) -> Any:
        """The parameter class_weight with y's frequencies made numbers: a dict, or a list with one for each column."""

    @abstractmethod
    def row_weights(self, class_weights: Any, y: np.ndarray) -> np.ndarray | None:
        """Factors of the sample weights; None where y, which `encode` will refuse, is not of the kind first fitted."""

    def score(self, y: Any, prediction: np.ndarray, sample_weight: Any) -> float:
        """Share of the rows in which every column is predicted as it is."""
        return accuracy_score(y, prediction, sample_weight=sample_weight)  # which tells of mistakes in y


class ColumnEncoding(Encoding):
    """Classes in one column become their numbers in the sorted `classes`."""

    def __init__(self, classes: np.ndarray):
        self.classes = classes

    @classmethod
    def of(cls, y: np.ndarray, classes: Any = None) -> "ColumnEncoding":
        """With the classes that are named, or else those of y."""
        present = unique_labels(_checked_column(y) if classes is None else classes)
        if len(present) < 2:
            raise ValueError(
                f"y has one class only, {present.tolist()} (of the rows with a positive weight); a classifier needs at "
                "least two classes"
            )
        return cls(present)

    def score(self, y: Any, prediction: np.ndarray, sample_weight: Any) -> float:
        y = np.asarray(y)
        if y.shape != prediction.shape or y.dtype.kind != prediction.dtype.kind or y.dtype.kind not in "biuUS":
            return super().score(y, prediction, sample_weight)
        return share(y == prediction, sample_weight)  # accuracy_score takes longer than predicting

    def check_classes(self, classes: Any) -> None:
        if not np.array_equal(unique_labels(classes), self.classes):
            raise ValueError(
                f"classes={unique_labels(classes).tolist()} differ from the first call's {self.classes.tolist()}"
            )

    def encode(self, y: np.ndarray, dtype: np.dtype) -> Target:
        present = unique_labels(_checked_column(y))
        unknown = np.setdiff1d(present, self.classes)
        if len(unknown):
            raise ValueError(
                f"y has classes {unknown.tolist()}, which are not among the fitted ones, {self.classes.tolist()}; "
                "leave such rows out, or fit anew with all classes, which the first call of partial_fit names"
            )
        numbers = np.searchsorted(self.classes, y.astype(present.dtype, copy=False))
        return Target(numbers.astype(dtype)[:, np.newaxis], y, stratify=numbers)

    def outputs(self, loss: Loss) -> tuple[Loss, int]:
        return loss, check_outputs(loss, 1, len(self.classes))

    def numbers(self, raw: np.ndarray, loss: Loss) -> np.ndarray:
        return raw > 0 if raw.shape[1] == 1 else raw.argmax(axis=1)[:, np.newaxis]

    def decode(self, numbers: np.ndarray) -> np.ndarray:
        return self.classes[numbers[:, 0].astype(np.intp)]

    def decision(self, raw: np.ndarray, loss: Loss) -> np.ndarray:
        if raw.shape[1] == 2:
            return raw[:, 1] - raw[:, 0]
        return raw[:, 0] if raw.shape[1] == 1 else raw

    def probabilities(self, raw: np.ndarray, loss: Loss, log: bool) -> np.ndarray:
        link = loss.link(1, raw.shape[1])
        inverse = link.log_inverse if log else link.inverse
        p = inverse(raw)
        if raw.shape[1] > 1:
            return p
        if link.symmetric:
            return np.hstack([inverse(-raw), p])
        return np.hstack([np.log1p(-link.inverse(raw)) if log else 1 - p, p])

    def class_weights(self, class_weight: Any, y: np.ndarray) -> dict[Any, float]:
        present, counts = np.unique(_checked_column(y), return_counts=True)
        if isinstance(class_weight, str):  # "balanced"
            return dict(zip(present.tolist(), (len(y) / (len(present) * counts)).tolist(), strict=True))
        if not isinstance(class_weight, dict):
            raise ValueError(
                f"class_weight of one column of classes must be 'balanced' or a dict, got {class_weight!r}"
            )
        known = self.classes.tolist()
        unknown = set(class_weight) - set(known) - set(present.tolist())  # y may have those that weights of 0 leave out
        if unknown:
            raise ValueError(f"class_weight names {sorted(unknown, key=str)}, which are no classes: {known}")
        for label, weight in class_weight.items():
            if isinstance(weight, bool) or not isinstance(weight, Real) or not 0 <= float(weight) < np.inf:
                raise ValueError(f"class_weight must be finite numbers >= 0, got {weight!r} for class {label!r}")
        return dict(class_weight)

    def row_weights(self, class_weights: dict[Any, float], y: np.ndarray) -> np.ndarray | None:
        if y.ndim != 1:
            return None
        present, numbers = np.unique(_checked_column(y), return_inverse=True)
        return np.array([class_weights.get(label, 1.0) for label in present.tolist()])[numbers]


class ColumnsEncoding(Encoding):
    """Classes in several columns: each is encoded alone and has a head, raw columns of its own."""

    def __init__(self, classes: Sequence[np.ndarray]):
        self.columns = [ColumnEncoding(of_column) for of_column in classes]
        self.classes = list(classes)

    @classmethod
    def of(cls, y: np.ndarray, classes: Any = None) -> "ColumnsEncoding":
        """With the classes that are named for each column, or else those of y."""
        named = [None] * y.shape[1] if classes is None else _by_column(classes, y.shape[1])
        return cls([column.classes for column in _each(ColumnEncoding.of, _columns(y), named)])

    def check_classes(self, classes: Any) -> None:
        named = _by_column(classes, len(self.columns))
        _each(ColumnEncoding.check_classes, self.columns, named)

    def encode(self, y: np.ndarray, dtype: np.dtype) -> Target:
        targets = _each(lambda column, labels: column.encode(labels, dtype).y, self.columns, self._columns(y))
        return Target(np.hstack(targets), y)

    def _columns(self, y: np.ndarray) -> list[np.ndarray]:
        n_columns = y.shape[1] if y.ndim == 2 else 1
        if n_columns != len(self.columns):
            raise ValueError(f"y has {n_columns} column(s), the first fit had {len(self.columns)} columns of classes")
        return _columns(y)

    def outputs(self, loss: Loss) -> tuple[Loss, int]:
        widths = _each(lambda column: column.outputs(loss)[1], self.columns)
        return Heads(loss, widths), sum(widths)

    def numbers(self, raw: np.ndarray, loss: Any) -> np.ndarray:
        return np.hstack(self._by_head(ColumnEncoding.numbers, raw, loss))

    def decode(self, numbers: np.ndarray) -> np.ndarray:
        kinds = {classes.dtype.kind for classes in self.classes}
        dtype = np.result_type(*self.classes) if len(kinds) == 1 else object
        y = np.empty(numbers.shape, dtype=dtype)
        for j, column in enumerate(self.columns):
            y[:, j] = column.decode(numbers[:, [j]])
        return y

    def decision(self, raw: np.ndarray, loss: Any) -> list[np.ndarray]:
        return self._by_head(ColumnEncoding.decision, raw, loss)

    def probabilities(self, raw: np.ndarray, loss: Any, log: bool) -> list[np.ndarray]:
        return self._by_head(ColumnEncoding.probabilities, raw, loss, log)

    def _by_head(self, method: Callable[..., np.ndarray], raw: np.ndarray, loss: Heads, *arguments: Any) -> list:
        parts = zip(self.columns, loss.split(raw), strict=True)
        return [method(column, part, loss.loss, *arguments) for column, part in parts]

    def class_weights(self, class_weight: Any, y: np.ndarray) -> list[dict[Any, float]]:
        if isinstance(class_weight, str):  # "balanced"
            class_weight = [class_weight] * len(self.columns)
        elif isinstance(class_weight, dict) or not all(isinstance(of_column, dict) for of_column in class_weight):
            raise ValueError(
                "class_weight of several columns of classes must be 'balanced' or a list of dicts, one for each column"
            )
        elif len(class_weight) != len(self.columns):
            raise ValueError(f"class_weight has {len(class_weight)} dicts, y has {len(self.columns)} columns")
        return _each(ColumnEncoding.class_weights, self.columns, class_weight, self._columns(y))

    def row_weights(self, class_weights: list[dict[Any, float]], y: np.ndarray) -> np.ndarray | None:
        if y.ndim != 2 or y.shape[1] != len(self.columns):
            return None
        factors = _each(ColumnEncoding.row_weights, self.columns, class_weights, _columns(y))
        with np.errstate(over="ignore"):
            return np.prod(factors, axis=0)

    def score(self, y: Any, prediction: np.ndarray, sample_weight: Any) -> float:
        y = np.asarray(y.toarray() if hasattr(y, "toarray") else y)
        if y.shape != prediction.shape:
            raise ValueError(f"y must have the shape of the prediction, {prediction.shape}; got {y.shape}")
        return share((y == prediction).all(axis=1), sample_weight)


class LabelsEncoding(Encoding):
    """An indicator matrix of labels stays what it is."""

    def __init__(self, n_label_columns: int):
        self.n_label_columns: int = n_label_columns
        self.classes = np.arange(n_label_columns)

    def check_classes(self, classes: Any) -> None:
        """Labels have no other names than their columns' numbers."""

    def encode(self, y: np.ndarray, dtype: np.dtype) -> Target:
        if y.ndim != 2:
            raise ValueError(f"y must be an indicator matrix with {self.n_label_columns} columns, as in the first fit")
        outside = (y != 0) & (y != 1)
        if outside.any():
            raise ValueError(
                f"an indicator matrix of labels holds 0 and 1 only; y has {outside.sum()} other values, the first is "
                f"{y[outside][0]}. If its columns are two classes each, pass y.astype(str)"
            )
        if y.shape[1] != self.n_label_columns:
            raise ValueError(f"y has {y.shape[1]} columns of labels, the first fit had {self.n_label_columns}")
        return Target(np.ascontiguousarray(y, dtype=dtype), y)

    def outputs(self, loss: Loss) -> tuple[Loss, int]:
        return loss, check_outputs(loss, self.n_label_columns, None)

    def numbers(self, raw: np.ndarray, loss: Loss) -> np.ndarray:
        return raw > 0

    def decode(self, numbers: np.ndarray) -> np.ndarray:
        return numbers.astype(np.int64)

    def decision(self, raw: np.ndarray, loss: Loss) -> np.ndarray:
        return raw

    def probabilities(self, raw: np.ndarray, loss: Loss, log: bool) -> np.ndarray:
        link = loss.link(self.n_label_columns, raw.shape[1])
        return link.log_inverse(raw) if log else link.inverse(raw)

    def class_weights(self, class_weight: Any, y: np.ndarray) -> Any:
        raise ValueError(
            "class_weight is for classes in one column or several; weigh samples of labels by sample_weight"
        )

    def row_weights(self, class_weights: Any, y: np.ndarray) -> None:
        return None


def first_encoding(y: np.ndarray, classes: Any, *, need_classes: bool) -> Encoding:
    """The encoding of a fit that does not go on from another one; classes are what partial_fit was given."""
    each_named = bool(np.iterable(classes) and {np.ndim(of_column) for of_column in classes} == {1})
    if y.ndim == 2 and not each_named and y.dtype != object:
        check_classification_targets(y)
        if type_of_target(y, input_name="y") == "multilabel-indicator":
            return LabelsEncoding(y.shape[1])
    if need_classes and classes is None:
        raise ValueError("the first call of partial_fit needs classes=, all the classes that will ever be seen")
    if y.ndim == 2:
        return ColumnsEncoding.of(y, classes)
    if each_named:
        raise ValueError(f"classes= are those of {len(classes)} columns, y has one: give it a list of its classes")
    return ColumnEncoding.of(y, classes)


def fitted_encoding(classes: Any, n_label_columns: int | None) -> Encoding:
    """The encoding that an estimator was fitted with."""
    if n_label_columns is not None:
        return LabelsEncoding(n_label_columns)
    return ColumnsEncoding(classes) if isinstance(classes, list) else ColumnEncoding(classes)


def share(hits: np.ndarray, sample_weight: Any) -> float:
    """Weighted share of the rows that hit."""
    return float(np.average(hits, weights=sample_weight))


def _checked_column(y: np.ndarray) -> np.ndarray:
    if y.ndim != 1:
        raise ValueError(
            f"y has {y.shape[1]} columns, an indicator matrix of labels or several columns of classes; the first fit "
            "had classes in one column"
        )
    check_classification_targets(y)
    return y


def _columns(y: np.ndarray) -> list[np.ndarray]:
    """The columns of y; those of a table of objects as strings or numbers."""
    columns = list(y.T)
    return columns if y.dtype != object else _each(_as_labels, columns)


def _as_labels(column: np.ndarray) -> np.ndarray:
    labels = np.array(column.tolist())
    mixed = labels.dtype.kind == "U" and not all(isinstance(label, str) for label in column)
    if labels.ndim != 1 or labels.dtype.kind not in "biufU" or mixed:
        raise ValueError("its classes must be all strings or all numbers; pass them as strings")
    return labels


def _by_column(classes: Any, n_columns: int) -> list[Any]:
    if len(classes) != n_columns or not all(np.ndim(of_column) == 1 for of_column in classes):
        raise ValueError(f"classes= must be a list with an array of classes for each of the {n_columns} columns of y")
    return list(classes)


def _each(function: Callable[..., Any], *sequences: Iterable[Any]) -> list[Any]:
    """Like map over columns, of which errors tell the number."""
    results = []
    for j, arguments in enumerate(zip(*sequences, strict=True)):
        try:
            results.append(function(*arguments))
        except ValueError as error:
            raise ValueError(f"column {j} of y: {error}") from error
    return results

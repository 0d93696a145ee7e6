"""What holds for any data and any parameters: a fit is sound or is refused for a stated reason.

Never a crash, a hang, or a model that is not finite. Iterations are few, so that a hang is one of the package's own.
"""

import copy
import pickle
import warnings

import joblib
import numpy as np
import pytest
import scipy.sparse as sp
import strategies
from fits import assert_same_model
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone

from sknormnet import NormRegMLPClassifier, NormRegMLPRegressor
from sknormnet.inspection import stationarity
from sknormnet.losses import LOSSES
from sknormnet.plan import resolve_penalties

pytestmark = pytest.mark.filterwarnings("ignore:X does not have valid feature names")

TAME = np.random.default_rng(0).standard_normal((12, 3))
EARLIER = {
    NormRegMLPClassifier: NormRegMLPClassifier((2,), max_iter=1, random_state=0),
    NormRegMLPRegressor: NormRegMLPRegressor((2,), max_iter=1, random_state=0),
}
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    for earlier in EARLIER.values():
        earlier.fit(TAME, np.arange(12) % 3)
# What a refusal names: a parameter, an argument, or the remedy.
NAMED = {name for model in EARLIER.values() for name in model.get_params(deep=False)} | {
    *("X", "y", "weights", "sample_weight", "classes", "class", "samples", "features", "Scale", "scale", "formula"),
}


def succeeds(model, method, *data, **keywords):
    """Whether the call went through; if not, it says why and has changed nothing."""
    before = joblib.hash(vars(model))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("ignore" if strategies.has_own_parts(model) else "error", RuntimeWarning)
            getattr(model, method)(*data, **keywords)
    except (ValueError, TypeError) as error:
        assert NAMED & set(str(error).replace("=", " ").replace(",", " ").split()), str(error)
        assert joblib.hash(vars(model)) == before
        return False
    return True


def rows_of(array, keep):
    return array.tocsr()[keep] if sp.issparse(array) else np.asarray(array)[keep]


def assert_sound(model, X):
    """Everything that is finite of a fit, and predictions of training data of their kind and shape."""
    arrays = model.coefs_ + model.intercepts_
    dtype = arrays[0].dtype
    assert all(np.isfinite(a).all() and a.dtype == dtype for a in arrays)
    assert np.isfinite([model.objective_, model.loss_, *model.loss_curve_]).all()
    n = X.shape[0]
    if isinstance(model, NormRegMLPRegressor):
        prediction = model.predict(X)
        if model.out_activation_ == "exp":  # training sees the logarithm, which is finite where this may overflow
            prediction = np.minimum(prediction, np.finfo(dtype).max)
        assert np.isfinite(prediction).all()
        assert len(prediction) == n and prediction.dtype == dtype
        return
    labels = model.predict(X)
    columns = isinstance(model.classes_, list)
    each_labels = labels.T if columns else [labels]
    for labels, classes, decision in zip(
        each_labels, each(model.classes_), each(model.decision_function(X)), strict=True
    ):
        assert np.isin(labels.astype(classes.dtype), classes if labels.ndim == 1 else [0, 1]).all()
        one_logit = labels.ndim == 1 and len(classes) == 2
        assert decision.shape == ((n,) if one_logit else (n, len(classes)))
        assert not np.isnan(decision).any()  # log-odds may be infinite: the loss is zero then
    if hasattr(model, "predict_proba"):
        tables = each(model.predict_proba(X)), each(model.predict_log_proba(X))
        for classes, p, log_p in zip(each(model.classes_), *tables, strict=True):
            assert p.shape == log_p.shape == (n, len(classes))
            assert p.dtype == dtype and (p >= 0).all() and (p <= 1).all()
            assert (log_p <= 0).all()
            if columns or labels.ndim == 1:
                # each probability and each addition rounds once
                assert_allclose(p.sum(axis=1), 1, rtol=0, atol=8 * np.finfo(dtype).eps)


def each(of_columns):
    """What a model has for each column of classes; it has no list where there is one column."""
    return of_columns if isinstance(of_columns, list) else [of_columns]


def trained_rows(case):
    """Rows that the objective has: nothing keeps the outputs of others finite."""
    if case.sample_weight is None:
        return case.X
    return rows_of(case.X, case.sample_weight > 0)


@given(strategies.cases())
def test_a_fit_is_sound_or_refused(case):
    model = copy.deepcopy(EARLIER[case.Estimator]).set_params(**case.params)
    given_data = joblib.hash(case.data)
    fitted = succeeds(model, "fit", *case.data, **case.validation)
    assert joblib.hash(case.data) == given_data
    if not fitted:
        return
    if case.validation or not model.early_stopping:
        assert_sound(model, trained_rows(case))
    again = clone(model)
    assert succeeds(again, "fit", *case.data, **case.validation)
    assert_same_model(model, again)
    copied = pickle.loads(pickle.dumps(model))
    assert_array_equal(copied.predict(case.other_X), model.predict(case.other_X))


def named_classes(y):
    """Keywords of partial_fit; indicator matrices need none."""
    if y.ndim == 1:
        return {"classes": np.unique(y)}
    return {"classes": [np.unique(column) for column in y.T.tolist()]} if y.dtype == object else {}


STEPS = st.lists(st.sampled_from(["fit", "partial_fit", "shuffled partial_fit"]), min_size=2, max_size=3)


@given(strategies.cases(warm_start=True), STEPS)
def test_going_on_is_sound_or_refused(case, steps):
    model = case.model()
    rng = np.random.default_rng(0)
    for step in steps:
        data, keywords = case.data, {}
        if step != "fit" and not hasattr(model, "partial_fit"):
            continue
        if step == "shuffled partial_fit":
            data = tuple(None if a is None else rows_of(a, rng.permutation(len(case.y))) for a in data)
        if step != "fit" and isinstance(model, NormRegMLPClassifier):
            keywords = named_classes(case.y)
        if not succeeds(model, step.split()[-1], *data, **keywords):
            break
        if not model.early_stopping:
            assert_sound(model, trained_rows(case))
    else:
        if hasattr(model, "coefs_"):
            copied = pickle.loads(pickle.dumps(model))
            outcomes = [succeeds(m, "fit", *case.data) for m in (model, copied)]
            assert outcomes[0] == outcomes[1]
            assert_same_model(model, copied)


@given(strategies.cases(wildness=[False]))
def test_what_a_fitted_model_gives(case):
    model = case.model()
    if not succeeds(model, "fit", *case.data):
        return
    method = "predict" if isinstance(model, NormRegMLPRegressor) else "decision_function"
    for small, expected in zip(
        *(each(getattr(m, method)(case.other_X)) for m in (model.compact(), model)), strict=True
    ):
        # the rounding of sums over inputs and units, in float32
        assert_allclose(small, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
    assert (model.feature_importances_ >= 0).all()
    assert 0 <= model.sparsity_ <= 1
    if hasattr(model, "transform"):
        assert model.transform(case.other_X).shape == (4, len(model.intercepts_[-2]))
    if "decay" not in repr(case.params["penalty"]).lower():  # of WeightDecay there is none
        certificate = stationarity(model, *case.data)
        assert certificate.absolute >= 0
        # NaN says that a number overflowed: gradients of exponentials after a long step
        assert np.isnan(certificate.relative) or 0 <= certificate.relative <= 1 + 1e-4


# ------------------------------------------------------------------------------ the same problem in other words

# Functions of draw and a case: changes of its parameters and the data that should give the same model, in bits. What
# they need of the case itself, such as sparse data, they set.


def layout(draw, case):
    layouts = strategies.LAYOUTS
    if draw(st.booleans()) and case.X.dtype != np.float16:
        layouts = strategies.SPARSE_LAYOUTS
        case.X = layouts["csr"](case.X)
    convert = layouts[draw(st.sampled_from(list(layouts)))]
    return {}, (convert(case.X), case.y, case.sample_weight)


def weights_times_a_number(draw, case):
    if case.sample_weight is not None:
        factor = 4.0 if case.sample_weight.max() < 1e300 else 0.25  # exact
        return {}, (case.X, case.y, factor * case.sample_weight)
    factor = draw(st.sampled_from([2.0, 0.3, 1e-300, 1e300]))
    return {}, (case.X, case.y, np.full(len(case.y), factor))


def rows_of_weight_zero(draw, case):
    n = len(case.y)
    weight = np.ones(n) if case.sample_weight is None else case.sample_weight
    where = draw(st.lists(st.integers(0, n), min_size=1, max_size=5))
    more = np.insert(np.arange(n), where, 0)
    return {}, (case.X[more], case.y[more], np.insert(weight, where, 0.0))


def dtype(draw, case):
    as_float64 = case.X.dtype != np.float32 and case.params.get("dtype") != "float32"
    return {}, (case.X.astype(np.float64) if as_float64 else case.X, case.y, case.sample_weight)


def names_of_classes(draw, case):
    names = np.array(["ash", "elm", "oak", "yew"])
    if case.Estimator is NormRegMLPRegressor or np.ndim(case.y) == 2:
        return {}, case.data
    case.params["class_weight"] = None
    return {}, (case.X, names[np.unique(case.y, return_inverse=True)[1]], case.sample_weight)


def one_name_as_many(draw, case):
    n = len(case.params["hidden_layer_sizes"])
    changes = {"layer_weights": [1.0] * (n + 1)} if case.params.get("layer_weights") is None else {}
    if isinstance(case.params["activation"], str) and n > 0:
        changes["activation"] = [case.params["activation"]] * n
    if isinstance(case.params["penalty"], str):
        changes["penalty"] = [case.params["penalty"]] * (n + 1)
    if isinstance(case.params["loss"], str):
        changes["loss"] = LOSSES[case.params["loss"]]()
    return changes, case.data


def penalty_of_no_strength(draw, case):
    case.params.update(alpha=0.0, feature_weights=None, layer_weights=None)
    sizes = (case.X.shape[1], *case.params["hidden_layer_sizes"], 1)
    penalties = resolve_penalties(case.params["penalty"], 0.5, sizes)
    if any(penalty.constraint for penalty in penalties):
        case.params["penalty"] = "l2"
    return {"penalty": "none"}, case.data


SAME = (
    layout,
    weights_times_a_number,
    rows_of_weight_zero,
    dtype,
    names_of_classes,
    one_name_as_many,
    penalty_of_no_strength,
)


@given(st.data(), st.sampled_from(SAME), strategies.cases(layouts=["C"]))
def test_the_same_problem_in_other_words(data, words, case):
    changes, other_data = words(data.draw, case)
    model, other = case.model(), case.model(**changes)
    outcomes = succeeds(model, "fit", *case.data), succeeds(other, "fit", *other_data)
    assert outcomes[0] == outcomes[1]
    if outcomes[0]:
        assert_same_model(model, other)

"""Files of checkpoints: written whole or not at all, read without executing anything, looked at before use."""

import io
import json
import os
import pickle
import zipfile

import numpy as np
import pytest
from checkpoints import KeepAll, assert_same_fit, killed
from fits import halves, make_model

from sknormnet import checkpoint, storage
from sknormnet.callbacks import Checkpoint, resume

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.usefixtures("no_fsync"),
]


@pytest.fixture
def problem(make_problem):
    return make_problem("regression")


@pytest.fixture
def path(problem, tmp_path):
    """Of a fit of 6 epochs with early stopping that was killed in its fourth."""
    return killed(make_model(problem, early_stopping=True), tmp_path / "fit.npz", 4, problem.X, problem.y)


# ------------------------------------------------------------------------------------------------------ writing


def fail_at(name, monkeypatch):
    """Let a step of writing fail after it has done half of its work, in the second save and later ones."""
    target, attribute = {"savez": (np, "savez"), "fsync": (os, "fsync"), "replace": (os, "replace")}[name]
    original, calls = getattr(target, attribute), []

    def failing(*args, **kwargs):
        calls.append(1)
        first = calls[: 2 if name == "fsync" and os.name == "posix" else 1]  # of the file and of its folder
        if len(calls) <= len(first):
            return original(*args, **kwargs)
        if name == "savez":
            args[0].write(b"half a file")
        raise OSError("no space left on device")

    monkeypatch.setattr(target, attribute, failing)


@pytest.mark.parametrize("step", ["savez", "fsync", "replace"])
def test_failing_save_leaves_the_one_before(step, problem, tmp_path, monkeypatch):
    path = tmp_path / "fit.npz"
    fail_at(step, monkeypatch)
    first = KeepAll(path)
    model = make_model(problem).set_callbacks(Checkpoint(path, every_epochs=2), first)
    with pytest.raises(OSError, match="no space"):
        model.fit(problem.X, problem.y)
    monkeypatch.undo()
    assert not hasattr(model, "coefs_")
    assert len(first.kept) == 2 and sorted(tmp_path.iterdir()) == [path, *first.kept]  # no remains of the second save
    assert path.read_bytes() == first.kept[0].read_bytes()
    assert_same_fit(resume(path, problem.X, problem.y), make_model(problem).fit(problem.X, problem.y))


def test_the_new_file_is_on_the_disk_before_it_replaces_the_old_one(tmp_path, monkeypatch):
    done = []
    monkeypatch.setattr(os, "fsync", lambda file: done.append("fsync"))
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda *args: done.append("replace") or replace(*args))
    storage.write(tmp_path / "fit.npz", {}, {"array_0": np.zeros(10**5)})
    assert done[:2] == ["fsync", "replace"]


# ------------------------------------------------------------------------------------------------------ reading


class Bomb:
    def __reduce__(self):
        return exec, ("raise SystemExit('executed')",)


def members(path):
    with np.load(path) as file:
        return dict(file)


def rewritten(path, change):
    """A sound file with other contents: change(tree, arrays)."""
    arrays = members(path)
    tree = json.loads(arrays.pop("json").tobytes())
    change(tree, arrays)
    storage.write(path, tree, arrays)
    return path


def write_pickle(path):
    path.write_bytes(pickle.dumps(Bomb()))


def write_npy(path):
    with open(path, "wb") as file:
        np.save(file, np.array([Bomb()], dtype=object), allow_pickle=True)


def write_object_member(path):
    arrays = members(path)
    arrays["array_0"] = np.array([Bomb()], dtype=object)
    np.savez(path, **arrays)


def write_object_text(path):
    np.savez(path, **members(path) | {"json": np.array([Bomb()], dtype=object)})


def write_other_zip(path):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("json.npy", pickle.dumps(Bomb()))


@pytest.mark.parametrize("write", [write_pickle, write_npy, write_object_member, write_object_text, write_other_zip])
def test_pickles_are_not_executed(write, problem, path):
    write(path)
    with pytest.raises(ValueError, match=r"fit\.npz is not a checkpoint, or it is damaged"):
        resume(path, problem.X, problem.y)


def test_any_damage_is_noticed(problem, path):
    """Cut off anywhere, or any byte changed: an error that names the file, or the fit as it should be."""
    whole = make_model(problem, early_stopping=True).fit(problem.X, problem.y)
    sound = path.read_bytes()
    rng = np.random.default_rng(0)
    damaged = [sound[:n] for n in (0, 1, 100, len(sound) // 2, len(sound) - 30, len(sound) - 1)]
    for position in rng.integers(0, len(sound), 150):
        damaged.append(sound[:position] + bytes([sound[position] ^ rng.integers(1, 256)]) + sound[position + 1 :])
    n_refused = 0
    for content in damaged:
        path.write_bytes(content)
        try:
            model = resume(path, problem.X, problem.y, callbacks=())
        except ValueError as error:
            assert str(path) in str(error)
            n_refused += 1
        else:  # dates of a zip file's members and the like
            model.set_callbacks()
            assert_same_fit(model, whole)
    assert n_refused > 0.5 * len(damaged)


@pytest.mark.parametrize("content", [{}, [], 1, {"format": "another"}])
def test_foreign_files(content, problem, path):
    storage.write(path, content, {})
    with pytest.raises(ValueError, match="is not a checkpoint"):
        resume(path, problem.X, problem.y)


def in_dict(tree, *keys):
    """The pair [key, value] of nested dicts, in the form of a file."""
    for key in keys:
        pair = next(pair for pair in tree["dict"] if pair[0] == key)
        tree = pair[1]
    return pair


def state(*keys):
    return lambda tree: in_dict(tree["attributes"]["_training_state"], *keys)


def set_value(where, value):
    def change(tree, arrays):
        where(tree)[1] = value(where(tree)[1]) if callable(value) else value

    return change


def set_array(where, change_array):
    def change(tree, arrays):
        name = where(tree)[1]["array"]
        arrays[name] = change_array(arrays[name])

    return change


def set_entry(group, name, value):
    def change(tree, arrays):
        (tree[group] if group else tree)[name] = value

    return change


def with_nan(array):
    return np.where(np.arange(len(array)) == 1, np.nan, array)


def coefs(change_array):
    def change(tree, arrays):
        name = tree["attributes"]["coefs_"][0]["array"]
        arrays[name] = change_array(arrays[name])

    return change


TAMPERED = {
    "version": (set_entry(None, "version", 2), "version 2, this package reads version 1"),
    "no version": (lambda tree, arrays: tree.pop("version"), "version"),
    "estimator": (set_entry(None, "estimator", "Popen"), "Popen"),
    "parameter": (set_entry("parameters", "gamma", 1), "gamma"),
    "part": (set_entry("parameters", "loss", {"part": "Popen", "parameters": {"dict": []}}), "Popen"),
    "kind": (set_entry("parameters", "loss", {"call": "os.system"}), "'call', which is unknown"),
    "method": (set_entry("attributes", "predict", 1), "predict is no fitted attribute"),
    "attribute that is a parameter": (set_entry("attributes", "alpha", -1), "alpha is no fitted attribute"),
    "other classes": (set_entry("attributes", "n_outputs_", 7), "coefs_"),
    "a row less": (coefs(lambda W: W[:-1]), "coefs_"),
    "another dtype": (coefs(lambda W: W.astype(np.float32)), "coefs_"),
    "NaN": (coefs(lambda W: np.full_like(W, np.nan)), "NaN"),
    "moments": (set_array(state("optimizer", "first"), lambda m: m[:-1]), "first moments"),
    "NaN moments": (set_array(state("optimizer", "second"), with_nan), "second moments"),
    "best": (set_array(state("under_way", "best_theta"), lambda t: t[:-1]), "best parameters"),
    "infinite best": (set_array(state("under_way", "best_theta"), lambda t: t + np.inf), "best parameters"),
    "order": (set_array(state("optimizer", "order"), lambda o: o - 100), "order"),
    "order of floats": (set_array(state("optimizer", "order"), lambda o: o + 0.5), "order"),
    "epochs": (set_value(state("under_way", "n_epochs"), 1000), "epochs"),
    "steps": (set_value(state("optimizer", "steps_done"), "7"), "steps_done"),
    "solver": (set_value(state("solver"), "sgd"), "parameters"),
    "history": (set_entry("attributes", "history_", {"dict": []}), "history_"),
    "bit generator": (set_value(state("rng", "bit_generator"), "sys"), "'sys', which is not NumPy's"),
    "place": (set_value(state("rng", "state", "pos"), 10**6), "outside its buffer"),
    "negative place": (set_value(state("before_split", "state", "pos"), -1), "outside its buffer"),
    "progress": (set_value(state("under_way", "progress"), {"tuple": [1.0, "x"]}), "three numbers"),
    "no state": (lambda tree, arrays: tree["attributes"].pop("_training_state"), "_training_state"),
    "lost array": (lambda tree, arrays: arrays.pop("array_0"), "array_0"),
    "checkpoint": (set_entry(None, "checkpoint", {"dict": [["every_epochs", -1]]}), "every_epochs"),
}


@pytest.mark.parametrize("change", TAMPERED)
def test_tampered_files(change, problem, path):
    change, cause = TAMPERED[change]
    rewritten(path, change)
    with pytest.raises(ValueError, match=rf"fit\.npz .*damaged: .*{cause}"):
        resume(path, problem.X, problem.y)


def test_a_file_is_plain_npz(path):
    """So that other tools can read it."""
    arrays = members(path)
    tree = json.loads(arrays["json"].tobytes())
    assert tree["estimator"] == "NormRegMLPRegressor" and tree["parameters"]["solver"] == "adam"
    assert all(array.dtype != object for array in arrays.values())


# --------------------------------------------------------------------------------------------------------- data


OTHER_DATA = {
    "X": lambda X, y, own: ((X + 1e-9, y), own, "X is not the one that the fit had: .* with other values"),
    "a row": lambda X, y, own: ((X[1:], y[1:]), own, r"X is .* of shape \(39, 5\) and not float64 of shape \(40, 5\)"),
    "a column": lambda X, y, own: ((X[:, 1:], y), own, "5 features"),
    "dtype": lambda X, y, own: ((X.astype(np.float32), y), own, "X is .* float32 .* and not float64"),
    "y": lambda X, y, own: ((X, y[::-1]), own, "y is not the one"),
    "targets": lambda X, y, own: ((X, np.c_[y, y]), own, "targets"),
    "weight": lambda X, y, own: ((X, y, np.linspace(1, 2, len(y))), own, "sample_weight is given"),
    "no X_val": lambda X, y, own: ((X, y), {}, "the fit had X_val"),
    "X_val": lambda X, y, own: ((X, y), {**own, "X_val": own["X_val"] * 2}, "X_val is not the one"),
    "y_val": lambda X, y, own: ((X, y), {**own, "y_val": own["y_val"] * 2}, "y_val is not the one"),
}


@pytest.mark.parametrize("finished", [False, True])
@pytest.mark.parametrize("change", OTHER_DATA)
def test_other_data_are_refused(change, finished, problem, tmp_path):
    data, own = halves(problem)
    model, path = make_model(problem), tmp_path / "fit.npz"
    if finished:
        model.set_callbacks(Checkpoint(path)).fit(*data, **own)
    else:
        killed(model, path, 3, *data, **own)
    before = path.read_bytes()
    args, kwargs, cause = OTHER_DATA[change](*data, own)
    with pytest.raises(ValueError, match=cause):
        resume(path, *args, **kwargs)
    assert path.read_bytes() == before


def test_values_are_read_as_they_were_written():
    values = {
        "numbers": [1, -(2**200), 0.1, -0.0, 1e-320, np.inf, True, None, "\u00e9\ud800\x00"],
        "scalars": (np.float32(0.1), np.int8(3), np.str_("a"), np.datetime64("2020-01-01"), np.longdouble(1) / 3),
        (1, "key"): {2.5: [], None: ()},
        "arrays": [np.arange(6).reshape(2, 3)[:, ::2], np.zeros((0, 3)), np.array(1.5), np.array(["a", "bc"])],
        "objects": np.array([["a", "b"], ["c\x00", ""]], dtype=object),
        "big endian": np.arange(3, dtype=">f8"),
    }
    encoder = storage.Encoder()
    tree = encoder.encode(values)
    file = io.BytesIO()
    np.savez(file, **encoder.arrays)
    file.seek(0)
    read = storage.decode(json.loads(json.dumps(tree)), dict(np.load(file)))
    assert storage.same(values, read)
    assert repr(read) == repr(values)  # types, too
    assert np.signbit(read["numbers"][3])


@pytest.mark.parametrize("value", [object(), {1}, len, np.array([None]), np.ma.zeros(2), b"a", 1j, np.zeros(1, "i,i")])
def test_values_that_are_not_plain(value):
    with pytest.raises(storage.Foreign):
        storage.Encoder().encode([value])
    assert not storage.same(value, value)


@pytest.mark.parametrize("name", storage.PARTS)
def test_every_part_is_written_by_name_and_parameters(name):
    value = storage.PARTS[name](()) if name == "Sum" else storage.PARTS[name]()
    for parameter in value.get_params(deep=False):
        value.set_params(**{parameter: 0.25})
    encoder = storage.Encoder()
    read = storage.decode(encoder.encode(value), encoder.arrays)
    assert type(read) is type(value) and read.get_params(deep=False) == value.get_params(deep=False)
    subclass = type(name, (type(value),), {"__init__": lambda self: None, "get_params": lambda self, deep: {}})
    with pytest.raises(storage.Foreign):
        encoder.encode(subclass())


def test_ids_are_of_fits(path, problem, tmp_path):
    """What tells two fits at once from two fits in a row."""
    first = checkpoint._id_of(path)
    assert len(first) == 32
    resume(path, problem.X, problem.y)
    assert checkpoint._id_of(path) != first
    assert checkpoint._id_of(tmp_path / "nothing") is None

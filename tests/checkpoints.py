"""Fits that are killed, and what two fits have in common when they end alike."""

import shutil

import numpy as np
from hooks import Silent

from sknormnet.callbacks import Checkpoint, resume


class Kill(Silent):
    """Raises KeyboardInterrupt at the end of an epoch, numbers from 1 on."""

    def __init__(self, at):
        self.at = at

    def on_fit_task_end(self, estimator, context):
        if context.task_name == "epoch" and context.task_id + 1 == self.at:
            raise KeyboardInterrupt


class KeepAll(Silent):
    """Keeps the checkpoint of every epoch; comes after a Checkpoint that saves at each."""

    def __init__(self, path):
        self.path = path
        self.kept = []

    def on_fit_task_begin(self, estimator, context):
        if context.task_name == "epoch":
            self.keep()

    def on_fit_task_end(self, estimator, context):
        if context.task_name == "fit":
            self.keep()

    def keep(self):
        self.kept.append(shutil.copy(self.path, self.path.with_name(f"{self.path.name}.{len(self.kept)}")))


def killed(model, path, at, *args, every_epochs=1, **kwargs):
    """The checkpoint of a fit that ends in its epoch number `at`, of which nothing is saved."""
    try:
        model.set_callbacks(Checkpoint(path, every_epochs=every_epochs), Kill(at)).fit(*args, **kwargs)
    except KeyboardInterrupt:
        return path
    raise AssertionError(f"the fit ended before epoch {at}")


def flat(value, name=""):
    """Leaves of nested dicts and sequences by where they are, but times and callbacks."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key not in ("seconds", "_skl_callbacks"):
                yield from flat(inner, f"{name}.{key}")
    elif isinstance(value, list | tuple):
        yield f"{name}.kind", type(value)
        for i, inner in enumerate(value):
            yield from flat(inner, f"{name}[{i}]")
    elif isinstance(value, np.random.RandomState):
        yield from flat(value.get_state(legacy=False), name)
    elif hasattr(value, "get_params"):
        yield f"{name}.kind", type(value)
        yield from flat(value.get_params(deep=False), name)
    else:
        yield name, value


def assert_same_fit(model, other):
    """All parameters and attributes in bits, the state to go on from included."""
    ours, theirs = dict(flat(vars(model))), dict(flat(vars(other)))
    assert ours.keys() == theirs.keys(), sorted(set(ours) ^ set(theirs))
    for name, value in ours.items():
        expected = theirs[name]
        assert type(value) is type(expected), name
        if isinstance(value, np.ndarray):
            assert value.dtype == expected.dtype and value.shape == expected.shape, name
            assert value.tobytes() == expected.tobytes() if value.dtype != object else (value == expected).all(), name
        else:
            assert value == expected or (value != value and expected != expected), (name, value, expected)


def check_every_epoch(make, path, *args, estimator=None, **kwargs):
    """Resume from the start, from every epoch and from the end; make() is an unfitted estimator."""
    whole = make().fit(*args, **kwargs)
    keeper = KeepAll(path)
    watched = make().set_callbacks(Checkpoint(path, every_epochs=1), keeper).fit(*args, **kwargs)
    assert_same_fit(watched, whole)
    assert len(keeper.kept) >= watched.n_iter_ + 1
    for kept in keeper.kept:
        own = {} if estimator is None else {"estimator": make()}
        assert_same_fit(resume(kept, *args, **own, **kwargs), whole)
    return whole

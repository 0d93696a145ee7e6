"""The examples of the gallery run and draw; on few rows, for time."""

import runpy
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
import sklearn.datasets
from pictures import assert_texts_apart

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def agg(monkeypatch):
    plt.switch_backend("agg")
    monkeypatch.setattr(plt, "show", lambda: None)  # agg would warn that it shows nothing
    yield
    plt.close("all")


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_pixels_of_digits(agg, monkeypatch, capsys):
    X, y = sklearn.datasets.load_digits(return_X_y=True)
    monkeypatch.setattr(sklearn.datasets, "load_digits", lambda *, return_X_y: (X[:300], y[:300]))
    names = runpy.run_path(str(EXAMPLES / "plot_digits_pixels.py"))
    assert names["path"].n_features[-1] == 0
    assert "pixels  accuracy  refitted" in capsys.readouterr().out
    assert len(plt.get_fignums()) == 3
    for number in plt.get_fignums():
        assert_texts_apart(plt.figure(number))

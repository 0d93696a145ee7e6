"""The user guide: its examples run, its tables of losses and penalties are the registries', its measurements hold."""

import doctest
import importlib
import re
from pathlib import Path

import numpy as np
import pytest
import sklearn

from sknormnet import NormRegMLPRegressor
from sknormnet.losses import LOSSES
from sknormnet.penalties import PENALTIES

DOCS = Path(__file__).parents[2] / "docs"
PAGES = [page for page in sorted((DOCS / "user_guide").glob("*.md")) if ">>> " in page.read_text(encoding="utf-8")]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def examples(page):
    """The page's examples. A fence would count as expected output, so it becomes an empty line."""
    text = re.sub("^```.*$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return doctest.DocTestParser().get_doctest(text, {"__name__": "__main__"}, page.name, str(page), 0)


@pytest.fixture
def script(monkeypatch):
    """A script of the folder docs by its name."""
    monkeypatch.syspath_prepend(DOCS)
    return importlib.import_module


def test_pages_with_examples_are_found():
    names = {"losses", "training", "write_your_own_loss", "penalties_and_layer_weights", "write_your_own_penalty"}
    assert {page.stem for page in PAGES} >= names


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_examples_of_a_page_run(page):
    report = []
    failed, _ = doctest.DocTestRunner(optionflags=FLAGS).run(examples(page), out=report.append)
    assert not failed, "".join(report)


@pytest.mark.parametrize(("name", "registry"), [("loss_table", LOSSES), ("penalty_table", PENALTIES)])
def test_table_is_the_registrys(script, name, registry):
    module = script(name)
    _, inside, _ = module.parts(module.PAGE.read_text(encoding="utf-8"))
    assert inside.strip() == module.table().strip(), f"run `python docs/{name}.py --write`"
    assert set(re.findall(r'^\| `"(\w+)"`', inside, re.MULTILINE)) == set(registry)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("penalty", PENALTIES)
def test_table_says_which_solvers_take_a_penalty(script, penalty):
    said = script("penalty_table").solvers(PENALTIES[penalty]())
    for solver in ("adam", "sgd", "fista", "lbfgs"):
        model = NormRegMLPRegressor((), penalty=penalty, alpha=0.1, solver=solver, max_iter=1)
        if said == "all" or solver in said.split(", "):
            model.fit(np.eye(3), np.ones((3, 2)))
        else:
            with pytest.raises(ValueError, match=f"solver='{solver}'"):
                model.fit(np.eye(3), np.ones((3, 2)))


def test_differences_from_scikit_learn_are_measured(script):
    """This package's outcomes always, scikit-learn's in the version that the page names."""
    module = script("sklearn_differences")
    _, inside, _ = module.parts(module.PAGE.read_text(encoding="utf-8"))
    said, measured = ([row.split(" | ") for row in table.strip().splitlines()] for table in (inside, module.table()))
    if not said[0][2].endswith(" " + ".".join(sklearn.__version__.split(".")[:2])):
        said, measured = ([row[:2] + row[3:] for row in table] for table in (said, measured))
    assert said == measured, "run `python docs/sklearn_differences.py --write`"


def test_links_between_pages_lead_somewhere():
    for page in [*(DOCS / "user_guide").glob("*.md"), DOCS.parent / "README.md"]:
        for target in re.findall(r"\]\((?!https?:)([^)#\s]+)(?:#[\w-]+)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"

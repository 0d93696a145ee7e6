"""The user guide: its examples run, and its table of losses is the registry's."""

import doctest
import importlib.util
import re
from pathlib import Path

import pytest

from sknormnet.losses import LOSSES

DOCS = Path(__file__).parents[2] / "docs"
PAGES = [page for page in sorted((DOCS / "user_guide").glob("*.md")) if ">>> " in page.read_text(encoding="utf-8")]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def examples(page):
    """The page's examples. A fence would count as expected output, so it becomes an empty line."""
    text = re.sub("^```.*$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return doctest.DocTestParser().get_doctest(text, {"__name__": "__main__"}, page.name, str(page), 0)


@pytest.fixture(scope="module")
def loss_table():
    spec = importlib.util.spec_from_file_location("loss_table", DOCS / "loss_table.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_pages_with_examples_are_found():
    assert {page.stem for page in PAGES} >= {"losses", "training", "write_your_own_loss"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_examples_of_a_page_run(page):
    report = []
    failed, _ = doctest.DocTestRunner(optionflags=FLAGS).run(examples(page), out=report.append)
    assert not failed, "".join(report)


def test_table_of_losses_is_the_registrys(loss_table):
    _, inside, _ = loss_table.parts(loss_table.PAGE.read_text(encoding="utf-8"))
    assert inside.strip() == loss_table.table().strip(), "run `python docs/loss_table.py --write`"
    assert set(re.findall(r'^\| `"(\w+)"`', inside, re.MULTILINE)) == set(LOSSES)

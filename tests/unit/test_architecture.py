"""Modules import from lower levels only, and every public example runs."""

import ast
import doctest
import importlib
import inspect
import pkgutil
from pathlib import Path

import pytest

import sknormnet

ROOT = Path(sknormnet.__file__).parent
LEVELS = {
    "_core": 0,
    "parameters": 0,
    "activations": 1,
    "initializers": 1,
    "losses": 1,
    "penalties": 1,
    "plan": 2,
    "objective": 3,
    "solvers": 4,
    "problem": 3,
    "held_out": 4,
    "tasks": 4,
    "warm_start": 4.2,
    "storage": 4.5,
    "validation": 4.5,
    "conversion": 4.7,
    "fitted": 4.8,
    "base": 5,
    "classes": 5.5,
    "classifier": 6,
    "regressor": 6,
    "checkpoint": 7.3,
    "callbacks": 7.5,
    "path": 7,
    "cross_validation": 7.2,
    "inspection": 7,
    "plotting": 7.2,
    "stability": 7.2,
    "testing": 7,
    "__init__": 8,
}
SOURCES = sorted(p for p in ROOT.rglob("*.py") if "__pycache__" not in p.parts)
MODULES = sorted(m.name for m in pkgutil.walk_packages(sknormnet.__path__, "sknormnet."))


def room(path):
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            if node.module == "sknormnet":
                yield from (f"sknormnet.{alias.name}" for alias in node.names)
            else:
                yield node.module


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_down(path):
    for name in imports(path):
        if not name.startswith("sknormnet."):
            continue
        target = name.split(".")[1]
        if target != room(path):
            assert LEVELS[target] < LEVELS[room(path)], f"{path.name} imports {name}"


def test_only_validation_uses_private_parts_of_parameter_validation():
    for path in SOURCES:
        if path.name != "validation.py":
            assert not any("_param_validation" in name for name in imports(path)), path


@pytest.mark.parametrize("name", ["sknormnet", *MODULES])
def test_examples(name):
    module = importlib.import_module(name)
    if inspect.getsourcefile(module) is None:
        pytest.skip("compiled")
    result = doctest.testmod(module, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert result.failed == 0


@pytest.mark.parametrize(
    "module", ["sknormnet", *(f"sknormnet.{name}" for name in ("callbacks", "losses", "penalties", "plotting"))]
)
def test_public_names_have_an_example(module):
    module = importlib.import_module(module)
    for name in module.__all__:
        thing = getattr(module, name)
        if (inspect.isclass(thing) and not inspect.isabstract(thing)) or inspect.isfunction(thing):
            assert ">>>" in inspect.getdoc(thing), name

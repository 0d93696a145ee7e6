"""Compiled core: kernels, losses, penalties, network. See README.md beside this file."""

try:
    import sknormnet._core.activations  # noqa: F401
except ModuleNotFoundError as error:
    raise ImportError(
        "sknormnet's compiled modules are missing. If the current folder is its source tree, Python found that instead "
        "of the installed package: start Python elsewhere or with -P, or make an editable install (CONTRIBUTING.md)."
    ) from error

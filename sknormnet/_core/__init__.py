"""Compiled core: kernels, losses, penalties, network. See README.md beside this file."""

"""Callbacks for ``set_callbacks``, beside those of `sklearn.callback`."""

from sknormnet.checkpoint import Checkpoint, resume

__all__ = ["Checkpoint", "resume"]

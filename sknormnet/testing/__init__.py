"""What a part of a model must satisfy: conformance suites for the built-in parts and for users' own."""

from sknormnet.testing.losses import check_loss
from sknormnet.testing.penalties import check_penalty

__all__ = ["check_loss", "check_penalty"]

"""Predicts the energy, time and power of a Transformer training run before it runs."""

from ._core import (
    DataError,
    Error,
    InvalidError,
    MissingError,
    SyntaxError,
    UnknownError,
    __version__,
)

__all__ = [
    "DataError",
    "Error",
    "InvalidError",
    "MissingError",
    "SyntaxError",
    "UnknownError",
    "__version__",
]

"""The compiled half of the package."""

__version__: str

class Error(ValueError):
    """What is wrong, where, and what would be accepted."""

class UnknownError(Error):
    """A name that is in no catalogue and no list of words."""

class InvalidError(Error):
    """A value that is not accepted."""

class MissingError(Error):
    """A required value that is absent."""

class SyntaxError(Error):
    """Text with a syntax error (JSON, TOML, CSV, a formula)."""

class DataError(Error):
    """Data that do not suffice for the request."""

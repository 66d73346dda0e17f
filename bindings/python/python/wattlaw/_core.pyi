"""The compiled half of the package: it converts values and computes without the interpreter's lock."""

from collections.abc import Mapping, Sequence
from typing import Any, final

__all__ = [
    "Answer",
    "Calibration",
    "DataError",
    "Description",
    "Error",
    "FileError",
    "InvalidError",
    "MissingError",
    "Plans",
    "PredictedTable",
    "Rows",
    "Runs",
    "SyntaxError",
    "UnknownError",
    "__version__",
    "plan",
    "record",
    "run",
]

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

class FileError(Error):
    """A file that cannot be read or written."""

def run(words: Sequence[str], /) -> int:
    """Runs the program with its words, of which the first is its name, and returns the exit code."""

def record(folder: str, /) -> tuple[str, str | None]:
    """The record in a folder: its JSON, and the name of the widest scope whose energy was measured, if any."""

@final
class Calibration:
    """The laws of a calibration file, or the built-in ones."""

    @staticmethod
    def built_in() -> Calibration:
        """The law that answers where none is named."""
    @staticmethod
    def named(path: str, /) -> Calibration:
        """Reads a calibration file, or finds a built-in calibration by name."""
    @property
    def name(self) -> str:
        """The name."""
    def json(self) -> str:
        """The calibration file, as `wattlaw fit --out` writes it."""
    def save(self, path: str, /) -> None:
        """Writes the calibration file, whole or not at all."""

@final
class Description:
    """What files, objects and fields say of a job."""

    def __new__(
        cls,
        *,
        parts: Sequence[tuple[str, str | None]],
        config: tuple[str, str] | None,
        stated: str | None,
        base: Description | None,
        fields: Mapping[str, Any],
        catalog: str | None,
        region: str | None,
    ) -> Description: ...
    def predict(
        self, calibration: Calibration, scope: str | None, level: float, fits_threshold: float, /
    ) -> Answer:
        """Predicts the job."""
    def job_json(self) -> str:
        """The job with every default written out, as `wattlaw job` prints it; what memory decides is decided."""
    def job_toml(self) -> str:
        """The same as a job file (TOML)."""
    def remarks(self) -> list[str]:
        """What a user should know of how files and objects were read, a sentence each."""

@final
class Answer:
    """A prediction, with what is needed to predict it again at another level."""

    def json(self) -> str:
        """The JSON of `wattlaw predict --format json`, byte for byte."""
    def screen(self) -> str:
        """The first screen of `wattlaw predict`, without its warnings."""
    @property
    def remarks(self) -> list[str]:
        """What a user should know of how files and objects were read, a sentence each."""
    def outlook(
        self, step_ends_s: Sequence[float], mean_power_w: float | None, /
    ) -> tuple[tuple[float, float, float], tuple[float, float, float] | None, str | None] | None:
        """What is left of the run: time and energy, and on which side the measured steps leave the prediction's interval."""
    def interval(self, quantity: str, level: float, /) -> tuple[float, float, float] | None:
        """Estimate, lower and upper end of a quantity at a level; `None` where there is no such estimate."""

@final
class PredictedTable:
    """A table whose rows are predicted as they are read, once."""

    def __new__(
        cls,
        table: Any,
        /,
        *,
        calibration: Calibration,
        scope: str | None,
        level: float,
        keep: Sequence[str],
        prefix: str,
        threads: int | None,
        catalog: str | None,
        fields: Mapping[str, Any],
    ) -> PredictedTable: ...
    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """A capsule with the stream, predicted as its consumer reads it. The types are those of the answer, whatever is requested."""
    def whole(self) -> Rows:
        """All rows. Ctrl-C is looked at after each slice of 32,768 rows."""

@final
class Rows:
    """Predicted rows in memory, which any library may read as a stream of Arrow."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """A capsule with a stream of the rows. The types are those of the answer, whatever is requested."""

@final
class Plans:
    """The best ways to run a job."""

    def json(self) -> str:
        """The JSON of `wattlaw plan --format json`."""
    def emit(
        self, index: int, launchers: Sequence[str], output: str, /
    ) -> list[tuple[str, list[str]]]:
        """Writes the launch files of the plan at an index into a folder; each file's name, and what in it is the user's to set."""

def plan(
    description: Description,
    calibration: Calibration,
    scope: str,
    level: float,
    fits_threshold: float,
    /,
    *,
    gpu: Sequence[str],
    gpus: str | None,
    inventory: str | None,
    objectives: Sequence[str],
    fewest_gpus: bool,
    limits: Mapping[str, Any],
    keep: Sequence[str],
    precisions: Sequence[str],
    top: int,
    threads: int | None,
) -> Plans:
    """Finds the best ways to run a job. Ctrl-C ends the search."""

@final
class Runs:
    """Runs of a table (CSV)."""

    def __new__(
        cls, csv: bytes | None, name: str, /, *, map: str | None, catalog: str | None
    ) -> Runs: ...
    def __len__(self) -> int:
        """The number of runs."""
    @property
    def notes(self) -> list[str]:
        """What was assumed or left out in reading the table, a sentence each."""
    def fit(self, law: str, name: str, source: str | None, hold_out: str, /) -> Calibration:
        """Fits a law: roofline or scaling."""
    def calibrate(self, parent: Calibration, name: str, /) -> Calibration:
        """Adds the runs to a calibration."""
    def audit_json(self) -> str:
        """The JSON of `wattlaw audit --format json`."""

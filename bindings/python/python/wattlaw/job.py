"""Jobs, and what describes one."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike, fspath
from typing import Any, Protocol

from . import _core
from ._core import InvalidError, MissingError

#: Value of a field of a job.
FieldValue = str | int | float | bool | PathLike[str] | list[str] | tuple[str, ...] | None

#: Tables of a job file.
_TABLES = frozenset(("model", "workload", "parallelism", "system", "schema"))


class HasDict(Protocol):
    """An object of transformers: a model's configuration, or TrainingArguments."""

    def to_dict(self) -> dict[str, Any]:
        """Its fields."""


class Job:
    """A training job: model, workload, parallelism and system, looked up, filled in and checked.

    Args:
        source: what :func:`wattlaw.predict` takes.
        catalog: a catalogue file (TOML) whose entries override the built-in ones.
        region: the country of the electricity, which sets the carbon intensity.
        fields: the job's columns, which override the source.

    Raises:
        Error: the job is not complete, or a value is not accepted.

    >>> import wattlaw as wl
    >>> job = wl.Job(model="bert-base-uncased", tokens="10M", seq_len=128, micro_batch=32, gpu="a100", gpus=4)
    >>> job.to_dict()["parallelism"]["dp"]
    4
    """

    _inner: _core.Description

    def __init__(
        self,
        source: Source = None,
        *,
        catalog: str | PathLike[str] | None = None,
        region: str | None = None,
        **fields: FieldValue,
    ) -> None:
        self._inner = described(source, fields, catalog=catalog, region=region)
        self._inner.job_json()

    def to_json(self) -> str:
        """The job with every default written out, as ``wattlaw job`` prints it."""
        return self._inner.job_json()

    def to_dict(self) -> dict[str, Any]:
        """The job with every default written out, by table."""
        import json

        made: dict[str, Any] = json.loads(self.to_json())
        return made

    def to_toml(self) -> str:
        """The same as a job file."""
        return self._inner.job_toml()

    @property
    def remarks(self) -> list[str]:
        """What was assumed or left out in reading files and objects, a sentence each."""
        return self._inner.remarks()

    def __repr__(self) -> str:
        tables = self.to_dict()
        name = tables["model"].get("name", "custom model")
        system, split = tables["system"], tables["parallelism"]
        return f"<wattlaw.Job {name} on {system['gpus']} × {system['gpu']}, {split.get('strategy', '')}>"


#: What describes a job: a file, a dictionary, an object of transformers, a Job, or a list of such.
Source = str | PathLike[str] | Mapping[str, Any] | Job | HasDict | list[Any] | tuple[Any, ...] | None


def described(
    source: Source,
    fields: Mapping[str, FieldValue],
    *,
    catalog: str | PathLike[str] | None = None,
    region: str | None = None,
) -> _core.Description:
    """Describes a job by a source, and by fields that override it."""
    found = _Parts()
    for part in source if isinstance(source, (list, tuple)) else [source]:
        found.add(part)
    return _core.Description(
        parts=found.parts,
        config=found.config,
        stated=found.stated,
        base=found.base,
        fields=found.columns | dict(fields),
        catalog=None if catalog is None else fspath(catalog),
        region=region,
    )


class _Parts:
    """Files and objects, each as what it is."""

    def __init__(self) -> None:
        self.parts: list[tuple[str, str | None]] = []
        self.config: tuple[str, str] | None = None
        self.stated: str | None = None
        self.base: _core.Description | None = None
        self.columns: dict[str, Any] = {}

    def add(self, part: Any) -> None:
        if part is None:
            return
        if isinstance(part, Job):
            self.base = part._inner
        elif isinstance(part, (str, PathLike)):
            self.parts.append((fspath(part), None))
        elif isinstance(part, Mapping):
            self._add_dictionary(part, "dictionary")
        elif hasattr(part, "to_dict"):
            self._add_dictionary(part.to_dict(), type(part).__name__)
        elif hasattr(getattr(part, "config", None), "to_dict"):
            # a model of transformers
            self._add_dictionary(part.config.to_dict(), type(part).__name__)
        else:
            raise InvalidError(
                f"the source is of type {type(part).__name__}, but it must be a path, a dictionary, a Job, a configuration of transformers, "
                "TrainingArguments, or a list of these"
            )

    def _add_dictionary(self, fields: Mapping[Any, Any], name: str) -> None:
        if "model_type" in fields:
            self.config = (name, _json(fields, name))
        elif any(isinstance(fields.get(table), Mapping) for table in _TABLES):
            self.stated = _json(fields, name)
        elif "per_device_train_batch_size" in fields or "base_model" in fields or any("." in str(key) for key in fields):
            self.parts.append((name, _json(fields, name)))
        elif not fields:
            raise MissingError(f"the {name} is empty; give the fields of a job, such as model and gpu")
        else:
            self.columns |= fields


def _json(fields: Mapping[Any, Any], name: str) -> str:
    import json

    try:
        # types of torch and paths are written as their text
        return json.dumps(dict(fields), default=str, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InvalidError(f"the {name} cannot be written as JSON: {error}") from error

"""What describes a job, and what is wrong with it."""

from __future__ import annotations

import json
from typing import Any

import pytest
import wattlaw as wl

JOB: dict[str, Any] = {"model": "gpt2", "steps": 3, "seq_len": 64, "micro_batch": 2, "gpu": "a100", "gpus": 2}


class Configuration:
    """A configuration of transformers, as far as it is looked at."""

    model_type = "bert"

    def to_dict(self) -> dict[str, Any]:
        return {
            "model_type": "bert",
            "num_hidden_layers": 2,
            "hidden_size": 128,
            "num_attention_heads": 2,
            "intermediate_size": 512,
            "vocab_size": 30522,
            "max_position_embeddings": 512,
            "type_vocab_size": 2,
        }


class Model:
    """A model of transformers, as far as it is looked at."""

    config = Configuration()


class TrainingArguments:
    """Arguments of transformers' Trainer, as far as they are looked at."""

    def to_dict(self) -> dict[str, Any]:
        return {
            "output_dir": "out",
            "per_device_train_batch_size": 4,
            "gradient_accumulation_steps": 2,
            "max_steps": 10,
            "bf16": True,
            "optim": "adamw_torch",
        }


def test_every_source_describes_the_same_job() -> None:
    expected = wl.predict(**JOB).energy_j
    tables = {
        "model": {"name": "gpt2"},
        "workload": {"steps": 3, "seq_len": 64, "micro_batch": 2},
        "system": {"gpu": "a100", "gpus": 2},
    }
    job = wl.Job(JOB)
    for source in (JOB, tables, job, job.to_dict(), [{"model": "gpt2"}, {name: JOB[name] for name in JOB if name != "model"}]):
        assert wl.predict(source).energy_j == expected, source
    assert wl.predict(job, gpus=4).energy_j == wl.predict(**JOB | {"gpus": 4}).energy_j != expected


def test_a_job_file_is_a_source(tmp_path) -> None:
    path = tmp_path / "job.toml"
    path.write_text(wl.Job(JOB).to_toml())
    assert wl.predict(path).energy_j == wl.predict(str(path)).energy_j == wl.predict(JOB).energy_j


def test_objects_of_transformers_are_sources() -> None:
    rest = {"seq_len": 64, "gpu": "a100"}
    shape = wl.predict(Configuration(), steps=3, micro_batch=2, **rest)
    assert shape.job["model"]["layers"] == 2
    assert wl.predict(Model(), steps=3, micro_batch=2, **rest).energy_j == shape.energy_j
    trained = wl.predict([Configuration(), TrainingArguments()], **rest, gpus=2)
    assert (trained.steps, trained.global_batch, trained.job["workload"]["grad_accum"]) == (10, 16, 2)
    assert trained.to_dict()["origin"]["micro_batch"] == "file"


def test_attributes_are_those_of_the_dictionary() -> None:
    p = wl.predict(JOB, pue=1.5, carbon_g_per_kwh=100, price_per_gpu_hour=2.5, currency="EUR")
    fields = p.to_dict()
    assert json.loads(p.to_json()) == fields
    for name in ("energy_j", "duration_s", "mean_power_w", "gpu_hours", "tokens_per_s", "step_s", "mfu", "energy_per_token_j"):
        assert getattr(p, name) == fields[name]["estimate"]
    assert p.energy_j is not None and p.energy_kwh == p.energy_j / 3.6e6
    assert p.carbon_g == fields["carbon_g"]["estimate"] and p.facility_energy_j == fields["facility_energy_j"]["estimate"]
    assert (p.cost, p.currency) == (fields["cost"]["estimate"], "EUR")
    assert [tuple(of.values()) for of in fields["warnings"]] == p.warnings
    assert p.fits and p.fits_probability > 0.9 and p.memory_gib > 0
    assert wl.predict(JOB).carbon_g is None
    assert wl.predict(JOB, region="FR").carbon_g is not None


def test_intervals_widen_with_the_level() -> None:
    p = wl.predict(JOB)
    narrow, wide = p.interval("duration", 0.5), p.interval("duration", 0.99)
    assert narrow is not None and wide is not None
    assert wide.lower < narrow.lower < narrow.estimate < narrow.upper < wide.upper
    assert p.interval("cost") is None


def test_a_notebook_shows_a_table_and_no_markup_of_the_job() -> None:
    html = wl.predict(JOB | {"model": "<b>mine</b>"}, family="gpt2", layers=2, hidden_size=128)._repr_html_()
    assert "<table>" in html and "<svg" in html and "kWh" in html
    assert "<b>mine</b>" not in html
    assert "GPU-hours" in str(wl.predict(JOB)) and "kWh" in repr(wl.predict(JOB))


@pytest.mark.parametrize(
    ("fields", "kind", "sentence"),
    [
        ({"model": "gpt3"}, wl.UnknownError, "unknown model `gpt3`"),
        ({"modle": "gpt2"}, wl.UnknownError, "unknown field `modle`"),
        ({"gpus": 10**30}, wl.InvalidError, f"gpus is `{10**30}`, but it must be a whole number from 0"),
        ({"gpus": -1}, wl.InvalidError, "gpus is `-1`, but it must be a whole number from 0"),
        ({"gpus": True}, wl.InvalidError, "gpus is `true`, but it must be a whole number from 0"),
        ({"gpus": 2.5}, wl.InvalidError, "gpus is `2.5`, but it must be a whole number from 0"),
        ({"pue": float("nan")}, wl.InvalidError, "pue is `NaN`, but it must be a number"),
        ({"gpu": object()}, wl.InvalidError, "gpu is of type object, but it must be text, a number, True, False or a list of words"),
        ({"gpu": ""}, wl.InvalidError, "gpu is empty, but give a value, or None to leave it open"),
        ({"gpu": None}, wl.MissingError, "gpu is missing"),
        ({"scope": "city"}, wl.UnknownError, "unknown scope `city`"),
        ({"scope": "facility"}, wl.MissingError, "pue is missing"),
        ({"level": 1.5}, wl.InvalidError, "level is 1.5, but"),
        ({"fits_threshold": 2}, wl.InvalidError, "fits_threshold is 2, but it must lie between 0 and 1"),
        ({"calibration": "nothing"}, wl.FileError, "unknown calibration `nothing`"),
        ({"calibration": 3}, wl.InvalidError, "calibration is of type int"),
        ({"region": "Atlantis"}, wl.UnknownError, "unknown region `Atlantis`"),
        ({"catalog": "/nothing.toml"}, wl.FileError, "/nothing.toml: no such file or directory"),
    ],
)
def test_a_wrong_field_is_one_sentence(fields: dict[str, Any], kind: type[wl.Error], sentence: str) -> None:
    with pytest.raises(kind) as raised:
        wl.predict(**JOB | fields)
    assert str(raised.value).startswith(sentence)
    assert "\n" not in str(raised.value)
    assert isinstance(raised.value, ValueError)


@pytest.mark.parametrize(
    ("source", "kind", "sentence"),
    [
        ("/nothing.toml", wl.FileError, "/nothing.toml: no such file or directory"),
        (3, wl.InvalidError, "the source is of type int, but it must be a path"),
        ({}, wl.MissingError, "the dictionary is empty"),
        (None, wl.DataError, "no model; "),
        ({"model": {"name": "gpt2", "x": 3}}, wl.SyntaxError, "not valid job: unknown field `x`"),
        ({"model": {"name": float("nan")}}, wl.InvalidError, "the dictionary cannot be written as JSON"),
        ({"model_type": "nothing"}, wl.UnknownError, "dictionary: unknown model_type `nothing`"),
    ],
)
def test_a_wrong_source_is_one_sentence(source: Any, kind: type[wl.Error], sentence: str) -> None:
    with pytest.raises(kind) as raised:
        wl.predict(source)
    assert str(raised.value).startswith(sentence)

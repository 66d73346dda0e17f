"""Sequences are the same however they are cut, and have what their task needs."""

from pathlib import Path

import pytest
import torch
from jobs import document

from wattlaw_trainer.data import Sequences
from wattlaw_trainer.document import parse
from wattlaw_trainer.refused import Refused

CPU = torch.device("cpu")


def sequences(family: str = "bert", seed: int = 0, text: Path | None = None, vocab: int = 300, **work) -> Sequences:
    model = {"family": family, "layers": 1, "hidden_size": 64, "vocab_size": vocab}
    asked = parse(document(model, {"steps": 1, "seq_len": 40} | work))
    return Sequences(asked, seed, text, CPU)


def test_sequences_do_not_depend_on_how_they_are_cut() -> None:
    whole = sequences().batch(6, 4)
    parts = [sequences().batch(6, 1), sequences().batch(7, 3)]
    assert torch.cat([part.ids for part in parts]).equal(whole.ids)
    assert torch.cat([part.targets for part in parts]).equal(whole.targets)
    assert not sequences(seed=1).batch(6, 4).ids.equal(whole.ids)


def test_a_masked_lm_fills_in_as_many_tokens_of_each_sequence() -> None:
    for padding, masked in ((0.0, 6), (0.5, 3), (0.95, 1)):
        found = sequences(padding_share=padding)
        batch = found.batch(0, 50)
        asked = batch.targets != -100
        assert asked.sum(1).tolist() == [masked] * 50
        assert (batch.ids[asked] == 299).all() and (batch.targets[asked] < 299).all()
        assert not (asked & (torch.arange(40) >= found.real)).any()
    # another sequence, other places
    assert len({tuple(row.nonzero().flatten().tolist()) for row in asked}) > 1


def test_a_causal_lm_says_the_next_token() -> None:
    batch = sequences("gpt2").batch(3, 2)
    assert batch.targets[:, :-1].equal(batch.ids[:, 1:])
    padded = sequences("gpt2", padding_share=0.25).batch(0, 2)
    assert (padded.targets == -100).sum(1).tolist() == [10, 10]
    assert padded.mask.sum(1).tolist() == [30, 30]


def test_a_class_is_one_of_the_labels() -> None:
    targets = sequences(task="classification", labels=3).batch(0, 60).targets
    assert set(targets.tolist()) == {0, 1, 2}


def test_a_text_gives_its_bytes_and_begins_again(tmp_path) -> None:
    path = tmp_path / "text"
    path.write_text("é" + "x" * 60)
    found = sequences("gpt2", text=path)
    assert found.batch(0, 1).ids[0, :3].tolist() == [0xC3, 0xA9, ord("x")]
    assert found.batch(1000, 1).ids.shape == (1, 40)


def test_a_text_that_cannot_serve_is_refused(tmp_path) -> None:
    path = tmp_path / "text"
    with pytest.raises(Refused, match="text: No such file"):
        sequences(text=path)
    path.write_text("short")
    with pytest.raises(Refused, match="text: 5 bytes, but a sequence needs 41"):
        sequences(text=path)
    path.write_text("long" * 20)
    with pytest.raises(Refused, match="vocab_size is 256, but a text needs 257"):
        sequences(text=path, vocab=256)
    path.write_bytes(b"good" * 20 + b"\xff")
    with pytest.raises(Refused, match="not a text in UTF-8 at byte 80"):
        sequences(text=path)

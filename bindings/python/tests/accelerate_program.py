"""Trains a tiny model by accelerate's own loop, under torchrun or alone: FOLDER."""

import sys
import time

import torch
import transformers
from accelerate import Accelerator
from accelerate.tracking import GeneralTracker

import wattlaw.accelerate  # noqa: F401

[folder] = sys.argv[1:]


class Printed(GeneralTracker):
    name, requires_logging_directory, tracker = "printed", False, None

    def log(self, values, step=None, **_):
        print("logged", step, sorted(values), flush=True)


accelerator = Accelerator(cpu=True, log_with=["wattlaw", Printed()], gradient_accumulation_steps=2)
config = transformers.GPT2Config(
    n_layer=2, n_head=2, n_embd=32, n_positions=32, vocab_size=64, bos_token_id=0, eos_token_id=0
)
model = transformers.GPT2LMHeadModel(config)
model, optimizer = accelerator.prepare(model, torch.optim.AdamW(model.parameters()))
options = {"model": model, "steps": 8, "out": folder, "optimizer": "adamw"}
accelerator.init_trackers("a run", init_kwargs={"wattlaw": options})
step = 0
for _ in range(16):
    time.sleep(0.05)
    with accelerator.accumulate(model):
        ids = (torch.arange(64) % 64).reshape(4, 16)
        accelerator.backward(model(input_ids=ids, labels=ids).loss)
        optimizer.step()
        optimizer.zero_grad()
    if accelerator.sync_gradients:
        step += 1
        accelerator.log({"loss": 1.0}, step=step)
accelerator.end_training()

"""Trains a tiny model by Lightning's Trainer: FOLDER RANKS KIND, where KIND is `transformers`, `plain` or `failing`."""

import sys

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.loggers import CSVLogger

from tiny import bert, sequences
from wattlaw.lightning import WattlawCallback

folder, ranks, kind = sys.argv[1], int(sys.argv[2]), sys.argv[3]


class Module(LightningModule):
    def __init__(self):
        super().__init__()
        self.inner = torch.nn.Linear(16, 1) if kind == "plain" else bert()

    def training_step(self, batch, index):
        if kind == "failing" and self.global_step == 3:
            raise RuntimeError("out of luck")
        ids = batch["input_ids"]
        return self.inner(ids.float()).mean() if kind == "plain" else self.inner(input_ids=ids, labels=ids).loss

    def validation_step(self, batch, index):
        self.training_step(batch, index)

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters())


data = sequences()
Trainer(
    max_epochs=2,
    accelerator="cpu",
    devices=ranks,
    strategy="ddp" if ranks > 1 else "auto",
    default_root_dir=folder,
    logger=CSVLogger(folder),
    log_every_n_steps=1,
    callbacks=[WattlawCallback()],
    enable_progress_bar=False,
    enable_checkpointing=False,
    accumulate_grad_batches=2,
).fit(Module(), data, data)

"""Trains a tiny model by Lightning's Trainer: FOLDER RANKS KIND, where KIND is `transformers`, `plain` or `failing`."""

import sys
import time

import torch
import transformers
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.loggers import CSVLogger

from wattlaw.lightning import WattlawCallback

folder, ranks, kind = sys.argv[1], int(sys.argv[2]), sys.argv[3]


class Sequences(torch.utils.data.Dataset):
    def __len__(self):
        return 32

    def __getitem__(self, index):
        # a training long enough for the meter's updates
        time.sleep(0.02)
        return {"input_ids": torch.arange(16) % 64}


class Module(LightningModule):
    def __init__(self):
        super().__init__()
        config = transformers.BertConfig(
            num_hidden_layers=2, num_attention_heads=2, hidden_size=32, intermediate_size=64, vocab_size=64
        )
        self.inner = torch.nn.Linear(16, 1) if kind == "plain" else transformers.BertForMaskedLM(config)

    def training_step(self, batch, index):
        if kind == "failing" and self.global_step == 3:
            raise RuntimeError("out of luck")
        ids = batch["input_ids"]
        return self.inner(ids.float()).mean() if kind == "plain" else self.inner(input_ids=ids, labels=ids).loss

    def validation_step(self, batch, index):
        self.training_step(batch, index)

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters())


data = torch.utils.data.DataLoader(Sequences(), batch_size=4)
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

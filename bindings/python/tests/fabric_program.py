"""Trains a tiny model by a loop of Lightning Fabric: FOLDER RANKS KIND, where KIND is `whole`, `ends`, `plain` or `failing`.

`ends` names each batch after its step and never the training's end, as a loop may that calls few hooks.
"""

import sys

import torch
from lightning.fabric import Fabric
from lightning.fabric.loggers import CSVLogger

from tiny import bert, sequences
from wattlaw.lightning import FabricCallback

folder, ranks, kind = sys.argv[1], int(sys.argv[2]), sys.argv[3]

callback = FabricCallback(
    steps=16 // ranks, optimizer="sgd", log_every_n_steps=1, out=f"{folder}/wattlaw"
)
fabric = Fabric(
    accelerator="cpu",
    devices=ranks,
    strategy="ddp" if ranks > 1 else "auto",
    loggers=CSVLogger(folder, flush_logs_every_n_steps=1),
    callbacks=[callback],
)
fabric.launch()
inner = torch.nn.Linear(16, 1) if kind == "plain" else bert()
model, optimizer = fabric.setup(inner, torch.optim.SGD(inner.parameters(), lr=0.01))
data = fabric.setup_dataloaders(sequences())
has_all = kind != "ends"


def loss(batch):
    ids = batch["input_ids"]
    return model(ids.float()).mean() if kind == "plain" else model(input_ids=ids, labels=ids).loss


for epoch in range(2):
    if has_all:
        fabric.call("on_train_epoch_start")
    for index, batch in enumerate(data):
        if has_all:
            fabric.call("on_train_batch_start", batch, index)
        if kind == "failing" and index == 3:
            raise RuntimeError("out of luck")
        output = loss(batch)
        fabric.backward(output)
        optimizer.step()
        optimizer.zero_grad()
        fabric.call("on_train_batch_end", output, batch, index)
    if has_all:
        fabric.call("on_train_epoch_end")
        fabric.call("on_validation_epoch_start")
        with torch.no_grad():
            for batch in data:
                loss(batch)
        fabric.call("on_validation_epoch_end")
if has_all:
    fabric.call("on_train_end")

"""Trains a tiny model by transformers' Trainer, under torchrun or alone: FOLDER FAMILY REPORT_TO."""

import os
import sys
import time

import torch
import transformers

import wattlaw.transformers  # noqa: F401

folder, family, report_to = sys.argv[1:]
config = {
    "gpt2": transformers.GPT2Config(n_layer=2, n_head=2, n_embd=32, n_positions=32, vocab_size=64, bos_token_id=0, eos_token_id=0),
    "bert": transformers.BertConfig(
        num_hidden_layers=2, num_attention_heads=2, hidden_size=32, intermediate_size=64, vocab_size=64
    ),
}[family]
model = {"gpt2": transformers.GPT2LMHeadModel, "bert": transformers.BertForMaskedLM}[family](config)


class Sequences(torch.utils.data.Dataset):
    def __len__(self):
        return 32

    def __getitem__(self, index):
        # a training long enough for the meter's updates
        time.sleep(0.02)
        ids = torch.arange(16) % 64
        return {"input_ids": ids, "labels": ids}


arguments = transformers.TrainingArguments(
    output_dir=folder,
    per_device_train_batch_size=4,
    gradient_accumulation_steps=2,
    num_train_epochs=4,
    logging_steps=1,
    eval_strategy="epoch",
    save_strategy="no",
    report_to=report_to.split(","),
    use_cpu=True,
    disable_tqdm=True,
)
trainer = transformers.Trainer(model, arguments, train_dataset=Sequences(), eval_dataset=Sequences())
trainer.train()
if trainer.is_world_process_zero():
    trainer.state.save_to_json(os.path.join(folder, "trainer_state.json"))

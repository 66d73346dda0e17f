"""The tiny model that the programs of Lightning train, and its data."""

import time

import torch
import transformers


class Sequences(torch.utils.data.Dataset):
    """32 sequences of 16 tokens."""

    def __len__(self):
        return 32

    def __getitem__(self, index):
        # a training long enough for the meter's updates
        time.sleep(0.02)
        return {"input_ids": torch.arange(16) % 64}


def sequences():
    """The sequences in batches of 4."""
    return torch.utils.data.DataLoader(Sequences(), batch_size=4)


def bert():
    """A BERT of 2 layers."""
    config = transformers.BertConfig(num_hidden_layers=2, num_attention_heads=2, hidden_size=32, intermediate_size=64, vocab_size=64)
    return transformers.BertForMaskedLM(config)

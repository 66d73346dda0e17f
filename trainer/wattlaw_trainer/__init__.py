"""Trains a BERT or a GPT of any shape, as a wattlaw job describes it, and tells wattlaw of its steps."""

__version__ = "0.1.0"

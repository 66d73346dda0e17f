"""Tensor parallelism: which maps are split how, on torch's `parallelize_module`.

Blocks are split as in Megatron-LM (Shoeybi et al. 2019): query, key, value and the MLP's first map by columns, the maps
after them by rows, the vocabulary of embedding and output map by rows, and the loss over the split vocabulary. With
sequence parallelism (Korthikanti et al. 2022) norms and dropouts between them hold a part of each sequence.
"""

import torch
from torch import nn
from torch.distributed.tensor import Replicate, Shard
from torch.distributed.tensor.parallel import (
    ColwiseParallel,
    PrepareModuleInput,
    PrepareModuleOutput,
    RowwiseParallel,
    SequenceParallel,
    parallelize_module,
)

from .job import Job


class GatheredNorm(SequenceParallel):
    """A norm on a part of the sequence, the last one: what comes out is put together again."""

    @staticmethod
    def _prepare_output_fn(use_local_output, mod, outputs, device_mesh):
        return outputs.redistribute(placements=[Replicate()]).to_local()


def split(model: nn.Module, job: Job, mesh) -> None:
    """Splits the model in place over the ranks of `mesh`; each rank keeps its part of the weights that are there."""
    p = job.parallelism
    whole = p.tensor_scope == "blocks"
    if job.model.model_type == "gpt2":
        linear_maps(model, whole, p.tp)
        plan = gpt2_plan(whole, p.sequence_parallel)
    else:
        plan = bert_plan(whole, p.sequence_parallel, job.model.layers, job.workload.task)
    # every rank drew the same weights, so that none has to send them
    parallelize_module(model, mesh, plan, src_data_rank=None)
    if whole:
        tie(model, job)


def bert_plan(whole: bool, sequence: bool, layers: int, task: str) -> dict:
    layer = "bert.encoder.layer.*"
    between = Shard(1) if sequence else Replicate()
    plan = {
        f"{layer}.intermediate.dense": ColwiseParallel(input_layouts=between),
        f"{layer}.output.dense": RowwiseParallel(output_layouts=between),
    }
    if not whole:
        return plan
    # one exchange for query, key and value together
    plan[f"{layer}.attention.self"] = PrepareModuleInput(
        input_layouts=(between,), desired_input_layouts=(Replicate(),), use_local_output=False
    )
    for projection in ("query", "key", "value"):
        plan[f"{layer}.attention.self.{projection}"] = ColwiseParallel()
    plan[f"{layer}.attention.output.dense"] = RowwiseParallel(output_layouts=between)
    plan["bert.embeddings.word_embeddings"] = RowwiseParallel(input_layouts=Replicate())
    if task == "masked-lm":
        plan["cls.predictions.decoder"] = ColwiseParallel(use_local_output=False)
    if sequence:
        # after the embedding, by whose length the attention's mask is made
        plan["bert.encoder"] = PrepareModuleInput(
            input_layouts=(Replicate(),), desired_input_layouts=(Shard(1),), use_local_output=True
        )
        plan[f"{layer}.attention.output.LayerNorm"] = SequenceParallel(use_local_output=True)
        for number in range(layers):
            last = number + 1 == layers
            norm = GatheredNorm() if last else SequenceParallel(use_local_output=True)
            plan[f"bert.encoder.layer.{number}.output.LayerNorm"] = norm
    return plan


def gpt2_plan(whole: bool, sequence: bool) -> dict:
    layer = "transformer.h.*"
    between = Shard(1) if sequence else Replicate()
    plan = {
        f"{layer}.mlp.c_fc": ColwiseParallel(input_layouts=between),
        f"{layer}.mlp.c_proj": RowwiseParallel(output_layouts=between),
    }
    if not whole:
        return plan
    plan |= {
        f"{layer}.attn.c_attn": ColwiseParallel(input_layouts=between),
        f"{layer}.attn.c_proj": RowwiseParallel(output_layouts=between),
        "transformer.wte": RowwiseParallel(input_layouts=Replicate()),
        "lm_head": ColwiseParallel(use_local_output=False),
    }
    if sequence:
        plan |= {
            "transformer.drop": PrepareModuleOutput(output_layouts=Replicate(), desired_output_layouts=Shard(1)),
            f"{layer}.ln_1": SequenceParallel(use_local_output=True),
            f"{layer}.ln_2": SequenceParallel(use_local_output=True),
            "transformer.ln_f": GatheredNorm(),
        }
    return plan


def linear_maps(model: nn.Module, whole: bool, tp: int) -> None:
    """Puts `Linear` in place of GPT-2's transposed `Conv1D`, which torch cannot split, with the same weights."""
    for block in model.transformer.h:
        block.mlp.c_fc, block.mlp.c_proj = linear(block.mlp.c_fc), linear(block.mlp.c_proj)
        if whole:
            attention = block.attn
            attention.c_attn, attention.c_proj = linear(attention.c_attn, tp), linear(attention.c_proj)
            # what a rank has of query, key and value; transformers' forward cuts its output by it
            attention.split_size //= tp


def linear(conv: nn.Module, tp: int = 1) -> nn.Linear:
    """The same map; of a fused one the rows are put in order, so that each rank's part has query, key and value."""
    inputs, outputs = conv.weight.shape
    fused = nn.utils.skip_init(nn.Linear, inputs, outputs)

    def by_rank(rows: torch.Tensor) -> torch.Tensor:
        if tp == 1:
            return rows
        return rows.unflatten(0, (3, tp, -1)).transpose(0, 1).flatten(0, 2)

    fused.weight = nn.Parameter(by_rank(conv.weight.detach().t()).contiguous())
    fused.bias = nn.Parameter(by_rank(conv.bias.detach()).contiguous())
    return fused


def tie(model: nn.Module, job: Job) -> None:
    """Ties again what splitting parted: output map and embedding, and the names that BERT's output bias has."""
    output = model.get_output_embeddings()
    if output is not None and job.model.tied_embeddings:
        output.weight = model.get_input_embeddings().weight
    if job.workload.task == "masked-lm":
        model.cls.predictions.bias = output.bias

"""The model: transformers' own classes by shape, with weights drawn from the seed and nothing downloaded."""

import torch

from .job import Job

# transformers' own default for BERT and GPT-2; off unless asked for, so that sharded and unsharded runs can be compared
DROPOUT = 0.1


def build(job: Job, seed: int, dropout: bool) -> torch.nn.Module:
    """The model in 32-bit floats on the CPU, the same on every rank.

    It is built whole and sharded afterwards, so that its weights do not depend on how it is spread.
    """
    torch.manual_seed(seed)
    rate = DROPOUT if dropout else 0.0
    model = bert(job, rate) if job.model.model_type == "bert" else gpt2(job, rate)
    if job.workload.checkpointing == "full":
        model.activation_checkpointing_enable({"use_reentrant": False})
    elif job.workload.checkpointing == "selective":
        recompute_attention(model)
    return model.train()


def bert(job: Job, dropout: float) -> torch.nn.Module:
    from transformers.models.bert.configuration_bert import BertConfig
    from transformers.models.bert.modeling_bert import BertForMaskedLM, BertForSequenceClassification

    m = job.model
    config = BertConfig(
        vocab_size=m.vocab_size,
        hidden_size=m.hidden_size,
        num_hidden_layers=m.layers,
        num_attention_heads=m.heads,
        intermediate_size=m.ffn_size,
        max_position_embeddings=m.max_positions,
        type_vocab_size=m.token_types,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        tie_word_embeddings=m.tied_embeddings,
        attn_implementation=kernel(job),
        use_cache=False,
        # a padding row would have no gradient, and a split embedding would take it for another row on each rank
        pad_token_id=None,
    )
    if job.workload.task == "classification":
        config.num_labels = job.workload.labels
        return BertForSequenceClassification(config)
    model = BertForMaskedLM(config)
    # one bias under two names, which transformers ties only with the embeddings
    model.cls.predictions.bias = model.cls.predictions.decoder.bias
    return model


def gpt2(job: Job, dropout: float) -> torch.nn.Module:
    from transformers.models.gpt2.configuration_gpt2 import GPT2Config
    from transformers.models.gpt2.modeling_gpt2 import GPT2LMHeadModel

    m = job.model
    config = GPT2Config(
        vocab_size=m.vocab_size,
        n_embd=m.hidden_size,
        n_layer=m.layers,
        n_head=m.heads,
        n_inner=m.ffn_size,
        n_positions=m.max_positions,
        resid_pdrop=dropout,
        embd_pdrop=dropout,
        attn_pdrop=dropout,
        tie_word_embeddings=m.tied_embeddings,
        attn_implementation=kernel(job),
        use_cache=False,
        bos_token_id=None,
        eos_token_id=None,
    )
    return GPT2LMHeadModel(config)


def kernel(job: Job) -> str:
    return "sdpa" if job.workload.attention == "flash" else "eager"


def layers(model: torch.nn.Module) -> torch.nn.ModuleList:
    """The stack of layers."""
    base = model.base_model
    return base.h if hasattr(base, "h") else base.encoder.layer


def parameters(model: torch.nn.Module) -> int:
    """Parameters that are trained, tied ones once."""
    return sum(p.numel() for p in model.parameters())


def recompute_attention(model: torch.nn.Module) -> None:
    """Lets the attention core be computed again in the backward pass: scores are not kept, projections are."""
    import sys

    from torch.utils.checkpoint import checkpoint
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, AttentionMaskInterface
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS, AttentionInterface

    name = model.config._attn_implementation
    eager = sys.modules[type(model).__module__].eager_attention_forward
    core = ALL_ATTENTION_FUNCTIONS.get_interface(name, eager)

    def recomputed(module, query, key, value, attention_mask, **more):
        return checkpoint(core, module, query, key, value, attention_mask, use_reentrant=False, **more)

    AttentionInterface.register("wattlaw_selective", recomputed)
    AttentionMaskInterface.register("wattlaw_selective", ALL_MASK_ATTENTION_FUNCTIONS[name])
    model.config._attn_implementation = "wattlaw_selective"

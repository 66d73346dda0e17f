"""Makes saved_tensors.json: bytes that one Transformer layer saves for its backward pass, as PyTorch saves them.

Every case builds a small Hugging Face model of two and of three layers from a config alone, runs its forward pass under
torch.autograd.graph.saved_tensors_hooks, sums the storages that are not parameters (each once), and takes the difference:
one layer (an encoder-decoder: one of each). Precisions: fp32; bf16, weights and all; amp, 32-bit weights under bfloat16
autocast.

    python3 -m venv venv && venv/bin/pip install torch==2.15.0 transformers==5.24.0
    venv/bin/python saved_tensors.py        # writes saved_tensors.json beside itself

No GPU and no download is needed. Device "fake-cuda" runs CUDA's operators on fake tensors: shapes and types, no values;
attention is eager and dropout is on, as the models' defaults have it. Device "cpu" runs fused attention without dropout,
whose masks a CPU keeps as numbers where a GPU keeps booleans. CPU kernels keep a bfloat16 norm's statistics in bfloat16
and CUDA's in float32: they are counted as float32. Powers under autocast are taken in float32, as on CUDA. Left out: autocast with eager attention, whose softmax a GPU computes
in float32 and a CPU does not, and with experts, whose grouped products a CPU does not cast.
"""

import contextlib
import json
import pathlib
import platform
import warnings

import torch
import transformers
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode
from transformers import (
    BertConfig,
    BertForMaskedLM,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
    OPTConfig,
    OPTForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
    ViTConfig,
    ViTForImageClassification,
)

warnings.filterwarnings("ignore")
transformers.logging.set_verbosity_error()

BATCH, SEQ, TARGET, WIDTH, HEADS, KV_HEADS, VOCAB = 3, 40, 20, 64, 4, 2, 1000
IMAGE, PATCH = 96, 16


def models(layers, dropout):
    """(family, model class, config, further shape) of each family."""
    p = {} if dropout else None
    common = dict(num_hidden_layers=layers, num_attention_heads=HEADS, hidden_size=WIDTH)
    off = lambda **names: p if p is not None else names
    llama = dict(common, vocab_size=VOCAB, num_key_value_heads=KV_HEADS, intermediate_size=3 * WIDTH, use_cache=False)
    gated = dict(ffn_size=3 * WIDTH, kv_heads=KV_HEADS)
    return [
        ("bert", BertForMaskedLM, BertConfig(vocab_size=VOCAB, intermediate_size=4 * WIDTH, max_position_embeddings=64,
            **common, **off(attention_probs_dropout_prob=0.0, hidden_dropout_prob=0.0)), {}),
        ("gpt2", GPT2LMHeadModel, GPT2Config(vocab_size=VOCAB, n_embd=WIDTH, n_layer=layers, n_head=HEADS, n_positions=64,
            use_cache=False, **off(attn_pdrop=0.0, resid_pdrop=0.0, embd_pdrop=0.0)), {}),
        ("gpt_neox", GPTNeoXForCausalLM, GPTNeoXConfig(vocab_size=VOCAB, intermediate_size=4 * WIDTH, use_cache=False,
            max_position_embeddings=64, **common), {}),
        ("opt", OPTForCausalLM, OPTConfig(vocab_size=VOCAB, ffn_dim=4 * WIDTH, max_position_embeddings=64, use_cache=False,
            word_embed_proj_dim=WIDTH, **common, **off(dropout=0.0)), {}),
        ("llama", LlamaForCausalLM, LlamaConfig(**llama), gated),
        ("qwen2", Qwen2ForCausalLM, Qwen2Config(**llama), gated),
        ("mixtral", MixtralForCausalLM, MixtralConfig(num_local_experts=8, num_experts_per_tok=2, **llama), gated),
        ("vit", ViTForImageClassification, ViTConfig(intermediate_size=4 * WIDTH, image_size=IMAGE, patch_size=PATCH,
            **common), {}),
        ("t5", T5ForConditionalGeneration, T5Config(vocab_size=VOCAB, d_model=WIDTH, d_kv=WIDTH // HEADS, d_ff=4 * WIDTH,
            num_layers=layers, num_heads=HEADS, use_cache=False, **off(dropout_rate=0.0)), {}),
    ]


def inputs(family):
    if family == "vit":
        return {"pixel_values": torch.zeros(BATCH, 3, IMAGE, IMAGE)}
    tokens = {"input_ids": torch.zeros(BATCH, SEQ, dtype=torch.long)}
    if family == "t5":
        tokens["decoder_input_ids"] = torch.zeros(BATCH, TARGET, dtype=torch.long)
    return tokens


class PowersIn32Bits(TorchFunctionMode):
    """Powers under autocast as CUDA computes them, in 32 bits; a CPU's autocast leaves them in half precision."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is torch.pow and torch.is_autocast_enabled("cpu"):
            args = (args[0].float(), *args[1:])
        return func(*args, **(kwargs or {}))


def saved_bytes(family, model_class, config, attention, precision, device):
    config._attn_implementation = attention
    fake = FakeTensorMode() if device == "cuda" else contextlib.nullcontext()
    autocast = torch.autocast(device, dtype=torch.bfloat16) if precision == "amp" else contextlib.nullcontext()
    torch.set_default_dtype(torch.bfloat16 if precision == "bf16" else torch.float32)
    with fake, torch.device(device):
        model = model_class(config).train()
        tensors = list(model.parameters()) + list(model.buffers())
        own = {t.untyped_storage()._cdata for t in tensors}
        shapes = {tuple(p.shape) for p in model.parameters()}
        shapes |= {shape[::-1] for shape in shapes}
        storages, alive = {}, []

        def pack(tensor):
            storage = tensor.untyped_storage()
            # a weight, or autocast's copy of one
            if storage._cdata not in own and tuple(tensor.shape) not in shapes:
                alive.append(tensor)
                statistics = tensor.dtype == torch.bfloat16 and tensor.shape[-1] == 1
                storages[storage._cdata] = storage.nbytes() * (2 if statistics else 1)
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t), autocast, PowersIn32Bits():
            model(**inputs(family))
    return sum(storages.values())


def case(index, attention, precision, device, dropout):
    of = lambda layers: models(layers, dropout)[index]
    family, _, _, shape = of(2)
    three, two = (saved_bytes(*of(layers)[:3], attention, precision, device) for layers in (3, 2))
    return dict(family=family, attention=attention, precision=precision, device="fake-cuda" if device == "cuda" else device,
        dropout=dropout, bytes_per_layer=three - two, **shape)


def main():
    cases = []
    names = [family for family, *_ in models(2, True)]
    for family in ("bert", "gpt2", "opt", "llama", "qwen2", "t5"):
        for precision in ("fp32", "bf16"):
            cases.append(case(names.index(family), "eager", precision, "cuda", True))
    for family in ("bert", "gpt2", "gpt_neox", "opt", "llama", "qwen2", "mixtral", "vit"):
        for precision in ("fp32", "bf16", "amp"):
            if (family, precision) != ("mixtral", "amp"):
                cases.append(case(names.index(family), "sdpa", precision, "cpu", False))
    shape = dict(batch=BATCH, seq_len=SEQ, decoder_seq_len=TARGET, hidden_size=WIDTH, heads=HEADS, vocab_size=VOCAB,
        image_size=IMAGE, patch_size=PATCH)
    versions = dict(python=platform.python_version(), torch=torch.__version__, transformers=transformers.__version__)
    out = pathlib.Path(__file__).with_suffix(".json")
    out.write_text(json.dumps(dict(versions=versions, shape=shape, cases=cases), indent=1) + "\n")
    for c in cases:
        print(c)


main()

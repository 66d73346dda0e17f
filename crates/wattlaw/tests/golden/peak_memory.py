"""Makes peak_memory.json: peak memory of training steps on one GPU, as PyTorch's own memory tracker counts it.

Every case builds a model from a config alone, trains it for two optimizer steps on fake tensors (shapes and types, no
values), the second, which has the optimizer's states, under torch.distributed._tools.mem_tracker.MemTracker, and records
the peak, its split at that moment, and the phase in which it occurs. A loop is the one of PyTorch's and transformers' documentation:
out = model(...); out.loss.backward(); optimizer.step(); optimizer.zero_grad(). No GPU and no download is needed.

    python3 -m venv venv && venv/bin/pip install torch==2.15.0 transformers==5.24.0
    venv/bin/python peak_memory.py          # writes peak_memory.json beside itself, in a few minutes

PyTorch cannot run a backward pass on fake CUDA tensors without a GPU, so tensors are on the CPU and the class `Cuda` makes
the choices that CUDA makes: fused attention, dropout with a boolean mask, a fused RMS norm, and the operations that CUDA's
autocast runs in 32 bits. The bytes are of tensors: no context, no workspaces, no rounding to the allocator's blocks.

Optimizer "foreach" is AdamW's default on CUDA, whose step holds the square root of all second moments; "fused" holds
nothing. Several ranks are a fake process group, in which collectives move nothing: rank 0's memory is recorded.
"""

import contextlib
import gc
import json
import os
import pathlib
import platform
import warnings

import torch
import torch.nn.functional as F
import transformers
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.distributed._tools.mem_tracker import MemTracker
from torch.distributed.tensor import DTensor
from torch.distributed.tensor._sharding_prop import ShardingPropagator
from torch.overrides import TorchFunctionMode
from torch.utils.checkpoint import CheckpointPolicy, checkpoint, create_selective_checkpoint_contexts

warnings.filterwarnings("ignore")
# fake tensors make transformers build a causal mask, and repeat grouped keys for it, where CUDA needs neither
os.environ["TRANSFORMERS_SDPA_FORCE_GQA"] = "1"
transformers.logging.set_verbosity_error()
aten = torch.ops.aten


class FusedRmsNorm(torch.autograd.Function):
    """aten._fused_rms_norm as CUDA runs it: saves its input and a 32-bit scale a row."""

    @staticmethod
    def forward(ctx, x, weight):
        scale = torch.empty(*x.shape[:-1], 1, dtype=torch.float32)
        ctx.save_for_backward(x, weight, scale)
        return torch.empty_like(x)

    @staticmethod
    def backward(ctx, grad):
        x, weight, _ = ctx.saved_tensors
        return torch.empty_like(x), torch.empty_like(weight)


class NoHook:
    """The handle of a hook on a frozen parameter: the tracker hooks every parameter, and PyTorch refuses frozen ones."""

    def remove(self):
        pass


class Cuda(TorchFunctionMode):
    """Runs the kernels that CUDA would choose; `half` is autocast's type or None."""

    WIDE = {F.softmax, F.log_softmax, torch.softmax, torch.log_softmax, torch.Tensor.softmax, F.layer_norm, F.cross_entropy,
        torch.pow, torch.Tensor.pow, torch.rsqrt, torch.Tensor.rsqrt}

    HOOKS = {torch.Tensor.register_hook, torch.Tensor.register_post_accumulate_grad_hook}

    def __init__(self, half):
        super().__init__()
        self.half = half

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is F.scaled_dot_product_attention:
            return self.attention(*args, **kwargs)
        if func is F.dropout:
            x, p = args[0], kwargs.get("p", args[1] if len(args) > 1 else 0.5)
            training = kwargs.get("training", args[2] if len(args) > 2 else True)
            return torch.native_dropout(x, p, True)[0] if training and p > 0 else x
        if func is F.rms_norm:
            return FusedRmsNorm.apply(args[0], kwargs.get("weight", args[2] if len(args) > 2 else None))
        if func in self.HOOKS and not args[0].requires_grad:
            return NoHook()
        if func in self.WIDE and self.half and torch.is_autocast_enabled("cpu"):
            args = (args[0].float() if args[0].dtype == self.half else args[0], *args[1:])
        return func(*args, **kwargs)

    def attention(self, query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, **_):
        if self.half and torch.is_autocast_enabled("cpu"):
            query, key, value = (t.to(self.half) for t in (query, key, value))
        return aten._scaled_dot_product_flash_attention(query, key, value, 0.0, is_causal)[0]


class Tracker(MemTracker):
    """The tracker without the fake tensors of whole size from which DTensor plans each operation."""

    planning = False

    def __enter__(self):
        ShardingPropagator._fake_mode_lock = self.Plan()
        return super().__enter__()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return func(*args, **(kwargs or {})) if Tracker.planning else super().__torch_dispatch__(func, types, args, kwargs)

    class Plan:
        def __enter__(self):
            Tracker.planning = True

        def __exit__(self, *_):
            Tracker.planning = False


class Adapter(nn.Module):
    """A frozen projection with a low-rank adapter in 32 bits, computed as peft computes it (without dropout)."""

    def __init__(self, base, rank):
        super().__init__()
        self.base = base
        inner, outer = (base.weight.shape if isinstance(base, transformers.pytorch_utils.Conv1D) else base.weight.T.shape)
        self.a = nn.Linear(inner, rank, bias=False, dtype=torch.float32)
        self.b = nn.Linear(rank, outer, bias=False, dtype=torch.float32)

    def forward(self, x):
        return self.base(x) + self.b(self.a(x.to(self.a.weight.dtype))) * 2.0


class TitanBlock(nn.Module):
    """A layer of torchtitan's Llama 3."""

    def __init__(self, c):
        super().__init__()
        h, self.heads, self.kv = c["hidden_size"], c["heads"], c.get("kv_heads", c["heads"])
        self.d = h // self.heads
        self.attention_input, self.ffn_input = nn.Identity(), nn.Identity()
        self.attention_norm, self.ffn_norm = nn.RMSNorm(h, eps=1e-5), nn.RMSNorm(h, eps=1e-5)
        self.wq, self.wo = nn.Linear(h, h, bias=False), nn.Linear(h, h, bias=False)
        self.wk = nn.Linear(h, self.kv * self.d, bias=False)
        self.wv = nn.Linear(h, self.kv * self.d, bias=False)
        self.w1 = nn.Linear(h, c["ffn_size"], bias=False)
        self.w2 = nn.Linear(c["ffn_size"], h, bias=False)
        self.w3 = nn.Linear(h, c["ffn_size"], bias=False)

    def rotate(self, x, rotary):
        x_ = torch.view_as_complex(x.float().reshape(*x.shape[:-1], -1, 2))
        return torch.view_as_real(x_ * rotary).flatten(3).type_as(x)

    def forward(self, x, rotary):
        y = self.attention_input(self.attention_norm(x))
        b, s, _ = y.shape
        q, k, v = (w(y).view(b, s, -1, self.d) for w in (self.wq, self.wk, self.wv))
        q, k = self.rotate(q, rotary), self.rotate(k, rotary)
        o = F.scaled_dot_product_attention(*(t.transpose(1, 2) for t in (q, k, v)), is_causal=True)
        x = x + self.wo(o.transpose(1, 2).contiguous().view(b, s, -1))
        y = self.ffn_input(self.ffn_norm(x))
        return x + self.w2(F.silu(self.w1(y)) * self.w3(y))


class Titan(nn.Module):
    """torchtitan's Llama 3: untied, without biases, fused norms."""

    def __init__(self, c):
        super().__init__()
        h = c["hidden_size"]
        self.tok_embeddings = nn.Embedding(c["vocab_size"], h)
        self.layers = nn.ModuleDict({str(i): TitanBlock(c) for i in range(c["layers"])})
        self.norm = nn.RMSNorm(h, eps=1e-5)
        self.output = nn.Linear(h, c["vocab_size"], bias=False)
        self.checkpointing, self.d, self.contexts = c["checkpointing"], h // c["heads"], lambda: recomputing(c)
        self.register_buffer("rotary", torch.empty(1, c["seq_len"], 1, self.d // 2, dtype=torch.complex64), persistent=False)

    def forward(self, input_ids):
        x = self.tok_embeddings(input_ids)
        for layer in self.layers.values():
            if self.checkpointing == "none":
                x = layer(x, self.rotary)
            else:
                x = checkpoint(layer, x, self.rotary, use_reentrant=False, preserve_rng_state=False, context_fn=self.contexts)
        return self.output(self.norm(x))


@contextlib.contextmanager
def together(*contexts):
    with contextlib.ExitStack() as stack:
        for context in contexts:
            stack.enter_context(context)
        yield


def recomputing(c):
    """Contexts of a checkpoint's forward pass and recomputation: a backward pass switches modes such as `Cuda` off."""
    kept, again = per_operation() if c["checkpointing"] == "per_operation" else (contextlib.nullcontext(), contextlib.nullcontext())
    return kept, together(Cuda(autocast_type(c)), again)


def autocast_type(c):
    """bfloat16 where 32-bit weights are computed with under autocast."""
    return torch.bfloat16 if c["precision"] == "bf16" and c["state_precision"] == "fp32" and c["strategy"] != "fsdp" else None


def per_operation():
    """torchtitan's selective checkpointing by operation: every second matrix product and the attention core are kept."""
    count = {True: 0, False: 0}

    def policy(ctx, func, *args, **kwargs):
        if func == aten.mm.default:
            count[ctx.is_recompute] += 1
            keep = count[ctx.is_recompute] % 2 == 1
        else:
            keep = func in (aten._scaled_dot_product_flash_attention.default, torch.ops._c10d_functional.reduce_scatter_tensor.default)
        return CheckpointPolicy.MUST_SAVE if keep else CheckpointPolicy.PREFER_RECOMPUTE

    return create_selective_checkpoint_contexts(policy)


def hugging_face(c):
    """A model of transformers, with its defaults of dropout where attention is eager and the family has any."""
    t = transformers
    family, layers, h, heads, f, v = (c[k] for k in ("family", "layers", "hidden_size", "heads", "ffn_size", "vocab_size"))
    common = dict(num_hidden_layers=layers, num_attention_heads=heads, hidden_size=h, vocab_size=v)
    position = dict(max_position_embeddings=c["seq_len"])
    llama = dict(common, num_key_value_heads=c.get("kv_heads", heads), intermediate_size=f, use_cache=False, **position)
    match family:
        case "bert": made = t.BertForMaskedLM, t.BertConfig(intermediate_size=f, **common, **position)
        case "gpt2": made = t.GPT2LMHeadModel, t.GPT2Config(vocab_size=v, n_embd=h, n_layer=layers, n_head=heads, n_positions=c["seq_len"],
            n_inner=f, use_cache=False)
        case "gpt_neox": made = t.GPTNeoXForCausalLM, t.GPTNeoXConfig(intermediate_size=f, use_cache=False, **common, **position)
        case "opt": made = t.OPTForCausalLM, t.OPTConfig(ffn_dim=f, use_cache=False, word_embed_proj_dim=h, **common, **position)
        case "llama": made = t.LlamaForCausalLM, t.LlamaConfig(**llama)
        case "qwen2": made = t.Qwen2ForCausalLM, t.Qwen2Config(**llama)
        case "vit": made = t.ViTForImageClassification, t.ViTConfig(intermediate_size=f, image_size=c["image_size"],
            patch_size=c["patch_size"], num_labels=1000, **{k: n for k, n in common.items() if k != "vocab_size"})
        case "t5": made = t.T5ForConditionalGeneration, t.T5Config(vocab_size=v, d_model=h, d_kv=h // heads, d_ff=f, num_layers=layers,
            num_heads=heads, use_cache=False, decoder_start_token_id=0, pad_token_id=0)
    model_class, config = made
    config._attn_implementation = "sdpa" if c["attention"] == "flash" else "eager"
    with transformers.initialization.no_init_weights():
        model = model_class(config)
    model.tie_weights()
    if c["checkpointing"] == "full":
        contexts = lambda: recomputing(c)
        model.gradient_checkpointing_enable(dict(use_reentrant=False, preserve_rng_state=False, context_fn=contexts))
    return model


def inputs(c):
    b, s = c["micro_batch"], c["seq_len"]
    long = lambda *shape: torch.zeros(*shape, dtype=torch.long)
    match c["family"]:
        case "vit":
            half = torch.bfloat16 if c["state_precision"] == "bf16" else torch.float32
            return dict(pixel_values=torch.zeros(b, 3, c["image_size"], c["image_size"], dtype=half), labels=long(b))
        case "t5": return dict(input_ids=long(b, s), labels=long(b, c["decoder_seq_len"]))
        case _: return dict(input_ids=long(b, s), labels=long(b, s))


def adapt(model, lora):
    model.requires_grad_(False)
    for name, module in list(model.named_modules()):
        short = name.rsplit(".", 1)[-1]
        if short in {f"{t}_proj" for t in lora["targets"]}:
            setattr(model.get_submodule(name.rsplit(".", 1)[0]), short, Adapter(module, lora["rank"]))


def build(c):
    torch.set_default_dtype(torch.bfloat16 if c["state_precision"] == "bf16" or "lora" in c else torch.float32)
    model = (Titan if c["family"] == "titan" else hugging_face)(c).train()
    torch.set_default_dtype(torch.float32)
    if "lora" in c:
        adapt(model, c["lora"])
    return model


def loss_of(c, model, batch):
    """(loss, what the loop keeps alive)."""
    if c["family"] != "titan":
        out = model(**batch)
        return out.loss, out
    logits = model(batch["input_ids"])
    # torchtitan frees the logits before the backward pass
    return F.cross_entropy(logits.flatten(0, 1).float(), batch["labels"].flatten()), None


class Spread:
    """Ranks of a fake process group, of which this process is the first."""

    def __init__(self, c):
        from torch.distributed.device_mesh import init_device_mesh
        from torch.testing._internal.distributed.fake_pg import FakeStore

        torch.distributed.init_process_group("fake", rank=0, world_size=c["dp"] * c["tp"], store=FakeStore())
        self.mesh = init_device_mesh("cpu", (c["dp"], c["tp"]), mesh_dim_names=("dp", "tp"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        torch.distributed.destroy_process_group()

    def wrap(self, c, model):
        if c["tp"] > 1:
            split_by_tensor(c, model, self.mesh["tp"])
        if c["strategy"] == "fsdp":
            from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

            half = torch.bfloat16 if c["precision"] == "bf16" else None
            policy = MixedPrecisionPolicy(param_dtype=half, reduce_dtype=torch.float32 if half else None)
            for unit in [*layers_of(model), model]:
                fully_shard(unit, mesh=self.mesh["dp"], mp_policy=policy)
        elif c["strategy"] == "ddp":
            model = nn.parallel.DistributedDataParallel(model, process_group=self.mesh["dp"].get_group(), init_sync=False)
            model.register_comm_hook(None, reduced)
        return model


def reduced(_, bucket):
    """A gradient bucket's reduction by ranks that send nothing."""
    future = torch.futures.Future()
    future.set_result(bucket.buffer())
    return future


def layers_of(model):
    if isinstance(model, Titan):
        return list(model.layers.values())
    blocks = [m for m in model.modules() if isinstance(m, nn.ModuleList)]
    return [layer for block in blocks for layer in block]


def split_by_tensor(c, model, mesh):
    """torchtitan's plan for Llama: projections by columns and rows, the vocabulary by rows and columns, a parallel loss."""
    from torch.distributed.tensor import Replicate, Shard
    from torch.distributed.tensor.parallel import ColwiseParallel, PrepareModuleInput, RowwiseParallel, SequenceParallel, parallelize_module

    sequence = c["sequence_parallel"]
    between = Shard(1) if sequence else Replicate()
    plan = {
        "tok_embeddings": RowwiseParallel(input_layouts=Replicate(), output_layouts=between),
        "output": ColwiseParallel(input_layouts=between, output_layouts=Shard(-1), use_local_output=False),
    }
    if sequence:
        plan["norm"] = SequenceParallel()
    for name in model.layers:
        layer = f"layers.{name}"
        plan |= {f"{layer}.{w}": ColwiseParallel() for w in ("wq", "wk", "wv", "w1", "w3")}
        plan |= {f"{layer}.{w}": RowwiseParallel(output_layouts=between) for w in ("wo", "w2")}
        if sequence:
            plan |= {f"{layer}.{norm}": SequenceParallel() for norm in ("attention_norm", "ffn_norm")}
        gathered = dict(input_layouts=(between,), desired_input_layouts=(Replicate(),))
        plan |= {f"{layer}.attention_input": PrepareModuleInput(**gathered), f"{layer}.ffn_input": PrepareModuleInput(**gathered)}
    parallelize_module(model, mesh, plan, src_data_rank=None)


NAMES = {"Parameter": "parameters", "Gradient": "gradients", "Optstate": "optimizer", "Activation": "activations",
    "Temp": "temporaries", "Buffer": "other", "Other": "other"}


def measure(c):
    if c["dp"] * c["tp"] == 1:
        return steps(c, lambda model: model)
    with Spread(c) as spread:
        return steps(c, lambda model: spread.wrap(c, model))


def steps(c, wrap):
    """Runs two optimizer steps; the case with the peak of the second."""
    half = autocast_type(c)
    with FakeTensorMode(allow_non_fake_inputs=True), Cuda(half):  # a mesh of ranks is not fake
        model = build(c)
        # DDP rebuilds its buckets before its second step, for which it asks other ranks
        late = c["strategy"] == "ddp"
        wrapped = model if late else wrap(model)
        trained = [p for p in wrapped.parameters() if p.requires_grad]
        # one kernel updates either split or whole parameters
        groups = [dict(params=[p for p in trained if isinstance(p, DTensor) == split]) for split in (True, False)]
        optimizer = torch.optim.AdamW([g for g in groups if g["params"]], **{c["adamw"]: True})
        batch = inputs(c)
        # the first step makes the optimizer's states, and DTensor's plans, whose tensors would count
        step(c, wrapped, optimizer, batch, lambda phase: None)
        tracker = Tracker()
        tracker.track_external(wrapped, optimizer, *batch.values())
        phases = []

        def after(phase):
            phases.append((phase, peak(tracker)))
            if phase == "backward":
                tracker.reset_mod_stats()  # or it refuses the next forward pass

        with tracker:
            wrapped = wrap(model) if late else wrapped
            step(c, wrapped, optimizer, batch, after)
            snapshot = tracker.get_tracker_snapshot("peak")[torch.device("cpu")]
    total = snapshot["Total"]
    split = dict.fromkeys(dict.fromkeys(NAMES.values()), 0)
    for kind, bytes_ in snapshot.items():
        if kind != "Total":
            split[NAMES[kind.value]] += bytes_
    phase = next(name for name, reached in phases if reached == total)
    return dict(c, peak_bytes=total, phase=phase, split_bytes=split)


def split_loss(c):
    from torch.distributed.tensor.parallel import loss_parallel

    return loss_parallel() if c["tp"] > 1 else contextlib.nullcontext()


def step(c, model, optimizer, batch, after):
    """One optimizer step; `after` is told each phase that has ended."""
    half = autocast_type(c)
    for micro in range(c["grad_accum"]):
        if isinstance(model, nn.parallel.DistributedDataParallel):
            model.require_backward_grad_sync = micro + 1 == c["grad_accum"]  # as no_sync() does
        with torch.autocast("cpu", dtype=half) if half else contextlib.nullcontext(), split_loss(c):
            loss, out = loss_of(c, model, batch)
            loss = loss / c["grad_accum"]
        after("forward")
        with split_loss(c):
            loss.backward()
        after("backward")
    optimizer.step()
    after("optimizer")
    optimizer.zero_grad(set_to_none=True)


def peak(tracker):
    return tracker.get_tracker_snapshot("peak")[torch.device("cpu")]["Total"]


def case(family, layers, hidden_size, heads, seq_len, micro_batch, **more):
    gated = family in ("llama", "qwen2", "titan")
    base = dict(family=family, layers=layers, hidden_size=hidden_size, heads=heads, ffn_size=4 * hidden_size,
        vocab_size={"bert": 30522, "gpt2": 50257, "gpt_neox": 50432, "opt": 50272, "t5": 32128, "vit": 1000}.get(family, 32000),
        seq_len=seq_len, micro_batch=micro_batch, grad_accum=1, precision="bf16", state_precision="fp32", attention="flash",
        checkpointing="none", adamw="foreach", strategy="none", dp=1, tp=1, sequence_parallel=False)
    if gated:
        base["ffn_size"] = (8 * hidden_size // 3 + 255) // 256 * 256
    return dict(base, **more)


def cases():
    """One GPU: every family in three precisions, then each method on several shapes."""
    mixed, pure, full = {}, dict(state_precision="bf16"), dict(precision="fp32")
    eager, fused = dict(attention="eager"), dict(adamw="fused")
    shapes = {
        "bert": case("bert", 6, 768, 12, 512, 16, **eager),
        "gpt2": case("gpt2", 4, 1024, 16, 1024, 4),
        "gpt_neox": case("gpt_neox", 4, 2048, 16, 1024, 4),
        "opt": case("opt", 4, 2048, 32, 1024, 2, **eager),
        "llama": case("llama", 6, 2048, 16, 2048, 2),
        "vit": case("vit", 6, 768, 12, 197, 64, image_size=224, patch_size=16),
        "t5": case("t5", 3, 768, 12, 512, 8, decoder_seq_len=128, **eager),
    }
    for shape in shapes.values():
        for precision in (full, mixed, pure):
            yield dict(shape, **precision)
    for family in ("bert", "gpt2", "llama", "vit"):
        for precision in (mixed, pure):
            yield dict(shapes[family], checkpointing="full", **precision)
    for precision in (mixed, pure):
        yield dict(shapes["vit"], **dict(image_size=384, seq_len=577, micro_batch=16, **eager, **precision))
    for family in ("bert", "gpt2", "llama"):
        for precision in (full, mixed, pure):
            yield dict(shapes[family], grad_accum=2, **precision)
    # large models on short batches: gradients or the optimizer's step decide
    few = [
        case("llama", 4, 4096, 32, 512, 1),
        case("gpt2", 4, 2048, 16, 256, 1, **eager),
        case("opt", 3, 4096, 32, 128, 1),
    ]
    for shape in few:
        for more in (mixed, pure, dict(full, **fused), dict(pure, **fused), fused, dict(fused, grad_accum=4)):
            yield dict(shape, **more)
    yield case("qwen2", 4, 2048, 16, 4096, 1, kv_heads=2, vocab_size=151936)
    yield case("qwen2", 4, 2048, 16, 4096, 1, kv_heads=2, vocab_size=151936, **pure)
    yield case("llama", 4, 2048, 16, 1024, 2, kv_heads=4, **eager)
    yield case("bert", 4, 1024, 16, 128, 64)
    titan = case("titan", 6, 2048, 16, 2048, 2, strategy="fsdp", dp=8, kv_heads=4, adamw="fused")
    for checkpointing in ("none", "per_operation", "full"):
        for dp, more in ((8, {}), (64, {}), (8, dict(micro_batch=1, hidden_size=4096, heads=32, ffn_size=11008)), (8, dict(grad_accum=2))):
            yield dict(titan, checkpointing=checkpointing, dp=dp, **more)
    yield dict(titan, precision="fp32")
    yield dict(titan, vocab_size=128256)
    for family in ("llama", "gpt2", "bert"):
        yield dict(shapes[family], strategy="fsdp", dp=8)
    for tp, sequence in ((2, False), (4, False), (2, True), (4, True)):
        for states in (mixed, pure):
            yield dict(titan, strategy="none", dp=1, tp=tp, sequence_parallel=sequence, **states)
    for family in ("bert", "gpt2", "llama"):
        yield dict(shapes[family], strategy="ddp", dp=4)
    # adapters on a frozen bfloat16 base
    for layers, rank, targets in ((6, 8, "qv"), (4, 64, "qkvo"), (4, 16, "all")):
        names = ["q", "k", "v", "o", "gate", "up", "down"] if targets == "all" else list(targets)
        for checkpointing in ("none", "full"):
            yield case("llama", layers, 2048, 16, 1024, 4, checkpointing=checkpointing, lora=dict(rank=rank, targets=names))


def small_vocabularies():
    """Most have few words, so that layers decide and not the loss."""
    mixed, pure, full = {}, dict(state_precision="bf16"), dict(precision="fp32")
    eager, fused, few = dict(attention="eager"), dict(adamw="fused"), dict(vocab_size=1000)
    recomputed, by_operation = dict(checkpointing="full"), dict(checkpointing="per_operation")
    llama = case("llama", 8, 1024, 16, 1024, 4, **few)
    for precision in (full, mixed, pure):
        yield dict(llama, **precision)
    bert, gpt2 = case("bert", 5, 512, 8, 384, 24, **few, **eager), case("gpt2", 7, 768, 12, 768, 4, **few, **eager)
    neox, opt = case("gpt_neox", 5, 1024, 8, 512, 4, **few, **eager), case("opt", 6, 1536, 16, 512, 4, **few)
    qwen2 = case("qwen2", 5, 1536, 12, 1024, 3, kv_heads=4, **few)
    for shape in (bert, gpt2, neox, opt, qwen2, dict(qwen2, **eager)):
        for precision in (mixed, pure):
            yield dict(shape, **precision)
    for shape in (bert, gpt2, opt, qwen2):
        yield dict(shape, **recomputed)
    yield case("t5", 4, 512, 8, 768, 6, decoder_seq_len=256, **few, **eager)
    yield case("t5", 2, 1024, 16, 512, 4, decoder_seq_len=256, grad_accum=3, **eager, **pure)
    yield case("llama", 3, 4096, 32, 8192, 1, **recomputed)
    yield case("vit", 5, 1024, 16, 257, 24, image_size=224, patch_size=14)
    titan = case("titan", 7, 1536, 12, 4096, 1, strategy="fsdp", dp=16, **fused)
    for more in (few, {**few, **by_operation}, {**few, **recomputed}, dict(vocab_size=64000), {**few, "grad_accum": 2}):
        yield dict(titan, **more)
    yield dict(bert, strategy="fsdp", dp=4, **recomputed)
    yield dict(gpt2, strategy="fsdp", dp=2, **full)
    yield dict(llama, strategy="fsdp", dp=4, grad_accum=4)
    one = dict(strategy="none", dp=1)
    for more in ({}, by_operation, recomputed):
        yield dict(titan, **{**one, "tp": 4, "sequence_parallel": True, **few, **pure, **more})
    yield dict(titan, **one, tp=2, **recomputed)
    yield dict(qwen2, strategy="ddp", dp=2, grad_accum=2, **pure)
    yield dict(opt, strategy="ddp", dp=2)
    for more in (eager, dict(grad_accum=2), recomputed):
        yield dict(qwen2, lora=dict(rank=32, targets=["q", "k", "v", "o", "down"]), **more)


def held_out():
    """Cases on which the recipe was not mended."""
    pure, full, few = dict(state_precision="bf16"), dict(precision="fp32"), dict(vocab_size=1000)
    eager, recomputed, by_operation = dict(attention="eager"), dict(checkpointing="full"), dict(checkpointing="per_operation")
    yield case("bert", 8, 768, 12, 512, 2, **pure)
    yield case("bert", 3, 1024, 16, 256, 16, **few, **eager, **full)
    yield case("gpt2", 8, 512, 8, 1024, 4, **few, **recomputed)
    yield case("gpt2", 3, 1280, 20, 1024, 3, **few, **eager, **recomputed, **pure)
    yield case("gpt_neox", 3, 1536, 12, 2048, 2, **few)
    yield case("gpt_neox", 4, 768, 12, 1024, 4, **few, **eager, **recomputed)
    yield case("opt", 4, 1024, 16, 1024, 4, **few, **eager, **full)
    yield case("opt", 5, 768, 12, 1024, 4, **few, **eager, **recomputed)
    yield case("llama", 4, 1280, 10, 2048, 1, **few, **eager)
    yield case("llama", 6, 1024, 8, 2048, 4, **few, **recomputed, **pure)
    yield case("qwen2", 3, 2048, 16, 1024, 4, kv_heads=2, **few, **full)
    yield case("t5", 3, 768, 12, 640, 8, decoder_seq_len=160, **few, **eager, **recomputed)
    yield case("t5", 3, 512, 8, 1024, 2, decoder_seq_len=512, **few, **eager, **full)
    yield case("vit", 4, 768, 12, 197, 48, image_size=224, patch_size=16, **eager, **recomputed)
    yield case("vit", 3, 1024, 16, 1025, 6, image_size=512, patch_size=16, **full)
    titan = case("titan", 5, 1024, 8, 2048, 8, strategy="fsdp", dp=2, adamw="fused")
    yield dict(titan, **few)
    yield dict(titan, dp=4, kv_heads=2, vocab_size=128256, **by_operation)
    yield dict(titan, **few, **full, **recomputed)
    yield case("gpt_neox", 4, 1024, 16, 1024, 4, strategy="fsdp", dp=8)
    yield case("opt", 6, 1024, 16, 512, 8, strategy="fsdp", dp=4, **few, **recomputed)
    one = dict(strategy="none", dp=1)
    yield dict(titan, **{**one, **few, **pure, **by_operation, "tp": 2})
    yield dict(titan, **{**one, "tp": 8, "sequence_parallel": True})
    yield case("vit", 6, 512, 8, 197, 64, image_size=224, patch_size=16, strategy="ddp", dp=8)
    yield case("bert", 4, 768, 12, 256, 16, strategy="ddp", dp=2, grad_accum=4, **eager)
    yield case("llama", 4, 1536, 12, 1024, 2, grad_accum=3, lora=dict(rank=16, targets=["q", "v"]), **few, **eager)
    lora = dict(rank=8, targets=["q", "k", "v", "o", "gate", "up", "down"])
    yield case("llama", 6, 1536, 12, 2048, 2, lora=lora, **few)
    yield case("llama", 6, 1536, 12, 2048, 2, lora=lora, **few, **recomputed)


def main():
    versions = dict(python=platform.python_version(), torch=torch.__version__, transformers=transformers.__version__)
    found = []
    for known, more in ((True, [*cases(), *small_vocabularies()]), (False, held_out())):
        for c in more:
            found.append(dict(measure(c), held_out=not known))
            gc.collect()
            print(found[-1], flush=True)
    out = pathlib.Path(__file__).with_suffix(".json")
    out.write_text(json.dumps(dict(versions=versions, cases=found), indent=1) + "\n")


main()

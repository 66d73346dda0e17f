"""Makes flops.json: training FLOPs that PyTorch counts, for the ledger's golden test.

Every case builds a Hugging Face model from a config alone (no weights), runs a forward and a backward pass under
torch.utils.flop_counter.FlopCounterMode with eager attention and no dropout, and compares each count with a formula
written here from the architecture. A count that differs from its formula by one FLOP stops the script.

    python3 -m venv venv && venv/bin/pip install torch==2.15.0 transformers==5.23.0
    venv/bin/python flops.py            # writes flops.json beside itself, prints the comparison

No GPU and no download is needed. Cases with device "cpu" are computed; cases with device "meta" are public model
sizes that only shapes pass through.
"""

import json
import pathlib
import platform
import time
import warnings

import torch
import transformers
from torch.utils.flop_counter import FlopCounterMode
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForImageClassification,
    AutoModelForMaskedLM,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    BertConfig,
    DistilBertConfig,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    MistralConfig,
    MixtralConfig,
    OPTConfig,
    Qwen2Config,
    RobertaConfig,
    T5Config,
    ViTConfig,
)

FIELDS = (
    "family layers encoder_layers hidden_size heads kv_heads head_dim ffn_size vocab_size gated_ffn tied_embeddings "
    "max_positions experts top_k image_size patch_size channels labels"
).split()

TASK_CLASS = {
    "masked_lm": AutoModelForMaskedLM,
    "causal_lm": AutoModelForCausalLM,
    "seq2seq_lm": AutoModelForSeq2SeqLM,
    "classification": AutoModelForSequenceClassification,
}

LLAMA_LIKE = {"llama": LlamaConfig, "mistral": MistralConfig, "qwen2": Qwen2Config, "mixtral": MixtralConfig}
GATED = set(LLAMA_LIKE)

NOTES = [
    "Counted: mm, addmm, bmm, convolution and their backward, 2 FLOPs a multiply-add. Not counted: biases, norms, "
    "softmax, activations, residuals, dropout, embedding look-ups and their scatter backward, loss, optimiser.",
    "Attention is eager: scores and context are full seq x seq (or decoder x encoder) products; causal and "
    "sliding-window masks save nothing. Fused causal kernels count differently.",
    "Backward is exactly 2 x forward for every operation, with one exception: ViT's patch convolution has a weight "
    "gradient but no input gradient (pixels need none), so its backward is 1 x forward. In every other family "
    "the first layer's input is an embedding that is trained, so its input gradient is computed and counted.",
    "Grouped-query attention repeats keys and values before the product: score FLOPs depend on heads, not kv_heads; only "
    "the key and value projections shrink. Inside the repeat the backward is a sum, which is not counted.",
    "Rotary embeddings are not counted: transformers 5.23 multiplies positions by inverse frequencies element-wise. "
    "transformers 4.x used a matmul there (2 x seq x head_dim / 2 a forward pass, no backward): below 1e-5 of a step.",
    "T5's relative position bias is an embedding look-up added to the scores: parameters, but no FLOPs.",
    "Language-model heads see every position (logits for batch x seq tokens, not seq - 1, although the shifted loss drops "
    "one). Tying the head to the embedding changes parameters, never FLOPs.",
    "BERT's masked-LM head is a dense hidden x hidden transform and then the vocabulary, on all positions, not only masked "
    "ones. AutoModelForMaskedLM holds no pooler; the AutoModel backbone of BERT and RoBERTa does hold one "
    "(hidden^2 + hidden), so backbone_parameters can hold parameters that `parameters` lacks. DistilBERT has none.",
    "BERT's classification head is a pooler (hidden x hidden) and a classifier (hidden x labels), on batch rows (the "
    "first token) only, forward and backward. RoBERTa's and DistilBERT's head layers have other names and equal FLOPs. "
    "All other positions of the last layer are still computed and differentiated in full, zeros included.",
    "ViT has (image/patch)^2 + 1 tokens (seq_len says so); its classifier is hidden x labels on the first token, with no "
    "pooler. The AutoModel backbone does hold a pooler.",
    "T5's task is called causal_lm: T5ForConditionalGeneration, seq_len for the encoder, decoder_seq_len for the decoder. "
    "Cross-attention keys and values are projected from encoder tokens, in every decoder layer.",
    "Decoder-only classification (GPT2ForSequenceClassification and the like) applies its hidden x labels score, without "
    "bias, to every position, then picks one: 2 x batch x seq x hidden x labels. There is no "
    "vocabulary head, so tied_embeddings changes nothing there.",
    "Mixtral: experts_implementation='eager' runs one mm an expert over the tokens routed to it; their sum is exactly "
    "top_k x tokens whatever the routing. The router (hidden x experts, every token) is counted and differentiated, even "
    "with top_k = 1, where its gradient is zero. No capacity, no drops, no auxiliary-loss matmul. The default of "
    "transformers 5 (grouped_mm) has no FLOP formula in torch 2.15: FlopCounterMode then counts the experts as zero.",
    "Checkpointing: total_flops_checkpointed uses use_reentrant=True, which recomputes each block in full: forward + "
    "recompute of all layers + backward; embeddings and heads are not recomputed. "
    "total_flops_checkpointed_early_stop uses use_reentrant=False (PyTorch's recommended mode): the recompute stops as "
    "soon as the last tensor that backward needs exists. That skips the block's last matmul (FFN down projection, "
    "2 x tokens x hidden x ffn a layer; T5: encoder and decoder blocks alike) in GPT-2, GPT-NeoX, OPT, Llama, Mistral, Qwen2, "
    "T5 and ViT, and nothing in BERT (a norm follows and saves) and Mixtral (the routing weights follow and save). "
    "recompute_skipped_flops is that difference.",
    "T5 in transformers 5 forces tie_word_embeddings to true whatever the config said, and remembers the original "
    "in scale_decoder_outputs (false = untied, as T5 v1.1 and Flan-T5 are published). The untied cases here were untied by "
    "hand after construction. An importer should read untied when tie_word_embeddings is false or "
    "scale_decoder_outputs is false; one untied case's config holds the 5.x form, the other the published form.",
    "OPT's max_positions excludes its offset of 2 rows (the table has max_positions + 2); RoBERTa's includes its offset "
    "of 2 (514 rows hold 512 positions).",
    "Configs are config.to_dict() of transformers 5: rope_theta sits in rope_parameters; older published files have it at "
    "the top level. Fields that do not apply to an architecture are null.",
    "extra_cases hold an option outside the architecture's fields: OPT with word_embed_proj_dim W smaller than hidden "
    "H (as opt-350m). Two projections W x H on every token, and a head W x vocab in place of H x vocab.",
]


def architecture(family, **given):
    """Fills the architecture object: derived fields where none is given, null where one does not apply."""
    a = dict.fromkeys(FIELDS)
    a.update(family=family, **given)
    a["head_dim"] = a["head_dim"] or a["hidden_size"] // a["heads"]
    a["kv_heads"] = a["kv_heads"] or a["heads"]
    if a["gated_ffn"] is None:
        a["gated_ffn"] = family in GATED
    if a["tied_embeddings"] is None and family != "vit":
        a["tied_embeddings"] = family in ("bert", "gpt2", "opt", "t5")
    if a["max_positions"] is None and family not in ("t5", "vit"):
        a["max_positions"] = 512
    return a


def config_of(a, variant=None, **extra):
    """Builds the transformers config of an architecture; dropout is off everywhere."""
    f = a["family"]
    labels = {} if a["labels"] is None else {"num_labels": a["labels"]}
    common = dict(
        num_hidden_layers=a["layers"],
        hidden_size=a["hidden_size"],
        num_attention_heads=a["heads"],
        intermediate_size=a["ffn_size"],
        **labels,
        **extra,
    )
    text = dict(vocab_size=a["vocab_size"], max_position_embeddings=a["max_positions"])
    if f != "vit" and f != "t5":
        text["tie_word_embeddings"] = a["tied_embeddings"]
    if f == "bert" and variant == "distilbert":
        return DistilBertConfig(
            n_layers=a["layers"],
            dim=a["hidden_size"],
            n_heads=a["heads"],
            hidden_dim=a["ffn_size"],
            dropout=0.0,
            attention_dropout=0.0,
            seq_classif_dropout=0.0,
            **text,
            **labels,
            **extra,
        )
    if f == "bert":
        cls = RobertaConfig if variant == "roberta" else BertConfig
        text["type_vocab_size"] = 1 if variant == "roberta" else 2
        return cls(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, **common, **text)
    if f == "gpt2":
        return GPT2Config(
            vocab_size=a["vocab_size"],
            n_positions=a["max_positions"],
            n_embd=a["hidden_size"],
            n_layer=a["layers"],
            n_head=a["heads"],
            n_inner=None if a["ffn_size"] == 4 * a["hidden_size"] else a["ffn_size"],
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            tie_word_embeddings=a["tied_embeddings"],
            **labels,
            **extra,
        )
    if f == "gpt_neox":
        return GPTNeoXConfig(**common, **text)
    if f == "opt":
        common["ffn_dim"] = common.pop("intermediate_size")
        common.setdefault("word_embed_proj_dim", a["hidden_size"])
        return OPTConfig(dropout=0.0, attention_dropout=0.0, **common, **text)
    if f in LLAMA_LIKE:
        common["num_key_value_heads"] = a["kv_heads"]
        if a["head_dim"] * a["heads"] != a["hidden_size"]:
            common["head_dim"] = a["head_dim"]
        if f == "mixtral":
            common.update(num_local_experts=a["experts"], num_experts_per_tok=a["top_k"])
        return LLAMA_LIKE[f](**common, **text)
    if f == "t5":
        return T5Config(
            vocab_size=a["vocab_size"],
            d_model=a["hidden_size"],
            d_kv=a["head_dim"],
            d_ff=a["ffn_size"],
            num_layers=a["encoder_layers"],
            num_decoder_layers=a["layers"],
            num_heads=a["heads"],
            feed_forward_proj="gated-gelu" if a["gated_ffn"] else "relu",
            dropout_rate=0.0,
            decoder_start_token_id=0,
            tie_word_embeddings=a["tied_embeddings"],
            **extra,
        )
    return ViTConfig(
        image_size=a["image_size"],
        patch_size=a["patch_size"],
        num_channels=a["channels"],
        pooler_output_size=a["hidden_size"],
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        **common,
    )


def ledger(a, task, batch, seq, decoder_seq=None, word_width=None):
    """Forward FLOPs of one pass by component, from the architecture alone."""
    f, h, v = a["family"], a["hidden_size"], a["vocab_size"]
    d, kv = a["heads"] * a["head_dim"], a["kv_heads"] * a["head_dim"]
    tokens = batch * seq
    ffn_matrices = 3 if a["gated_ffn"] else 2

    def ffn(t):
        return 2 * t * ffn_matrices * h * a["ffn_size"]

    out = {}
    if f == "t5":
        target = batch * decoder_seq
        e, n = a["encoder_layers"], a["layers"]
        out["encoder_projections"] = e * 2 * tokens * 4 * h * d
        out["encoder_attention"] = e * 4 * batch * seq * seq * d
        out["encoder_ffn"] = e * ffn(tokens)
        out["decoder_projections"] = n * 2 * target * 4 * h * d
        out["decoder_attention"] = n * 4 * batch * decoder_seq * decoder_seq * d
        out["cross_projections"] = n * (2 * target * 2 * h * d + 2 * tokens * 2 * h * d)
        out["cross_attention"] = n * 4 * batch * decoder_seq * seq * d
        out["decoder_ffn"] = n * ffn(target)
        out["lm_head"] = 2 * target * h * v
        return out
    if f == "vit":
        out["patch_embedding"] = 2 * batch * (seq - 1) * h * a["channels"] * a["patch_size"] ** 2
    n = a["layers"]
    out["projections"] = n * 2 * tokens * (2 * h * d + 2 * h * kv)
    out["attention"] = n * 4 * batch * seq * seq * d
    if f == "mixtral":
        out["router"] = n * 2 * tokens * h * a["experts"]
        out["experts"] = n * a["top_k"] * ffn(tokens)
    else:
        out["ffn"] = n * ffn(tokens)
    w = word_width or h
    if w != h:
        out["word_projections"] = 2 * 2 * tokens * w * h
    if task == "classification":
        rows = batch if f in ("bert", "vit") else tokens
        if f == "bert":
            out["pooler"] = 2 * batch * h * h
        out["classifier"] = 2 * rows * h * a["labels"]
    else:
        if task == "masked_lm":
            out["lm_transform"] = 2 * tokens * h * h
        out["lm_head"] = 2 * tokens * w * v
    return out


def layer_flops(parts):
    """Forward FLOPs inside the repeated blocks: what full checkpointing computes twice."""
    outside = {"patch_embedding", "word_projections", "pooler", "classifier", "lm_transform", "lm_head"}
    return sum(flops for part, flops in parts.items() if part not in outside)


def early_stop_skips(a, batch, seq, decoder_seq):
    """FLOPs that use_reentrant=False leaves out of the recompute: the last matmul of a block, if nothing saves after."""
    f, one = a["family"], 2 * a["hidden_size"] * a["ffn_size"]
    if f == "bert" or f == "mixtral":
        return 0
    if f == "t5":
        return one * batch * (a["encoder_layers"] * seq + a["layers"] * decoder_seq)
    return one * batch * seq * a["layers"]


def parameter_formula(a, task, variant=None, word_width=None):
    """Unique parameters of the task's class and of its AutoModel backbone, from the architecture alone."""
    f, h, v, n, p = (a[k] for k in ("family", "hidden_size", "vocab_size", "layers", "max_positions"))
    d, kv, ff = a["heads"] * a["head_dim"], a["kv_heads"] * a["head_dim"], a["ffn_size"]
    biased = 4 * (h * h + h) + 2 * h * ff + ff + h + 4 * h
    dense = h * h + h
    if f == "bert":
        types = {"roberta": 1, "distilbert": 0}.get(variant, 2)
        trunk = (v + p + types) * h + 2 * h + n * biased
        backbone = trunk + (0 if variant == "distilbert" else dense)
        if task == "classification":
            return trunk + dense + h * a["labels"] + a["labels"], backbone
        return trunk + dense + 2 * h + v + (0 if a["tied_embeddings"] else v * h + v), backbone
    if f == "vit":
        patches = (a["image_size"] // a["patch_size"]) ** 2
        trunk = a["channels"] * a["patch_size"] ** 2 * h + h + h + (patches + 1) * h + n * biased + 2 * h
        return trunk + h * a["labels"] + a["labels"], trunk + dense
    if f == "t5":
        ffn = (3 if a["gated_ffn"] else 2) * h * ff
        buckets = 32 * a["heads"]
        encoder = a["encoder_layers"] * (4 * h * d + ffn + 2 * h) + h + buckets
        decoder = n * (8 * h * d + ffn + 3 * h) + h + buckets
        backbone = v * h + encoder + decoder
        return backbone + (0 if a["tied_embeddings"] else v * h), backbone
    w = word_width or h
    if f in ("gpt2", "gpt_neox", "opt"):
        rows = {"gpt2": p, "gpt_neox": 0, "opt": p + 2}[f]
        backbone = v * w + rows * h + n * biased + 2 * h + (0 if w == h else 2 * w * h)
    else:
        block = 2 * h * d + 2 * h * kv + 2 * h + 3 * h * ff
        if f == "qwen2":
            block += d + 2 * kv
        if f == "mixtral":
            block += (a["experts"] - 1) * 3 * h * ff + a["experts"] * h
        backbone = v * h + n * block + h
    if task == "classification":
        return backbone + h * a["labels"], backbone
    return backbone + (0 if a["tied_embeddings"] else v * w), backbone


def build(auto, config, a):
    """Builds a model from its config with eager attention and, for experts, the loop of plain matmuls."""
    kwargs = {"experts_implementation": "eager"} if a["family"] == "mixtral" else {}
    model = auto.from_config(config, attn_implementation="eager", **kwargs)
    if a["family"] == "t5" and not a["tied_embeddings"] and hasattr(model, "lm_head"):
        model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().clone())
    return model.train()


def numel(model):
    return sum(p.numel() for p in model.parameters())


def inputs(a, task, batch, seq, decoder_seq):
    if a["family"] == "vit":
        pixels = torch.randn(batch, a["channels"], a["image_size"], a["image_size"])
        return {"pixel_values": pixels, "labels": torch.randint(a["labels"], (batch,))}
    ids = torch.randint(3, a["vocab_size"], (batch, seq))
    if task == "classification":
        return {"input_ids": ids, "labels": torch.randint(a["labels"], (batch,))}
    if a["family"] == "t5":
        target = torch.randint(3, a["vocab_size"], (batch, decoder_seq))
        return {"input_ids": ids, "labels": target}
    return {"input_ids": ids, "labels": ids}


def count(model, batch_inputs):
    """Forward FLOPs, forward + backward FLOPs, and both by operator."""
    model.zero_grad()
    with FlopCounterMode(display=False) as counter:
        loss = model(**batch_inputs).loss
        forward = counter.get_total_flops()
        forward_by_op = operators(counter)
        loss.backward()
    return forward, counter.get_total_flops(), forward_by_op, operators(counter)


def operators(counter):
    by_op = counter.get_flop_counts()["Global"]
    return {str(op): flops for op, flops in sorted(by_op.items(), key=lambda item: str(item[0]))}


def case(name, a, task, batch, seq=None, decoder_seq=None, variant=None, device="cpu", checkpointed=False,
         published_tie=False, source=None, **extra):
    """Counts one case, checks it against the formulas and returns its record."""
    started = time.perf_counter()
    torch.manual_seed(0)
    if a["family"] == "vit":
        seq = (a["image_size"] // a["patch_size"]) ** 2 + 1
    auto = AutoModelForImageClassification if a["family"] == "vit" else TASK_CLASS[
        "seq2seq_lm" if a["family"] == "t5" else task]
    config = config_of(a, variant, **extra)
    if task == "classification" and a["family"] in ("gpt2", "llama"):
        config.pad_token_id = 0
    word_width = extra.get("word_embed_proj_dim")
    with torch.device(device):
        model = build(auto, config, a)
        backbone = numel(build(AutoModel, config, a))
        batch_inputs = inputs(a, task, batch, seq, decoder_seq)
        config.architectures = [type(model).__name__]
        forward, total, forward_by_op, total_by_op = count(model, batch_inputs)
        parameters = numel(model)
        checkpoint = {}
        if checkpointed:
            for key, reentrant in (("total_flops_checkpointed", True), ("total_flops_checkpointed_early_stop", False)):
                model.gradient_checkpointing_enable({"use_reentrant": reentrant})
                checkpoint[key] = count(model, batch_inputs)[1]
            checkpoint["recompute_skipped_flops"] = (
                checkpoint["total_flops_checkpointed"] - checkpoint["total_flops_checkpointed_early_stop"])

    parts = ledger(a, task, batch, seq, decoder_seq, word_width)
    hand_forward = sum(parts.values())
    hand_total = 3 * hand_forward - parts.get("patch_embedding", 0)
    hand_parameters, hand_backbone = parameter_formula(a, task, variant, word_width)
    checks = [("forward", forward, hand_forward), ("total", total, hand_total),
              ("parameters", parameters, hand_parameters), ("backbone", backbone, hand_backbone)]
    if checkpointed:
        skipped = early_stop_skips(a, batch, seq, decoder_seq)
        checks.append(("checkpointed", checkpoint["total_flops_checkpointed"], hand_total + layer_flops(parts)))
        checks.append(("early stop skips", checkpoint["recompute_skipped_flops"], skipped))
    wrong = [f"{what} counted {counted} formula {hand}" for what, counted, hand in checks if counted != hand]
    verdict = "exact" if not wrong else "DIFFERS: " + "; ".join(wrong)
    print(f"{name:44} {forward:>20,} {total:>20,} {parameters:>16,} {time.perf_counter() - started:6.1f} s  {verdict}",
          flush=True)

    document = json.loads(json.dumps(config.to_dict()))
    if published_tie:
        document["tie_word_embeddings"] = a["tied_embeddings"]
        document.pop("scale_decoder_outputs", None)
    record = {"name": name, "architecture": a, "config": document, "model_class": type(model).__name__, "task": task,
              "device": device, "batch": batch, "seq_len": seq}
    if decoder_seq is not None:
        record["decoder_seq_len"] = decoder_seq
    if source:
        record["source"] = source
    record.update(parameters=parameters, backbone_parameters=backbone, forward_flops=forward, total_flops=total,
                  **checkpoint, forward_by_operator=forward_by_op, total_by_operator=total_by_op,
                  forward_by_component=parts)
    return record, wrong


def small_cases():
    """Small shapes that are computed on the CPU, odd on purpose."""
    A = architecture

    def bert(layers, h, heads, ff, v, **more):
        return A("bert", layers=layers, hidden_size=h, heads=heads, ffn_size=ff, vocab_size=v, **more)

    mlm, clm, cls = "masked_lm", "causal_lm", "classification"
    yield "bert-mlm-plain", bert(2, 128, 2, 512, 1000), mlm, 4, dict(seq=32, checkpointed=True)
    yield "bert-mlm-odd", bert(3, 96, 6, 250, 1537, max_positions=77), mlm, 3, dict(seq=41)
    yield "bert-mlm-wide", bert(1, 768, 12, 3072, 4099), mlm, 2, dict(seq=64)
    yield "bert-mlm-batch-one", bert(6, 64, 4, 200, 509), mlm, 1, dict(seq=128)
    yield "bert-cls-two-labels", bert(2, 128, 2, 512, 1000, labels=2), cls, 4, dict(seq=32, checkpointed=True)
    yield "bert-cls-odd", bert(5, 144, 3, 333, 811, labels=7), cls, 5, dict(seq=19)
    yield "bert-cls-one-token", bert(2, 64, 2, 256, 301, labels=3), cls, 6, dict(seq=1)
    yield "roberta-mlm", bert(2, 192, 3, 640, 2003, max_positions=130), mlm, 2, dict(seq=50, variant="roberta")
    yield "roberta-cls", bert(3, 128, 4, 384, 997, max_positions=66, labels=5), cls, 7, dict(seq=23, variant="roberta")
    yield "distilbert-mlm", bert(3, 160, 5, 600, 1201), mlm, 2, dict(seq=37, variant="distilbert")
    yield "distilbert-cls", bert(2, 96, 3, 384, 777, labels=4), cls, 3, dict(seq=29, variant="distilbert")

    def gpt2(layers, h, heads, ff, v, **more):
        return A("gpt2", layers=layers, hidden_size=h, heads=heads, ffn_size=ff, vocab_size=v, **more)

    yield "gpt2-plain", gpt2(2, 128, 4, 512, 1000), clm, 4, dict(seq=64, checkpointed=True)
    yield "gpt2-odd", gpt2(4, 80, 5, 300, 1231, max_positions=101), clm, 3, dict(seq=53)
    yield "gpt2-untied", gpt2(3, 256, 8, 1024, 777, tied_embeddings=False), clm, 2, dict(seq=40)
    yield "gpt2-long", gpt2(2, 64, 2, 256, 257, max_positions=700), clm, 1, dict(seq=640)
    yield "gpt2-cls", gpt2(2, 128, 4, 512, 601, labels=3), cls, 3, dict(seq=31)

    def neox(layers, h, heads, ff, v, **more):
        return A("gpt_neox", layers=layers, hidden_size=h, heads=heads, ffn_size=ff, vocab_size=v, **more)

    yield "gpt-neox-plain", neox(3, 256, 4, 1024, 2048), clm, 2, dict(seq=48, checkpointed=True)
    yield "gpt-neox-odd", neox(5, 96, 3, 370, 1009), clm, 3, dict(seq=35)
    yield "gpt-neox-tied", neox(2, 128, 8, 512, 650, tied_embeddings=True), clm, 5, dict(seq=17)
    yield "gpt-neox-sequential-residual", neox(2, 128, 2, 300, 650), clm, 2, dict(seq=33, use_parallel_residual=False)

    def opt(layers, h, heads, ff, v, **more):
        return A("opt", layers=layers, hidden_size=h, heads=heads, ffn_size=ff, vocab_size=v, **more)

    yield "opt-plain", opt(3, 128, 4, 512, 1000), clm, 3, dict(seq=40, checkpointed=True)
    yield "opt-odd", opt(4, 72, 3, 290, 1301, max_positions=61), clm, 2, dict(seq=59)
    yield "opt-untied", opt(1, 384, 6, 1536, 999, tied_embeddings=False), clm, 2, dict(seq=28)

    def llama(layers, h, heads, kv, ff, v, family="llama", **more):
        return A(family, layers=layers, hidden_size=h, heads=heads, kv_heads=kv, ffn_size=ff, vocab_size=v, **more)

    yield "llama-multi-head", llama(2, 128, 4, 4, 344, 1000), clm, 2, dict(seq=64, checkpointed=True)
    yield "llama-grouped-query", llama(4, 256, 8, 2, 688, 1501), clm, 3, dict(seq=45)
    yield "llama-multi-query", llama(3, 192, 6, 1, 500, 701), clm, 2, dict(seq=51)
    yield "llama-head-dim", llama(3, 160, 5, 5, 427, 911, head_dim=48), clm, 2, dict(seq=38)
    yield "llama-head-dim-tied", llama(2, 128, 8, 4, 300, 1100, head_dim=32, tied_embeddings=True), clm, 3, dict(seq=27)
    yield "llama-wide", llama(1, 768, 12, 4, 2048, 3001), clm, 1, dict(seq=96)
    yield "llama-cls", llama(2, 128, 4, 2, 344, 603, labels=4), cls, 3, dict(seq=22)
    yield "mistral-plain", llama(3, 256, 8, 4, 900, 1203, "mistral"), clm, 2, dict(seq=47, checkpointed=True)
    yield ("mistral-sliding-window", llama(2, 128, 4, 2, 448, 509, "mistral"), clm, 2,
           dict(seq=100, sliding_window=16))
    yield "mistral-head-dim", llama(2, 160, 4, 2, 420, 613, "mistral", head_dim=32), clm, 3, dict(seq=33)
    yield "qwen2-plain", llama(3, 192, 6, 2, 700, 1907, "qwen2"), clm, 2, dict(seq=55)
    yield "qwen2-tied", llama(4, 112, 7, 1, 304, 2111, "qwen2", tied_embeddings=True), clm, 3, dict(seq=29,
                                                                                               checkpointed=True)

    def mixtral(layers, h, heads, kv, ff, v, experts, top_k, **more):
        return llama(layers, h, heads, kv, ff, v, "mixtral", experts=experts, top_k=top_k, **more)

    yield "mixtral-8-top-2", mixtral(3, 128, 4, 2, 300, 800, 8, 2), clm, 3, dict(seq=40, checkpointed=True)
    yield "mixtral-4-top-1", mixtral(2, 96, 6, 3, 224, 517, 4, 1), clm, 2, dict(seq=33)
    yield "mixtral-16-top-4", mixtral(2, 160, 5, 5, 130, 701, 16, 4), clm, 2, dict(seq=21)
    yield "mixtral-2-top-2", mixtral(4, 64, 4, 1, 190, 401, 2, 2), clm, 1, dict(seq=71)
    yield "mixtral-more-experts-than-tokens", mixtral(2, 64, 2, 2, 96, 257, 32, 1), clm, 1, dict(seq=9)
    yield ("mixtral-5-top-3-tied", mixtral(1, 192, 6, 2, 256, 603, 5, 3, head_dim=24, tied_embeddings=True), clm, 2,
           dict(seq=26))

    def t5(encoder, decoder, h, heads, head_dim, ff, v, **more):
        return A("t5", layers=decoder, encoder_layers=encoder, hidden_size=h, heads=heads, head_dim=head_dim,
                 ffn_size=ff, vocab_size=v, **more)

    gated = dict(gated_ffn=True)
    yield "t5-relu-plain", t5(2, 2, 128, 4, 32, 512, 1000), clm, 2, dict(seq=40, decoder_seq=24, checkpointed=True)
    yield "t5-relu-odd", t5(3, 1, 96, 5, 24, 310, 1103), clm, 3, dict(seq=37, decoder_seq=11)
    yield "t5-relu-deep-decoder", t5(1, 5, 160, 3, 40, 480, 677), clm, 1, dict(seq=13, decoder_seq=59)
    yield ("t5-gated-untied", t5(2, 3, 128, 6, 64, 344, 1201, **gated, tied_embeddings=False), clm, 2,
           dict(seq=30, decoder_seq=18, checkpointed=True))
    yield ("t5-gated-untied-published-form", t5(4, 2, 192, 4, 32, 500, 901, **gated, tied_embeddings=False), clm, 2,
           dict(seq=22, decoder_seq=47, published_tie=True))
    yield "t5-gated-tied", t5(2, 2, 64, 8, 16, 150, 333, **gated), clm, 4, dict(seq=16, decoder_seq=16)

    def vit(layers, h, heads, ff, image, patch, labels, channels=3):
        return A("vit", layers=layers, hidden_size=h, heads=heads, ffn_size=ff, image_size=image, patch_size=patch,
                 channels=channels, labels=labels)

    yield "vit-plain", vit(3, 192, 3, 768, 64, 16, 10), cls, 4, dict(checkpointed=True)
    yield "vit-grey", vit(2, 128, 4, 400, 28, 7, 11, channels=1), cls, 3, {}
    yield "vit-wide", vit(1, 768, 12, 3072, 96, 16, 1000), cls, 2, {}
    yield "vit-patch-remainder", vit(4, 96, 6, 250, 50, 8, 3), cls, 5, {}


def public_cases():
    """Public model sizes at training shapes; the meta device passes shapes only."""
    A = architecture
    mlm, clm, cls = "masked_lm", "causal_lm", "classification"
    bert = dict(layers=12, hidden_size=768, heads=12, ffn_size=3072, vocab_size=30522)
    yield "bert-base-uncased-mlm", A("bert", **bert), mlm, 32, dict(seq=128)
    yield "bert-base-uncased-cls", A("bert", **bert, labels=2), cls, 32, dict(seq=512)
    yield ("gpt2-public", A("gpt2", layers=12, hidden_size=768, heads=12, ffn_size=3072, vocab_size=50257,
                            max_positions=1024), clm, 8, dict(seq=1024))
    yield ("pythia-1b-public", A("gpt_neox", layers=16, hidden_size=2048, heads=8, ffn_size=8192, vocab_size=50304,
                                 max_positions=2048), clm, 4, dict(seq=2048))
    yield ("opt-1.3b-public", A("opt", layers=24, hidden_size=2048, heads=32, ffn_size=8192, vocab_size=50272,
                                max_positions=2048), clm, 4, dict(seq=2048))
    yield ("llama-2-7b-public", A("llama", layers=32, hidden_size=4096, heads=32, ffn_size=11008, vocab_size=32000,
                                  max_positions=4096), clm, 1, dict(seq=4096))
    yield ("llama-3-8b-public", A("llama", layers=32, hidden_size=4096, heads=32, kv_heads=8, ffn_size=14336,
                                  vocab_size=128256, max_positions=8192), clm, 2, dict(seq=8192))
    yield ("mistral-7b-public", A("mistral", layers=32, hidden_size=4096, heads=32, kv_heads=8, ffn_size=14336,
                                  vocab_size=32000, max_positions=32768), clm, 1, dict(seq=2048))
    yield ("qwen2-7b-public", A("qwen2", layers=28, hidden_size=3584, heads=28, kv_heads=4, ffn_size=18944,
                                vocab_size=152064, max_positions=131072), clm, 1, dict(seq=2048))
    yield ("t5-base-public", A("t5", layers=12, encoder_layers=12, hidden_size=768, heads=12, head_dim=64,
                               ffn_size=3072, vocab_size=32128), clm, 16, dict(seq=512, decoder_seq=114))
    yield ("vit-base-patch16-224-public", A("vit", layers=12, hidden_size=768, heads=12, ffn_size=3072, image_size=224,
                                            patch_size=16, channels=3, labels=1000), cls, 64, {})


def extra_cases():
    a = architecture("opt", layers=2, hidden_size=128, heads=4, ffn_size=512, vocab_size=600)
    yield "opt-word-projection", a, "causal_lm", 3, dict(seq=25, word_embed_proj_dim=64)


def main():
    warnings.filterwarnings("ignore")
    transformers.logging.set_verbosity_error()
    print(f"{'case':44} {'forward':>20} {'forward + backward':>20} {'parameters':>16} {'time':>8}  formula")
    started = time.perf_counter()
    groups = {"cases": [], "extra_cases": []}
    wrong = []
    for group, cases, device in (("cases", small_cases(), "cpu"), ("cases", public_cases(), "meta"),
                                 ("extra_cases", extra_cases(), "cpu")):
        for name, a, task, batch, more in cases:
            record, differences = case(name, a, task, batch, device=device, **more)
            groups[group].append(record)
            wrong += [f"{name}: {difference}" for difference in differences]
    if wrong:
        raise SystemExit("counts differ from the formulas:\n" + "\n".join(wrong))
    out = {
        "made_by": "flops.py",
        "versions": {"python": platform.python_version(), "torch": torch.__version__,
                     "transformers": transformers.__version__},
        "counter": "torch.utils.flop_counter.FlopCounterMode, eager attention, dropout 0, float32",
        "notes": NOTES,
        **groups,
    }
    path = pathlib.Path(__file__).with_name("flops.json")
    path.write_text(json.dumps(out, indent=1) + "\n")
    print(f"{len(groups['cases'])} cases and {len(groups['extra_cases'])} extra, all exact, "
          f"{time.perf_counter() - started:.0f} s, {path.name} {path.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    main()

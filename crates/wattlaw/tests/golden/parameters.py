"""Makes parameters.json: parameter counts of public models, for the architecture's golden test.

Each row is a public model's config.json, cut to the keys that matter and in the form in which it was published. The
script builds the model's class from it on the meta device (no weights, no download) and counts unique parameters. Where
a count has been published the script stops if the two differ.

    python3 -m venv venv && venv/bin/pip install torch==2.15.0 transformers==5.23.0
    venv/bin/python parameters.py       # writes parameters.json beside itself, prints the counts
"""

import json
import pathlib
import platform
import time

import torch
import transformers
from transformers import AutoConfig

HUB = "https://huggingface.co/"

NOTES = [
    "parameters counts each tensor once: a head tied to its embedding adds nothing.",
    "class says what is counted. Base classes of BERT, RoBERTa and ViT hold a pooler (hidden^2 + hidden) that their "
    "masked-LM and image-classification classes do not hold; DistilBERT has no pooler.",
    "Configs are in the published form: rope_theta at the top level, rotary_pct, n_embd and so on. Keys that a published "
    "file omits are omitted here too and take the family's default: BERT's tie (true), GPT-2's n_inner (null: 4 x hidden), "
    "the original T5's feed_forward_proj (relu), num_decoder_layers (num_layers) and tie (true), Llama's "
    "attention_bias (false), OPT's enable_bias (true).",
    "T5 v1.1 and Flan-T5 publish tie_word_embeddings: false. transformers 5 overrides that to true in the config, "
    "so this script unties the head by hand; the checkpoints do hold a separate lm_head.",
    "OPT has max_position_embeddings + 2 position rows. RoBERTa's 514 rows include the 2.",
    "opt-350m embeds words in 512 dimensions and projects them to 1024 and back (two matrices without bias); it is post-norm, "
    "so it has no final norm.",
    "GPT-NeoX's and Pythia's vocab_size is the padded table (50304 or 50432), head not tied.",
    "Qwen2 has biases on query, key and value only; Llama and Mistral have none.",
    "ViT's id2label is here with placeholder names; only its length (1000) matters.",
    "checked is 'published' where the same count stands in a model card, a library's tests or a checkpoint's metadata, "
    "independently of this script, and 'config' where only the config is vouched for. unsure says what may differ from "
    "the published file.",
]


def bert(h, layers, heads, **more):
    return {"model_type": "bert", "architectures": ["BertForMaskedLM"], "hidden_act": "gelu", "hidden_size": h,
            "intermediate_size": 4 * h, "max_position_embeddings": 512, "num_attention_heads": heads,
            "num_hidden_layers": layers, "type_vocab_size": 2, "vocab_size": 30522, **more}


def roberta(h, layers, heads):
    return {"model_type": "roberta", "architectures": ["RobertaForMaskedLM"], "hidden_act": "gelu", "hidden_size": h,
            "intermediate_size": 4 * h, "max_position_embeddings": 514, "num_attention_heads": heads,
            "num_hidden_layers": layers, "type_vocab_size": 1, "vocab_size": 50265}


def gpt2(h, layers, heads):
    return {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "activation_function": "gelu_new", "n_ctx": 1024,
            "n_embd": h, "n_head": heads, "n_layer": layers, "n_positions": 1024, "vocab_size": 50257}


def gpt_neox(h, layers, heads, vocab, act="gelu"):
    return {"model_type": "gpt_neox", "architectures": ["GPTNeoXForCausalLM"], "hidden_act": act, "hidden_size": h,
            "intermediate_size": 4 * h, "max_position_embeddings": 2048, "num_attention_heads": heads,
            "num_hidden_layers": layers, "rotary_emb_base": 10000, "rotary_pct": 0.25, "tie_word_embeddings": False,
            "use_parallel_residual": True, "vocab_size": vocab}


def opt(h, layers, heads, word=None, pre_norm=True):
    return {"model_type": "opt", "architectures": ["OPTForCausalLM"], "activation_function": "relu",
            "do_layer_norm_before": pre_norm, "ffn_dim": 4 * h, "hidden_size": h, "max_position_embeddings": 2048,
            "num_attention_heads": heads, "num_hidden_layers": layers, "vocab_size": 50272,
            "word_embed_proj_dim": word or h}


def llama(h, ff, layers, heads, kv, vocab, positions, **more):
    return {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_act": "silu", "hidden_size": h,
            "intermediate_size": ff, "max_position_embeddings": positions, "num_attention_heads": heads,
            "num_hidden_layers": layers, "num_key_value_heads": kv, "rms_norm_eps": 1e-05,
            "tie_word_embeddings": False, "vocab_size": vocab, **more}


def rope_llama3(factor):
    return {"rope_theta": 500000.0, "rope_scaling": {"factor": factor, "high_freq_factor": 4.0, "low_freq_factor": 1.0,
            "original_max_position_embeddings": 8192, "rope_type": "llama3"}}


def mistral(h, ff, layers, heads, kv, vocab, positions, theta, **more):
    return {"model_type": "mistral", "architectures": ["MistralForCausalLM"], "hidden_act": "silu", "hidden_size": h,
            "intermediate_size": ff, "max_position_embeddings": positions, "num_attention_heads": heads,
            "num_hidden_layers": layers, "num_key_value_heads": kv, "rms_norm_eps": 1e-05, "rope_theta": theta,
            "tie_word_embeddings": False, "vocab_size": vocab, **more}


def mixtral(*shape):
    return mistral(*shape, sliding_window=None) | {
        "model_type": "mixtral", "architectures": ["MixtralForCausalLM"], "num_experts_per_tok": 2,
        "num_local_experts": 8, "output_router_logits": False}


def qwen2(h, ff, layers, heads, kv, vocab, tied):
    return {"model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"], "hidden_act": "silu", "hidden_size": h,
            "intermediate_size": ff, "max_position_embeddings": 131072, "max_window_layers": layers,
            "num_attention_heads": heads, "num_hidden_layers": layers, "num_key_value_heads": kv, "rms_norm_eps": 1e-06,
            "rope_theta": 1000000.0, "sliding_window": 131072, "tie_word_embeddings": tied,
            "use_sliding_window": False, "vocab_size": vocab}


def t5(d_model, d_ff, layers, heads, d_kv=64, **more):
    return {"model_type": "t5", "architectures": ["T5ForConditionalGeneration"], "d_ff": d_ff, "d_kv": d_kv,
            "d_model": d_model, "is_encoder_decoder": True, "num_heads": heads, "num_layers": layers,
            "relative_attention_num_buckets": 32, "vocab_size": 32128, **more}


def t5_v1_1(d_model, d_ff, layers, heads):
    return t5(d_model, d_ff, layers, heads, feed_forward_proj="gated-gelu", num_decoder_layers=layers,
              tie_word_embeddings=False)


def vit(h, layers, heads, labels):
    return {"model_type": "vit", "architectures": ["ViTForImageClassification"], "hidden_act": "gelu", "hidden_size": h,
            "id2label": {str(i): f"LABEL_{i}" for i in range(labels)}, "image_size": 224, "intermediate_size": 4 * h,
            "num_attention_heads": heads, "num_channels": 3, "num_hidden_layers": layers, "patch_size": 16,
            "qkv_bias": True}


DISTILBERT = {"model_type": "distilbert", "architectures": ["DistilBertForMaskedLM"], "activation": "gelu", "dim": 768,
              "hidden_dim": 3072, "max_position_embeddings": 512, "n_heads": 12, "n_layers": 6,
              "sinusoidal_pos_embds": False, "vocab_size": 30522}

BERT_BASE, ROBERTA_BASE, VIT_BASE = bert(768, 12, 12), roberta(768, 12, 12), vit(768, 12, 12, 1000)

# name (also its page on the hub), config, class (the config's own when None), published count where there is one
ROWS = [
    ("google-bert/bert-base-uncased", BERT_BASE, "BertModel", 109_482_240),
    ("google-bert/bert-base-uncased", BERT_BASE, None, None),
    ("google-bert/bert-large-uncased", bert(1024, 24, 16), "BertModel", 335_141_888),
    ("FacebookAI/roberta-base", ROBERTA_BASE, "RobertaModel", None),
    ("FacebookAI/roberta-base", ROBERTA_BASE, None, None),
    ("FacebookAI/roberta-large", roberta(1024, 24, 16), "RobertaModel", None),
    ("distilbert/distilbert-base-uncased", DISTILBERT, "DistilBertModel", None),
    ("openai-community/gpt2", gpt2(768, 12, 12), None, 124_439_808),
    ("openai-community/gpt2-medium", gpt2(1024, 24, 16), None, 354_823_168),
    ("openai-community/gpt2-large", gpt2(1280, 36, 20), None, 774_030_080),
    ("openai-community/gpt2-xl", gpt2(1600, 48, 25), None, 1_557_611_200),
    ("EleutherAI/pythia-160m", gpt_neox(768, 12, 12, 50304), None, 162_322_944),
    ("EleutherAI/pythia-1b", gpt_neox(2048, 16, 8, 50304), None, 1_011_781_632),
    ("EleutherAI/pythia-6.9b", gpt_neox(4096, 32, 32, 50432), None, 6_857_302_016),
    ("EleutherAI/gpt-neox-20b", gpt_neox(6144, 44, 64, 50432, "gelu_fast"), None, 20_554_567_680),
    ("facebook/opt-125m", opt(768, 12, 12), None, None),
    ("facebook/opt-350m", opt(1024, 24, 16, 512, False), None, 331_196_416),
    ("facebook/opt-1.3b", opt(2048, 24, 32), None, 1_315_758_080),
    ("facebook/opt-6.7b", opt(4096, 32, 32), None, None),
    ("meta-llama/Llama-2-7b-hf", llama(4096, 11008, 32, 32, 32, 32000, 4096), None, 6_738_415_616),
    ("meta-llama/Llama-2-13b-hf", llama(5120, 13824, 40, 40, 40, 32000, 4096), None, None),
    ("meta-llama/Llama-2-70b-hf", llama(8192, 28672, 80, 64, 8, 32000, 4096), None, 68_976_648_192),
    ("meta-llama/Meta-Llama-3-8B", llama(4096, 14336, 32, 32, 8, 128256, 8192, rope_theta=500000.0), None,
     8_030_261_248),
    ("meta-llama/Llama-3.1-70B", llama(8192, 28672, 80, 64, 8, 128256, 131072, **rope_llama3(8.0)), None,
     70_553_706_496),
    ("meta-llama/Llama-3.2-1B", llama(2048, 8192, 16, 32, 8, 128256, 131072, head_dim=64, **rope_llama3(32.0))
     | {"tie_word_embeddings": True}, None, None),
    ("TinyLlama/TinyLlama-1.1B-intermediate-step-1431k-3T", llama(2048, 5632, 22, 32, 4, 32000, 2048), None,
     1_100_048_384),
    ("mistralai/Mistral-7B-v0.1", mistral(4096, 14336, 32, 32, 8, 32000, 32768, 10000.0, sliding_window=4096), None,
     7_241_732_096),
    ("mistralai/Mixtral-8x7B-v0.1", mixtral(4096, 14336, 32, 32, 8, 32000, 32768, 1000000.0), None, 46_702_792_704),
    ("mistralai/Mixtral-8x22B-v0.1", mixtral(6144, 16384, 56, 48, 8, 32000, 65536, 1000000.0), None,
     140_620_634_112),
    ("Qwen/Qwen2-0.5B", qwen2(896, 4864, 24, 14, 2, 151936, True), None, 494_032_768),
    ("Qwen/Qwen2-1.5B", qwen2(1536, 8960, 28, 12, 2, 151936, True), None, 1_543_714_304),
    ("Qwen/Qwen2-7B", qwen2(3584, 18944, 28, 28, 4, 152064, False), None, 7_615_616_512),
    ("Qwen/Qwen2.5-7B", qwen2(3584, 18944, 28, 28, 4, 152064, False), None, 7_615_616_512),
    ("Qwen/Qwen2.5-72B", qwen2(8192, 29568, 80, 64, 8, 152064, False), None, 72_706_203_648),
    ("google-t5/t5-small", t5(512, 2048, 6, 8), None, None),
    ("google-t5/t5-base", t5(768, 3072, 12, 12), None, 222_903_552),
    ("google-t5/t5-large", t5(1024, 4096, 24, 16), None, None),
    ("google/t5-v1_1-base", t5_v1_1(768, 2048, 12, 12), None, 247_577_856),
    ("google/flan-t5-xl", t5_v1_1(2048, 5120, 24, 32), None, 2_849_757_184),
    ("google/vit-base-patch16-224", VIT_BASE, "ViTModel", None),
    ("google/vit-base-patch16-224", VIT_BASE, None, 86_567_656),
    ("google/vit-large-patch16-224", vit(1024, 24, 16, 1000), None, 304_326_632),
]

OMITS_DECODER_LAYERS = "typed without num_decoder_layers, as first published; later revisions may state it, equal to num_layers"

UNSURE = dict.fromkeys(("google-t5/t5-small", "google-t5/t5-base", "google-t5/t5-large"), OMITS_DECODER_LAYERS)


def count(config, class_name):
    """Counts unique parameters of a class built from a published config on the meta device."""
    fields = {key: value for key, value in config.items() if key != "model_type"}
    built = type(AutoConfig.for_model(config["model_type"])).from_dict(fields)
    with torch.device("meta"):
        model = getattr(transformers, class_name)(built)
        if config["model_type"] == "t5" and config.get("tie_word_embeddings") is False:
            model.lm_head.weight = torch.nn.Parameter(torch.empty_like(model.lm_head.weight))
    return sum(p.numel() for p in model.parameters())


def main():
    transformers.logging.set_verbosity_error()
    started = time.perf_counter()
    rows = []
    for name, config, class_name, published in ROWS:
        class_name = class_name or config["architectures"][0]
        parameters = count(config, class_name)
        print(f"{name:54} {class_name:26} {parameters:>18,}  {'published' if published else 'config'}", flush=True)
        if published not in (None, parameters):
            raise SystemExit(f"{name} {class_name}: counted {parameters}, published {published}")
        row = {"name": name, "model_type": config["model_type"], "class": class_name, "parameters": parameters,
               "checked": "published" if published else "config", "source": HUB + name, "config": config}
        if name in UNSURE:
            row["unsure"] = UNSURE[name]
        rows.append(row)
    head = {"made_by": "parameters.py",
            "versions": {"python": platform.python_version(), "torch": torch.__version__,
                         "transformers": transformers.__version__},
            "notes": NOTES}
    text = json.dumps(head, indent=1)[:-2] + ',\n "models": [\n  ' + ",\n  ".join(map(json.dumps, rows)) + "\n ]\n}\n"
    json.loads(text)
    path = pathlib.Path(__file__).with_name("parameters.json")
    path.write_text(text)
    print(f"{len(rows)} models, {time.perf_counter() - started:.0f} s, {path.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    main()

"""Makes model_types.json: parameter counts of every model type that is read, for the golden test of the feature table.

Each type has two rows: its configuration class's defaults, and a small shape whose sizes differ from one another, so that
no two parts can be confused. The model is built on the meta device (no weights, no download); unique parameters are
counted. The config is what transformers writes into config.json, without the keys that say nothing of the shape.

The small shapes have the FLOPs of a forward and backward pass too, as PyTorch's FlopCounterMode counts them with eager
attention in 32 bits on the CPU.

    python3 -m venv venv && venv/bin/pip install torch==2.15.0 transformers==5.24.0
    venv/bin/python model_types.py      # writes model_types.json beside itself, prints the counts
"""

import json
import pathlib
import platform

import torch
import transformers
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoConfig

# the class that is counted, by kind of model
CAUSAL = transformers.AutoModelForCausalLM
MASKED = transformers.AutoModelForMaskedLM
SEQ2SEQ = transformers.AutoModelForSeq2SeqLM
SPEECH = transformers.AutoModelForSpeechSeq2Seq
IMAGES = transformers.AutoModelForImageClassification
BASE = transformers.AutoModel

HF = {"num_hidden_layers": 3, "hidden_size": 96, "num_attention_heads": 6, "intermediate_size": 200, "vocab_size": 311}
# special tokens within the small vocabulary; they are no part of the shape
TOKENS = {"pad_token_id": 0, "bos_token_id": 0, "eos_token_id": 0, "decoder_start_token_id": 0}
ENCODER = HF | {"max_position_embeddings": 77}
DECODER = HF | {"num_key_value_heads": 2, "max_position_embeddings": 1024}
WIDE = DECODER | {"head_dim": 24}
BART = {"encoder_layers": 2, "decoder_layers": 3, "d_model": 96, "encoder_attention_heads": 6, "decoder_attention_heads": 6,
        "encoder_ffn_dim": 200, "decoder_ffn_dim": 200, "vocab_size": 311, "pad_token_id": 1, "bos_token_id": 0,
        "eos_token_id": 2, "decoder_start_token_id": 2, "forced_eos_token_id": 2}
T5 = {"num_layers": 2, "num_decoder_layers": 3, "d_model": 96, "num_heads": 6, "d_kv": 20, "d_ff": 200, "vocab_size": 311,
      "relative_attention_num_buckets": 24}
IMAGE = {"num_hidden_layers": 3, "hidden_size": 96, "num_attention_heads": 6, "intermediate_size": 200, "image_size": 64,
         "patch_size": 8, "num_channels": 3, "num_labels": 7}
TEXT = {"num_hidden_layers": 2, "hidden_size": 48, "num_attention_heads": 3, "intermediate_size": 100, "vocab_size": 311,
        "max_position_embeddings": 11}
VISION = {"num_hidden_layers": 3, "hidden_size": 64, "num_attention_heads": 4, "intermediate_size": 144, "image_size": 64,
          "patch_size": 8}
LATENT = DECODER | {"num_key_value_heads": 6, "q_lora_rank": 40, "kv_lora_rank": 28, "qk_nope_head_dim": 16,
                    "qk_rope_head_dim": 8, "v_head_dim": 20, "n_routed_experts": 8, "n_shared_experts": 2,
                    "moe_intermediate_size": 44, "num_experts_per_tok": 3, "first_k_dense_replace": 1, "n_group": 1,
                    "topk_group": 1}

# model type, classes that are counted, small shapes
TYPES = [
    ("bert", (BASE, MASKED), [ENCODER]),
    ("roberta", (BASE, MASKED), [ENCODER]),
    ("xlm-roberta", (BASE, MASKED), [ENCODER]),
    ("camembert", (BASE, MASKED), [ENCODER]),
    ("distilbert", (BASE, MASKED), [{"n_layers": 3, "dim": 96, "n_heads": 6, "hidden_dim": 200, "vocab_size": 311,
                                     "max_position_embeddings": 77}]),
    ("albert", (BASE, MASKED), [ENCODER | {"embedding_size": 32}, ENCODER | {"embedding_size": 32, "num_hidden_groups": 3,
                                                                         "inner_group_num": 1}]),
    ("deberta-v2", (BASE, MASKED), [ENCODER | {"relative_attention": True, "position_buckets": 24, "pos_att_type": ["p2c", "c2p"],
                                    "norm_rel_ebd": "layer_norm", "share_att_key": True, "position_biased_input": False,
                                    "type_vocab_size": 0, "max_relative_positions": -1}]),
    ("electra", (BASE, MASKED), [ENCODER | {"embedding_size": 32}, ENCODER | {"embedding_size": 96}]),
    ("modernbert", (BASE, MASKED), [ENCODER]),
    ("mpnet", (BASE, MASKED), [ENCODER]),
    ("nomic_bert", (BASE, MASKED), [ENCODER]),
    ("esm", (BASE, MASKED), [{"vocab_size": 33, "pad_token_id": 1, "mask_token_id": 32},
                              ENCODER | {"position_embedding_type": "rotary", "emb_layer_norm_before": False,
                                        "token_dropout": True, "pad_token_id": 1, "mask_token_id": 32}]),
    ("gpt2", (CAUSAL,), [{"n_layer": 3, "n_embd": 96, "n_head": 6, "n_inner": 200, "vocab_size": 311, "n_positions": 77}]),
    ("gpt_neo", (CAUSAL,), [{"num_layers": 4, "hidden_size": 96, "num_heads": 6, "intermediate_size": 200, "vocab_size": 311,
                             "max_position_embeddings": 77, "attention_types": [[["global", "local"], 2]]}]),
    ("gpt_neox", (CAUSAL,), [ENCODER]),
    ("gptj", (CAUSAL,), [{"n_layer": 3, "n_embd": 96, "n_head": 6, "n_inner": 200, "vocab_size": 311, "n_positions": 77,
                          "rotary_dim": 8}]),
    ("gpt_bigcode", (CAUSAL,), [{"n_layer": 3, "n_embd": 96, "n_head": 6, "n_inner": 200, "vocab_size": 311,
                                 "n_positions": 77},
                                {"n_layer": 3, "n_embd": 96, "n_head": 6, "vocab_size": 311, "n_positions": 77,
                                 "multi_query": False}]),
    ("bloom", (CAUSAL,), [{"n_layer": 3, "hidden_size": 96, "n_head": 6, "vocab_size": 311}]),
    ("falcon", (CAUSAL,), [HF | {"ffn_hidden_size": 200},
                           HF | {"new_decoder_architecture": True, "num_kv_heads": 2},
                           HF | {"alibi": True, "parallel_attn": False, "bias": True, "multi_query": False}]),
    ("opt", (CAUSAL,), [{"num_hidden_layers": 3, "hidden_size": 96, "num_attention_heads": 6, "ffn_dim": 200, "vocab_size": 311,
                         "max_position_embeddings": 77, "word_embed_proj_dim": 32}]),
    ("llama", (CAUSAL,), [WIDE, DECODER | {"attention_bias": True, "mlp_bias": True, "tie_word_embeddings": True}]),
    ("mistral", (CAUSAL,), [WIDE | {"sliding_window": 128}]),
    ("mixtral", (CAUSAL,), [DECODER | {"num_local_experts": 5, "num_experts_per_tok": 2}]),
    ("qwen2", (CAUSAL,), [DECODER]),
    ("qwen3", (CAUSAL,), [WIDE]),
    ("qwen3_moe", (CAUSAL,), [WIDE | {"num_experts": 5, "num_experts_per_tok": 2, "moe_intermediate_size": 44},
                              WIDE | {"num_experts": 5, "num_experts_per_tok": 2, "moe_intermediate_size": 44,
                                      "mlp_only_layers": [0], "decoder_sparse_step": 1}]),
    ("gemma", (CAUSAL,), [WIDE]),
    ("gemma2", (CAUSAL,), [WIDE | {"sliding_window": 128}]),
    ("gemma3_text", (CAUSAL,), [WIDE | {"sliding_window": 128, "num_hidden_layers": 7}]),
    ("phi", (CAUSAL,), [DECODER, DECODER | {"qk_layernorm": True}]),
    ("phi3", (CAUSAL,), [DECODER | {"pad_token_id": 0, "eos_token_id": 2, "bos_token_id": 1, "sliding_window": 128}]),
    ("olmo2", (CAUSAL,), [DECODER]),
    ("granite", (CAUSAL,), [DECODER]),
    ("granitemoe", (CAUSAL,), [DECODER | {"num_local_experts": 5, "num_experts_per_tok": 2}]),
    ("starcoder2", (CAUSAL,), [DECODER | {"bos_token_id": 0, "eos_token_id": 0}]),
    ("smollm3", (CAUSAL,), [DECODER | {"pad_token_id": 0, "eos_token_id": 2, "bos_token_id": 1}]),
    ("cohere", (CAUSAL,), [DECODER | {"eos_token_id": 2}, DECODER | {"eos_token_id": 2, "use_qk_norm": True}]),
    ("stablelm", (CAUSAL,), [DECODER, DECODER | {"use_qkv_bias": True, "qk_layernorm": True, "use_parallel_residual": True}]),
    ("deepseek_v2", (CAUSAL,), [LATENT, LATENT | {"q_lora_rank": None}]),
    ("deepseek_v3", (CAUSAL,), [LATENT]),
    ("gpt_oss", (CAUSAL,), [WIDE | {"num_local_experts": 5, "num_experts_per_tok": 2, "sliding_window": 128}]),
    ("llama4_text", (CAUSAL,), [WIDE | {"num_local_experts": 5, "num_experts_per_tok": 1, "intermediate_size_mlp": 340,
                                        "num_hidden_layers": 4, "interleave_moe_layer_step": 2, "pad_token_id": 0}]),
    ("t5", (SEQ2SEQ,), [T5, T5 | {"feed_forward_proj": "gated-gelu"}]),
    ("mt5", (SEQ2SEQ,), [T5]),
    ("bart", (SEQ2SEQ,), [BART | {"max_position_embeddings": 77}]),
    ("mbart", (SEQ2SEQ,), [BART | {"max_position_embeddings": 77}]),
    ("marian", (SEQ2SEQ,), [BART | {"max_position_embeddings": 77, "decoder_vocab_size": 311}]),
    ("m2m_100", (SEQ2SEQ,), [BART | {"max_position_embeddings": 77}]),
    ("whisper", (SPEECH,), [BART | {"num_mel_bins": 40, "max_source_positions": 150, "max_target_positions": 77}]),
    ("vit", (IMAGES,), [IMAGE]),
    ("deit", (IMAGES,), [IMAGE]),
    ("beit", (IMAGES,), [IMAGE, IMAGE | {"use_relative_position_bias": True, "use_absolute_position_embeddings": True,
                                         "layer_scale_init_value": 0.0}]),
    ("dinov2", (IMAGES,), [IMAGE | {"intermediate_size": 384, "mlp_ratio": 4}]),
    ("swin", (IMAGES,), [{"image_size": 64, "patch_size": 4, "embed_dim": 24, "depths": [2, 3], "num_heads": [2, 4],
                          "window_size": 4, "num_labels": 7},
                         {"image_size": 96, "patch_size": 4, "embed_dim": 24, "depths": [1, 2, 1], "num_heads": [2, 4, 8],
                          "window_size": 6, "mlp_ratio": 3.0, "qkv_bias": False}]),
    ("clip", (BASE,), [{"text_config": TEXT, "vision_config": VISION, "projection_dim": 40}]),
    ("siglip", (BASE,), [{"text_config": TEXT | {"projection_size": 64}, "vision_config": VISION}]),
    ("qwen2_5_vl", (CAUSAL,), [{"text_config": DECODER}]),
]

# transformers sends every token through all of Llama 4's experts; of the other only a part is read
NO_FLOPS = {"llama4_text", "qwen2_5_vl"}

# an image encoder beside a text encoder
TOWERS = {"clip", "siglip"}

# keys that say nothing of the shape
IDLE = {"bos_token_id", "eos_token_id", "pad_token_id", "cls_token_id", "sep_token_id", "mask_token_id", "dtype", "label2id",
        "transformers_version", "initializer_range", "use_cache", "output_attentions", "chunk_size_feed_forward",
        "return_dict", "output_hidden_states", "problem_type", "summary_activation", "summary_first_dropout",
        "summary_proj_to_labels", "summary_type", "summary_use_proj", "begin_suppress_tokens", "suppress_tokens",
        "rope_parameters", "rope_scaling", "task_specific_params", "no_rope_layers", "vision_config"}


def counted(model_type, auto, small):
    """The configuration as config.json has it, the class, and its unique parameters."""
    if small and auto is not IMAGES:
        small = TOKENS | {"cls_token_id": 0, "sep_token_id": 0} | small
        if "text_config" in small:
            small["text_config"] = TOKENS | small["text_config"]
    config = AutoConfig.for_model(model_type, **json.loads(json.dumps(small)))
    if model_type == "deit":
        config.architectures = ["DeiTForImageClassification"]  # the other class has a teacher's head
    if auto is CAUSAL and model_type == "qwen2_5_vl":
        with torch.device("meta"):
            model = transformers.Qwen2_5_VLForConditionalGeneration(config)
        parameters = {id(p): p for name, p in model.named_parameters() if "visual" not in name}
    else:
        with torch.device("meta"):
            model = auto.from_config(config)
        parameters = {id(p): p for p in model.parameters()}
    written = {k: v for k, v in config.to_diff_dict().items() if k not in IDLE}
    if model_type in TOWERS:
        written["vision_config"] = config.vision_config.to_diff_dict()
    for part in ("text_config", "vision_config"):
        if part in written:
            written[part] = {k: v for k, v in written[part].items() if k not in IDLE}
    written = {"model_type": model_type, "architectures": [type(model).__name__]} | written
    return written, type(model).__name__, sum(p.numel() for p in parameters.values()), model


def flops(auto, config):
    """Inputs of two sequences, and the FLOPs of a step on them."""
    batch, seq, decoder_seq = 2, 16, 8

    def tokens(length):
        return 2 + torch.arange(batch * length).reshape(batch, length) % 30

    if config.model_type in TOWERS:
        size, seq, decoder_seq = config.vision_config.image_size, config.text_config.max_position_embeddings, 0
        inputs = {"input_ids": tokens(seq), "pixel_values": torch.zeros((batch, 3, size, size)), "return_loss": True}
    elif auto is IMAGES:
        size = config.image_size
        inputs = {"pixel_values": torch.zeros((batch, 3, size, size)), "labels": torch.zeros(batch, dtype=torch.long)}
        decoder_seq = 0
    elif auto is SPEECH:
        seq = config.max_source_positions
        inputs = {"input_features": torch.zeros((batch, config.num_mel_bins, 2 * seq)), "labels": tokens(decoder_seq)}
    elif auto is SEQ2SEQ:
        inputs = {"input_ids": tokens(seq), "labels": tokens(decoder_seq)}
    else:
        inputs, decoder_seq = {"input_ids": tokens(seq), "labels": tokens(seq)}, 0
    config._attn_implementation = config._experts_implementation = "eager"
    model = auto.from_config(config).float().train()
    with FlopCounterMode(display=False) as counter:
        model(**inputs).loss.backward()
    return {"batch": batch, "seq_len": seq, "decoder_seq_len": decoder_seq, "flops": counter.get_total_flops()}


def main():
    transformers.logging.set_verbosity_error()
    rows = []
    for model_type, autos, shapes in TYPES:
        # ESM has no default vocabulary
        for shape in [*([] if model_type == "esm" else [{}]), *(s for s in shapes if s)]:
            for auto in autos:
                config, name, parameters, model = counted(model_type, auto, shape)
                print(f"{model_type:14} {name:36} {parameters:>18,}", flush=True)
                row = {"model_type": model_type, "class": name, "parameters": parameters}
                counts = auto is not BASE or model_type in TOWERS
                if shape and counts and model_type not in NO_FLOPS:
                    row |= flops(auto, model.config)
                rows.append(row | {"config": config})
    head = {"made_by": "model_types.py",
            "versions": {"python": platform.python_version(), "torch": str(torch.__version__),
                         "transformers": transformers.__version__},
            "notes": ["qwen2_5_vl counts the language part alone.", "Each tensor is counted once; fixed tables of positions that "
                      "transformers keeps as parameters are counted too."]}
    text = json.dumps(head, indent=1)[:-2] + ',\n "models": [\n  ' + ",\n  ".join(map(json.dumps, rows)) + "\n ]\n}\n"
    pathlib.Path(__file__).with_name("model_types.json").write_text(text)


if __name__ == "__main__":
    main()

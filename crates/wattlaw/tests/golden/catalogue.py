"""Makes catalogue.json: configurations and parameter counts of models that the catalogue has by name.

Each row is a public model's config.json, cut to the keys that say its shape. The script builds the model's class from it
on the meta device (no weights, no download) and counts unique parameters; where a count has been published (the safetensors
total on the model's page, or keras-hub's presets) it stops if the two differ. `read_from` says where the shape was read:

    litgpt        litgpt 0.5.13, config.py
    mlc           mlc-ai/mlc-llm, python/mlc_llm/model/model_preset.py, copies of config.json
    genz          genz-llm 0.0.16, GenZ/Models/Model_sets, which cite config.json
    fms           ibm-fms 1.13.1, fms/models/granite.py
    paddlenlp     paddlenlp 2.8.1, configuration.py of the type
    timm          timm 1.0.31, vision_transformer.py, deit.py, beit.py
    open_clip     mlfoundations/open_clip, model_configs/ViT-SO400M-14-SigLIP-384.json
    transformers  the defaults of the type's configuration class, which name the model
    published     the equality with the published count, which no neighbouring shape has

The text of Llama 4 has the published total less the 871,932,416 of its vision tower and projector. Keras counts ELECTRA-small
with a pooler (65,792), which its checkpoint does not have. A head that reuses the embedding (tie_word_embeddings) follows the published count.

    python3 -m venv venv && venv/bin/pip install torch==2.15.0 transformers==5.24.0
    venv/bin/python catalogue.py       # writes catalogue.json beside itself
"""

import json
import pathlib
import platform

import torch
import transformers
from transformers import AutoConfig

CAUSAL = transformers.AutoModelForCausalLM
SEQ2SEQ = transformers.AutoModelForSeq2SeqLM
SPEECH = transformers.AutoModelForSpeechSeq2Seq
IMAGES = transformers.AutoModelForImageClassification
BASE = transformers.AutoModel
AUTO = (CAUSAL, SEQ2SEQ, SPEECH, IMAGES, BASE)
DEIT = transformers.DeiTForImageClassification


def decoder(model_type, hidden, ffn, layers, heads, kv, vocab, positions, tied=False, **more):
    return {"model_type": model_type, "hidden_size": hidden, "intermediate_size": ffn, "num_hidden_layers": layers,
            "num_attention_heads": heads, "num_key_value_heads": kv, "vocab_size": vocab,
            "max_position_embeddings": positions, "tie_word_embeddings": tied, **more}


def llama(*shape, **more):
    return decoder("llama", *shape, **more)


def mistral(*shape, **more):
    return decoder("mistral", *shape, **{"sliding_window": None} | more)


def qwen2(*shape, **more):
    return decoder("qwen2", *shape, use_sliding_window=False, **more)


def qwen3(*shape, **more):
    return decoder("qwen3", *shape, head_dim=128, use_sliding_window=False, **more)


def qwen3_moe(hidden, ffn, layers, heads, kv, experts, width, positions):
    return decoder("qwen3_moe", hidden, ffn, layers, heads, kv, 151936, positions, head_dim=128,
                   num_experts=experts, num_experts_per_tok=8, moe_intermediate_size=width,
                   use_sliding_window=False)


def gemma(model_type, hidden, ffn, layers, heads, kv, head_dim, vocab, positions, **more):
    return decoder(model_type, hidden, ffn, layers, heads, kv, vocab, positions, True, head_dim=head_dim, **more)


def gemma3(hidden, ffn, layers, heads, kv, head_dim, vocab, window, positions):
    return gemma("gemma3_text", hidden, ffn, layers, heads, kv, head_dim, vocab, positions, sliding_window=window)


def gpt_oss(layers, experts):
    kinds = ["sliding_attention", "full_attention"] * (layers // 2)
    return decoder("gpt_oss", 2880, 2880, layers, 64, 8, 201088, 131072, head_dim=64, num_local_experts=experts,
                   num_experts_per_tok=4, sliding_window=128, attention_bias=True, layer_types=kinds)


def llama4(experts, step):
    sparse = list(range(step - 1, 48, step))
    return decoder("llama4_text", 5120, 8192, 48, 40, 8, 202048, 262144, head_dim=128, num_local_experts=experts,
                   num_experts_per_tok=1, intermediate_size_mlp=16384, interleave_moe_layer_step=step,
                   moe_layers=sparse, use_qk_norm=True, attention_chunk_size=8192)


def deepseek(version, hidden, ffn, layers, heads, vocab, q_rank, routed, shared, width, top_k, dense, positions, groups):
    return decoder(f"deepseek_v{version}", hidden, ffn, layers, heads, heads, vocab, positions, q_lora_rank=q_rank,
                   kv_lora_rank=512, qk_nope_head_dim=128, qk_rope_head_dim=64, v_head_dim=128, n_routed_experts=routed,
                   n_shared_experts=shared, moe_intermediate_size=width, num_experts_per_tok=top_k,
                   first_k_dense_replace=dense, n_group=groups, topk_group=1)


def bloom(hidden, layers, heads):
    return {"model_type": "bloom", "hidden_size": hidden, "n_layer": layers, "n_head": heads, "vocab_size": 250880}


def gpt_neo(hidden, layers, heads):
    return {"model_type": "gpt_neo", "hidden_size": hidden, "num_layers": layers, "num_heads": heads,
            "vocab_size": 50257, "max_position_embeddings": 2048, "attention_types": [[["global", "local"], layers // 2]],
            "window_size": 256}


def gpt_neox(hidden, layers, heads, vocab=50304, ffn=None, positions=2048, **more):
    return {"model_type": "gpt_neox", "hidden_size": hidden, "intermediate_size": ffn or 4 * hidden,
            "num_hidden_layers": layers, "num_attention_heads": heads, "vocab_size": vocab,
            "max_position_embeddings": positions, "tie_word_embeddings": False, **more}


def falcon(hidden, layers, heads, kv):
    new = {"new_decoder_architecture": True, "num_kv_heads": kv} if kv > 1 else {"multi_query": True}
    return {"model_type": "falcon", "hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": heads,
            "vocab_size": 65024, "bias": False, "alibi": False, "parallel_attn": True, **new}


def starcoder(hidden, layers, heads):
    return {"model_type": "gpt_bigcode", "n_embd": hidden, "n_layer": layers, "n_head": heads, "n_inner": 4 * hidden,
            "n_positions": 8192, "vocab_size": 49152, "multi_query": True}


def encoder(model_type, hidden, layers, heads, vocab, positions=512, ffn=None, **more):
    return {"model_type": model_type, "hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": heads,
            "intermediate_size": ffn or 4 * hidden, "vocab_size": vocab, "max_position_embeddings": positions, **more}


def bert(hidden, layers, heads, vocab=30522, **more):
    return encoder("bert", hidden, layers, heads, vocab, type_vocab_size=2, **more)


def roberta(model_type, hidden, layers, heads, vocab, positions=514):
    return encoder(model_type, hidden, layers, heads, vocab, positions, type_vocab_size=1)


def albert(hidden, layers, heads):
    return encoder("albert", hidden, layers, heads, 30000, embedding_size=128, type_vocab_size=2, num_hidden_groups=1,
                   inner_group_num=1)


def deberta(hidden, layers, heads, vocab=128100):
    return encoder("deberta-v2", hidden, layers, heads, vocab, relative_attention=True, position_buckets=256,
                   norm_rel_ebd="layer_norm", share_att_key=True, pos_att_type=["p2c", "c2p"],
                   position_biased_input=False, type_vocab_size=0, max_relative_positions=-1)


def esm(hidden, layers, heads):
    return encoder("esm", hidden, layers, heads, 33, 1026, position_embedding_type="rotary", emb_layer_norm_before=False,
                   token_dropout=True, pad_token_id=1, mask_token_id=32)


def bart(model_type, d_model, layers, heads, ffn, vocab, positions=1024, decoder_layers=None, **more):
    return {"model_type": model_type, "d_model": d_model, "encoder_layers": layers,
            "decoder_layers": decoder_layers or layers, "encoder_attention_heads": heads, "decoder_attention_heads": heads,
            "encoder_ffn_dim": ffn, "decoder_ffn_dim": ffn, "vocab_size": vocab, "max_position_embeddings": positions,
            **more}


def whisper(d_model, layers, heads, vocab=51865, mel=80, decoder_layers=None):
    config = bart("whisper", d_model, layers, heads, 4 * d_model, vocab, decoder_layers=decoder_layers)
    del config["max_position_embeddings"]
    return config | {"max_source_positions": 1500, "max_target_positions": 448, "num_mel_bins": mel}


def mt5(d_model, d_ff, layers, heads):
    return {"model_type": "mt5", "d_model": d_model, "d_ff": d_ff, "d_kv": 64, "num_layers": layers,
            "num_decoder_layers": layers, "num_heads": heads, "vocab_size": 250112, "relative_attention_num_buckets": 32,
            "feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}


def image(model_type, hidden, layers, heads, patch=16, size=224, labels=1000, ffn=None, **more):
    return {"model_type": model_type, "hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": heads,
            "intermediate_size": ffn or 4 * hidden, "image_size": size, "patch_size": patch, "num_channels": 3,
            **({"id2label": {str(i): str(i) for i in range(labels)}, "architectures": ["ForImageClassification"]}
               if labels else {}), **more}


def dinov2(hidden, layers, heads):
    config = image("dinov2", hidden, layers, heads, 14, 518, 0, mlp_ratio=4, use_swiglu_ffn=False)
    del config["intermediate_size"]
    return config


def swin(width, depths, heads, side=7, size=224):
    return {"model_type": "swin", "architectures": ["SwinForImageClassification"], "image_size": size, "patch_size": 4,
            "num_channels": 3, "embed_dim": width, "depths": depths, "num_heads": [heads * 2**i for i in range(len(depths))],
            "window_size": side, "mlp_ratio": 4.0, "id2label": {str(i): str(i) for i in range(1000)}}


def tower(hidden, layers, heads, ffn=None, **more):
    return {"hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": heads,
            "intermediate_size": ffn or 4 * hidden, **more}


def clip(images, texts, joint):
    return {"model_type": "clip", "vision_config": images, "text_config": texts, "projection_dim": joint}


def siglip(images, texts):
    return {"model_type": "siglip", "vision_config": images, "text_config": texts}


BEIT = {"use_relative_position_bias": True, "use_absolute_position_embeddings": False, "use_mean_pooling": True,
        "use_shared_relative_position_bias": False, "use_mask_token": False, "layer_scale_init_value": 0.1}

# name, repository on the hub, further aliases, class, config, where it was read, published count
ROWS = [
    ("llama-7b", "huggyllama/llama-7b", ["llama-1-7b"], CAUSAL, llama(4096, 11008, 32, 32, 32, 32000, 2048), "published", 6_738_415_616),
    ("llama-13b", "huggyllama/llama-13b", ["llama-1-13b"], CAUSAL, llama(5120, 13824, 40, 40, 40, 32000, 2048), "published", 13_015_864_320),
    ("llama-30b", "huggyllama/llama-30b", ["llama-1-30b", "llama-33b"], CAUSAL, llama(6656, 17920, 60, 52, 52, 32000, 2048), "litgpt", 32_528_943_616),
    ("llama-65b", "huggyllama/llama-65b", ["llama-1-65b"], CAUSAL, llama(8192, 22016, 80, 64, 64, 32000, 2048), "published", 65_285_660_672),
    ("llama-3.3-70b", "meta-llama/Llama-3.3-70B-Instruct", [], CAUSAL, llama(8192, 28672, 80, 64, 8, 128256, 131072), "litgpt", 70_553_706_496),
    ("llama-4-scout-text", "meta-llama/Llama-4-Scout-17B-16E", ["llama-4-scout", "meta-llama/Llama-4-Scout-17B-16E-Instruct"], CAUSAL, llama4(16, 1), "transformers", 107_769_861_120),
    ("llama-4-maverick-text", "meta-llama/Llama-4-Maverick-17B-128E", ["llama-4-maverick", "meta-llama/Llama-4-Maverick-17B-128E-Instruct"], CAUSAL, llama4(128, 2), "published", 400_711_848_960),
    ("codellama-7b", "codellama/CodeLlama-7b-hf", [], CAUSAL, llama(4096, 11008, 32, 32, 32, 32016, 16384), "litgpt", 6_738_546_688),
    ("codellama-13b", "codellama/CodeLlama-13b-hf", [], CAUSAL, llama(5120, 13824, 40, 40, 40, 32016, 16384), "litgpt", 13_016_028_160),
    ("codellama-70b", "codellama/CodeLlama-70b-hf", [], CAUSAL, llama(8192, 28672, 80, 64, 8, 32016, 16384), "litgpt", 68_976_910_336),
    ("open-llama-3b", "openlm-research/open_llama_3b", [], CAUSAL, llama(3200, 8640, 26, 32, 32, 32000, 2048), "litgpt", 3_426_473_600),
    ("open-llama-7b", "openlm-research/open_llama_7b", [], CAUSAL, llama(4096, 11008, 32, 32, 32, 32000, 2048), "litgpt", 6_738_415_616),
    ("open-llama-13b", "openlm-research/open_llama_13b", [], CAUSAL, llama(5120, 13824, 40, 40, 40, 32000, 2048), "litgpt", 13_015_864_320),
    ("vicuna-7b-v1.5", "lmsys/vicuna-7b-v1.5", [], CAUSAL, llama(4096, 11008, 32, 32, 32, 32000, 4096), "litgpt", 6_738_415_616),
    ("falcon3-1b", "tiiuae/Falcon3-1B-Base", ["tiiuae/Falcon3-1B-Instruct"], CAUSAL, llama(2048, 8192, 18, 8, 4, 131072, 4096, head_dim=256), "litgpt", 1_669_408_768),
    ("falcon3-3b", "tiiuae/Falcon3-3B-Base", ["tiiuae/Falcon3-3B-Instruct"], CAUSAL, llama(3072, 9216, 22, 12, 4, 131072, 32768, head_dim=256), "litgpt", 3_227_655_168),
    ("falcon3-7b", "tiiuae/Falcon3-7B-Base", ["tiiuae/Falcon3-7B-Instruct"], CAUSAL, llama(3072, 23040, 28, 12, 4, 131072, 32768, head_dim=256), "litgpt", 7_455_550_464),
    ("falcon3-10b", "tiiuae/Falcon3-10B-Base", ["tiiuae/Falcon3-10B-Instruct"], CAUSAL, llama(3072, 23040, 40, 12, 4, 131072, 32768, head_dim=256), "litgpt", 10_305_653_760),
    ("falcon-7b", "tiiuae/falcon-7b", ["tiiuae/falcon-7b-instruct"], CAUSAL, falcon(4544, 32, 71, 1), "litgpt", None),
    ("falcon-40b", "tiiuae/falcon-40b", ["tiiuae/falcon-40b-instruct"], CAUSAL, falcon(8192, 60, 128, 8), "litgpt", None),
    ("falcon-180b", "tiiuae/falcon-180B", ["tiiuae/falcon-180B-chat"], CAUSAL, falcon(14848, 80, 232, 8), "litgpt", None),
    ("salamandra-2b", "BSC-LT/salamandra-2b", [], CAUSAL, llama(2048, 5440, 24, 16, 16, 256000, 8192), "litgpt", 2_253_490_176),
    ("salamandra-7b", "BSC-LT/salamandra-7b", [], CAUSAL, llama(4096, 11008, 32, 32, 8, 256000, 8192), "litgpt", 7_768_117_248),
    ("yi-6b", "01-ai/Yi-6B", ["01-ai/Yi-1.5-6B", "yi-1.5-6b"], CAUSAL, llama(4096, 11008, 32, 32, 4, 64000, 4096), "published", 6_061_035_520),
    ("yi-9b", "01-ai/Yi-9B", ["01-ai/Yi-1.5-9B", "yi-1.5-9b"], CAUSAL, llama(4096, 11008, 48, 32, 4, 64000, 4096), "published", 8_829_407_232),
    ("yi-34b", "01-ai/Yi-34B", ["01-ai/Yi-1.5-34B", "yi-1.5-34b"], CAUSAL, llama(7168, 20480, 60, 56, 8, 64000, 4096), "published", 34_388_917_248),
    ("internlm2-1.8b", "internlm/internlm2-1_8b", [], CAUSAL, llama(2048, 8192, 24, 16, 8, 92544, 32768), "published", 1_889_110_016),
    ("internlm2-7b", "internlm/internlm2-7b", ["internlm/internlm2_5-7b", "internlm2.5-7b"], CAUSAL, llama(4096, 14336, 32, 32, 8, 92544, 32768), "mlc", 7_737_708_544),
    ("internlm2-20b", "internlm/internlm2-20b", ["internlm/internlm2_5-20b", "internlm2.5-20b"], CAUSAL, llama(6144, 16384, 48, 48, 8, 92544, 32768), "published", 19_861_149_696),
    ("smollm2-135m", "HuggingFaceTB/SmolLM2-135M", ["HuggingFaceTB/SmolLM2-135M-Instruct"], CAUSAL, llama(576, 1536, 30, 9, 3, 49152, 8192, True), "litgpt", 134_515_008),
    ("smollm2-360m", "HuggingFaceTB/SmolLM2-360M", ["HuggingFaceTB/SmolLM2-360M-Instruct"], CAUSAL, llama(960, 2560, 32, 15, 5, 49152, 8192, True), "litgpt", 361_821_120),
    ("smollm2-1.7b", "HuggingFaceTB/SmolLM2-1.7B", ["HuggingFaceTB/SmolLM2-1.7B-Instruct"], CAUSAL, llama(2048, 8192, 24, 32, 32, 49152, 8192, True), "litgpt", 1_711_376_384),
    ("smollm3-3b", "HuggingFaceTB/SmolLM3-3B", ["HuggingFaceTB/SmolLM3-3B-Base", "smollm3"], CAUSAL, decoder("smollm3", 2048, 11008, 36, 16, 4, 128256, 65536, True, use_sliding_window=False), "transformers", 3_075_098_624),
    ("deepseek-r1-distill-llama-8b", "deepseek-ai/DeepSeek-R1-Distill-Llama-8B", [], CAUSAL, llama(4096, 14336, 32, 32, 8, 128256, 131072), "litgpt", 8_030_261_248),
    ("deepseek-r1-distill-llama-70b", "deepseek-ai/DeepSeek-R1-Distill-Llama-70B", [], CAUSAL, llama(8192, 28672, 80, 64, 8, 128256, 131072), "litgpt", 70_553_706_496),
    ("deepseek-r1-distill-qwen-1.5b", "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B", [], CAUSAL, qwen2(1536, 8960, 28, 12, 2, 151936, 131072), "published", 1_777_088_000),
    ("deepseek-r1-distill-qwen-7b", "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", [], CAUSAL, qwen2(3584, 18944, 28, 28, 4, 152064, 131072), "published", 7_615_616_512),
    ("deepseek-r1-distill-qwen-14b", "deepseek-ai/DeepSeek-R1-Distill-Qwen-14B", [], CAUSAL, qwen2(5120, 13824, 48, 40, 8, 152064, 131072), "published", 14_770_033_664),
    ("deepseek-r1-distill-qwen-32b", "deepseek-ai/DeepSeek-R1-Distill-Qwen-32B", [], CAUSAL, qwen2(5120, 27648, 64, 40, 8, 152064, 131072), "published", 32_763_876_352),
    ("deepseek-v2-lite", "deepseek-ai/DeepSeek-V2-Lite", ["deepseek-ai/DeepSeek-Coder-V2-Lite-Base"], CAUSAL, deepseek(2, 2048, 10944, 27, 16, 102400, None, 64, 2, 1408, 6, 1, 163840, 1), "mlc", 15_706_484_224),
    ("deepseek-v2", "deepseek-ai/DeepSeek-V2", ["deepseek-ai/DeepSeek-V2.5", "deepseek-v2.5"], CAUSAL, deepseek(2, 5120, 12288, 60, 128, 102400, 1536, 160, 2, 1536, 6, 1, 163840, 8), "published", 235_741_434_880),
    ("deepseek-v3", "deepseek-ai/DeepSeek-V3", ["deepseek-ai/DeepSeek-V3-Base", "deepseek-ai/DeepSeek-R1", "deepseek-r1", "deepseek-ai/DeepSeek-V3.1", "deepseek-v3.1"], CAUSAL, deepseek(3, 7168, 18432, 61, 128, 129280, 1536, 256, 1, 2048, 8, 3, 163840, 8), "genz", None),
    ("qwen1.5-0.5b", "Qwen/Qwen1.5-0.5B", ["Qwen/Qwen1.5-0.5B-Chat"], CAUSAL, qwen2(1024, 2816, 24, 16, 16, 151936, 32768, True), "genz", 463_987_712),
    ("qwen1.5-1.8b", "Qwen/Qwen1.5-1.8B", ["Qwen/Qwen1.5-1.8B-Chat"], CAUSAL, qwen2(2048, 5504, 24, 16, 16, 151936, 32768), "genz", 1_836_828_672),
    ("qwen1.5-4b", "Qwen/Qwen1.5-4B", ["Qwen/Qwen1.5-4B-Chat"], CAUSAL, qwen2(2560, 6912, 40, 20, 20, 151936, 32768), "genz", 3_950_369_280),
    ("qwen1.5-7b", "Qwen/Qwen1.5-7B", ["Qwen/Qwen1.5-7B-Chat"], CAUSAL, qwen2(4096, 11008, 32, 32, 32, 151936, 32768), "genz", 7_721_324_544),
    ("qwen1.5-14b", "Qwen/Qwen1.5-14B", ["Qwen/Qwen1.5-14B-Chat"], CAUSAL, qwen2(5120, 13696, 40, 40, 40, 152064, 32768), "genz", 14_167_290_880),
    ("qwen1.5-32b", "Qwen/Qwen1.5-32B", ["Qwen/Qwen1.5-32B-Chat"], CAUSAL, qwen2(5120, 27392, 64, 40, 8, 152064, 32768), "published", 32_512_218_112),
    ("qwen1.5-72b", "Qwen/Qwen1.5-72B", ["Qwen/Qwen1.5-72B-Chat"], CAUSAL, qwen2(8192, 24576, 80, 64, 64, 152064, 32768), "genz", 72_287_920_128),
    ("qwen1.5-110b", "Qwen/Qwen1.5-110B", ["Qwen/Qwen1.5-110B-Chat"], CAUSAL, qwen2(8192, 49152, 80, 64, 8, 152064, 32768), "published", 111_209_914_368),
    ("qwq-32b", "Qwen/QwQ-32B", ["Qwen/QwQ-32B-Preview"], CAUSAL, qwen2(5120, 27648, 64, 40, 8, 152064, 131072), "litgpt", 32_763_876_352),
    ("qwen2.5-coder-0.5b", "Qwen/Qwen2.5-Coder-0.5B", ["Qwen/Qwen2.5-Coder-0.5B-Instruct"], CAUSAL, qwen2(896, 4864, 24, 14, 2, 151936, 32768, True), "litgpt", 494_032_768),
    ("qwen2.5-coder-1.5b", "Qwen/Qwen2.5-Coder-1.5B", ["Qwen/Qwen2.5-Coder-1.5B-Instruct"], CAUSAL, qwen2(1536, 8960, 28, 12, 2, 151936, 32768, True), "litgpt", 1_543_714_304),
    ("qwen2.5-coder-3b", "Qwen/Qwen2.5-Coder-3B", ["Qwen/Qwen2.5-Coder-3B-Instruct"], CAUSAL, qwen2(2048, 11008, 36, 16, 2, 151936, 32768, True), "litgpt", 3_085_938_688),
    ("qwen2.5-coder-7b", "Qwen/Qwen2.5-Coder-7B", ["Qwen/Qwen2.5-Coder-7B-Instruct"], CAUSAL, qwen2(3584, 18944, 28, 28, 4, 152064, 32768), "litgpt", 7_615_616_512),
    ("qwen2.5-coder-14b", "Qwen/Qwen2.5-Coder-14B", ["Qwen/Qwen2.5-Coder-14B-Instruct"], CAUSAL, qwen2(5120, 13824, 48, 40, 8, 152064, 32768), "litgpt", 14_770_033_664),
    ("qwen2.5-coder-32b", "Qwen/Qwen2.5-Coder-32B", ["Qwen/Qwen2.5-Coder-32B-Instruct"], CAUSAL, qwen2(5120, 27648, 64, 40, 8, 152064, 32768), "litgpt", 32_763_876_352),
    ("qwen2.5-math-1.5b", "Qwen/Qwen2.5-Math-1.5B", ["Qwen/Qwen2.5-Math-1.5B-Instruct"], CAUSAL, qwen2(1536, 8960, 28, 12, 2, 151936, 4096, True), "litgpt", 1_543_714_304),
    ("qwen2.5-math-7b", "Qwen/Qwen2.5-Math-7B", ["Qwen/Qwen2.5-Math-7B-Instruct"], CAUSAL, qwen2(3584, 18944, 28, 28, 4, 152064, 4096), "litgpt", 7_615_616_512),
    ("qwen3-0.6b", "Qwen/Qwen3-0.6B", ["Qwen/Qwen3-0.6B-Base"], CAUSAL, qwen3(1024, 3072, 28, 16, 8, 151936, 40960, True), "mlc", 596_049_920),
    ("qwen3-1.7b", "Qwen/Qwen3-1.7B", ["Qwen/Qwen3-1.7B-Base"], CAUSAL, qwen3(2048, 6144, 28, 16, 8, 151936, 40960, True), "mlc", 1_720_574_976),
    ("qwen3-4b", "Qwen/Qwen3-4B", ["Qwen/Qwen3-4B-Base", "Qwen/Qwen3-4B-Instruct-2507"], CAUSAL, qwen3(2560, 9728, 36, 32, 8, 151936, 40960, True), "mlc", 4_022_468_096),
    ("qwen3-8b", "Qwen/Qwen3-8B", ["Qwen/Qwen3-8B-Base"], CAUSAL, qwen3(4096, 12288, 36, 32, 8, 151936, 40960), "litgpt", 8_190_735_360),
    ("qwen3-14b", "Qwen/Qwen3-14B", ["Qwen/Qwen3-14B-Base"], CAUSAL, qwen3(5120, 17408, 40, 40, 8, 151936, 40960), "litgpt", 14_768_307_200),
    ("qwen3-32b", "Qwen/Qwen3-32B", [], CAUSAL, qwen3(5120, 25600, 64, 64, 8, 151936, 40960), "litgpt", 32_762_123_264),
    ("qwen3-30b-a3b", "Qwen/Qwen3-30B-A3B", ["Qwen/Qwen3-30B-A3B-Base", "Qwen/Qwen3-30B-A3B-Instruct-2507", "Qwen/Qwen3-Coder-30B-A3B-Instruct"], CAUSAL, qwen3_moe(2048, 6144, 48, 32, 4, 128, 768, 40960), "litgpt", 30_532_122_624),
    ("qwen3-235b-a22b", "Qwen/Qwen3-235B-A22B", ["Qwen/Qwen3-235B-A22B-Instruct-2507"], CAUSAL, qwen3_moe(4096, 12288, 94, 64, 4, 128, 1536, 40960), "litgpt", 235_093_634_560),
    ("qwen3-coder-480b-a35b", "Qwen/Qwen3-Coder-480B-A35B-Instruct", [], CAUSAL, qwen3_moe(6144, 8192, 62, 96, 8, 160, 2560, 262144), "published", 480_154_875_392),
    ("gemma-2b", "google/gemma-2b", ["google/gemma-2b-it", "google/codegemma-2b"], CAUSAL, gemma("gemma", 2048, 16384, 18, 8, 1, 256, 256000, 8192), "litgpt", 2_506_172_416),
    ("gemma-7b", "google/gemma-7b", ["google/gemma-7b-it", "google/codegemma-7b", "google/codegemma-7b-it"], CAUSAL, gemma("gemma", 3072, 24576, 28, 16, 16, 256, 256000, 8192), "litgpt", 8_537_680_896),
    ("gemma-2-2b", "google/gemma-2-2b", ["google/gemma-2-2b-it"], CAUSAL, gemma("gemma2", 2304, 9216, 26, 8, 4, 256, 256000, 8192, sliding_window=4096), "litgpt", 2_614_341_888),
    ("gemma-2-9b", "google/gemma-2-9b", ["google/gemma-2-9b-it"], CAUSAL, gemma("gemma2", 3584, 14336, 42, 16, 8, 256, 256000, 8192, sliding_window=4096), "litgpt", 9_241_705_984),
    ("gemma-2-27b", "google/gemma-2-27b", ["google/gemma-2-27b-it"], CAUSAL, gemma("gemma2", 4608, 36864, 46, 32, 16, 128, 256000, 8192, sliding_window=4096), "litgpt", 27_227_128_320),
    ("gemma-3-270m", "google/gemma-3-270m", ["google/gemma-3-270m-it"], CAUSAL, gemma3(640, 2048, 18, 4, 1, 256, 262144, 512, 32768), "published", 268_098_176),
    ("gemma-3-1b", "google/gemma-3-1b-pt", ["google/gemma-3-1b-it"], CAUSAL, gemma3(1152, 6912, 26, 4, 1, 256, 262144, 512, 32768), "litgpt", 999_885_952),
    ("gemma-3-4b-text", "google/gemma-3-4b-pt", ["gemma-3-4b", "google/gemma-3-4b-it"], CAUSAL, gemma3(2560, 10240, 34, 8, 4, 256, 262208, 1024, 131072), "litgpt", None),
    ("gemma-3-12b-text", "google/gemma-3-12b-pt", ["gemma-3-12b", "google/gemma-3-12b-it"], CAUSAL, gemma3(3840, 15360, 48, 16, 8, 256, 262208, 1024, 131072), "litgpt", None),
    ("gemma-3-27b-text", "google/gemma-3-27b-pt", ["gemma-3-27b", "google/gemma-3-27b-it"], CAUSAL, gemma3(5376, 21504, 62, 32, 16, 128, 262208, 1024, 131072), "litgpt", None),
    ("phi-1", "microsoft/phi-1", [], CAUSAL, decoder("phi", 2048, 8192, 24, 32, 32, 51200, 2048), "transformers", 1_418_270_720),
    ("phi-1.5", "microsoft/phi-1_5", [], CAUSAL, decoder("phi", 2048, 8192, 24, 32, 32, 51200, 2048), "litgpt", 1_418_270_720),
    ("phi-2", "microsoft/phi-2", [], CAUSAL, decoder("phi", 2560, 10240, 32, 32, 32, 51200, 2048), "litgpt", 2_779_683_840),
    ("phi-3-mini", "microsoft/Phi-3-mini-4k-instruct", ["microsoft/Phi-3-mini-128k-instruct"], CAUSAL, decoder("phi3", 3072, 8192, 32, 32, 32, 32064, 4096, sliding_window=2047, pad_token_id=0), "litgpt", 3_821_079_552),
    ("phi-3.5-mini", "microsoft/Phi-3.5-mini-instruct", [], CAUSAL, decoder("phi3", 3072, 8192, 32, 32, 32, 32064, 131072, sliding_window=262144, pad_token_id=0), "mlc", 3_821_079_552),
    ("phi-3-medium", "microsoft/Phi-3-medium-4k-instruct", ["microsoft/Phi-3-medium-128k-instruct"], CAUSAL, decoder("phi3", 5120, 17920, 40, 40, 10, 32064, 4096, sliding_window=2047, pad_token_id=0), "genz", 13_960_238_080),
    ("phi-4", "microsoft/phi-4", ["microsoft/Phi-4-reasoning"], CAUSAL, decoder("phi3", 5120, 17920, 40, 40, 10, 100352, 16384, sliding_window=None, pad_token_id=0), "litgpt", 14_659_507_200),
    ("phi-4-mini", "microsoft/Phi-4-mini-instruct", ["microsoft/Phi-4-mini-reasoning"], CAUSAL, decoder("phi3", 3072, 8192, 32, 24, 8, 200064, 131072, True, sliding_window=262144, pad_token_id=0), "mlc", 3_836_021_760),
    ("mistral-7b-v0.2", "mistralai/Mistral-7B-Instruct-v0.2", ["mistral-community/Mistral-7B-v0.2"], CAUSAL, mistral(4096, 14336, 32, 32, 8, 32000, 32768), "litgpt", 7_241_732_096),
    ("mistral-7b-v0.3", "mistralai/Mistral-7B-v0.3", ["mistralai/Mistral-7B-Instruct-v0.3", "mistralai/mathstral-7B-v0.1"], CAUSAL, mistral(4096, 14336, 32, 32, 8, 32768, 32768), "litgpt", 7_248_023_552),
    ("mistral-nemo-12b", "mistralai/Mistral-Nemo-Base-2407", ["mistralai/Mistral-Nemo-Instruct-2407", "mistral-nemo"], CAUSAL, mistral(5120, 14336, 40, 32, 8, 131072, 1024000, head_dim=128), "genz", 12_247_782_400),
    ("ministral-8b", "mistralai/Ministral-8B-Instruct-2410", [], CAUSAL, mistral(4096, 12288, 36, 32, 8, 131072, 32768, head_dim=128, sliding_window=32768), "genz", 8_019_808_256),
    ("mistral-small-22b", "mistralai/Mistral-Small-Instruct-2409", ["mistralai/Codestral-22B-v0.1", "codestral-22b"], CAUSAL, mistral(6144, 16384, 56, 48, 8, 32768, 32768, head_dim=128), "genz", 22_247_282_688),
    ("mistral-small-24b", "mistralai/Mistral-Small-24B-Base-2501", ["mistralai/Mistral-Small-24B-Instruct-2501", "mistralai/Magistral-Small-2506"], CAUSAL, mistral(5120, 32768, 40, 32, 8, 131072, 32768, head_dim=128), "published", 23_572_403_200),
    ("mistral-large-123b", "mistralai/Mistral-Large-Instruct-2407", ["mistralai/Mistral-Large-Instruct-2411", "mistral-large"], CAUSAL, mistral(12288, 28672, 88, 96, 8, 32768, 131072, head_dim=128), "litgpt", 122_610_069_504),
    ("zephyr-7b-beta", "HuggingFaceH4/zephyr-7b-beta", [], CAUSAL, mistral(4096, 14336, 32, 32, 8, 32000, 32768, sliding_window=4096), "genz", 7_241_732_096),
    ("danube2-1.8b", "h2oai/h2o-danube2-1.8b-base", ["h2oai/h2o-danube2-1.8b-chat"], CAUSAL, mistral(2560, 6912, 24, 32, 8, 32000, 8192), "litgpt", 1_831_201_280),
    ("gpt-oss-20b", "openai/gpt-oss-20b", [], CAUSAL, gpt_oss(24, 32), "published", 20_914_757_184),
    ("gpt-oss-120b", "openai/gpt-oss-120b", [], CAUSAL, gpt_oss(36, 128), "transformers", 116_829_156_672),
    ("olmo-2-1b", "allenai/OLMo-2-0425-1B", ["allenai/OLMo-2-0425-1B-Instruct"], CAUSAL, decoder("olmo2", 2048, 8192, 16, 16, 16, 100352, 4096), "published", 1_484_916_736),
    ("olmo-2-7b", "allenai/OLMo-2-1124-7B", ["allenai/OLMo-2-1124-7B-Instruct"], CAUSAL, decoder("olmo2", 4096, 11008, 32, 32, 32, 100352, 4096), "litgpt", 7_298_617_344),
    ("olmo-2-13b", "allenai/OLMo-2-1124-13B", ["allenai/OLMo-2-1124-13B-Instruct"], CAUSAL, decoder("olmo2", 5120, 13824, 40, 40, 40, 100352, 4096), "litgpt", 13_716_198_400),
    ("olmo-2-32b", "allenai/OLMo-2-0325-32B", ["allenai/OLMo-2-0325-32B-Instruct"], CAUSAL, decoder("olmo2", 5120, 27648, 64, 40, 8, 100352, 4096), "published", 32_234_279_936),
    ("olmo-3-7b", "allenai/Olmo-3-1025-7B", ["allenai/Olmo-3-7B-Instruct", "allenai/Olmo-3-7B-Think"], CAUSAL, decoder("olmo3", 4096, 11008, 32, 32, 32, 100278, 65536, sliding_window=4096), "published", 7_298_011_136),
    ("olmo-3-32b", "allenai/Olmo-3-1125-32B", ["allenai/Olmo-3-32B-Think"], CAUSAL, decoder("olmo3", 5120, 27648, 64, 40, 8, 100278, 65536, sliding_window=4096), "published", 32_233_522_176),
    ("granite-3.0-8b", "ibm-granite/granite-3.0-8b-base", ["ibm-granite/granite-3.0-8b-instruct"], CAUSAL, decoder("granite", 4096, 12800, 40, 32, 8, 49155, 4096, True), "fms", 8_170_848_256),
    ("granite-3.1-8b", "ibm-granite/granite-3.1-8b-base", ["ibm-granite/granite-3.1-8b-instruct"], CAUSAL, decoder("granite", 4096, 12800, 40, 32, 8, 49155, 131072, True), "fms", 8_170_848_256),
    ("granite-3.1-2b", "ibm-granite/granite-3.1-2b-base", ["ibm-granite/granite-3.1-2b-instruct"], CAUSAL, decoder("granite", 2048, 8192, 40, 32, 8, 49155, 131072, True), "fms", 2_533_531_648),
    ("granite-3.1-1b-a400m", "ibm-granite/granite-3.1-1b-a400m-base", ["ibm-granite/granite-3.1-1b-a400m-instruct"], CAUSAL, decoder("granitemoe", 1024, 512, 24, 16, 8, 49155, 131072, True, num_local_experts=32, num_experts_per_tok=8), "published", 1_334_628_352),
    ("granite-3.1-3b-a800m", "ibm-granite/granite-3.1-3b-a800m-base", ["ibm-granite/granite-3.1-3b-a800m-instruct"], CAUSAL, decoder("granitemoe", 1536, 512, 32, 24, 8, 49155, 131072, True, num_local_experts=40, num_experts_per_tok=8), "published", 3_298_793_472),
    ("aya-23-8b", "CohereForAI/aya-23-8B", [], CAUSAL, decoder("cohere", 4096, 14336, 32, 32, 8, 256000, 8192, True, use_qk_norm=False), "mlc", 8_028_033_024),
    ("command-r-35b", "CohereForAI/c4ai-command-r-v01", ["command-r", "CohereForAI/aya-23-35B", "aya-23-35b"], CAUSAL, decoder("cohere", 8192, 22528, 40, 64, 64, 256000, 8192, True, use_qk_norm=False), "transformers", 34_980_831_232),
    ("command-r-plus-104b", "CohereForAI/c4ai-command-r-plus", ["command-r-plus"], CAUSAL, decoder("cohere", 12288, 33792, 64, 96, 8, 256000, 8192, True, use_qk_norm=True), "published", 103_810_674_688),
    ("stablelm-3b-4e1t", "stabilityai/stablelm-3b-4e1t", ["stabilityai/stablelm-zephyr-3b"], CAUSAL, decoder("stablelm", 2560, 6912, 32, 32, 32, 50304, 4096, use_qkv_bias=False), "litgpt", 2_795_443_200),
    ("stablelm-2-1.6b", "stabilityai/stablelm-2-1_6b", ["stabilityai/stablelm-2-zephyr-1_6b"], CAUSAL, decoder("stablelm", 2048, 5632, 24, 32, 32, 100352, 4096, use_qkv_bias=True), "mlc", 1_644_515_328),
    ("starcoder", "bigcode/starcoder", ["bigcode/starcoderbase", "starcoder-15b"], CAUSAL, starcoder(6144, 40, 48), "published", 15_517_456_384),
    ("starcoder2-3b", "bigcode/starcoder2-3b", [], CAUSAL, decoder("starcoder2", 3072, 12288, 30, 24, 2, 49152, 16384, True, use_bias=True, sliding_window=4096), "transformers", 3_030_371_328),
    ("starcoder2-7b", "bigcode/starcoder2-7b", [], CAUSAL, decoder("starcoder2", 4608, 18432, 32, 36, 4, 49152, 16384, True, use_bias=True, sliding_window=4096), "mlc", 7_173_923_840),
    ("starcoder2-15b", "bigcode/starcoder2-15b", [], CAUSAL, decoder("starcoder2", 6144, 24576, 40, 48, 4, 49152, 16384, False, use_bias=True, sliding_window=4096), "published", 15_957_889_024),
    ("gpt-j-6b", "EleutherAI/gpt-j-6b", ["gpt-j"], CAUSAL, {"model_type": "gptj", "n_embd": 4096, "n_layer": 28, "n_head": 16, "n_positions": 2048, "rotary_dim": 64, "vocab_size": 50400, "tie_word_embeddings": False}, "mlc", 6_050_882_784),
    ("gpt-neo-125m", "EleutherAI/gpt-neo-125m", [], CAUSAL, gpt_neo(768, 12, 12), "published", 125_198_592),
    ("gpt-neo-1.3b", "EleutherAI/gpt-neo-1.3B", [], CAUSAL, gpt_neo(2048, 24, 16), "transformers", 1_315_575_808),
    ("gpt-neo-2.7b", "EleutherAI/gpt-neo-2.7B", [], CAUSAL, gpt_neo(2560, 32, 20), "published", 2_651_307_520),
    ("pythia-14m", "EleutherAI/pythia-14m", [], CAUSAL, gpt_neox(128, 6, 4), "litgpt", 14_067_712),
    ("pythia-31m", "EleutherAI/pythia-31m", [], CAUSAL, gpt_neox(256, 6, 8), "litgpt", 30_494_720),
    ("redpajama-3b", "togethercomputer/RedPajama-INCITE-Base-3B-v1", [], CAUSAL, gpt_neox(2560, 32, 32, 50432), "mlc", 2_775_864_320),
    ("stablelm-base-alpha-3b", "stabilityai/stablelm-base-alpha-3b", [], CAUSAL, gpt_neox(4096, 16, 32, 50688, positions=4096), "litgpt", None),
    ("stablelm-base-alpha-7b", "stabilityai/stablelm-base-alpha-7b", [], CAUSAL, gpt_neox(6144, 16, 48, 50432, positions=4096), "litgpt", None),
    ("bloom-560m", "bigscience/bloom-560m", ["bigscience/bloomz-560m"], CAUSAL, bloom(1024, 24, 16), "published", 559_214_592),
    ("bloom-1b1", "bigscience/bloom-1b1", ["bloom-1.1b", "bigscience/bloomz-1b1"], CAUSAL, bloom(1536, 24, 16), "published", 1_065_314_304),
    ("bloom-1b7", "bigscience/bloom-1b7", ["bloom-1.7b", "bigscience/bloomz-1b7"], CAUSAL, bloom(2048, 24, 16), "published", 1_722_408_960),
    ("bloom-3b", "bigscience/bloom-3b", ["bigscience/bloomz-3b"], CAUSAL, bloom(2560, 30, 32), "published", 3_002_557_440),
    ("bloom-7b1", "bigscience/bloom-7b1", ["bloom-7.1b", "bigscience/bloomz-7b1"], CAUSAL, bloom(4096, 30, 32), "published", 7_069_016_064),
    ("bloom-176b", "bigscience/bloom", ["bloom", "bigscience/bloomz"], CAUSAL, bloom(14336, 70, 112), "published", 176_247_271_424),
    ("bert-base-chinese", "google-bert/bert-base-chinese", [], BASE, bert(768, 12, 12, 21128), "published", 102_267_648),
    ("all-minilm-l6-v2", "sentence-transformers/all-MiniLM-L6-v2", [], BASE, bert(384, 6, 12), "published", 22_713_216),
    ("all-minilm-l12-v2", "sentence-transformers/all-MiniLM-L12-v2", [], BASE, bert(384, 12, 12), "published", 33_360_000),
    ("bge-small-en-v1.5", "BAAI/bge-small-en-v1.5", ["BAAI/bge-small-en"], BASE, bert(384, 12, 12), "published", 33_360_000),
    ("bge-base-en-v1.5", "BAAI/bge-base-en-v1.5", ["BAAI/bge-base-en"], BASE, bert(768, 12, 12), "published", 109_482_240),
    ("bge-large-en-v1.5", "BAAI/bge-large-en-v1.5", ["BAAI/bge-large-en"], BASE, bert(1024, 24, 16), "published", 335_141_888),
    ("snowflake-arctic-embed-m", "Snowflake/snowflake-arctic-embed-m", [], BASE, bert(768, 12, 12), "mlc", 109_482_240),
    ("multilingual-e5-small", "intfloat/multilingual-e5-small", [], BASE, bert(384, 12, 12, 250037), "genz", 117_653_760),
    ("multilingual-e5-base", "intfloat/multilingual-e5-base", [], BASE, roberta("xlm-roberta", 768, 12, 12, 250002), "genz", None),
    ("multilingual-e5-large", "intfloat/multilingual-e5-large", [], BASE, roberta("xlm-roberta", 1024, 24, 16, 250002), "genz", None),
    ("bge-m3", "BAAI/bge-m3", [], BASE, roberta("xlm-roberta", 1024, 24, 16, 250002, 8194), "published", 567_754_752),
    ("distilbert-base-cased", "distilbert/distilbert-base-cased", [], BASE, {"model_type": "distilbert", "dim": 768, "hidden_dim": 3072, "n_layers": 6, "n_heads": 12, "max_position_embeddings": 512, "vocab_size": 28996}, "published", 65_190_912),
    ("distilbert-base-multilingual-cased", "distilbert/distilbert-base-multilingual-cased", [], BASE, {"model_type": "distilbert", "dim": 768, "hidden_dim": 3072, "n_layers": 6, "n_heads": 12, "max_position_embeddings": 512, "vocab_size": 119547}, "published", 134_734_080),
    ("camembert-base", "almanach/camembert-base", [], BASE, roberta("camembert", 768, 12, 12, 32005), "transformers", None),
    ("albert-base-v2", "albert/albert-base-v2", ["albert/albert-base-v1"], BASE, albert(768, 12, 12), "paddlenlp", 11_683_584),
    ("albert-large-v2", "albert/albert-large-v2", ["albert/albert-large-v1"], BASE, albert(1024, 24, 16), "paddlenlp", 17_683_968),
    ("albert-xlarge-v2", "albert/albert-xlarge-v2", ["albert/albert-xlarge-v1"], BASE, albert(2048, 24, 16), "paddlenlp", 58_724_864),
    ("albert-xxlarge-v2", "albert/albert-xxlarge-v2", ["albert/albert-xxlarge-v1"], BASE, albert(4096, 12, 64), "paddlenlp", 222_595_584),
    ("electra-small", "google/electra-small-discriminator", [], BASE, encoder("electra", 256, 12, 4, 30522, embedding_size=128, type_vocab_size=2), "paddlenlp", 13_483_008),
    ("electra-base", "google/electra-base-discriminator", [], BASE, encoder("electra", 768, 12, 12, 30522, embedding_size=768, type_vocab_size=2), "paddlenlp", 108_891_648),
    ("electra-large", "google/electra-large-discriminator", [], BASE, encoder("electra", 1024, 24, 16, 30522, embedding_size=1024, type_vocab_size=2), "paddlenlp", 334_092_288),
    ("deberta-v3-xsmall", "microsoft/deberta-v3-xsmall", [], BASE, deberta(384, 12, 6), "published", 70_682_112),
    ("deberta-v3-small", "microsoft/deberta-v3-small", [], BASE, deberta(768, 6, 12), "published", 141_304_320),
    ("deberta-v3-base", "microsoft/deberta-v3-base", [], BASE, deberta(768, 12, 12), "paddlenlp", 183_831_552),
    ("deberta-v3-large", "microsoft/deberta-v3-large", [], BASE, deberta(1024, 24, 16), "paddlenlp", 434_012_160),
    ("mdeberta-v3-base", "microsoft/mdeberta-v3-base", [], BASE, deberta(768, 12, 12, 251000), "published", 278_218_752),
    ("modernbert-base", "answerdotai/ModernBERT-base", [], BASE, encoder("modernbert", 768, 22, 12, 50368, 8192, 1152, local_attention=128, global_attn_every_n_layers=3), "transformers", 149_014_272),
    ("modernbert-large", "answerdotai/ModernBERT-large", [], BASE, encoder("modernbert", 1024, 28, 16, 50368, 8192, 2624, local_attention=128, global_attn_every_n_layers=3), "published", 394_781_696),
    ("mpnet-base", "microsoft/mpnet-base", ["sentence-transformers/all-mpnet-base-v2", "all-mpnet-base-v2"], BASE, encoder("mpnet", 768, 12, 12, 30527, 514, relative_attention_num_buckets=32), "transformers", 109_486_464),
    ("nomic-embed-text-v1.5", "nomic-ai/nomic-embed-text-v1.5", ["nomic-ai/nomic-embed-text-v1"], BASE, encoder("nomic_bert", 768, 12, 12, 30528, 2048, 3072, type_vocab_size=2), "transformers", 136_731_648),
    ("esm2-8m", "facebook/esm2_t6_8M_UR50D", [], BASE, esm(320, 6, 20), "published", None),
    ("esm2-35m", "facebook/esm2_t12_35M_UR50D", [], BASE, esm(480, 12, 20), "published", None),
    ("esm2-150m", "facebook/esm2_t30_150M_UR50D", [], BASE, esm(640, 30, 20), "published", None),
    ("esm2-650m", "facebook/esm2_t33_650M_UR50D", [], BASE, esm(1280, 33, 20), "published", None),
    ("esm2-3b", "facebook/esm2_t36_3B_UR50D", [], BASE, esm(2560, 36, 40), "published", None),
    ("esm2-15b", "facebook/esm2_t48_15B_UR50D", [], BASE, esm(5120, 48, 40), "published", None),
    ("mt5-small", "google/mt5-small", [], SEQ2SEQ, mt5(512, 1024, 8, 6), "transformers", 300_176_768),
    ("mt5-base", "google/mt5-base", [], SEQ2SEQ, mt5(768, 2048, 12, 12), "published", 582_401_280),
    ("mt5-large", "google/mt5-large", [], SEQ2SEQ, mt5(1024, 2816, 24, 16), "published", 1_229_581_312),
    ("mt5-xl", "google/mt5-xl", [], SEQ2SEQ, mt5(2048, 5120, 24, 32), "published", 3_742_619_648),
    ("mt5-xxl", "google/mt5-xxl", [], SEQ2SEQ, mt5(4096, 10240, 24, 64), "published", 12_921_057_280),
    ("bart-base", "facebook/bart-base", [], SEQ2SEQ, bart("bart", 768, 6, 12, 3072, 50265), "paddlenlp", 139_420_416),
    ("bart-large", "facebook/bart-large", [], SEQ2SEQ, bart("bart", 1024, 12, 16, 4096, 50265), "paddlenlp", 406_291_456),
    ("mbart-large-cc25", "facebook/mbart-large-cc25", [], SEQ2SEQ, bart("mbart", 1024, 12, 16, 4096, 250027), "paddlenlp", 610_851_840),
    ("mbart-large-50", "facebook/mbart-large-50", ["facebook/mbart-large-50-many-to-many-mmt"], SEQ2SEQ, bart("mbart", 1024, 12, 16, 4096, 250054), "paddlenlp", 610_879_488),
    ("m2m100-418m", "facebook/m2m100_418M", [], SEQ2SEQ, bart("m2m_100", 1024, 12, 16, 4096, 128112), "transformers", 483_905_536),
    ("m2m100-1.2b", "facebook/m2m100_1.2B", [], SEQ2SEQ, bart("m2m_100", 1024, 24, 16, 8192, 128112), "published", 1_239_470_080),
    ("nllb-200-600m", "facebook/nllb-200-distilled-600M", [], SEQ2SEQ, bart("m2m_100", 1024, 12, 16, 4096, 256206), "published", 615_073_792),
    ("nllb-200-1.3b", "facebook/nllb-200-1.3B", ["facebook/nllb-200-distilled-1.3B"], SEQ2SEQ, bart("m2m_100", 1024, 24, 16, 8192, 256206), "published", 1_370_638_336),
    ("nllb-200-3.3b", "facebook/nllb-200-3.3B", [], SEQ2SEQ, bart("m2m_100", 2048, 24, 16, 8192, 256206), "published", 3_344_863_232),
    ("whisper-tiny", "openai/whisper-tiny", [], SPEECH, whisper(384, 4, 6), "transformers", 37_760_640),
    ("whisper-base", "openai/whisper-base", [], SPEECH, whisper(512, 6, 8), "published", 72_593_920),
    ("whisper-small", "openai/whisper-small", [], SPEECH, whisper(768, 12, 12), "published", 241_734_912),
    ("whisper-medium", "openai/whisper-medium", [], SPEECH, whisper(1024, 24, 16), "published", 763_857_920),
    ("whisper-large-v2", "openai/whisper-large-v2", ["openai/whisper-large"], SPEECH, whisper(1280, 32, 20), "published", 1_543_304_960),
    ("whisper-large-v3", "openai/whisper-large-v3", [], SPEECH, whisper(1280, 32, 20, 51866, 128), "published", 1_543_490_560),
    ("whisper-large-v3-turbo", "openai/whisper-large-v3-turbo", [], SPEECH, whisper(1280, 32, 20, 51866, 128, 4), "published", 808_878_080),
    ("vit-base-patch16-384", "google/vit-base-patch16-384", [], IMAGES, image("vit", 768, 12, 12, 16, 384), "timm", 86_859_496),
    ("vit-large-patch16-384", "google/vit-large-patch16-384", [], IMAGES, image("vit", 1024, 24, 16, 16, 384), "timm", 304_715_752),
    ("vit-base-patch32-384", "google/vit-base-patch32-384", [], IMAGES, image("vit", 768, 12, 12, 32, 384), "timm", 88_297_192),
    ("deit-tiny-patch16-224", "facebook/deit-tiny-patch16-224", [], IMAGES, image("vit", 192, 12, 3), "timm", 5_717_416),
    ("deit-small-patch16-224", "facebook/deit-small-patch16-224", [], IMAGES, image("vit", 384, 12, 6), "timm", 22_050_664),
    ("deit-base-patch16-224", "facebook/deit-base-patch16-224", [], IMAGES, image("vit", 768, 12, 12), "timm", 86_567_656),
    ("deit-tiny-distilled-patch16-224", "facebook/deit-tiny-distilled-patch16-224", [], DEIT, image("deit", 192, 12, 3), "timm", None),
    ("deit-small-distilled-patch16-224", "facebook/deit-small-distilled-patch16-224", [], DEIT, image("deit", 384, 12, 6), "timm", None),
    ("deit-base-distilled-patch16-224", "facebook/deit-base-distilled-patch16-224", [], DEIT, image("deit", 768, 12, 12), "timm", None),
    ("beit-base-patch16-224", "microsoft/beit-base-patch16-224", [], IMAGES, image("beit", 768, 12, 12, **BEIT), "timm", 86_530_984),
    ("beit-large-patch16-224", "microsoft/beit-large-patch16-224", [], IMAGES, image("beit", 1024, 24, 16, **BEIT), "timm", 304_430_568),
    ("dinov2-small", "facebook/dinov2-small", [], BASE, dinov2(384, 12, 6), "timm", 22_056_576),
    ("dinov2-base", "facebook/dinov2-base", [], BASE, dinov2(768, 12, 12), "timm", 86_580_480),
    ("dinov2-large", "facebook/dinov2-large", [], BASE, dinov2(1024, 24, 16), "timm", 304_368_640),
    ("swin-tiny-patch4-window7-224", "microsoft/swin-tiny-patch4-window7-224", ["swin-tiny"], IMAGES,
     swin(96, [2, 2, 6, 2], 3), "timm", 28_288_354),
    ("swin-small-patch4-window7-224", "microsoft/swin-small-patch4-window7-224", ["swin-small"], IMAGES,
     swin(96, [2, 2, 18, 2], 3), "timm", 49_606_258),
    ("swin-base-patch4-window7-224", "microsoft/swin-base-patch4-window7-224", ["swin-base"], IMAGES,
     swin(128, [2, 2, 18, 2], 4), "timm", 87_768_224),
    ("swin-large-patch4-window12-384", "microsoft/swin-large-patch4-window12-384", ["swin-large"], IMAGES,
     swin(192, [2, 2, 18, 2], 6, 12, 384), "timm", None),
    ("clip-vit-base-patch32", "openai/clip-vit-base-patch32", [], BASE,
     clip(tower(768, 12, 12, image_size=224, patch_size=32), tower(512, 12, 8), 512), "transformers", 151_277_313),
    ("clip-vit-base-patch16", "openai/clip-vit-base-patch16", [], BASE,
     clip(tower(768, 12, 12, image_size=224, patch_size=16), tower(512, 12, 8), 512), "published", 149_620_737),
    ("clip-vit-large-patch14", "openai/clip-vit-large-patch14", [], BASE,
     clip(tower(1024, 24, 16, image_size=224, patch_size=14), tower(768, 12, 12), 768), "published", 427_616_513),
    ("siglip-base-patch16-224", "google/siglip-base-patch16-224", [], BASE,
     siglip(tower(768, 12, 12, image_size=224, patch_size=16), tower(768, 12, 12)), "transformers", 203_155_970),
    ("siglip-so400m-patch14-384", "google/siglip-so400m-patch14-384", [], BASE,
     siglip(tower(1152, 27, 16, 4304, image_size=384, patch_size=14), tower(1152, 27, 16, 4304)), "open_clip", None),
]


def count(config, auto):
    """The class that is built and its unique parameters."""
    fields = {key: value for key, value in config.items() if key not in ("model_type", "architectures")}
    with torch.device("meta"):
        built = AutoConfig.for_model(config["model_type"], **fields)
        model = (auto.from_config if auto in AUTO else auto)(built)
        if config["model_type"] == "mt5":
            # this version ties mT5's head, which its checkpoints do not
            model.lm_head.weight = torch.nn.Parameter(torch.empty_like(model.lm_head.weight))
    return type(model).__name__, sum(p.numel() for p in model.parameters())


def main():
    transformers.logging.set_verbosity_error()
    rows, wrong = [], []
    for name, hub, aliases, auto, config, read_from, published in ROWS:
        class_name, parameters = count(config, auto)
        print(f"{name:36} {class_name:32} {parameters:>18,} {read_from:12} {'' if published else 'no published count'}", flush=True)
        if published not in (None, parameters):
            wrong.append(f"{name}: counted {parameters:,}, published {published:,}")
        rows.append({"name": name, "hub": hub, "aliases": aliases, "class": class_name, "parameters": parameters,
                     "read_from": read_from, "published": published is not None, "config": config})
    if wrong:
        raise SystemExit("\n".join(wrong))
    head = {"made_by": "catalogue.py",
            "versions": {"python": platform.python_version(), "torch": torch.__version__,
                         "transformers": transformers.__version__}}
    text = json.dumps(head, indent=1)[:-2] + ',\n "models": [\n  ' + ",\n  ".join(map(json.dumps, rows)) + "\n ]\n}\n"
    pathlib.Path(__file__).with_name("catalogue.json").write_text(text)


if __name__ == "__main__":
    main()

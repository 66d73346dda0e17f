"""Documents as `wattlaw job` writes them, by the few fields that a test is about.

`test_document.py` asks wattlaw for the same jobs where `WATTLAW` names the program.
"""

TENSOR = {"tp": "blocks", "tp-mlp": "mlp"}


def document(
    model: dict | None = None,
    workload: dict | None = None,
    parallelism: dict | None = None,
) -> dict[str, dict]:
    """A BERT of two layers on one GPU, but for what the tables say; fields that follow from those are changed too."""
    model, workload, parallelism = model or {}, workload or {}, parallelism or {}
    bert = model.get("family", "bert") == "bert"
    hidden = model.get("hidden_size", 128)
    heads = model.get("heads", max(1, hidden // 64))
    shape = {
        "name": "a-model",
        "family": "bert",
        "layers": 2,
        "hidden_size": hidden,
        "heads": heads,
        "kv_heads": heads,
        "head_dim": hidden // heads,
        "ffn_size": 4 * hidden,
        "vocab_size": 30_522 if bert else 50_257,
        "embedding_size": hidden,
        "vocab_multiple": 1,
        "max_positions": 512 if bert else 1024,
        "token_types": 2 if bert else 0,
        "gated_ffn": False,
        "tied_embeddings": True,
        "qkv_bias": True,
        "attention_output_bias": True,
        "ffn_bias": True,
        "final_norm": not bert,
        "pooler": bert,
        "classes": 0,
    }
    work = {
        "seq_len": 16,
        "padding_share": 0.0,
        "micro_batch": 2,
        "grad_accum": 1,
        "precision": "fp32",
        "optimizer": "adamw",
        "checkpointing": "none",
        "attention": "flash",
        "task": "masked-lm" if bert else "causal-lm",
        "state_precision": "fp32",
        "quantization": "none",
        "frozen_layers": 0,
        "objective": "likelihood",
        "offload": "none",
        "framework": "unknown",
    }
    if not {"tokens", "epochs"} & set(workload):
        work["steps"] = 3
    parts = parallelism.get("strategy", "single").split("+")
    spread = {
        "strategy": "single",
        "dp": 1,
        "tp": 1,
        "pp": 1,
        "tensor_scope": next((TENSOR[part] for part in parts if part in TENSOR), "blocks"),
        "sequence_parallel": False,
        "schedule": "1f1b",
        "virtual_stages": 1,
        "partition": "even",
        "cp": 1,
    } | parallelism
    gpus = spread["dp"] * spread["tp"] * spread["pp"]
    system = {
        "gpu": "t4",
        "gpus": gpus,
        "gpus_per_node": gpus,
        "nodes": 1,
        "link_gb_per_s": 31.5,
        "power_limit_w": 70.0,
    }
    return {
        "schema": "wattlaw-job/1",
        "model": shape | model,
        "workload": work | workload,
        "parallelism": spread,
        "system": system,
    }

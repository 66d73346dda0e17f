"""Times of llm-analysis on the rows of the accuracy suite.

llm-analysis (Cheng Li, Apache-2.0) counts FLOPs, bytes and messages and divides by stated efficiencies: 0.5 of the peak
and 0.9 of memory bandwidth here, its defaults for links. It knows 16 bits and less, so rows in fp32 and tf32 have the peak of
their precision and 16-bit messages. It has neither power nor energy, and no adapters, so LoRA rows are
not answered; nor are encoder–decoders.

Usage:    wattlaw validate --suite --with-rows --format json > suite.json
          python benches/peers/llm_analysis_rows.py suite.json llm-analysis.json
Needs:    benches/peers/requirements-llm-analysis.txt
"""

import logging
import sys
from importlib.metadata import version

import llm_analysis.analysis as llm
from llm_analysis.config import DtypeConfig, GPUConfig, ModelConfig, ParallelismConfig

from suite_rows import Suite, evaluate, peak_tflops, write

RECOMPUTATION = {"full": llm.ActivationRecomputation.FULL, "selective": llm.ActivationRecomputation.SELECTIVE}
SHARDING = {"zero1": llm.DSZeRO.STAGE_1, "zero2": llm.DSZeRO.STAGE_2, "zero3": llm.DSZeRO.STAGE_3, "fsdp": llm.DSZeRO.STAGE_3}
# the runs ran, so that their memory is no question; it refuses jobs that need more by its own count
MEMORY_GB = 1e6


def analysis(row):
    model, parallelism, system = (row["job"][part] for part in ("model", "parallelism", "system"))
    accelerator, precision = row["accelerator"], row["job"]["workload"]["precision"]
    bits = 8 if precision == "fp8" else 16
    tp, pp = parallelism.get("tp", 1), parallelism.get("pp", 1)
    return llm.LLMAnalysis(
        ModelConfig(name=row["model"], num_layers=model["layers"], n_head=model["heads"], hidden_dim=model["hidden_size"],
                    vocab_size=model["vocab_size"], max_seq_len=1 << 20, num_key_value_heads=model.get("kv_heads"),
                    ffn_embed_dim=model["ffn_size"], expansion_ratio=model["ffn_size"] / model["hidden_size"]),
        GPUConfig(name=accelerator["name"], mem_per_GPU_in_GB=MEMORY_GB,
                  hbm_bandwidth_in_GB_per_sec=accelerator["hbm_gb_per_s"],
                  intra_node_bandwidth_in_GB_per_sec=system["link_gb_per_s"], intra_node_min_message_latency=8e-6,
                  peak_fp16_TFLOPS=peak_tflops(row),
                  inter_node_bandwidth_in_GB_per_sec=system["network_gb_per_s"]),
        DtypeConfig(name=precision, weight_bits=bits, activation_bits=16, embedding_bits=16),
        ParallelismConfig(tp_size=tp, pp_size=pp, dp_size=system["gpus"] // (tp * pp)),
        flops_efficiency=0.5,
        hbm_memory_efficiency=0.9,
    )


def predict(_, rows):
    answers = {}
    for key, row in rows.items():
        workload, model = row["job"]["workload"], row["job"]["model"]
        if workload.get("lora") or model["family"] == "t5":
            continue
        strategy = row["job"]["parallelism"].get("strategy", "single")
        sharding = next((stage for name, stage in SHARDING.items() if name in strategy), llm.DSZeRO.NONE)
        try:
            found = analysis(row).training(
                batch_size_per_gpu=workload["micro_batch"],
                gradient_accumulation_steps=workload.get("grad_accum", 1),
                seq_len=workload["seq_len"],
                activation_recomputation=RECOMPUTATION.get(workload.get("checkpointing"), llm.ActivationRecomputation.NONE),
                ds_zero=sharding,
                flash_attn=workload.get("attention") != "eager",
                mlp_gated_linear_units=model.get("gated_ffn", False),
            )
        except (AssertionError, ZeroDivisionError) as error:
            reason = f"{type(error).__name__}: {error}"[:80]
            REFUSED[reason] = REFUSED.get(reason, 0) + 1
            continue
        answers[key] = (found["latency_per_iter"] * row["steps"], None)
    return answers


REFUSED = {}


def main(suite, out):
    logging.disable(logging.CRITICAL)
    name = f"llm-analysis {version('llm-analysis')}"
    write(evaluate(Suite(suite), name, predict, "no LoRA, no power"), out)
    for reason, rows in REFUSED.items():
        print(f"not answered: {rows} rows, {reason}")


if __name__ == "__main__":
    main(*sys.argv[1:])

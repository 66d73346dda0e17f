"""Times llm-analysis on one training configuration: the job of the bench `predict/opt-1.3b with the ledger`.

OPT-1.3B on eight A100-SXM4-40GB, ZeRO stage 3 without recomputation, one sequence of 512 tokens a GPU, 1e9 tokens. It
prints the median of its repeats in seconds for two ways to do it:

  evaluate  the analysis of a configuration that is built already, with logging off;
  build     the same with models, accelerators and degrees looked up by name for each evaluation.

llm-analysis answers FLOPs, memory and latency from stated efficiencies, without intervals and without energy.

Usage:    python benches/peers/llm_analysis_training.py
Needs:    benches/peers/requirements-llm-analysis.txt
"""

import logging
import statistics
import sys
import time
from importlib.metadata import version

import llm_analysis.analysis as llm
from llm_analysis.config import (ParallelismConfig, get_dtype_config_by_name, get_gpu_config_by_name,
                                 get_model_config_by_name)

REPEATS = 30
CALLS = 50


def build():
    return llm.LLMAnalysis(
        get_model_config_by_name("facebook_opt-1.3b"),
        get_gpu_config_by_name("a100-sxm-40gb"),
        get_dtype_config_by_name("w16a16e16"),
        ParallelismConfig(dp_size=8),
        flops_efficiency=0.5,
        hbm_memory_efficiency=0.9,
    )


def evaluate(analysis):
    return analysis.training(batch_size_per_gpu=1, gradient_accumulation_steps=1, seq_len=512,
                             total_num_tokens=1_000_000_000, ds_zero=llm.DSZeRO.STAGE_3)


def measure(what):
    times = []
    for _ in range(REPEATS + 1):
        begin = time.perf_counter()
        for _ in range(CALLS):
            what()
        times.append((time.perf_counter() - begin) / CALLS)
    return statistics.median(times[1:])


def main():
    logging.disable(logging.CRITICAL)
    analysis = build()
    found = evaluate(analysis)
    print(f"llm-analysis {version('llm-analysis')}, python {sys.version.split()[0]}; "
          f"{found['num_params_total']:.0f} parameters, {found['total_training_latency']:.0f} s", file=sys.stderr)
    for name, what in [("evaluate", lambda: evaluate(analysis)), ("build", lambda: evaluate(build()))]:
        print(f"llm-analysis training, {name}\t{measure(what):.4e}")


main()

"""Times and powers of Kavier on the rows of the accuracy suite.

Kavier (AtLarge Research, MIT) simulates fine-tuning from a catalogue of models and GPUs, with factors fitted by its
authors. Rows whose model or GPU is not in its catalogue are given to it as new entries with the job's shape and the data
sheet's figures; its factors of a model then are one. It knows full fine-tuning and LoRA with data parallelism, so rows with
tensor or pipeline parallelism are not answered. Its factors are named for the models and the GPU of the fine-tuning
benchmark and were fitted on such measurements, so on these sources it is likely in sample.

Usage:    wattlaw validate --suite --with-rows --format json > suite.json
          python benches/peers/kavier_training.py suite.json kavier.json
Needs:    benches/peers/requirements-kavier.txt
"""

import sys
import warnings
from importlib.metadata import version

from kavier.sdk.library.gpu import GPU_SPEC_LIBRARY
from kavier.sdk.library.llm import LLM_SPEC_LIBRARY
from kavier.sdk.library.specs.GPUSpec import GPUSpec
from kavier.sdk.library.specs.LLMSpec import LLMSpec
from kavier.sdk.training.core.engine import simulate_training_step

from suite_rows import Suite, evaluate, write

# accelerators and models of the rows under the names of Kavier's catalogue
GPUS = {"a100-sxm4-80gb": "NVIDIA-A100-SXM4-80GB", "a100-pcie-80gb": "NVIDIA-A100-80GB-PCIe", "a100-sxm4-40gb": "A100-40GB",
        "h100-sxm5-80gb": "H100-SXM"}
IN_SAMPLE = ["tuning-1-node", "tuning-2-nodes", "tuning-4-nodes"]
MODELS = {"llama-3.1-8b": "llama3.1-8b", "mixtral-8x7b": "mixtral-8x7b-instruct-v0.1"}


def gpu_name(row):
    accelerator = row["accelerator"]
    known = GPUS.get(accelerator["name"])
    if known in GPU_SPEC_LIBRARY:
        return known
    name = accelerator["name"]
    if name not in GPU_SPEC_LIBRARY:
        GPU_SPEC_LIBRARY[name] = GPUSpec(
            gpu_name=name,
            memory_gb=accelerator["hbm_gib"],
            memory_bandwidth_gbps=accelerator["hbm_gb_per_s"],
            fp_16_tensor_core_tflops=accelerator["fp16_tflops"] or accelerator["fp32_tflops"],
            gpu_cores=1,
            gpu_core_max_mhz=1000,
            base_power_w=accelerator["tdp_w"],
        )
    return name


def llm_name(row):
    model = row["job"]["model"]
    known = MODELS.get(row["model"], row["model"])
    if known in LLM_SPEC_LIBRARY:
        return known
    name = f"{row['source']} {row['line']}"
    if name not in LLM_SPEC_LIBRARY:
        LLM_SPEC_LIBRARY[name] = LLMSpec(
            llm_name=name,
            n_layers=model["layers"],
            d_model=model["hidden_size"],
            p_bytes=2,
            m_params=row["active_parameters"],
            n_heads=model["heads"],
            d_head=model["hidden_size"] // model["heads"],
        )
    return name


def predict(_, rows):
    answers = {}
    for key, row in rows.items():
        workload, parallelism, system = (row["job"][part] for part in ("workload", "parallelism", "system"))
        if parallelism.get("tp", 1) > 1 or parallelism.get("pp", 1) > 1:
            continue
        gpus = system["gpus"]
        step = simulate_training_step(
            llm_name(row),
            gpu_name(row),
            tokens_per_sample=workload["seq_len"],
            batch_size=workload["micro_batch"],
            method="lora" if workload.get("lora") else "full",
            num_gpus=gpus,
            num_nodes=max(1, gpus // system.get("gpus_per_node", gpus)),
            grad_accum_steps=workload.get("grad_accum", 1),
        )
        seconds = step["tokens_per_step"] / step["tokens_per_second"] * row["steps"]
        answers[key] = (seconds, step["gpu_power_watts"])
    return answers


def main(suite, out):
    warnings.filterwarnings("ignore", message="calibration:")
    name = f"Kavier {version('kavier')}"
    write(evaluate(Suite(suite), name, predict, "no tensor or pipeline parallelism", in_sample=IN_SAMPLE), out)


if __name__ == "__main__":
    main(*sys.argv[1:])

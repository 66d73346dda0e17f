#!/usr/bin/env bash
# Makes the embedded calibrations from the study's measured runs, which are not part of the project.
# Usage, from the repository's root: crates/wattlaw/calibrations/make.sh ../shared/data/multi_gpu_2026/runs.csv
set -euo pipefail
runs=$1
here=$(dirname "$0")
source='M. Zoubeirou a Mayaki, arXiv 2606.23546 (2026), measured configurations of its reproducibility material'
terms='strategy + log_C + log_M + log_eta + log_micro_steps + log_layers'
fit() {
    cargo run --quiet --release -p wattlaw-cli -- fit "$runs" --scope codecarbon --source "$source" \
        --name "$1" --out "$here/$1.json" "${@:2}" >/dev/null
}
fit bert-2026 --setting bert --terms "$terms + gpu"
fit gpt-2026 --setting gpt --terms "$terms + gpu"
fit any-gpu-2026 --terms "$terms + family + log_hbm_bandwidth" --interval-groups gpu

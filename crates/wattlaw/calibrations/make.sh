#!/usr/bin/env bash
# Makes the embedded calibrations from measured tables, which are not part of the project.
# Usage, from the repository's root: crates/wattlaw/calibrations/make.sh ../shared/data
set -euo pipefail
data=$1
here=$(dirname "$0")

# the one law, on all sources of sources.toml
cargo run --quiet --release -p wattlaw --example fit_built_in -- "$data" "$here/wattlaw-2026.json"

# the study's scaling laws
runs=$data/multi_gpu_2026/runs.csv
source='M. Zoubeirou a Mayaki, arXiv 2606.23546 (2026), measured configurations of its reproducibility material'
terms='strategy + log_C + log_M + log_eta + log_micro_steps + log_layers'
scaling() {
    cargo run --quiet --release -p wattlaw-cli -- fit "$runs" --law scaling --scope codecarbon --source "$source" \
        --name "$1" --out "$here/$1.json" "${@:2}" >/dev/null
}
scaling bert-2026 --setting bert --terms "$terms + gpu"
scaling gpt-2026 --setting gpt --terms "$terms + gpu"
scaling any-gpu-2026 --terms "$terms + family + log_hbm_bandwidth" --interval-groups gpu

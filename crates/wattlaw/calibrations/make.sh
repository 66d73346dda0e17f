#!/usr/bin/env bash
# Makes the embedded calibrations from measured tables, which are not part of the project.
# Usage, from the repository's root: crates/wattlaw/calibrations/make.sh ../shared/data
set -euo pipefail
data=$1
runs=$data/multi_gpu_2026/runs.csv
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

# the discrepancy is held by few points, from which no measured row can be read back
roofline() {
    cargo run --quiet --release -p wattlaw-cli -- fit "$2" --law roofline --discrepancy-points 64 --source "$3" \
        --name "$1" --out "$here/$1.json" "${@:4}" >/dev/null
}
roofline roofline-gpt-2026 "$runs" "$source" --setting gpt --scope codecarbon
roofline roofline-bert-2026 "$runs" "$source" --setting bert --scope codecarbon
roofline roofline-a100-large "$data/step_time/llm_foundry_fsdp.csv" \
    'mosaicml/llm-foundry, scripts/train/benchmarking (Apache-2.0): step times' --interval-groups model
stalled=$(mktemp)
trap 'rm -f "$stalled"' EXIT
cargo run --quiet --release -p wattlaw-cli -- audit "$data/step_time/nanotron_h100.csv" --kind stalled --out "$stalled" >/dev/null
roofline roofline-h100-large "$data/step_time/nanotron_h100.csv" \
    "nanotron, Ultra-Scale Playbook benchmark (Apache-2.0): step times" --interval-groups model --exclude "$stalled"

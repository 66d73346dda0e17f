 fitted parameters and spreads only: a discrepancy would hold the measured rows#!/usr/bin/env bash
 fitted parameters and spreads only: a discrepancy would hold the measured rows# Makes the embedded calibrations from measured tables, which are not part of the project.
 fitted parameters and spreads only: a discrepancy would hold the measured rows# Usage, from the repository's root: crates/wattlaw/calibrations/make.sh ../shared/data
 fitted parameters and spreads only: a discrepancy would hold the measured rowsset -euo pipefail
 fitted parameters and spreads only: a discrepancy would hold the measured rowsdata=$1
 fitted parameters and spreads only: a discrepancy would hold the measured rowsruns=$data/multi_gpu_2026/runs.csv
 fitted parameters and spreads only: a discrepancy would hold the measured rowshere=$(dirname "$0")
 fitted parameters and spreads only: a discrepancy would hold the measured rowssource='M. Zoubeirou a Mayaki, arXiv 2606.23546 (2026), measured configurations of its reproducibility material'
 fitted parameters and spreads only: a discrepancy would hold the measured rowsterms='strategy + log_C + log_M + log_eta + log_micro_steps + log_layers'
 fitted parameters and spreads only: a discrepancy would hold the measured rowsfit() {
 fitted parameters and spreads only: a discrepancy would hold the measured rows    cargo run --quiet --release -p wattlaw-cli -- fit "$runs" --scope codecarbon --source "$source" \
 fitted parameters and spreads only: a discrepancy would hold the measured rows        --name "$1" --out "$here/$1.json" "${@:2}" >/dev/null
 fitted parameters and spreads only: a discrepancy would hold the measured rows}
 fitted parameters and spreads only: a discrepancy would hold the measured rowsfit bert-2026 --setting bert --terms "$terms + gpu"
 fitted parameters and spreads only: a discrepancy would hold the measured rowsfit gpt-2026 --setting gpt --terms "$terms + gpu"
 fitted parameters and spreads only: a discrepancy would hold the measured rowsfit any-gpu-2026 --terms "$terms + family + log_hbm_bandwidth" --interval-groups gpu
 fitted parameters and spreads only: a discrepancy would hold the measured rows
 fitted parameters and spreads only: a discrepancy would hold the measured rows# the discrepancy is held by few points, from which no measured row can be read back
 fitted parameters and spreads only: a discrepancy would hold the measured rowsroofline() {
 fitted parameters and spreads only: a discrepancy would hold the measured rows    cargo run --quiet --release -p wattlaw-cli -- fit "$2" --law roofline --discrepancy-points 64 --source "$3" \
 fitted parameters and spreads only: a discrepancy would hold the measured rows        --name "$1" --out "$here/$1.json" "${@:4}" >/dev/null
 fitted parameters and spreads only: a discrepancy would hold the measured rows}
 fitted parameters and spreads only: a discrepancy would hold the measured rowsroofline roofline-gpt-2026 "$runs" "$source" --setting gpt --scope codecarbon
 fitted parameters and spreads only: a discrepancy would hold the measured rowsroofline roofline-bert-2026 "$runs" "$source" --setting bert --scope codecarbon
 fitted parameters and spreads only: a discrepancy would hold the measured rowsroofline roofline-a100-large "$data/step_time/llm_foundry_fsdp.csv" \
 fitted parameters and spreads only: a discrepancy would hold the measured rows    'mosaicml/llm-foundry, scripts/train/benchmarking (Apache-2.0): step times' --interval-groups model
 fitted parameters and spreads only: a discrepancy would hold the measured rowsstalled=$(mktemp)
 fitted parameters and spreads only: a discrepancy would hold the measured rowstrap 'rm -f "$stalled"' EXIT
 fitted parameters and spreads only: a discrepancy would hold the measured rowscargo run --quiet --release -p wattlaw-cli -- audit "$data/step_time/nanotron_h100.csv" --kind stalled --out "$stalled" >/dev/null
 fitted parameters and spreads only: a discrepancy would hold the measured rowsroofline roofline-h100-large "$data/step_time/nanotron_h100.csv" \
 fitted parameters and spreads only: a discrepancy would hold the measured rows    "nanotron, Ultra-Scale Playbook benchmark (Apache-2.0): step times" --interval-groups model --exclude "$stalled"

#!/usr/bin/env bash
# What measuring costs, beside other tools: all sample the same eight GPUs that the tests' stand-in for NVIDIA's library plays.
# Usage: benches/peers/meter.sh [SECONDS]       (30 when absent)
#        METERS=python benches/peers/meter.sh   an interpreter that has benches/peers/requirements-meter.txt; without it only ours
set -euo pipefail
cd "$(dirname "$0")/../.."

seconds=${1:-30}
target=${CARGO_TARGET_DIR:-target}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cargo build --quiet --release -p wattlaw-meter --example overhead
cp "$target/release/deps/libnvml_mock.so" "$work/libnvidia-ml.so.1"
for gpu in 0 1 2 3 4 5 6 7; do
    printf '[[gpus]]\nuuid = "GPU-%s"\npower_w = [[0, 400], [0.6, 120]]\nrepeat_s = 0.8\n' "$gpu"
done >"$work/script.toml"
for package in 0 1; do
    zone=$work/sys/class/powercap/intel-rapl:$package
    mkdir -p "$zone"
    echo "package-$package" >"$zone/name"
    echo 1 >"$zone/energy_uj"
    echo 262143328850 >"$zone/max_energy_range_uj"
done
# CodeCarbon takes a machine on which this fails for one without GPUs
printf '#!/bin/sh\n' >"$work/nvidia-smi"
chmod +x "$work/nvidia-smi"
export PATH=$work:$PATH NVML_DOUBLE_SCRIPT=$work/script.toml WATTLAW_NVML=$work/libnvidia-ml.so.1 WATTLAW_SYSFS=$work/sys

echo "one reading each 100 ms of eight GPUs, for $seconds s"
printf 'wattlaw, and two packages: '
"$target/release/examples/overhead" "$seconds" 100ms
WATTLAW_NVML=/nowhere "$target/release/examples/overhead" "$seconds" 100ms | sed 's/^/wattlaw, packages alone: /'
if [ -n "${METERS:-}" ]; then
    for tool in codecarbon zeus; do
        LD_LIBRARY_PATH=$work "$METERS" benches/peers/meter.py "$tool" "$seconds" 0.1 2>"$work/$tool.log" ||
            tail -3 "$work/$tool.log" >&2
    done
fi

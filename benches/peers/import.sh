#!/usr/bin/env bash
# Times the import of a large nvidia-smi log, with pandas read_csv on the same file beside it.
# Usage: PANDAS=python benches/peers/import.sh [MEGABYTES] [ROUNDS]      (1000 and 3 when absent)
#        PANDAS is an interpreter that has pandas (benches/peers/requirements-import.txt); without it pandas is left out.
# Needs GNU time and python3. The log is a repeated pattern of eight GPUs sampled every 100 ms, with units as nvidia-smi
# writes them by default; it is read once before it is timed, so that it lies in memory as far as it fits.
set -euo pipefail
cd "$(dirname "$0")/../.."

megabytes=${1:-1000}
rounds=${2:-3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
log=$work/gpu.csv
cargo build --quiet --release -p wattlaw-cli
wattlaw=${CARGO_TARGET_DIR:-target}/release/wattlaw
python3 benches/peers/nvidia_smi_log.py "$log" "$megabytes"
bytes=$(stat -c %s "$log")
lscpu | grep -E '^(Model name|CPU\(s\))'

timed() {
    name=$1
    shift
    for round in $(seq "$rounds"); do
        cat "$log" >/dev/null
        /usr/bin/time -f '%e %M %U' -o "$work/time" "$@" >"$work/out" 2>"$work/err" || { cat "$work/err" >&2; exit 1; }
        read -r seconds kib user <"$work/time"
        awk -v n="$name" -v b="$bytes" -v s="$seconds" -v u="$user" -v k="$kib" -v r="$round" -v l="$(cut -d' ' -f1 /proc/loadavg)" \
            'BEGIN { printf "%-34s round %d  %7.2f s (%.2f s of processor)  %6.0f MB/s  %8.1f MiB  load %s\n", n, r, s, u, b / s / 1e6, k / 1024, l }'
    done
}

printf '%s lines, %s bytes\n' "$(wc -l <"$log")" "$bytes"
timed "wattlaw import" "$wattlaw" import "$log" --format json
grep -E '"energy_j"' "$work/out" | tail -1
if [ -n "${PANDAS:-}" ]; then
    timed "pandas read_csv, all columns" "$PANDAS" benches/peers/pandas_import.py read "$log"
    timed "pandas read_csv, 3 columns" "$PANDAS" benches/peers/pandas_import.py columns "$log"
    timed "pandas, the same energy" "$PANDAS" benches/peers/pandas_import.py energy "$log"
    cat "$work/out"
fi

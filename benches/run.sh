#!/usr/bin/env bash
# Measures every figure of docs/project/performance.md, with the peers in the same rounds. It is no part of ./test.
# Usage: benches/run.sh [ROUNDS]                       (5 rounds when absent; about two minutes each)
#        STATSMODELS=python LLM_ANALYSIS=python benches/run.sh    interpreters whose environments hold the peers
#        (benches/peers/requirements-*.txt); a peer without one is left out.
# Needs hyperfine, GNU time and python3. Every fresh release build goes to a folder of its own, which is removed.
set -euo pipefail
cd "$(dirname "$0")/.."

rounds=${1:-5}
runs=../shared/data/multi_gpu_2026/runs.csv
target=${CARGO_TARGET_DIR:-target}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
figures=$work/figures.tsv
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1

criterion() {
    rm -rf "$target/criterion"
    cargo bench --quiet -p wattlaw --bench "$1" -- --noplot --warm-up-time 1 --measurement-time 3 >"$work/$1.log" 2>&1 ||
        { cat "$work/$1.log" >&2; exit 1; }
    python3 benches/figures.py criterion "$target/criterion" >>"$figures"
}

lscpu | grep -E '^(Model name|CPU\(s\)|Hypervisor)'
rustc --version
cargo fetch --quiet --locked
cargo build --quiet --release -p wattlaw-cli
cargo bench --quiet -p wattlaw --bench fit --bench predict --bench validate --no-run
wattlaw=$target/release/wattlaw
predict=(predict --model bert-base-uncased --tokens 10M --seq-len 128 --micro-batch 32
    --gpu a100-sxm4-40gb --gpus 4 --strategy fsdp)

for round in $(seq "$rounds"); do
    echo "round $round, load $(cut -d' ' -f1-3 /proc/loadavg)"
    criterion fit
    if [ -n "${STATSMODELS:-}" ] && [ -f "$runs" ]; then
        "$STATSMODELS" benches/peers/statsmodels_fit.py "$runs" 2>"$work/statsmodels.log" >>"$figures"
    fi
    criterion predict
    if [ -n "${LLM_ANALYSIS:-}" ]; then
        "$LLM_ANALYSIS" benches/peers/llm_analysis_training.py 2>"$work/llm_analysis.log" >>"$figures"
    fi
    criterion validate
    hyperfine -N --warmup 5 --runs 100 --export-json "$work/start.json" "$wattlaw ${predict[*]}" >"$work/start.log" 2>&1
    printf 'wattlaw predict, start to exit\t%s\n' \
        "$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["results"][0]["median"])' "$work/start.json")" \
        >>"$figures"
    printf 'wattlaw predict, peak memory in KiB\t%s\n' \
        "$(/usr/bin/time -f %M "$wattlaw" "${predict[@]}" 2>&1 >/dev/null | tail -n 1)" >>"$figures"
done

for round in 1 2 3; do
    echo "build $round, load $(cut -d' ' -f1-3 /proc/loadavg)"
    /usr/bin/time -f 'release build from nothing\t%e\nits processor time, user\t%U\nits processor time, system\t%S' \
        -o "$work/build.time" \
        cargo build --quiet --release --offline --jobs 2 -p wattlaw-cli --target-dir "$work/target"
    cat "$work/build.time" >>"$figures"
    rm -rf "$work/target"
done

echo
for log in fit validate; do grep '^table:' "$work/$log.log"; done
sed -n '/ ± /p' "$work/fit.log"
for log in statsmodels llm_analysis; do [ ! -f "$work/$log.log" ] || grep -v PyTorch "$work/$log.log"; done
echo
echo "seconds, but for memory; each round's figure is the median of its repeats"
python3 benches/figures.py summary "$figures"

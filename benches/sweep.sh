#!/usr/bin/env bash
# What `wattlaw sweep run` loses beside the jobs themselves: jobs that only sleep, and the time of the whole sweep.
# Usage: benches/sweep.sh [JOBS] [SECONDS]   (a release build of wattlaw is expected in target/release)
set -euo pipefail
cd "$(dirname "$0")/.."
jobs=${1:-20} seconds=${2:-5}
wattlaw=$PWD/target/release/wattlaw
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
echo "run_id,block,family,layers,hidden_size,seq_len,micro_batch,steps,gpu" > plan.csv
for i in $(seq "$jobs"); do echo "job-$i,1,bert,2,128,32,4,1,t4" >> plan.csv; done
cat > job.sh <<'JOB'
say() { echo "$1" >> "/dev/fd/$WATTLAW_EVENTS_FD"; }
say '{"event":"window_begin","name":"train"}'
sleep "$1"
say '{"event":"step","tokens":128}'
say '{"event":"window_end","name":"train"}'
JOB
for settle in 0s 3min; do
    begin=$(date +%s.%N)
    TMPDIR=$place "$wattlaw" sweep run plan.csv --quiet --out "runs-$settle" --assume cpu=30W --settle $settle -- sh job.sh "$seconds" ||
        exit 1
    end=$(date +%s.%N)
    TMPDIR=$place "$wattlaw" sweep status "runs-$settle" --format json | python3 -c "
import json, sys
status = json.load(sys.stdin)
commands = sum(job['command_s'] for job in status['jobs'])
wall = $end - $begin
lost = (wall - commands) / $jobs
print(f'--settle $settle: {status[\"done\"]} jobs of $seconds s in {wall:.2f} s; {lost * 1000:.0f} ms a job beside its command, '
      f'{100 * lost / $seconds:.2f} %')
"
done

#!/bin/sh
# Measures the accuracy of the law and of other programs on the same held-out runs, and writes the tables of the pages.
#
# Usage: benches/accuracy.sh FOLDER      FOLDER keeps the JSON files and a Python environment for each peer
#
# Needs the measured tables in ../shared/data, cargo, git and Python 3.11 with the package index at hand. A peer that cannot run
# is left out of the tables, with a message. SUITE_ONLY=1 leaves all peers out; BEFORE names a program of 0.1.0 that is built.
set -eu
cd "$(dirname "$0")/.."
folder=$1
mkdir -p "$folder"
suite=$folder/suite.json

cargo build --release -p wattlaw-cli
target/release/wattlaw validate --suite --with-rows --format json > "$suite"

peers=
peer() { # NAME SCRIPT REQUIREMENTS [ARGUMENTS]
    name=$1 script=$2 requirements=$3
    shift 3
    environment=$folder/$requirements
    if { [ -d "$environment" ] || { python3 -m venv "$environment" &&
        "$environment/bin/pip" install -q -r "benches/peers/requirements-$requirements.txt"; }; } &&
        "$environment/bin/python" "benches/peers/$script" "$suite" "$folder/$name.json" "$@"; then
        peers="$peers $folder/$name.json"
    else
        echo "left out: $name" >&2
    fi
}
if [ -z "${SUITE_ONLY:-}" ]; then
    peer before before_one_law.py boosting ${BEFORE:+"$BEFORE"}
    peer llm-analysis llm_analysis_rows.py llm-analysis
    peer kavier kavier_training.py kavier
    peer boosting boosting_rows.py boosting
fi
# shellcheck disable=SC2086 — a word for each peer
python3 benches/accuracy.py "$suite" $peers

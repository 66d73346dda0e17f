# Stands for a program that trains: tells wattlaw its job, its windows and its steps.
tell() { echo "$1" >> "$WATTLAW_EVENTS"; }
tell '{"event": "job", "model": {"name": "gpt2"}, "workload": {"seq_len": 512, "micro_batch": 8}, "system": {"gpu": "t4"}}'
for epoch in 1 2; do
    echo "epoch $epoch"
    tell "{\"event\": \"window_begin\", \"name\": \"epoch $epoch\"}"
    for step in 1 2 3; do
        sleep 0.1
        tell '{"event": "step", "tokens": 4096}'
    done
    tell '{"event": "window_end"}'
done

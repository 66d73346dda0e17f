"""Makes the logs of training in this folder: made-up figures, written by the tools' own writers where they run without a GPU.

    pip install transformers==5.24.0 tensorboard==2.21.0 mlflow-skinny==3.17.2 lightning==2.6.6
    MLFLOW_ALLOW_FILE_STORE=true python3 make.py

trainer_state.json, the event file, mlflow/ and metrics.csv come from those packages. The others are laid out as these sources write
them, and no version of these tools was run: torchtitan (components/metrics.py), nanotron (trainer.py), Weights & Biases (pandas'
to_csv of run.history(), and a JSON line for each row of run.history(stream="system")), Megatron-LM (training/training.py).
"""

import json
import math
import pathlib
import shutil

here = pathlib.Path(__file__).parent
start = 1772359200.0  # 2026-03-01T10:00:00Z
step_s = 2.5


def lines(name, rows):
    (here / name).parent.mkdir(parents=True, exist_ok=True)
    (here / name).write_text("\n".join(rows) + "\n")


def transformers():
    from transformers.trainer_callback import TrainerState

    state = TrainerState()
    state.global_step = state.max_steps = 400
    state.train_batch_size = 32
    state.num_train_epochs = 1
    state.num_input_tokens_seen = 400 * 2 * 32 * 128
    for step in range(100, 401, 100):
        loss = math.nan if step == 100 else 1.5 - step / 400
        state.log_history.append({"loss": loss, "learning_rate": 1e-4, "epoch": step / 400, "step": step})
    state.log_history.append({"eval_loss": 0.6, "eval_runtime": 40.0, "epoch": 1.0, "step": 400})
    state.log_history.append(
        {"train_runtime": 1040.0, "train_samples_per_second": 24.615, "train_steps_per_second": 0.385, "total_flos": 1.7e15,
         "train_loss": 0.9, "epoch": 1.0, "step": 400}
    )  # fmt: skip
    state.save_to_json(str(here / "trainer_state.json"))


def tensorboard():
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    folder = here / "tensorboard"
    shutil.rmtree(folder, ignore_errors=True)
    writer = EventFileWriter(str(folder))
    for step in range(10, 101, 10):
        summary = Summary(value=[Summary.Value(tag="train/loss", simple_value=2.0 - step / 100)])
        writer.add_event(Event(wall_time=start + step_s * step, step=step, summary=summary))
    summary = Summary(value=[Summary.Value(tag="eval/loss", simple_value=1.1)])
    writer.add_event(Event(wall_time=start + step_s * 100 + 8, step=100, summary=summary))
    writer.close()
    written = next(folder.iterdir())
    # the name has the host and the time
    written.rename(folder / "events.out.tfevents.1772359200.node1.7.0")


def mlflow():
    from mlflow.entities import Metric
    from mlflow.store.tracking.file_store import FileStore

    root = here / "mlruns"
    shutil.rmtree(root, ignore_errors=True)
    shutil.rmtree(here / "mlflow", ignore_errors=True)
    store = FileStore(str(root))
    run = store.create_run("0", "user", int(start * 1000), [], "bert")
    for step in range(0, 101, 10):
        at = int(1000 * (start + step_s * step))
        store.log_metric(run.info.run_id, Metric("train_loss", 2.0 - step / 100, at, step))
        for gpu in (0, 1):
            power = Metric(f"system/gpu_{gpu}_power_usage_watts", 300.0 + gpu + step / 10, at, step // 10)
            store.log_metric(run.info.run_id, power)
    shutil.move(root / "0" / run.info.run_id / "metrics", here / "mlflow" / "metrics")
    shutil.rmtree(root)


def wandb():
    rows = ["_step,_runtime,_timestamp,train/loss,train/global_step"]
    rows += [f"{i},{step_s * 10 * i},{start + step_s * 10 * i},{2.0 - i / 10},{10 * i}" for i in range(11)]
    lines("wandb/history.csv", rows)
    system = [
        {"_runtime": 15.0 * i, "_timestamp": start + 15.0 * i, "system.cpu": 3.1}
        | {f"system.gpu.{gpu}.powerWatts": 310.5 + gpu + i for gpu in (0, 1)}
        for i in range(18)
    ]
    lines("wandb/system.jsonl", [json.dumps(row) for row in system])


def clock(seconds):
    return f"{10 + int(seconds) // 3600:02}:{int(seconds) // 60 % 60:02}:{int(seconds) % 60:02}"


def torchtitan():
    rows = [
        "[rank0]:[titan] 2026-03-01 10:00:00,118 - root - INFO - Building 1-D device mesh with ['dp_shard'], [8]",
        "[rank0]:[titan] 2026-03-01 10:00:01,004 - root - INFO - Training starts at step 1.",
    ]
    rows += [
        f"[rank0]:[titan] 2026-03-01 {clock(4 + step_s * step)},500 - root - INFO - \x1b[31mstep: {step:2}  \x1b[32mloss: "
        f"{8 - step / 25:7.4f}  \x1b[38;2;180;60;0mgrad_norm:  1.2345  \x1b[38;2;54;234;195mmemory: 47.75GiB(60.31%)  "
        f"\x1b[34mtps: 6,553  \x1b[36mtflops: 379.46  \x1b[35mmfu: 38.37%\x1b[39m"
        for step in (1, *range(10, 101, 10))
    ]
    lines("torchtitan.log", rows)


def nanotron():
    # trainer.py at 004a89ca and logging/base.py at a5f8fb11 of github.com/huggingface/nanotron, iteration_step_info_interval of 10
    lines(
        "nanotron.log",
        [
            f"\x1b[2;3m03/01 {clock(step_s * step)} [INFO|DP=0|node1]\x1b[0m: iteration: {step} / 100 | consumed_tokens: "
            f"{'131K' if step == 1 else f'{step * 0.131:.3g}M'} | time_per_iteration_ms: 2.5K | tokens_per_sec: 52.4K | tokens_per_sec_per_gpu: 6.55K | "
            f"global_batch_size: 131K | grad_norm: 1.23 | lm_loss: {8 - step / 25:.3g} | lr: 0.0003 | "
            f"model_tflops_per_gpu: 121 | eta: 0:0{int((100 - step) * step_s) // 60}:{int((100 - step) * step_s) % 60:02}"
            for step in range(1, 101, 10)
        ],
    )


def lightning():
    from lightning.fabric.utilities.throughput import Throughput
    from lightning.pytorch.loggers import CSVLogger

    logger = CSVLogger(str(here), name="", version="")
    # as the callback ThroughputMonitor of Lightning 2.6.6 names what it logs
    throughput = Throughput(window_size=2, separator="/")
    for step in range(10, 101, 10):
        throughput.update(time=step_s * step + 0.125, batches=step, samples=64 * step)
        logger.log_metrics({f"train/{name}": value for name, value in throughput.compute().items()} | {"epoch": 0}, step - 1)
        logger.log_metrics({"epoch": 0, "train_loss": 2 - step / 100}, step - 1)
    logger.log_metrics({"epoch": 0, "val_loss": 1.1}, 99)
    logger.save()


def megatron():
    # without --log-energy
    lines(
        "megatron.out",
        ["using world size: 8, data-parallel size: 8, tensor-model-parallel size: 1, pipeline-model-parallel size: 1"]
        + [
            f" [2026-03-01 {clock(step_s * step)}.918469] iteration {step:8}/     100 | consumed samples: {64 * step:12} | elapsed "
            f"time per iteration (ms): {1000 * step_s} | throughput per GPU (TFLOP/s/GPU): 178.0 | learning rate: 1.000000E-04 | "
            "global batch size:    64 | lm loss: 2.401035E+00 | loss scale: 1.0 | grad norm: 1.797 |"
            for step in range(10, 101, 10)
        ],
    )


for make in (transformers, tensorboard, mlflow, wandb, torchtitan, nanotron, lightning, megatron):
    make()

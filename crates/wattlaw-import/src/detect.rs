//! Detects the format of a log from its first bytes.

use super::Format;
use super::lines::without_bom;
use super::timestamp::minute;

/// The format of a log with these first bytes.
pub(super) fn format(head: &[u8]) -> Option<Format> {
    let head = without_bom(head);
    let has = |words: &str| memchr::memmem::find(head, words.as_bytes()).is_some();
    if super::tensorboard::is_event_file(head) {
        return Some(Format::Tensorboard);
    }
    if has(":::MLLOG") || has(":::MLL") {
        return Some(Format::Mlperf);
    }
    if has("CarbonTracker:") || has("carbontracker version") || has("Average power usage (W) for ")
    {
        return Some(Format::Carbontracker);
    }
    if has("energy per GPU (J/iter/GPU)")
        || has("elapsed time per iteration (ms)")
        || has("Total training energy (GPU)")
        || (has("using world size:") && has("arguments -"))
    {
        return Some(Format::Megatron);
    }
    if has("time_per_iteration_ms:") {
        return Some(Format::Nanotron);
    }
    if has("[titan]") || (has(" - root - INFO - ") && has("step:") && has("tps:")) {
        return Some(Format::Torchtitan);
    }
    let first =
        head.split(|b| *b == b'\n').find(|line| !line.trim_ascii().is_empty())?.trim_ascii();
    if super::nvidia_smi::dmon::is_title(first) {
        return Some(Format::NvidiaSmi);
    }
    if first.starts_with(b"{") {
        return if has("\"measurements\"") {
            Some(Format::Zeus)
        } else if has("\"log_history\"") || has("\"is_world_process_zero\"") {
            Some(Format::Transformers)
        } else {
            let keys = first.split(|b| *b == b'"').filter_map(|key| std::str::from_utf8(key).ok());
            keys.into_iter().any(super::wandb::is_sign).then_some(Format::Wandb)
        };
    }
    if super::mlflow::is_line(first) {
        return Some(Format::Mlflow);
    }
    let cells: Vec<&str> = std::str::from_utf8(first)
        .ok()?
        .split([',', ';', '\t'])
        .map(|cell| cell.trim().trim_matches('"').trim())
        .collect();
    table(&cells).or_else(|| {
        (has("DCGM_FI_") || has("\ndcgm_") || head.starts_with(b"dcgm_")).then_some(Format::Dcgm)
    })
}

/// The format of a table from its column titles.
fn table(cells: &[&str]) -> Option<Format> {
    let all = |names: &[&str]| names.iter().all(|name| cells.contains(name));
    let any = |wanted: fn(&str) -> bool| cells.iter().any(|cell| wanted(cell));
    if all(&["duration", "energy_consumed"]) || all(&["timestamp", "emissions", "duration"]) {
        Some(Format::Codecarbon)
    } else if any(|c| c.starts_with("power_consumption(k")) {
        Some(Format::Eco2ai)
    } else if all(&["window_name", "elapsed_time"])
        || all(&["time_per_epoch", "average_power"])
        || all(&["target_metric", "target_epoch"])
        || cells == ["Time", "Power"]
    {
        Some(Format::Zeus)
    } else if any(|c| super::wandb::is_sign(c.rsplit(" - ").next().unwrap_or(c))) {
        Some(Format::Wandb)
    } else if all(&["epoch", "step"]) {
        Some(Format::Lightning)
    } else if all(&["metric", "timestamp", "value", "resource_kind"]) {
        Some(Format::Alumet)
    } else if all(&["sensor", "unit", "magnitude", "timestep"]) {
        Some(Format::Perun)
    } else if all(&["Delta", "Time"]) {
        Some(Format::Energibridge)
    } else if cells.contains(&"timestamps")
        || any(|c| ["pynvml:", "rocm:", "gh:", "gc:"].iter().any(|p| c.starts_with(p)))
        || cells == ["", "0"]
    {
        Some(Format::Jpwr)
    } else if any(|c| c.starts_with("power.draw") || c.starts_with("module.power.draw"))
        || cells.first().is_some_and(|c| {
            c.get(..16).is_some_and(|c| c.contains('/') && minute(c.as_bytes()).is_some())
        })
        || (cells.contains(&"timestamp")
            && any(|c| c.starts_with("utilization.gpu") || c.starts_with("clocks.")))
    {
        Some(Format::NvidiaSmi)
    } else {
        None
    }
}

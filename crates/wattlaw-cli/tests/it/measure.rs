//! Real commands under `wattlaw measure`: what they see, what is recorded, and what survives.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at what it did not expect")]

use crate::running;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::running::limited::{LIMIT, Limited, start, until, within};
use crate::running::place::{Place, read};
use crate::running::{WATTLAW, find_program};
use serde_json::Value;

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn tell(child: &Child, signal: &str) {
    let told = Command::new("kill").args([signal, &child.id().to_string()]).finish().status;
    assert!(told.success());
}

/// What a Python program writes down; nothing where there is no Python.
fn python() -> Option<&'static str> {
    if find_program("python3").is_none() {
        println!("skipped: there is no python3");
        return None;
    }
    Some("python3")
}

#[test]
fn a_command_is_run_as_it_is_and_its_energy_recorded() {
    let place = Place::new();
    let script =
        "for i in 1 2 3; do echo out $i; echo err $i >&2; sleep 0.1; done; printf 'no end'; exit 3";
    let output = place.measure("--name loop", script).finish();
    assert_eq!(code(&output), 3);
    assert_eq!(text(&output.stdout), "out 1\nout 2\nout 3\nno end");
    assert!(text(&output.stderr).starts_with("note: ") || text(&output.stderr).contains("err 1\n"));
    let (folder, record) = place.record();
    assert!(folder.to_string_lossy().ends_with("Z-loop"), "{}", folder.display());
    assert_eq!(record["schema"], "wattlaw-record/1");
    assert_eq!(record["state"], "finished");
    assert_eq!(record["end"], serde_json::json!({"how": "exit", "code": 3}));
    let (time, energy) = (record["duration_s"].as_f64().unwrap(), &record["energies"][0]);
    assert!(time >= 0.3, "{time}");
    // 100 W as long as the command ran
    let joules = energy["energy_j"].as_f64().unwrap();
    assert!((joules - 100.0 * time).abs() < 0.01 * joules, "{joules} J in {time} s");
    assert_eq!((&energy["scope"], &energy["assumed_j"]), (&"devices".into(), &energy["energy_j"]));
    let log = fs::read_to_string(folder.join("log")).unwrap();
    for line in ["out 1\n", "err 1\n", "out 3\n", "err 3\n", "no end"] {
        assert!(log.contains(line), "{log}");
    }
    let trace = fs::read_to_string(folder.join("trace.csv")).unwrap();
    assert!(trace.lines().count() >= 4, "{trace}");
}

#[test]
fn without_a_meter_it_says_what_was_looked_for_and_runs_nothing() {
    let place = Place::new();
    let output = place.wattlaw("measure -- touch ran").finish();
    assert_eq!(code(&output), 1);
    let said = text(&output.stderr);
    assert!(said.starts_with("error: nothing can be measured: "), "{said}");
    for what in ["no-nvml", "powercap", "--assume cpu=95W", "--time-only", "wattlaw doctor"] {
        assert!(said.contains(what), "{what} in {said}");
    }
    assert!(!place.path().join("ran").exists() && place.records().is_empty());
    let output = place.wattlaw("measure --time-only -- touch ran").finish();
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    let (_, record) = place.record();
    assert_eq!(record["energies"], serde_json::json!([]));
    assert!(record["duration_s"].as_f64().unwrap() > 0.0 && place.path().join("ran").exists());
}

#[test]
fn what_cannot_be_started_ends_as_in_a_shell_and_leaves_nothing() {
    let place = Place::new();
    fs::write(place.path().join("plain"), "no program\n").unwrap();
    fs::write(place.path().join("orphan"), "#!/no/such/interpreter\n").unwrap();
    Command::new("chmod").arg("+x").arg(place.path().join("orphan")).finish();
    for (command, expected, said) in [
        ("no-such-command-at-all", 127, "no-such-command-at-all: command not found"),
        ("./no/such/file", 127, "./no/such/file: command not found"),
        ("./plain", 126, "./plain: cannot be executed: permission denied"),
        ("./orphan", 126, "./orphan: cannot be executed: the interpreter"),
    ] {
        let output =
            place.wattlaw(&format!("measure --quiet --assume cpu=100W -- {command}")).finish();
        assert_eq!(code(&output), expected, "{}", text(&output.stderr));
        let stderr = text(&output.stderr);
        assert!(stderr.starts_with("error: ") && stderr.contains(said), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        assert!(place.records().is_empty());
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_said_before_anything_runs() {
    let place = Place::new();
    fs::write(place.path().join("file"), "").unwrap();
    fs::create_dir(place.path().join("sealed")).unwrap();
    Command::new("chmod").arg("a-w").arg(place.path().join("sealed")).finish();
    let refused = |out: &str, said: &str| {
        let output = place.measure(&format!("--quiet --out {out}"), "touch ran").finish();
        assert_eq!(code(&output), 1);
        let stderr = text(&output.stderr);
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        assert!(stderr.contains(said), "{stderr}");
        assert!(!place.path().join("ran").exists());
    };
    refused("file", "file: is a file, expected a directory");
    refused("file/below", "is a file, expected a directory");
    if fs::write(place.path().join("sealed/probe"), "").is_ok() {
        println!("skipped: permissions do not hold for this user");
    } else {
        refused("sealed", "sealed: permission denied");
    }
}

#[test]
fn a_name_may_be_given_again() {
    let place = Place::new();
    for _ in 0..3 {
        assert_eq!(code(&place.measure("--name same", "true").finish()), 0);
    }
    let records = place.records();
    assert_eq!(records.len(), 3);
    for folder in &records {
        assert_eq!(read(folder)["id"], folder.file_name().unwrap().to_str().unwrap());
    }
}

#[test]
fn a_command_that_a_signal_ends() {
    let place = Place::new();
    let output = place.measure("", "echo before; kill -9 $$").finish();
    assert_eq!((code(&output), text(&output.stdout)), (137, "before\n"));
    let (_, record) = place.record();
    assert_eq!(record["end"], serde_json::json!({"how": "signal", "signal": 9}));
    assert_eq!(record["state"], "finished");
    assert!(record["energies"][0]["energy_j"].as_f64().unwrap() > 0.0);
}

#[test]
fn a_command_that_forks_is_over_when_it_ends() {
    let place = Place::new();
    let start = Instant::now();
    // the process that goes on holds the command's outputs open
    let output = place.measure("", "sleep 300 & echo $! > pid; echo over").finish();
    let took = start.elapsed();
    let pid = fs::read_to_string(place.path().join("pid")).unwrap();
    Command::new("kill").arg(pid.trim()).finish();
    assert_eq!((code(&output), text(&output.stdout)), (0, "over\n"));
    assert!(took < LIMIT, "{took:?}");
    let (_, record) = place.record();
    assert!(record["duration_s"].as_f64().unwrap() < 30.0);
    assert!(
        record["notes"].to_string().contains("a child process of the command is still running")
    );
}

#[test]
fn a_command_that_takes_too_long_is_asked_to_end() {
    let place = Place::new();
    let output = place.measure("--time-limit 300ms", "exec sleep 100").finish();
    assert_eq!(code(&output), 128 + 15);
    let (_, record) = place.record();
    assert_eq!(record["stopped"], serde_json::json!({"why": "time_limit", "limit_s": 0.3}));
    assert!(record["duration_s"].as_f64().unwrap() >= 0.3);
    // one that was quick enough, and limits that are none
    let place = Place::new();
    assert_eq!(code(&place.measure("--time-limit 1d", "true").finish()), 0);
    assert_eq!(place.record().1["stopped"], Value::Null);
    for wrong in ["0s", "500d", "soon"] {
        let output = place.measure(&format!("--time-limit {wrong}"), "true").finish();
        assert_eq!(code(&output), 2);
        assert!(
            text(&output.stderr).contains("is not a positive duration of at most one year"),
            "{wrong}"
        );
    }
}

#[test]
fn signals_are_passed_on_and_the_record_survives_them() {
    for (signal, number) in [("-TERM", 15), ("-INT", 2), ("-HUP", 1), ("-USR1", 10)] {
        // a command that ends by the signal
        let place = Place::new();
        let child = start(&mut place.measure("", "touch ready; exec sleep 300"));
        until("the command runs", || place.path().join("ready").exists());
        tell(&child, signal);
        let status = child.finish().status;
        assert_eq!(status.code(), Some(128 + number), "{signal}");
        let (_, record) = place.record();
        assert_eq!(record["end"], serde_json::json!({"how": "signal", "signal": number}));
        // and one that does something about it, in a process of its own
        let place = Place::new();
        let script = format!(
            "trap 'echo caught; exit 7' {}; touch ready; while :; do sleep 0.05; done",
            signal.trim_start_matches('-')
        );
        let child = start(place.measure("", &script).stdout(Stdio::piped()));
        until("the command runs", || place.path().join("ready").exists());
        tell(&child, signal);
        let output = child.finish();
        assert_eq!((code(&output), text(&output.stdout)), (7, "caught\n"), "{signal}");
        assert_eq!(place.record().1["state"], "finished");
    }
}

#[test]
fn signals_that_were_to_be_ignored_are_ignored() {
    let place = Place::new();
    let mut command = place.wattlaw_ignoring("HUP INT", "measure --assume cpu=100W -- sh -c");
    let child = start(command.arg("touch ready; until [ -e go ]; do sleep 0.05; done"));
    until("the command runs", || place.path().join("ready").exists());
    for signal in ["-HUP", "-INT"] {
        tell(&child, signal);
    }
    std::thread::sleep(Duration::from_millis(200));
    fs::write(place.path().join("go"), "").unwrap();
    assert_eq!(child.finish().status.code(), Some(0));
}

#[test]
fn tests_in_the_background_of_a_script_can_interrupt_what_they_start() {
    let tests = std::env::current_exe().unwrap();
    let mut again = Command::new("sh");
    again.args(["-c", "trap '' HUP INT QUIT; exec \"$@\"", "sh"]).arg(tests).args([
        "--exact",
        "measure::signals_are_passed_on_and_the_record_survives_them",
        "measure::a_signal_before_the_command_keeps_it_from_running",
        "sweep::a_sweep_that_is_interrupted_ends",
    ]);
    let output = again.finish();
    assert!(text(&output.stdout).contains("ok. 3 passed"), "{}", text(&output.stdout));
}

#[test]
fn who_reads_its_output_may_go_away() {
    let place = Place::new();
    let mut child = start(place.measure("", "exec yes").stdout(Stdio::piped()));
    let mut stdout = child.stdout.take().unwrap();
    within(LIMIT, child.id(), move || stdout.read_exact(&mut [0; 2]).unwrap());
    // as `yes | head -1`: the command learns it by SIGPIPE
    assert_eq!(child.finish().status.code(), Some(141));
    assert_eq!(place.record().1["end"], serde_json::json!({"how": "signal", "signal": 13}));
}

#[test]
fn its_outputs_may_be_left_alone() {
    let place = Place::new();
    let output = place.measure("--no-log", "echo out; echo err >&2").finish();
    assert_eq!((code(&output), text(&output.stdout)), (0, "out\n"));
    assert!(!place.record().0.join("log").exists());
}

#[test]
fn a_program_tells_windows_steps_and_its_job() {
    let Some(python) = python() else { return };
    let place = Place::new();
    let program = r#"
import json, os, time
events = open(os.environ["WATTLAW_EVENTS"], "a", buffering=1)
def tell(event, **more):
    print(json.dumps({"event": event, "t_monotonic_s": time.monotonic(), **more}), file=events)
tell("job", model={"name": "gpt2"}, workload={"seq_len": 128, "micro_batch": 4}, system={"gpu": "t4"})
tell("window_begin", name="epoch")
for i in range(4):
    tell("window_begin", name="step")
    time.sleep(0.1)
    tell("step", tokens=512)
    tell("window_end")
tell("window_end", name="epoch")
print("nonsense", file=events)
tell("moon")
fd = int(os.environ["WATTLAW_EVENTS_FD"])
os.write(fd, b'{"event": "tokens", "tokens": 100}\n')
"#;
    fs::write(place.path().join("train.py"), program).unwrap();
    let mut command = place.wattlaw("measure --assume cpu=100W --window-steps 2 --");
    let output = command.args([python, "train.py"]).finish();
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    assert_eq!(
        text(&output.stderr).matches("invalid event of the program").count(),
        2,
        "{}",
        text(&output.stderr)
    );
    let (folder, record) = place.record();
    assert_eq!((&record["steps"], &record["tokens"]), (&4.into(), &2148.0.into()));
    assert_eq!(record["job"]["model"]["name"], "gpt2");
    let windows = record["windows"].as_array().unwrap();
    let named = |name: &str| windows.iter().filter(|w| w["name"] == name).collect::<Vec<_>>();
    assert_eq!((named("epoch").len(), named("step").len()), (1, 4));
    assert_eq!((named("steps 1-2").len(), named("steps 3-4").len()), (1, 1));
    let length = |w: &Value| w["to_s"].as_f64().unwrap() - w["from_s"].as_f64().unwrap();
    for step in named("step") {
        assert_eq!(
            (&step["inside"], &step["closed"]),
            (&serde_json::json!(["epoch"]), &true.into())
        );
        // stamped by the program's own clock: the sleep, and what the machine was busy with
        assert!(length(step) >= 0.0999, "{step}");
        let joules = step["energies"][0]["energy_j"].as_f64().unwrap();
        assert!((joules - 100.0 * length(step)).abs() < 0.01 * joules, "{step}");
    }
    let (epoch, steps) = (named("epoch")[0], named("step"));
    assert_eq!((&epoch["steps"], &epoch["tokens"]), (&4.into(), &2048.0.into()));
    assert!(length(epoch) >= steps.iter().map(|w| length(w)).sum::<f64>());
    // what was told is enough for a row of a run table
    let mut report = place.wattlaw("report --format json --table runs.csv --intensity 475");
    let output = report.arg(&folder).finish();
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    let stated: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(stated["tokens_are"], "counted");
    assert!(stated["pj_per_flop"].as_f64().unwrap() > 0.0);
    let table = fs::read_to_string(place.path().join("runs.csv")).unwrap();
    assert!(
        table.contains(",gpt2,gpt2,12,768,")
            && table.contains(",t4,1,1,")
            && table.contains("cpu:assumed"),
        "{table}"
    );
}

/// Starts `wattlaw measure --attached`, and reads its first line.
fn attached(place: &Place) -> (Child, std::process::ChildStdin, BufReader<ChildStdout>, Value) {
    let mut command = place.wattlaw("measure --assume cpu=100W --quiet --attached -- train.py -x");
    let mut child = start(command.stdin(Stdio::piped()).stdout(Stdio::piped()));
    let (input, mut output) =
        (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
    let ready = line(&mut output);
    (child, input, output, ready)
}

fn line(output: &mut BufReader<ChildStdout>) -> Value {
    let mut text = String::new();
    output.read_line(&mut text).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn a_program_that_runs_already_is_measured_until_it_closes_the_input() {
    let place = Place::new();
    let (child, mut input, mut output, ready) = attached(&place);
    let (folder, events) = (ready["folder"].as_str().unwrap(), ready["events"].as_str().unwrap());
    std::thread::sleep(Duration::from_millis(300));
    input.write_all(b"?\n").unwrap();
    let so_far = line(&mut output);
    let (time, energy) =
        (so_far["duration_s"].as_f64().unwrap(), so_far["energy_j"].as_f64().unwrap());
    // 100 W, up to the last reading
    assert!(time >= 0.3 && energy > 0.0 && energy <= 100.0 * time + 0.1, "{so_far}");
    fs::write(events, "{\"event\": \"step\", \"tokens\": 64}\n").unwrap();
    input.write_all(b"3\n").unwrap();
    assert_eq!(code(&child.finish()), 3);
    let (found, record) = place.record();
    assert_eq!(found.canonicalize().unwrap().to_str().unwrap(), folder);
    assert_eq!((&record["state"], &record["steps"]), (&"finished".into(), &1.into()));
    assert_eq!(record["end"], serde_json::json!({"how": "exit", "code": 3}));
    assert_eq!(record["command"], serde_json::json!(["train.py", "-x"]));
    let (time, energy) = (&record["duration_s"], &record["energies"][0]["energy_j"]);
    let (time, energy) = (time.as_f64().unwrap(), energy.as_f64().unwrap());
    assert!((energy - 100.0 * time).abs() < 0.01 * energy, "{energy} J in {time} s");
}

#[test]
fn the_death_of_a_program_that_runs_already_leaves_a_closed_record() {
    let place = Place::new();
    let (child, input, _, _) = attached(&place);
    drop(input);
    assert_eq!(code(&child.finish()), 1);
    let (_, record) = place.record();
    assert_eq!(record["end"], serde_json::json!({"how": "unseen"}));
    assert!(record["energies"][0]["energy_j"].as_f64().unwrap() > 0.0, "{record}");
}

/// Four ranks report windows and steps by the file, each with the time at which it was made, and then one reports a burst by the
/// descriptor. `WATTLAW_BURST` is the number of its events; `./test --full` sets a million.
#[test]
fn a_burst_of_events_is_read_without_false_notes() {
    let Some(python) = python() else { return };
    let burst: u64 = std::env::var("WATTLAW_BURST").map_or(50_000, |n| n.parse().unwrap());
    let (windows, steps) = (50, burst / 500);
    let place = Place::new();
    let program = format!(
        r#"
import os, time
def tell(fd, event, name=""):
    name = name and '"name": "%s", ' % name
    os.write(fd, ('{{"event": "%s", %s"t_monotonic_s": %r}}\n' % (event, name, time.monotonic())).encode())
ranks = []
for rank in range(4):
    ranks.append(os.fork())
    if ranks[-1] == 0:
        fd = os.open(os.environ["WATTLAW_EVENTS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        for window in range({windows}):
            tell(fd, "window_begin", "epoch %d of rank %d" % (window, rank))
            for step in range({steps}):
                tell(fd, "step")
            tell(fd, "window_end", "epoch %d of rank %d" % (window, rank))
        os._exit(0)
for rank in ranks:
    os.waitpid(rank, 0)
for step in range({burst}):
    tell(int(os.environ["WATTLAW_EVENTS_FD"]), "step")
"#
    );
    fs::write(place.path().join("train.py"), program).unwrap();
    let output = place
        .wattlaw(&format!("measure --assume cpu=100W -- {python} train.py"))
        .finish_within(LIMIT + Duration::from_micros(100 * burst));
    let said = text(&output.stderr);
    assert_eq!(code(&output), 0, "{said}");
    let (folder, record) = place.record();
    assert_eq!(record["steps"], burst + 4 * windows * steps);
    // notes on the meters that this place lacks are true
    let notes: Vec<&str> =
        record["notes"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(notes.iter().all(|note| note.contains("/no-")), "{notes:?}");
    let of_ranks = record["windows"].as_array().unwrap();
    assert_eq!(of_ranks.len() as u64, 4 * windows);
    for window in of_ranks {
        let (closed, counted) = (&window["closed"], window["steps"].as_u64().unwrap());
        assert!(closed == true && counted >= steps, "{window}");
        assert!(window["energies"][0]["energy_j"].as_f64().is_some(), "{window}");
    }
    for false_note in ["invalid", "outside", "lost", "still running"] {
        assert!(!said.contains(false_note), "{said}");
    }
    let readings = fs::read_to_string(folder.join("trace.csv")).unwrap();
    let at = |line: &str| line.split(',').next().unwrap().parse::<f64>().unwrap();
    let end = readings.lines().last().map(at).unwrap();
    assert!(end >= record["duration_s"].as_f64().unwrap(), "{end} s");
}

/// The program tells steps as fast as they are read, and writes down after each hundred how many it has told, and when.
#[test]
fn whoever_is_killed_in_a_burst_loses_the_last_second_at_most() {
    let Some(python) = python() else { return };
    let place = Place::new();
    let program = r#"
import os, time
fd, told = int(os.environ["WATTLAW_EVENTS_FD"]), 0
with open("told", "w", buffering=1) as clock:
    while True:
        for _ in range(100):
            os.write(fd, ('{"event": "step", "t_monotonic_s": %r}\n' % time.monotonic()).encode())
        told += 100
        clock.write("%d %r\n" % (told, time.clock_gettime(time.CLOCK_BOOTTIME)))
"#;
    fs::write(place.path().join("train.py"), program).unwrap();
    let words = format!("measure --quiet --interval 20ms --assume cpu=100W -- {python} train.py");
    let mut child = start(&mut place.wattlaw(&words));
    let told = || fs::read_to_string(place.path().join("told")).unwrap_or_default();
    until("steps are told", || told().lines().count() > 1);
    std::thread::sleep(Duration::from_secs(3));
    child.kill().unwrap();
    child.finish();
    // the program ends where nobody reads any more
    let uptime = fs::read_to_string("/proc/uptime").unwrap();
    let gone: f64 = uptime.split(' ').next().unwrap().parse().unwrap();

    let (folder, _) = place.record();
    let output = place.wattlaw("recover").arg(&folder).finish();
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    let record = read(&folder);
    assert_eq!(record["state"], "recovered");
    let told = told();
    let whole = told.rfind('\n').map_or("", |end| &told[..end]);
    let told: Vec<(u64, f64)> = whole
        .lines()
        .map(|line| line.split_once(' ').unwrap())
        .map(|(told, at)| (told.parse().unwrap(), at.parse().unwrap()))
        .collect();
    let (_, first) = told[0];
    let kept = told.iter().rfind(|(_, at)| *at <= gone - 1.0).unwrap().0;
    let steps = record["steps"].as_u64().unwrap();
    assert!(steps >= kept, "{steps} steps of {kept} that were told a second before");
    let lost = gone - first - record["duration_s"].as_f64().unwrap();
    assert!(lost < 1.0, "{lost} s lost of {}", gone - first);
    assert!(record["energies"][0]["energy_j"].as_f64().unwrap() > 0.0, "{record}");
    let output = place.wattlaw("report").arg(&folder).finish();
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
}

#[test]
fn a_measured_energy_of_zero_is_not_called_assumed() {
    let place = Place::new();
    let script = "[[gpus]]\nuuid = 'GPU-a'\npower_w = [[0, 300]]\ncounter_update_s = 100.0\n\
                  counter_start_mj = 5000\n";
    let nvml = nvml_mock::stage(place.path(), script).unwrap();
    let output = place.wattlaw("measure -- true").env("WATTLAW_NVML", nvml).finish();
    let said = text(&output.stderr);
    assert!(said.contains("0 J (gpu)") && !said.contains("assumed,"), "{said}");
    let output = place.wattlaw("report").arg(place.record().0).finish();
    assert!(text(&output.stderr).contains("too short for its meters"), "{}", text(&output.stderr));
}

#[test]
fn the_example_of_the_manual_tells_what_it_says() {
    let Some(python) = python() else { return };
    let manual = fs::read_to_string(running::root().join("docs/how-to/measure.md")).unwrap();
    let (_, after) = manual.split_once("```python\n").unwrap();
    let place = Place::new();
    fs::write(place.path().join("train.py"), after.split_once("```").unwrap().0).unwrap();
    let output = place.wattlaw(&format!("measure --assume cpu=100W -- {python} train.py")).finish();
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    let (_, record) = place.record();
    assert_eq!((&record["steps"], &record["tokens"]), (&6.into(), &24576.0.into()));
    let windows = record["windows"].as_array().unwrap();
    assert!(windows.len() == 2 && windows.iter().all(|w| w["steps"] == 3 && w["closed"] == true));
    assert!(!record["notes"].to_string().contains("invalid event"), "{record}");
    // without wattlaw it runs too
    let alone = Command::new(python).arg("train.py").current_dir(place.path()).finish();
    assert!(alone.status.success(), "{}", text(&alone.stderr));
}

#[test]
fn lines_of_its_output_make_windows() {
    let place = Place::new();
    let script = "echo epoch 1 of 2; sleep 0.1; echo epoch 2 of 2; sleep 0.1; echo done";
    let mut command = place.wattlaw("measure --assume cpu=100W --window-pattern");
    command.args([r"(?<name>epoch \d)|(?<end>^done)", "--", "sh", "-c", script]);
    assert_eq!(text(&command.finish().stdout).lines().count(), 3);
    let (_, record) = place.record();
    let windows = record["windows"].as_array().unwrap();
    let names: Vec<_> = windows.iter().map(|w| w["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["epoch 1", "epoch 2"]);
    assert_eq!(windows[0]["to_s"], windows[1]["from_s"]);
    assert!(windows.iter().all(|w| w["closed"] == true));
}

#[test]
fn two_at_once_count_the_machine_once_and_hand_it_over() {
    let place = Place::new();
    let wait =
        |name: &str| format!("touch ready-{name}; until [ -e go-{name} ]; do sleep 0.02; done");
    let begin = |name: &str| {
        let child =
            start(place.measure(&format!("--name {name}"), &wait(name)).stderr(Stdio::piped()));
        until("it runs", || place.path().join(format!("ready-{name}")).exists());
        child
    };
    let end = |name: &str, child: Child| {
        fs::write(place.path().join(format!("go-{name}")), "").unwrap();
        let output = child.finish();
        assert_eq!(code(&output), 0);
        output
    };
    let (first, second) = (begin("first"), begin("second"));
    std::thread::sleep(Duration::from_millis(300));
    end("first", first);
    std::thread::sleep(Duration::from_millis(600));
    let second = end("second", second);
    assert!(
        text(&second.stderr).contains("this machine is already measured by"),
        "{}",
        text(&second.stderr)
    );
    let records = place.records();
    let of = |name: &str| {
        let folder = records.iter().find(|r| r.to_string_lossy().ends_with(name)).unwrap();
        (folder.clone(), read(folder))
    };
    let ((measured, holder), (folder, held)) = (of("first"), of("second"));
    assert_eq!(held["held_by"], measured.canonicalize().unwrap().to_str().unwrap());
    let joules = |record: &Value| record["energies"][0]["energy_j"].as_f64().unwrap();
    let channel = &held["channels"][0];
    let ended = held["begin_s"].as_f64().unwrap() + held["duration_s"].as_f64().unwrap();
    let counted = ended - channel["counted_from_s"].as_f64().unwrap();
    assert!((0.6..held["duration_s"].as_f64().unwrap() - 0.29).contains(&counted), "{held}");
    assert!((joules(&held) - 100.0 * counted).abs() < 1.0, "{held}");
    // the part that it does not have is said, and both together are the machine's energy
    let output = place.wattlaw("report").arg(&folder).finish();
    assert!(text(&output.stdout).contains("counts in record"), "{}", text(&output.stdout));
    let output = place.wattlaw("merge").args([&measured, &folder]).finish();
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    let merged = place.records().into_iter().find(|r| r.to_string_lossy().ends_with("-merged"));
    let merged = read(&merged.unwrap());
    assert!((joules(&merged) - joules(&holder) - joules(&held)).abs() < 1e-6, "{merged}");
    // but a device is not taken twice
    let output = place.wattlaw("merge").args([&measured, &measured]).finish();
    assert_eq!(code(&output), 1);
    assert!(
        text(&output.stderr).contains("its energy would be counted twice"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn no_other_user_can_hang_a_run() {
    let place = Place::new();
    // what others may have planted in the shared folder, and what a broken program left in the user's own
    let own = place.path().join("wattlaw");
    fs::create_dir(&own).unwrap();
    Command::new("chmod").arg("700").arg(&own).finish();
    let planted =
        ["wattlaw-election.lock", "wattlaw-assumed-cpu.lock"].map(|n| place.path().join(n));
    let left = ["election.lock", "assumed-cpu.lock"].map(|name| own.join(name));
    Command::new("mkfifo").args(planted).args(left).finish();
    let begin = Instant::now();
    let output = place.measure("", "true").finish();
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    assert!(begin.elapsed() < LIMIT);
    assert!(text(&output.stderr).contains("it is no regular file"), "{}", text(&output.stderr));
    assert!(place.record().1["energies"][0]["energy_j"].as_f64().unwrap() > 0.0);
}

#[test]
fn what_others_wrote_does_not_control_the_terminal() {
    let place = Place::new();
    let mut command = place.wattlaw("measure --assume cpu=100W -- sh -c");
    let output = command.args(["true", "--token=s3cret", "env", "HF_TOKEN=s3cret"]).finish();
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    let (folder, mut record) = place.record();
    // secrets of the command line are not in the record
    assert!(!record["command"].to_string().contains("s3cret"), "{record}");
    record["id"] = "a\u{1b}[2Jb\u{9b}31m\u{202e}".into();
    record["notes"] = serde_json::json!(["a note\u{1b}]0;title\u{7}"]);
    fs::write(folder.join("run.json"), record.to_string()).unwrap();
    for words in ["report", "report --format json", "doctor", "doctor --format json"] {
        let output = place.wattlaw(words).arg(&folder).finish();
        assert_eq!(code(&output), 0, "{words}: {}", text(&output.stderr));
        let shown = text(&output.stdout);
        let controls = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!shown.contains(controls), "{words}: {shown:?}");
    }
    // a lock file of somebody else
    let lock = place.path().join("wattlaw/assumed-cpu.lock");
    fs::write(&lock, "/runs/\u{1b}[2J\n").unwrap();
    let held = fs::File::open(&lock).unwrap();
    held.lock().unwrap();
    let output = place.measure("", "true").finish();
    assert!(
        text(&output.stderr).contains("already measured by /runs/\\u{1b}[2J;"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn two_containers_of_a_machine_count_it_once() {
    let place = Place::new();
    // each has a folder of locks of its own, so that neither knows of the other
    let begun: Vec<Child> = ["one", "two"]
        .map(|name| {
            let folder = place.path().join(name);
            fs::create_dir(&folder).unwrap();
            start(
                place
                    .measure(&format!("--quiet --name {name}"), "sleep 0.5")
                    .env("XDG_RUNTIME_DIR", folder),
            )
        })
        .into();
    begun.into_iter().for_each(|child| assert!(child.finish().status.success()));
    let records = place.records();
    let watts: f64 = 100.0;
    let longest =
        records.iter().map(|r| read(r)["duration_s"].as_f64().unwrap()).fold(0.0, f64::max);
    let output = place.wattlaw("report --format json").args(&records).finish();
    let stated: Value = serde_json::from_slice(&output.stdout).unwrap();
    let joules = stated["energy_j"].as_f64().unwrap();
    assert!(joules < 1.5 * watts * longest, "{joules} J in {longest} s");
    assert!(stated["caveats"].to_string().contains("at the same time"), "{stated}");
}

#[test]
fn a_job_of_more_gpus_than_were_measured_is_told_so() {
    let place = Place::new();
    let gpus = ["a", "b"].map(|id| {
        format!(
            "[[gpus]]\nuuid = 'GPU-{id}'\npower_w = [[0, 300]]\nname = 'NVIDIA H100 80GB HBM3'\n"
        )
    });
    let nvml = nvml_mock::stage(place.path(), &gpus.concat()).unwrap();
    let job = "[model]\nname = 'gpt2'\n[system]\ngpu = 'rtx-4090'\ngpus = 2\n";
    fs::write(place.path().join("job.toml"), job).unwrap();
    let mut command = place.wattlaw("measure --gpus 0 --job job.toml -- sleep 0.3");
    let output = command.env("WATTLAW_NVML", nvml).finish();
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    for said in ["the job has 2 GPUs, but 1 was measured", "states the GPU rtx-4090"] {
        assert!(text(&output.stderr).contains(said), "{}", text(&output.stderr));
    }
    let output = place.wattlaw("report").arg(place.record().0).finish();
    let shown = text(&output.stdout);
    assert!(shown.contains("1 × h100-sxm5-80gb") && !shown.contains("4090 |"), "{shown}");
}

#[test]
fn a_gpu_that_disappears_leaves_a_gap_and_the_run_goes_on() {
    let place = Place::new();
    let script = "[[gpus]]\nuuid = 'GPU-11111111-2222-3333-4444-555555555555'\npower_w = [[0.0, 300.0]]\nlost_s = [0.5, 1.2]\n";
    let nvml = nvml_mock::stage(place.path(), script).unwrap();
    let mut command = place.wattlaw("measure --interval 50ms -- sh -c");
    let output = command.arg("sleep 2; exit 5").env("WATTLAW_NVML", nvml).finish();
    assert_eq!(code(&output), 5, "{}", text(&output.stderr));
    let said = text(&output.stderr);
    assert!(said.contains("the run continues, and the gap is recorded"), "{said}");
    let (_, record) = place.record();
    let gpu = &record["channels"][0];
    assert_eq!(gpu["channel"]["instrument"], "counter");
    assert_eq!(record["faults"][0]["channel"], gpu["channel"]["name"]);
    assert!(gpu["failed_readings"].as_u64().unwrap() > 0, "{gpu}");
    let gap = &gpu["gaps"][0];
    assert!(gap["to_s"].as_f64().unwrap() - gap["from_s"].as_f64().unwrap() > 0.5, "{gpu}");
    assert!(gpu["covered"].as_f64().unwrap() < 0.9, "{gpu}");
    // the counter counted on: 300 W but for its steps of 100 ms at each end
    let (joules, time) =
        (gpu["energy_j"].as_f64().unwrap(), record["duration_s"].as_f64().unwrap());
    assert!((joules - 300.0 * time).abs() < 60.0, "{joules} J in {time} s");
    assert_eq!(record["energies"][0]["scope"], "gpu");
    assert!(record["energies"][0]["systematic_sd_j"].as_f64().unwrap() > 0.0);
}

#[test]
fn idle_power_is_measured_before_and_after() {
    let place = Place::new();
    let start = Instant::now();
    let output = place.measure("--idle 300ms", "true").finish();
    assert_eq!(code(&output), 0);
    assert!(start.elapsed() >= Duration::from_millis(600));
    let (_, record) = place.record();
    assert!(record["begin_s"].as_f64().unwrap() >= 0.3);
    for side in ["idle_before_w", "idle_after_w"] {
        let watts = record["channels"][0][side].as_f64().unwrap();
        assert!((watts - 100.0).abs() < 1.0, "{side}: {watts}");
    }
}

/// A job of steps that are predicted to take far less, and far more, than those of the script.
fn plan_of(place: &Place, layers: u64, hidden: u64, batch: u64) {
    let job = format!(
        "model = {{ family = 'llama', layers = {layers}, hidden_size = {hidden}, heads = 8, vocab_size = 32000 }}
         workload = {{ steps = 1000, seq_len = 512, micro_batch = {batch}, precision = 'bf16' }}
         system = {{ gpu = 'a100-sxm4-80gb', gpus = 1 }}"
    );
    fs::write(place.path().join("job.toml"), job).unwrap();
}

/// Twelve steps of about 100 ms, by the descriptor, which dates them at once.
const STEPS: &str = r#"for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 0.1; echo '{"event": "step"}' > /proc/self/fd/$WATTLAW_EVENTS_FD; done"#;

#[test]
fn a_plan_is_estimated_anew_by_the_steps_of_its_run() {
    for (layers, hidden, batch, place_of_it) in [
        (1, 256, 1, "above the predicted interval of 95 %"),
        (8, 8192, 16, "below the predicted interval"),
    ] {
        let place = Place::new();
        plan_of(&place, layers, hidden, batch);
        let output = place.measure("--plan job.toml --assume gpu=300W", STEPS).finish();
        let said = text(&output.stderr);
        assert_eq!(code(&output), 0, "{said}");
        let lines: Vec<&str> =
            said.lines().filter(|line| line.contains(" of 1,000 steps: ")).collect();
        // after six steps, and after twelve
        assert_eq!(lines.len(), 2, "{said}");
        assert!(lines[0].starts_with("note: after 6 of 1,000 steps: "), "{said}");
        for line in &lines {
            assert!(
                line.contains(place_of_it) && line.contains(" steps are left, which take "),
                "{line}"
            );
            assert!(line.contains("Wh ("), "{line}");
        }
        let (folder, record) = place.record();
        assert_eq!(record["job"]["workload"]["steps"], 1000);
        let events = fs::read_to_string(folder.join("events.jsonl")).unwrap();
        assert_eq!(events.matches("\"event\":\"note\"").count(), 2, "{events}");
        // the same steps, read by the watching program
        let watched = place
            .wattlaw(&format!(
                "top --once --interval 50ms --assume gpu=300W --job job.toml --record {}",
                folder.display()
            ))
            .finish();
        let frame = text(&watched.stdout);
        assert_eq!(code(&watched), 0, "{}", text(&watched.stderr));
        assert!(frame.contains("remaining by its steps"), "{frame}");
        assert!(
            frame.contains("after 12 of 1,000 steps: ") && frame.contains(place_of_it),
            "{frame}"
        );
    }
}

#[test]
fn a_plan_that_cannot_be_compared_is_refused_before_the_run() {
    let place = Place::new();
    plan_of(&place, 8, 256, 1);
    for (words, sentence, expected) in [
        ("--plan job.toml --job job.toml", "cannot be used with", 2),
        ("--plan none.toml", "none.toml: ", 1),
        ("--plan job.toml --heads 7", "job.toml: ", 1),
    ] {
        let output = place.measure(words, "touch ran").finish();
        let said = text(&output.stderr);
        assert!(said.contains(sentence), "{words}: {said}");
        assert_eq!(code(&output), expected, "{words}: {said}");
        assert!(!place.path().join("ran").exists());
    }
    let watched = place.wattlaw("top --once --assume gpu=300W --job job.toml --record .").finish();
    assert!(text(&watched.stderr).contains("takes the folder of a record"));
    assert_eq!(code(&watched), 1);
}

#[test]
fn a_disk_that_fills_is_told_of_and_stops_nothing() {
    let place = Place::new();
    // files may not grow beyond 8 blocks of 512 bytes, as on a disk that is full
    let wattlaw = format!(
        "trap '' XFSZ; ulimit -f 8; exec {WATTLAW} measure --interval 10ms --assume cpu=100W -- sh -c 'sleep 2; exit 4'"
    );
    let mut command = Command::new("sh");
    command
        .args(["-c", &wattlaw])
        .current_dir(place.path())
        .env("TMPDIR", place.path())
        .env("XDG_RUNTIME_DIR", place.path());
    command.env("WATTLAW_SYSFS", place.path()).env("WATTLAW_NVML", place.path().join("none"));
    let output = command.stdin(Stdio::null()).finish();
    assert_eq!(code(&output), 4, "{}", text(&output.stderr));
    let said = text(&output.stderr);
    assert_eq!(said.matches("cannot write readings; the run continues").count(), 1, "{said}");
    let (folder, record) = place.record();
    assert!(record["notes"].to_string().contains("could not be written and are lost"), "{record}");
    let trace = fs::read_to_string(folder.join("trace.csv")).unwrap();
    assert!(trace.ends_with('\n') && trace.lines().count() > 20, "{trace}");
    assert!(trace.lines().all(|line| line.split(',').count() == 10), "{trace}");
    assert!(record["energies"][0]["energy_j"].as_f64().unwrap() > 0.0);
    assert!(record["channels"][0]["covered"].as_f64().unwrap() < 0.9);
}

#[test]
fn a_record_is_closed_on_a_disk_that_is_full() {
    let place = Place::new();
    let disk = place.path().join("disk");
    fs::create_dir(&disk).unwrap();
    // a disk of its own, in a namespace of its own
    let mounted = |command: &str| {
        let script =
            format!("mount -t tmpfs -o size=768k none {0} && cd {0} && {command}", disk.display());
        let mut unshare = Command::new("unshare");
        unshare
            .args(["-rm", "sh", "-c", &script])
            .env("TMPDIR", place.path())
            .env("XDG_RUNTIME_DIR", place.path())
            .stdin(Stdio::null());
        unshare.env("WATTLAW_SYSFS", place.path()).env("WATTLAW_NVML", place.path().join("none"));
        unshare.finish()
    };
    if find_program("unshare").is_none() || !mounted("true").status.success() {
        println!("skipped: this user may not mount a disk of his own");
        return;
    }
    let fills = "sleep 0.3; cat /dev/zero > fill 2> /dev/null; sleep 2; exit 4";
    let output = mounted(&format!(
        "{{ {WATTLAW} measure --interval 10ms --assume cpu=100W -- sh -c '{fills}'; echo code $?; cat runs/*/run.json; ls -a runs/*; }}"
    ));
    let (said, shown) = (text(&output.stderr), text(&output.stdout));
    assert!(said.contains("cannot write readings; the run continues"), "{said}");
    let (shown, listed) = shown.rsplit_once("}\n").unwrap();
    let (code, json) = shown.split_once('\n').unwrap();
    assert_eq!(code, "code 4", "{said}");
    let record: Value = serde_json::from_str(&format!("{json}}}")).unwrap();
    assert_eq!(record["state"], "finished");
    // the end, which the disk did not take, is there all the same
    assert_eq!(record["end"], serde_json::json!({"how": "exit", "code": 4}));
    assert!(record["duration_s"].as_f64().unwrap() > 2.3);
    assert!(record["notes"].to_string().contains("could not be written and are lost"), "{record}");
    assert!(!listed.contains("spare"), "{listed}");
}

#[test]
fn a_signal_before_the_command_keeps_it_from_running() {
    let place = Place::new();
    let child = start(place.measure("--idle 1h --quiet", "touch ran").stderr(Stdio::piped()));
    until("the idle time is measured", || !place.records().is_empty());
    tell(&child, "-INT");
    let output = child.finish();
    assert_eq!(code(&output), 130, "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("signal 2 arrived before the command started"));
    assert!(place.records().is_empty() && !place.path().join("ran").exists());
}

#[test]
fn a_record_that_is_being_written_is_not_closed_by_others() {
    let place = Place::new();
    let child = start(&mut place.measure("", "touch ready; exec sleep 300"));
    until("the command runs", || place.path().join("ready").exists());
    let folder = place.records()[0].clone();
    let recover = || place.wattlaw("recover").arg(&folder).finish();
    let output = recover();
    assert_eq!(code(&output), 1);
    assert!(
        text(&output.stderr).contains("a running wattlaw is still writing it"),
        "{}",
        text(&output.stderr)
    );
    let output = place.wattlaw("report").arg(&folder).finish();
    assert!(text(&output.stderr).contains("is not closed"), "{}", text(&output.stderr));
    tell(&child, "-TERM");
    assert_eq!(child.finish().status.code(), Some(143));
    let before = fs::read(folder.join("run.json")).unwrap();
    assert_eq!(code(&recover()), 0);
    assert_eq!(fs::read(folder.join("run.json")).unwrap(), before);
}

/// A command that writes down the time of the system's monotonic clock every few milliseconds, for a while.
const CLOCK: &str = "i=0; while [ $i -lt 500 ]; do i=$((i+1)); read up rest < /proc/uptime; echo $up; sleep 0.01; done > clock";

/// Kills everything of a run after a while, and closes what it left.
fn killed(after: Duration) {
    let place = Place::new();
    let mut command = place.measure("--interval 20ms --quiet", &format!("echo $$ > pid; {CLOCK}"));
    let mut child = start(&mut command);
    std::thread::sleep(after);
    child.kill().unwrap();
    child.finish();
    let uptime = fs::read_to_string("/proc/uptime").unwrap();
    if let Ok(pid) = fs::read_to_string(place.path().join("pid")) {
        // the command's own process group
        let group = format!("-{}", pid.trim());
        Command::new("kill").args(["-9", "--", &group]).finish();
    }
    for folder in place.records() {
        let output = place.wattlaw("recover").arg(&folder).finish();
        assert_eq!(code(&output), 0, "after {after:?}: {}", text(&output.stderr));
        let record = read(&folder);
        assert!(["recovered", "finished"].contains(&record["state"].as_str().unwrap()), "{record}");
        let once = fs::read(folder.join("run.json")).unwrap();
        assert_eq!(code(&place.wattlaw("recover").arg(&folder).finish()), 0);
        assert_eq!(
            fs::read(folder.join("run.json")).unwrap(),
            once,
            "recovering twice changes nothing"
        );
        // what the command itself wrote down of its time until wattlaw was gone
        let clock = fs::read_to_string(place.path().join("clock")).unwrap_or_default();
        let gone: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
        let whole = clock.rfind('\n').map_or("", |end| &clock[..end]);
        let ticks: Vec<f64> =
            whole.lines().map(|t| t.parse().unwrap()).filter(|t| *t <= gone).collect();
        if let (Some(first), Some(last)) = (ticks.first(), ticks.last()) {
            let recorded = record["duration_s"].as_f64().unwrap();
            let lost = last - first - recorded;
            assert!(lost < 1.0, "after {after:?}: {lost} s lost of {}", last - first);
            let joules = record["energies"][0]["energy_j"].as_f64();
            assert!(joules.is_some(), "{record}");
        }
    }
}

#[test]
fn whoever_is_killed_loses_the_last_second_at_most() {
    let kills: u64 = std::env::var("WATTLAW_KILLS").map_or(100, |n| n.parse().unwrap());
    let threads = 8.min(kills);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                for i in (thread..kills).step_by(threads as usize) {
                    // spread over 0 to 400 ms as the golden ratio spreads, so that no moment is left out
                    let part = (i as f64 * 0.618_033_988_75).fract();
                    // most runs are short, when most is done at once; in the others more than a second could be lost
                    let after = if i % 10 == 0 { 1.0 + 2.0 * part } else { 0.4 * part };
                    killed(Duration::from_secs_f64(after));
                }
            });
        }
    });
    println!("{kills} records of killed runs were closed");
}

#[test]
fn doctor_says_what_is_wrong_with_a_record() {
    let place = Place::new();
    assert_eq!(code(&place.measure("", "exit 3").finish()), 3);
    let (folder, _) = place.record();
    let words = format!("doctor {} --format json", folder.display());
    let output = place.wattlaw(&words).finish();
    assert_eq!(code(&output), 0);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let log = &told["logs"][0];
    assert_eq!((&log["log_format"], &log["runs"]), (&Value::from("record"), &Value::from(1)));
    let notes = log["notes"].as_array().unwrap();
    let kinds: Vec<&str> = notes.iter().filter_map(|note| note["kind"].as_str()).collect();
    assert!(kinds.contains(&"ended-badly") && kinds.contains(&"assumed"), "{kinds:?}");

    fs::write(folder.join("run.json"), "{").unwrap();
    assert_eq!(code(&place.wattlaw(&words).finish()), 1);
}

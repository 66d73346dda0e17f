//! Sweeps of a job that only pretends to train: what is run, what fails, what survives, and that nothing is run twice.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at what it did not expect")]

use std::fs;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use crate::running::limited::{Limited, start, until};
use crate::running::place::{Place, read};
use serde_json::Value;

const PLAN: &str = "\
run_id,block,role,family,layers,hidden_size,seq_len,micro_batch,steps,strategy,gpu,gpus,predicted_duration_s,predicted_energy_j
first,1,reference,bert,2,128,32,4,2,,t4,1,0.1,10
wide,1,job,bert,2,256,32,4,2,ddp,t4,2,0.2,20
last,1,reference,bert,2,128,32,4,2,,t4,1,0.1,10
";

/// Says when it begins and ends, and trains two steps of `$1` seconds each.
const FAKE: &str = r#"
say() { echo "$1" >> "/dev/fd/$WATTLAW_EVENTS_FD"; }
echo "begin $WATTLAW_RUN_ID" >> begun
say '{"event":"window_begin","name":"train"}'
for step in 1 2; do sleep $1; say '{"event":"step","tokens":256}'; done
say '{"event":"window_end","name":"train"}'
"#;

fn place(plan: &str) -> Place {
    let place = Place::new();
    fs::write(place.path().join("plan.csv"), plan).unwrap();
    fs::write(place.path().join("fake.sh"), FAKE).unwrap();
    place
}

/// `wattlaw sweep run` with 100 W assumed and no waiting for a machine at rest.
fn sweep(place: &Place, words: &str, command: &[&str]) -> Command {
    let mut run = place.wattlaw("sweep run plan.csv --assume cpu=100W --settle 0s");
    run.args(words.split(' ').filter(|word| !word.is_empty())).arg("--").args(command);
    run
}

#[test]
fn a_job_that_stops_before_its_planned_steps_is_incomplete() {
    let plan: String =
        PLAN.lines().take(2).map(|line| line.replace(",4,2,,t4", ",4,200,,t4") + "\n").collect();
    let place = place(&plan);
    let output = sweep(&place, "", &fake("0.01")).finish();
    assert_eq!(code(&output), 1, "{}", told(&output));
    let status = status(&place);
    assert_eq!((&status["done"], &status["incomplete"]), (&0.into(), &1.into()), "{status}");
    let reason = status["jobs"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("2 of 200 planned steps"), "{reason}");
}

#[test]
fn the_records_of_a_sweep_are_found_wherever_they_lie() {
    let place = place(PLAN);
    assert_eq!(code(&sweep(&place, "", &fake("0.05")).finish()), 0);
    // an attempt that failed, one that was killed, a record of a node, and files that are no records
    assert_eq!(code(&place.measure("--name failed", "exit 3").finish()), 3);
    let runs = place.path().join("runs");
    assert_eq!(
        code(&place.measure("--out runs/nodes/wide/7-0 --name one", "sleep 0.05").finish()),
        0
    );
    fs::create_dir(runs.join("broken")).unwrap();
    fs::write(runs.join("broken/run.json"), "{").unwrap();
    let paths: Vec<_> = fs::read_dir(&runs).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(paths.iter().any(|path| path.ends_with("plan.csv")), "{paths:?}");
    let run = |line: &str, paths: &[std::path::PathBuf]| {
        let output = place.wattlaw(line).args(paths).finish();
        assert_eq!(code(&output), 0, "{line}: {}", told(&output));
        (String::from_utf8(output.stdout.clone()).unwrap(), told(&output))
    };
    for paths in [&[runs.clone()][..], &paths] {
        let (stated, said) = run("report --format json", paths);
        let stated: Value = serde_json::from_str(&stated).unwrap();
        assert_eq!(stated["runs"].as_array().unwrap().len(), 5, "{stated}");
        assert!(said.contains("left out") && said.contains("broken/run.json"), "{said}");
        assert!(stated["caveats"].to_string().contains("hold no readable record"), "{stated}");
        let (_, said) = run("report --table runs.csv", paths);
        assert!(said.contains("2 records were left out of the table"), "{said}");
        let table = fs::read_to_string(place.path().join("runs.csv")).unwrap();
        assert_eq!(table.lines().count(), 4, "{table}");
        let (audited, said) = run("audit --format json", paths);
        let audited: Value = serde_json::from_str(&audited).unwrap();
        assert_eq!(audited["runs"], 3, "{audited}");
        assert!(said.contains("1 records of failed commands were left out"), "{said}");
        assert!(said.contains("hold no record and were left out"), "{said}");
    }
    let (checked, said) = run(
        "doctor",
        &paths.iter().filter(|p| !p.ends_with("broken")).cloned().collect::<Vec<_>>(),
    );
    assert!(checked.contains("Z-one") && checked.contains("ended-badly"), "{checked}");
    assert!(said.contains("left out") && said.contains("plan.csv"), "{said}");
}

fn fake(seconds: &str) -> [&str; 3] {
    ["sh", "fake.sh", seconds]
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn status(place: &Place) -> Value {
    let output = place.wattlaw("sweep status --format json").finish();
    assert_eq!(code(&output), 0, "{}", told(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn begun(place: &Place) -> Vec<String> {
    let text = fs::read_to_string(place.path().join("begun")).unwrap_or_default();
    text.lines().map(|line| line.trim_start_matches("begin ").to_owned()).collect()
}

/// Folders of records; a sweep's folder has others too.
fn records(place: &Place) -> Vec<(String, Value)> {
    let folders = place.records().into_iter().filter(|path| path.join("run.json").is_file());
    folders
        .map(|path| {
            let record = read(&path);
            (record["name"].as_str().unwrap().to_owned(), record)
        })
        .collect()
}

#[test]
fn a_plan_is_run_in_its_order_and_not_again() {
    let place = place(PLAN);
    let output =
        sweep(&place, "", &["sh", "fake.sh", "0.05", "{run_id}", "{job}", "{gpus}", "{job_json}"])
            .finish();
    assert_eq!(code(&output), 0, "{}", told(&output));
    assert_eq!(begun(&place), ["first", "wide", "last"]);
    let said = told(&output);
    assert!(
        said.contains("[2/3] wide done in ") && said.contains(" J assumed; remaining: 1 job"),
        "{said}"
    );
    assert!(said.contains("3 of 3 jobs done"), "{said}");

    let jobs = records(&place);
    let (_, wide) = jobs.iter().find(|(name, _)| name == "wide").unwrap();
    let command = wide["command"].as_array().unwrap();
    assert_eq!((command[3].as_str(), command[5].as_str()), (Some("wide"), Some("2")));
    let file = fs::read_to_string(command[4].as_str().unwrap()).unwrap();
    assert!(file.contains("hidden_size = 256") && file.contains("heads = 4"), "{file}");
    let resolved = fs::read_to_string(command[6].as_str().unwrap()).unwrap();
    let resolved: Value = serde_json::from_str(&resolved).unwrap();
    assert_eq!(resolved["schema"], "wattlaw-job/1");
    assert_eq!((&resolved["model"]["heads"], &resolved["system"]["gpus"]), (&4.into(), &2.into()));

    let again = sweep(&place, "", &fake("0.05")).finish();
    assert_eq!((code(&again), begun(&place).len()), (0, 3), "{}", told(&again));

    let status = status(&place);
    assert_eq!((&status["done"], &status["remaining"]["jobs"]), (&Value::from(3), &Value::from(0)));
    let wide = &status["jobs"][1];
    let (took, energy) = (wide["duration_s"].as_f64().unwrap(), wide["energy_j"].as_f64().unwrap());
    // the window, and not the command around it
    assert!(took >= 0.1 && took < wide["command_s"].as_f64().unwrap(), "{wide}");
    assert!((energy / took - 100.0).abs() < 1.0 && wide["energy_assumed"] == true, "{wide}");
    assert!(status["reference_drift"].as_f64().unwrap() < 10.0);

    // a plan may grow
    fs::write(
        place.path().join("plan.csv"),
        format!("{PLAN}more,1,job,bert,2,64,32,4,2,,t4,1,,\n"),
    )
    .unwrap();
    let more = sweep(&place, "", &fake("0.05")).finish();
    assert_eq!((code(&more), begun(&place).len()), (0, 4), "{}", told(&more));
}

#[test]
fn records_are_runs_to_fit_on() {
    let mut plan = PLAN.to_owned();
    for (i, width) in [64, 128, 192, 256, 320, 384].into_iter().enumerate() {
        plan += &format!("more-{i},1,job,bert,{},{width},32,4,2,,t4,1,,\n", 1 + i % 3);
    }
    let place = place(&plan);
    // every second takes longer, so that there is something to fit
    let output = sweep(&place, "-q", &["sh", "-c", "sh fake.sh 0.0${#WATTLAW_RUN_ID}"]).finish();
    assert_eq!(code(&output), 0, "{}", told(&output));
    let table = place.path().join("runs.csv");
    let folders: Vec<_> =
        place.records().into_iter().filter(|p| p.join("run.json").is_file()).collect();
    let mut report = place.wattlaw("report --table runs.csv");
    assert_eq!(code(&report.args(&folders).finish()), 0);
    let fit = |runs: &str| {
        let words =
            format!("fit {runs} --law scaling --terms log_layers+log_hidden_size --format json");
        let output = place.wattlaw(&words).finish();
        assert_eq!(code(&output), 0, "{}", told(&output));
        let mut fit: Value = serde_json::from_slice(&output.stdout).unwrap();
        // what says where the runs are from
        fit.as_object_mut().unwrap().retain(|name, _| name == "coefficients" || name == "n");
        (fit, told(&output))
    };
    let (of_folder, notes) = fit("runs");
    assert_eq!(of_folder, fit(table.to_str().unwrap()).0, "the folder is the table");
    assert!(notes.contains("in 9 of 9 runs the energy is assumed"), "{notes}");
    assert!(of_folder["coefficients"].is_array(), "{of_folder}");
}

#[test]
fn what_fails_is_told_and_the_sweep_goes_on() {
    let place = place(PLAN);
    let script = r#"case $WATTLAW_RUN_ID in
        first) echo "RuntimeError: CUDA out of memory. Tried to allocate 2 GiB" >&2; exit 1;;
        wide) exit 0;;
        *) sh fake.sh 0.02;; esac"#;
    let output = sweep(&place, "", &["sh", "-c", script]).finish();
    assert_eq!(code(&output), 1);
    assert!(
        told(&output).contains("first failed: exit 1: RuntimeError: CUDA out of memory"),
        "{}",
        told(&output)
    );
    assert!(told(&output).contains("2 jobs failed"), "{}", told(&output));
    let jobs = status(&place)["jobs"].clone();
    assert_eq!(
        (&jobs[0]["status"], &jobs[1]["status"], &jobs[2]["status"]),
        (&"failed".into(), &"failed".into(), &Value::from("done"))
    );
    assert!(jobs[1]["reason"].as_str().unwrap().contains("reported no steps"), "{jobs}");
    // what failed is left alone until it is asked for
    assert_eq!(code(&sweep(&place, "-q", &fake("0.02")).finish()), 0);
    assert_eq!(status(&place)["failed"], 2);
    assert_eq!(code(&sweep(&place, "-q --retry-failed", &fake("0.02")).finish()), 0);
    let status = status(&place);
    assert_eq!(
        (&status["done"], &status["jobs"][0]["attempts"]),
        (&Value::from(3), &Value::from(2))
    );
}

#[test]
fn one_that_hangs_is_ended() {
    let place = place(PLAN);
    let script = "[ $WATTLAW_RUN_ID = wide ] && sleep 100; sh fake.sh 0.02";
    let output = sweep(&place, "--time-limit 500ms", &["sh", "-c", script]).finish();
    assert_eq!(code(&output), 1);
    assert!(told(&output).contains("wide failed: exceeded the time limit of"), "{}", told(&output));
    assert_eq!(status(&place)["done"], 2);
}

#[test]
fn jobs_that_all_fail_are_not_what_is_wrong() {
    let place = place(&format!("{PLAN}more,1,job,bert,2,64,32,4,2,,t4,1,,\n"));
    let output =
        sweep(&place, "", &["sh", "-c", "echo ModuleNotFoundError: No module named torch; exit 1"]);
    let output = { output }.finish();
    assert_eq!((code(&output), status(&place)["waiting"].clone()), (1, Value::from(1)));
    let said = told(&output);
    let last = said.lines().last().unwrap();
    assert!(
        last.contains("the first 3 jobs failed") && last.contains("No module named torch"),
        "{last}"
    );
}

#[test]
fn two_sweeps_on_one_folder_are_one() {
    let place = place(PLAN);
    let first = start(&mut sweep(&place, "-q", &fake("0.3")));
    until("the first job runs", || !begun(&place).is_empty());
    let second = sweep(&place, "", &fake("0.02")).finish();
    assert_eq!(code(&second), 1);
    assert!(
        told(&second).contains("another `wattlaw sweep run` is using this folder"),
        "{}",
        told(&second)
    );
    assert!(first.finish().status.success());
    assert_eq!(begun(&place), ["first", "wide", "last"]);
}

#[test]
fn jobs_that_are_run_one_by_one_are_each_run_once() {
    let place = place(PLAN);
    // two tasks a job, as of a queue that gave one out twice
    let tasks: Vec<Child> = ["first", "wide", "last", "first", "wide", "last"]
        .map(|job| {
            let mut command = sweep(&place, &format!("-q --only {job}"), &fake("0.2"));
            // the processors' assumed power is one device; each task has a machine of its own
            let own = place.path().join(format!("tmp-{}", rand(job)));
            fs::create_dir_all(&own).unwrap();
            start(command.env("XDG_RUNTIME_DIR", own))
        })
        .into_iter()
        .collect();
    for task in tasks {
        assert!(task.finish().status.success());
    }
    let mut once = begun(&place);
    once.sort();
    assert_eq!(once, ["first", "last", "wide"]);
    assert_eq!(status(&place)["done"], 3);
    let unknown = sweep(&place, "--only other", &fake("0.02")).finish();
    assert_eq!(
        (code(&unknown), told(&unknown)),
        (2, "error: --only: plan.csv has no job other\n".into())
    );
}

/// A number that is another each time.
fn rand(word: &str) -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{word}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

#[test]
fn what_cannot_be_run_is_one_sentence_and_nothing_is_begun() {
    let refused = |place: &Place, words: &str, command: &[&str]| {
        let output = sweep(place, words, command).finish();
        let said = told(&output);
        let last = said.lines().last().unwrap().to_owned();
        assert_eq!(code(&output), 1, "{said}");
        assert!(begun(place).is_empty());
        last
    };
    let there = place(PLAN);
    assert!(
        refused(&there, "", &["no-such-program"]).contains("no-such-program: command not found")
    );
    let empty = there.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let mut bare = there.wattlaw("sweep run plan.csv --time-only");
    let output = bare.env("PATH", &empty).finish();
    assert!(
        told(&output)
            .contains("torchrun: command not found; install the trainer with `pip install"),
        "{}",
        told(&output)
    );
    let mut unmetered = there.wattlaw("sweep run plan.csv --settle 0s -- sh fake.sh 0.01");
    assert!(told(&unmetered.finish()).contains("nothing can be measured"));
    assert!(!there.path().join("runs").exists(), "nothing was made");

    for (plan, said) in [
        (
            PLAN.replace("bert,2,256", "bert,2,250"),
            "job wide: heads is 3, but it must divide hidden_size 250",
        ),
        (PLAN.replace("wide", "first"), "plan.csv:3: column `run_id` is `first`, also in line 2"),
        (PLAN.replace("layers", "layer"), "plan.csv:1: unknown column `layer`"),
        (PLAN.replace(",4,2,ddp,t4,2,", ",4,2,ddp,t4,16,"), "job wide needs 2 nodes"),
        (PLAN.replace(",t4,2,", ",t5,2,"), "job wide: unknown GPU `t5`"),
        (PLAN.lines().next().unwrap().to_owned(), "the plan has no jobs"),
        (String::new(), "plan.csv"),
    ] {
        let there = place(&plan);
        let last = refused(&there, "", &fake("0.01"));
        assert!(last.contains(said), "{said}: {last}");
    }
}

#[test]
fn runs_of_another_plan_are_left_alone() {
    let place = place(PLAN);
    assert_eq!(code(&sweep(&place, "-q", &fake("0.01")).finish()), 0);
    fs::write(place.path().join("plan.csv"), PLAN.replace("256", "512")).unwrap();
    let other = sweep(&place, "", &fake("0.01")).finish();
    assert_eq!((code(&other), begun(&place).len()), (1, 3));
    assert!(
        told(&other).contains("of another plan: its job wide is a different job in this plan"),
        "{}",
        told(&other)
    );
    // a record that no sweep made
    let measured = place.wattlaw("measure -q --time-only --out more --name wide -- true").finish();
    assert_eq!(code(&measured), 0);
    let strange = sweep(&place, "--out more", &fake("0.01")).finish();
    assert_eq!(code(&strange), 1);
    assert!(told(&strange).contains("has the name of the plan's job wide"), "{}", told(&strange));
    let none = place.wattlaw("sweep status elsewhere").finish();
    assert_eq!(code(&none), 1);
    assert!(told(&none).contains("no plan.csv"), "{}", told(&none));
}

/// How a sweep is stopped in the middle.
#[derive(Debug, Clone, Copy)]
enum Stop {
    /// It is told to end.
    Told(&'static str),
    /// It is killed, and what measures goes on.
    Killed,
    /// It is killed with what measures, and the job goes on by itself.
    AllKilled,
}

fn stop(child: &Child, how: Stop) {
    let kill = |signal: &str, pid: &str| {
        Command::new("kill").args([signal, pid]).finish();
    };
    let pid = child.id().to_string();
    match how {
        Stop::Told(signal) => kill(signal, &pid),
        Stop::Killed => kill("-KILL", &pid),
        Stop::AllKilled => {
            // children are listed by the thread that started them, which is the first
            let list = format!("/proc/{pid}/task/{pid}/children");
            let children = fs::read_to_string(list).unwrap_or_default();
            kill("-KILL", &pid);
            children.split_whitespace().for_each(|child| kill("-KILL", child));
        }
    }
}

/// A sweep that is stopped `after` a time and taken up again has run every job to its end once.
fn interrupted(how: Stop, after: Duration) {
    let place = place(PLAN);
    let child = start(sweep(&place, "-q", &fake("0.03")).stderr(Stdio::null()));
    std::thread::sleep(after);
    stop(&child, how);
    child.finish();
    let output = sweep(&place, "", &fake("0.03")).finish();
    let context = || format!("{how:?} after {after:?}: {}", told(&output));
    assert_eq!(code(&output), 0, "{}", context());

    let status = status(&place);
    assert_eq!(status["done"], 3, "{}", context());
    let records = records(&place);
    for job in ["first", "wide", "last"] {
        let of_job: Vec<&Value> =
            records.iter().filter(|(name, _)| name == job).map(|(_, r)| r).collect();
        let well: Vec<bool> =
            of_job.iter().map(|r| r["end"]["code"] == 0 && r["steps"] == 2).collect();
        // it ended well once, and was not begun again after that
        assert_eq!(well.iter().filter(|done| **done).count(), 1, "{job}: {of_job:?} {}", context());
        assert_eq!(well.last(), Some(&true), "{job}: {}", context());
        assert!(of_job.iter().all(|r| r["state"] != "running"), "{job}: {}", context());
        let begins = begun(&place).iter().filter(|name| *name == job).count();
        assert!(
            (1..=2).contains(&begins) && begins <= of_job.len(),
            "{job}: {begins} {}",
            context()
        );
    }
    assert_eq!(begun(&place).iter().filter(|name| *name == "first").count().min(1), 1);
}

#[test]
fn a_sweep_that_is_interrupted_ends() {
    let place = place(PLAN);
    let child = start(&mut sweep(&place, "-q", &fake("60")));
    until("the first job runs", || !begun(&place).is_empty());
    stop(&child, Stop::Told("-INT"));
    assert_eq!(child.finish().status.code(), Some(1));
    assert_eq!(begun(&place), ["first"]);
}

#[test]
fn an_interrupt_that_was_to_be_ignored_is_ignored() {
    let place = place(PLAN);
    let words = "sweep run plan.csv -q --assume cpu=100W --settle 0s --";
    let child = start(place.wattlaw_ignoring("INT", words).args(fake("0.2")));
    until("the first job runs", || !begun(&place).is_empty());
    stop(&child, Stop::Told("-INT"));
    assert_eq!(child.finish().status.code(), Some(0));
    assert_eq!(begun(&place), ["first", "wide", "last"]);
}

/// So many sweeps are stopped; `WATTLAW_SWEEPS` says how many more.
#[test]
fn sweeps_that_are_stopped_lose_nothing_and_repeat_nothing() {
    let sweeps: u64 = std::env::var("WATTLAW_SWEEPS").map_or(50, |n| n.parse().unwrap());
    let ways = [Stop::Told("-INT"), Stop::Killed, Stop::AllKilled, Stop::Told("-TERM")];
    let threads = 4.min(sweeps);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                for i in (thread..sweeps).step_by(threads as usize) {
                    // spread over the sweep as the golden ratio spreads, so that no moment is left out
                    let part = (i as f64 * 0.618_033_988_75).fract();
                    let way = ways[(i / threads) as usize % ways.len()];
                    interrupted(way, Duration::from_secs_f64(0.02 + 0.9 * part));
                }
            });
        }
    });
    println!("{sweeps} sweeps were stopped and taken up again");
}

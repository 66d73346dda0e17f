//! `wattlaw doctor` and `wattlaw top` on machines that the tests make up.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::running::limited::{LIMIT, Limited, start, within};
use crate::running::{Ran, WATTLAW, find_program, root};
use serde_json::Value;
use tempfile::TempDir;

const GPUS: &str = "[[gpus]]\nuuid = \"GPU-a\"\npower_w = [[0, 300]]\nthrottle_reasons = 4\n\
                    [[gpus]]\nuuid = \"GPU-b\"\npower_w = [[0, 100]]\nmig = true\n";

/// A machine with two GPUs and a CPU.
fn machine() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    nvml_mock::stage(folder.path(), GPUS).unwrap();
    let zone = folder.path().join("sys/class/powercap/intel-rapl:0");
    fs::create_dir_all(&zone).unwrap();
    for (file, text) in
        [("name", "package-0"), ("energy_uj", "1"), ("max_energy_range_uj", "1000000000")]
    {
        fs::write(zone.join(file), text).unwrap();
    }
    folder
}

fn on(machine: &Path, line: &str) -> Ran {
    Command::new(WATTLAW)
        .args(line.split(' '))
        .current_dir(root())
        .env("WATTLAW_NVML", machine.join("libnvidia-ml.so.1"))
        .env("WATTLAW_SYSFS", machine.join("sys"))
        .env_remove("CUDA_VISIBLE_DEVICES")
        .finish()
        .into()
}

#[test]
fn doctor_says_what_a_machine_offers() {
    let machine = machine();
    let ran = on(machine.path(), "doctor --format json");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let found: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(found["schema"], "wattlaw-doctor/1");
    let meters = found["meters"].as_array().unwrap();
    let families: Vec<_> =
        meters.iter().map(|m| (m["family"].as_str().unwrap(), m["available"] == true)).collect();
    assert_eq!(families, [("nvml", true), ("powercap", true), ("hwmon", false)]);
    let gpu = &meters[0]["channels"][0];
    assert_eq!((gpu["name"].as_str(), gpu["instrument"].as_str()), (Some("gpu0"), Some("counter")));
    assert_eq!((gpu["update_s"].as_f64(), gpu["systematic"].as_f64()), (Some(0.1), Some(0.05)));
    let table = on(machine.path(), "doctor");
    for said in ["gpu0", "cpu0", "CPU package", "energy counter", "(MIG)", "5.00 %"] {
        assert!(table.stdout.contains(said), "{said} is not in\n{}", table.stdout);
    }
    assert_eq!(on(machine.path(), "doctor --gpus 1").stdout.matches("GPU board").count(), 1);
}

#[test]
fn doctor_says_how_to_get_what_a_machine_lacks() {
    let nothing = tempfile::tempdir().unwrap();
    let ran = on(nothing.path(), "doctor");
    assert_eq!(ran.code, 0);
    for said in ["no readable meter", "--assume", "install NVIDIA's driver", "modprobe"] {
        assert!(ran.stdout.contains(said), "{said} is not in\n{}", ran.stdout);
    }
    let refused = on(nothing.path(), "doctor --gpus 0");
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("no GPU can be measured"), "{}", refused.stderr);
    assert_eq!(on(nothing.path(), "doctor --gpus gpu0").code, 2);
}

#[test]
fn top_prints_a_frame() {
    let machine = machine();
    let ran =
        on(machine.path(), "top --once --interval 50ms --assume dram=20W --job examples/job.toml");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(!ran.stdout.contains('\u{1b}'), "a script reads no colours");
    let line = |start: &str| {
        let found = ran.stdout.lines().find(|line| line.starts_with(start));
        found.unwrap_or_else(|| panic!("no {start} in\n{}", ran.stdout)).to_owned()
    };
    assert!(line("gpu0").contains("300 W") && line("gpu0").contains("power cap"));
    assert!(line("GPUs").contains("400 W"));
    assert!(line("assumed-dram").contains("assumed"));
    for row in ["predicted", "measured", "remaining"] {
        line(row);
    }
    // what was assumed of the memory is outside the scope of the prediction
    assert!(ran.stdout.contains("prediction of scope gpu"), "{}", ran.stdout);
    assert!(ran.stderr.contains("(MIG)"), "{}", ran.stderr);
}

#[test]
fn top_refuses_what_it_cannot_show() {
    let machine = machine();
    let ran = on(machine.path(), "top");
    assert_eq!((ran.code, ran.stderr.contains("--once")), (2, true), "{}", ran.stderr);
    assert_eq!(on(machine.path(), "top --once --interval 5ms").code, 2);
    assert_eq!(on(machine.path(), "top --once --assume fan=5W").code, 2);
    assert_eq!(on(machine.path(), "top --once --job nowhere.toml").code, 1);
    let nothing = tempfile::tempdir().unwrap();
    let ran = on(nothing.path(), "top --once");
    assert_eq!((ran.code, ran.stderr.contains("no meter to show")), (1, true), "{}", ran.stderr);
}

/// What `wattlaw top` writes to a terminal in which a key is pressed, and whether it ended well.
fn in_terminal(machine: &Path, key: &[u8]) -> Option<(String, bool)> {
    let command = format!("{WATTLAW} top --interval 20ms");
    find_program("script")?;
    let mut script = Command::new("script");
    script
        .args(["-qec", &command, "/dev/null"])
        .env("WATTLAW_NVML", machine.join("libnvidia-ml.so.1"))
        .env("WATTLAW_SYSFS", machine.join("sys"))
        .env("NO_COLOR", "1")
        .env("TERM", "xterm")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = start(&mut script);
    let (mut keys, mut screen) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let key = key.to_owned();
    let shown = within(LIMIT, child.id(), move || {
        let (mut shown, mut some) = (Vec::new(), [0; 4096]);
        while !String::from_utf8_lossy(&shown).contains("press q to quit") {
            let read = screen.read(&mut some).unwrap();
            assert!(read > 0, "it ended by itself: {}", String::from_utf8_lossy(&shown));
            shown.extend(&some[..read]);
        }
        keys.write_all(&key).unwrap();
        screen.read_to_end(&mut shown).unwrap();
        shown
    });
    let ended = child.finish().status.success();
    Some((String::from_utf8_lossy(&shown).into_owned(), ended))
}

#[test]
fn top_gives_the_terminal_back() {
    let machine = machine();
    for key in [&b"q"[..], &b"\x03"[..]] {
        let Some((shown, ended)) = in_terminal(machine.path(), key) else {
            println!("skipped: `script`, which makes a terminal, is not installed");
            return;
        };
        assert!(ended, "{key:?}: {shown}");
        let place =
            |sequence: &str| shown.find(sequence).unwrap_or_else(|| panic!("no {sequence:?}"));
        assert!(place("\u{1b}[?1049h") < place("gpu0"), "a screen of its own");
        assert!(
            place("gpu0") < place("\u{1b}[?1049l") && shown.contains("\u{1b}[?25h"),
            "given back"
        );
        // NO_COLOR: nothing is bold
        assert!(!shown.contains("\u{1b}[1m"), "{shown}");
    }
}

#[test]
fn auto_takes_the_gpus_of_this_machine_and_says_that_they_were_measured() {
    let folder = tempfile::tempdir().unwrap();
    let gpu = |uuid: &str, name: &str| {
        format!(
            "[[gpus]]\nuuid = \"{uuid}\"\nname = \"{name}\"\npower_w = [[0, 100]]\nlimit_w = 250\n"
        )
    };
    let line =
        "predict --model gpt2 --gpu auto --seq-len 1k --steps 10 --micro-batch 1 --format json";
    let a100 = "NVIDIA A100-SXM4-40GB";
    nvml_mock::stage(folder.path(), &(gpu("GPU-a", a100) + &gpu("GPU-b", a100))).unwrap();
    let ran = on(folder.path(), line);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let answer: Value = serde_json::from_str(&ran.stdout).unwrap();
    let system = &answer["job"]["system"];
    assert_eq!(system["gpu"], "a100-sxm4-40gb");
    assert_eq!((&system["gpus"], &system["power_limit_w"]), (&2.into(), &250.0.into()));
    for column in ["gpu", "gpus", "power_limit_w"] {
        assert_eq!(answer["origin"][column], "measured", "{column}");
    }
    // without NVLinks they meet over PCIe, whose lanes here are those of the catalogue
    assert_eq!((&system["link"], &answer["origin"]["link"]), (&"pcie".into(), &"measured".into()));
    let rate = system["link_gb_per_s"].as_f64().unwrap();
    assert!((rate - 2.0 * 16.0 * 1.969).abs() < 0.01, "{rate}");
    let one = on(folder.path(), &line.replace("auto", "auto --gpus 1 --power-limit 300"));
    let answer: Value = serde_json::from_str(&one.stdout).unwrap();
    assert_eq!(answer["job"]["system"]["gpus"], 1);
    assert_eq!(answer["origin"]["power_limit_w"], "flag");

    nvml_mock::stage(folder.path(), &(gpu("GPU-a", a100) + &gpu("GPU-b", "Tesla T4"))).unwrap();
    let refused = on(folder.path(), line);
    assert!(refused.stderr.contains("several models"), "{}", refused.stderr);
    nvml_mock::stage(folder.path(), &gpu("GPU-a", "NVIDIA A999")).unwrap();
    let refused = on(folder.path(), line);
    assert!(refused.stderr.contains("`NVIDIA A999`, which is no GPU"), "{}", refused.stderr);
    fs::remove_file(folder.path().join("libnvidia-ml.so.1")).unwrap();
    let refused = on(folder.path(), line);
    assert!(refused.stderr.contains("--gpu auto found no GPU"), "{}", refused.stderr);
}

/// What a node of four GPUs is told to have, whose own link is NVLink of 600 GB/s.
#[test]
fn auto_takes_the_links_between_the_gpus() {
    let machine = |links: [&str; 4]| {
        let folder = tempfile::tempdir().unwrap();
        let gpu = |(index, link): (usize, &&str)| {
            format!(
                "[[gpus]]\nuuid = \"GPU-{index}\"\nname = \"NVIDIA A100-SXM4-80GB\"\npower_w = [[0, 100]]\n{link}\n"
            )
        };
        let script: String = links.iter().enumerate().map(gpu).collect();
        nvml_mock::stage(folder.path(), &script).unwrap();
        let line =
            "predict --model gpt2 --gpu auto --seq-len 1k --steps 10 --micro-batch 1 --format json";
        let ran = on(folder.path(), line);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let answer: Value = serde_json::from_str(&ran.stdout).unwrap();
        let system = &answer["job"]["system"];
        let rate = system["link_gb_per_s"].as_f64().unwrap();
        (system["link"].as_str().unwrap().to_owned(), (rate * 10.0).round() / 10.0)
    };
    let nvlink = "nvlinks = 12";
    assert_eq!(machine([nvlink; 4]), ("nvlink".to_owned(), 600.0));
    // the driver states the rate of the line, not that of the data
    assert_eq!(machine(["nvlinks = 12\nnvlink_mb_per_s = 26562"; 4]), ("nvlink".to_owned(), 600.0));
    // a GPU with a link that is down
    assert_eq!(machine([nvlink, nvlink, nvlink, "nvlinks = 11"]), ("nvlink".to_owned(), 550.0));
    // two bridged pairs: between them is PCIe, here with eight lanes of generation 3
    let pair = ["nvlinks = 12", "nvlinks = 12\nnvlink_group = 1\npcie = [3, 8]"];
    assert_eq!(machine([pair[0], pair[0], pair[1], pair[1]]), ("pcie".to_owned(), 15.8));
    assert_eq!(machine([nvlink, nvlink, nvlink, ""]).0, "pcie");
}

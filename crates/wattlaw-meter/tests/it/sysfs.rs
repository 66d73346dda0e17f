//! CPUs, memory and AMD's GPUs by trees of files like those of the Linux kernel.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::cell::Cell;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use approx::assert_relative_eq;
use tempfile::TempDir;

use wattlaw::base::units::Watts;
use wattlaw::record::{Channel, Component, Instrument, Sample};
use wattlaw_meter::machine::Options;
use wattlaw_meter::meter::Meter;
use wattlaw_meter::{hwmon, machine, powercap};

/// Writes files, each a path and what is in it.
fn write(root: &Path, files: &[(&str, &str)]) {
    for (path, text) in files {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("{text}\n")).unwrap();
    }
}

/// Two packages with memory, cores and a platform counter, as a two-socket server has them.
fn server() -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for (zone, name, energy) in [
        ("intel-rapl:0", "package-0", "262143000000"),
        ("intel-rapl:0:0", "core", "1"),
        ("intel-rapl:0:1", "dram", "5000000"),
        ("intel-rapl:1", "package-1", "7000000"),
        ("intel-rapl:1:0", "dram", "0"),
        ("intel-rapl:2", "psys", "9000000"),
        // the same package once more, by another way
        ("intel-rapl-mmio:0", "package-0", "262143000000"),
    ] {
        let zone = format!("class/powercap/{zone}");
        write(
            root.path(),
            &[
                (&format!("{zone}/name"), name),
                (&format!("{zone}/energy_uj"), energy),
                (&format!("{zone}/max_energy_range_uj"), "262143328850"),
            ],
        );
    }
    write(root.path(), &[("class/powercap/intel-rapl/enabled", "1")]);
    root
}

fn joules(meter: &mut Box<dyn Meter>) -> Vec<f64> {
    meter.read().into_iter().map(|reading| reading.unwrap().energy.unwrap().value()).collect()
}

fn names(channels: &[Channel]) -> Vec<(&str, Component)> {
    channels.iter().map(|channel| (channel.name.as_str(), channel.component)).collect()
}

/// A clock that is five minutes later each time it is read: within them a package can draw as much as its counter holds.
fn five_minutes_later() -> Instant {
    thread_local!(static MINUTES: Cell<u64> = const { Cell::new(0) });
    static START: OnceLock<Instant> = OnceLock::new();
    let minutes = MINUTES.replace(MINUTES.get() + 5);
    *START.get_or_init(Instant::now) + Duration::from_secs(60 * minutes)
}

#[test]
fn a_counter_that_is_reset_is_no_wrap_and_is_said() {
    let root = server();
    let zone = "class/powercap/intel-rapl:1/energy_uj";
    write(root.path(), &[(zone, "50000000000")]);
    let mut meter = powercap::open(root.path(), Instant::now).meter.unwrap();
    meter.read();
    write(root.path(), &[(zone, "50300000000")]);
    assert_eq!(joules(&mut meter)[1], 300.0);
    // the machine was suspended: as a wrap, these 100 J would be 212 kJ, or 59 Wh
    write(root.path(), &[(zone, "100000000")]);
    let fault = meter.read()[1].clone().unwrap_err().to_string();
    assert!(fault.starts_with("cpu1: its counter was reset"), "{fault}");
    write(root.path(), &[(zone, "101000000")]);
    assert_eq!(joules(&mut meter)[1], 401.0);
}

#[test]
fn each_package_is_counted_once_and_wraps_are_made_good() {
    let root = server();
    let mut found = powercap::open(root.path(), five_minutes_later);
    assert_eq!(
        names(found.channels()),
        [
            ("cpu0", Component::Cpu),
            ("cpu1", Component::Cpu),
            ("psys", Component::Node),
            ("dram0", Component::Dram),
            ("dram1", Component::Dram),
        ]
    );
    assert!(found.notes.iter().any(|note| note.contains("never added")), "{:?}", found.notes);
    let meter = found.meter.as_mut().unwrap();
    assert_eq!(joules(meter), [0.0; 5]);
    // package 0 wraps at 262143.328850 J, twice over the run
    let zone = "class/powercap/intel-rapl:0/energy_uj";
    for (raw, expected_j) in
        [("671150", 1.0), ("262143000000", 262_143.328850), ("671150", 262_144.328850)]
    {
        write(root.path(), &[(zone, raw)]);
        assert_relative_eq!(joules(meter)[0], expected_j, epsilon = 1e-6);
    }
    write(root.path(), &[("class/powercap/intel-rapl:1/energy_uj", "7500000")]);
    assert_eq!(joules(meter)[1], 0.5);
}

#[test]
fn a_counter_that_fails_leaves_the_others() {
    let root = server();
    let mut meter = powercap::open(root.path(), Instant::now).meter.unwrap();
    meter.read();
    write(root.path(), &[("class/powercap/intel-rapl:1/energy_uj", "what")]);
    let read = meter.read();
    assert_eq!(read.iter().filter(|reading| reading.is_ok()).count(), 4);
    assert_eq!(
        read[1].as_ref().unwrap_err().to_string(),
        "cpu1: the kernel returned `what`, which is not a number"
    );
}

#[test]
fn what_only_root_may_read_is_said_with_its_remedy() {
    let root = server();
    let energy = root.path().join("class/powercap/intel-rapl:0/energy_uj");
    fs::set_permissions(&energy, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read(&energy).is_ok() {
        // this user is root, whom no permission keeps out: nobody is asked instead
        let test = ["--exact", "sysfs::what_only_root_may_read_is_said_with_its_remedy"];
        #[allow(clippy::disallowed_methods, reason = "`timeout` ends it")]
        let nobody = Command::new("timeout")
            .args(["--kill-after=5", "60"])
            .arg(std::env::current_exe().unwrap())
            .args(test)
            .env("TMPDIR", "/tmp")
            .uid(65534)
            .gid(65534)
            .status();
        match nobody {
            Ok(status) => assert!(status.success()),
            Err(error) => println!("skipped: this test cannot be run as nobody: {error}"),
        }
        return;
    }
    let found = powercap::open(root.path(), Instant::now);
    assert_eq!(found.channels().len(), 4);
    assert!(
        found.notes.iter().any(|note| note.contains("cpu0 is not measured")),
        "{:?}",
        found.notes
    );
    assert!(found.notes.iter().any(|note| note.contains("sudo chmod a+r")), "{:?}", found.notes);
}

#[test]
fn a_machine_without_rapl_says_what_was_looked_for() {
    let root = tempfile::tempdir().unwrap();
    let found = powercap::open(root.path(), Instant::now);
    assert!(found.meter.is_none());
    let absence = found.absence.unwrap();
    assert!(
        absence.contains("class/powercap has no RAPL") && absence.contains("modprobe"),
        "{absence}"
    );
}

#[test]
fn amd_gpus_are_read_by_counter_or_power() {
    let root = tempfile::tempdir().unwrap();
    write(
        root.path(),
        &[
            ("class/hwmon/hwmon0/name", "nvme"),
            // an MI200: averaged power and a counter
            ("class/hwmon/hwmon2/name", "amdgpu"),
            ("class/hwmon/hwmon2/energy1_input", "1000000"),
            ("class/hwmon/hwmon2/power1_average", "210000000"),
            ("class/hwmon/hwmon2/power1_cap", "300000000"),
            ("class/hwmon/hwmon2/temp1_input", "54000"),
            ("class/hwmon/hwmon2/freq1_input", "1700000000"),
            ("class/hwmon/hwmon2/freq2_input", "1600000000"),
            ("class/hwmon/hwmon2/device/gpu_busy_percent", "99"),
            ("class/hwmon/hwmon2/device/unique_id", "d1b2"),
            // an RDNA 3: the moment's power
            ("class/hwmon/hwmon10/name", "amdgpu"),
            ("class/hwmon/hwmon10/power1_input", "80000000"),
            // a second die, which tells nothing
            ("class/hwmon/hwmon11/name", "amdgpu"),
        ],
    );
    let mut found = hwmon::open(root.path(), None, true, Instant::now).unwrap();
    assert_eq!(names(found.channels()), [("amdgpu0", Component::Gpu), ("amdgpu1", Component::Gpu)]);
    assert_eq!(found.channels()[0].device, "GPU-d1b2");
    assert_eq!(found.channels()[0].instrument, Instrument::Counter);
    assert_eq!(found.channels()[1].instrument, Instrument::Power);
    assert!(found.notes[0].contains("amdgpu2 is not measured"), "{:?}", found.notes);
    let meter = found.meter.as_mut().unwrap();
    let first: Sample = meter.read().remove(0).unwrap();
    assert_eq!(
        (first.power, first.power_limit),
        (Some(Watts::new(210.0)), Some(Watts::new(300.0)))
    );
    assert_eq!((first.temperature_c, first.utilization), (Some(54.0), Some(0.99)));
    assert_eq!((first.sm_clock_mhz, first.memory_clock_mhz), (Some(1700.0), Some(1600.0)));
    write(root.path(), &[("class/hwmon/hwmon2/energy1_input", "3500000")]);
    let second = meter.read();
    assert_eq!(second[0].as_ref().unwrap().energy.unwrap().value(), 2.5);
    assert_eq!(second[1].as_ref().unwrap().power, Some(Watts::new(80.0)));
    // one of them is asked for
    let selection = "1".parse().unwrap();
    let one = hwmon::open(root.path(), Some(&selection), true, Instant::now).unwrap();
    assert_eq!(names(one.channels()), [("amdgpu1", Component::Gpu)]);
    let selection = "GPU-zz".parse().unwrap();
    assert!(hwmon::open(root.path(), Some(&selection), true, Instant::now).is_err());
}

fn epyc(root: &Path) {
    write(
        root,
        &[
            ("class/hwmon/hwmon0/name", "amd_energy"),
            ("class/hwmon/hwmon0/energy1_label", "Ecore000"),
            ("class/hwmon/hwmon0/energy1_input", "5"),
            ("class/hwmon/hwmon0/energy2_label", "Esocket0"),
            ("class/hwmon/hwmon0/energy2_input", "8000000"),
        ],
    );
}

#[test]
fn amd_sockets_are_read_unless_powercap_has_them() {
    let options = |root: &Path| Options {
        gpus: None,
        assumptions: vec!["dram=20W".parse().unwrap()],
        sysfs: root.to_owned(),
        nvml: Some("/nowhere/libnvidia-ml.so.1".into()),
        cuda_visible_devices: None,
    };
    let root = tempfile::tempdir().unwrap();
    epyc(root.path());
    let opened = machine::open(&options(root.path())).unwrap();
    assert_eq!(
        names(&opened.channels()),
        [("cpu0", Component::Cpu), ("assumed-dram", Component::Dram)]
    );
    assert!(opened.measures());
    let both = server();
    epyc(both.path());
    let opened = machine::open(&options(both.path())).unwrap();
    let cpus = opened.channels().iter().filter(|c| c.component == Component::Cpu).count();
    assert_eq!(cpus, 2);
}

#[test]
fn a_machine_without_meters_says_what_was_looked_for() {
    let root = tempfile::tempdir().unwrap();
    let options = Options {
        gpus: None,
        assumptions: vec!["cpu=95W".parse().unwrap()],
        sysfs: root.path().to_owned(),
        nvml: Some("/nowhere/libnvidia-ml.so.1".into()),
        cuda_visible_devices: None,
    };
    let opened = machine::open(&options).unwrap();
    // what is assumed is not measured
    assert!(!opened.measures());
    assert_eq!(opened.notes.len(), 3, "{:?}", opened.notes);
    for (note, said) in
        opened.notes.iter().zip(["libnvidia-ml.so.1", "class/powercap", "class/hwmon"])
    {
        assert!(note.contains(said), "{note}");
    }
    // but who asks for a GPU is refused
    let refused =
        machine::open(&Options { gpus: Some("0".parse().unwrap()), ..options }).unwrap_err();
    assert!(refused.to_string().starts_with("no GPU can be measured: "), "{refused}");
}

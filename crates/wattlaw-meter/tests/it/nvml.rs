//! NVIDIA's GPUs by scripted traces: nvml-wrapper, the crate that loads NVIDIA's library, loads one that replays them.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::cell::Cell;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use approx::assert_relative_eq;
use tempfile::TempDir;

use wattlaw::base::units::{Seconds, Watts};
use wattlaw::record::trace::ChannelTrace;
use wattlaw::record::{Component, Instrument, Sample};
use wattlaw_meter::found::{Found, SelectionError};
use wattlaw_meter::meter::Fault;
use wattlaw_meter::nvml;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

thread_local! {
    static TIME_S: Cell<f64> = const { Cell::new(0.0) };
}

fn now() -> Instant {
    *START + Duration::from_secs_f64(TIME_S.get())
}

/// A machine whose time the test sets.
struct Machine {
    folder: TempDir,
    library: PathBuf,
}

impl Machine {
    fn of(gpus: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let library =
            nvml_mock::stage(folder.path(), &format!("clock = \"file\"\n{gpus}")).unwrap();
        let machine = Self { folder, library };
        machine.set(0.0);
        machine
    }

    fn set(&self, time_s: f64) {
        nvml_mock::set_clock(self.folder.path(), time_s).unwrap();
        TIME_S.set(time_s);
    }

    fn look(&self, gpus: Option<&str>, visible: Option<&str>) -> Result<Found, SelectionError> {
        let gpus = gpus.map(|gpus| gpus.parse().unwrap());
        nvml::open(Some(&self.library), gpus.as_ref(), visible, now)
    }

    /// What is read each `interval_s` until `end_s`: traces, and all faults.
    fn replay(&self, interval_s: f64, end_s: f64) -> (Vec<ChannelTrace>, Vec<Fault>) {
        let mut meter = self.look(None, None).unwrap().meter.unwrap();
        let mut traces: Vec<_> = meter.channels().iter().cloned().map(ChannelTrace::new).collect();
        let mut faults = Vec::new();
        let rounds = (end_s / interval_s).round() as u32;
        for time_s in (0..=rounds).map(|round| f64::from(round) * interval_s) {
            self.set(time_s);
            for (trace, reading) in traces.iter_mut().zip(meter.read()) {
                trace.push(Seconds::new(time_s), reading.clone().ok());
                faults.extend(reading.err());
            }
        }
        (traces, faults)
    }

    fn first(&self) -> Result<Sample, Fault> {
        self.look(None, None).unwrap().meter.unwrap().read().remove(0)
    }
}

fn between(trace: &ChannelTrace, from: f64, to: f64) -> (f64, f64) {
    let window = trace.energy_between(Seconds::new(from), Seconds::new(to));
    (window.energy.value(), window.quantisation.value())
}

#[test]
fn the_energy_of_counters_is_recovered() {
    let machine = Machine::of(
        "[[gpus]]\nuuid = \"GPU-a\"\npower_w = [[0, 60], [20, 300], [220, 60]]\ncounter_start_mj = 123456789\n\
         [[gpus]]\nuuid = \"GPU-b\"\npower_w = [[0, 100], [0.5, 350]]\nrepeat_s = 1.0\naveraging_s = 1.0",
    );
    // out of step with the counter, which moves each 0.1 s
    let (traces, faults) = machine.replay(0.37, 240.5);
    assert_eq!(faults, []);
    assert!(traces.iter().all(|trace| trace.channel().instrument == Instrument::Counter));
    // 20 s at 60 W, 200 s at 300 W, 20 s at 60 W; 225 W on average
    for (trace, expected_j) in traces.iter().zip([62_400.0, 54_000.0]) {
        let (energy_j, sd_j) = between(trace, 0.0, 240.0);
        assert_relative_eq!(energy_j, expected_j, max_relative = 1e-3);
        assert!(sd_j < 1e-3 * expected_j, "{sd_j}");
    }
    // a window of three seconds, within three standard deviations of its 300 W
    let (energy_j, sd_j) = between(&traces[0], 100.03, 103.03);
    assert!((energy_j - 900.0).abs() <= 3.0 * sd_j && sd_j < 60.0, "{energy_j} ± {sd_j}");
    // the power that was read beside integrates to the same
    let integrated = traces[0].integrated_between(Seconds::new(0.0), Seconds::new(240.0)).unwrap();
    assert_relative_eq!(integrated.value(), 62_400.0, max_relative = 2e-3);
}

#[test]
fn power_that_disagrees_with_its_counter_is_seen() {
    // power that averages over the second before knows nothing of a burst's first half
    let machine =
        Machine::of("[[gpus]]\nuuid = \"GPU-a\"\npower_w = [[0, 50], [1, 400]]\naveraging_s = 1.0");
    let (traces, _) = machine.replay(0.1, 2.0);
    let window = (Seconds::new(1.0), Seconds::new(2.0));
    let counted = traces[0].energy_between(window.0, window.1).energy.value();
    let integrated = traces[0].integrated_between(window.0, window.1).unwrap().value();
    assert_relative_eq!(counted, 400.0, max_relative = 1e-6);
    assert_relative_eq!(integrated, 225.0, max_relative = 1e-6);
}

#[test]
fn polled_power_is_recovered_within_its_stated_error() {
    // a Pascal has no counter
    let gpu = |power: &str| {
        Machine::of(&format!(
            "[[gpus]]\nuuid = \"GPU-a\"\nname = \"Tesla P100-PCIE-16GB\"\narchitecture = 4\ncounter = false\n\
             power_update_s = 0.02\naveraging_s = 0.01\n{power}"
        ))
    };
    let steady = gpu("power_w = [[0, 250]]").replay(0.1, 60.0).0.remove(0);
    assert_eq!(steady.channel().instrument, Instrument::Power);
    let (energy_j, sd_j) = between(&steady, 0.0, 60.0);
    assert_relative_eq!(energy_j, 15_000.0, max_relative = 1e-9);
    assert!(sd_j < 3.0, "{sd_j}");
    // training steps of 0.73 s, a quarter of it idle: out of step with the polls
    let steps =
        gpu("power_w = [[0, 250], [0.55, 60]]\nrepeat_s = 0.73").replay(0.1, 73.0).0.remove(0);
    let (energy_j, sd_j) = between(&steps, 0.0, 73.0);
    let expected_j = 100.0 * (0.55 * 250.0 + 0.18 * 60.0);
    assert!((energy_j - expected_j).abs() <= 2.0 * sd_j, "{energy_j} ± {sd_j}, not {expected_j}");
    assert!(sd_j < 0.02 * expected_j, "{sd_j}");
}

#[test]
fn a_counter_that_is_reset_loses_nothing() {
    let machine = Machine::of(
        "[[gpus]]\nuuid = \"GPU-a\"\npower_w = [[0, 200]]\ncounter_start_mj = 5000000\nresets_s = [10.04, 20.0]",
    );
    let (traces, faults) = machine.replay(0.1, 30.0);
    assert_eq!(faults, []);
    assert_relative_eq!(between(&traces[0], 0.0, 30.0).0, 6000.0, max_relative = 1e-3);
}

#[test]
fn a_lost_gpu_leaves_a_gap_and_the_others_go_on() {
    let machine = Machine::of(
        "[[gpus]]\nuuid = \"GPU-a\"\npower_w = [[0, 200]]\nlost_s = [5.0, 8.0]\nresets_s = [7.0]\n\
         [[gpus]]\nuuid = \"GPU-b\"\npower_w = [[0, 100]]",
    );
    let (traces, faults) = machine.replay(0.1, 10.0);
    assert!(
        faults.iter().all(|f| f.channel == "gpu0" && f.reason.contains("the GPU is lost")),
        "{faults:?}"
    );
    assert_eq!(faults.len(), 30);
    let gaps: Vec<_> = traces[0].gaps().iter().map(|(a, b)| (a.value(), b.value())).collect();
    assert_eq!(gaps.len(), 1);
    assert_relative_eq!(gaps[0].0, 4.9, epsilon = 1e-9);
    assert_relative_eq!(gaps[0].1, 8.0, epsilon = 1e-9);
    assert_relative_eq!(between(&traces[1], 0.0, 10.0).0, 1000.0, max_relative = 1e-9);
    // it was reset while nobody looked: what power says of the meantime stands for what was lost
    assert_relative_eq!(between(&traces[0], 0.0, 10.0).0, 2000.0, max_relative = 1e-3);
    let seen = traces[0].energy_between(Seconds::new(0.0), Seconds::new(10.0)).covered;
    assert_relative_eq!(seen, 0.69, epsilon = 1e-9);
}

#[test]
fn what_a_gpu_says_of_its_state_is_sampled_beside() {
    let machine = Machine::of(
        "[[gpus]]\nuuid = \"GPU-a\"\npower_w = [[0, 200]]\nlimit_w = 300\nsm_clock_mhz = 1200\nmemory_clock_mhz = 1500\n\
         temperature_c = 61\nutilization_percent = 87\nthrottle_reasons = 4",
    );
    let sample = machine.first().unwrap();
    assert_eq!(sample.power, Some(Watts::new(200.0)));
    assert_eq!(sample.power_limit, Some(Watts::new(300.0)));
    assert_eq!((sample.sm_clock_mhz, sample.memory_clock_mhz), (Some(1200.0), Some(1500.0)));
    assert_eq!((sample.temperature_c, sample.utilization), (Some(61.0), Some(0.87)));
    assert_eq!(sample.throttle_reasons, Some(4));
}

#[test]
fn channels_say_what_they_are() {
    let machine = Machine::of(
        "[[gpus]]\nuuid = \"GPU-a\"\npower_w = [[0, 1]]\n\
         [[gpus]]\nuuid = \"GPU-b\"\nname = \"NVIDIA GeForce RTX 2080 Ti\"\narchitecture = 6\npower_w = [[0, 1]]\n\
         [[gpus]]\nuuid = \"GPU-c\"\nname = \"NVIDIA GH200 480GB\"\narchitecture = 9\npower_w = [[0, 1]]",
    );
    let mut found = machine.look(None, None).unwrap();
    let channels = found.channels().to_vec();
    let names: Vec<_> = channels.iter().map(|c| (c.name.as_str(), c.device.as_str())).collect();
    assert_eq!(names, [("gpu0", "GPU-a"), ("gpu1", "GPU-b"), ("gpu2", "GPU-c")]);
    assert_eq!(channels[0].systematic, Some(0.05));
    assert_eq!(channels[1].systematic, Some(0.08));
    assert_eq!(channels[0].averaging, Seconds::new(0.025));
    let components: Vec<_> = channels.iter().map(|c| c.component).collect();
    assert_eq!(components, [Component::Gpu, Component::Gpu, Component::Module]);
    let read = found.meter.as_mut().unwrap().read();
    let powers: Vec<_> =
        read.iter().map(|reading| reading.as_ref().unwrap().power.is_some()).collect();
    // the power of a module's GPU is not the module's
    assert_eq!(powers, [true, true, false]);
    assert!(
        found.notes.iter().any(|note| note.contains("covers the module, GPU and CPU")),
        "{:?}",
        found.notes
    );
}

#[test]
fn a_gpu_without_a_counter_is_polled() {
    for (why, script) in [
        ("it has none", "counter = false"),
        ("it counts nothing while it draws power", "counter_start_mj = 0\ncounter_update_s = 1e9"),
    ] {
        let machine =
            Machine::of(&format!("[[gpus]]\nuuid = \"GPU-a\"\npower_w = [[0, 90]]\n{script}"));
        let found = machine.look(None, None).unwrap();
        assert_eq!(found.channels()[0].instrument, Instrument::Power, "{why}");
    }
}

#[test]
fn what_cannot_be_measured_is_said_and_the_rest_is_measured() {
    let other = "[[gpus]]\nuuid = \"GPU-b\"\npower_w = [[0, 100]]\n";
    for (script, said) in [
        ("handle_returns = 4", "permission denied"),
        ("read_returns = 4", "permission denied"),
        ("counter = false\npower = false", "it reports neither energy nor power"),
        ("virtualization = 2", "virtual GPU (vGPU)"),
        ("lost_s = [0.0, 1.0]", "the GPU is lost"),
    ] {
        let machine = Machine::of(&format!(
            "{other}[[gpus]]\nuuid = \"GPU-a\"\npower_w = [[0, 90]]\n{script}"
        ));
        let found = machine.look(None, None).unwrap();
        assert_eq!(found.channels().len(), 1, "{script}");
        assert_eq!(found.notes.len(), 1, "{:?}", found.notes);
        assert!(found.notes[0].starts_with("GPU 1 is not measured: "), "{:?}", found.notes);
        assert!(found.notes[0].contains(said), "{:?}", found.notes);
        // whoever asks for it is refused
        let refused = machine.look(Some("1"), None).unwrap_err().to_string();
        assert!(refused.starts_with("GPU 1: ") && refused.contains(said), "{refused}");
    }
}

#[test]
fn what_is_shared_is_measured_as_a_whole_and_flagged() {
    for (script, said) in [("mig = true", "(MIG)"), ("virtualization = 3", "(vGPU)")] {
        let machine =
            Machine::of(&format!("[[gpus]]\nuuid = \"GPU-a\"\npower_w = [[0, 90]]\n{script}"));
        let found = machine.look(None, None).unwrap();
        assert_eq!(found.channels().len(), 1);
        assert!(found.notes[0].contains(said), "{:?}", found.notes);
    }
    let whole = Machine::of(
        "[[gpus]]\nuuid = \"GPU-a\"\npower_w = [[0, 90]]\nmig = false\nvirtualization = 1",
    );
    assert_eq!(whole.look(None, None).unwrap().notes, [""; 0]);
}

#[test]
fn the_gpus_meant_are_measured() {
    let script: String = ["aa", "ab", "cc"]
        .map(|id| format!("[[gpus]]\nuuid = \"GPU-{id}\"\npower_w = [[0, 90]]\n"))
        .concat();
    let machine = Machine::of(&script);
    let names = |gpus, visible| -> Vec<String> {
        let found: Found = machine.look(gpus, visible).unwrap();
        found.channels().iter().map(|channel| channel.name.clone()).collect()
    };
    assert_eq!(names(None, None), ["gpu0", "gpu1", "gpu2"]);
    assert_eq!(names(Some("2,GPU-aa"), Some("1")), ["gpu2", "gpu0"]);
    assert_eq!(names(None, Some("GPU-ab,0")), ["gpu1", "gpu0"]);
    assert_eq!(names(None, Some("-1")), [""; 0]);
    let hidden = machine.look(None, Some("")).unwrap().notes;
    assert!(hidden[0].contains("hides all GPUs"), "{hidden:?}");
    let mig = machine.look(None, Some("MIG-1234")).unwrap().notes;
    assert!(mig[0].contains("only a whole GPU can be measured"), "{mig:?}");
    assert!(machine.look(Some("7"), None).unwrap_err().to_string().contains("GPUs 0 to 2"));
}

#[test]
fn an_absent_driver_is_no_failure_and_its_remedy_is_named() {
    for (returns, said) in [
        (9, "not loaded"),
        (18, "reboot the machine"),
        (4, "permission denied"),
        (999, "cannot be initialized"),
    ] {
        let found = Machine::of(&format!("init_returns = {returns}")).look(None, None).unwrap();
        assert!(found.meter.is_none());
        assert!(found.absence.as_ref().unwrap().contains(said), "{found:?}");
    }
    let nowhere = nvml::open(Some("/nowhere/libnvidia-ml.so.1".as_ref()), None, None, now).unwrap();
    assert!(nowhere.absence.unwrap().contains("install NVIDIA's driver"));
    let none = Machine::of("").look(None, None).unwrap();
    assert_eq!(none.absence.as_deref(), Some("the NVIDIA driver is loaded, but there is no GPU"));
}

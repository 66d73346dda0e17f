//! The same promises on a GPU that is there: `WATTLAW_REAL_GPU=1 cargo test -p wattlaw-meter --test it real_gpu::`.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::time::{Duration, Instant};

use wattlaw::base::units::Seconds;
use wattlaw::record::trace::ChannelTrace;
use wattlaw::record::{Component, Instrument};
use wattlaw_meter::machine;
use wattlaw_meter::machine::Options;
use wattlaw_meter::sampler::Sampler;

/// How long is measured.
const TIME: Duration = Duration::from_secs(8);

fn asked() -> bool {
    let asked = std::env::var_os("WATTLAW_REAL_GPU").is_some_and(|value| value == "1");
    if !asked {
        println!("skipped: WATTLAW_REAL_GPU is not 1");
    }
    asked
}

#[test]
fn each_gpu_is_read_and_its_power_and_counter_agree() {
    if !asked() {
        return;
    }
    let opened = machine::open(&Options::from_env()).unwrap();
    println!("{opened:?}");
    let mut traces: Vec<_> = opened.channels().into_iter().map(ChannelTrace::new).collect();
    let start = Instant::now();
    let (sampler, ticks) = Sampler::start(opened.meters, Duration::from_millis(100), start);
    std::thread::sleep(TIME);
    sampler.stop();
    for tick in ticks {
        for (trace, reading) in traces.iter_mut().zip(tick.readings) {
            trace.push(tick.at, Some(reading.unwrap()));
        }
    }
    let gpu = |trace: &&ChannelTrace| {
        matches!(trace.channel().component, Component::Gpu | Component::Module)
    };
    assert!(traces.iter().filter(gpu).count() > 0, "no GPU is measured");
    for trace in traces.iter().filter(gpu) {
        let (from, to) = trace.span().unwrap();
        let window = trace.energy_between(from, to);
        let halves = [(from, (from + to) / 2.0), ((from + to) / 2.0, to)]
            .map(|(from, to)| trace.energy_between(from, to).energy);
        assert!(((halves[0] + halves[1]) / window.energy - 1.0).abs() < 1e-9);
        // a GPU draws between a few watts and a few kilowatts
        let power = trace.mean_power(from, to).unwrap().value();
        assert!((3.0..3000.0).contains(&power), "{power} W");
        let integrated = trace.integrated_between(from, to).unwrap();
        println!("{}: {window:?}, integrated {integrated:?}", trace.channel().name);
        if trace.channel().instrument == Instrument::Counter {
            // both are the device's own, so its systematic error is in both
            let apart = (integrated - window.energy).value().abs();
            assert!(
                apart <= 0.05 * window.energy.value() + 3.0 * window.quantisation.value(),
                "{apart} J apart"
            );
        }
        assert!(window.covered > 0.9 && to - from > Seconds::new(TIME.as_secs_f64() - 1.0));
    }
}

#[test]
fn a_gpu_is_found_by_its_uuid_and_by_its_index() {
    if !asked() {
        return;
    }
    let all =
        machine::open(&Options { cuda_visible_devices: None, ..Options::from_env() }).unwrap();
    let first = all.channels().into_iter().find(|channel| channel.name.starts_with("gpu")).unwrap();
    for name in [first.name.trim_start_matches("gpu"), &first.device, &first.device[..12]] {
        let options = Options { gpus: Some(name.parse().unwrap()), ..Options::from_env() };
        let channels = machine::open(&options).unwrap().channels();
        let gpus: Vec<_> =
            channels.iter().filter(|channel| channel.name.starts_with("gpu")).collect();
        assert_eq!(gpus, [&first], "{name}");
    }
}

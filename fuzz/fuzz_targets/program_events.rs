//! Lines that a program tells while it is measured.

#![no_main]

mod answer;

use libfuzzer_sys::fuzz_target;
use wattlaw::record::event::{Entry, ProgramEvent};
use wattlaw::base::units::Seconds;

fuzz_target!(|line: &str| {
    if let Some(said) = answer::answered(ProgramEvent::parse(line)) {
        let entry = Entry { at: Seconds::new(1.0), event: said.event };
        let written = entry.line().unwrap();
        assert_eq!(written.lines().count(), 1);
        assert_eq!(Entry::parse(written.trim_end()), Some(entry));
    }
});

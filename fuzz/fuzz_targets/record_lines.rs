//! What a killed writer may leave: events and readings, from which a record is closed.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use wattlaw::record::finalizer::Finalizer;
use wattlaw::record::document::{Record, State};
use wattlaw::record::event::Entry;

static OPENED: LazyLock<Record> =
    LazyLock::new(|| Record::from_json(include_str!("../corpus/record_json/opened.json")).unwrap());

fuzz_target!(|text: &str| {
    let (events, trace) = text.split_once("---\n").unwrap_or((text, ""));
    let entries = events.lines().filter_map(Entry::parse).collect();
    let mut closing = Finalizer::new(OPENED.clone(), entries);
    trace.lines().for_each(|line| closing.line(line));
    let written = closing.close(State::Recovered).to_json().unwrap();
    // whatever was closed can be read
    let read = Record::from_json(&written).unwrap_or_else(|e| panic!("{e}\n{written}"));
    assert_eq!(read.to_json().unwrap(), written);
});

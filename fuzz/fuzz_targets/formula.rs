//! Formulas and counts.

#![no_main]

mod answer;

use libfuzzer_sys::fuzz_target;
use wattlaw::base::amount::Count;
use wattlaw::stats::formula::Formula;

fuzz_target!(|text: &str| {
    if let Some(formula) = answer::answered(text.parse::<Formula>()) {
        assert_eq!(formula.to_string().parse::<Formula>().unwrap(), formula);
    }
    if let Some(count) = answer::answered(text.parse::<Count>()) {
        assert_eq!(count.to_string().parse::<Count>().unwrap(), count);
    }
});

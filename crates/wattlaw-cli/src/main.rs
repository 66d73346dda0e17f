//! The command line of wattlaw.

fn main() {}

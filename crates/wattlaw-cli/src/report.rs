//! `wattlaw report`.
use wattlaw::record::document::Total;
use crate::failure::Done;
use crate::screen;
/// x
#[derive(Debug, clap::Args)]
pub struct Args {}
pub fn run(_: &Args) -> Done { Ok(()) }
/// Energy, what it covers, its meter's uncertainty, mean power.
pub fn energy(total: &Total, seconds: f64) -> String {
    let mut text = format!("{} ({})", screen::energy(total.energy.value()), total.scope);
    if total.assumed > wattlaw::units::Joules::ZERO {
        text += &format!(", {} of it assumed", screen::energy(total.assumed.value()));
    }
    if let Some(sd) = total.sd() {
        text += &format!(", σ {}", screen::energy(sd.value()));
    }
    if seconds > 0.0 {
        text += &format!(", mean {}", screen::si(total.energy.value() / seconds, "W"));
    }
    text
}

//! Energies by scope, from those of channels.

use std::collections::BTreeMap;

use crate::base::scope::Scope;
use crate::base::units::Joules;
use crate::record::Component;
use crate::record::document::{Measured, Total};

/// The components whose channels add up to a scope.
pub(super) const fn components(scope: Scope) -> &'static [Component] {
    use Component::{Cpu, Dram, Gpu, Module, Node};
    match scope {
        Scope::Gpu => &[Gpu],
        Scope::NodeDc | Scope::NodeAc | Scope::Facility => &[Node],
        Scope::Devices | Scope::Codecarbon | Scope::Unstated => &[Gpu, Cpu, Dram, Module],
    }
}

/// Energies by scope, the narrowest first; without channels that count in another record.
///
/// `gpu` is the accelerators; `devices` all metered components, if there are more than accelerators; `node_dc` the
/// platform, if it has a meter.
pub(super) fn totals(channels: &[Measured]) -> Vec<Total> {
    use Component::{Cpu, Dram, Gpu, Module, Node};
    let has = |wanted: &[Component]| {
        channels.iter().any(|c| c.energy.is_some() && wanted.contains(&c.channel.component))
    };
    let mut found = Vec::new();
    if has(&[Gpu]) {
        found.push(total(Scope::Gpu, channels));
    }
    if has(&[Cpu, Dram, Module]) {
        found.push(total(Scope::Devices, channels));
    }
    if has(&[Node]) {
        found.push(total(Scope::NodeDc, channels));
    }
    found
}

/// The sum of the channels of a scope.
///
/// Sensors of one kind share their calibration, so their systematic errors add up. Errors of different kinds are
/// independent, so their squares add up, as for random errors.
fn total(scope: Scope, channels: &[Measured]) -> Total {
    let counted = |c: &&Measured| components(scope).contains(&c.channel.component);
    let mut systematic: BTreeMap<Component, Joules> = BTreeMap::new();
    let (mut known, mut variance) = (true, 0.0);
    let mut sum = Total {
        scope,
        energy: Joules::ZERO,
        assumed: Joules::ZERO,
        systematic_sd: None,
        random_sd: Joules::ZERO,
        covered: 1.0,
        channels: 0,
    };
    for channel in channels.iter().filter(counted).filter(|c| !c.is_held()) {
        let energy = channel.energy.unwrap_or(Joules::ZERO);
        sum.energy += energy;
        sum.channels += 1;
        sum.covered = sum.covered.min(channel.covered);
        if channel.is_assumed() {
            sum.assumed += energy;
            continue;
        }
        variance += channel.random_sd.value().powi(2);
        match channel.systematic_sd {
            Some(sd) => *systematic.entry(channel.channel.component).or_default() += sd,
            None => known = false,
        }
    }
    let squares: f64 = systematic.values().map(|sd| sd.value().powi(2)).sum();
    let measured = sum.assumed < sum.energy;
    sum.systematic_sd = (known && measured).then(|| Joules::new(squares.sqrt()));
    sum.random_sd = Joules::new(variance.sqrt());
    sum
}

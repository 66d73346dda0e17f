//! Joins the parts of one training run: sequential restarts and parallel nodes.

use super::measured::Measured;
use super::timestamp::Timestamp;
use wattlaw::base::error::{Error, Result};
use wattlaw::base::units::{Joules, Seconds};

/// Joins the parts of one training run. Sequential parts are added; of parallel parts energy and accelerators are added and the time
/// counts once. Parts contained in another part are ignored.
///
/// # Errors
/// [`Error::Data`] if scopes differ or a device is counted twice; [`Error::Missing`] if a time is missing, or the energy of some.
pub fn join(parts: &[Measured]) -> Result<Measured> {
    let parts: Vec<&Measured> = parts.iter().filter(|p| p.inside.is_none()).collect();
    let Some(first) = parts.first() else {
        return Err(Error::Data("there is nothing to join".to_owned()));
    };
    if let Some(other) = parts.iter().find(|p| p.scope != first.scope) {
        return Err(Error::Data(format!(
            "energies of scope `{}` and `{}` ({}) cannot be joined",
            first.scope, other.scope, other.run_id
        )));
    }
    if let Some((device, a, b)) = counted_twice(&parts) {
        return Err(Error::Data(format!(
            "the energy of {device} is in both {} and {} at the same time; give only one of them",
            a.file, b.file
        )));
    }
    // logs of training have no energy at all
    let without = parts.iter().all(|p| p.energy.is_none());
    let required = |p: &Measured| -> Result<(Joules, Seconds)> {
        let lacks = |what: &str| {
            Error::missing(what, format!("run {} cannot be joined without it", p.run_id))
                .at(p.place())
        };
        Ok((
            p.energy.or(without.then_some(Joules::ZERO)).ok_or_else(|| lacks("the energy"))?,
            p.duration.ok_or_else(|| lacks("the time"))?,
        ))
    };
    let sums = parts.iter().map(|p| required(p)).collect::<Result<Vec<_>>>()?;
    let energy: Joules = sums.iter().map(|(e, _)| *e).sum();
    let (seconds, at_once) = match spans(&parts) {
        Some(spans) => covered(&spans),
        // without timestamps, parts are assumed to be sequential
        None => (sums.iter().map(|(_, t)| t.value()).sum(), None),
    };
    let mut whole = Measured { parts: Vec::new(), ..(*first).clone() };
    match without {
        true => whole.duration = Some(Seconds::new(seconds)),
        false => whole.set_energy_and_time(energy.value(), seconds),
    }
    whole.start = parts.iter().filter_map(|p| p.start).min();
    whole.gpus = match at_once {
        Some(gpus) => gpus,
        None => parts.iter().filter_map(|p| p.gpus).max(),
    };
    whole.line = None;
    if parts.iter().any(|p| p.gpu != first.gpu) {
        whole.gpu = None;
    }
    if parts.iter().any(|p| p.instrument != first.instrument) {
        whole.instrument = None;
    }
    let total = |of: fn(&Measured) -> Option<f64>| {
        let all: Option<Vec<f64>> = parts.iter().map(|p| of(p)).collect();
        // parallel nodes count the same steps, so a sum would be wrong
        all.filter(|_| at_once.is_none() || parts.len() == 1).map(|v| v.iter().sum())
    };
    (whole.steps, whole.samples) = (total(|p| p.steps), total(|p| p.samples));
    whole.tokens = total(|p| p.tokens);
    for part in parts.iter().flat_map(|p| &p.parts) {
        match whole.parts.iter_mut().find(|p| p.name == part.name) {
            Some(same) => same.energy += part.energy,
            None => whole.parts.push(part.clone()),
        }
    }
    Ok(whole)
}

/// A device (by UUID) that is in two overlapping measurements.
fn counted_twice<'a>(parts: &[&'a Measured]) -> Option<(&'a str, &'a Measured, &'a Measured)> {
    let named = |m: &&&Measured| m.parts.iter().any(|p| p.name.starts_with("GPU-"));
    let by_uuid: Vec<&&Measured> = parts.iter().filter(named).collect();
    for (i, a) in by_uuid.iter().enumerate() {
        for b in &by_uuid[i + 1..] {
            let (Some(a_end), Some(b_end)) = (a.end(), b.end()) else { continue };
            let at_once = a.start < Some(b_end) && b.start < Some(a_end);
            let uuids = a.parts.iter().filter(|p| p.name.starts_with("GPU-"));
            let mut both = uuids.filter(|p| b.parts.iter().any(|o| o.name == p.name));
            if let (true, Some(part)) = (at_once, both.next()) {
                return Some((&part.name, a, b));
            }
        }
    }
    None
}

type Span = (Timestamp, Timestamp, Option<u64>);

fn spans(parts: &[&Measured]) -> Option<Vec<Span>> {
    parts.iter().map(|p| Some((p.start?, p.end()?, p.gpus))).collect()
}

/// Length of the union of the spans, s, and, if some overlap, the maximum number of accelerators at a time.
fn covered(spans: &[Span]) -> (f64, Option<Option<u64>>) {
    let mut sorted = spans.to_vec();
    sorted.sort_by_key(|s| s.0);
    let (mut seconds, mut until, mut overlap) = (0.0, None, false);
    for (start, end, _) in &sorted {
        let from = until.map_or(*start, |u: Timestamp| u.max(*start));
        // tolerance of 1 s for clock differences and timestamps without fractions
        overlap |= until.is_some_and(|u| u.since(*start) > 1.0);
        if *end > from {
            seconds += end.since(from);
            until = Some(*end);
        }
    }
    if !overlap {
        return (seconds, None);
    }
    // at equal times ends sort before starts
    let mut changes: Vec<(Timestamp, bool, u64)> = Vec::new();
    for (start, end, gpus) in &sorted {
        let Some(gpus) = gpus else { return (seconds, Some(None)) };
        changes.extend([(*start, true, *gpus), (*end, false, *gpus)]);
    }
    changes.sort_by_key(|(at, begins, _)| (*at, *begins));
    let (mut running, mut most) = (0_u64, 0);
    for (_, begins, gpus) in changes {
        running = if begins { running.saturating_add(gpus) } else { running.saturating_sub(gpus) };
        most = most.max(running);
    }
    (seconds, Some(Some(most)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measured::Part;
    use wattlaw::base::scope::Scope;
    use wattlaw::record::Component;

    fn part(start: &str, seconds: f64, joules: f64, gpus: u64) -> Measured {
        let mut part = Measured::new("a", "x.csv", "test");
        part.start = Timestamp::parse(start);
        part.gpus = Some(gpus);
        part.set_energy_and_time(joules, seconds);
        part
    }

    #[test]
    fn restarts_are_sequential_and_nodes_are_parallel() {
        let restarted = join(&[
            part("2024-01-01T00:00:00", 60.0, 100.0, 4),
            part("2024-01-01T01:00:00", 30.0, 50.0, 4),
        ])
        .unwrap();
        assert_eq!(
            (restarted.energy, restarted.duration),
            (Some(Joules::new(150.0)), Some(Seconds::new(90.0)))
        );
        assert_eq!(restarted.gpus, Some(4));
        let nodes = join(&[
            part("2024-01-01T00:00:00", 60.0, 100.0, 4),
            part("2024-01-01T00:00:05", 60.0, 90.0, 4),
        ])
        .unwrap();
        assert_eq!(
            (nodes.energy, nodes.duration),
            (Some(Joules::new(190.0)), Some(Seconds::new(65.0)))
        );
        assert_eq!(nodes.gpus, Some(8));
    }

    #[test]
    fn restarts_without_energy_add_their_time_and_tokens() {
        let half = |start: &str, tokens: f64| {
            let mut half = Measured::new("a", "x.log", "test");
            half.start = Timestamp::parse(start);
            half.duration = Some(Seconds::new(30.0));
            half.tokens = Some(tokens);
            half
        };
        let parts = [half("2024-01-01T00:00:00", 5.0), half("2024-01-01T01:00:00", 7.0)];
        let whole = join(&parts).unwrap();
        assert_eq!((whole.energy, whole.mean_power), (None, None));
        assert_eq!((whole.duration, whole.tokens), (Some(Seconds::new(60.0)), Some(12.0)));
        let error = join(&[parts[0].clone(), part("2024-01-01T01:00:00", 1.0, 1.0, 1)]);
        assert!(error.unwrap_err().to_string().contains("run a cannot be joined without it"));
    }

    #[test]
    fn a_gpu_is_never_counted_twice() {
        let mut parts = [
            part("2024-01-01T00:00:00", 60.0, 100.0, 1),
            part("2024-01-01T00:00:30", 60.0, 90.0, 1),
        ];
        for part in &mut parts {
            let (name, energy) = ("GPU-6a".to_owned(), Joules::new(90.0));
            part.parts.push(Part { name, component: Component::Gpu, energy });
        }
        let error = join(&parts).unwrap_err().to_string();
        assert!(
            error.starts_with("the energy of GPU-6a is in both x.csv and x.csv at the same time"),
            "{error}"
        );
        parts[1].start = Timestamp::parse("2024-01-01T00:01:00");
        assert_eq!(join(&parts).unwrap().energy, Some(Joules::new(190.0)));
    }

    #[test]
    fn different_scopes_are_not_joined() {
        let mut other = part("2024-01-01T00:00:00", 1.0, 1.0, 1);
        other.scope = Scope::Gpu;
        let error =
            join(&[part("2024-01-01T00:00:00", 1.0, 1.0, 1), other]).unwrap_err().to_string();
        assert!(error.contains("`unstated` and `gpu`"), "{error}");
    }
}

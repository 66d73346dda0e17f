//! Fields with several values: a list or a range.

use serde::Deserialize;
use toml::Value;

use wattlaw::base::error::{Error, Result};

/// Maximum number of values of a field, so that a range with a tiny step is refused before it is expanded.
const MAX_VALUES: usize = 10_000;

/// A range of numbers, both ends included.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct Range {
    from: f64,
    to: f64,
    step: Option<f64>,
    times: Option<f64>,
}

/// The values of a list or of a table with `from` and `to`; `None` for a single value.
pub(super) fn values(name: &str, value: &Value) -> Result<Option<Vec<Value>>> {
    match value {
        Value::Array(list) if list.is_empty() => {
            Err(Error::invalid(name, "an empty list", "it must have at least one value"))
        }
        Value::Array(list) if list.len() > MAX_VALUES => Err(too_many(name, list.len() as f64)),
        Value::Array(list) => Ok(Some(list.clone())),
        Value::Table(table) if table.contains_key("from") || table.contains_key("to") => {
            let range: Range = table.clone().try_into().map_err(|e: toml::de::Error| {
                let message = e.message().lines().collect::<Vec<_>>().join("; ");
                Error::invalid(
                    name,
                    message,
                    "a range is { from = 1, to = 8, step = 1 }, or times = 2",
                )
            })?;
            range.values(name).map(Some)
        }
        _ => Ok(None),
    }
}

fn too_many(name: &str, count: f64) -> Error {
    Error::invalid(name, format!("{count:.0} values"), format!("at most {MAX_VALUES} are allowed"))
}

impl Range {
    fn values(&self, name: &str) -> Result<Vec<Value>> {
        let (from, to) = (self.from, self.to);
        if !(from.is_finite() && to.is_finite() && from > 0.0 && from <= to) {
            return Err(Error::invalid(
                name,
                format!("a range from {from} to {to}"),
                "it must begin above zero and end at or after its begin",
            ));
        }
        let (count, at): (f64, Box<dyn Fn(i32) -> f64>) = match (self.step, self.times) {
            (Some(step), None) if step.is_finite() && step > 0.0 => {
                // decimal steps such as 0.1 are inexact in binary; the tolerance keeps the last value
                (
                    ((to - from) / step + 1e-9).floor() + 1.0,
                    Box::new(move |i| from + f64::from(i) * step),
                )
            }
            (None, Some(times)) if times.is_finite() && times > 1.0 => (
                ((to / from).ln() / times.ln() + 1e-9).floor() + 1.0,
                Box::new(move |i| from * times.powi(i)),
            ),
            _ => {
                return Err(Error::invalid(
                    name,
                    "a range without a step",
                    "give either a step above 0 or times above 1",
                ));
            }
        };
        if count > MAX_VALUES as f64 {
            return Err(too_many(name, count));
        }
        let value = |x: f64| {
            if x.fract() == 0.0 && x < 9e15 { Value::Integer(x as i64) } else { Value::Float(x) }
        };
        Ok((0..count as i32).map(|i| value(at(i))).collect())
    }
}

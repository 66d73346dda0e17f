//! The three sizes of a batch, of which two and the data-parallel ranks give the third:
//! `global_batch` = `micro_batch` × `grad_accum` × dp.

use super::WorkloadSpec;
use crate::base::error::{Error, Result};

/// Most sequences of an optimizer step: above any real training.
const MAX_GLOBAL_BATCH: u64 = 1 << 40;

impl WorkloadSpec {
    /// Whether the micro-batch is stated, or follows from the global batch and accumulation.
    pub const fn states_micro_batch(&self) -> bool {
        self.micro_batch.is_some() || (self.global_batch.is_some() && self.grad_accum.is_some())
    }

    /// The description with a stated global batch replaced by what follows from it on `dp` data-parallel ranks: the
    /// accumulation, or the micro-batch. Without a stated micro-batch and accumulation, both stay open.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the sizes do not multiply to the global batch.
    pub(crate) fn with_batch(&self, dp: u64) -> Result<Self> {
        let mut found = self.clone();
        let Some(global) = found.global_batch.take() else { return Ok(found) };
        crate::job::model::count("global_batch", Some(global), None, MAX_GLOBAL_BATCH)?;
        match (self.micro_batch, self.grad_accum) {
            (Some(micro), Some(accum)) => {
                let product = u128::from(micro) * u128::from(accum) * u128::from(dp);
                if product != u128::from(global) {
                    return Err(Error::invalid(
                        "global_batch",
                        global,
                        format!(
                            "micro_batch {micro} × grad_accum {accum} × dp {dp} is {product}; leave one of the three sizes \
                             out"
                        ),
                    ));
                }
            }
            (Some(micro), None) => {
                found.grad_accum = Some(quotient(global, ("micro_batch", micro), dp)?);
            }
            (None, Some(accum)) => {
                found.micro_batch = Some(quotient(global, ("grad_accum", accum), dp)?);
            }
            (None, None) => {}
        }
        Ok(found)
    }

    /// The sizes of `base` that this description leaves valid: a size stated here changes the batch, so of three sizes one
    /// of the base is dropped, and the global batch is kept as long as possible.
    pub(super) fn without_overridden_batch(&self, base: &mut Self) {
        let all_stated = self.micro_batch.or(base.micro_batch).is_some()
            && self.grad_accum.or(base.grad_accum).is_some()
            && self.global_batch.or(base.global_batch).is_some();
        let states_one =
            self.micro_batch.is_some() || self.grad_accum.is_some() || self.global_batch.is_some();
        if !(all_stated && states_one) {
            return;
        }
        if self.grad_accum.is_none() {
            base.grad_accum = None;
        } else if self.micro_batch.is_none() {
            base.micro_batch = None;
        } else {
            base.global_batch = None;
        }
    }
}

/// The size that multiplies with another one and `dp` to the global batch.
fn quotient(global: u64, (name, size): (&str, u64), dp: u64) -> Result<u64> {
    // a size of zero is refused where it is read
    let unit = size.max(1).saturating_mul(dp);
    if global.is_multiple_of(unit) {
        return Ok(global / unit);
    }
    let below = global / unit * unit;
    let near = if below == 0 {
        format!("such as {unit}")
    } else {
        format!("such as {below} or {}", below.saturating_add(unit))
    };
    let of =
        if size > 1 { format!("{name} {size} × dp {dp} = {unit}") } else { format!("dp {dp}") };
    Err(Error::invalid("global_batch", global, format!("it must be a multiple of {of}, {near}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(global: Option<u64>, micro: Option<u64>, accum: Option<u64>) -> WorkloadSpec {
        WorkloadSpec {
            global_batch: global,
            micro_batch: micro,
            grad_accum: accum,
            ..WorkloadSpec::default()
        }
    }

    #[test]
    fn two_sizes_give_the_third() {
        let on_four = |spec: WorkloadSpec| spec.with_batch(4).unwrap();
        assert_eq!(on_four(sizes(Some(64), Some(8), None)), sizes(None, Some(8), Some(2)));
        assert_eq!(on_four(sizes(Some(64), None, Some(2))), sizes(None, Some(8), Some(2)));
        assert_eq!(on_four(sizes(Some(64), Some(8), Some(2))), sizes(None, Some(8), Some(2)));
        assert_eq!(on_four(sizes(Some(64), None, None)), sizes(None, None, None));
        assert_eq!(on_four(sizes(None, Some(8), None)), sizes(None, Some(8), None));
    }

    #[test]
    fn an_impossible_global_batch_is_refused_with_what_would_do() {
        let fails = |spec: WorkloadSpec| spec.with_batch(4).unwrap_err().to_string();
        assert_eq!(
            fails(sizes(Some(100), Some(8), None)),
            "global_batch is 100, but it must be a multiple of micro_batch 8 × dp 4 = 32, such as 96 or 128"
        );
        assert_eq!(
            fails(sizes(Some(10), None, Some(8))),
            "global_batch is 10, but it must be a multiple of grad_accum 8 × dp 4 = 32, such as 32"
        );
        assert_eq!(
            fails(sizes(Some(50), Some(1), None)),
            "global_batch is 50, but it must be a multiple of dp 4, such as 48 or 52"
        );
        assert_eq!(
            fails(sizes(Some(64), Some(8), Some(4))),
            "global_batch is 64, but micro_batch 8 × grad_accum 4 × dp 4 is 128; leave one of the three sizes out"
        );
        assert!(fails(sizes(Some(0), Some(8), None)).starts_with("global_batch is 0"));
    }

    #[test]
    fn a_size_on_top_keeps_the_global_batch() {
        let laid = |top: WorkloadSpec, base: WorkloadSpec| top.with_fallback(base);
        let full = sizes(None, Some(8), Some(2));
        assert_eq!(laid(sizes(Some(128), None, None), full), sizes(Some(128), Some(8), None));
        let global = sizes(Some(64), Some(8), None);
        let smaller = laid(sizes(None, Some(4), None), global.clone());
        assert_eq!(smaller, sizes(Some(64), Some(4), None));
        let summed = laid(sizes(None, None, Some(4)), global.clone());
        assert_eq!(summed, sizes(Some(64), None, Some(4)));
        let other = laid(sizes(None, Some(4), Some(4)), global);
        assert_eq!(other, sizes(None, Some(4), Some(4)));
    }
}

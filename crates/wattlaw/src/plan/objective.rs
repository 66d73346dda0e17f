//! What a plan minimises, and what it must stay within: sums of the accelerators' energy and the time.

use serde::Serialize;

use crate::base::error::{Error, Result};
use crate::base::scope::Scope;
use crate::base::units::{JOULES_PER_KWH, SECONDS_PER_HOUR};
use crate::base::words::words;
use crate::job::system::System;
use crate::predict::scope::{Weights, share_of_scope};
use crate::predict::{Interval, Prediction};

/// What a plan minimises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Objective {
    /// Energy at the scope that was asked for.
    Energy,
    /// Time.
    Time,
    /// Price of accelerator hours and energy.
    Cost,
    /// Carbon.
    Carbon,
    /// Hours of all accelerators together.
    GpuHours,
}

words!(Objective, "objective": Energy = "energy", Time = "time", Cost = "cost", Carbon = "carbon", GpuHours = "gpu-hours");

impl Objective {
    /// The objective of a run on a system: J, s, the currency, g CO₂e or h.
    ///
    /// Price and carbon are of the energy of the facility where a PUE is known, else of the energy at `scope`.
    ///
    /// # Errors
    /// [`Error::Missing`] for a price or carbon intensity that the system does not state, and for the facility's energy without
    /// a PUE.
    pub(crate) fn weights(self, system: &System, scope: Scope) -> Result<Weights> {
        let drawn =
            || share_of_scope(system, if system.pue.is_some() { Scope::Facility } else { scope });
        match self {
            Self::Energy => share_of_scope(system, scope),
            Self::Time => Ok(Weights { energy: 0.0, time: 1.0 }),
            Self::GpuHours => {
                Ok(Weights { energy: 0.0, time: system.gpus as f64 / SECONDS_PER_HOUR })
            }
            Self::Carbon => {
                let intensity = system.carbon_g_per_kwh.ok_or_else(|| {
                    Error::missing(
                        "carbon_g_per_kwh",
                        "carbon is energy times an intensity (--carbon-intensity)",
                    )
                })?;
                Ok(drawn()?.scaled(intensity / JOULES_PER_KWH))
            }
            Self::Cost => {
                let rent = system.price_per_gpu_hour;
                let power = system.price_per_kwh;
                if rent.is_none() && power.is_none() {
                    return Err(Error::missing(
                        "price_per_gpu_hour",
                        "give the price of an accelerator's hour, of a kWh (--price-per-kwh), or both",
                    ));
                }
                let of_power = match power {
                    Some(price) => drawn()?.scaled(price / JOULES_PER_KWH),
                    None => Weights { energy: 0.0, time: 0.0 },
                };
                let of_hours = rent.unwrap_or(0.0) * system.gpus as f64 / SECONDS_PER_HOUR;
                Ok(Weights { time: of_power.time + of_hours, ..of_power })
            }
        }
    }

    /// The objective in a prediction.
    pub(super) const fn predicted(self, prediction: &Prediction) -> Option<Interval> {
        match self {
            Self::Energy => prediction.energy_j,
            Self::Time => prediction.duration_s,
            Self::Cost => prediction.cost,
            Self::Carbon => prediction.carbon_g,
            Self::GpuHours => prediction.gpu_hours,
        }
    }
}

/// A constraint on plans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Constraint {
    /// The longest time.
    Deadline,
    /// The highest price.
    Budget,
    /// The most energy.
    MaxEnergy,
    /// The most carbon.
    MaxCarbon,
}

words!(Constraint, "constraint": Deadline = "deadline", Budget = "budget", MaxEnergy = "max-energy", MaxCarbon = "max-carbon");

impl Constraint {
    /// All constraints.
    pub(super) const ALL: [Self; 4] =
        [Self::Deadline, Self::Budget, Self::MaxEnergy, Self::MaxCarbon];

    /// The unit of its limit.
    pub(super) const fn unit(self) -> &'static str {
        match self {
            Self::Deadline => "s",
            Self::Budget => "of the currency",
            Self::MaxEnergy => "J",
            Self::MaxCarbon => "g",
        }
    }

    /// The quantity that it limits.
    pub(super) const fn objective(self) -> Objective {
        match self {
            Self::Deadline => Objective::Time,
            Self::Budget => Objective::Cost,
            Self::MaxEnergy => Objective::Energy,
            Self::MaxCarbon => Objective::Carbon,
        }
    }
}

/// Limits that the expected values of every plan stay within.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Limits {
    /// Longest time in seconds.
    pub deadline_s: Option<f64>,
    /// Highest price, in the currency of the prices.
    pub budget: Option<f64>,
    /// Most energy in joules, at the scope that was asked for.
    pub max_energy_j: Option<f64>,
    /// Most carbon in grams of CO₂ equivalent.
    pub max_carbon_g: Option<f64>,
    /// Most accelerators.
    pub max_gpus: Option<u64>,
}

impl Limits {
    /// The limit of a constraint.
    pub(super) const fn of(&self, constraint: Constraint) -> Option<f64> {
        match constraint {
            Constraint::Deadline => self.deadline_s,
            Constraint::Budget => self.budget,
            Constraint::MaxEnergy => self.max_energy_j,
            Constraint::MaxCarbon => self.max_carbon_g,
        }
    }

    /// Checks that every limit can be met at all.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a limit that is not positive and finite.
    pub(super) fn check(&self) -> Result<()> {
        for constraint in Constraint::ALL {
            if let Some(limit) = self.of(constraint)
                && !(limit.is_finite() && limit > 0.0)
            {
                return Err(Error::invalid(
                    constraint.name(),
                    limit,
                    "it must be a positive number",
                ));
            }
        }
        match self.max_gpus {
            Some(0) => Err(Error::invalid("max-gpus", 0, "it must be 1 or more")),
            _ => Ok(()),
        }
    }
}

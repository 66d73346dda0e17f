//! The jobs of a space that can run, and what became of its other points.

use super::Space;
use crate::sampling::SeededRng;
use wattlaw::base::error::{Error, Result};
use wattlaw::job::catalog::Catalog;
use wattlaw::job::{Job, JobSpec};
use wattlaw::memory::Memory;

/// A job of a space.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// As the space describes it.
    pub spec: JobSpec,
    /// With names looked up and defaults filled in.
    pub job: Job,
}

/// A job that is predicted not to fit in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct TooLarge {
    /// The job.
    pub job: Job,
    /// What a GPU needs for it, in GiB.
    pub needed_gib: f64,
    /// What a GPU has to give, in GiB.
    pub capacity_gib: f64,
}

/// The jobs of a space, and what became of its other points.
#[derive(Debug, Clone, PartialEq)]
pub struct Jobs {
    /// Those that can run, in the order in which they were looked at.
    pub kept: Vec<Candidate>,
    /// Points of the grid.
    pub points: u64,
    /// Points that were looked at.
    pub examined: usize,
    /// Points that are no job, such as heads that do not divide the width.
    pub invalid: usize,
    /// Why the first of them is none.
    pub first_invalid: Option<String>,
    /// Jobs that are predicted not to fit in memory.
    pub too_large: Vec<TooLarge>,
}

impl Space {
    /// Looks at points until `limit` jobs were found that can run.
    ///
    /// # Errors
    /// [`Error::Data`] where none is a job that fits in memory, with the reason why the first is not.
    pub fn examine(
        &self,
        points: impl IntoIterator<Item = u64>,
        limit: usize,
        catalog: &Catalog,
    ) -> Result<Jobs> {
        let mut jobs = Jobs {
            kept: Vec::new(),
            points: self.points(),
            examined: 0,
            invalid: 0,
            first_invalid: None,
            too_large: Vec::new(),
        };
        for point in points {
            if jobs.kept.len() == limit {
                break;
            }
            jobs.examined += 1;
            let spec = self.spec(point);
            match spec.resolve(catalog) {
                Ok(job) => {
                    let memory = Memory::of(&job);
                    if memory.fits {
                        jobs.kept.push(Candidate { spec, job });
                    } else {
                        jobs.too_large.push(TooLarge {
                            job,
                            needed_gib: memory.needed.gib(),
                            capacity_gib: memory.capacity.gib(),
                        });
                    }
                }
                Err(error) => {
                    jobs.invalid += 1;
                    jobs.first_invalid.get_or_insert_with(|| error.to_string());
                }
            }
        }
        if jobs.kept.is_empty() {
            let reason = match jobs.first_invalid {
                Some(reason) => format!("{} are no jobs, the first because {reason}", jobs.invalid),
                None => "none fits in memory".to_owned(),
            };
            return Err(Error::Data(format!(
                "none of the {} points of the space that were looked at can run: {reason}",
                jobs.examined
            )));
        }
        Ok(jobs)
    }

    /// The jobs of all points, or of `most` points that are drawn with a seed where there are more.
    ///
    /// # Errors
    /// As [`Self::examine`].
    pub fn jobs(&self, catalog: &Catalog, limit: usize, seed: u64) -> Result<Jobs> {
        let points = SeededRng::new(seed).sample(self.points(), limit);
        self.examine(points, usize::MAX, catalog)
    }

    /// Whether a point is a job that fits in memory.
    pub fn can_run(&self, point: u64, catalog: &Catalog) -> bool {
        self.spec(point).resolve(catalog).is_ok_and(|job| Memory::of(&job).fits)
    }
}

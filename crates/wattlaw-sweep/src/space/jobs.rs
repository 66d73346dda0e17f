//! The jobs of a space that can run, and its excluded points.

use super::Space;
use crate::sampling::SeededRng;
use wattlaw::base::error::{Error, Result};
use wattlaw::job::catalog::Catalog;
use wattlaw::job::{Job, JobSpec};
use wattlaw::memory::Memory;

/// A job of a space.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Description in the space.
    pub spec: JobSpec,
    /// Resolved job.
    pub job: Job,
}

/// A job that is predicted not to fit in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct TooLarge {
    /// The job.
    pub job: Job,
    /// Memory needed per GPU, GiB.
    pub needed_gib: f64,
    /// Memory available per GPU, GiB.
    pub capacity_gib: f64,
}

/// The jobs of a space, and its excluded points.
#[derive(Debug, Clone, PartialEq)]
pub struct Jobs {
    /// Jobs that can run, in the order of examination.
    pub kept: Vec<Candidate>,
    /// Number of points of the grid.
    pub points: u64,
    /// Number of points examined.
    pub examined: usize,
    /// Number of points that are not valid jobs, such as heads that do not divide the hidden size.
    pub invalid: usize,
    /// Error of the first invalid point.
    pub first_invalid: Option<String>,
    /// Jobs that are predicted not to fit in memory.
    pub too_large: Vec<TooLarge>,
}

impl Space {
    /// Examines points until `limit` jobs that can run are found.
    ///
    /// # Errors
    /// [`Error::Data`] with the first reason if no point is a job that fits in memory.
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
                    let memory = Memory::for_job(&job);
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
                Some(reason) => format!("{} are not valid jobs; the first: {reason}", jobs.invalid),
                None => "none fits in memory".to_owned(),
            };
            return Err(Error::Data(format!(
                "none of the {} examined points of the space can run: {reason}",
                jobs.examined
            )));
        }
        Ok(jobs)
    }

    /// The jobs of all points, or of a seeded sample of `limit` points from a larger space.
    ///
    /// # Errors
    /// As [`Self::examine`].
    pub fn jobs(&self, catalog: &Catalog, limit: usize, seed: u64) -> Result<Jobs> {
        let points = SeededRng::new(seed).sample(self.points(), limit);
        self.examine(points, usize::MAX, catalog)
    }

    /// Whether a point is a job that fits in memory.
    pub(crate) fn can_run(&self, point: u64, catalog: &Catalog) -> bool {
        self.spec(point).resolve(catalog).is_ok_and(|job| Memory::for_job(&job).fits)
    }
}

//! The joint uncertainty of several jobs. What their estimates share cancels where they are compared: the parameters of a
//! chip that both run on, a framework that neither has runs of.

use nalgebra::{DMatrix, DVector};

use super::conditional::{Gradients, Workspace};
use super::fitted::{Answer, RooflineFit};
use super::groups::Level;
use super::posterior::{SHARE_OF_CONFIGURATION, missed_group};
use super::terms::Terms;
use crate::base::scope::Scope;

/// A job among those that are compared.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Compared<'a> {
    /// The law of its groups.
    pub answer: &'a Answer<'a>,
    /// Its inputs.
    pub terms: &'a Terms,
    /// Variances that ln time and ln power gain outside the fitted ranges, and by methods without runs.
    pub beyond: [f64; 2],
}

/// What the uncertainty of a job's two estimates consists of.
struct Parts {
    /// Slopes of ln time and ln power in the fit's vector, times its factor.
    fitted: [DVector<f64>; 2],
    gradients: Gradients,
    /// Shares of the standard deviations that runs near the job leave.
    left: [f64; 2],
}

impl RooflineFit {
    /// The covariance of ln time and ln power of the accelerators of several jobs: of job i in rows 2 i and 2 i + 1.
    ///
    /// Its diagonal has the variances of [`Answer::estimate`] and those beyond the runs. Jobs share the fitted parameters and,
    /// where neither has runs of their group, what the law misses of it, except for the share that differs from configuration to
    /// configuration. Of two of those they share the smaller.
    pub(crate) fn joint(&self, jobs: &[Compared<'_>]) -> DMatrix<f64> {
        let mut workspace = Workspace::default();
        let parts: Vec<Parts> = jobs.iter().map(|job| self.parts_of(job, &mut workspace)).collect();
        let mut covariance = DMatrix::zeros(2 * jobs.len(), 2 * jobs.len());
        for (i, a) in jobs.iter().enumerate() {
            for (j, b) in jobs.iter().enumerate().take(i + 1) {
                for r in 0..2 {
                    for s in 0..2 {
                        let both = self.covariance(a, &parts[i], r, b, &parts[j], s, i == j);
                        covariance[(2 * i + r, 2 * j + s)] = both;
                        covariance[(2 * j + s, 2 * i + r)] = both;
                    }
                }
            }
        }
        covariance
    }

    fn parts_of(&self, job: &Compared<'_>, workspace: &mut Workspace) -> Parts {
        let conditional = job.answer.conditional();
        let gradients = workspace.gradients(&conditional.parameters, job.terms, Scope::Gpu);
        let columns = self.posterior.layout.columns(&conditional.groups);
        let factor = &self.posterior.factor;
        let fitted = [0, 1].map(|r| {
            let mut sum = DVector::zeros(factor.ncols());
            for (at, k) in &columns {
                let slope = gradients.slopes[*k][r];
                for j in 0..=*at {
                    sum[j] += factor[(*at, j)] * slope;
                }
            }
            sum
        });
        let physics = conditional.estimate(job.terms, Scope::Gpu, workspace);
        let local = job.answer.estimate(job.terms, Scope::Gpu, workspace).estimate;
        let left = [
            (local.variance_time / physics.variance_time).sqrt(),
            (local.variance_power / physics.variance_power).sqrt(),
        ];
        Parts { fitted, gradients, left }
    }

    /// The covariance of response `r` of one job and response `s` of another, or of the same job.
    #[expect(clippy::too_many_arguments, reason = "two jobs with a part and a response each")]
    fn covariance(
        &self,
        a: &Compared<'_>,
        of_a: &Parts,
        r: usize,
        b: &Compared<'_>,
        of_b: &Parts,
        s: usize,
        same: bool,
    ) -> f64 {
        let (first, second) = (a.answer.conditional(), b.answer.conditional());
        let mut both = of_a.fitted[r].dot(&of_b.fitted[s]);
        let mut missed = 0.0;
        for level in Level::LEVELS {
            let unseen = |groups| !self.posterior.knows(level, groups);
            let group = first.groups.of(level) == second.groups.of(level);
            if !group || !unseen(&first.groups) {
                continue;
            }
            let spreads = &self.posterior.spreads[level.index()];
            for (spread, k) in spreads.iter().zip(self.posterior.layout.parameters(level)) {
                both +=
                    spread * spread * of_a.gradients.slopes[*k][r] * of_b.gradients.slopes[*k][s];
            }
            missed += (1.0 - SHARE_OF_CONFIGURATION.powi(2)) * missed_group(level)[r].powi(2);
        }
        if r == s {
            both += if same { first.missed[r] } else { missed };
        }
        both *= of_a.left[r] * of_b.left[s];
        if r == s { both + a.beyond[r].min(b.beyond[r]) } else { both }
    }
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;

    use super::*;
    use crate::calibration::{Laws, built_in};
    use crate::job::JobSpec;
    use crate::job::catalog::Catalog;
    use crate::law::roofline::Groups;

    /// The diagonal is what each job's own estimate states; a job has all of its uncertainty in common with itself, and less with
    /// one on another chip than with one on its own.
    #[test]
    fn the_diagonal_is_each_jobs_own_variance() {
        let calibration = built_in().unwrap();
        let Laws::Roofline(law) = &calibration.law else { panic!("the built-in law is one") };
        let catalog = Catalog::built_in().unwrap();
        let jobs: Vec<_> =
            [("a100-sxm4-80gb", 4), ("a100-sxm4-80gb", 8), ("h100-sxm5-80gb", 8), ("t4", 8)]
                .into_iter()
                .map(|(gpu, gpus)| {
                    let text = format!(
                        "model.name = 'gpt2-xl'
                     workload = {{ tokens = '1B', seq_len = 1024, micro_batch = 4 }}
                     parallelism.strategy = 'fsdp'
                     system = {{ gpu = '{gpu}', gpus = {gpus} }}"
                    );
                    let precise =
                        text.replace("micro_batch = 4", "micro_batch = 4, precision = 'fp16'");
                    JobSpec::from_toml(&precise).unwrap().resolve(&catalog).unwrap()
                })
                .collect();
        let terms: Vec<Terms> = jobs.iter().map(Terms::for_job).collect();
        let answers: Vec<_> = jobs.iter().map(|job| law.answer(&Groups::for_job(job))).collect();
        let compared: Vec<Compared<'_>> = answers
            .iter()
            .zip(&terms)
            .map(|(answer, terms)| Compared { answer, terms, beyond: [0.02, 0.01] })
            .collect();
        let joint = law.joint(&compared);
        let mut workspace = Workspace::default();
        for (i, Compared { answer, terms, beyond }) in compared.iter().enumerate() {
            let own = answer.estimate(terms, Scope::Gpu, &mut workspace).estimate;
            let diagonal = [joint[(2 * i, 2 * i)], joint[(2 * i + 1, 2 * i + 1)]];
            assert_relative_eq!(diagonal[0], own.variance_time + beyond[0], max_relative = 1e-6);
            assert_relative_eq!(diagonal[1], own.variance_power + beyond[1], max_relative = 1e-6);
            assert_relative_eq!(
                joint[(2 * i, 2 * i + 1)],
                own.covariance,
                max_relative = 1e-6,
                epsilon = 1e-9
            );
        }
        let correlation = |i: usize, j: usize| {
            joint[(2 * i, 2 * j)] / (joint[(2 * i, 2 * i)] * joint[(2 * j, 2 * j)]).sqrt()
        };
        assert!(correlation(0, 1) > correlation(0, 2) && correlation(0, 1) < 1.0);
        assert!(joint.symmetric_eigenvalues().min() > -1e-9);
    }
}

//! Coverage of cluster-robust intervals with few configuration families, simulated with a fixed generator.

#![allow(clippy::unwrap_used, reason = "helper functions of a test")]

use nalgebra::DMatrix;

use wattlaw::stats::inference::Reference;
use wattlaw::stats::ols::{Covariance, Ols};

/// Tables per case; the standard error of a coverage of 95 % is then 0.7 %.
const TABLES: usize = 1000;

/// Standard normal numbers by Box and Muller's transform.
struct Normal(rand_mt::Mt);

impl Normal {
    fn draw(&mut self) -> f64 {
        let mut uniform = || (f64::from(self.0.next_u32()) + 0.5) / 2f64.powi(32);
        let radius = (-2.0 * uniform().ln()).sqrt();
        radius * (std::f64::consts::TAU * uniform()).cos()
    }
}

/// Shares of 95 % intervals that hold the true value zero of a term that varies between families and of one that
/// varies within them: by CR1 with the normal distribution, by CR1 with t(G − 1), and by CR2.
fn coverage(sizes: &[usize], seed: u32) -> [[f64; 2]; 3] {
    let mut normal = Normal(rand_mt::Mt::new(seed));
    let groups: Vec<usize> = sizes.iter().enumerate().flat_map(|(g, n)| vec![g; *n]).collect();
    let names: Vec<String> = ["Intercept", "between", "within"].map(str::to_owned).to_vec();
    let mut inside = [[0; 2]; 3];
    for _ in 0..TABLES {
        // each family has a term, an offset and a slope of its own
        let families: Vec<[f64; 3]> =
            sizes.iter().map(|_| [normal.draw(), normal.draw(), 0.5 * normal.draw()]).collect();
        let within: Vec<f64> = groups.iter().map(|_| normal.draw()).collect();
        let x = DMatrix::from_fn(groups.len(), 3, |i, j| match j {
            0 => 1.0,
            1 => families[groups[i]][0],
            _ => within[i],
        });
        let y: Vec<f64> = groups
            .iter()
            .zip(&within)
            .map(|(g, w)| families[*g][1] + families[*g][2] * w + 0.5 * normal.draw())
            .collect();
        let fit = Ols::fit(&x, &y, &names).unwrap();
        let clusters = fit.clusters(&groups).unwrap();
        let cluster = Covariance::Cluster(&clusters);
        let inferred = [
            fit.infer_with(cluster, &[Reference::Normal; 3], 0.95).unwrap(),
            fit.infer(cluster, 0.95).unwrap(),
            fit.infer(Covariance::Cr2(&clusters), 0.95).unwrap(),
        ];
        for (inside, inferred) in inside.iter_mut().zip(&inferred) {
            for (inside, e) in inside.iter_mut().zip(&inferred[1..]) {
                *inside += usize::from(e.low <= 0.0 && 0.0 <= e.high);
            }
        }
    }
    inside.map(|of| of.map(|n| n as f64 / TABLES as f64))
}

#[test]
fn eight_families_of_like_size() {
    let [normal, t, cr2] = coverage(&[3, 4, 4, 5, 5, 6, 6, 7], 1);
    println!("normal {normal:?}, t {t:?}, cr2 {cr2:?}");
    assert!(normal.iter().all(|c| (0.78..0.91).contains(c)), "{normal:?}");
    assert!(t.iter().zip(&normal).all(|(t, normal)| t - normal > 0.03), "{t:?}");
    assert!(cr2.iter().all(|c| (0.93..0.98).contains(c)), "{cr2:?}");
}

#[test]
fn eight_families_of_unequal_size() {
    let [normal, _, cr2] = coverage(&[40, 24, 14, 9, 5, 3, 2, 2], 2);
    println!("normal {normal:?}, cr2 {cr2:?}");
    assert!(normal.iter().all(|c| *c < 0.85), "{normal:?}");
    assert!(cr2.iter().all(|c| (0.92..0.98).contains(c)), "{cr2:?}");
}

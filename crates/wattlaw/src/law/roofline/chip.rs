//! What accelerators of one chip share.

use crate::base::units::Watts;
use crate::job::system::Accelerator;

/// The largest board of each chip: its TDP in watts and its dense peak in 16 bits in TFLOP/s. Boards of one chip differ
/// in clock and power limit, not in the energy of a FLOP.
///
/// Source: the catalogue's rows, which a test compares.
const LARGEST_BOARDS: [(&str, f64, f64); 25] = [
    ("TU104", 70.0, 65.13),
    ("TU102 GeForce", 250.0, 53.8),
    ("GV100", 300.0, 125.0),
    ("GA100", 400.0, 312.0),
    ("GA102", 300.0, 154.8),
    ("GA102 GeForce", 350.0, 71.0),
    ("AD104", 72.0, 121.0),
    ("AD102", 350.0, 362.05),
    ("AD102 GeForce", 450.0, 165.15),
    // GH200's 1,000 W include the CPU
    ("GH100", 700.0, 989.5),
    ("GB100", 1000.0, 2250.0),
    // half of the superchip's 2,700 W
    ("GB100 Grace", 1350.0, 2500.0),
    ("GB202", 600.0, 503.8),
    ("GB202 GeForce", 575.0, 209.6),
    ("GB203 GeForce", 360.0, 112.56),
    ("Aldebaran", 500.0, 383.0),
    ("Aqua Vanjaram", 750.0, 1307.4),
    ("Aqua Vanjaram MI325X", 1000.0, 1307.4),
    ("TU102", 260.0, 130.5),
    // the SXM2 board of published tables
    ("GP100", 300.0, 21.2),
    ("Blackwell Ultra", 1400.0, 2250.0),
    ("CDNA4 MI350", 1400.0, 2516.6),
    ("Gaudi 2", 600.0, 432.0),
    ("Gaudi 3", 900.0, 1835.0),
    // the measured maximum
    ("TPU v4", 192.0, 275.0),
];

/// The chip's name; the accelerator's own where the catalogue does not state it.
pub(crate) fn name(accelerator: &Accelerator) -> &str {
    accelerator.chip.as_deref().unwrap_or(&accelerator.name)
}

/// TDP over peak in 16 bits of the chip's largest board, in joules a FLOP; of the accelerator itself for a chip that is
/// not known, of which `tdp` is the power.
pub(super) fn flop_energy(accelerator: &Accelerator, tdp: Watts) -> f64 {
    let chip = name(accelerator);
    let known = LARGEST_BOARDS.iter().find(|(known, ..)| *known == chip);
    match known {
        Some((_, tdp_w, tflops)) => tdp_w / (tflops * 1e12),
        None => tdp.value() / accelerator.half_peak().value(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::catalog::Catalog;

    #[test]
    fn the_largest_boards_are_the_catalogues() {
        let catalog = Catalog::built_in().unwrap();
        for accelerator in catalog.accelerators.all().unwrap() {
            let Some(of_board) = accelerator.tdp_w else { continue };
            let (_, tdp_w, tflops) =
                LARGEST_BOARDS.iter().find(|(chip, ..)| *chip == name(accelerator)).unwrap();
            assert!(accelerator.half_peak().value() <= tflops * 1e12, "{}", accelerator.name);
            let with_cpu = accelerator.name.starts_with("gh200");
            assert!(with_cpu || of_board <= *tdp_w, "{}", accelerator.name);
        }
    }
}

//! What a node draws besides its accelerators, and what is lost before it: assumed figures with their sources.
//!
//! No job file states most of these, so each has a standard deviation that says how far it is to be trusted.

use crate::base::units::Watts;
use crate::job::system::System;

/// An assumed figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Assumed {
    /// The figure; positive.
    pub value: f64,
    /// Standard deviation of its natural logarithm.
    pub log_sd: f64,
    /// What it rests on.
    pub source: &'static str,
}

/// Mean power of a node besides its accelerators while they train, behind its power supplies, as a share of the
/// accelerators' TDP: CPUs, memory, switches, adapters, disks, fans and voltage conversion.
///
/// It is taken as the same for the whole run, since most of it hardly depends on the load. Behind supplies of 96 %
/// efficiency, two nodes of eight H100 cooled by air give 0.44 (8.4 kW at most with the accelerators at 700 W: Latif et
/// al., arXiv 2412.08602) and 0.43 (76 % of 10.2 kW with the accelerators at nine tenths of 700 W: Newkirk et al., arXiv
/// 2506.14551), and one cooled by immersion gives 0.28 (2.4 kW at idle with accelerators at some 90 W each: power before
/// the BERT runs of MLPerf Training v4.0). DGX H100 is rated at most 10.2 kW, which bounds it by 0.75. At the plug and
/// with accelerators at nine tenths of TDP, 0.38 is 0.43 of TDP with all losses: 2.4 kW.
pub const HOST_SHARE: Assumed = Assumed {
    value: 0.38,
    log_sd: 0.2,
    source: "metered 8 x H100 nodes: 0.28 to 0.44 of the GPUs' TDP (arXiv 2412.08602, arXiv 2506.14551, MLPerf v4.0 BERT \
             at idle)",
};

/// TDP of the accelerators of the nodes behind [`HOST_SHARE`], in watts.
const METERED_TDP_W: f64 = 8.0 * 700.0;

/// Standard deviation that [`HOST_SHARE`] gains for each factor of e between a node's TDP and that of metered nodes.
///
/// Assumed: a node of one or two small accelerators has fans, a board and CPUs too, so that its share may be several
/// times as large.
const HOST_SHARE_LOG_SD_A_FACTOR: f64 = 0.25;

/// Standard deviation of the logarithm of a stated `host_power_w`: a figure of one state of the node.
///
/// Assumed; power besides the accelerators moves by some 10 % between idle and load.
const STATED_LOG_SD: f64 = 0.1;

/// CPU packages and memory as a share of what a node draws besides its accelerators.
pub const DEVICES_SHARE: Assumed = Assumed {
    value: 0.21,
    log_sd: 0.5,
    source: "assumed: in a DGX H100 two CPUs of 350 W TDP at 45 % and 32 memory modules of 4 W, 440 of 2,130 W",
};

/// CPU and memory of a node in CodeCarbon's model, in watts.
pub const CODECARBON_W: Assumed = Assumed {
    value: 41.0,
    log_sd: 0.5,
    source: "fitted to runs of arXiv 2606.23546; CodeCarbon's methodology: half the CPUs' TDP, 42.5 W where unknown, and \
             3 W for 8 GB of memory",
};

/// Efficiency of power supplies.
pub const SUPPLY_EFFICIENCY: Assumed = Assumed {
    value: 0.96,
    log_sd: 0.015,
    source: "80 PLUS Titanium, 230 V redundant: 94 % at 20 % load, 96 % at half load, 91 % at full load",
};

/// Standard deviation of the logarithm of a stated PUE.
///
/// Assumed: it is a mean over a year, and a run takes place in one season.
pub const PUE_LOG_SD: f64 = 0.03;

impl System {
    /// Mean power of one node besides its accelerators, behind its power supplies, in watts: the stated one, or else
    /// [`HOST_SHARE`] of the TDP of the accelerators in use.
    pub fn node_host_power(&self) -> Assumed {
        if let Some(stated) = self.host_power {
            return Assumed {
                value: stated.value(),
                log_sd: STATED_LOG_SD,
                source: "host_power_w of the system",
            };
        }
        let tdp = self.node_tdp().value();
        let distance = (tdp / METERED_TDP_W).ln();
        Assumed {
            value: HOST_SHARE.value * tdp,
            log_sd: HOST_SHARE.log_sd.hypot(HOST_SHARE_LOG_SD_A_FACTOR * distance),
            source: HOST_SHARE.source,
        }
    }

    /// TDP of the accelerators of one node that the job uses.
    fn node_tdp(&self) -> Watts {
        self.tdp * self.gpus_per_node as f64
    }
}

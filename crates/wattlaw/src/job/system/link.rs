//! The kind of link between the accelerators of a node.

use crate::base::words::words;

/// The kind of link between the accelerators of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LinkKind {
    /// NVLink, through switches or from GPU to GPU.
    NvLink,
    /// AMD's Infinity Fabric.
    InfinityFabric,
    /// The links of a TPU's pod.
    Ici,
    /// Ethernet ports of the accelerator itself.
    Roce,
    /// PCI Express, through switches or the host.
    Pcie,
}

words!(LinkKind, "link": NvLink = "nvlink", InfinityFabric = "infinity-fabric", Ici = "ici", Roce = "roce",
    Pcie = "pcie");

//! The kind of network between nodes, from its name.

use crate::base::words::words;

/// The kind of network between nodes: how much of its rate a collective reaches depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NetworkKind {
    /// InfiniBand.
    Infiniband,
    /// Ethernet, with RDMA (RoCE) or without.
    Ethernet,
    /// Amazon's Elastic Fabric Adapter.
    Efa,
    /// Omni-Path.
    OmniPath,
    /// Not stated, or another one, such as Slingshot.
    Unknown,
}

words!(NetworkKind, "kind of network": Infiniband = "infiniband" | "ib", Ethernet = "ethernet" | "roce",
    Efa = "efa", OmniPath = "omni-path" | "opa", Unknown = "unknown");

impl NetworkKind {
    /// The kind that a network's name states: a name is free text, such as `ib`, `HDR InfiniBand` or `4x100G Omni-Path`.
    /// The kind is unknown where the name has no kind, or several.
    pub fn of_name(name: &str) -> Self {
        let name = name.to_lowercase().replace(['_', ' '], "-").replace("omni-path", "opa");
        let mut kinds = name
            .split(|c: char| !c.is_ascii_alphanumeric())
            .filter_map(|word| word.replace("omnipath", "opa").parse().ok())
            .filter(|kind| *kind != Self::Unknown);
        match kinds.next() {
            Some(kind) if kinds.all(|other| other == kind) => kind,
            Some(_) | None => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_states_its_kind_in_any_spelling() {
        for (name, kind) in [
            ("infiniband", NetworkKind::Infiniband),
            ("IB", NetworkKind::Infiniband),
            ("HDR InfiniBand", NetworkKind::Infiniband),
            ("InfiniBand, NDR (IB)", NetworkKind::Infiniband),
            ("RoCE v2", NetworkKind::Ethernet),
            ("100 Gb/s ethernet", NetworkKind::Ethernet),
            ("EFA", NetworkKind::Efa),
            ("4 x 100G Omni-Path", NetworkKind::OmniPath),
            ("omni_path", NetworkKind::OmniPath),
            ("OmniPath", NetworkKind::OmniPath),
            ("OPA 100", NetworkKind::OmniPath),
            ("Slingshot", NetworkKind::Unknown),
            ("network", NetworkKind::Unknown),
            ("tibet", NetworkKind::Unknown),
            ("InfiniBand or Ethernet", NetworkKind::Unknown),
            ("", NetworkKind::Unknown),
        ] {
            assert_eq!(NetworkKind::of_name(name), kind, "{name}");
        }
    }
}

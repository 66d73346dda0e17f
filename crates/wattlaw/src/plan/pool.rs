//! Machines to choose from: accelerators with the numbers of them that there are.

use std::str::FromStr;

use serde::Deserialize;

use crate::base::error::{Error, Result};
use crate::base::toml_text;
use crate::job::system::SystemSpec;

/// Machines of one kind.
#[derive(Debug, Clone, PartialEq)]
pub struct Pool {
    /// The kind: an accelerator or a system of the catalogue, its links and prices.
    pub system: SystemSpec,
    /// How many accelerators a plan may use.
    pub counts: GpuCounts,
}

/// Numbers of accelerators: a list of numbers and ranges, such as `8..64` (both ends included) or `4,8,16`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpuCounts(Vec<(u64, u64)>);

/// The most accelerators of a plan.
const MAX_GPUS: u64 = 1 << 24;

/// The most different numbers of accelerators of a pool.
const MAX_COUNTS: u64 = 4096;

impl GpuCounts {
    /// One number.
    pub fn one(gpus: u64) -> Self {
        Self(vec![(gpus, gpus)])
    }

    /// The number, where it is only one.
    pub fn single(&self) -> Option<u64> {
        match self.0.as_slice() {
            [(first, last)] if first == last => Some(*first),
            _ => None,
        }
    }

    /// From one accelerator to `most`.
    pub fn up_to(most: u64) -> Self {
        Self(vec![(1, most)])
    }

    /// The numbers in rising order, at most `most`, on nodes of `per_node` accelerators: a stated number as it is; of a range the whole
    /// nodes, and the powers of two below a node.
    ///
    /// # Errors
    /// [`Error::Invalid`] where a range has more than 4,096 numbers of nodes.
    pub(super) fn within(&self, per_node: u64, most: u64) -> Result<Vec<u64>> {
        let mut counts = Vec::new();
        for (first, last) in &self.0 {
            if first == last {
                counts.push(*first);
                continue;
            }
            let last = (*last).min(most);
            if last / per_node > MAX_COUNTS {
                return Err(Error::invalid(
                    "gpus",
                    format!("{first}..{last}"),
                    format!(
                        "a range has at most {MAX_COUNTS} nodes; list the numbers, such as 64,256,1024"
                    ),
                ));
            }
            let powers =
                (0..).map(|power| 1_u64 << power).take_while(|n| *n < per_node.min(last + 1));
            let nodes = (1..=last / per_node).map(|nodes| nodes * per_node);
            counts.extend(powers.chain(nodes).filter(|n| (first..=&last).contains(&n)));
        }
        counts.retain(|n| *n <= most);
        counts.sort_unstable();
        counts.dedup();
        Ok(counts)
    }
}

impl FromStr for GpuCounts {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let expected = "a number of accelerators, a list such as 4,8,16, or a range such as 8..64 (both ends included)";
        let wrong = || Error::invalid("gpus", format!("`{text}`"), expected);
        let number = |text: &str| match text.trim().parse::<u64>() {
            Ok(n) if (1..=MAX_GPUS).contains(&n) => Ok(n),
            _ => Err(wrong()),
        };
        let ranges = text
            .split(',')
            .map(|part| match part.split_once("..") {
                None => number(part).map(|n| (n, n)),
                Some((first, last)) => {
                    Ok((number(first)?, number(last.strip_prefix('=').unwrap_or(last))?))
                }
            })
            .collect::<Result<Vec<_>>>()?;
        if ranges.iter().any(|(first, last)| first > last) {
            return Err(wrong());
        }
        Ok(Self(ranges))
    }
}

/// The machines that there are, from a file: a `[[system]]` table each, as in a job file, where `nodes` is how many there are.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inventory {
    /// The kinds of machines.
    pub system: Vec<SystemSpec>,
}

impl Inventory {
    /// Reads an inventory.
    ///
    /// # Errors
    /// [`Error::Syntax`] with line and column; [`Error::Missing`] where a kind does not say how many there are.
    pub fn from_toml(text: &str) -> Result<Self> {
        let inventory: Self = toml_text::parse(text)?;
        let open = |system: &SystemSpec| system.nodes.is_none() && system.gpus.is_none();
        if inventory.system.iter().any(open) {
            return Err(Error::missing(
                "nodes",
                "each [[system]] of an inventory says how many nodes there are",
            ));
        }
        Ok(inventory)
    }

    /// The kinds, each with any number of accelerators up to those there are.
    pub fn pools(&self) -> Vec<Pool> {
        let most = |system: &SystemSpec| {
            let per_node = system.gpus_per_node.unwrap_or(8);
            system.gpus.or(system.nodes.map(|nodes| nodes.saturating_mul(per_node)))
        };
        self.system
            .iter()
            .map(|system| Pool {
                counts: GpuCounts::up_to(most(system).unwrap_or(1)),
                system: SystemSpec { gpus: None, nodes: None, ..system.clone() },
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(text: &str, per_node: u64) -> Vec<u64> {
        text.parse::<GpuCounts>().unwrap().within(per_node, 1 << 20).unwrap()
    }

    #[test]
    fn a_range_has_both_ends_and_whole_nodes() {
        assert_eq!(counts("8..32", 8), [8, 16, 24, 32]);
        assert_eq!(counts("1..16", 8), [1, 2, 4, 8, 16]);
        assert_eq!(counts("2..=4", 4), [2, 4]);
        assert_eq!(counts("6", 8), [6]);
        assert_eq!(counts("16,4,4", 8), [4, 16]);
        let some: GpuCounts = "8..64".parse().unwrap();
        assert_eq!(some.within(8, 20).unwrap(), [8, 16]);
    }

    #[test]
    fn what_is_no_number_of_accelerators_is_refused() {
        for text in ["", "0", "8..4", "a", "1..", "-1", "99999999999"] {
            let error = text.parse::<GpuCounts>().unwrap_err().to_string();
            assert!(error.contains("both ends included"), "{text}: {error}");
        }
        let wide: GpuCounts = "1..10000000".parse().unwrap();
        assert!(wide.within(8, 1 << 24).unwrap_err().to_string().contains("4096 nodes"));
    }

    #[test]
    fn an_inventory_says_how_many_there_are() {
        let text = "[[system]]\ngpu = 'h100-sxm5-80gb'\nnodes = 2\n[[system]]\ngpu = 't4'\ngpus_per_node = 4\nnodes = 1";
        let pools = Inventory::from_toml(text).unwrap().pools();
        assert_eq!(pools[0].counts.within(8, 99).unwrap(), [1, 2, 4, 8, 16]);
        assert_eq!(pools[1].counts.within(4, 99).unwrap(), [1, 2, 4]);
        assert!(
            Inventory::from_toml("[[system]]\ngpu = 't4'")
                .unwrap_err()
                .to_string()
                .contains("nodes")
        );
        assert!(Inventory::from_toml("[[node]]\ngpu = 't4'").is_err());
    }
}

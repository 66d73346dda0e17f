//! Selection of GPUs by index or UUID, and CUDA's rules for `CUDA_VISIBLE_DEVICES`.

use std::str::FromStr;

/// GPUs selected on the command line: indices or UUIDs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection(Vec<Name>);

/// Name of a GPU.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Name {
    /// Index.
    Index(usize),
    /// UUID or its prefix.
    Uuid(String),
    /// A MIG instance.
    Mig(String),
}

/// GPUs visible under `CUDA_VISIBLE_DEVICES`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Visible {
    /// Indices of GPUs, in the order of the variable.
    pub gpus: Vec<usize>,
    /// A note for the user.
    pub note: Option<String>,
    /// Whether the program sees a MIG instance, which cannot be measured.
    pub partition: bool,
}

impl FromStr for Selection {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = text.split(',').map(|text| match Name::read(text) {
            Some(Name::Mig(name)) => Err(mig(&name)),
            Some(name) => Ok(name),
            None => Err(format!(
                "`{text}` is not a GPU; use indices such as 0,1 or UUIDs such as GPU-8932f937"
            )),
        });
        Ok(Self(names.collect::<Result<_, _>>()?))
    }
}

impl Selection {
    /// The distinct indices of the selected GPUs among GPUs with these UUIDs.
    ///
    /// # Errors
    /// A message about an unknown or ambiguous name.
    pub fn among(&self, uuids: &[String]) -> Result<Vec<usize>, String> {
        let mut found = Vec::new();
        for name in &self.0 {
            let index = name.find(uuids).map_err(|why| {
                let available = match uuids.len() {
                    0 => "no GPU".to_owned(),
                    1 => "GPU 0".to_owned(),
                    n => format!("GPUs 0 to {}", n - 1),
                };
                format!("{why}; this machine has {available}")
            })?;
            if !found.contains(&index) {
                found.push(index);
            }
        }
        Ok(found)
    }
}

/// The GPUs that are visible to a program with this value of `CUDA_VISIBLE_DEVICES`, among GPUs with these UUIDs.
///
/// Rules of the CUDA C++ Programming Guide (section "CUDA Environment Variables"): the names are indices, UUIDs or UUID prefixes, and
/// everything after the first invalid name is ignored.
pub fn visible(value: &str, uuids: &[String]) -> Visible {
    let mut visible = Visible::default();
    for text in value.split(',').map(str::trim) {
        let found = match Name::read(text) {
            Some(Name::Mig(name)) => {
                visible.note = Some(format!("CUDA_VISIBLE_DEVICES: {}", mig(&name)));
                visible.partition = true;
                break;
            }
            Some(name) => name.find(uuids),
            // -1 or an empty value hides all GPUs on purpose, so no note
            None if text == "-1" || value.trim().is_empty() => break,
            None => Err(format!("`{text}` is not a GPU")),
        };
        match found {
            Ok(index) if visible.gpus.contains(&index) => {}
            Ok(index) => visible.gpus.push(index),
            Err(why) => {
                visible.note = Some(format!(
                    "CUDA_VISIBLE_DEVICES: {why}; CUDA ignores this and all later names"
                ));
                break;
            }
        }
    }
    visible
}

impl Name {
    fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Ok(index) = text.parse() {
            return Some(Self::Index(index));
        }
        if text.starts_with("MIG-") {
            return Some(Self::Mig(text.to_owned()));
        }
        (text.len() > 4 && text.starts_with("GPU-")).then(|| Self::Uuid(text.to_owned()))
    }

    fn find(&self, uuids: &[String]) -> Result<usize, String> {
        match self {
            Self::Index(index) if *index < uuids.len() => Ok(*index),
            Self::Index(index) => Err(format!("there is no GPU {index}")),
            Self::Mig(name) => Err(mig(name)),
            Self::Uuid(start) => {
                let mut matching =
                    (0..uuids.len()).filter(|&i| uuids[i].starts_with(start.as_str()));
                match (matching.next(), matching.next()) {
                    (Some(index), None) => Ok(index),
                    (None, _) => Err(format!("there is no GPU `{start}`")),
                    (Some(a), Some(b)) => Err(format!("`{start}` matches GPU {a} and GPU {b}")),
                }
            }
        }
    }
}

fn mig(name: &str) -> String {
    format!(
        "`{name}` is a MIG instance, whose energy cannot be measured separately; only a whole GPU can be measured"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uuids() -> Vec<String> {
        ["GPU-aaaa-1", "GPU-aabb-2", "GPU-cccc-3"].map(str::to_owned).to_vec()
    }

    fn selected(text: &str) -> Result<Vec<usize>, String> {
        text.parse::<Selection>()?.among(&uuids())
    }

    #[test]
    fn gpus_are_named_by_index_or_uuid() {
        assert_eq!(selected("0,2"), Ok(vec![0, 2]));
        assert_eq!(selected(" 2 , GPU-aaaa-1, 2"), Ok(vec![2, 0]));
        assert_eq!(selected("GPU-cc"), Ok(vec![2]));
    }

    #[test]
    fn an_invalid_selection_is_refused() {
        assert_eq!(selected("3").unwrap_err(), "there is no GPU 3; this machine has GPUs 0 to 2");
        assert_eq!(
            selected("GPU-aa").unwrap_err(),
            "`GPU-aa` matches GPU 0 and GPU 1; this machine has GPUs 0 to 2"
        );
        for wrong in ["", "0,", "-1", "gpu0", "GPU-", "0 1"] {
            assert!(selected(wrong).unwrap_err().contains("use indices"), "{wrong}");
        }
        assert!(selected("MIG-1c").unwrap_err().contains("only a whole GPU can be measured"));
        assert!("0".parse::<Selection>().unwrap().among(&[]).unwrap_err().ends_with("has no GPU"));
    }

    #[test]
    fn visible_devices_follow_cudas_rules() {
        let seen = |value: &str| visible(value, &uuids()).gpus;
        assert_eq!(seen("2,0"), [2, 0]);
        assert_eq!(seen("GPU-cccc,1"), [2, 1]);
        assert_eq!(seen("0,-1,2"), [0]);
        assert_eq!(seen("0,7,2"), [0]);
        assert_eq!(seen("GPU-aa,2"), [0usize; 0]);
        for hidden in ["", "-1", "NoDevFiles", "MIG-1c/1/0"] {
            assert_eq!(seen(hidden), [0usize; 0], "{hidden}");
        }
        let note = |value: &str| visible(value, &uuids()).note;
        assert_eq!(note("-1"), None);
        assert_eq!(note("0,1"), None);
        assert!(note("0,7").unwrap().contains("there is no GPU 7"));
        assert!(note("MIG-1c").unwrap().contains("MIG instance"));
        assert!(visible("MIG-1c", &uuids()).partition && !visible("0,7", &uuids()).partition);
    }
}

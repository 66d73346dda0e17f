//! Which GPUs are meant: indices, UUIDs and what CUDA makes of `CUDA_VISIBLE_DEVICES`.

use std::str::FromStr;

/// GPUs as they are named on the command line: indices or UUIDs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection(Vec<Name>);

/// One GPU's name.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Name {
    /// NVML's index: the order on the bus.
    Index(u32),
    /// A UUID or the start of one.
    Uuid(String),
}

impl FromStr for Selection {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = text.split(',').map(str::trim).map(|name| match name.parse() {
            Ok(index) => Ok(Name::Index(index)),
            Err(_) if name.starts_with("GPU-") => Ok(Name::Uuid(name.to_owned())),
            Err(_) => Err(format!(
                "`{name}` is no GPU; write indices such as 0,1 or UUIDs such as GPU-8932f937"
            )),
        });
        Ok(Self(names.collect::<Result<_, _>>()?))
    }
}

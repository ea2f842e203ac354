//! The device that a run is on, by its name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A device by its name: `host`, `cuda:0`, or several GPUs, `cuda:0,1`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum DeviceName {
    /// The CPU cores of a process.
    Host,
    /// GPUs by their numbers, in the order given; never empty, none twice. Everything but uploads runs on the first.
    Cuda(Vec<usize>),
}

impl DeviceName {
    /// The first CUDA device.
    pub fn first_cuda() -> Self {
        DeviceName::Cuda(vec![0])
    }

    /// The numbers of the GPUs; none for the host.
    pub fn gpus(&self) -> &[usize] {
        match self {
            DeviceName::Host => &[],
            DeviceName::Cuda(indices) => indices,
        }
    }

    /// Whether it is a GPU.
    pub fn is_cuda(&self) -> bool {
        matches!(self, DeviceName::Cuda(_))
    }
}

impl FromStr for DeviceName {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let unknown = || "the devices are auto, host and cuda[:N[,M…]]".to_owned();
        let list = match name.strip_prefix("cuda") {
            None if name == "host" => return Ok(DeviceName::Host),
            None => return Err(unknown()),
            Some("") => "0",
            Some(rest) => rest.strip_prefix(':').ok_or_else(unknown)?,
        };
        let index = |text: &str| text.parse::<u16>().map(usize::from).map_err(|_| unknown());
        let indices = list.split(',').map(index).collect::<Result<Vec<_>, _>>()?;
        match indices.iter().enumerate().find(|(at, index)| indices[..*at].contains(index)) {
            Some((_, twice)) => Err(format!("device {twice} is named twice")),
            None => Ok(DeviceName::Cuda(indices)),
        }
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeviceName::Host => f.pad("host"),
            DeviceName::Cuda(indices) => {
                let list: Vec<String> = indices.iter().map(usize::to_string).collect();
                f.pad(&format!("cuda:{}", list.join(",")))
            }
        }
    }
}

impl TryFrom<String> for DeviceName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        name.parse()
    }
}

impl From<DeviceName> for String {
    fn from(name: DeviceName) -> String {
        name.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back() {
        for (name, full) in
            [("host", "host"), ("cuda", "cuda:0"), ("cuda:3", "cuda:3"), ("cuda:1,0", "cuda:1,0")]
        {
            assert_eq!(name.parse::<DeviceName>().unwrap().to_string(), full);
            assert_eq!(full.parse::<DeviceName>().unwrap().to_string(), full);
        }
        for name in ["gpu", "cuda:", "cuda:x", "cudax", "", "cuda:0,", "cuda:-1", "cuda:99999", "Host"] {
            assert!(name.parse::<DeviceName>().unwrap_err().contains("auto, host and cuda"), "{name}");
        }
        assert!("cuda:0,1,0".parse::<DeviceName>().unwrap_err().contains("twice"));
    }
}

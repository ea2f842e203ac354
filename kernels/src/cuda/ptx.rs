//! The compiled kernels, as they are in `ptx/`.

/// One PTX file: the kernels of `cuda/<name>.cu`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source {
    pub(super) name: &'static str,
    pub(super) text: &'static str,
}

macro_rules! sources {
    ($($name:literal),* $(,)?) => {
        [$(Source { name: $name, text: include_str!(concat!("../../ptx/", $name, ".ptx")) }),*]
    };
}

/// Every file, in the order in which they are loaded.
pub(super) const ALL: &[Source] = &sources!["bytes"];

impl Source {
    /// The names of its kernels.
    pub(super) fn kernels(&self) -> impl Iterator<Item = &'static str> {
        self.text.lines().filter_map(|line| {
            let (_, after) = line.split_once(".entry ")?;
            after.split(['(', ' ']).next()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_found() {
        let names: Vec<&str> = ALL.iter().flat_map(Source::kernels).collect();
        assert!(names.contains(&"advance"), "{names:?}");
    }
}

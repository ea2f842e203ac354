//! The anonymous memory of this process: what a load adds to it besides pages of files.

use coldstart_profiles::Bytes;

/// `RssAnon` of this process; `None` where the kernel does not say.
pub(super) fn resident() -> Option<Bytes> {
    parse(&std::fs::read_to_string("/proc/self/status").ok()?)
}

/// By how much it grew; zero where it shrank.
pub(super) fn growth(before: Option<Bytes>, after: Option<Bytes>) -> Option<Bytes> {
    Some(Bytes::new(after?.get().saturating_sub(before?.get())))
}

fn parse(status: &str) -> Option<Bytes> {
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(Bytes::new(kib * 1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_says_how_much() {
        let status = "Name:\tx\nVmRSS:\t  9 kB\nRssAnon:\t     132 kB\nRssFile:\t    1028 kB\n";
        assert_eq!(parse(status), Some(Bytes::new(132 * 1024)));
        assert_eq!(parse("Name:\tx\n"), None);
        assert_eq!(parse("RssAnon:\tmany kB\n"), None);
        let before = resident().unwrap();
        // Other tests of this process give memory back meanwhile, but not each time.
        let grown = (0..10).filter_map(|_| {
            let before = resident();
            let fresh = vec![1u8; 32 << 20];
            let after = resident();
            drop(fresh);
            growth(before, after)
        });
        let grown = grown.max().unwrap();
        assert!(grown >= Bytes::from_mib(24), "{grown} for 32 MiB");
        assert_eq!(growth(Some(Bytes::from_mib(2)), Some(Bytes::from_mib(1))), Some(Bytes::ZERO));
        assert_eq!(growth(None, Some(before)), None);
    }
}

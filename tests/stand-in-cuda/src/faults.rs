//! Failures that a test asks for.
//!
//! `COLDSTART_STAND_IN_FAULT` is a list of `what:nth:code`, separated by commas. `what` is the name of an entry point, whose
//! nth call then returns the code at once and does nothing; or one of `copy`, `launch`, where the nth that RUNS fails, which
//! the host hears of at the next call that waits, and of which the context never recovers where the code is such a code.
//! `nth` counts from 1; `3+` is the third and all after it.

use std::collections::HashMap;

use crate::abi::{Code, Outcome};

#[derive(Debug)]
struct Fault {
    what: String,
    nth: u64,
    and_after: bool,
    code: Code,
}

/// The list, and what happened so far.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    list: Vec<Fault>,
    counts: HashMap<String, u64>,
}

impl Faults {
    /// Reads the list; what is not understood is told and left out.
    pub(crate) fn parse(text: &str) -> Faults {
        let mut list = Vec::new();
        for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            match Fault::parse(entry) {
                Some(fault) => list.push(fault),
                None => eprintln!("stand-in: the fault `{entry}` is not what:nth:code"),
            }
        }
        Faults { list, counts: HashMap::new() }
    }

    /// Counts that `what` happens, and fails where that was asked for.
    pub(crate) fn happens(&mut self, what: &str) -> Outcome {
        if !self.list.iter().any(|fault| fault.what == what) {
            return Ok(());
        }
        let count = self.counts.entry(what.to_owned()).or_default();
        *count += 1;
        let due = |fault: &&Fault| {
            fault.what == what && (fault.nth == *count || (fault.and_after && fault.nth <= *count))
        };
        match self.list.iter().find(due) {
            Some(fault) => Err(fault.code),
            None => Ok(()),
        }
    }
}

impl Fault {
    fn parse(entry: &str) -> Option<Fault> {
        let mut parts = entry.split(':');
        let (what, nth, code) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        Some(Fault {
            what: what.to_owned(),
            nth: nth.trim_end_matches('+').parse().ok()?,
            and_after: nth.ends_with('+'),
            code: Code(code.parse().ok()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nth_fails() {
        let mut faults = Faults::parse("cuMemAlloc_v2:2:2, launch:3+:719");
        let outcomes: Vec<bool> = (0..4).map(|_| faults.happens("cuMemAlloc_v2").is_ok()).collect();
        assert_eq!(outcomes, [true, false, true, true]);
        let outcomes: Vec<bool> = (0..5).map(|_| faults.happens("launch").is_ok()).collect();
        assert_eq!(outcomes, [true, true, false, false, false]);
        assert_eq!(faults.happens("cuInit"), Ok(()));
    }

    #[test]
    fn nonsense_is_left_out() {
        assert!(Faults::parse("cuInit, a:b:c, x:1:2:3").list.is_empty());
    }
}

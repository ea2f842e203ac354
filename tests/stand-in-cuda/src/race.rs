//! Accesses that nothing orders.
//!
//! Every stream has a vector clock: how many operations of each stream, and which calls of the host, certainly happened before what
//! is enqueued next. Events and host synchronisation join clocks. Two accesses to the same bytes, one of them a write, neither of which
//! knows of the other, are a race, whatever order they happen to run in here.

use std::fmt;

/// Which number of each stream's operations is known to have happened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Knowledge(Vec<u64>);

impl Knowledge {
    /// Knows also all that `other` knows.
    pub(crate) fn join(&mut self, other: &Knowledge) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            *mine = (*mine).max(*theirs);
        }
    }

    /// Operation `epoch` of stream `stream` is known.
    pub(crate) fn learn(&mut self, stream: usize, epoch: u64) {
        if self.0.len() <= stream {
            self.0.resize(stream + 1, 0);
        }
        self.0[stream] = self.0[stream].max(epoch);
    }

    /// Whether operation `epoch` of stream `stream` certainly happened before.
    pub(crate) fn knows(&self, stream: usize, epoch: u64) -> bool {
        self.0.get(stream).is_some_and(|known| *known >= epoch)
    }
}

/// Who accesses.
#[derive(Debug, Clone)]
pub(crate) struct Who {
    /// The stream's number and the operation's place in it.
    pub(crate) stream: usize,
    pub(crate) epoch: u64,
    /// What the operation knows, itself included.
    pub(crate) knowledge: Knowledge,
    /// For messages.
    pub(crate) label: String,
}

impl Who {
    fn ordered(&self, other: &Who) -> bool {
        self.knowledge.knows(other.stream, other.epoch) || other.knowledge.knows(self.stream, self.epoch)
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (operation {} of stream {})", self.label, self.epoch, self.stream)
    }
}

/// One access to one range of memory: `low..high` in bytes from the start of the allocation.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    pub(crate) who: std::sync::Arc<Who>,
    pub(crate) low: u64,
    pub(crate) high: u64,
    pub(crate) write: bool,
}

/// The accesses to one allocation that later ones may still be unordered with.
#[derive(Debug, Default)]
pub(crate) struct History(Vec<Access>);

impl History {
    /// Adds an access; says with which earlier one it races.
    pub(crate) fn add(&mut self, access: Access, host: &Knowledge, idle: bool) -> Result<(), String> {
        let racing = self.0.iter().find(|other| {
            (access.write || other.write)
                && access.low < other.high
                && other.low < access.high
                && !access.who.ordered(&other.who)
        });
        if let Some(other) = racing {
            let verb = |access: &Access| if access.write { "writes" } else { "reads" };
            return Err(format!(
                "{} {} bytes {}..{} and {} {} bytes {}..{}, and nothing orders the two: join the streams",
                access.who,
                verb(&access),
                access.low,
                access.high,
                other.who,
                verb(other),
                other.low,
                other.high,
            ));
        }
        // What covers an older access of the same stream replaces it.
        self.0.retain(|other| {
            other.who.stream != access.who.stream
                || other.write != access.write
                || other.low < access.low
                || other.high > access.high
        });
        // What the host has waited for can't race with what it enqueues later. Operations that wait in a queue were enqueued
        // before, so nothing is forgotten while there are any.
        if self.0.len() > 32 && idle {
            self.0.retain(|other| !host.knows(other.who.stream, other.who.epoch));
        }
        self.0.push(access);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn access(stream: usize, epoch: u64, knows: &[(usize, u64)], write: bool, low: u64, high: u64) -> Access {
        let mut knowledge = Knowledge::default();
        knowledge.learn(stream, epoch);
        for (stream, epoch) in knows {
            knowledge.learn(*stream, *epoch);
        }
        Access {
            who: Arc::new(Who { stream, epoch, knowledge, label: format!("op {epoch}") }),
            low,
            high,
            write,
        }
    }

    #[test]
    fn unordered_accesses_race() {
        let host = Knowledge::default();
        let table = [
            // A write of stream 1, then of stream 2: what, whether it races.
            (access(2, 1, &[], false, 0, 8), true),
            (access(2, 1, &[], true, 4, 5), true),
            (access(2, 1, &[(1, 1)], false, 0, 8), false),
            (access(2, 1, &[], false, 8, 16), false),
            (access(1, 2, &[], true, 0, 8), false),
        ];
        for (second, races) in table {
            let mut history = History::default();
            assert_eq!(history.add(access(1, 1, &[], true, 0, 8), &host, false), Ok(()));
            assert_eq!(history.add(second.clone(), &host, false).is_err(), races, "{second:?}");
        }
    }

    #[test]
    fn reads_share() {
        let mut history = History::default();
        for stream in 1..5 {
            assert!(history.add(access(stream, 1, &[], false, 0, 8), &Knowledge::default(), true).is_ok());
        }
        assert!(
            history
                .add(access(5, 1, &[(1, 1), (2, 1), (3, 1)], true, 0, 8), &Knowledge::default(), true)
                .is_err()
        );
    }
}

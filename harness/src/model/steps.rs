//! How decode steps get onto a device: kernel by kernel, or as one recorded graph.

use coldstart_profiles::Replay;

/// What is known of the steps of one batch size.
///
/// The first step runs kernel by kernel, which brings every kernel onto the device and sizes whatever the operations keep
/// beside the generator's own buffers; the second is recorded; from then on it is replayed. Tokens and positions are read
/// from device memory, so one graph serves all steps of as many sequences.
#[derive(Debug)]
pub(super) enum Steps<G> {
    /// None ran yet.
    Fresh,
    /// One ran, of so many sequences.
    Ran(usize),
    /// Recorded, for so many sequences.
    Recorded(usize, G),
    /// Never recorded: the device has no graphs, or the reason why it refused one.
    Eager(Option<String>),
}

/// What to do for the next step.
#[derive(Debug)]
pub(super) enum Next<'g, G> {
    /// Run it kernel by kernel.
    Run,
    /// Record it, then replay it.
    Record,
    /// Replay this.
    Replay(&'g G),
}

impl<G> Steps<G> {
    /// What to do for a step of so many sequences.
    pub(super) fn next(&self, sequences: usize) -> Next<'_, G> {
        match self {
            Steps::Recorded(recorded, graph) if *recorded == sequences => Next::Replay(graph),
            Steps::Ran(ran) if *ran == sequences => Next::Record,
            Steps::Fresh | Steps::Ran(_) | Steps::Recorded(..) | Steps::Eager(_) => Next::Run,
        }
    }

    /// A step of so many sequences ran kernel by kernel.
    pub(super) fn ran(&mut self, sequences: usize) {
        if !matches!(self, Steps::Eager(_)) {
            *self = Steps::Ran(sequences);
        }
    }

    /// How steps run, for the record; `None` on a device without graphs, and before any was recorded.
    pub(super) fn replay(&self) -> Option<Replay> {
        match self {
            Steps::Recorded(..) => Some(Replay::Replayed),
            Steps::Eager(Some(why)) => Some(Replay::Eager { why: why.clone() }),
            Steps::Fresh | Steps::Ran(_) | Steps::Eager(None) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_runs_one_is_recorded_and_the_rest_is_replayed() {
        let mut steps: Steps<&str> = Steps::Fresh;
        assert!(matches!(steps.next(2), Next::Run));
        steps.ran(2);
        assert!(matches!(steps.next(2), Next::Record) && steps.replay().is_none());
        steps = Steps::Recorded(2, "graph");
        assert!(matches!(steps.next(2), Next::Replay(&"graph")));
        assert_eq!(steps.replay(), Some(Replay::Replayed));
        // Another batch size begins anew.
        assert!(matches!(steps.next(3), Next::Run));
        steps.ran(3);
        assert!(matches!(steps.next(3), Next::Record) && matches!(steps.next(2), Next::Run));
    }

    #[test]
    fn what_was_refused_is_not_asked_for_again() {
        let mut steps: Steps<()> = Steps::Eager(Some("no".into()));
        steps.ran(2);
        assert!(matches!(steps.next(2), Next::Run));
        assert_eq!(steps.replay(), Some(Replay::Eager { why: "no".into() }));
        assert_eq!(Steps::<()>::Eager(None).replay(), None);
    }
}

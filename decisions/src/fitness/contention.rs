//! Did others have the processors that a run needed while it measured?

use coldstart_profiles::{Contention, Profile};

/// Others who had more than this share of what the run needed show in its times …
///
/// On one processor of an idle virtual machine kernel threads and its host had 4 %; threads that encrypt a disk or fetch from a network
/// file system work for the run, and count as others too. Builds at a lower priority (`nice -n 5`) had 15 %.
pub(super) const SHOWS: f64 = 0.10;
/// … and with more than this its trials waited for them: a single process of the same priority takes half.
pub(super) const DISTURBS: f64 = 0.25;

/// The share, 0 to 1, of the time of the processors that the run needed which other processes and the machine's host had. What others did
/// on processors beyond those is no matter: a run on a quarter of a large machine does not wait for work on the rest.
/// `None` where too little was watched.
///
/// A run on the host device needs as many as it has threads. Beside a GPU only a few threads load and launch: it needs as many as it
/// had on average, rounded up, and one more.
pub(crate) fn taken(profile: &Profile) -> Option<f64> {
    let contention = profile.fitness.contention?;
    let had = contention.own_processors()?;
    let needed = match profile.target.device.kind.as_str() {
        "host" => f64::from(profile.target.host.cores),
        _ => had.ceil() + 1.0,
    };
    taken_of(&contention, needed)
}

fn taken_of(contention: &Contention, needed: f64) -> Option<f64> {
    let processors = f64::from(contention.processors);
    let needed = needed.clamp(1.0, processors.max(1.0));
    let others = (contention.others()? + contention.stolen()?) * processors;
    Some(((others - (processors - needed)) / needed).clamp(0.0, 1.0))
}

/// What to say where others had this share.
pub(super) fn told(share: f64) -> String {
    format!(
        "others had {:.0} % of the time of the processors that the run needed while it measured: measure when nothing else runs",
        share * 100.0
    )
}

#[cfg(test)]
mod tests {
    use coldstart_profiles::Nanos;

    use super::*;

    #[test]
    fn only_processors_that_the_run_needed_count() {
        // Processors, then seconds: watched, busy, own, stolen; then what the run needs.
        for (processors, times, needed, share) in [
            (1, [10, 9, 9, 0], 1.0, Some(0.0)),
            (1, [10, 9, 7, 0], 1.0, Some(0.2)),
            (1, [10, 9, 7, 1], 1.0, Some(0.3)),
            (2, [20, 16, 10, 0], 2.0, Some(0.3)),
            // One of two is enough for what others do.
            (2, [20, 16, 10, 0], 1.0, Some(0.0)),
            // Others on 120 of 192, of which the run needs 8, or 96.
            (192, [1920, 1280, 80, 0], 8.0, Some(0.0)),
            (192, [1920, 1280, 80, 0], 96.0, Some(0.25)),
            // More is needed than there is: a quota, or a mask that was narrowed later.
            (2, [20, 16, 10, 0], 64.0, Some(0.3)),
            // Clocks of different kinds: the run's own may be counted a little above all.
            (1, [10, 9, 10, 0], 1.0, Some(0.0)),
            (4, [0, 0, 0, 0], 4.0, None),
        ] {
            let [watched_ns, busy_ns, own_ns, stolen_ns] = times.map(Nanos::from_secs);
            let found = taken_of(&Contention { processors, watched_ns, busy_ns, own_ns, stolen_ns }, needed);
            match (found, share) {
                (Some(found), Some(share)) => {
                    assert!((found - share).abs() < 1e-9, "{found} {times:?} {needed}");
                }
                (found, share) => assert_eq!(found, share, "{times:?}"),
            }
        }
    }
}

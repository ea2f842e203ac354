//! One pod's cold start, from its stamps.

use coldstart_profiles::{Detail, Nanos, ObservedDetail, Params, Phase, Reading, Scope, TotalKind, Trace};

use super::message::Pulled;
use super::objects::{ContainerStatus, Event, Pod};
use super::stamp::Stamp;

/// The kubelet cuts the times of its messages off to this.
const MESSAGE_RESOLUTION: Nanos = Nanos::from_millis(1);

/// An instant of a pod's start: where it was read from, and where it lies.
#[derive(Debug, Clone, Copy)]
struct Instant {
    from: &'static str,
    stamp: Stamp,
}

/// Everything that is known of one pod's start.
#[derive(Debug)]
struct Known {
    created: Instant,
    scheduled: Option<Instant>,
    pulling: Option<Instant>,
    pulled: Option<(Instant, Pulled)>,
    started: Instant,
    ready: Instant,
}

/// The cold start of one pod.
#[derive(Debug)]
pub(super) struct ColdStart {
    /// Its parts and its total.
    pub(super) trace: Trace,
    /// When the pod was created.
    pub(super) created: Stamp,
    /// By how much the total may be off.
    pub(super) uncertainty: Nanos,
    /// Whether the events of its pull were still there.
    pub(super) has_events: bool,
}

/// The cold start of `pod` with the start of its container `container`, or why there is none to be seen.
pub(super) fn cold_start(pod: &Pod, events: &[&Event], container: &str) -> Result<ColdStart, String> {
    let known = known(pod, events, container)?;
    let origin = known.created.stamp;
    let mut line = Line { origin, at: Nanos::ZERO, readings: Vec::new() };
    if let Some(scheduled) = known.scheduled {
        let (begin, end) = (line.at, line.reach(scheduled)?);
        line.push(Phase::Scheduling, Params::new(), begin, end, observed(known.created, scheduled));
    }
    let image = line.image(&known)?;
    if let Some((there, _)) = known.pulled {
        let (begin, end) = (line.at, line.reach(known.started)?);
        line.push(Phase::ContainerStart, Params::new(), begin, end, observed(there, known.started));
    }
    let begin = line.reach(known.started)?;
    let end = line.reach(known.ready)?;
    line.push(Phase::Readiness, Params::new(), begin, end, observed(known.started, known.ready));
    let trace = Trace {
        step: pod.id(),
        trial: 0,
        scope: Scope::ColdStart,
        total_kind: TotalKind::Pod,
        params: Params::new().with("image", image),
        end: Trace::completed(&line.readings, end),
        readings: line.readings,
    };
    Ok(ColdStart {
        trace,
        created: origin,
        uncertainty: coarser(known.created, known.ready),
        has_events: known.pulled.is_some(),
    })
}

fn known(pod: &Pod, events: &[&Event], container: &str) -> Result<Known, String> {
    let status = pod.status.container_statuses.iter().find(|status| status.name == container);
    let started = started(status, container)?;
    let ready = pod.since("Ready").ok_or("it is not ready")?;
    let created = pod.metadata.creation_timestamp.ok_or("it has no creationTimestamp")?;
    let of_container = |event: &&&Event| {
        event.field_path.is_empty() || event.field_path == format!("spec.containers{{{container}}}")
    };
    let first = |reason: &str| {
        let found = events.iter().filter(of_container).filter(|event| event.reason == reason);
        found.min_by_key(|event| event.at)
    };
    // The pull that succeeded is the last one.
    let pulled = events.iter().filter(of_container).filter(|event| event.reason == "Pulled");
    let pulled = pulled.max_by_key(|event| event.last_at).and_then(|event| {
        Some((Instant { from: "event Pulled", stamp: event.last_at? }, Pulled::parse(&event.message)?))
    });
    // The scheduler's event has microseconds, the condition whole seconds.
    let scheduled = first("Scheduled").and_then(|event| event.at).map(|stamp| ("event Scheduled", stamp));
    let scheduled = scheduled.or_else(|| Some(("condition PodScheduled", pod.since("PodScheduled")?)));
    Ok(Known {
        created: Instant { from: "creationTimestamp", stamp: created },
        scheduled: scheduled.map(|(from, stamp)| Instant { from, stamp }),
        pulling: first("Pulling").and_then(|event| Some(Instant { from: "event Pulling", stamp: event.at? })),
        pulled,
        started: Instant { from: "state.running.startedAt", stamp: started },
        ready: Instant { from: "condition Ready", stamp: ready },
    })
}

/// When the container was started, for the first time.
fn started(status: Option<&ContainerStatus>, container: &str) -> Result<Stamp, String> {
    let status = status.ok_or_else(|| format!("its container {container} has no status yet"))?;
    if status.restart_count > 0 {
        let times = status.restart_count;
        return Err(format!(
            "its container was restarted {times} times, and its stamps are of the last start"
        ));
    }
    match (&status.state.running, &status.state.waiting) {
        (Some(running), _) => running.started_at.ok_or_else(|| "its container has no startedAt".to_owned()),
        (None, Some(waiting)) if !waiting.reason.is_empty() => {
            Err(format!("its container waits: {}", waiting.reason))
        }
        (None, _) => Err("its container does not run".to_owned()),
    }
}

/// Phases behind each other, in nanoseconds from the pod's creation.
struct Line {
    origin: Stamp,
    at: Nanos,
    readings: Vec<Reading>,
}

impl Line {
    /// Goes on to an instant. It is taken at its lower end, or where the line already is, if that still lies within what the
    /// stamp leaves open.
    fn reach(&mut self, to: Instant) -> Result<Nanos, String> {
        let least = to.stamp.since(self.origin);
        let most = least + i128::from(to.stamp.resolution().as_nanos());
        let here = i128::from(self.at.as_nanos());
        if most < here {
            let seconds = (here - least) as f64 / 1e9;
            return Err(format!(
                "its stamps go back in time: {} lies {seconds:.1} s before what precedes it",
                to.from
            ));
        }
        let nanos =
            u64::try_from(least.max(here)).map_err(|_| "its stamps lie centuries apart".to_owned())?;
        self.at = Nanos::from_nanos(nanos);
        Ok(self.at)
    }

    /// The pull, or what is known instead: the value of the condition `image`.
    fn image(&mut self, known: &Known) -> Result<&'static str, String> {
        let Some((there, pulled)) = known.pulled else { return Ok("unknown") };
        let (took, pulling, image) = match pulled {
            Pulled::Present => {
                self.reach(there)?;
                return Ok("present");
            }
            Pulled::Fetched { took, pulling, image } => (took, pulling, image),
        };
        let Some(begun) = known.pulling else {
            // Its begin is gone, but the message may tell how long it took.
            let before = self.at;
            let end = self.reach(there)?;
            if let Some(took) = took.filter(|took| before.saturating_add(*took) <= end) {
                let detail = ObservedDetail {
                    begins_with: "event Pulled".to_owned(),
                    ends_with: "event Pulled".to_owned(),
                    uncertainty_ns: MESSAGE_RESOLUTION,
                    image_bytes: image,
                    pulling_ns: pulling,
                };
                self.push(Phase::ImagePull, registry(), end.saturating_sub(took), end, detail);
            }
            return Ok("pulled");
        };
        let mut begin = self.reach(begun)?;
        let mut detail = observed(begun, there);
        (detail.image_bytes, detail.pulling_ns) = (image, pulling);
        let mut end = self.reach(there)?;
        if let Some((exact_begin, exact_end)) = told(took, begin, begun, end, there, known) {
            (begin, end) = (exact_begin, exact_end);
            self.at = end;
            detail.uncertainty_ns = MESSAGE_RESOLUTION;
            detail.ends_with = "the message of event Pulled".to_owned();
        }
        self.push(Phase::ImagePull, registry(), begin, end, detail);
        Ok("pulled")
    }

    fn push(&mut self, phase: Phase, params: Params, begin: Nanos, end: Nanos, detail: ObservedDetail) {
        self.readings.push(Reading {
            phase,
            params,
            begin_ns: begin,
            duration_ns: end.saturating_sub(begin),
            device_ns: None,
            work: None,
            mark: None,
            detail: Some(Detail::Observed(detail)),
        });
    }
}

fn registry() -> Params {
    Params::new().with("source", "registry")
}

/// Begin and end of a pull by the time that its message tells, where the stamps leave room for it: otherwise the message
/// is of the last of several attempts. `begin` and `end` are the stamps' lower ends.
fn told(
    took: Option<Nanos>,
    begin: Nanos,
    begun: Instant,
    end: Nanos,
    there: Instant,
    known: &Known,
) -> Option<(Nanos, Nanos)> {
    let took = took?;
    let latest_begin = begin.saturating_add(begun.stamp.resolution());
    let latest_end = end.saturating_add(there.stamp.resolution());
    let least_end = end.saturating_sub(MESSAGE_RESOLUTION);
    let begin = end.saturating_sub(took).clamp(begin, latest_begin);
    let end = begin.saturating_add(took);
    // The next instant must still be in reach.
    let origin = known.created.stamp;
    let latest_start =
        known.started.stamp.since(origin) + i128::from(known.started.stamp.resolution().as_nanos());
    ((least_end..=latest_end).contains(&end) && i128::from(end.as_nanos()) <= latest_start)
        .then_some((begin, end))
}

fn observed(begin: Instant, end: Instant) -> ObservedDetail {
    ObservedDetail {
        begins_with: begin.from.to_owned(),
        ends_with: end.from.to_owned(),
        uncertainty_ns: coarser(begin, end),
        image_bytes: None,
        pulling_ns: None,
    }
}

/// Both ends are cut off: their distance is off by less than the coarser of the two, either way.
fn coarser(a: Instant, b: Instant) -> Nanos {
    a.stamp.resolution().max(b.stamp.resolution())
}

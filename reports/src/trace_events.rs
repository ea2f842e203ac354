//! A profile in the trace-event format of Chrome, which Perfetto opens: one track a trial.

use coldstart_profiles::{Detail, Nanos, Phase, Profile, Reading, Scope, Trace, TraceEnd};
use serde_json::{Value, json};

use crate::style::PLAIN;

/// Milliseconds of ours are microseconds of the format.
const PER_US: f64 = 1e3;

/// The traces of a profile as trace events (Trace Event Format, "Complete", "Counter" and "Metadata" events, times in microseconds): a
/// process for each kind of trace, a thread for each trial, its total as the outer slice, its phases within, and within an image
/// pull the stages of each layer on threads of their own. The iterations of a warm-up are a counter of milliseconds, from the first
/// batch on.
///
/// # Errors
/// What the writer says, completing "failed to …".
pub fn trace_events(profile: &Profile) -> Result<String, String> {
    let mut events: Vec<Value> = Vec::new();
    let mut named: Vec<&str> = Vec::new();
    let mut thread = 1_u64;
    for trace in &profile.traces {
        let kind = trace.total_kind.name();
        let process = named.iter().position(|name| *name == kind).unwrap_or_else(|| {
            events.push(json!({"ph": "M", "name": "process_name", "pid": named.len() + 1, "tid": 0, "args": {"name": kind}}));
            named.push(kind);
            named.len() - 1
        }) + 1;
        events.push(json!({
            "ph": "M", "name": "thread_name", "pid": process, "tid": thread,
            "args": {"name": short(&format!("{} ({})", trace.step, trace.params))}
        }));
        push_trace(&mut events, trace, process, thread);
        push_warm_up(&mut events, profile, trace, process);
        thread += 1;
        thread += push_layers(&mut events, trace, process, thread);
    }
    let file = json!({
        "displayTimeUnit": "ms",
        "otherData": {
            "tool": short(&profile.tool.name), "version": short(&profile.tool.version),
            "started_at": short(&profile.started_at),
        },
        "traceEvents": events,
    });
    serde_json::to_string(&file).map_err(|error| format!("write the trace: {error}"))
}

/// Text of whatever origin, cut: a name of a megabyte would stand on every slice.
fn short(text: &str) -> String {
    PLAIN.clean(text)
}

fn slice(name: &str, (begin, duration): (f64, f64), process: usize, thread: u64, args: Value) -> Value {
    json!({"ph": "X", "name": name, "cat": "coldstart", "pid": process, "tid": thread, "ts": begin, "dur": duration, "args": args})
}

fn push_trace(events: &mut Vec<Value>, trace: &Trace, process: usize, thread: u64) {
    let end = |reading: &Reading| reading.begin_ns.saturating_add(reading.duration_ns).as_nanos();
    let last = trace.readings.iter().map(end).max().unwrap_or(0);
    let (name, total, args) = match &trace.end {
        TraceEnd::Completed { total_ns, .. } => {
            (scope(trace.scope), total_ns.as_nanos().max(last), json!({"step": short(&trace.step)}))
        }
        TraceEnd::Failed { why, .. } => {
            ("failed", last, json!({"step": short(&trace.step), "why": short(why)}))
        }
    };
    events.push(slice(name, (0.0, total as f64 / PER_US), process, thread, args));
    for reading in &trace.readings {
        let times =
            (reading.begin_ns.as_nanos() as f64 / PER_US, reading.duration_ns.as_nanos() as f64 / PER_US);
        let args =
            json!({"params": short(&reading.params.to_string()), "mark": reading.mark.as_deref().map(short)});
        events.push(slice(reading.phase.name(), times, process, thread, args));
    }
}

/// What the outer slice of a trace covers.
const fn scope(scope: Scope) -> &'static str {
    match scope {
        Scope::ColdStart => "cold start",
        Scope::Load => "load",
        Scope::Startup => "startup",
        Scope::Pull => "pull",
    }
}

/// The warm-up curve of a trial as a counter: at the begin of each iteration, one after the other from the first batch, how long it
/// took.
fn push_warm_up(events: &mut Vec<Value>, profile: &Profile, trace: &Trace, process: usize) {
    let Some(curve) = profile.warm_up.iter().find(|curve| curve.step == trace.step) else { return };
    let Some(first) = trace.reading(Phase::FirstBatch) else { return };
    let name = short(&format!("iteration of {}", trace.step));
    let counter = |at: Nanos, ms: f64| {
        let at = at.as_nanos() as f64 / PER_US;
        json!({"ph": "C", "name": name, "cat": "coldstart", "pid": process, "tid": 0, "ts": at, "args": {"ms": ms}})
    };
    let mut at = first.begin_ns;
    for time in curve.samples.as_slice() {
        events.push(counter(at, time.as_millis_f64()));
        at = at.saturating_add(*time);
    }
    events.push(counter(at, 0.0));
}

/// The stages of the layers of a pull, one thread a layer; how many threads that took.
fn push_layers(events: &mut Vec<Value>, trace: &Trace, process: usize, first: u64) -> u64 {
    let mut threads = 0;
    for reading in &trace.readings {
        let Some(Detail::Pull(detail)) = &reading.detail else { continue };
        for layer in &detail.layers {
            let thread = first + threads;
            threads += 1;
            let name = short(&format!("layer {}", layer.id));
            events.push(json!({"ph": "M", "name": "thread_name", "pid": process, "tid": thread, "args": {"name": name}}));
            let stages = [("download", layer.download), ("verify", layer.verify), ("extract", layer.extract)];
            for (stage, interval) in stages {
                let Some(interval) = interval else { continue };
                let begin = reading.begin_ns.saturating_add(interval.begin_ns).as_nanos() as f64 / PER_US;
                let length = interval.end_ns.saturating_sub(interval.begin_ns).as_nanos() as f64 / PER_US;
                events.push(slice(stage, (begin, length), process, thread, Value::Null));
            }
        }
    }
    threads
}

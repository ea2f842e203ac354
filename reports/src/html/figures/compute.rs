//! Warm-up, throughput, service times, memory, telemetry.

use coldstart_profiles::{Bytes, Fit, ForwardMode, Profile, ThroughputPoint, WindowKind};

use super::{Figure, head, legend};
use crate::html::page::clean;
use crate::html::plot::{Axis, Bar, Curve, Lane, Marks, bars, curves};

/// The knee is the smallest batch from which on another doubling brings less than this share of the best rate.
const KNEE: f64 = 0.8;
const MS: f64 = 1e6;

/// The curve of every trial, with what the analysis saw in the first of them.
pub(super) fn warm_up(profile: &Profile) -> Result<Option<Figure>, String> {
    let Some(first) = profile.warm_up.first() else { return Ok(None) };
    let drawn: Vec<Curve> = profile
        .warm_up
        .iter()
        .enumerate()
        .map(|(index, curve)| Curve {
            name: format!("trial {}", index + 1),
            points: curve
                .samples
                .as_slice()
                .iter()
                .enumerate()
                .map(|(at, time)| ((at + 1) as f64, time.as_nanos() as f64 / MS))
                .collect(),
            color: index,
            labels: Vec::new(),
        })
        .collect();
    let analysis = &first.analysis;
    let steady = analysis.steady_median_ns.map(|median| median.as_nanos() as f64 / MS);
    let marks = Marks {
        at_x: analysis.changepoints.iter().map(|at| (*at + 1) as f64).collect(),
        band: steady.map(|median| median * 0.98..median * 1.02),
    };
    let rows = profile.warm_up.iter().enumerate().map(|(index, curve)| {
        let analysis = &curve.analysis;
        let text = |value: Option<String>| value.unwrap_or_else(|| "–".to_owned());
        vec![
            format!("trial {}", index + 1),
            analysis.class.name().to_owned(),
            text(analysis.steady_start.map(|at| (at + 1).to_string())),
            text(analysis.time_to_steady_ns.map(|time| time.to_string())),
            text(analysis.steady_median_ns.map(|time| time.to_string())),
            analysis.iterations.to_string(),
        ]
    });
    let why = analysis
        .why
        .clone()
        .map(|why| format!(" No steady state in the first trial: {why}."))
        .unwrap_or_default();
    Ok(Some(Figure {
        id: "warm-up".to_owned(),
        title: "Warm-up".to_owned(),
        svg: curves(
            "Time of every forward pass from the first, by trial",
            (&Axis { title: "iteration", log: true }, &Axis { title: "ms", log: true }),
            &drawn,
            &marks,
        )?,
        legend: legend(&drawn),
        caption: clean(&format!(
            "Every iteration of every trial from the first. Of the first trial: the band is its steady median ± 2 %, the lines are \
             where its level changes.{why}"
        )),
        head: head(["trial", "class", "steady from", "time before", "steady median", "iterations"]),
        rows: rows.collect(),
    }))
}

/// Points of one kind of pass and one length, each with its time.
type Series<'p> = (ForwardMode, u32, Vec<(&'p ThroughputPoint, f64)>);

/// The series of the sweep: points of one mode and length, by batch.
fn series(profile: &Profile) -> Vec<Series<'_>> {
    let mut all: Vec<Series<'_>> = Vec::new();
    for point in &profile.throughput {
        let row = profile.measurement(&point.key).and_then(|row| row.outcome.as_measured());
        let Some((_, summary)) = row else { continue };
        let entry = (point, summary.p50_ns.as_nanos() as f64 / MS);
        match all.iter_mut().find(|(mode, tokens, _)| (*mode, *tokens) == (point.mode, point.tokens)) {
            Some((_, _, points)) => points.push(entry),
            None => all.push((point.mode, point.tokens, vec![entry])),
        }
    }
    for (_, _, points) in &mut all {
        points.sort_by_key(|(point, _)| point.batch);
    }
    all
}

/// Tokens per second against the time of an iteration, batch by batch.
pub(super) fn throughput(profile: &Profile) -> Result<Option<Figure>, String> {
    let series = series(profile);
    if series.is_empty() {
        return Ok(None);
    }
    let mut knees = Vec::new();
    let mut drawn = Vec::new();
    for (index, (mode, tokens, points)) in series.iter().enumerate() {
        let best = points.iter().map(|(point, _)| point.tokens_per_s).fold(0.0, f64::max);
        let knee = points.iter().find(|(point, _)| point.tokens_per_s >= KNEE * best);
        if let Some((point, _)) = knee.filter(|_| points.len() > 2) {
            knees.push(format!("{} of {tokens}: {}", mode.name(), point.batch));
        }
        drawn.push(Curve {
            name: format!("{}, {} {tokens}", mode.name(), mode.tokens_name()),
            points: points.iter().map(|(point, time)| (*time, point.tokens_per_s)).collect(),
            color: index,
            labels: points.iter().map(|(point, _)| point.batch.to_string()).collect(),
        });
    }
    let rows = series.iter().flat_map(|(mode, tokens, points)| {
        points.iter().map(move |(point, time)| {
            vec![
                format!("{}, {} {tokens}, batch {}", mode.name(), mode.tokens_name(), point.batch),
                format!("{time:.3} ms"),
                format!("{:.1}", point.tokens_per_s),
                format!("{:.2}", point.items_per_s),
            ]
        })
    });
    let knee = if knees.is_empty() {
        String::new()
    } else {
        format!(" Batch at the knee — {}.", knees.join("; "))
    };
    Ok(Some(Figure {
        id: "throughput".to_owned(),
        title: "Throughput against latency".to_owned(),
        svg: curves(
            "Tokens per second against the time of an iteration",
            (&Axis { title: "ms per iteration (median)", log: true }, &Axis { title: "tokens/s", log: true }),
            &drawn,
            &Marks::default(),
        )?,
        legend: legend(&drawn),
        caption: format!(
            "Steady state; the number at a point is its batch size. The knee is the smallest batch with {:.0} % of the best rate.{knee}",
            KNEE * 100.0
        ),
        head: head(["point", "median", "tokens/s", "items/s"]),
        rows: rows.collect(),
    }))
}

/// The time of an iteration over its size, with the fits that capacity planning uses.
pub(super) fn service_times(profile: &Profile) -> Result<Option<Figure>, String> {
    let fitted = |points: &[(f64, f64)], at: &dyn Fn(f64) -> f64| -> Vec<(f64, f64)> {
        let most = points.iter().map(|(x, _)| *x).fold(0.0, f64::max);
        (0..=40).map(|n| f64::from(n) / 40.0 * most).map(|x| (x, at(x) / MS)).collect()
    };
    let of_mode = |mode: ForwardMode, x: &dyn Fn(&ThroughputPoint) -> f64| -> Vec<(f64, f64)> {
        let all = series(profile).into_iter().filter(|(other, _, _)| *other == mode);
        let mut points: Vec<(f64, f64)> =
            all.flat_map(|(_, _, points)| points).map(|(point, time)| (x(point), time)).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        points
    };
    let tokens = |point: &ThroughputPoint| f64::from(point.batch) * f64::from(point.tokens);
    let mut drawn = Vec::new();
    let mut rows = Vec::new();
    let mut add = |name: String,
                   points: Vec<(f64, f64)>,
                   quality: &coldstart_profiles::stats::FitQuality,
                   line: Vec<(f64, f64)>,
                   formula: String| {
        let color = drawn.len() / 2;
        let labels = points.iter().map(|_| String::new()).collect();
        drawn.push(Curve { name: format!("{name}, measured"), points, color, labels });
        drawn.push(Curve {
            name: format!("{name}, fitted"),
            points: line,
            color: color + 3,
            labels: Vec::new(),
        });
        let residual = format!("{:.1} %", quality.largest_residual_ratio * 100.0);
        rows.push(vec![name, formula, format!("{:.4}", quality.r_squared), residual]);
    };
    if let Fit::Fitted { fit } = &profile.fits.prefill {
        let points = of_mode(ForwardMode::Prefill, &tokens);
        let line = fitted(&points, &|x| fit.at(x));
        let formula = format!("{:.3} ms + {:.3} µs × tokens", fit.alpha_ns / MS, fit.beta_ns / 1e3);
        add("prefill".to_owned(), points, &fit.quality, line, formula);
    }
    for encode in &profile.fits.encode {
        if let Fit::Fitted { fit } = &encode.fit {
            let points: Vec<(f64, f64)> = series(profile)
                .into_iter()
                .filter(|(mode, tokens, _)| *mode == ForwardMode::Encode && *tokens == encode.tokens)
                .flat_map(|(_, _, points)| points)
                .map(|(point, time)| (f64::from(point.batch) * f64::from(point.tokens), time))
                .collect();
            let length = f64::from(encode.tokens);
            let line = fitted(&points, &|x| fit.at(x / length));
            let formula = format!("{:.3} ms + {:.3} ms × batch", fit.alpha_ns / MS, fit.beta_ns / MS);
            add(format!("encode of {}", encode.tokens), points, &fit.quality, line, formula);
        }
    }
    if let Fit::Fitted { fit } = &profile.fits.decode {
        rows.push(vec![
            "decode".to_owned(),
            format!(
                "{:.3} ms + {:.3} µs × batch + {:.3} ns × batch × context",
                fit.alpha_ns / MS,
                fit.beta_ns / 1e3,
                fit.gamma_ns
            ),
            format!("{:.4}", fit.quality.r_squared),
            format!("{:.1} %", fit.quality.largest_residual_ratio * 100.0),
        ]);
    }
    if drawn.is_empty() {
        return Ok(None);
    }
    Ok(Some(Figure {
        id: "service-times".to_owned(),
        title: "Service time and its fit".to_owned(),
        svg: curves(
            "Time of an iteration over its tokens, measured and fitted",
            (&Axis { title: "tokens in the batch", log: false }, &Axis { title: "ms", log: false }),
            &drawn,
            &Marks::default(),
        )?,
        legend: legend(&drawn),
        caption: "What capacity planning computes with: the time of an iteration as a function of its size."
            .to_owned(),
        head: head(["what", "fit", "R²", "largest residual"]),
        rows,
    }))
}

/// Device memory by batch: the weights, and what a forward pass needs beside them.
pub(super) fn memory(profile: &Profile) -> Result<Option<Figure>, String> {
    let weights = profile.target.model.as_ref().map_or(0, |model| model.bytes.get()) as f64;
    let lanes: Vec<Lane> = series(profile)
        .iter()
        .flat_map(|(mode, tokens, points)| {
            points.iter().map(move |(point, _)| {
                let end = weights + point.workspace_bytes.get() as f64;
                Lane {
                    name: format!("{} {tokens}, batch {}", mode.name(), point.batch),
                    bars: vec![
                        Bar { from: 0.0, to: weights, color: 0, ticks: Vec::new() },
                        Bar { from: weights, to: end, color: 1, ticks: Vec::new() },
                    ],
                    value: Bytes::new(end as u64).to_string(),
                }
            })
        })
        .collect();
    if lanes.is_empty() {
        return Ok(None);
    }
    let rows = profile.throughput.iter().map(|point| {
        let name = format!("{} {}, batch {}", point.mode.name(), point.tokens, point.batch);
        vec![name, Bytes::new(weights as u64).to_string(), point.workspace_bytes.to_string()]
    });
    Ok(Some(Figure {
        id: "memory".to_owned(),
        title: "Device memory by batch".to_owned(),
        svg: bars("Device memory by batch", &lanes, None, |bytes| Bytes::new(bytes as u64).to_string())?,
        legend: vec![(1, "weights".to_owned()), (2, "activations and KV cache".to_owned())],
        caption: "What the model holds on the device at each point of the sweep.".to_owned(),
        head: head(["point", "weights", "activations and cache"]),
        rows: rows.collect(),
    }))
}

/// Power and clocks over time, of the windows that have samples.
pub(super) fn telemetry(profile: &Profile) -> Result<Option<Figure>, String> {
    let windows = || profile.telemetry.windows.iter().filter(|window| window.samples.len() > 1);
    let steady: Vec<_> = windows().filter(|window| window.window == WindowKind::Steady).take(6).collect();
    let chosen = if steady.is_empty() { windows().take(6).collect() } else { steady };
    let drawn: Vec<Curve> = chosen
        .iter()
        .enumerate()
        .filter_map(|(color, window)| {
            let points: Vec<(f64, f64)> = window
                .samples
                .iter()
                .filter_map(|sample| {
                    let at = sample.at_ns.saturating_sub(window.begin_ns).as_secs_f64();
                    Some((at, sample.power_mw? as f64 / 1e3))
                })
                .collect();
            let name = window.key.as_ref().map_or_else(|| window.step.clone(), ToString::to_string);
            (!points.is_empty()).then(|| Curve { name: clean(&name), points, color, labels: Vec::new() })
        })
        .collect();
    if drawn.is_empty() {
        return Ok(None);
    }
    Ok(Some(Figure {
        id: "telemetry".to_owned(),
        title: "Power over time".to_owned(),
        svg: curves(
            "Power of the GPU over time",
            (&Axis { title: "s in the window", log: false }, &Axis { title: "W", log: false }),
            &drawn,
            &Marks::default(),
        )?,
        legend: legend(&drawn),
        caption: "Board power by NVML, ten times a second, over the steady state.".to_owned(),
        head: Vec::new(),
        rows: Vec::new(),
    }))
}

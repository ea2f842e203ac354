//! What was measured, on what, by what, and how far it came.

use coldstart_profiles::{
    ClusterTarget, DeviceTarget, EngineTarget, HostTarget, ImageSource, ImageTarget, ModelTarget, Nanos,
    Profile, RunState,
};

use super::section::heading;
use crate::grid::{Cell, Column, Grid};
use crate::style::{Style, Tone};
use crate::text::{counted, paragraph};

/// The head of a report.
pub(crate) fn title(profile: &Profile, style: &Style) -> String {
    let target = &profile.target;
    let stand_in = if target.device.stand_in { " (STAND-IN driver: no number means anything)" } else { "" };
    let head = format!("{}{stand_in}", headline(profile));
    let mut text = warnings(profile, style);
    text.push_str(&heading(style, &head));
    let mut grid = Grid::new(style, [Column::text(""), Column::text("").wrap()]);
    let mut line = |name: &str, text: String| grid.row([Cell::new(Tone::Faint, name), text.into()]);
    if let Some(model) = &target.model {
        line("model", model_line(model));
    }
    match &target.cluster {
        Some(cluster) => line("cluster", cluster_line(cluster, &target.device)),
        None => {
            line("device", device_line(&target.device));
            line("host", host_line(&target.host, &target.device));
        }
    }
    if let Some(engine) = &target.engine {
        line("engine", engine_line(engine));
    }
    if let Some(image) = &target.image {
        line("image", image_line(image));
    }
    line("run", run_line(profile));
    text.push_str(&grid.render());
    text
}

/// What the profile is of: `Cold start of synthetic:small on AMD EPYC`.
pub(crate) fn headline(profile: &Profile) -> String {
    let device = &profile.target.device.name;
    if let Some(cluster) = &profile.target.cluster {
        return format!("Cold start of pods of {}", cluster.image);
    }
    match &profile.target.model {
        Some(model) => format!("Cold start of {} on {device}", model.source),
        None if !profile.benchmarks().is_empty() => format!("Benchmarks on {device}"),
        None => format!("Cold start of no model on {device}"),
    }
}

/// What makes the whole page doubtful, before anything else.
fn warnings(profile: &Profile, style: &Style) -> String {
    let (done, all) = (profile.done.len(), profile.plan.steps.len());
    let mut text = String::new();
    let state = match profile.state {
        RunState::Complete => None,
        RunState::Partial => Some(format!(
            "PARTIAL: {done} of {all} steps are done. `coldstart run --resume` continues the run."
        )),
        RunState::Interrupted => Some(format!(
            "INTERRUPTED after {done} of {all} steps. `coldstart run --resume` continues the run."
        )),
    };
    let stand_in = profile.target.device.stand_in.then(|| {
        "STAND-IN: a stand-in plays the driver's part. Nothing measured on it means anything.".to_owned()
    });
    for warning in state.into_iter().chain(stand_in) {
        text.push_str(&paragraph(style, Tone::Bad, &format!("!! {warning}")));
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

fn model_line(model: &ModelTarget) -> String {
    let dtypes: Vec<&str> = model.dtypes.keys().map(String::as_str).collect();
    joined([
        model.architecture.clone().or_else(|| Some("no config.json".to_owned())),
        Some(format!("{} {}", model.bytes, dtypes.join(" + ")).trim_end().to_owned()),
        Some(counted(model.tensors, "tensor")),
        model.file_system.as_ref().map(|system| format!("on {system}")),
    ])
}

fn device_line(device: &DeviceTarget) -> String {
    joined([
        Some(device.kind.clone()),
        (device.count > 1).then(|| format!("{} devices", device.count)),
        Some(device.memory_bytes.to_string()),
        device.threads.map(|threads| counted(u64::from(threads), "thread")),
        device.multiprocessors.map(|count| {
            let features = device.features.join(" ");
            format!("{} {features}", counted(u64::from(count), "SM")).trim_end().to_owned()
        }),
        device.driver.as_ref().map(|driver| format!("driver of CUDA {driver}")),
        (!device.gemm.is_empty() && !device.gemm.starts_with("none"))
            .then(|| format!("products by {}", device.gemm)),
    ])
}

/// What the device's line already says is left out.
fn host_line(host: &HostTarget, device: &DeviceTarget) -> String {
    joined([
        Some(host.name.clone()),
        Some(host.os.clone()),
        Some(format!("kernel {}", host.kernel)),
        (host.cpu != device.name).then(|| host.cpu.clone()),
        Some(counted(u64::from(host.cores), "core")),
        host.cpu_limit_millicores.map(|limit| format!("limited to {:.2} cores", limit as f64 / 1000.0)),
        match host.memory_limit_bytes {
            Some(limit) => Some(format!("limited to {limit}")),
            None => (host.memory_bytes != device.memory_bytes).then(|| host.memory_bytes.to_string()),
        },
        host.governor.as_ref().map(|governor| format!("governor {governor}")),
    ])
}

/// What pods tell of where they ran.
fn cluster_line(cluster: &ClusterTarget, device: &DeviceTarget) -> String {
    joined([
        Some(counted(u64::from(cluster.pods), "pod")),
        (!cluster.left_out.is_empty()).then(|| format!("{} left out", cluster.left_out.len())),
        Some(counted(cluster.nodes.len() as u64, "node")),
        Some(format!("container {}", cluster.container)),
        (device.count > 0).then(|| format!("{} × {}", device.count, device.name)),
    ])
}

fn engine_line(engine: &EngineTarget) -> String {
    joined([
        Some(engine.version.clone()),
        Some(format!("API {}", engine.api_version)),
        Some(engine.storage.clone()),
        (!engine.local).then(|| "remote".to_owned()),
    ])
}

fn image_line(image: &ImageTarget) -> String {
    joined([
        Some(match image.source {
            ImageSource::Synthetic => {
                format!("{} (synthetic, from a registry on the loopback address)", image.reference)
            }
            ImageSource::Reference => image.reference.clone(),
        }),
        image.digest.as_ref().map(|digest| digest.chars().take(19).collect()),
        image.layers.map(|layers| counted(u64::from(layers), "layer")),
        image.compressed_bytes.map(|bytes| format!("{bytes} compressed")),
        image.unpacked_bytes.map(|bytes| format!("{bytes} unpacked")),
    ])
}

fn run_line(profile: &Profile) -> String {
    joined([
        Some(format!("{} {}, method {}", profile.tool.name, profile.tool.version, profile.tool.method)),
        Some(profile.started_at.clone()),
        (profile.plan.budget_ns > Nanos::ZERO)
            .then(|| format!("{} of a budget of {}", profile.elapsed_ns, profile.plan.budget_ns)),
        profile.plan.quick.then(|| "quick".to_owned()),
    ])
}

fn joined<const N: usize>(parts: [Option<String>; N]) -> String {
    parts.into_iter().flatten().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" · ")
}

use coldstart_profiles::{
    Bytes, ContainerDetail, Detail, ExtractBound, Interval, LayerDetail, LayerStatus, Nanos, Params, Phase,
    Profile, PullDetail, PullDialect, PullSource, PullStage, Reading, Scope, SizesFrom, StageTimes,
    TotalKind, Trace, Work,
};

use super::cold_starts::{chain, reading};
use super::{Noise, ms};

/// Three synthetic pulls and three container starts.
pub(crate) fn add(profile: &mut Profile, noise: &mut Noise) {
    for trial in 0..3 {
        profile.traces.push(pull(trial, 1_640.0 * noise.factor(0.05)));
        profile.traces.push(container(trial, noise));
    }
}

fn pull(trial: u32, millis: f64) -> Trace {
    let params = Params::new().with("codec", "gzip").with("source", "synthetic");
    let mut pull = reading(Phase::ImagePull, Nanos::ZERO, ms(millis));
    pull.params = params.clone();
    pull.work = Some(Work::Bytes(Bytes::from_mib(128)));
    pull.detail = Some(Detail::Pull(detail(millis)));
    let end = Trace::completed(std::slice::from_ref(&pull), ms(millis));
    Trace {
        step: format!("pull-{trial}"),
        trial,
        scope: Scope::Pull,
        total_kind: TotalKind::Pull,
        params,
        readings: vec![pull],
        end,
    }
}

fn detail(total: f64) -> PullDetail {
    let span = |begin: f64, end: f64| Some(Interval { begin_ns: ms(total * begin), end_ns: ms(total * end) });
    let layer = |index: u32| {
        let begin = 0.04 + 0.02 * f64::from(index);
        LayerDetail {
            id: format!("5dd04455{index:04}"),
            digest: None,
            media_type: None,
            compressed_bytes: Some(Bytes::from_mib(17)),
            status: LayerStatus::Pulled,
            retries: u32::from(index == 2),
            download: span(begin, begin + 0.09),
            verify: span(begin + 0.09, begin + 0.10),
            extract: span(0.16 + 0.2 * f64::from(index), 0.355 + 0.2 * f64::from(index)),
        }
    };
    PullDetail {
        reference: "127.0.0.1:40217/coldstart/synthetic:1".into(),
        digest: "sha256:4fd0c1c2b7e4c0a3b4de".into(),
        source: PullSource::Synthetic,
        dialect: PullDialect::Classic,
        total_ns: ms(total),
        layers: (0..4).map(layer).collect(),
        compressed_bytes: Some(Bytes::from_mib(68)),
        downloaded_bytes: Some(Bytes::from_mib(68)),
        unpacked_bytes: Some(Bytes::from_mib(128)),
        cold_fraction: Some(1.0),
        sizes_from: SizesFrom::Manifest,
        bound_by: PullStage::Extract,
        extract_bound_by: Some(ExtractBound::Inflate),
        critical_path: StageTimes {
            registry_ns: ms(total * 0.04),
            download_ns: ms(total * 0.11),
            verify_ns: ms(total * 0.01),
            extract_ns: ms(total * 0.8),
            finish_ns: ms(total * 0.04),
        },
        busy: StageTimes::default(),
        inflate: None,
    }
}

fn container(trial: u32, noise: &mut Noise) -> Trace {
    let parts = [
        (Phase::ContainerStart, 412.0),
        (Phase::Alloc, 74.0),
        (Phase::WeightsLoad, 409.0),
        (Phase::FirstBatch, 77.0),
        (Phase::WarmUp, 150.0),
    ];
    let (mut readings, total): (Vec<Reading>, Nanos) = chain(&parts, noise);
    readings[0].detail = Some(Detail::Container(ContainerDetail {
        image: "coldstart/synthetic".into(),
        create_ns: ms(96.0),
        start_ns: ms(315.0),
        total_ns: ms(412.0),
        memory_limit_bytes: None,
    }));
    let end = Trace::completed(&readings, total);
    Trace {
        step: format!("container-{trial}"),
        trial,
        scope: Scope::ColdStart,
        total_kind: TotalKind::Container,
        params: Params::new().with("page_cache", "cold").with("staging", "direct"),
        readings,
        end,
    }
}

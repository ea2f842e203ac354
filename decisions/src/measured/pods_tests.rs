//! Cold starts of a cluster's pods beside what a machine measured.

use coldstart_profiles::{Bytes, ImageSource, ImageTarget, Nanos, Params, Phase, Profile, TotalKind, Trace};

use super::{ByHand, ColdStart, Fleet, PullByHand, PullTime};
use crate::testing::{pods, profile};

#[test]
fn what_pods_took_comes_before_what_a_machine_took() {
    let (machine, pods) = (profile(), pods(&[(0, 30), (0, 31), (0, 29), (60, 30), (70, 32)]));
    for order in [[("m", &machine), ("p", &pods)], [("p", &pods), ("m", &machine)]] {
        let fleet = Fleet::of(&order, &ByHand::default(), false).unwrap();
        assert_eq!(fleet.classes.len(), 1, "pods are no class of nodes");
        assert_eq!(fleet.kinds_differ(), None);
        let class = &fleet.classes[0];
        let cold = class.cold_start().unwrap();
        assert_eq!((cold.kind, cold.trials, cold.storage.as_str()), (Some(TotalKind::Pod), 2, "cluster"));
        assert_eq!(cold.hi_ns.value, Nanos::from_secs(102), "those that pulled stand for a fresh node");
        assert!(matches!(&cold.pull, PullTime::Measured { times_ns } if times_ns.len() == 2));
        assert_eq!(cold.start_hi_ns.as_ref().unwrap().value, Nanos::from_secs(32));
        assert_eq!(class.cold_starts.len(), 2, "that of the machine is still there");
        assert_eq!((class.profiles.len(), class.pods.len()), (1, 1));
        assert_eq!(class.pods[0].name, "p");
    }
}

/// The same without the events of the pulls: what they took is in no part.
fn without_events(mut pods: Profile) -> Profile {
    for trace in &mut pods.traces {
        let total = trace.total().unwrap().0;
        trace.readings.retain(|reading| reading.phase != Phase::ImagePull);
        trace.params = Params::new().with("image", "unknown");
        trace.end = Trace::completed(&trace.readings, total);
    }
    pods.derive();
    pods
}

/// A pull of 80 s, by hand.
fn pull_by_hand() -> ByHand {
    let pull = PullByHand { image_bytes: Bytes::new(8_000_000_000), registry_bytes_per_s: 100e6 };
    ByHand { pull: Some(pull), ..ByHand::default() }
}

fn cold_of(pods: &Profile, by_hand: &ByHand) -> ColdStart {
    let machine = profile();
    let fleet = Fleet::of(&[("m", &machine), ("p", pods)], by_hand, false).unwrap();
    fleet.classes[0].cold_start().unwrap().clone()
}

#[test]
fn a_pull_that_lies_in_what_no_part_accounts_for_is_not_added_again() {
    let pods = without_events(pods(&[(60, 30), (70, 30), (80, 32)]));
    let of = |by_hand: &ByHand| {
        let cold = cold_of(&pods, by_hand);
        (cold.median_ns.value, cold.hi_ns.value, cold.hi_ns.basis)
    };
    let (median, hi, basis) = of(&ByHand::default());
    assert_eq!((median, hi), (Nanos::from_secs(100), Nanos::from_secs(112)));
    let said = basis.caveats.join("\n");
    assert!(said.contains("its pull lies in `unattributed`, 70.0 s by the median"), "{said}");
    assert!(!said.contains("--image-bytes"), "nothing invites to count it twice: {said}");
    let (median, hi, basis) = of(&pull_by_hand());
    assert_eq!((median, hi), (Nanos::from_secs(100), Nanos::from_secs(112)), "the same");
    let said = basis.caveats.join("\n");
    assert!(
        said.contains("--image-bytes and --registry-bandwidth are not used for the cold start: it holds"),
        "{said}"
    );
    assert!(basis.assumed.is_empty(), "{basis:?}");
}

#[test]
fn a_pull_by_hand_counts_where_the_image_was_there_and_is_said_to_be_unused_where_one_was_measured() {
    let there = cold_of(&pods(&[(0, 30), (0, 31), (0, 29)]), &pull_by_hand());
    assert_eq!(there.hi_ns.value, Nanos::from_secs(31 + 80));
    assert_eq!(there.hi_ns.basis.assumed, PullByHand::FLAGS);
    let pulled = cold_of(&pods(&[(60, 30), (70, 30)]), &pull_by_hand());
    assert_eq!(pulled.hi_ns.value, Nanos::from_secs(100));
    let said = pulled.hi_ns.basis.caveats.join("\n");
    assert!(said.contains("are not used for the cold start: its pull was measured"), "{said}");
    let by_hand = ByHand { cold_p99_ns: Some(Nanos::from_secs(90)), ..pull_by_hand() };
    for cold in [cold_of(&pods(&[(0, 30)]), &by_hand), cold_of(&pods(&[(60, 30)]), &by_hand)] {
        let said = cold.hi_ns.basis.caveats.join("\n");
        assert!(cold.hi_ns.value == Nanos::from_secs(90) && said.contains("--image-bytes"), "{said}");
    }
}

/// The same, of pods that say who they are.
fn telling(mut pods: Profile, gpu: Option<(&str, Option<&str>)>, model: Option<&str>) -> Profile {
    let cluster = pods.target.cluster.as_mut().unwrap();
    cluster.model = model.map(str::to_owned);
    if let Some((resource, product)) = gpu {
        cluster.gpu_resource = Some(resource.to_owned());
        cluster.gpu_product = product.map(str::to_owned);
        pods.target.device.count = 1;
    }
    pods
}

/// A machine with this GPU.
fn with_gpu(name: &str) -> Profile {
    let mut machine = profile();
    let device = &mut machine.target.device;
    (device.kind, device.name, device.count) = ("cuda".to_owned(), name.to_owned(), 1);
    machine
}

fn differs(machine: &Profile, pods: &Profile) -> Vec<String> {
    let fleet = Fleet::of(&[("m", machine), ("p", pods)], &ByHand::default(), false).unwrap();
    let class = &fleet.classes[0];
    let cold = class.cold_start().unwrap();
    let caveats = &cold.hi_ns.basis.caveats;
    assert!(caveats.starts_with(&class.pods[0].differs), "{caveats:?}");
    assert!(cold.hi_ns.basis.formula.contains("pods of serve:1"), "{}", cold.hi_ns.basis.formula);
    class.pods[0].differs.clone()
}

#[test]
fn pods_join_the_class_of_their_device_only() {
    let gpu = ("nvidia.com/gpu", Some("NVIDIA-L4"));
    let pods = telling(pods(&[(60, 30), (70, 32)]), Some(gpu), None);
    let (l4, h100, host) = (with_gpu("NVIDIA L4"), with_gpu("NVIDIA H100 80GB HBM3"), profile());
    let machines = [("h100", &h100), ("l4", &l4), ("host", &host)];
    let all: Vec<_> = machines.into_iter().chain([("p", &pods)]).collect();
    let fleet = Fleet::of(&all, &ByHand::default(), false).unwrap();
    let of_pods: Vec<usize> = fleet.classes.iter().map(|class| class.pods.len()).collect();
    assert_eq!(of_pods, [0, 1, 0]);
    assert_ne!(fleet.classes[0].cold_start().unwrap().kind, Some(TotalKind::Pod));
    assert_eq!(fleet.classes[1].cold_start().unwrap().kind, Some(TotalKind::Pod));
    let differ = fleet.kinds_differ().unwrap();
    assert!(differ.contains("NVIDIA L4: of a pod; "), "{differ}");

    for known in [vec![("h100", &h100), ("p", &pods)], vec![("host", &host), ("p", &pods)]] {
        let error = Fleet::of(&known, &ByHand::default(), false).unwrap_err().to_string();
        assert!(
            error.starts_with("plan with p: its pods ran on NVIDIA-L4, and the profiles are of "),
            "{error}"
        );
        assert!(error.contains("leave p out"), "{error}");
    }
    // Pods that ask for no GPU are of the machine that has none.
    let plain = telling(self::pods(&[(60, 30)]), None, None);
    let fleet = Fleet::of(&[("l4", &l4), ("host", &host), ("p", &plain)], &ByHand::default(), false).unwrap();
    assert_eq!(fleet.classes.iter().map(|class| class.pods.len()).collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn what_differs_is_said_the_gravest_first() {
    let gpu = |product| Some(("nvidia.com/gpu", product));
    let l4 = with_gpu("NVIDIA L4");
    let source = l4.target.model.as_ref().unwrap().source.clone();
    let seen = || pods(&[(60, 30), (70, 32)]);
    assert!(
        differs(&l4, &telling(seen(), gpu(Some("NVIDIA-L4")), Some(&format!("org/{source}")))).is_empty()
    );
    let all = differs(&l4, &telling(seen(), gpu(None), Some("meta-llama/Llama-3-8B")));
    assert_eq!(all.len(), 2, "{all:?}");
    assert!(all[0].contains("serve meta-llama/Llama-3-8B, the profiles measured synthetic"), "{all:?}");
    assert!(all[1].contains("which GPU") && all[1].contains("pod,event,node"), "{all:?}");
    let mut pulled = l4.clone();
    pulled.target.image = Some(ImageTarget {
        source: ImageSource::Reference,
        reference: "serve:2".to_owned(),
        digest: None,
        compressed_bytes: None,
        unpacked_bytes: None,
        layers: None,
    });
    let all = differs(&pulled, &telling(seen(), gpu(Some("l4")), None));
    assert!(all[0].contains("don't tell which model") && all[1].contains("pulled serve:2"), "{all:?}");
    let mut two = telling(seen(), gpu(Some("l4")), Some(&source));
    two.target.device.count = 2;
    assert!(differs(&l4, &two)[0].contains("2 GPUs each"));
    assert!(differs(&l4, &telling(seen(), None, Some(&source)))[0].contains("ask for no GPU"));
}

#[test]
fn pods_of_two_images_are_no_one_cold_start() {
    let (machine, a, mut b) = (profile(), pods(&[(60, 30)]), pods(&[(60, 30)]));
    let both = |b: &Profile| {
        Fleet::of(&[("m", &machine), ("a", &a), ("b", b)], &ByHand::default(), false).map(|_| ())
    };
    assert_eq!(both(&b), Ok(()));
    b.target.cluster.as_mut().unwrap().image = "serve:2".to_owned();
    let error = both(&b).unwrap_err().to_string();
    assert!(error.contains("a holds those of serve:1, b those of serve:2"), "{error}");
}

#[test]
fn the_load_within_a_readiness_is_that_of_a_machine_and_never_longer() {
    let machine = profile();
    let of = |seconds| {
        let pods = pods(&[(60, seconds), (70, seconds)]);
        let class =
            Fleet::of(&[("m", &machine), ("p", &pods)], &ByHand::default(), false).unwrap().classes.remove(0);
        let cold = class.cold_start().unwrap();
        (class.load_within(cold).unwrap(), class.loading(cold).clone())
    };
    let (load, loading) = of(30);
    let own = loading.part(Phase::WeightsLoad).unwrap();
    assert_eq!(load.value, own.median_ns.value);
    assert!(loading.kind != Some(TotalKind::Pod) && load.basis.keys.len() == 2, "{:?}", load.basis);
    assert!(load.basis.caveats[0].contains("don't tell how long their weights take"));
    // A model that loads for longer than the pods took to be ready.
    let slow = crate::testing::with_cold_starts(profile(), &[50_000, 50_000, 50_000]);
    let pods = pods(&[(60, 30), (70, 30)]);
    let class =
        Fleet::of(&[("m", &slow), ("p", &pods)], &ByHand::default(), false).unwrap().classes.remove(0);
    assert_eq!(class.load_within(class.cold_start().unwrap()).unwrap().value, Nanos::from_secs(30));
}

#[test]
fn pods_alone_carry_no_plan() {
    let pods = pods(&[(60, 30)]);
    let error = Fleet::of(&[("p", &pods)], &ByHand::default(), false).unwrap_err().to_string();
    assert!(error.contains("throughput") && error.contains("coldstart run"), "{error}");
}

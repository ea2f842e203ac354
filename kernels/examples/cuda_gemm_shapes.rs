//! Matrix products of a GPU: our own kernels beside cuBLASLt and beside what the GPU could do.
//!
//! ```text
//! COLDSTART_CUBLASLT=/path/to/venv cargo run --release -p coldstart-kernels --example cuda_gemm_shapes -- 0
//! ```
//! The argument is the number of the GPU. Shapes are those of a decoder of 8 billion parameters, from one row (a decode
//! step) to thousands (prompts), and the mark of the peak. Weights are read from as many copies as overflow the cache, in
//! turn, as the layers of a model would be. Each time is the best of some rounds on the device's clock. Columns: our time
//! in µs, TFLOP/s, share of the theoretical peak, rate of reading weights in GB/s, the kernel, and cuBLASLt's time and
//! TFLOP/s where it was found.

use std::error::Error;

use coldstart_kernels::cuda::{CudaBuffer, CudaDevice, Facts, flop_per_cycle};
use coldstart_kernels::{Device, Dtype, GemmRun, Implementation, Ops};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// n and k: attention's projections (keys and values, queries), the two of the MLP, the vocabulary.
const LAYERS: [[usize; 2]; 5] = [[1024, 4096], [4096, 4096], [14_336, 4096], [4096, 14_336], [128_256, 4096]];
const ROWS: [usize; 10] = [1, 2, 8, 16, 17, 32, 64, 128, 512, 2048];
/// The square product of the peak.
const MARK: usize = 8192;
const ROUNDS: usize = 5;
/// Operations and bytes of weights that a round should have at least, so that launches do not count.
const WORK: f64 = 2e12;
const BYTES: f64 = 8e9;
/// Times the cache that the copies of the weights take together.
const CACHES: u64 = 4;

fn main() -> Outcome<()> {
    let index = std::env::args().nth(1).map_or(Ok(0), |number| number.parse())?;
    let device = CudaDevice::open(index)?;
    let (name, facts) = (device.describe()?.name, device.facts()?);
    println!("{name}: {facts:?}");
    let library = match device.load_cublaslt() {
        Ok(found) => {
            println!("cuBLASLt {} of {}, loaded in {:?}", found.version, found.path.display(), found.load);
            true
        }
        Err(error) => {
            println!("without cuBLASLt: failed to {error}");
            false
        }
    };
    for dtype in [Dtype::Bf16, Dtype::F16, Dtype::F32] {
        println!("{dtype}: peak {:.1} TFLOP/s", peak(&name, &facts, dtype) / 1e12);
        println!("     m      n      k |  own µs  TFLOP/s  of peak    GB/s  kernel | cuBLASLt µs  TFLOP/s");
        let layers = LAYERS.into_iter().flat_map(|[n, k]| ROWS.map(|m| [m, n, k]));
        for shape in layers.chain([[MARK; 3]]) {
            row(&device, (&name, &facts), shape, dtype, library)?;
        }
    }
    Ok(())
}

/// Operations per second by the data sheet; not a number where they are not known.
fn peak(name: &str, facts: &Facts, dtype: Dtype) -> f64 {
    let per_cycle = flop_per_cycle(name, facts.capability, dtype).map_or(f64::NAN, f64::from);
    facts.clock_hz.map_or(f64::NAN, |clock| clock as f64) * facts.multiprocessors as f64 * per_cycle
}

/// Measures one shape and prints its line.
fn row(
    device: &CudaDevice,
    (name, facts): (&str, &Facts),
    shape: [usize; 3],
    dtype: Dtype,
    library: bool,
) -> Outcome<()> {
    let [m, n, k] = shape;
    let bytes = n * k * dtype.size();
    let copies = (CACHES * facts.l2_bytes).div_ceil(bytes as u64).clamp(1, 64);
    let mut runs = Vec::new();
    for _ in 0..copies {
        runs.push(GemmRun::new(device, shape, dtype)?);
    }
    let flops = runs[0].flops() as f64;
    let own = best(device, &mut runs, Implementation::Own, flops, bytes as f64)?;
    let rate = flops / own;
    let share = rate / peak(name, facts, dtype);
    let kernel = device.products().pop().map(|product| product.kernel).unwrap_or_default();
    print!(
        "{m:6} {n:6} {k:6} |{:8.1}{:9.1}{share:9.2}{:8.0}  {kernel:<24} |",
        own * 1e6,
        rate / 1e12,
        bytes as f64 / own / 1e9
    );
    if library {
        let theirs = best(device, &mut runs, Implementation::CublasLt, flops, bytes as f64)?;
        print!("{:12.1}{:9.1}", theirs * 1e6, flops / theirs / 1e12);
    }
    println!();
    Ok(())
}

/// The best time of one product, in seconds.
fn best(
    device: &CudaDevice,
    runs: &mut [GemmRun<CudaBuffer>],
    implementation: Implementation,
    flops: f64,
    bytes: f64,
) -> Outcome<f64> {
    let turns = (WORK / flops).min(BYTES / bytes).ceil().clamp(1.0, 1000.0) as usize;
    let products = turns.next_multiple_of(runs.len());
    let mut best = f64::INFINITY;
    for _ in 0..=ROUNDS {
        let timed = device.time(|| {
            for run in 0..products {
                let at = run % runs.len();
                runs[at].enqueue_with(device, implementation)?;
            }
            Ok::<_, coldstart_kernels::Error>(())
        })?;
        let seconds = timed.device.unwrap_or(timed.host).as_secs_f64();
        best = best.min(seconds / products as f64);
    }
    Ok(best)
}

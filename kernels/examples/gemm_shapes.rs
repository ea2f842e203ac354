//! Matrix products of the host device beside numpy's OpenBLAS, and the checksum beside a copy.
//!
//! ```text
//! python3 -m venv /tmp/numpy && /tmp/numpy/bin/pip install numpy
//! cargo run --release -p coldstart-kernels --example gemm_shapes -- /tmp/numpy/bin/python
//! ```
//! Each rate is the best of all repetitions in six rounds of 0.15 s, ours and numpy's in turn; without a Python only
//! ours are printed. Columns: f32, f16 and bf16 weights in GFLOP/s, the f32 weights' rate in GB/s, numpy's f32 in
//! GFLOP/s and ours ÷ numpy's.

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use coldstart_kernels::{Device, Dtype, GemmRun, HostDevice, Ops};

type Outcome<T> = Result<T, Box<dyn Error>>;

const ROUNDS: usize = 6;
const ROUND: Duration = Duration::from_millis(150);
/// m, n, k: the mark, decode steps, prompts.
const SHAPES: [[usize; 3]; 14] = [
    [1024, 1024, 1024],
    [1, 1024, 1024],
    [1, 4096, 4096],
    [2, 1024, 1024],
    [4, 1024, 1024],
    [8, 256, 256],
    [8, 1024, 1024],
    [8, 4096, 1024],
    [16, 1024, 1024],
    [64, 1024, 1024],
    [128, 1024, 1024],
    [128, 4096, 1024],
    [512, 1024, 1024],
    [512, 1024, 4096],
];

fn main() -> Outcome<()> {
    let device = HostDevice::open(0)?;
    println!("{}, {} threads", device.describe()?.name, device.threads());
    println!("{}", device.gemm_name());
    let mut numpy =
        std::env::args().nth(1).map(|python| Numpy::start(&python, device.threads())).transpose()?;
    println!("     m     n     k |    f32    f16   bf16 GFLOP/s |  f32 GB/s |  numpy  ours/numpy");
    for shape in SHAPES {
        let [m, n, k] = shape;
        let mut runs = Vec::new();
        for dtype in Dtype::ALL {
            runs.push(GemmRun::new(&device, shape, dtype)?);
        }
        let (mut best, mut other) = ([f64::INFINITY; 3], f64::INFINITY);
        for _ in 0..ROUNDS {
            for (run, best) in runs.iter_mut().zip(&mut best) {
                *best = best.min(best_of(|| run.enqueue(&device))?);
            }
            if let Some(numpy) = &mut numpy {
                other = other.min(numpy.run(shape)?);
                // OpenBLAS threads spin for a while before they let go of the cores.
                sleep(Duration::from_millis(60));
            }
        }
        let flops = runs[0].flops() as f64;
        let [f32, f16, bf16] = best.map(|seconds| flops / seconds / 1e9);
        let bandwidth = (n * k * 4) as f64 / best[0] / 1e9;
        print!("{m:6}{n:6}{k:6} |{f32:7.1}{f16:7.1}{bf16:7.1}         | {bandwidth:9.1} |");
        if numpy.is_some() {
            println!("{:7.1}{:12.2}", flops / other / 1e9, other / best[0])
        } else {
            println!()
        }
    }
    checksum(&device)
}

/// The best time of one call within a round, in seconds.
fn best_of(mut call: impl FnMut() -> coldstart_kernels::Result<()>) -> Outcome<f64> {
    let (started, mut best) = (Instant::now(), Duration::MAX);
    while started.elapsed() < ROUND {
        let one = Instant::now();
        call()?;
        best = best.min(one.elapsed());
    }
    Ok(best.as_secs_f64())
}

fn checksum(device: &HostDevice) -> Outcome<()> {
    let bytes = 256 << 20;
    let (mut source, mut target) = (device.alloc(bytes)?, device.alloc(bytes)?);
    device.fill_pattern(&mut source, 0..bytes, 1)?;
    device.fill_pattern(&mut target, 0..bytes, 2)?;
    let (mut sum, mut copy) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..ROUNDS {
        sum = sum.min(best_of(|| device.checksum(&source, 0..bytes).map(drop))?);
        copy = copy.min(best_of(|| device.copy(device.compute(), &source, 0..bytes, &mut target, 0))?);
    }
    let rate = |seconds: f64| bytes as f64 / seconds / 1e9;
    println!("checksum of 256 MiB {:.1} GB/s, copy {:.1} GB/s", rate(sum), rate(copy));
    Ok(())
}

/// A Python that runs `gemm_shapes.py`.
struct Numpy {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Numpy {
    fn start(python: &str, threads: usize) -> Outcome<Numpy> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/gemm_shapes.py");
        let mut child = Command::new(python)
            .arg(script)
            .env("OPENBLAS_NUM_THREADS", threads.to_string())
            // Both steer which kernels OpenBLAS takes; only its own choice is a fair mark.
            .env_remove("OPENBLAS_CORETYPE")
            .env_remove("OPENBLAS_L2_SIZE")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = child.stdin.take().ok_or("no stdin")?;
        let output = BufReader::new(child.stdout.take().ok_or("no stdout")?);
        Ok(Numpy { child, input, output })
    }

    fn run(&mut self, [m, n, k]: [usize; 3]) -> Outcome<f64> {
        writeln!(self.input, "{m} {n} {k}")?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        Ok(line.trim().parse()?)
    }
}

impl Drop for Numpy {
    fn drop(&mut self) {
        // Ends it where it has not ended by itself; there is nothing to save.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

//! Running what is enqueued: as much of a stream as a wait needs, and of other streams what that waits for.

use std::sync::Arc;

use crate::abi::{Code, Outcome, copy_bytes};
use crate::clock::{Time, transfer};
use crate::driver::{Driver, call_out};
use crate::host_code::Order;
use crate::queue::{End, Launch, Op, Queued, Use};
use crate::race::{Access, Who};
use crate::ranges::Kind;

/// What starting any operation costs on the device.
const LATENCY: Time = 2_000;
/// What a kernel costs besides its memory.
const KERNEL: Time = 5_000;

impl Driver {
    /// Runs a stream until its operation `epoch` is done.
    pub(crate) fn run(&mut self, stream: u64, epoch: u64) -> Outcome {
        let mut wanted = vec![(stream, epoch)];
        while let Some((stream, epoch)) = wanted.last().copied() {
            let Some(this) = self.streams.get(&stream) else {
                wanted.pop();
                continue;
            };
            let device = this.device;
            let Some(next) = this.queue.front().filter(|_| this.done < epoch) else {
                wanted.pop();
                continue;
            };
            if let Op::Wait(point) = &next.op
                && point.reached().is_none()
                && self.streams.get(&point.stream).is_some_and(|other| other.done < point.epoch)
            {
                let dependency = (point.stream, point.epoch);
                wanted.push(dependency);
                continue;
            }
            let Some(this) = self.streams.get_mut(&stream) else { continue };
            let Some(next) = this.queue.pop_front() else { continue };
            let start = this.ready_at.max(next.at);
            let ended = self.perform(device, &next, start);
            if let Some(this) = self.streams.get_mut(&stream) {
                this.ready_at = *ended.as_ref().unwrap_or(&start);
                // A broken context has dropped all that was enqueued.
                this.done = (this.done + 1).min(this.enqueued);
            }
            ended?;
        }
        Ok(())
    }

    /// Runs one operation, which begins at `start`; says when it is done.
    fn perform(&mut self, device: usize, next: &Queued, start: Time) -> Result<Time, Code> {
        let label = &next.who.label;
        Ok(match &next.op {
            Op::Reach(point) => {
                point.reach(start);
                start
            }
            Op::Wait(point) => start.max(point.reached().unwrap_or(start)),
            Op::Free(address) => {
                let whole = self.ranges.at(*address).map(|range| (range.base, range.size as usize));
                if let Some((base, size)) = whole {
                    self.access(device, &next.who, &[Use { address: base, bytes: size, write: true }])?;
                }
                self.ranges.free(*address);
                start
            }
            Op::Copy { from, to, bytes } => {
                self.faults.happens("copy").map_err(|code| {
                    self.break_context(device, code, &format!("{label} fails as the test asked"))
                })?;
                start + LATENCY + self.copy(device, &next.who, from, to, *bytes)?
            }
            Op::Fill { to, word, width, count } => {
                let bytes = width * count;
                self.access(device, &next.who, &[Use { address: *to, bytes, write: true }])?;
                fill(*to, *word, *width, *count);
                start + LATENCY + transfer(bytes, self.config.device_gbps)
            }
            Op::Kernel(launch) => {
                self.faults.happens("launch").map_err(|code| {
                    self.break_context(device, code, &format!("{label} fails as the test asked"))
                })?;
                start + KERNEL + self.launch(device, &next.who, launch)?
            }
            Op::Call { call, uses, cost, .. } => {
                self.access(device, &next.who, uses)?;
                let call = *call;
                call_out(|| (call.function)(call.argument));
                start + cost
            }
        })
    }

    fn copy(
        &mut self,
        device: usize,
        who: &Arc<Who>,
        from: &End,
        to: &End,
        bytes: usize,
    ) -> Result<Time, Code> {
        let mut uses = Vec::new();
        if let End::Known(address) = from {
            uses.push(Use { address: *address, bytes, write: false });
        }
        if let End::Known(address) = to {
            uses.push(Use { address: *address, bytes, write: true });
        }
        self.access(device, who, &uses)?;
        let source = match from {
            End::Known(address) | End::Pageable(address) => *address,
            End::Staged(staged) => staged.as_ptr() as u64,
        };
        let target = match to {
            End::Known(address) | End::Pageable(address) => *address,
            // Nothing is ever copied into a staging buffer.
            End::Staged(_) => return Ok(0),
        };
        copy_bytes(source, target, bytes);
        let is_device = |end: &End| match end {
            End::Known(address) => {
                self.ranges.holding(*address).is_some_and(|range| matches!(range.kind, Kind::Device(_)))
            }
            _ => false,
        };
        let pageable = |end: &End| !matches!(end, End::Known(_));
        let rate = if is_device(from) && is_device(to) {
            // Read and written in the same memory.
            self.config.device_gbps / 2.0
        } else if pageable(from) || pageable(to) {
            self.config.pageable_gbps
        } else {
            self.config.pinned_gbps
        };
        Ok(transfer(bytes, rate))
    }

    fn launch(&mut self, device: usize, who: &Arc<Who>, launch: &Launch) -> Result<Time, Code> {
        let Some(host_code) = &self.host_code else { return Err(Code::ERROR_NOT_FOUND) };
        self.launches += 1;
        let began = std::time::Instant::now();
        let ran = host_code.run(&Order {
            kernel: launch.kernel,
            grid: launch.grid,
            block: launch.block,
            dynamic_shared: launch.dynamic_shared,
            static_shared: launch.static_shared,
            parameters: &launch.parameters,
            ranges: &self.ranges.for_kernels(device),
            freed: &self.ranges.freed_for_kernels(),
            seed: self.config.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ self.launches,
            threads: self.config.threads,
            deadline_ms: self.config.deadline_ms,
        });
        if let Some((code, message)) = ran.failure {
            return Err(self.break_context(device, Code(code), &message));
        }
        let mut bytes = 0;
        let mut uses = Vec::new();
        for touch in &ran.touched {
            for (low, high, write) in
                [(touch.read_low, touch.read_high, false), (touch.write_low, touch.write_high, true)]
            {
                if low < high {
                    bytes += (high - low) as usize;
                    uses.push(Use { address: low, bytes: (high - low) as usize, write });
                }
            }
        }
        self.access(device, who, &uses)?;
        let modelled = transfer(bytes, self.config.device_gbps);
        // What waits for the host takes as long as it takes.
        Ok(if ran.paused { modelled.max(began.elapsed().as_nanos() as Time) } else { modelled })
    }

    /// Checks that memory is there and that nothing else uses it at the same time.
    fn access(&mut self, device: usize, who: &Arc<Who>, uses: &[Use]) -> Outcome {
        for use_ in uses.iter().filter(|use_| use_.bytes > 0) {
            if let Err(why) = self.ranges.whole(use_.address, use_.bytes) {
                let why = format!("{}: {why}", who.label);
                return Err(self.break_context(device, Code::ERROR_ILLEGAL_ADDRESS, &why));
            }
            if !self.config.races {
                continue;
            }
            let idle = self.streams.values().all(|stream| stream.queue.is_empty());
            let Some(range) = self.ranges.holding_mut(use_.address) else { continue };
            let low = use_.address - range.base;
            let high = low + use_.bytes as u64;
            let access = Access { who: Arc::clone(who), low, high, write: use_.write };
            let id = range.id;
            if let Err(race) = range.history.add(access, &self.host, idle) {
                let why = format!("a race in allocation {id}: {race}");
                return Err(self.break_context(device, Code::ERROR_LAUNCH_FAILED, &why));
            }
        }
        Ok(())
    }
}

fn fill(to: u64, word: u32, width: usize, count: usize) {
    let pattern = word.to_ne_bytes();
    // SAFETY: the range was found in known memory.
    let target = unsafe { std::slice::from_raw_parts_mut(to as *mut u8, width * count) };
    for chunk in target.chunks_mut(width) {
        chunk.copy_from_slice(&pattern[..chunk.len()]);
    }
}

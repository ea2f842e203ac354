//! A recorded graph reads what is in device memory when it is replayed.

use coldstart_kernels::{Error, IndicesMut, Ops};

use super::Verdict;

/// Numbers that a graph moves on.
const COUNT: usize = 1000;
/// How often it is replayed.
const REPLAYS: u32 = 5;

pub(super) fn check<O: Ops>(device: &O) -> Verdict {
    match replays(device) {
        Ok(None) => Verdict::Skipped("this device has no graphs: it runs operations one by one".to_owned()),
        Ok(Some(Ok(()))) => Verdict::Passed(format!("{REPLAYS} replays, equal to the bit")),
        Ok(Some(Err(wrong))) => Verdict::Failed(wrong),
        Err(error) => Verdict::Failed(format!("failed to {error}")),
    }
}

/// `None` without graphs; else what was wrong.
fn replays<O: Ops>(device: &O) -> Result<Option<Result<(), String>>, Error> {
    let numbers: Vec<u8> = (0..COUNT as u32).flat_map(u32::to_le_bytes).collect();
    let mut buffer = device.alloc(numbers.len())?;
    device.upload(device.compute(), &numbers, &mut buffer, 0)?;
    let recorded = device.record(|| {
        device.advance(IndicesMut::new(&mut buffer, COUNT)?, 3)?;
        device.advance(IndicesMut::new(&mut buffer, COUNT)?, 4)
    })?;
    let Some(graph) = recorded else { return Ok(None) };
    for _ in 0..REPLAYS {
        device.replay(&graph)?;
    }
    let mut found = vec![0; numbers.len()];
    device.download(device.compute(), &buffer, 0, &mut found)?;
    // The graph ends before the memory that it works on.
    drop(graph);
    let wrong = found.as_chunks::<4>().0.iter().enumerate().find_map(|(at, bytes)| {
        let (found, expected) = (u32::from_le_bytes(*bytes), at as u32 + 7 * REPLAYS);
        (found != expected).then(|| format!("[{at}] is {found} after {REPLAYS} replays, expected {expected}"))
    });
    Ok(Some(wrong.map_or(Ok(()), Err)))
}

//! Operations on bytes and plain numbers: equal to the bit.

use super::twins::{Twins, download, upload};
use super::{Case, Found};
use crate::{Ops, Result, checksum};

pub(super) fn cases<O: Ops>() -> Vec<(&'static str, Case<O>)> {
    vec![
        ("advance", advance),
        ("fill_pattern", fill_pattern),
        ("verify_pattern", verify_pattern),
        ("checksum", sum),
    ]
}

fn advance<O: Ops>(twins: &mut Twins<'_, O>) -> Result<Found> {
    let count = twins.extent(3000);
    let by = twins.one_of(&[1, 7, u32::MAX]);
    twins.describe(format_args!("{count} by {by}"));
    let mut x = twins.numbers_below(count, 1 << 31)?;
    twins.host.advance(x.host_mut()?, by)?;
    twins.device.advance(x.device_mut()?, by)?;
    twins.equal_numbers(&x)
}

/// A stretch of bytes, and a range in it that begins and ends anywhere.
fn range<O: Ops>(twins: &mut Twins<'_, O>) -> (Vec<u8>, std::ops::Range<usize>) {
    let len = twins.number(1, 200_000);
    let begin = twins.number(0, len.min(70) - 1);
    let end = len - twins.number(0, (len - begin).min(20));
    let seed = twins.number(0, 1 << 40) as u64;
    twins.describe(format_args!("{begin}..{end} of {len} bytes"));
    let bytes = (0..len as u64).map(|at| checksum::pattern(seed, at) as u8).collect();
    (bytes, begin..end)
}

fn fill_pattern<O: Ops>(twins: &mut Twins<'_, O>) -> Result<Found> {
    let (bytes, range) = range(twins);
    let (mut host, mut device) = (upload(&twins.host, &bytes)?, upload(twins.device, &bytes)?);
    twins.host.fill_pattern(&mut host, range.clone(), 5)?;
    twins.device.fill_pattern(&mut device, range, 5)?;
    let (found, expected) = (download(twins.device, &device)?, download(&twins.host, &host)?);
    Ok(match found.iter().zip(&expected).position(|(found, expected)| found != expected) {
        None => Found::Right(0.0),
        Some(at) => Found::Wrong(format!("byte {at} is {}, expected {}", found[at], expected[at])),
    })
}

fn verify_pattern<O: Ops>(twins: &mut Twins<'_, O>) -> Result<Found> {
    let (mut bytes, range) = range(twins);
    for (at, byte) in bytes[range.clone()].iter_mut().enumerate() {
        *byte = checksum::pattern(9, at as u64 / 8).to_le_bytes()[at % 8];
    }
    for _ in 0..twins.number(0, 3) {
        if !range.is_empty() {
            let at = twins.number(range.start, range.end - 1);
            bytes[at] ^= 0x40;
        }
    }
    let (host, device) = (upload(&twins.host, &bytes)?, upload(twins.device, &bytes)?);
    let expected = twins.host.verify_pattern(&host, range.clone(), 9)?;
    Ok(twins.equal(twins.device.verify_pattern(&device, range, 9)?, expected))
}

fn sum<O: Ops>(twins: &mut Twins<'_, O>) -> Result<Found> {
    let (bytes, range) = range(twins);
    let (expected, device) = (checksum::of(&bytes[range.clone()]), upload(twins.device, &bytes)?);
    Ok(twins.equal(twins.device.checksum(&device, range)?, expected))
}

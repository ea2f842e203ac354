//! Patterns, checksums and numbers that move on: equal to the bit, wherever a range begins and ends.

use coldstart_kernels::{Device, Error, IndicesMut, Mismatch, Ops, checksum};
use coldstart_stand_in::this_test;

use crate::support::{device, memory, numbers, read, read_numbers, self_test, small_device};

/// Bytes that are no pattern.
fn bytes(count: usize) -> Vec<u8> {
    (0..count as u64).map(|at| checksum::pattern(77, at) as u8).collect()
}

fn pattern(seed: u64, count: usize) -> Vec<u8> {
    (0..count).map(|at| checksum::pattern(seed, at as u64 / 8).to_le_bytes()[at % 8]).collect()
}

#[test]
fn random_ranges() {
    let Some(device) = device(this_test!()) else { return };
    self_test(&device, &["advance", "fill_pattern", "verify_pattern", "checksum"], 60);
}

#[test]
fn short_ranges_at_every_offset() {
    let Some(device) = device(this_test!()) else { return };
    let all = bytes(100);
    let buffer = memory(&device, &all);
    for begin in 0..20 {
        for len in (0..40).chain([63, 64, 65]) {
            let range = begin..begin + len;
            let sum = device.checksum(&buffer, range.clone()).unwrap();
            assert_eq!(sum, checksum::of(&all[range.clone()]), "{range:?}");
        }
    }
    for (begin, len) in (0..17).flat_map(|begin| [0, 1, 7, 8, 9, 16, 23, 40, 57].map(|len| (begin, len))) {
        let mut buffer = memory(&device, &all);
        device.fill_pattern(&mut buffer, begin..begin + len, 5).unwrap();
        let mut expected = all.clone();
        expected[begin..begin + len].copy_from_slice(&pattern(5, len));
        assert_eq!(read(&device, &buffer), expected, "{begin}, {len}");
        assert_eq!(device.verify_pattern(&buffer, begin..begin + len, 5).unwrap(), None, "{begin}, {len}");
    }
}

#[test]
fn ranges_of_many_turns() {
    let Some(device) = small_device(this_test!()) else { return };
    for begin in [0, 8, 3] {
        let len = 300_000 + begin;
        let mut buffer = memory(&device, &bytes(begin + len));
        device.fill_pattern(&mut buffer, begin..begin + len, 42).unwrap();
        let found = read(&device, &buffer);
        assert_eq!(found[begin..], pattern(42, len));
        assert_eq!(device.verify_pattern(&buffer, begin..begin + len, 42).unwrap(), None);
        assert_eq!(device.checksum(&buffer, begin..begin + len).unwrap(), checksum::of(&found[begin..]));
        let wrong = device.verify_pattern(&buffer, begin..begin + len, 43).unwrap();
        assert_eq!(wrong, Some(Mismatch { first: 0, words: len.div_ceil(8) }));
    }
}

#[test]
fn every_wrong_byte_is_found() {
    let Some(device) = device(this_test!()) else { return };
    for begin in [0, 3, 8] {
        let len = 75;
        let mut all = bytes(begin);
        all.extend(pattern(9, len));
        for at in 0..len {
            let mut spoiled = all.clone();
            spoiled[begin + at] ^= 0x80;
            let buffer = memory(&device, &spoiled);
            let found = device.verify_pattern(&buffer, begin..begin + len, 9).unwrap();
            assert_eq!(found, Some(Mismatch { first: at, words: 1 }));
        }
        // The first is not in the first thread's words, and a word with two wrong bytes counts once.
        let mut spoiled = all.clone();
        for at in [70, 33, 34, 50] {
            spoiled[begin + at] ^= 0xff;
        }
        let buffer = memory(&device, &spoiled);
        let found = device.verify_pattern(&buffer, begin..begin + len, 9).unwrap();
        assert_eq!(found, Some(Mismatch { first: 33, words: 3 }));
    }
}

#[test]
fn ranges_outside_are_refused() {
    let Some(device) = device(this_test!()) else { return };
    let mut buffer = memory(&device, &bytes(100));
    assert!(matches!(device.checksum(&buffer, 0..101), Err(Error::View { end: 101, len: 100, .. })));
    assert!(matches!(device.verify_pattern(&buffer, 101..101, 1), Err(Error::View { .. })));
    assert!(matches!(device.fill_pattern(&mut buffer, 99..102, 1), Err(Error::View { .. })));
    assert_eq!(device.checksum(&buffer, 100..100).unwrap(), 0);
    assert_eq!(device.verify_pattern(&buffer, 100..100, 1).unwrap(), None);
    device.fill_pattern(&mut buffer, 100..100, 1).unwrap();
    let empty = device.alloc(0).unwrap();
    assert_eq!(device.checksum(&empty, 0..0).unwrap(), 0);
}

#[test]
fn numbers_move_on_and_wrap() {
    let Some(device) = small_device(this_test!()) else { return };
    let mut x = numbers(&device, &(0..5000u32).map(|i| u32::MAX - i).collect::<Vec<_>>());
    device.advance(IndicesMut::at(&mut x, 4, 4998).unwrap(), 3).unwrap();
    let expected: Vec<u32> = (0..5000u32)
        .map(|i| (u32::MAX - i).wrapping_add(if (1..4999).contains(&i) { 3 } else { 0 }))
        .collect();
    assert_eq!(read_numbers::<_, u32>(&device, &x), expected);
    device.advance(IndicesMut::at(&mut x, 0, 0).unwrap(), 3).unwrap();
}

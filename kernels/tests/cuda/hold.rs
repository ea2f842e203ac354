//! The gate on the compute stream.

use std::thread;
use std::time::{Duration, Instant};

use coldstart_kernels::{Device, IndicesMut, Ops};
use coldstart_stand_in::this_test;

use crate::support::{device, numbers, read_numbers};

#[test]
fn what_is_held_runs_when_it_is_released() {
    let Some(device) = device(this_test!()) else { return };
    let mut x = numbers(&device, &[1u32, 2]);
    let other = numbers(&device, &[3u32, 4]);
    let side = device.stream().unwrap();
    device.sync().unwrap();
    let hold = device.hold(Duration::from_secs(20)).unwrap();
    let begin = Instant::now();
    device.advance(IndicesMut::new(&mut x, 2).unwrap(), 5).unwrap();
    // Another stream is not held.
    let mut seen = [0; 8];
    device.download(&side, &other, 0, &mut seen).unwrap();
    assert_eq!(bytemuck::cast::<_, [u32; 2]>(seen), [3, 4]);
    assert!(begin.elapsed() < Duration::from_secs(15));
    drop(hold);
    assert_eq!(read_numbers::<_, u32>(&device, &x), [6, 7]);
}

#[test]
fn another_thread_may_release() {
    let Some(device) = device(this_test!()) else { return };
    let mut x = numbers(&device, &[1u32, 2]);
    device.sync().unwrap();
    let begin = Instant::now();
    let hold = device.hold(Duration::from_secs(20)).unwrap();
    device.advance(IndicesMut::new(&mut x, 2).unwrap(), 5).unwrap();
    let releasing = thread::spawn(move || {
        thread::sleep(Duration::from_millis(100));
        drop(hold);
    });
    assert_eq!(read_numbers::<_, u32>(&device, &x), [6, 7]);
    let took = begin.elapsed();
    releasing.join().unwrap();
    assert!((Duration::from_millis(100)..Duration::from_secs(15)).contains(&took), "{took:?}");
}

#[test]
fn a_hold_ends_by_itself() {
    let Some(device) = device(this_test!()) else { return };
    let mut x = numbers(&device, &[1u32, 2]);
    device.sync().unwrap();
    let begin = Instant::now();
    let hold = device.hold(Duration::from_millis(50)).unwrap();
    device.advance(IndicesMut::new(&mut x, 2).unwrap(), 5).unwrap();
    assert_eq!(read_numbers::<_, u32>(&device, &x), [6, 7]);
    assert!(begin.elapsed() >= Duration::from_millis(50));
    drop(hold);
}

//! The one field of an ELF program that matters here: its interpreter, the dynamic loader.

/// The size of an ELF64 file header.
const FILE_HEADER: usize = 64;
/// The size of an ELF64 program header.
const PROGRAM_HEADER: usize = 56;
/// The program header type of the interpreter's path.
const PT_INTERP: u32 = 3;

/// The path of the dynamic loader that a 64-bit little-endian ELF program asks for; `Ok(None)` for a static program.
///
/// Layout: System V ABI, ELF-64 object file format, figures 2 and 6. Every offset is checked.
pub(super) fn interpreter(program: &[u8]) -> Result<Option<String>, &'static str> {
    let header = program.get(..FILE_HEADER).ok_or("it is too short for an ELF program")?;
    if !header.starts_with(b"\x7fELF\x02\x01") {
        return Err("it is no 64-bit little-endian ELF program");
    }
    let table =
        usize::try_from(number(header, 32, 8)).map_err(|_| "its program headers lie outside of it")?;
    let size = number(header, 54, 2) as usize;
    let count = number(header, 56, 2) as usize;
    if size < PROGRAM_HEADER {
        return Err("its program headers are too short");
    }
    for index in 0..count {
        let begin = index.checked_mul(size).and_then(|offset| table.checked_add(offset));
        let entry = begin
            .and_then(|begin| program.get(begin..begin.checked_add(PROGRAM_HEADER)?))
            .ok_or("its program headers lie outside of it")?;
        if number(entry, 0, 4) as u32 == PT_INTERP {
            let (offset, length) = (number(entry, 8, 8), number(entry, 32, 8));
            let path = usize::try_from(offset)
                .ok()
                .zip(offset.checked_add(length).and_then(|end| usize::try_from(end).ok()))
                .and_then(|(begin, end)| program.get(begin..end))
                .ok_or("its interpreter lies outside of it")?;
            let path = path.split(|byte| *byte == 0).next().unwrap_or_default();
            let path = std::str::from_utf8(path).map_err(|_| "its interpreter's path is not UTF-8")?;
            return Ok(Some(path.to_owned()));
        }
    }
    Ok(None)
}

/// A little-endian number; the callers have checked the bounds.
fn number(bytes: &[u8], at: usize, width: usize) -> u64 {
    bytes[at..at + width].iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_program_has_a_loader() {
        let program = std::fs::read("/proc/self/exe").unwrap();
        let loader = interpreter(&program).unwrap();
        // A statically linked build has none, and then needs no libraries either.
        if let Some(path) = loader {
            assert!(path.starts_with('/') && std::path::Path::new(&path).exists(), "{path}");
        }
    }

    proptest::proptest! {
        #[test]
        fn broken_programs_are_errors(at in 0..120usize, value in 0..=255u8, length in 0..200usize) {
            let mut program = vec![0; 200];
            program[..6].copy_from_slice(b"\x7fELF\x02\x01");
            program[32] = 64;
            program[54] = PROGRAM_HEADER as u8;
            program[56] = 1;
            program[64] = PT_INTERP as u8;
            program[72] = 130;
            program[96] = 10;
            program[at] = value;
            program.truncate(length);
            // Whatever is broken, the answer is a value.
            let _ = interpreter(&program);
        }
    }
}

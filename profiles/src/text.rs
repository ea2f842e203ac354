//! Text of files, however it was written: UTF-8, with a byte order mark or without, or UTF-16 with one.
//!
//! Windows PowerShell writes UTF-16 where output is redirected with `>`, and its editors put a byte order mark before UTF-8.

use std::io::{Error, ErrorKind};
use std::path::Path;

const NO_TEXT: &str =
    "it is not text in UTF-8 or UTF-16: convert it, such as with `iconv -f ENCODING -t UTF-8`";
const CUT: &str = "its text in UTF-16 is cut off or damaged: write it again, as UTF-8 where you can";

/// Which UTF-16 text without a byte order mark is in, by `iconv`'s name; `None` of everything else. Of JSON, TOML and CSV at least the
/// first two characters are ASCII, so that every other of their bytes is zero, as in no text of another encoding.
pub fn utf_16_without_mark(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [b'\t'..=b'~', 0, b'\t'..=b'~', 0, ..] => Some("UTF-16LE"),
        [0, b'\t'..=b'~', 0, b'\t'..=b'~', ..] => Some("UTF-16BE"),
        _ => None,
    }
}

/// The text of a file.
///
/// # Errors
/// When it can't be read, and of kind `InvalidData`, with the remedy, when it is text of another encoding.
pub fn read_text(path: &Path) -> Result<String, Error> {
    decoded(std::fs::read(path)?)
}

/// The text of these bytes, without its byte order mark.
///
/// # Errors
/// Of kind `InvalidData`, with the remedy, when they are text of another encoding.
pub fn decoded(bytes: Vec<u8>) -> Result<String, Error> {
    match bytes.as_slice() {
        [0xff, 0xfe, rest @ ..] => utf_16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf_16(rest, u16::from_be_bytes),
        _ => {
            if let Some(encoding) = utf_16_without_mark(&bytes) {
                return Err(Error::new(ErrorKind::InvalidData, without_mark(encoding)));
            }
            let mut text =
                String::from_utf8(bytes).map_err(|_| Error::new(ErrorKind::InvalidData, NO_TEXT))?;
            if text.starts_with('\u{feff}') {
                text.drain(..'\u{feff}'.len_utf8());
            }
            Ok(text)
        }
    }
}

/// What to say of such text, with the remedy.
pub fn without_mark(encoding: &str) -> String {
    format!(
        "it is text in UTF-16 without a byte order mark: convert it with `iconv -f {encoding} -t UTF-8`, or save it as UTF-8"
    )
}

fn utf_16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, Error> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let units = pairs.iter().map(|pair| unit(*pair));
    let text: Result<String, _> = char::decode_utf16(units).collect();
    match text {
        Ok(text) if rest.is_empty() => Ok(text),
        _ => Err(Error::new(ErrorKind::InvalidData, CUT)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn with_mark(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(bytes).collect()
    }

    #[test]
    fn what_is_no_text_says_what_to_do() {
        for (bytes, part) in [
            (b"caf\xe9".to_vec(), "iconv"),
            (vec![0xff, 0xfe, b'{'], "cut off"),
            (vec![0xff, 0xfe, 0x00, 0xd8], "cut off"),
            (b"{\0\"\0a\0".to_vec(), "UTF-16 without a byte order mark: convert it with `iconv -f UTF-16LE"),
            (b"\0{\0\"\0a".to_vec(), "`iconv -f UTF-16BE -t UTF-8`"),
            // The rest need not be ASCII.
            (b"#\0 \0\xe9\0".to_vec(), "UTF-16LE"),
        ] {
            let error = decoded(bytes).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidData);
            assert!(error.to_string().contains(part), "{error}");
        }
        for not_utf_16 in [&b""[..], b"{}", b"\0\x01\x02", b"\0\0\0\0", b"{\0\0\0", b"a\0bc"] {
            assert_eq!(utf_16_without_mark(not_utf_16), None, "{not_utf_16:?}");
        }
        assert!(read_text(Path::new("/none")).is_err_and(|error| error.kind() == ErrorKind::NotFound));
    }

    proptest! {
        // Zeros are in no text.
        #[test]
        fn every_encoding_says_the_same(text in "[^\u{feff}\0][^\0]*|") {
            for bytes in [
                text.clone().into_bytes(),
                format!("\u{feff}{text}").into_bytes(),
                with_mark(&text, u16::to_le_bytes),
                with_mark(&text, u16::to_be_bytes),
            ] {
                prop_assert_eq!(&decoded(bytes).unwrap(), &text);
            }
        }
    }
}

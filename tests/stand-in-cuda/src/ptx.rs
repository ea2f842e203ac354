//! What the driver reads in PTX: its version and target, and of each kernel the parameters, limits and shared memory.

/// One kernel of a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: String,
    /// The sizes of its parameters, in bytes.
    pub(crate) parameters: Vec<u32>,
    /// The most threads that a block of it may have, where it says so.
    pub(crate) max_threads: Option<u32>,
    /// Bytes of `__shared__` arrays.
    pub(crate) static_shared: u32,
}

/// A module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ptx {
    /// The version of the language, times ten.
    pub(crate) version: i32,
    /// The architecture that it needs at least, times ten.
    pub(crate) target: i32,
    pub(crate) entries: Vec<Entry>,
}

/// `.param .align 8 .b8 name[24]` or `.shared .f32 name;`: the name and the size in bytes. `None` for `name[]`.
fn variable(declaration: &str) -> Option<(&str, u32)> {
    let declaration = declaration.trim().trim_end_matches([',', ';', ')']).trim();
    let (types, name) = declaration.rsplit_once(' ')?;
    let bits: u32 =
        types.split(' ').next_back()?.trim_start_matches(|c: char| !c.is_ascii_digit()).parse().ok()?;
    match name.split_once('[') {
        None => Some((name, bits / 8)),
        Some((name, count)) => Some((name, bits / 8 * count.trim_end_matches(']').parse::<u32>().ok()?)),
    }
}

fn directive<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    line.trim()
        .strip_prefix(name)
        .filter(|rest| rest.starts_with(' ') || rest.starts_with('\t'))
        .map(str::trim)
}

impl Ptx {
    /// Reads a module; `None` where it is none.
    pub(crate) fn parse(text: &str) -> Option<Ptx> {
        let version = text.lines().find_map(|line| directive(line, ".version"))?;
        let (major, minor) = version.split_once('.')?;
        let version = major.parse::<i32>().ok()? * 10 + minor.parse::<i32>().ok()?;
        let target = text.lines().find_map(|line| directive(line, ".target"))?;
        let target: String =
            target.trim_start_matches("sm_").chars().take_while(char::is_ascii_digit).collect();
        let mut shared: Vec<(&str, u32)> = Vec::new();
        let mut entries = Vec::new();
        let mut rest = text;
        // Shared arrays that several kernels use stand before the first of them.
        for line in text.lines() {
            if let Some(found) = directive(line, ".shared").and_then(variable) {
                shared.push(found);
            }
        }
        while let Some(at) = rest.find(".entry ") {
            rest = &rest[at + ".entry ".len()..];
            let end = rest.find(".entry ").unwrap_or(rest.len());
            entries.push(entry(&rest[..end], &shared)?);
        }
        Some(Ptx { version, target: target.parse().ok()?, entries })
    }
}

/// A kernel, from its name to the next one's.
fn entry(text: &str, shared: &[(&str, u32)]) -> Option<Entry> {
    let name = text.split(['(', ' ', '\n']).next()?.to_owned();
    let head = &text[..text.find('{')?];
    let parameters =
        head.lines().filter_map(|line| directive(line, ".param").and_then(variable)).map(|(_, size)| size);
    let max_threads = head
        .lines()
        .find_map(|line| directive(line, ".maxntid"))
        .and_then(|sizes| sizes.split(',').map(|size| size.trim().parse::<u32>().ok()).product());
    let body = &text[head.len()..];
    let uses = |name: &str| {
        body.match_indices(name).any(|(at, _)| {
            let after = body[at + name.len()..].chars().next();
            !after.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '$')
        })
    };
    let static_shared = shared.iter().filter(|(name, _)| uses(name)).map(|(_, size)| size).sum();
    Some(Entry { name, parameters: parameters.collect(), max_threads, static_shared })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_read() {
        let text = "\
// a comment
.version 8.2
.target sm_80
.address_size 64
.shared .align 4 .b8 both[128];
.extern .shared .align 16 .b8 dynamic[];
.visible .entry first(
\t.param .u64 first_param_0,
\t.param .align 8 .b8 first_param_1[24]
)
.maxntid 128, 2, 1
{
\t// demoted variable
\t.shared .align 16 .b8 tile[4096];
\tmov.u32 %r1, both;
\tmov.u32 %r1, tile;
}
.visible .entry second()
{
\tmov.u32 %r1, both_not;
\tmov.u32 %r1, dynamic;
}
";
        let ptx = Ptx::parse(text).unwrap();
        assert_eq!((ptx.version, ptx.target), (82, 80));
        let first = Entry {
            name: "first".to_owned(),
            parameters: vec![8, 24],
            max_threads: Some(256),
            static_shared: 4096 + 128,
        };
        let second =
            Entry { name: "second".to_owned(), parameters: vec![], max_threads: None, static_shared: 0 };
        assert_eq!(ptx.entries, [first, second]);
        assert_eq!(Ptx::parse("no PTX"), None);
    }
}

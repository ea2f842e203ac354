//! Reading traces: Azure's CSV, any CSV with a time, JSON lines. One pass, 16 bytes a request.

use std::fmt;
use std::io::{BufRead, BufReader, Read};

use coldstart_profiles::{utf_16_without_mark, without_mark};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::columns::Role;
use super::error::TrafficError;
use super::lines::BoundedLines;
use super::timestamps::{Unit, is_time, nanoseconds};
use super::trace::{Arrival, Trace};

mod csv;
mod json;

use csv::Csv;
use json::JsonLines;

/// How many requests are kept: 160 MB. A file with more is refused.
pub const MOST_REQUESTS: u64 = 10_000_000;
/// No trace lasts longer: what lies farther from the first request was written wrong.
const LONGEST_NS: u64 = 10 * 365 * 24 * 3600 * 1_000_000_000;
/// No request has more.
const MOST_TOKENS: f64 = 1e8;
/// A pause of at least a minute that is so many times the mean is a gap.
const GAP_RATIO: f64 = 100.0;
const GAP_NS: u64 = 60_000_000_000;

/// So many columns that are not read are named, and so much of each name.
const MOST_NAMED: usize = 6;
const LONGEST_NAME: usize = 40;

/// A trace with what is to be known about its file.
#[derive(Debug, Clone, PartialEq)]
pub struct TraceFile {
    /// The requests.
    pub trace: Trace,
    /// How it was written.
    pub format: TraceFormat,
    /// What a reader of the plan should know.
    pub caveats: Vec<TraceCaveat>,
}

/// How a trace was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TraceFormat {
    /// TIMESTAMP,ContextTokens,GeneratedTokens: Azure/AzurePublicDataset.
    Azure,
    /// Another CSV.
    Csv,
    /// One JSON object a line.
    Jsonl,
}

/// What a reader of the plan should know about a trace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum TraceCaveat {
    /// Requests that stood after a later one; they were sorted.
    Unsorted {
        /// How many.
        requests: u64,
        /// The first line of them.
        line: u64,
    },
    /// Numbers whose unit nothing said.
    UnitAssumed {
        /// What they were taken for.
        unit: Unit,
    },
    /// Only one of the two numbers of tokens is there; it is not used.
    HalfTheTokens,
    /// Columns whose names say nothing, in a trace without both numbers of tokens: they may be meant to be those.
    NotRead {
        /// Their names, as many as can be told.
        columns: Vec<String>,
    },
    /// Requests that are said to have no tokens; each counts as one.
    NoTokens {
        /// How many.
        requests: u64,
    },
    /// A pause of at least a minute and a hundred times the mean: was the trace recorded throughout?
    Gap {
        /// When it begins, from the start of the trace.
        after_ns: u64,
        /// How long it is.
        length_ns: u64,
    },
}

/// Reads a trace of at most `most` requests.
///
/// CSV with or without a header, separated by commas, semicolons or tabs: without a header the columns are time, tokens in,
/// tokens out. JSON lines hold objects with such names. Columns are recognised by name. Requests out of order are sorted, with a
/// caveat. A byte order mark, CR LF, blank lines and a last line without an end are no trouble.
///
/// Without both numbers of tokens a caveat names the columns that are not read.
///
/// Fails at the first line that says no request, naming it; on more than `most`; on fewer than two moments.
pub fn read(reader: impl Read, most: u64) -> Result<TraceFile, TrafficError> {
    let mut reader = BufReader::with_capacity(1 << 16, BoundedLines::new(reader));
    let mut rows = Rows::new(most);
    let mut kind = None;
    let mut line = Vec::new();
    // Of the file and not of its first line, which may be as short as a bracket.
    let begin = reader.fill_buf().map_err(|source| TrafficError::Io { line: 1, source })?;
    if let Some(encoding) = utf_16_without_mark(begin) {
        return Err(TrafficError::Line { line: 1, what: without_mark(encoding) });
    }
    loop {
        line.clear();
        rows.line += 1;
        let read = reader.read_until(b'\n', &mut line);
        if read.map_err(|source| TrafficError::Io { line: rows.line, source })? == 0 {
            break;
        }
        let text = std::str::from_utf8(&line).map_err(|_| rows.wrong(no_text(rows.line, &line)))?;
        let text = text.trim_start_matches('\u{feff}').trim_end_matches(['\r', '\n']);
        if text.trim().is_empty() {
            continue;
        }
        match kind.get_or_insert_with(|| Kind::of(text)) {
            Kind::Csv(csv) => csv.line(text, &mut rows)?,
            Kind::JsonLines(json) => json.line(text, &mut rows)?,
            Kind::JsonArray => {
                let what = "a JSON array: write one object a line, as `jq -c '.[]'` does";
                return Err(rows.wrong(what.to_owned()));
            }
        }
    }
    let format = match kind {
        Some(Kind::Csv(csv)) => csv.format(),
        _ => TraceFormat::Jsonl,
    };
    rows.finish(format)
}

/// What a line is that is no text in UTF-8.
fn no_text(number: u64, line: &[u8]) -> String {
    match line {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] if number == 1 => {
            "it is text in UTF-16, as Windows PowerShell writes it with `>`: convert the file with `iconv -f UTF-16 -t UTF-8`"
        }
        _ => "it is not text in UTF-8: is this a trace?",
    }
    .to_owned()
}

/// What the first line begins.
enum Kind {
    Csv(Csv),
    JsonLines(JsonLines),
    JsonArray,
}

impl Kind {
    fn of(first: &str) -> Self {
        match first.trim_start().as_bytes().first() {
            Some(b'{') => Kind::JsonLines(JsonLines::default()),
            Some(b'[') => Kind::JsonArray,
            _ => Kind::Csv(Csv::new(first)),
        }
    }
}

/// What was read so far.
struct Rows {
    most: u64,
    /// The line that is being read.
    line: u64,
    arrivals: Vec<Arrival>,
    unit: Option<Unit>,
    tokens: bool,
    half: bool,
    /// Columns whose names say nothing.
    unread: Vec<String>,
    assumed: Option<Unit>,
    latest: u64,
    unsorted: u64,
    unsorted_line: u64,
    no_tokens: u64,
}

/// One row as text.
struct Row<'a> {
    time: &'a str,
    tokens_in: Option<&'a str>,
    tokens_out: Option<&'a str>,
}

impl Rows {
    fn new(most: u64) -> Self {
        Rows {
            most,
            line: 0,
            arrivals: Vec::new(),
            unit: None,
            tokens: false,
            half: false,
            unread: Vec::new(),
            assumed: None,
            latest: 0,
            unsorted: 0,
            unsorted_line: 0,
            no_tokens: 0,
        }
    }

    fn wrong(&self, what: String) -> TrafficError {
        TrafficError::Line { line: self.line, what }
    }

    fn push(&mut self, row: &Row<'_>) -> Result<(), TrafficError> {
        if self.arrivals.len() as u64 >= self.most {
            return Err(TrafficError::TooMany { line: self.line, most: self.most });
        }
        let text = row.time.trim();
        if self.arrivals.is_empty()
            && self.unit.is_none()
            && let Ok(number) = text.parse::<f64>()
        {
            // One unit for the whole file, so that a count that grows past a power of ten stays in it.
            let unit = Unit::guess(number);
            (self.unit, self.assumed) = (Some(unit), Some(unit));
        }
        let time_ns = nanoseconds(text, self.unit).map_err(|what| self.wrong(what))?;
        if self.arrivals.first().is_some_and(|first| first.time_ns.abs_diff(time_ns) > LONGEST_NS) {
            return Err(self.wrong(format!(
                "the time `{text}` lies more than ten years from that of the first request: correct it"
            )));
        }
        let (tokens_in, tokens_out) = if self.tokens {
            (self.count(row.tokens_in, "tokens in")?, self.count(row.tokens_out, "tokens out")?)
        } else {
            (0, 0)
        };
        if time_ns < self.latest {
            self.unsorted += 1;
            if self.unsorted == 1 {
                self.unsorted_line = self.line;
            }
        }
        self.latest = self.latest.max(time_ns);
        self.no_tokens += u64::from(self.tokens && (tokens_in == 0 || tokens_out == 0));
        self.arrivals.push(Arrival { time_ns, tokens_in, tokens_out });
        Ok(())
    }

    fn count(&self, text: Option<&str>, what: &str) -> Result<u32, TrafficError> {
        let text = text.map(str::trim).filter(|text| !text.is_empty());
        let text =
            text.ok_or_else(|| self.wrong(format!("it has no {what}: fill the column, or leave it out")))?;
        match text.parse::<f64>() {
            Ok(number) if (0.0..=MOST_TOKENS).contains(&number) && number.fract() == 0.0 => Ok(number as u32),
            _ => {
                Err(self
                    .wrong(format!("`{text}` is no number of {what}: write a whole number, not below zero")))
            }
        }
    }

    /// Which columns there are, once they are known.
    fn columns(&mut self, roles: impl Iterator<Item = Role>) -> Result<(), TrafficError> {
        let (mut time, mut tokens_in, mut tokens_out) = (false, false, false);
        for role in roles {
            match role {
                Role::Time(unit) => {
                    time = true;
                    self.unit = unit;
                }
                Role::TokensIn => tokens_in = true,
                Role::TokensOut => tokens_out = true,
            }
        }
        if !time {
            return Err(self.wrong(
                "none of its columns is a time: name one `timestamp`, or write no header".to_owned(),
            ));
        }
        self.tokens = tokens_in && tokens_out;
        self.half = tokens_in != tokens_out;
        Ok(())
    }

    /// Keeps the names of columns that say nothing, as far as they are told.
    fn unread<'n>(&mut self, names: impl Iterator<Item = &'n str>) {
        let unread = names.filter(|name| !name.is_empty() && Role::of(name).is_none());
        self.unread = unread.take(MOST_NAMED).map(|name| name.chars().take(LONGEST_NAME).collect()).collect();
    }

    fn finish(self, format: TraceFormat) -> Result<TraceFile, TrafficError> {
        let trace = Trace::new(self.arrivals, self.tokens)?;
        let mut caveats = Vec::new();
        if self.unsorted > 0 {
            caveats.push(TraceCaveat::Unsorted { requests: self.unsorted, line: self.unsorted_line });
        }
        caveats.extend(self.assumed.map(|unit| TraceCaveat::UnitAssumed { unit }));
        if self.half {
            caveats.push(TraceCaveat::HalfTheTokens);
        }
        // Beside both numbers of tokens nothing is missing: other columns are the business of others.
        if !self.tokens && !self.unread.is_empty() {
            caveats.push(TraceCaveat::NotRead { columns: self.unread });
        }
        if self.no_tokens > 0 {
            caveats.push(TraceCaveat::NoTokens { requests: self.no_tokens });
        }
        let mean = trace.duration_ns() as f64 / (trace.len() - 1) as f64;
        let longest = trace
            .arrivals()
            .windows(2)
            .map(|pair| (pair[1].time_ns - pair[0].time_ns, pair[0].time_ns))
            .max_by_key(|(length, _)| *length);
        if let Some((length_ns, after_ns)) =
            longest.filter(|(length, _)| *length >= GAP_NS && *length as f64 >= GAP_RATIO * mean)
        {
            caveats.push(TraceCaveat::Gap { after_ns, length_ns });
        }
        Ok(TraceFile { trace, format, caveats })
    }
}

fn counted(requests: u64) -> String {
    format!("{requests} {}", if requests == 1 { "request" } else { "requests" })
}

impl fmt::Display for TraceCaveat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TraceCaveat::Unsorted { requests, line } => {
                write!(
                    f,
                    "{} of the trace stood after a later one (first at line {line}); sorted",
                    counted(*requests)
                )
            }
            TraceCaveat::UnitAssumed { unit } => {
                write!(f, "the trace's times have no unit; taken for {}", unit.name())
            }
            TraceCaveat::HalfTheTokens => {
                f.write_str("the trace has only one of tokens in and tokens out; not used")
            }
            TraceCaveat::NotRead { columns } => {
                let named: Vec<String> = columns.iter().map(|name| format!("`{name}`")).collect();
                write!(
                    f,
                    "of the trace {} {} not read: tokens are read from columns named {}",
                    named.join(", "),
                    if named.len() == 1 { "is" } else { "are" },
                    super::columns::known_names()
                )
            }
            TraceCaveat::NoTokens { requests } => {
                let have = if *requests == 1 { "has" } else { "have" };
                write!(f, "{} of the trace {have} 0 tokens in or out; counted as 1", counted(*requests))
            }
            TraceCaveat::Gap { after_ns, length_ns } => write!(
                f,
                "the trace has a gap of {} after {}",
                coldstart_profiles::Nanos::from_nanos(*length_ns),
                coldstart_profiles::Nanos::from_nanos(*after_ns)
            ),
        }
    }
}

#[cfg(test)]
mod tests;

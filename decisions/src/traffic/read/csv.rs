//! CSV: Azure's, and any other with a time.

use super::{Role, Row, Rows, TraceFormat, TrafficError, is_time};

/// Which field is what.
struct Places {
    time: usize,
    tokens_in: usize,
    tokens_out: usize,
}

/// What the first line said.
pub(super) struct Csv {
    delimiter: char,
    places: Option<Places>,
    azure: bool,
}

impl Csv {
    /// For a file with this first line.
    pub(super) fn new(first: &str) -> Self {
        let count = |delimiter: char| first.chars().filter(|c| *c == delimiter).count();
        // The last of equals wins, which is the comma.
        let delimiter = ['\t', ';', ','].into_iter().max_by_key(|delimiter| count(*delimiter)).unwrap_or(',');
        Csv { delimiter, places: None, azure: false }
    }

    pub(super) fn format(&self) -> TraceFormat {
        if self.azure { TraceFormat::Azure } else { TraceFormat::Csv }
    }

    /// Reads one line: a header if it is the first and begins with no time, else a request.
    pub(super) fn line(&mut self, line: &str, rows: &mut Rows) -> Result<(), TrafficError> {
        let quoted;
        let fields = if line.contains('"') {
            quoted = unquote(line, self.delimiter, rows)?;
            quoted.iter().map(str::trim).collect::<Vec<&str>>()
        } else {
            line.split(self.delimiter).map(str::trim).collect()
        };
        if self.places.is_none() {
            let (places, header) = columns(&fields, rows)?;
            self.azure = header && fields == ["TIMESTAMP", "ContextTokens", "GeneratedTokens"];
            self.places = Some(places);
            if header {
                return Ok(());
            }
        }
        match &self.places {
            Some(places) => push(&fields, places, rows),
            None => Ok(()),
        }
    }
}

fn unquote(line: &str, delimiter: char, rows: &Rows) -> Result<::csv::StringRecord, TrafficError> {
    let mut reader = ::csv::ReaderBuilder::new()
        .delimiter(delimiter as u8)
        .has_headers(false)
        .from_reader(line.as_bytes());
    let mut record = ::csv::StringRecord::new();
    match reader.read_record(&mut record) {
        Ok(_) => Ok(record),
        Err(error) => Err(rows.wrong(format!("it is no CSV ({error})"))),
    }
}

/// The places of the columns, and whether this was a header.
fn columns(fields: &[&str], rows: &mut Rows) -> Result<(Places, bool), TrafficError> {
    let first = fields.first().copied().unwrap_or_default();
    if is_time(first) || first.starts_with('-') {
        let roles = [Role::Time(None), Role::TokensIn, Role::TokensOut];
        rows.columns(roles.into_iter().take(fields.len()))?;
        return Ok((Places { time: 0, tokens_in: 1, tokens_out: 2 }, false));
    }
    let roles: Vec<Option<Role>> = fields.iter().map(|name| Role::of(name)).collect();
    // Of several times the first counts.
    let place = |is: fn(&Role) -> bool| roles.iter().position(|role| role.as_ref().is_some_and(is));
    let time = place(|role| matches!(role, Role::Time(_)));
    let tokens_in = place(|role| *role == Role::TokensIn);
    let tokens_out = place(|role| *role == Role::TokensOut);
    rows.columns([time, tokens_in, tokens_out].into_iter().flatten().filter_map(|at| roles[at]))?;
    rows.unread(fields.iter().copied());
    let places = Places {
        time: time.unwrap_or_default(),
        tokens_in: tokens_in.unwrap_or(usize::MAX),
        tokens_out: tokens_out.unwrap_or(usize::MAX),
    };
    Ok((places, true))
}

fn push(fields: &[&str], places: &Places, rows: &mut Rows) -> Result<(), TrafficError> {
    let field = |at: usize| fields.get(at).copied();
    let Some(time) = field(places.time) else {
        let (found, needed) = (fields.len(), places.time + 1);
        return Err(rows.wrong(format!("it has {found} columns, and the time would be column {needed}")));
    };
    rows.push(&Row { time, tokens_in: field(places.tokens_in), tokens_out: field(places.tokens_out) })
}

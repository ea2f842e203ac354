//! Tables that fit: what does not is dropped, wrapped or cut, in that order.

use tabled::Table;
use tabled::builder::Builder;
use tabled::grid::util::string::get_string_width;
use tabled::settings::formatting::TrimStrategy;
use tabled::settings::object::{Columns, Rows};
use tabled::settings::style::HorizontalLine;
use tabled::settings::{Alignment, Margin, Padding, Theme, Width};

use crate::style::{Style, Tone};
use crate::text::{BOUND, bind};

/// Left margin of a table, and the space between two columns.
const GAP: usize = 2;
/// Columns that can be dropped are dropped before a wrapped one becomes narrower than this, or than its longest word.
const LEAST_WRAPPED: usize = 16;
/// Longer words are broken before other columns give.
const LONGEST_WORD: usize = 32;
/// No column is made narrower than this.
const LEAST: usize = 1;

/// What becomes of a column where the table is too wide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fit {
    Keep,
    /// It is left out; the lowest rank goes first.
    Drop(u8),
    /// It is wrapped, down to this width while other columns can give.
    Wrap(usize),
}

/// One column of a table.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    title: String,
    right: bool,
    fit: Fit,
}

impl Column {
    /// A column of text.
    pub(crate) fn text(title: impl Into<String>) -> Self {
        Column { title: title.into(), right: false, fit: Fit::Keep }
    }

    /// A column of numbers, aligned on the right.
    pub(crate) fn number(title: impl Into<String>) -> Self {
        Column { right: true, ..Column::text(title) }
    }

    /// Left out where the table is too wide; of several the lowest rank goes first.
    pub(crate) fn drop(self, rank: u8) -> Self {
        Column { fit: Fit::Drop(rank), ..self }
    }

    /// Broken between words where the table is too wide.
    pub(crate) fn wrap(self) -> Self {
        self.wrap_above(LEAST_WRAPPED)
    }

    /// The same, but columns that can be dropped are dropped before it becomes narrower than `least`.
    pub(crate) fn wrap_above(self, least: usize) -> Self {
        Column { fit: Fit::Wrap(least), ..self }
    }
}

/// One cell: text, and what it means.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// A cell in the tone given.
    pub(crate) fn new(tone: Tone, text: impl Into<String>) -> Self {
        Cell { text: text.into(), tone }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Cell::new(Tone::Plain, text)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Cell::new(Tone::Plain, text)
    }
}

/// A table on its way to text. Every cell passes through [`Style::clean`].
#[derive(Debug, Clone)]
pub(crate) struct Grid {
    style: Style,
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
    rules: Vec<usize>,
}

impl Grid {
    /// A table without rows.
    pub(crate) fn new(style: &Style, columns: impl IntoIterator<Item = Column>) -> Self {
        let columns = (columns.into_iter())
            .map(|column| Column { title: style.clean(&column.title), ..column })
            .collect();
        Grid { style: *style, columns, rows: Vec::new(), rules: Vec::new() }
    }

    /// Adds a row; missing cells are empty, surplus ones are dropped.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        let mut row: Vec<Cell> = (cells.into_iter())
            .zip(&self.columns)
            .map(|(cell, column)| {
                let text = self.style.clean_aligned(&cell.text);
                Cell { text: if matches!(column.fit, Fit::Wrap(_)) { bind(&text) } else { text }, ..cell }
            })
            .collect();
        row.resize(self.columns.len(), Cell::default());
        self.rows.push(row);
    }

    /// A line between the rows so far and those that follow.
    pub(crate) fn rule(&mut self) {
        self.rules.push(self.rows.len());
    }

    /// Columns left for a bar at the right, its gap taken off: beside the whole table where that is wide enough, else
    /// beside what is left without the columns that are dropped before rank `below`. 0 where it is too narrow for a bar.
    pub(crate) fn room_for_bar(&self, below: u8, least: usize, largest: usize) -> usize {
        let comfortable = 2 * least;
        let without = |rank: u8| {
            let kept = (self.columns.iter().zip(self.widths()).enumerate())
                .filter(|(index, (column, _))| {
                    !self.is_empty(*index) && !matches!(column.fit, Fit::Drop(own) if own < rank)
                })
                .map(|(_, (_, width))| width + GAP);
            self.style.columns().saturating_sub(kept.sum::<usize>() + GAP)
        };
        let room = if without(0) >= comfortable { without(0) } else { without(below) };
        if room < least { 0 } else { room.min(largest) }
    }

    fn is_empty(&self, column: usize) -> bool {
        self.rows.iter().all(|row| row[column].text.is_empty())
    }

    /// One more column at the right, with a cell for each row so far.
    pub(crate) fn push_column(&mut self, column: Column, cells: impl IntoIterator<Item = Cell>) {
        self.columns.push(Column { title: self.style.clean(&column.title), ..column });
        let mut cells = cells.into_iter();
        for row in &mut self.rows {
            let cell = cells.next().unwrap_or_default();
            row.push(Cell { text: self.style.clean_aligned(&cell.text), ..cell });
        }
    }

    /// The table as lines, each ended by a newline; empty without rows.
    pub(crate) fn render(mut self) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        self.drop_empty_columns();
        self.drop_columns();
        let headed = self.columns.iter().any(|column| !column.title.is_empty());
        let mut builder = Builder::new();
        if headed {
            builder.push_record(self.columns.iter().map(|column| column.title.clone()));
        }
        for row in &self.rows {
            builder.push_record(row.iter().map(|cell| cell.text.clone()));
        }
        let mut table = builder.build();
        self.decorate(&mut table, usize::from(headed));
        self.narrow(&mut table);
        let text = table.to_string().replace(BOUND, " ");
        let mut lines = String::with_capacity(text.len());
        for line in text.lines() {
            lines.push_str(line.trim_end());
            lines.push('\n');
        }
        lines
    }

    fn decorate(&self, table: &mut Table, header_rows: usize) {
        let line = if self.style.unicode { '─' } else { '-' };
        let mut theme = Theme::new();
        let rules = self.rules.iter().map(|rule| rule + header_rows);
        for rule in rules.chain((header_rows > 0).then_some(header_rows)).filter(|rule| *rule > 0) {
            theme.insert_horizontal_line(rule, HorizontalLine::new(line));
        }
        table.with(theme).with(Margin::new(GAP, 0, 0, 0)).with(Padding::new(GAP, 0, 0, 0));
        table.modify(Columns::first(), Padding::zero());
        for (index, _) in self.columns.iter().enumerate().filter(|(_, column)| column.right) {
            table.modify(Columns::one(index), Alignment::right());
        }
        if !self.style.color {
            return;
        }
        if let (true, Some(color)) = (header_rows > 0, Tone::Faint.color()) {
            table.modify(Rows::first(), color);
        }
        for (row, cells) in self.rows.iter().enumerate() {
            for (column, cell) in cells.iter().enumerate() {
                if let Some(color) = cell.tone.color() {
                    table.modify((row + header_rows, column), color);
                }
            }
        }
    }

    /// Wraps and cuts what is still too wide.
    fn narrow(&self, table: &mut Table) {
        let natural = self.widths();
        let least: Vec<usize> = (self.columns.iter().zip(&natural).enumerate())
            .map(|(index, (column, width))| match column.fit {
                Fit::Wrap(_) => self.longest_word(index),
                Fit::Keep | Fit::Drop(_) => *width,
            })
            .collect();
        let mut target = natural.clone();
        while self.total(&target) > self.style.columns() {
            let wrapped = |index: &usize| target[*index] > least[*index];
            let widest = |indices: Vec<usize>| indices.into_iter().max_by_key(|index| target[*index]);
            let Some(index) = widest((0..target.len()).filter(wrapped).collect())
                .or_else(|| widest((0..target.len()).filter(|index| target[*index] > LEAST).collect()))
            else {
                break;
            };
            target[index] -= 1;
        }
        for (index, width) in target.into_iter().enumerate().filter(|(index, width)| *width < natural[*index])
        {
            if matches!(self.columns[index].fit, Fit::Wrap(_)) {
                // Lines that begin where a word was broken off would keep the space before it.
                table.modify(Columns::one(index), Width::wrap(width).keep_words(true));
                table.modify(Columns::one(index), TrimStrategy::Horizontal);
            } else {
                let suffix = if self.style.unicode { "…" } else { "~" };
                table.modify(Columns::one(index), Width::truncate(width).suffix(suffix));
            }
        }
    }

    fn drop_empty_columns(&mut self) {
        for index in (0..self.columns.len()).rev() {
            if self.is_empty(index) && self.columns.len() > 1 {
                self.remove(index);
            }
        }
    }

    fn drop_columns(&mut self) {
        while self.total(&self.widths_if_wrapped()) > self.style.columns() {
            let dropped = (self.columns.iter().enumerate())
                .filter_map(|(index, column)| match column.fit {
                    Fit::Drop(rank) => Some((rank, index)),
                    Fit::Keep | Fit::Wrap(_) => None,
                })
                .min();
            let Some((_, index)) = dropped else { break };
            self.remove(index);
        }
    }

    fn remove(&mut self, index: usize) {
        self.columns.remove(index);
        for row in &mut self.rows {
            row.remove(index);
        }
    }

    /// The widest cell of each column.
    fn widths(&self) -> Vec<usize> {
        (self.columns.iter().enumerate())
            .map(|(index, column)| {
                let cells = self.rows.iter().map(|row| get_string_width(&row[index].text));
                cells.chain([get_string_width(&column.title)]).max().unwrap_or(0)
            })
            .collect()
    }

    /// The same with wrapped columns as narrow as they like to be.
    fn widths_if_wrapped(&self) -> Vec<usize> {
        (self.columns.iter().zip(self.widths()).enumerate())
            .map(|(index, (column, width))| match column.fit {
                Fit::Wrap(least) => width.min(least.max(self.longest_word(index))),
                Fit::Keep | Fit::Drop(_) => width,
            })
            .collect()
    }

    /// The longest word of a column, as far as words are kept whole.
    fn longest_word(&self, index: usize) -> usize {
        let cells = self.rows.iter().map(|row| row[index].text.as_str());
        let words = cells.chain([self.columns[index].title.as_str()]).flat_map(|text| text.split(' '));
        words.map(get_string_width).max().unwrap_or(0).min(LONGEST_WORD)
    }

    fn total(&self, widths: &[usize]) -> usize {
        widths.iter().sum::<usize>() + GAP * widths.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn style(width: usize) -> Style {
        Style { width, color: false, unicode: true }
    }

    fn grid(width: usize) -> Grid {
        let columns = [
            Column::text("name"),
            Column::number("time ms"),
            Column::text("why").wrap(),
            Column::text("bar").drop(0),
        ];
        let mut grid = Grid::new(&style(width), columns);
        grid.row([
            "alloc".into(),
            "1.5".into(),
            "because it is so and not otherwise".into(),
            "████████".into(),
        ]);
        grid.rule();
        grid.row([Cell::new(Tone::Strong, "total"), "12.0".into()]);
        grid
    }

    #[test]
    fn wide_enough() {
        let text = "  name   time ms  why                                 bar\n\
                    \x20 ────────────────────────────────────────────────────────────\n\
                    \x20 alloc      1.5  because it is so and not otherwise  ████████\n\
                    \x20 ────────────────────────────────────────────────────────────\n\
                    \x20 total     12.0\n";
        assert_eq!(grid(80).render(), text);
    }

    #[test]
    fn the_bar_goes_then_text_wraps() {
        for width in 40..80 {
            let text = grid(width).render();
            assert!(text.lines().all(|line| get_string_width(line) <= width), "{width}:\n{text}");
            assert!(text.contains("12.0"), "{width}:\n{text}");
        }
        assert!(!grid(40).render().contains('█'));
    }

    #[test]
    fn no_rows_no_table() {
        assert_eq!(Grid::new(&style(80), [Column::text("a")]).render(), "");
    }
}

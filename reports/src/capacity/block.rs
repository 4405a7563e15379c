//! What a page is made of: sections of words, figures, tables and pictures. The template knows how each looks; what stands in it is text.

use super::picture::Picture;

/// A part of the page, with a heading that can be led to.
pub(super) struct Section {
    pub(super) id: String,
    /// Its name where there is little room.
    pub(super) short: String,
    pub(super) title: String,
    pub(super) blocks: Vec<Block>,
}

impl Section {
    pub(super) fn new(id: &str, short: &str, title: impl Into<String>) -> Self {
        Self { id: id.to_owned(), short: short.to_owned(), title: title.into(), blocks: Vec::new() }
    }

    pub(super) fn with(mut self, block: Block) -> Self {
        self.blocks.push(block);
        self
    }
}

/// One thing in a section.
pub(super) enum Block {
    /// A paragraph.
    Text(String),
    /// A paragraph that explains.
    Faint(String),
    /// A paragraph that must be seen: the class of a verdict, and the words.
    Alert(&'static str, String),
    /// Names with their values.
    Facts(Vec<(String, String)>),
    /// Lines, each a point of a list.
    Lines(Vec<String>),
    Table(Table),
    /// A table that is shown when asked for, with what it is.
    Folded(String, Table),
    Pictures(Vec<Picture>),
    /// A command that can be copied, by its id.
    Command(String, String),
}

/// Columns and rows. The first cell of a row is its head.
#[derive(Default)]
pub(super) struct Table {
    pub(super) heads: Vec<Head>,
    pub(super) rows: Vec<Row>,
    /// What is left out, in words.
    pub(super) cut: Option<String>,
}

/// The head of a column.
pub(super) struct Head {
    pub(super) text: String,
    /// Whether its cells are figures, and stand to the right.
    pub(super) figures: bool,
    /// The number of the footnote that says what it means.
    pub(super) note: Option<usize>,
}

/// A row, which may be marked.
pub(super) struct Row {
    pub(super) cells: Vec<Cell>,
    pub(super) marked: bool,
}

/// One cell.
pub(super) struct Cell {
    pub(super) text: String,
    /// A second, smaller text.
    pub(super) small: String,
    /// The class of a badge around the text: `pass`, `fail`, `inconclusive`, `basis measured`.
    pub(super) badge: Option<String>,
    /// A sign before the text.
    pub(super) sign: &'static str,
}

impl Cell {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), small: String::new(), badge: None, sign: "" }
    }

    pub(super) fn small(mut self, small: impl Into<String>) -> Self {
        self.small = small.into();
        self
    }

    pub(super) fn badge(text: impl Into<String>, class: impl Into<String>) -> Self {
        Self { badge: Some(class.into()), ..Self::new(text) }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(text)
    }
}

/// A column of words.
pub(super) fn words(text: &str) -> Head {
    Head { text: text.to_owned(), figures: false, note: None }
}

/// A column of figures.
pub(super) fn figures(text: &str) -> Head {
    Head { text: text.to_owned(), figures: true, note: None }
}

impl Head {
    /// With a footnote.
    pub(super) fn note(mut self, number: usize) -> Self {
        self.note = Some(number);
        self
    }
}

impl Table {
    pub(super) fn new(heads: Vec<Head>) -> Self {
        Self { heads, rows: Vec::new(), cut: None }
    }

    pub(super) fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(Row { cells, marked: false });
    }

    pub(super) fn marked(&mut self, cells: Vec<Cell>, marked: bool) {
        self.rows.push(Row { cells, marked });
    }

    /// Without columns in which nothing was measured.
    pub(super) fn without_empty(mut self) -> Self {
        let nothing = |cell: &Cell| cell.badge.is_none() && (cell.text.is_empty() || cell.text == super::words::DASH);
        for column in (1..self.heads.len()).rev() {
            if self.rows.iter().all(|row| row.cells.get(column).is_none_or(nothing)) {
                self.heads.remove(column);
                self.rows
                    .iter_mut()
                    .filter(|row| row.cells.len() > column)
                    .for_each(|row| drop(row.cells.remove(column)));
            }
        }
        self
    }

    /// At most so many rows, and how many there are besides.
    pub(super) fn bounded(mut self, rows_max: usize) -> Self {
        let more = self.rows.len().saturating_sub(rows_max);
        if more > 0 {
            self.rows.truncate(rows_max);
            self.cut = Some(format!("{more} more rows are not shown here; capacity.json has all."));
        }
        self
    }
}

//! Columns that line up.

use anstyle::Style;

use super::style::paint;

/// Between two columns.
const GAP: &str = "  ";
/// A cell wider than this pushes its own line alone.
const WIDEST: usize = 72;

/// One cell.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// Plain text.
    pub(crate) fn plain(text: impl Into<String>) -> Self {
        Self::styled(Style::new(), text)
    }

    /// Text in a style.
    pub(crate) fn styled(style: Style, text: impl Into<String>) -> Self {
        Self { text: text.into(), style }
    }

    fn width(&self) -> usize {
        self.text.chars().count()
    }
}

/// The widths of columns, taken from all rows that shall line up.
#[derive(Clone, Debug, Default)]
pub(crate) struct Widths(Vec<usize>);

impl Widths {
    /// The widths that these rows need.
    pub(crate) fn of(rows: impl IntoIterator<Item = impl AsRef<[Cell]>>) -> Self {
        let mut widths = Self::default();
        rows.into_iter().for_each(|row| widths.fit(row.as_ref()));
        widths
    }

    /// Makes room for one more row.
    pub(crate) fn fit(&mut self, row: &[Cell]) {
        for (column, cell) in row.iter().enumerate() {
            if column == self.0.len() {
                self.0.push(0);
            }
            let width = cell.width();
            if width <= WIDEST {
                self.0[column] = width.max(self.0[column]);
            }
        }
    }

    /// One line: the row behind `indent`, without blanks at its end.
    pub(crate) fn line(&self, indent: &str, row: &[Cell]) -> String {
        let mut line = indent.to_owned();
        let mut owed = 0; // blanks that are written only when something follows
        for (column, cell) in row.iter().enumerate() {
            let width = self.0.get(column).copied().unwrap_or(0);
            if !cell.text.is_empty() {
                line.extend(std::iter::repeat_n(' ', owed));
                line.push_str(&if cell.style.is_plain() { cell.text.clone() } else { paint(cell.style, &cell.text) });
                owed = 0;
            }
            let used = cell.width();
            owed += width.saturating_sub(used) + GAP.len();
        }
        line.push('\n');
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_lines_end_in_no_blank() {
        let rows = [
            vec![Cell::plain("a"), Cell::plain(""), Cell::plain("x")],
            vec![Cell::plain("long"), Cell::plain("b"), Cell::plain("")],
        ];
        let widths = Widths::of(rows.iter().map(Vec::as_slice));
        let text: String = rows.iter().map(|row| widths.line("  ", row)).collect();
        assert_eq!(text, "  a        x\n  long  b\n");
    }

    #[test]
    fn a_very_wide_cell_moves_only_its_own_line() {
        let wide = "w".repeat(WIDEST + 1);
        let rows = [vec![Cell::plain("a"), Cell::plain("x")], vec![Cell::plain(&wide), Cell::plain("y")]];
        let widths = Widths::of(rows.iter().map(Vec::as_slice));
        assert_eq!(widths.line("", &rows[0]), "a  x\n");
        assert_eq!(widths.line("", &rows[1]), format!("{wide}  y\n"));
    }
}

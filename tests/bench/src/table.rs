//! Tables in Markdown, with columns of even width so that they can be read on a terminal too.

/// A table; the first column is text, the others are numbers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new<'a>(head: impl IntoIterator<Item = &'a str>) -> Self {
        Self { head: head.into_iter().map(str::to_owned).collect(), rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    pub(crate) fn markdown(&self) -> String {
        let rows = || std::iter::once(&self.head).chain(&self.rows);
        let width = |column: usize| rows().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
        let widths: Vec<usize> = (0..self.head.len()).map(|column| width(column).unwrap_or_default().max(2)).collect();
        let line = |row: &Vec<String>| {
            let cells = widths.iter().enumerate().map(|(column, &width)| {
                let cell = row.get(column).map_or("", String::as_str);
                if column == 0 { format!(" {cell:<width$} |") } else { format!(" {cell:>width$} |") }
            });
            format!("|{}\n", cells.collect::<String>())
        };
        let rule: String = (widths.iter().enumerate())
            .map(|(column, &width)| {
                if column == 0 { format!(" {} |", "-".repeat(width)) } else { format!(" {}: |", "-".repeat(width - 1)) }
            })
            .collect();
        let body: String = self.rows.iter().map(line).collect();
        format!("{}|{rule}\n{body}", line(&self.head))
    }
}

/// Seconds with three digits that count.
pub(crate) fn seconds(value: f64) -> String {
    match value {
        _ if value < 0.0995 => format!("{:.1} ms", value * 1e3),
        _ if value < 0.9995 => format!("{:.0} ms", value * 1e3),
        _ if value < 9.995 => format!("{value:.2} s"),
        _ => format!("{value:.1} s"),
    }
}

/// How many times more: two digits that count, as `37×` or `1.4×`.
pub(crate) fn times(value: f64) -> String {
    if value < 9.95 { format!("{value:.1}×") } else { format!("{value:.0}×") }
}

/// MiB.
pub(crate) fn mib(kib: f64) -> String {
    format!("{:.0} MiB", kib / 1024.0)
}

/// A count, thousands apart.
pub(crate) fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_even_columns() {
        let mut table = Table::new(["what", "n"]);
        table.row(["a".to_owned(), "12,000".to_owned()]);
        assert_eq!(table.markdown(), "| what |      n |\n| ---- | -----: |\n| a    | 12,000 |\n");
    }

    #[test]
    fn numbers_keep_the_digits_that_count() {
        assert_eq!(
            [seconds(0.0123), seconds(0.4567), seconds(1.234), seconds(76.54)],
            ["12.3 ms", "457 ms", "1.23 s", "76.5 s"]
        );
        assert_eq!([times(1.44), times(37.2)], ["1.4×", "37×"]);
        assert_eq!([count(7), count(1_000), count(1_234_567)], ["7", "1,000", "1,234,567"]);
    }
}

//! Repetitions of one measurement: the median, and how far they lie apart.

use serde::Serialize;

/// The values of several runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
    pub(crate) runs: usize,
}

impl Spread {
    /// `None` where nothing was measured.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median =
            if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) };
        Some(Self { median, least, most, runs: values.len() })
    }

    /// The median, and in brackets the least and the most where there was more than one run.
    pub(crate) fn show(self, form: impl Fn(f64) -> String) -> String {
        if self.runs > 1 {
            format!("{} ({}–{})", form(self.median), form(self.least), form(self.most))
        } else {
            form(self.median)
        }
    }
}

/// The value at `share` (0 to 1) of sorted values, the nearest rank; 0 where there are none.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
#[allow(dead_code, reason = "for parts that show distributions")]
pub(crate) fn percentile(sorted: &[f64], share: f64) -> f64 {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_or_between_the_two_middles() {
        let odd = Spread::of([3.0, 1.0, 9.0]).expect("three values");
        assert_eq!((odd.median, odd.least, odd.most, odd.runs), (3.0, 1.0, 9.0, 3));
        assert!((Spread::of([4.0, 1.0, 2.0, 9.0]).expect("four values").median - 3.0).abs() < 1e-9);
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn a_percentile_is_a_value_that_was_measured() {
        let values: Vec<f64> = (1..=100).map(f64::from).collect();
        assert!((percentile(&values, 0.5) - 50.0).abs() < 1e-9);
        assert!((percentile(&values, 0.99) - 99.0).abs() < 1e-9);
        assert!((percentile(&values, 1.0) - 100.0).abs() < 1e-9);
        assert!(percentile(&[], 0.5).abs() < 1e-9);
    }
}

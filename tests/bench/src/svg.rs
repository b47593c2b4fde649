//! Pictures: lines or bars over two axes, each linear or logarithmic, as SVG text.

use std::fmt::Write as _;

/// A picture.
#[derive(Clone, Debug)]
pub(crate) struct Chart {
    pub(crate) title: String,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    pub(crate) series: Vec<Series>,
}

/// One axis. A logarithmic one shows only values above zero.
#[derive(Clone, Debug)]
pub(crate) struct Axis {
    /// What it shows, with the unit.
    pub(crate) label: String,
    pub(crate) logarithmic: bool,
}

/// Points of one kind.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    pub(crate) name: String,
    /// In the order of x.
    pub(crate) points: Vec<(f64, f64)>,
    pub(crate) draw: Draw,
}

/// How points are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "bars are for parts that show distributions")]
pub(crate) enum Draw {
    /// A line with a mark at each point.
    Line,
    /// A bar from each x to the next one's, such as of a histogram; the last point only ends the last bar.
    Bars,
}

const SIZE: (f64, f64) = (720.0, 400.0);
/// Left, top, right, bottom of the field.
const MARGIN: (f64, f64, f64, f64) = (72.0, 44.0, 16.0, 52.0);
/// Told apart by people with any kind of color vision (Okabe and Ito).
const COLORS: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];

impl Chart {
    pub(crate) fn svg(&self) -> String {
        let all = || self.series.iter().flat_map(|series| &series.points);
        let x = Scale::over(self.x.logarithmic, all().map(|point| point.0), (MARGIN.0, SIZE.0 - MARGIN.2));
        let mut y = Scale::over(self.y.logarithmic, all().map(|point| point.1), (SIZE.1 - MARGIN.3, MARGIN.1));
        if !self.y.logarithmic {
            y.from = y.from.min(0.0);
        }
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" font-family=\"sans-serif\" font-size=\"12\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n<text x=\"{}\" y=\"18\" font-size=\"14\">{}</text>\n",
            SIZE.0,
            SIZE.1,
            MARGIN.0,
            escaped(&self.title)
        );
        self.grid(&mut svg, &x, &y);
        let mut left = MARGIN.0;
        for (place, series) in self.series.iter().enumerate() {
            let color = COLORS[place % COLORS.len()];
            match series.draw {
                Draw::Line => line(&mut svg, &series.points, &x, &y, color),
                Draw::Bars => bars(&mut svg, &series.points, &x, &y, color),
            }
            let name = escaped(&series.name);
            _ = writeln!(svg, "<text x=\"{left}\" y=\"36\" fill=\"{color}\">■ {name}</text>");
            // No font is at hand to measure with; letters of this size are about 7 wide.
            left += 7.0 * f64::from(u32::try_from(series.name.chars().count()).unwrap_or_default()) + 32.0;
        }
        svg + "</svg>\n"
    }

    fn grid(&self, svg: &mut String, x: &Scale, y: &Scale) {
        let (left, top, right, bottom) = (MARGIN.0, MARGIN.1, SIZE.0 - MARGIN.2, SIZE.1 - MARGIN.3);
        for tick in x.ticks() {
            let at = x.at(tick);
            _ = writeln!(svg, "<path d=\"M{at:.1} {top}V{bottom}\" stroke=\"#ddd\"/>");
            let (below, tick) = (bottom + 16.0, short(tick));
            _ = writeln!(svg, "<text x=\"{at:.1}\" y=\"{below}\" text-anchor=\"middle\">{tick}</text>");
        }
        for tick in y.ticks() {
            let at = y.at(tick);
            _ = writeln!(svg, "<path d=\"M{left} {at:.1}H{right}\" stroke=\"#ddd\"/>");
            let (beside, below, tick) = (left - 6.0, at + 4.0, short(tick));
            _ = writeln!(svg, "<text x=\"{beside}\" y=\"{below:.1}\" text-anchor=\"end\">{tick}</text>");
        }
        let (center, foot, middle) = (f64::midpoint(left, right), SIZE.1 - 14.0, f64::midpoint(top, bottom));
        let (across, up) = (escaped(&self.x.label), escaped(&self.y.label));
        _ = writeln!(svg, "<text x=\"{center}\" y=\"{foot}\" text-anchor=\"middle\">{across}</text>");
        _ = writeln!(
            svg,
            "<text x=\"16\" y=\"{middle}\" text-anchor=\"middle\" transform=\"rotate(-90 16 {middle})\">{up}</text>"
        );
    }
}

fn line(svg: &mut String, points: &[(f64, f64)], x: &Scale, y: &Scale, color: &str) {
    let shown = || points.iter().filter(|point| x.shows(point.0) && y.shows(point.1));
    let path: Vec<String> = shown().map(|point| format!("{:.1} {:.1}", x.at(point.0), y.at(point.1))).collect();
    _ = writeln!(svg, "<path d=\"M{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"2\"/>", path.join("L"));
    for point in shown() {
        _ = writeln!(svg, "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{color}\"/>", x.at(point.0), y.at(point.1));
    }
}

fn bars(svg: &mut String, points: &[(f64, f64)], x: &Scale, y: &Scale, color: &str) {
    let floor = SIZE.1 - MARGIN.3;
    for pair in points.windows(2) {
        let (begin, end, top) = (x.at(pair[0].0), x.at(pair[1].0), y.at(pair[0].1));
        if y.shows(pair[0].1) {
            let (width, height) = ((end - begin - 0.5).max(0.5), (floor - top).max(0.0));
            _ = writeln!(
                svg,
                "<rect x=\"{begin:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{color}\" \
                 fill-opacity=\"0.7\"/>"
            );
        }
    }
}

/// From values to places in the picture.
#[derive(Clone, Copy, Debug)]
struct Scale {
    logarithmic: bool,
    from: f64,
    to: f64,
    places: (f64, f64),
}

impl Scale {
    fn over(logarithmic: bool, values: impl Iterator<Item = f64>, places: (f64, f64)) -> Self {
        let values = values.filter(|value| value.is_finite() && (!logarithmic || *value > 0.0));
        let (from, to) =
            values.fold((f64::INFINITY, f64::NEG_INFINITY), |(from, to), value| (from.min(value), to.max(value)));
        let (from, to) = if from > to { (1.0, 10.0) } else { (from, to) };
        let (from, to) =
            if logarithmic { (10_f64.powf(from.log10().floor()), 10_f64.powf(to.log10().ceil())) } else { (from, to) };
        let to = if to > from {
            to
        } else if logarithmic {
            from * 10.0
        } else {
            from + 1.0
        };
        Self { logarithmic, from, to, places }
    }

    fn shows(&self, value: f64) -> bool {
        value.is_finite() && (!self.logarithmic || value > 0.0)
    }

    fn at(&self, value: f64) -> f64 {
        let share = if self.logarithmic {
            (value.log10() - self.from.log10()) / (self.to.log10() - self.from.log10())
        } else {
            (value - self.from) / (self.to - self.from)
        };
        self.places.0 + share * (self.places.1 - self.places.0)
    }

    /// Powers of ten, or some six round numbers.
    fn ticks(&self) -> Vec<f64> {
        let mut ticks = Vec::new();
        if self.logarithmic {
            let mut tick = self.from;
            while tick <= self.to * 1.001 {
                ticks.push(tick);
                tick *= 10.0;
            }
            return ticks;
        }
        let rough = (self.to - self.from) / 6.0;
        let power = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|step| *step >= rough);
        let step = step.unwrap_or(10.0 * power);
        let mut tick = (self.from / step).ceil() * step;
        while tick <= self.to + step * 1e-6 {
            ticks.push(tick);
            tick += step;
        }
        ticks
    }
}

/// A number as short as it can be said: 50k, 2M, 0.25.
fn short(value: f64) -> String {
    let rounded = |value: f64| {
        let text = format!("{value:.3}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    match value.abs() {
        size if size >= 1e6 => format!("{}M", rounded(value / 1e6)),
        size if size >= 1e3 => format!("{}k", rounded(value / 1e3)),
        size if size > 0.0 && size < 1e-3 => format!("{value:.0e}"),
        _ => rounded(value),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_runs_over_whole_decades_or_from_the_least_to_the_most() {
        let logarithmic = Scale::over(true, [20.0, 900.0].into_iter(), (0.0, 100.0));
        assert_eq!(logarithmic.ticks(), [10.0, 100.0, 1000.0]);
        assert!((logarithmic.at(100.0) - 50.0).abs() < 1e-9);
        let linear = Scale::over(false, [0.0, 60.0].into_iter(), (0.0, 120.0));
        assert_eq!(linear.ticks(), [0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0]);
        assert!((linear.at(15.0) - 30.0).abs() < 1e-9);
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!([short(50_000.0), short(2_000_000.0), short(0.25), short(0.0)], ["50k", "2M", "0.25", "0"]);
    }

    #[test]
    fn a_picture_of_nothing_is_still_one() {
        let axis = |label: &str| Axis { label: label.to_owned(), logarithmic: true };
        let chart = Chart { title: "a < b".into(), x: axis("x"), y: axis("y"), series: Vec::new() };
        assert!(chart.svg().contains("a &lt; b"));
    }
}

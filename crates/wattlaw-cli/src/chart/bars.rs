//! Horizontal bars, each of several parts.

use plotters::backend::DrawingBackend;
use plotters::chart::{ChartBuilder, LabelAreaPosition};
use plotters::element::{PathElement, Rectangle, Text};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{BLACK, Color, IntoFont, IntoTextStyle, RGBColor};

use super::{Area, Chart, Drawn, Scale, Sizes};
use crate::failure::Done;
use crate::render;

/// A bar.
#[derive(Debug, Clone, PartialEq)]
pub struct Bar {
    /// Its label on the left.
    pub label: String,
    /// Its parts in the quantity's own unit, as many as the names of the parts.
    pub parts: Vec<f64>,
}

/// Bars whose parts add up.
#[derive(Debug, Clone, PartialEq)]
pub struct Bars {
    /// The horizontal axis.
    pub x: Scale,
    /// The bars from above.
    pub bars: Vec<Bar>,
    /// A limit across all bars, in the quantity's own unit.
    pub limit: Option<f64>,
}

/// Colours that remain apart for readers who do not tell red from green, on white and on black (Okabe and Ito 2008; the grey, the light
/// yellow's darker stand-in and the last three are added).
const COLOURS: [RGBColor; 11] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(213, 94, 0),
    RGBColor(202, 186, 32),
    RGBColor(128, 128, 128),
    RGBColor(120, 94, 240),
    RGBColor(140, 86, 60),
    RGBColor(80, 160, 60),
];

/// The colour of a part by its position.
pub fn palette(at: usize) -> RGBColor {
    COLOURS[at % COLOURS.len()]
}

/// Width on a page, height of a bar with its gap, and height of the rest.
const WIDTH: u32 = 720;
const BAR: u32 = 26;
const REST: u32 = 72;

impl Bars {
    /// As SVG.
    ///
    /// # Errors
    /// The chart cannot be drawn.
    pub fn svg(&self) -> Done<String> {
        let bars = u32::try_from(self.bars.len()).unwrap_or(u32::MAX);
        super::svg(self, (WIDTH, REST + BAR.saturating_mul(bars)))
    }
}

impl Chart for Bars {
    fn draw<B: DrawingBackend>(&self, area: &Area<B>, sizes: Sizes) -> Drawn<B> {
        let font = || ("sans-serif", sizes.text).into_font();
        let sums = self.bars.iter().map(|bar| bar.parts.iter().sum::<f64>());
        let most = sums.chain(self.limit).fold(0.0, f64::max) / self.x.divisor;
        let rows = self.bars.len() as f64;
        let mut chart = ChartBuilder::on(area)
            .margin(sizes.margin)
            .set_label_area_size(LabelAreaPosition::Left, 2 * sizes.left)
            .set_label_area_size(LabelAreaPosition::Bottom, sizes.below)
            .build_cartesian_2d(0.0..(1.05 * most).max(1e-9), rows..0.0)?;
        chart
            .configure_mesh()
            .disable_mesh()
            .x_labels(6)
            .y_labels(0)
            .label_style(font())
            .axis_desc_style(font())
            .x_label_formatter(&|value| render::digits(*value))
            .x_desc(&self.x.name)
            .set_all_tick_mark_size(sizes.tick)
            .draw()?;
        let right = Pos::new(HPos::Right, VPos::Center);
        for (row, bar) in self.bars.iter().enumerate() {
            let top = row as f64;
            let mut left = 0.0;
            let parts: Vec<_> = bar
                .parts
                .iter()
                .enumerate()
                .map(|(at, part)| {
                    let from = left;
                    left += part / self.x.divisor;
                    Rectangle::new([(from, top + 0.15), (left, top + 0.85)], palette(at).filled())
                })
                .collect();
            chart.draw_series(parts)?;
            let (x, y) = chart.backend_coord(&(0.0, top + 0.5));
            let style = font().into_text_style(area).pos(right);
            area.draw(&Text::new(bar.label.clone(), (x - 2 * sizes.tick, y), style))?;
        }
        if let Some(limit) = self.limit.map(|limit| limit / self.x.divisor) {
            let line = vec![(limit, 0.0), (limit, rows)];
            chart.draw_series([PathElement::new(line, BLACK.stroke_width(2))])?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_stand_side_by_side_in_the_length_of_their_sum() {
        let bar =
            |label: &str, parts: &[f64]| Bar { label: label.to_owned(), parts: parts.to_vec() };
        let bars = Bars {
            x: Scale::time(7200.0),
            bars: vec![bar("1 & 2", &[3600.0, 3600.0]), bar("3", &[1800.0, 0.0])],
            limit: None,
        };
        let svg = bars.svg().unwrap();
        assert!(svg.contains("1 &amp; 2") && svg.contains("time in hours"));
        let numbers = |key: &str| -> Vec<f64> {
            svg.lines()
                .filter(|line| line.starts_with("<rect"))
                .map(|line| {
                    let rest = line.split(&format!(" {key}=\"")).nth(1).unwrap();
                    rest.split('"').next().unwrap().parse().unwrap()
                })
                .collect()
        };
        let (x, width) = (numbers("x"), numbers("width"));
        assert_eq!(width.len(), 4);
        assert!((x[0] + width[0] - x[1]).abs() <= 1.0, "{svg}");
        assert!((width[0] - width[1]).abs() <= 1.0 && (width[2] - width[0] / 2.0).abs() <= 1.0);
    }
}

//! Points and lines over two axes.

use plotters::backend::DrawingBackend;
use plotters::chart::{ChartBuilder, LabelAreaPosition};
use plotters::element::{Circle, EmptyElement, PathElement, Text};
use plotters::style::{BLACK, Color, IntoFont, RGBColor};

use super::{Area, Chart, Drawn, Scale, Sizes};
use crate::failure::Done;
use crate::render;

/// A mark with its label.
#[derive(Debug, Clone, PartialEq)]
pub struct Mark {
    /// In the quantities' own units.
    pub at: (f64, f64),
    /// The label; may be empty.
    pub label: String,
}

/// Points that a line joins.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// In the quantities' own units.
    pub points: Vec<(f64, f64)>,
    /// The colour.
    pub colour: RGBColor,
}

/// Lines and marks over two axes.
#[derive(Debug, Clone, PartialEq)]
pub struct Points {
    /// The horizontal axis.
    pub x: Scale,
    /// The vertical axis.
    pub y: Scale,
    /// Lines.
    pub lines: Vec<Line>,
    /// Marks, the first on top.
    pub marks: Vec<Mark>,
}

/// Width and height on a page.
const SIZE: (u32, u32) = (720, 400);

/// Lines of a chart on a terminal.
const ROWS: u32 = 18;

impl Points {
    /// As SVG.
    ///
    /// # Errors
    /// The chart cannot be drawn.
    pub fn svg(&self) -> Done<String> {
        super::svg(self, SIZE)
    }

    /// As lines of `columns` characters.
    ///
    /// # Errors
    /// The chart cannot be drawn.
    pub fn text(&self, columns: u16) -> Done<String> {
        super::text(self, (u32::from(columns), ROWS))
    }

    /// A point in the units of the axes.
    fn scaled(&self, (x, y): (f64, f64)) -> (f64, f64) {
        (x / self.x.divisor, y / self.y.divisor)
    }

    /// Every point in the units of the axes.
    fn every(&self) -> impl Iterator<Item = (f64, f64)> {
        let lines = self.lines.iter().flat_map(|line| line.points.iter().copied());
        lines.chain(self.marks.iter().map(|mark| mark.at)).map(|at| self.scaled(at))
    }
}

/// A range that holds the values with some room; never empty.
fn room(values: impl Iterator<Item = f64>) -> std::ops::Range<f64> {
    let start = (f64::INFINITY, f64::NEG_INFINITY);
    let (least, most) = values
        .filter(|value| value.is_finite())
        .fold(start, |(least, most), value| (least.min(value), most.max(value)));
    if least > most {
        return 0.0..1.0;
    }
    let room = (0.06 * (most - least)).max(0.02 * most.abs()).max(1e-9);
    (least - room)..(most + room)
}

impl Chart for Points {
    fn draw<B: DrawingBackend>(&self, area: &Area<B>, sizes: Sizes) -> Drawn<B> {
        let font = || ("sans-serif", sizes.text).into_font();
        let mut chart = ChartBuilder::on(area)
            .margin(sizes.margin)
            .set_label_area_size(LabelAreaPosition::Left, sizes.left)
            .set_label_area_size(LabelAreaPosition::Bottom, sizes.below)
            .build_cartesian_2d(
                room(self.every().map(|(x, _)| x)),
                room(self.every().map(|(_, y)| y)),
            )?;
        let mut mesh = chart.configure_mesh();
        mesh.disable_mesh()
            .x_labels(6)
            .y_labels(5)
            .label_style(font())
            .x_label_formatter(&|value| render::digits(*value))
            .y_label_formatter(&|value| render::digits(*value))
            .set_all_tick_mark_size(sizes.tick);
        // a terminal's title stands above the chart, where its letters need not be turned
        if sizes.text > 1 {
            mesh.axis_desc_style(font()).x_desc(&self.x.name).y_desc(&self.y.name);
        }
        mesh.draw()?;
        for line in &self.lines {
            let points: Vec<(f64, f64)> = line.points.iter().map(|at| self.scaled(*at)).collect();
            let dots: Vec<_> = points
                .iter()
                .map(|at| Circle::new(*at, sizes.mark / 2, line.colour.filled()))
                .collect();
            chart.draw_series([PathElement::new(points, line.colour.stroke_width(2))])?;
            chart.draw_series(dots)?;
        }
        chart.draw_series(self.marks.iter().rev().map(|mark| {
            EmptyElement::at(self.scaled(mark.at))
                + Circle::new((0, 0), sizes.mark, BLACK.filled())
                + Text::new(mark.label.clone(), sizes.label, font())
        }))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn front() -> Points {
        Points {
            x: Scale::time(7200.0),
            y: Scale::energy(7.2e6),
            lines: vec![Line {
                points: vec![(3600.0, 7.2e6), (5400.0, 5.4e6), (7200.0, 5.0e6)],
                colour: RGBColor(0, 114, 178),
            }],
            marks: vec![Mark { at: (7200.0, 5.0e6), label: "1 <b>".to_owned() }],
        }
    }

    #[test]
    fn text_of_an_svg_is_text_and_escaped() {
        let svg = front().svg().unwrap();
        assert!(svg.starts_with("<svg "));
        assert!(svg.contains("time in hours") && svg.contains("energy in kWh"));
        assert!(svg.contains("1 &lt;b&gt;") && !svg.contains("<b>"));
        assert_eq!(svg, front().svg().unwrap());
    }

    #[test]
    fn a_chart_on_a_terminal_has_its_width_and_its_marks_in_order() {
        for columns in [40, 80, 120] {
            let text = front().text(columns).unwrap();
            let longest = text.lines().map(|line| line.chars().count()).max();
            assert!(longest.unwrap() <= usize::from(columns), "{text}");
            assert_eq!(text.lines().count(), ROWS as usize);
            assert!(!text.contains('\u{1b}'));
        }
        let text = front().text(80).unwrap();
        let row = |of: char| text.lines().position(|line| line.contains(of)).unwrap();
        // the first point of the line is the highest, the mark lies below it
        assert!(row('•') < row('<'), "{text}");
    }

    #[test]
    fn one_point_has_room_around_it() {
        let range = room([5.0].into_iter());
        assert!(range.start < 5.0 && range.end > 5.0);
        assert_eq!(room(std::iter::empty()), 0.0..1.0);
    }
}

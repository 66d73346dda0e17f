//! Charts. One description of a chart is drawn as SVG for a page, or on the cells of a terminal.

mod bars;
mod cells;
mod points;
mod scale;

pub use bars::{Bar, Bars, palette};
pub use points::{Line, Mark, Points};
pub use scale::Scale;

use plotters::backend::{DrawingBackend, SVGBackend};
use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, DrawingAreaErrorKind, IntoDrawingArea};

use cells::{Cells, Surface};

use crate::failure::{Done, Failure};

/// What can be drawn on any backend, in units of `Sizes`.
trait Chart {
    /// Draws the chart.
    fn draw<B: DrawingBackend>(&self, area: &Area<B>, sizes: Sizes) -> Drawn<B>;
}

type Area<B> = DrawingArea<B, Shift>;
type Drawn<B> = Result<(), DrawingAreaErrorKind<<B as DrawingBackend>::ErrorType>>;

/// Lengths of a chart in units of its backend: pixels or cells.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    /// Space at the edge.
    margin: u32,
    /// Height of the labels below.
    below: u32,
    /// Width of the labels on the left.
    left: u32,
    /// Height of a line of text.
    text: u32,
    /// Length of a tick.
    tick: i32,
    /// Radius of a mark.
    mark: u32,
    /// From a mark to its label.
    label: (i32, i32),
}

/// Lengths on a page, in pixels.
const PIXELS: Sizes =
    Sizes { margin: 12, below: 44, left: 72, text: 15, tick: 5, mark: 4, label: (7, -7) };

/// Lengths on a terminal, in cells. The tick is the axis's own cell.
const CELLS: Sizes =
    Sizes { margin: 0, below: 3, left: 9, text: 1, tick: 1, mark: 0, label: (0, 0) };

/// A chart as an SVG element, whose text is text.
///
/// # Errors
/// The chart cannot be drawn.
fn svg(chart: &impl Chart, size: (u32, u32)) -> Done<String> {
    let mut out = String::new();
    {
        let area = SVGBackend::with_string(&mut out, size).into_drawing_area();
        let drawn = chart.draw(&area, PIXELS).and_then(|()| area.present());
        drawn.map_err(|error| Failure::Failed(format!("a chart cannot be drawn: {error}")))?;
    }
    Ok(out)
}

/// A chart on the cells of a terminal, as lines of text.
///
/// # Errors
/// The chart cannot be drawn.
fn text(chart: &impl Chart, size: (u32, u32)) -> Done<String> {
    let mut cells = Cells::new(size);
    {
        let area = Surface(&mut cells).into_drawing_area();
        let drawn = chart.draw(&area, CELLS).and_then(|()| area.present());
        drawn.map_err(|error| Failure::Failed(format!("a chart cannot be drawn: {error}")))?;
    }
    Ok(cells.to_string())
}

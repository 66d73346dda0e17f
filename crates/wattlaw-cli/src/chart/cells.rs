//! A terminal's cells as a drawing surface.

use std::convert::Infallible;
use std::fmt;

use plotters::style::text_anchor::{HPos, VPos};
use plotters_backend::{
    BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind,
};

type Drawn = Result<(), DrawingErrorKind<Infallible>>;

/// Signs by row.
pub struct Cells {
    columns: i32,
    rows: Vec<Vec<char>>,
}

/// The cells while they are drawn on. What is drawn outside of them is left out.
pub struct Surface<'a>(pub &'a mut Cells);

impl Cells {
    /// Empty cells: columns and rows.
    pub fn new((columns, rows): (u32, u32)) -> Self {
        Self {
            columns: i32::try_from(columns).unwrap_or(i32::MAX),
            rows: vec![vec![' '; columns as usize]; rows as usize],
        }
    }

    fn put(&mut self, (x, y): BackendCoord, sign: char) {
        let (Ok(x), Ok(y)) = (usize::try_from(x), usize::try_from(y)) else { return };
        if let Some(cell) = self.rows.get_mut(y).and_then(|row| row.get_mut(x)) {
            *cell = match (*cell, sign) {
                ('─', '│') | ('│', '─') => '┼',
                // an axis does not hide what is drawn
                ('•' | '●', '─' | '│') => *cell,
                _ => sign,
            };
        }
    }
}

impl fmt::Display for Cells {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for row in &self.rows {
            let line: String = row.iter().collect();
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

impl DrawingBackend for Surface<'_> {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        (self.0.columns.unsigned_abs(), u32::try_from(self.0.rows.len()).unwrap_or(u32::MAX))
    }

    fn ensure_prepared(&mut self) -> Drawn {
        Ok(())
    }

    fn present(&mut self) -> Drawn {
        Ok(())
    }

    fn draw_pixel(&mut self, at: BackendCoord, _: BackendColor) -> Drawn {
        self.0.put(at, '·');
        Ok(())
    }

    fn draw_line<S: BackendStyle>(&mut self, from: BackendCoord, to: BackendCoord, _: &S) -> Drawn {
        let (dx, dy) = (to.0 - from.0, to.1 - from.1);
        let sign = match (dx, dy) {
            (0, _) => '│',
            (_, 0) => '─',
            _ => '·',
        };
        // a cell a step along the longer side; the width of a line is that of a cell
        let steps = dx.abs().max(dy.abs()).max(1);
        for step in 0..=steps {
            let along = |start: i32, length: i32| {
                start + (f64::from(length * step) / f64::from(steps)).round() as i32
            };
            self.0.put((along(from.0, dx), along(from.1, dy)), sign);
        }
        Ok(())
    }

    fn draw_circle<S: BackendStyle>(
        &mut self,
        center: BackendCoord,
        _: u32,
        _: &S,
        _: bool,
    ) -> Drawn {
        self.0.put(center, '•');
        Ok(())
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        path: I,
        style: &S,
    ) -> Drawn {
        let points: Vec<BackendCoord> = path.into_iter().collect();
        points.windows(2).try_for_each(|pair| self.draw_line(pair[0], pair[1], style))
    }

    fn estimate_text_size<S: BackendTextStyle>(
        &self,
        text: &str,
        _: &S,
    ) -> Result<(u32, u32), DrawingErrorKind<Infallible>> {
        Ok((u32::try_from(text.chars().count()).unwrap_or(u32::MAX), 1))
    }

    fn draw_text<S: BackendTextStyle>(
        &mut self,
        text: &str,
        style: &S,
        (x, y): BackendCoord,
    ) -> Drawn {
        let width = i32::try_from(text.chars().count()).unwrap_or(i32::MAX);
        let left = match style.anchor().h_pos {
            HPos::Left => x,
            HPos::Center => x - width / 2,
            HPos::Right => x - width,
        };
        let top = match style.anchor().v_pos {
            VPos::Top | VPos::Center => y,
            VPos::Bottom => y - 1,
        };
        // a label at the right edge stays within it
        let left = left.min(self.0.columns - width).max(0);
        for (column, sign) in (left..).zip(text.chars()) {
            self.0.put((column, top), sign);
        }
        Ok(())
    }
}

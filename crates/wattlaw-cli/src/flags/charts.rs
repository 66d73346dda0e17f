//! Flags that ask for charts.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use crate::chart::Points;
use crate::failure::{Done, Failure};
use crate::files;
use crate::format::Format;

/// Flags that ask for charts.
#[derive(Debug, clap::Args)]
pub struct ChartFlags {
    /// Write a page with charts and tables, which opens without a network
    #[arg(long, value_name = "FILE", help_heading = "Charts")]
    html: Option<PathBuf>,
    /// Also draw time and energy, or the two objectives of --pareto, as text as wide as the terminal
    #[arg(long, help_heading = "Charts")]
    chart: bool,
}

/// Columns of a chart where standard output is no terminal.
const COLUMNS: u16 = 80;

/// The least and the most columns of a chart.
const WIDTHS: (u16, u16) = (40, 160);

impl ChartFlags {
    /// Checks that a chart goes with the output format.
    ///
    /// # Errors
    /// A chart beside JSON on one stream.
    pub fn check(&self, format: Format) -> Done {
        if self.chart && format == Format::Json {
            return Err(Failure::usage(
                "--chart draws below a table, and --format json has none; leave one of them out, or use --html",
            ));
        }
        Ok(())
    }

    /// The file of the page.
    pub fn page(&self) -> Option<&Path> {
        self.html.as_deref()
    }

    /// Prints a chart where one is asked for.
    ///
    /// # Errors
    /// As [`files::print`].
    pub fn print(&self, points: &Points) -> Done {
        if !self.chart {
            return Ok(());
        }
        let columns = if std::io::stdout().is_terminal() {
            crossterm::terminal::size().map_or(COLUMNS, |(columns, _)| columns)
        } else {
            COLUMNS
        };
        let text = points.text(columns.clamp(WIDTHS.0, WIDTHS.1))?;
        files::print(&format!("\n{} against {}\n{text}", points.y.name, points.x.name))
    }
}

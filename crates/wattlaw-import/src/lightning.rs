//! Lightning's `metrics.csv` (`CSVLogger`), whose only times are those of the `ThroughputMonitor`.
//!
//! `train/time` is the time since training began, s; its name has the logger's separator. Rows without it are of other metrics.

use super::data_issue::Findings;
use super::lines::Source;
use super::measured::Measured;
use super::progress::{Progress, nanos};
use super::table::Table;
use super::{Reader, no_data, stem};
use wattlaw::base::error::{Error, Result};

/// Reads tables of metrics.
#[derive(Default)]
pub(super) struct Lightning {
    measured: Vec<Measured>,
}

impl Reader for Lightning {
    fn read(&mut self, source: &mut Source<'_>, findings: &mut Findings) -> Result<()> {
        let file = source.name;
        let mut table = Table::open(source)?;
        let step = table.column("step");
        let time = ["train/time", "train|time"].iter().find_map(|name| table.column(name));
        let (Some(step), Some(time)) = (step, time) else {
            table.required(
                &["train/time"],
                "Lightning's log has times only with the callback ThroughputMonitor",
            )?;
            table.required(&["step"], "CSVLogger writes it")?;
            return Err(no_data(file, "times"));
        };
        let mut progress = Progress::default();
        while let Some(row) = table.next()? {
            // rows of other metrics have no time
            let (Some(step), Some(seconds)) = (row.amount(Some(step))?, row.amount(Some(time))?)
            else {
                continue;
            };
            let at = nanos(seconds).ok_or_else(|| {
                let expected = "it must be a number of seconds since training began";
                row.error_here(Error::invalid("train/time", seconds, expected))
            })?;
            progress.push(at, step, None, (file, Some(row.line)), findings);
        }
        table.end(findings);
        if progress.steps() <= 0.0 || progress.seconds() <= 0.0 {
            return Err(no_data(file, "two rows with a step and a time"));
        }
        let mut measured = Measured::new(stem(file), file, "lightning");
        progress.fill(&mut measured);
        self.measured.push(measured);
        Ok(())
    }

    fn finish(self: Box<Self>, _: &mut Findings) -> Result<Vec<Measured>> {
        Ok(self.measured)
    }
}

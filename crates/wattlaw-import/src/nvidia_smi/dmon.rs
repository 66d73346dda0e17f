//! `nvidia-smi dmon`: a table of columns apart by spaces, or by commas with `--format csv`, whose header repeats.
//!
//! The first header line names the columns (`# gpu pwr gtemp …`, with `-o DT` also `Date Time`), the second one their units. Power
//! is in W. Without times a line is one period (`-d`) after the line before of the same GPU.

use super::super::data_issue::{DataIssue, Findings};
use super::super::lines::text;
use super::super::measured::{Measured, Part};
use super::super::number::{is_missing_value, number};
use super::super::series::{Series, Step};
use super::super::timestamp::Timestamp;
use super::super::{Options, no_data, stem};

use wattlaw::base::error::{Error, Location, Result};
use wattlaw::base::scope::Scope;
use wattlaw::base::units::Joules;
use wattlaw::record::{Component, Instrument};

/// Most GPUs of a machine; a column of other numbers has more values.
const MAX_GPUS: usize = 4096;

/// A table that is being read.
pub(super) struct Dmon {
    options: Options,
    columns: Option<Columns>,
    gpus: Vec<Gpu>,
    start: Option<Timestamp>,
}

/// Positions of the used columns.
#[derive(Clone, Copy)]
struct Columns {
    count: usize,
    gpu: usize,
    power: usize,
    date: Option<usize>,
    time: Option<usize>,
}

struct Gpu {
    name: String,
    series: Series,
    /// Lines so far, which are its time where the table has none.
    lines: u64,
}

/// Whether a line is the first of dmon's header.
pub(in super::super) fn is_title(line: &[u8]) -> bool {
    let Some(rest) = line.trim_ascii_start().strip_prefix(b"#") else { return false };
    std::str::from_utf8(rest).is_ok_and(|rest| {
        let titles: Vec<&str> = cells(rest).collect();
        titles.len() > 1 && titles.contains(&"gpu")
    })
}

fn cells(line: &str) -> impl Iterator<Item = &str> {
    line.split([' ', '\t', ',']).filter(|cell| !cell.is_empty())
}

impl Dmon {
    pub(super) const fn new(options: Options) -> Self {
        Self { options, columns: None, gpus: Vec::new(), start: None }
    }

    /// Parses a line. Returns the error of a line that is too short, because it is accepted as an incomplete last line.
    pub(super) fn line(
        &mut self,
        file: &str,
        number: u64,
        line: &[u8],
        findings: &mut Findings,
    ) -> Result<Option<Error>> {
        let place = |e: Error| e.at(Location::line(file, number));
        if is_title(line) {
            self.columns = Some(self.titles(text(line).map_err(place)?).map_err(place)?);
            return Ok(None);
        }
        let Some(columns) = self.columns else { return Ok(None) };
        let line = text(line).map_err(place)?;
        // the line of units
        if line.trim_start().starts_with('#') {
            return Ok(None);
        }
        let cells: Vec<&str> = cells(line).take(columns.count + 1).collect();
        if cells.len() != columns.count {
            let message =
                format!("the row has not as many cells as the header, which has {}", columns.count);
            let error = place(Error::Syntax { format: "dmon table", message });
            return if cells.len() < columns.count { Ok(Some(error)) } else { Err(error) };
        }
        self.sample(file, number, &cells, columns, findings).map_err(place)?;
        Ok(None)
    }

    fn titles(&self, line: &str) -> Result<Columns> {
        let titles: Vec<&str> =
            cells(line.trim_start().trim_start_matches('#')).take(MAX_GPUS).collect();
        let at = |name: &str| titles.iter().position(|t| t.eq_ignore_ascii_case(name));
        let (Some(gpu), Some(power)) = (at("gpu"), at("pwr")) else {
            return Err(Error::missing("column `pwr`", "log it with nvidia-smi dmon -s p"));
        };
        let (date, time) = (at("date"), at("time"));
        if time.is_none() && self.options.interval_s.is_none() {
            return Err(Error::missing(
                "column `Time`",
                "log it with -o DT, or give the period of dmon, such as --interval 1s",
            ));
        }
        if time.is_some() && date.is_none() {
            return Err(Error::missing("column `Date`", "log it with nvidia-smi dmon -o DT"));
        }
        Ok(Columns { count: titles.len(), gpu, power, date, time })
    }

    fn sample(
        &mut self,
        file: &str,
        line: u64,
        cells: &[&str],
        columns: Columns,
        findings: &mut Findings,
    ) -> Result<()> {
        let cell = |at: usize| cells.get(at).copied().unwrap_or_default();
        let name = cell(columns.gpu);
        if !self.options.includes(&[name]) {
            return Ok(());
        }
        let at = match self.gpus.iter().position(|gpu| gpu.name == name) {
            Some(at) => at,
            None if self.gpus.len() < MAX_GPUS && name.parse::<u64>().is_ok() => {
                let (series, name) = (Series::default(), name.to_owned());
                self.gpus.push(Gpu { name, series, lines: 0 });
                self.gpus.len() - 1
            }
            None => {
                let found = super::super::number::shortened(name);
                return Err(Error::invalid("column `gpu`", found, "it must be the index of a GPU"));
            }
        };
        let Some(gpu) = self.gpus.get_mut(at) else { return Ok(()) };
        let turn = gpu.lines;
        gpu.lines += 1;
        let nanos = match (columns.date, columns.time) {
            (Some(date), Some(time)) => {
                let (date, time) = (cell(date), cell(time));
                let shown = match date.get(..4).zip(date.get(4..6)).zip(date.get(6..)) {
                    Some(((year, month), day)) if date.len() == 8 => {
                        format!("{year}-{month}-{day} {time}")
                    }
                    _ => format!("{date} {time}"),
                };
                let at = Timestamp::parse(&shown).ok_or_else(|| {
                    let found = super::super::number::shortened(&shown);
                    Error::invalid("the time", found, "it must be such as 20240301 12:00:00")
                })?;
                self.start = self.start.or(Some(at));
                at.nanos()
            }
            _ => (turn as f64 * self.options.interval_s.unwrap_or(1.0) * 1e9) as i64,
        };
        let power = cell(columns.power);
        if power == "-" || is_missing_value(power) {
            let text = "pwr is missing here; the sample was skipped";
            findings.add(DataIssue::MissingValue, file, Some(line), text);
            return Ok(());
        }
        let watts = number(power, "column `pwr`")?;
        if !(0.0..=1e5).contains(&watts) {
            let expected = "it must be a number of watts from 0 to 100000";
            return Err(Error::invalid("column `pwr`", watts, expected));
        }
        match gpu.series.push(nanos, watts) {
            Step::Joined | Step::Same => {}
            Step::Gap(seconds) => findings.add(
                DataIssue::Gap,
                file,
                Some(line),
                format!("no sample for {seconds:.0} s before this line; this gap is excluded"),
            ),
            Step::Back(seconds) => {
                return Err(Error::Data(format!(
                    "the time goes back by {seconds:.0} s; give concatenated logs as separate files"
                )));
            }
        }
        Ok(())
    }

    pub(super) fn finish(self, file: &str, findings: &mut Findings) -> Result<Measured> {
        let seconds = self.gpus.iter().map(|gpu| gpu.series.seconds()).fold(0.0, f64::max);
        if seconds <= 0.0 {
            return Err(no_data(file, "two samples of one GPU"));
        }
        if self.start.is_some() {
            let text = "the timestamps are local time of an unknown time zone";
            findings.add(DataIssue::LocalTime, file, None, text);
        }
        let mut measured = Measured::new(stem(file), file, "nvidia-smi dmon");
        measured.scope = Scope::Gpu;
        measured.instrument = Some(Instrument::Power);
        measured.start = self.start;
        measured.gpus = Some(self.gpus.len() as u64);
        measured.set_energy_and_time(self.gpus.iter().map(|g| g.series.joules()).sum(), seconds);
        measured.parts = self
            .gpus
            .into_iter()
            .map(|gpu| Part {
                name: gpu.name,
                component: Component::Gpu,
                energy: Joules::new(gpu.series.joules()),
            })
            .collect();
        Ok(measured)
    }
}

//! What every importer must do with any bytes: give runs with finite figures, or one sentence.

use std::io::BufReader;
use std::sync::LazyLock;

use wattlaw::job::catalog::Catalog;
use wattlaw::data::dataset::ColumnMap;
use wattlaw_import;
use wattlaw_import::{Format, Importer, Options, Source};

static CATALOG: LazyLock<Catalog> = LazyLock::new(|| Catalog::built_in().unwrap());

/// Reads the bytes as one log, or as two where a line `---` parts them.
pub fn answered(format: Format, bytes: &[u8]) {
    let map = ColumnMap::from_toml("[columns]\nduration_s = 'secs'\nenergy_kwh = 'used kWh'\n").unwrap();
    let map = (format == Format::Csv).then_some(map);
    let mut importer = Importer::new(format, Options { map, interval_s: Some(1.0), gpus_in_turn: Some(2), ..Options::default() });
    let parted = bytes.windows(5).position(|w| w == b"\n---\n");
    let logs = parted.map_or(vec![bytes], |at| vec![&bytes[..=at], &bytes[at + 5..]]);
    let mut read = Ok(());
    for (name, log) in ["a/power.csv", "a/energy.csv"].into_iter().zip(logs) {
        // small blocks cut lines and cells everywhere
        let mut input = BufReader::with_capacity(64, log);
        read = read.and_then(|()| importer.read(&mut Source { name, input: &mut input }));
    }
    match read.and_then(|()| importer.finish()) {
        Ok(log) => {
            for run in &log.measured {
                let figures = [run.energy.map(|e| e.value()), run.duration.map(|t| t.value())];
                assert!(figures.iter().flatten().all(|x| *x >= 0.0 && x.is_finite()), "{run:?}");
            }
            wattlaw_import::check(&log.measured, &CATALOG);
            let _ = wattlaw_import::join(&log.measured);
            wattlaw_import::to_csv(&log.measured).unwrap();
        }
        Err(error) => assert_eq!(error.to_string().lines().count(), 1, "{error}"),
    }
    let _ = Format::detect(bytes);
}

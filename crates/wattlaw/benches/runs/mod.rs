//! The 655 runs of the study's pooled setting, or a made table of the same shape where they are absent.

use wattlaw::data::dataset::{Dataset, ProxyColumns};
use wattlaw::job::catalog::Catalog;
use wattlaw::law::setting::Setting;
use wattlaw::stats::frame::Frame;

const MEASURED: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/multi_gpu_2026/runs.csv");

/// Rows of the pooled setting.
const ROWS: usize = 655;

/// The columns of the pooled runs; prints which table they are of.
#[allow(dead_code, reason = "each bench uses what it needs")]
pub fn pooled() -> wattlaw::Result<Frame> {
    let data = dataset()?.filter(|run| Setting::Pooled.keeps(run.family(), run.strategy_kind()));
    data.frame(ProxyColumns::default(), &Catalog::built_in()?)
}

/// The runs; prints which table they are of.
pub fn dataset() -> wattlaw::Result<Dataset> {
    let (csv, table) = match std::fs::read_to_string(MEASURED) {
        Ok(csv) => (csv, "the study's measured runs"),
        Err(_) => (made(), "made runs of the same shape, because the measured ones are absent"),
    };
    let data = Dataset::from_csv(csv.as_bytes(), "runs.csv", None)?;
    println!("table: {table}, {} rows", data.runs.len());
    Ok(data)
}

/// As many runs, families, strategies and GPU counts as the study has, with a spread that is no chance.
fn made() -> String {
    let mut csv = "family,gpu,gpus,strategy,layers,hidden_size,heads,ffn_size,max_seq_len,seq_len,batch_size,\
                   grad_accum,task,precision,tokens,duration_s,energy_kwh\n"
        .to_owned();
    let gpus_of = |i: usize| if i.is_multiple_of(6) { [1, 2, 4, 6].as_slice() } else { &[1, 2, 4] };
    let configurations = (0..).flat_map(|i| gpus_of(i).iter().map(move |gpus| (i, *gpus)));
    for (row, (i, gpus)) in configurations.take(ROWS).enumerate() {
        let family = if i.is_multiple_of(5) { "bert" } else { "gpt" };
        let gpu = ["t4", "v100-pcie-16gb", "a100-sxm4-40gb", "rtx-2080-ti"][i % 4];
        let strategy = if gpus == 1 { "baseline" } else { "fsdp" };
        let (layers, width) = (2 + 2 * (i % 8), 128 * (1 + i % 6));
        let (seq_len, batch) = ([32, 64, 128, 256][i / 4 % 4], [8, 16, 32][i / 16 % 3]);
        let tokens = 700_000 + 10_000 * (i % 79);
        let noise = 1.0 + 0.3 * (row * 7919 % 1009) as f64 / 1009.0;
        let work = (layers * width * width) as f64 * tokens as f64;
        let duration = noise * 1e-10 * work / (gpus as f64).powf(0.8) + 20.0;
        let energy = noise * duration * gpus as f64 * 150.0 / 3.6e6;
        csv += &format!(
            "{family},{gpu},{gpus},{strategy},{layers},{width},{},{},512,{seq_len},{batch},1,WIKITEXT,fp16,\
             {tokens},{duration},{energy}\n",
            width / 64,
            4 * width,
        );
    }
    csv
}

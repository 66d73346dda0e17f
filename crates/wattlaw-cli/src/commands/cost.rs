//! `wattlaw cost`: the cost ledger of a job.

use serde::Serialize;

use wattlaw::cost::{AttentionFlops, Cost, Ledger, Op, Totals};
use wattlaw::job::Job;
use wattlaw::job::workload::Precision;
use wattlaw::memory::Memory;

use crate::failure::Done;
use crate::flags::job::JobArgs;
use crate::format::Format;
use crate::{files, render};
use wattlaw_ask::Schema;

/// Flags of `wattlaw cost`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    job: JobArgs,
    /// FLOP count of causal attention: full or causal
    #[arg(long, default_value_t, value_parser = <AttentionFlops as std::str::FromStr>::from_str)]
    attention_flops: AttentionFlops,
    /// Pipeline stage to list, from 0. Default: the busiest stage
    #[arg(long, value_parser = crate::parse::whole::<usize>)]
    stage: Option<usize>,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// JSON output: the ledger with its sums.
#[derive(Debug, Serialize)]
struct Report<'a> {
    attention_flops: AttentionFlops,
    steps: f64,
    micro_steps_per_step: u64,
    /// FLOPs per optimizer step, all GPUs.
    model_flops_per_step: f64,
    hardware_flops_per_step: f64,
    model_flops: f64,
    hardware_flops: f64,
    /// Share of the hardware FLOPs in 8 bits, of a job with precision fp8.
    #[serde(skip_serializing_if = "Option::is_none")]
    share_in_8_bits: Option<f64>,
    parameters: wattlaw::job::model::Parameters,
    active_parameters: u64,
    /// One GPU of the busiest stage, one micro-step.
    per_micro_step: Totals,
    /// One GPU of the busiest stage, one optimizer step.
    per_step: Totals,
    /// Peak memory of the GPU with the largest demand, by part, in bytes.
    memory: Memory,
    stages: &'a [Ledger],
}

/// Runs the command.
///
/// # Errors
/// An invalid job or stage.
pub fn run(args: &Args) -> Done {
    let job = args.job.chosen()?.job;
    let cost = Cost::count(&job, args.attention_flops);
    let ledger = match args.stage {
        Some(stage) => cost.stages.get(stage).ok_or_else(|| {
            crate::failure::Failure::Usage(format!(
                "--stage is {stage}, but the job has {} stages, 0 to {}",
                cost.stages.len(),
                cost.stages.len() - 1
            ))
        })?,
        None => cost.busiest_stage(),
    };
    match args.format {
        Format::Json => render::json(
            Schema::Cost,
            &Report {
                attention_flops: cost.attention_flops,
                steps: cost.steps,
                micro_steps_per_step: ledger.micro_steps,
                model_flops_per_step: cost.model_flops_per_step.value(),
                hardware_flops_per_step: cost.hardware_per_step.flops.value(),
                model_flops: cost.model_flops().value(),
                hardware_flops: cost.hardware_flops().value(),
                share_in_8_bits: (job.workload.precision == Precision::Fp8)
                    .then(|| cost.share_in_8_bits()),
                parameters: job.architecture.parameters_for(job.workload.task),
                active_parameters: job.architecture.active_parameters(job.workload.task),
                per_micro_step: ledger.per_micro_step(),
                per_step: ledger.per_step(|_| true),
                memory: Memory::for_job(&job),
                stages: &cost.stages,
            },
        ),
        Format::Table => files::print(&table(&job, &cost, ledger)),
    }
}

fn table(job: &Job, cost: &Cost, ledger: &Ledger) -> String {
    let mut out = render::heading(&format!(
        "{}: one GPU of stage {} of {}, {} micro-steps per step, {} steps",
        job.architecture.name,
        ledger.stage,
        cost.stages.len(),
        ledger.micro_steps,
        render::digits(cost.steps)
    ));
    let line = |name: String, phase: &str, count: f64, t: &Totals, collective: String| {
        vec![
            name,
            phase.to_owned(),
            render::digits(count),
            if t.flops.value() == 0.0 {
                String::new()
            } else {
                render::si(t.flops.value(), "FLOP")
            },
            render::si(t.bytes.value(), "B"),
            render::digits(t.kernels),
            collective,
        ]
    };
    let mut rows: Vec<Vec<String>> = ledger
        .ops
        .iter()
        .map(|op| {
            let totals = Totals {
                flops: op.flops,
                bytes: op.bytes,
                kernels: op.kernels,
                ..Totals::default()
            };
            line(op.name().to_owned(), op.phase.name(), op.count, &totals, collective(op))
        })
        .collect();
    let micro = ledger.per_micro_step();
    let step = ledger.per_step(|_| true);
    let sent = |t: &Totals| {
        format!(
            "sends {} in node, {} over network",
            render::si(t.node_link_bytes.value(), "B"),
            render::si(t.network_bytes.value(), "B")
        )
    };
    rows.push(line("total per micro-step".into(), "", 1.0, &micro, sent(&micro)));
    rows.push(line("total per step".into(), "", 1.0, &step, sent(&step)));
    out += &render::table(
        &["operation", "phase", "count", "FLOPs each", "memory each", "kernels", "communication"],
        rows,
        2,
    );
    out += &format!(
        "\nFLOPs of the run ({} attention): model {}, hardware {}\n",
        cost.attention_flops,
        render::si(cost.model_flops().value(), "FLOP"),
        render::si(cost.hardware_flops().value(), "FLOP"),
    );
    let memory = Memory::for_job(job);
    out += &render::heading(&format!(
        "\npeak memory per GPU, stage {}: {:.2} of {:.1} GiB, {}",
        memory.stage,
        memory.peak_gib_per_gpu(),
        memory.capacity.gib(),
        if memory.fits { "fits" } else { "does not fit" }
    ));
    let parts = memory
        .parts()
        .filter(|(_, bytes)| bytes.value() > 0.0)
        .map(|(part, bytes)| vec![part.to_string(), format!("{:.2} GiB", bytes.gib())])
        .collect();
    out += &render::table(&["", ""], parts, 1);
    out
}

fn collective(op: &Op) -> String {
    op.collective().map_or_else(String::new, |c| {
        let span = match c.span {
            wattlaw::cost::Span::Node => "in node",
            wattlaw::cost::Span::Network => "over network",
        };
        format!(
            "{} of {} among {} {span}",
            c.kind.name(),
            render::si(c.buffer.value(), "B"),
            c.ranks
        )
    })
}

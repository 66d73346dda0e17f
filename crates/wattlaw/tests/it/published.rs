//! Parameter and FLOP figures of papers and model cards, each row with its source and, where it is not exact, why.

#![allow(clippy::unwrap_used, reason = "helper functions of a test")]

use std::sync::LazyLock;

use wattlaw::base::amount::Count;
use wattlaw::cost::{AttentionFlops, CollectiveRole, Cost, OpKind};
use wattlaw::job::catalog::Catalog;
use wattlaw::job::model::ModelSpec;
use wattlaw::job::parallelism::ParallelismSpec;
use wattlaw::job::system::SystemSpec;
use wattlaw::job::task::Task;
use wattlaw::job::workload::{AttentionKernel, Checkpointing, Framework, Stack, WorkloadSpec};
use wattlaw::job::{Job, JobSpec};

static CATALOG: LazyLock<Catalog> = LazyLock::new(|| Catalog::built_in().unwrap());

/// A decoder with a plain feed-forward block of four times its width, learned positions and tied embeddings.
fn gpt(layers: u64, hidden_size: u64, heads: u64, vocab_size: u64, seq_len: u64) -> ModelSpec {
    ModelSpec {
        family: Some("gpt2".into()),
        layers: Some(layers),
        hidden_size: Some(hidden_size),
        heads: Some(heads),
        vocab_size: Some(vocab_size),
        max_positions: Some(seq_len),
        ..ModelSpec::default()
    }
}

fn preset(name: &str) -> ModelSpec {
    ModelSpec { name: Some(name.into()), ..ModelSpec::default() }
}

/// Training on `tokens` in sequences of `seq_len`, on one GPU, one sequence a step; no paper here counts the scores
/// that flash attention computes again.
fn training(model: ModelSpec, seq_len: u64, tokens: u64) -> Job {
    let workload = WorkloadSpec {
        tokens: Some(Count::new(tokens)),
        seq_len: Some(seq_len),
        micro_batch: Some(1),
        attention: Some(AttentionKernel::Eager),
        ..WorkloadSpec::default()
    };
    let system = SystemSpec { gpu: Some("a100-sxm4-80gb".into()), ..SystemSpec::default() };
    JobSpec { model, workload, system, ..JobSpec::default() }.resolve(&CATALOG).unwrap()
}

fn model_flops(job: &Job, attention: AttentionFlops) -> f64 {
    Cost::count(job, attention).model_flops().value()
}

/// FLOPs of the run without scores and their products with values, which 6 · N · D leaves out.
fn without_attention_core(job: &Job) -> f64 {
    let cost = Cost::count(job, AttentionFlops::Full);
    let core = cost.stages[0].per_step(|op| matches!(op.kind, OpKind::AttentionCore { .. })).flops;
    (cost.model_flops_per_step - core).value() * cost.steps
}

fn within(ours: f64, published: f64, relative: f64) -> bool {
    (ours / published - 1.0).abs() <= relative
}

/// A row of table 1 of Narayanan et al. 2021 (arXiv 2104.04473): billions of parameters, heads, hidden size, layers,
/// tensor and pipeline degrees, GPUs, batch.
type MegatronRow = (f64, u64, u64, u64, u64, u64, u64, u64);

const MEGATRON: [MegatronRow; 10] = [
    (1.7, 24, 2304, 24, 1, 1, 32, 512),
    (3.6, 32, 3072, 30, 2, 1, 64, 512),
    (7.5, 32, 4096, 36, 4, 1, 128, 512),
    (18.4, 48, 6144, 40, 8, 1, 256, 1024),
    (39.1, 64, 8192, 48, 8, 2, 512, 1536),
    (76.1, 80, 10_240, 60, 8, 4, 1024, 1792),
    (145.6, 96, 12_288, 80, 8, 8, 1536, 2304),
    (310.1, 128, 16_384, 96, 8, 16, 1920, 2160),
    (529.6, 128, 20_480, 105, 8, 35, 2520, 2520),
    (1008.0, 160, 25_600, 128, 8, 64, 3072, 3072),
];

const MEGATRON_SEQUENCE: u64 = 2048;
const MEGATRON_VOCABULARY: u64 = 51_200;

/// The iteration of a row, spread as the row says, one sequence a micro-batch.
fn megatron(row: &MegatronRow, checkpointing: Checkpointing) -> Job {
    let (_, heads, hidden_size, layers, tp, pp, gpus, batch) = *row;
    let dp = gpus / (tp * pp);
    let spec = JobSpec {
        model: gpt(layers, hidden_size, heads, MEGATRON_VOCABULARY, MEGATRON_SEQUENCE),
        workload: WorkloadSpec {
            steps: Some(Count::new(1)),
            seq_len: Some(MEGATRON_SEQUENCE),
            micro_batch: Some(1),
            grad_accum: Some(batch / dp),
            checkpointing: Some(checkpointing),
            attention: Some(AttentionKernel::Eager),
            framework: Some(Stack::of(Framework::Megatron)),
            ..WorkloadSpec::default()
        },
        parallelism: ParallelismSpec { tp: Some(tp), pp: Some(pp), ..ParallelismSpec::default() },
        system: SystemSpec {
            gpu: Some("a100-sxm4-80gb".into()),
            gpus: Some(gpus),
            ..SystemSpec::default()
        },
    };
    spec.resolve(&CATALOG).unwrap()
}

/// b · s · h² · l of a row, and h, l, s and V.
fn megatron_sizes(row: &MegatronRow) -> (f64, f64, f64, f64, f64) {
    let (_, _, hidden_size, layers, _, _, _, batch) = *row;
    let (h, l) = (hidden_size as f64, layers as f64);
    let (s, v) = (MEGATRON_SEQUENCE as f64, MEGATRON_VOCABULARY as f64);
    (batch as f64 * s * h * h * l, h, l, s, v)
}

/// Equation 2: P = 12 l h² (1 + 13/(12h) + (V + s)/(12lh)); it leaves out the last norm's 2h.
#[test]
fn narayanan_2021_equation_2_gives_our_parameters_and_their_table() {
    for row in &MEGATRON {
        let counted = megatron(row, Checkpointing::Full).architecture.parameters().total as f64;
        let (_, h, l, s, v) = megatron_sizes(row);
        let formula = 12.0 * l * h * h * (1.0 + 13.0 / (12.0 * h) + (v + s) / (12.0 * l * h));
        assert!((counted - formula - 2.0 * h).abs() <= 1e-12 * counted, "{row:?}: {counted}");
        // the table is rounded to a tenth of a billion
        assert!((counted / 1e9 - row.0).abs() <= 0.051, "{row:?}: {counted}");
    }
}

/// Equation 3: F = 96 B s l h² (1 + s/(6h) + V/(16lh)) with every layer recomputed; exact, whatever the degrees.
#[test]
fn narayanan_2021_equation_3_is_our_hardware_flops_with_full_recomputation() {
    for row in &MEGATRON {
        let job = megatron(row, Checkpointing::Full);
        let counted = Cost::count(&job, AttentionFlops::Full).hardware_per_step.flops.value();
        let (bslh2, h, l, s, v) = megatron_sizes(row);
        let formula = 96.0 * bslh2 * (1.0 + s / (6.0 * h) + v / (16.0 * l * h));
        assert!(within(counted, formula, 1e-12), "{row:?}: {counted} and {formula}");
    }
}

/// Korthikanti et al. 2022 (arXiv 2205.05198), appendix A: model FLOPs 72 B s l h² (1 + s/(6h) + V/(12lh)).
/// Selective recomputation adds the forward attention core, 4 B s² h a layer, to what is launched.
#[test]
fn korthikanti_2022_is_our_model_flops_and_selective_recomputation_adds_the_core() {
    for row in &MEGATRON {
        let cost = |c| Cost::count(&megatron(row, c), AttentionFlops::Full);
        let (bslh2, h, l, s, v) = megatron_sizes(row);
        let formula = 72.0 * bslh2 * (1.0 + s / (6.0 * h) + v / (12.0 * l * h));
        let none = cost(Checkpointing::None);
        assert!(within(none.model_flops_per_step.value(), formula, 1e-12), "{row:?}");
        assert!(within(none.hardware_per_step.flops.value(), formula, 1e-12), "{row:?}");
        let selective = cost(Checkpointing::Selective);
        assert!(within(selective.model_flops_per_step.value(), formula, 1e-12), "{row:?}");
        let more = selective.hardware_per_step.flops.value() - none.hardware_per_step.flops.value();
        assert!(within(more, 4.0 * bslh2 * s / h, 1e-9), "{row:?}: {more}");
    }
}

/// Section 5.1 of Narayanan et al. 2021: 175 billion parameters on 300 billion tokens take 34 days on 1024 A100 at
/// 140 TFLOP/s, and a trillion on 450 billion tokens 84 days on 3072 at 163. Their 8 T P / (n X) leaves attention and
/// logits out, 3 % and 1 % here.
#[test]
fn narayanan_2021_training_days_are_ours_at_their_rates() {
    for (layers, hidden_size, heads, tokens, gpus, tflops, days, more) in [
        (96, 12_288, 96, 300e9, 1024.0, 140.0, 34.0, 0.05),
        (128, 25_600, 160, 450e9, 3072.0, 163.0, 84.0, 0.03),
    ] {
        let model = gpt(layers, hidden_size, heads, MEGATRON_VOCABULARY, MEGATRON_SEQUENCE);
        let mut job = training(model, MEGATRON_SEQUENCE, tokens as u64);
        job.workload.checkpointing = Checkpointing::Full;
        job.workload.framework = Stack::of(Framework::Megatron);
        let flops = Cost::count(&job, AttentionFlops::Full).hardware_flops().value();
        let ours = flops / (gpus * tflops * 1e12) / 86_400.0;
        assert!(ours / days >= 0.99 && ours / days <= 1.0 + more, "{ours} days, not {days}");
    }
}

/// Chowdhery et al. 2022 (arXiv 2204.02311), table 1: layers, heads, width and billions of parameters; head width 256,
/// one key head, gated feed-forward blocks of four times the width, 256k tokens, output tied to the embedding.
const PALM: [(u64, u64, u64, f64); 3] =
    [(32, 16, 4096, 8.63), (64, 32, 8192, 62.50), (118, 48, 18_432, 540.35)];

fn palm(layers: u64, heads: u64, hidden_size: u64) -> ModelSpec {
    ModelSpec {
        family: Some("llama".into()),
        layers: Some(layers),
        hidden_size: Some(hidden_size),
        heads: Some(heads),
        kv_heads: Some(1),
        head_dim: Some(256),
        ffn_size: Some(4 * hidden_size),
        vocab_size: Some(256_000),
        tied_embeddings: Some(true),
        ..ModelSpec::default()
    }
}

/// Appendix B: a token of training takes 6N + 12 L H Q T FLOPs. Norms are in N and have no products, a ten-thousandth.
#[test]
fn palm_appendix_b_is_our_model_flops_a_token() {
    for (layers, heads, hidden_size, billions) in PALM {
        let (seq_len, tokens) = (2048, 2048);
        let job = training(palm(layers, heads, hidden_size), seq_len, tokens);
        let parameters = job.architecture.parameters().total as f64;
        // to the table's hundredth of a billion
        assert!((parameters / 1e9 - billions).abs() <= 0.01, "{parameters}");
        let attention = 12.0 * (layers * heads * 256 * seq_len) as f64;
        let formula = (6.0 * parameters + attention) * tokens as f64;
        let counted = model_flops(&job, AttentionFlops::Full);
        assert!(within(counted, formula, 1e-4), "{counted} and {formula}");
    }
}

/// Kaplan et al. 2020 (arXiv 2001.08361), table 1: forward 2N + 2 · layers · context · width a token without
/// embeddings, N = 12 · layers · width², scores counted backwards only; the output map is 2 · width · vocabulary more.
#[test]
fn kaplan_2020_table_1_is_our_causal_count() {
    for (layers, h, heads, context) in
        [(12_u64, 768_u64, 12, 1024_u64), (48, 1600, 25, 1024), (6, 128, 2, 4096)]
    {
        let vocabulary = 50_257;
        let job = training(gpt(layers, h, heads, vocabulary, context), context, context);
        let per_token = model_flops(&job, AttentionFlops::Causal) / context as f64;
        let non_embedding = 12 * layers * h * h;
        let forward = 2 * non_embedding + 2 * layers * context * h + 2 * h * vocabulary;
        assert_eq!(per_token, 3.0 * forward as f64);
    }
}

/// Brown et al. 2020 (arXiv 2005.14165), tables 2.1 and D.1: 300 billion tokens in sequences of 2048, 6 FLOPs a
/// parameter and token, attention left out.
///
/// Ours without the attention core is less by what has parameters and no products (positions, norms, biases: 1.3 % of
/// the smallest) and differs by the rounding of table D.1. Rows whose table 2.1 contradicts itself (XL: 24 heads of
/// 128 in a width of 2048; 13B: a width of 5140 with heads of 128) are left out or taken with 5120.
#[test]
fn gpt_3_table_d1_is_ours_without_attention() {
    for (layers, hidden_size, heads, millions, flops) in [
        (12, 768, 12, 125.0, 2.25e20),
        (24, 1024, 16, 356.0, 6.41e20),
        (24, 1536, 16, 760.0, 1.37e21),
        (32, 2560, 32, 2650.0, 4.77e21),
        (32, 4096, 32, 6660.0, 1.20e22),
        (40, 5120, 40, 12_850.0, 2.31e22),
        (96, 12_288, 96, 174_600.0, 3.14e23),
    ] {
        let job = training(gpt(layers, hidden_size, heads, 50_257, 2048), 2048, 300_000_000_000);
        let parameters = job.architecture.parameters().total as f64 / 1e6;
        assert!(within(parameters, millions, 0.005), "{parameters} million, not {millions}");
        let ours = without_attention_core(&job);
        assert!(within(ours, flops, 0.02), "{millions} million: {ours:e}, not {flops:e}");
    }
}

/// The same 3.14e23 with attention: 2.8 % more if the full square of scores counts, 1.4 % if half of it does. (GPT-3
/// alternated full with banded attention, so that its own lies below both.)
#[test]
fn gpt_3_175b_with_attention_is_a_few_percent_above_its_published_3_14e23() {
    let job = training(gpt(96, 12_288, 96, 50_257, 2048), 2048, 300_000_000_000);
    let (full, causal) =
        (model_flops(&job, AttentionFlops::Full), model_flops(&job, AttentionFlops::Causal));
    assert!(within(full, 3.14e23 * 1.028, 0.002), "{full:e}");
    assert!(within(causal, 3.14e23 * 1.014, 0.002), "{causal:e}");
}

/// Hoffmann et al. 2022 (arXiv 2203.15556), tables 1 and 4: Chinchilla, 80 layers of 8192 with 64 heads of 128, 1.4
/// trillion tokens on Gopher's budget of 5.76e23 FLOPs.
///
/// Its relative positions (Transformer-XL) have a map of width² a layer that no family here has: with it the shape
/// comes to the stated 70 billion and, at 6 N D, to 2 % above the budget; without it ours with attention is 2 % below.
#[test]
fn chinchilla_on_gophers_budget() {
    let tokens = 1_400_000_000_000;
    let job = training(gpt(80, 8192, 64, 32_000, 2048), 2048, tokens);
    let relative = 80.0 * 8192.0 * 8192.0;
    let parameters = job.architecture.parameters().total as f64 + relative;
    assert!(within(parameters, 70e9, 0.005), "{parameters}");
    assert!(within(6.0 * parameters * tokens as f64, 5.76e23, 0.025));
    assert!(within(model_flops(&job, AttentionFlops::Full), 5.76e23, 0.025));
}

/// Llama team 2024 (arXiv 2407.21783), section 3.2: 405 billion parameters, 15.6 trillion tokens, 3.8e25 FLOPs by 6 N
/// D. Ours leaves out the input embedding (0.5 %), and sequences of 8192 add 4 % of causal attention.
#[test]
fn llama_3_405b_is_3_8e25() {
    let job = training(preset("llama-3.1-405b"), 8192, 15_600_000_000_000);
    let ours = without_attention_core(&job);
    assert!(within(ours, 3.8e25, 0.01), "{ours:e}");
    let causal = model_flops(&job, AttentionFlops::Causal);
    assert!(within(causal, 3.8e25 * 1.04, 0.01), "{causal:e}");
}

/// Touvron et al. 2023 (arXiv 2307.09288), table 2: GPU-hours of A100-80GB for 2 trillion tokens of 4096. The paper
/// states no FLOPs; ours over the peak of those hours must be a share that such runs reach.
#[test]
fn llama_2_ran_at_a_plausible_share_of_peak() {
    for (name, gpu_hours) in
        [("llama-2-7b", 184_320.0), ("llama-2-13b", 368_640.0), ("llama-2-70b", 1_720_320.0)]
    {
        let job = training(preset(name), 4096, 2_000_000_000_000);
        let peak = job.system.accelerator.peak(job.workload.precision).unwrap().value();
        let share = model_flops(&job, AttentionFlops::Causal) / (gpu_hours * 3600.0 * peak);
        assert!((0.35..0.50).contains(&share), "{name}: {share}");
    }
}

/// Totals and what a token visits. Sources: Mistral AI, "Mixtral of experts" (46.7 and 12.9 billion) and "Cheaper,
/// better, faster, stronger" (141 and 39 billion; arXiv 2401.04088 says 13 for the first).
#[test]
fn mixtral_visits_12_9_of_its_46_7_billion_parameters() {
    for (name, total, active) in [("mixtral-8x7b", 46.7, 12.9), ("mixtral-8x22b", 141.0, 39.0)] {
        let architecture = CATALOG.architecture(&preset(name)).unwrap();
        let billions = |n: u64| n as f64 / 1e9;
        let counted = billions(architecture.parameters().total);
        assert!(within(counted, total, 0.005), "{name}: {counted}");
        let counted = billions(architecture.active_parameters(Task::CausalLm));
        assert!(within(counted, active, 0.005), "{name}: {counted}");
    }
}

/// Training a mixture of experts takes 6 FLOPs an active parameter and token, attention apart: ours is less by the
/// input embedding (1 %) and the norms, and is far from 6 FLOPs for each of all parameters.
#[test]
fn mixtral_takes_six_flops_an_active_parameter() {
    let tokens = 4096;
    let job = training(preset("mixtral-8x7b"), 4096, tokens);
    let active = job.architecture.active_parameters(Task::CausalLm) as f64;
    let ours = without_attention_core(&job) / tokens as f64;
    assert!(within(ours, 6.0 * active, 0.011), "{ours}");
}

/// Hu et al. 2021 (arXiv 2106.09685), table 4: LoRA on query and value of GPT-3 175B trains 4.7 million parameters at
/// rank 1 and 37.7 million at rank 8.
#[test]
fn lora_trains_the_papers_parameters_of_gpt_3() {
    for (rank, millions) in [(1, 4.7), (8, 37.7)] {
        let toml = format!(
            "model = {{ family = 'gpt2', layers = 96, hidden_size = 12288, heads = 96, vocab_size = 50257 }}\n\
             workload = {{ steps = 1, seq_len = 2048, micro_batch = 1, lora = {{ rank = {rank} }} }}\n\
             parallelism = {{ strategy = 'ddp' }}\n\
             system = {{ gpu = 'a100-sxm4-80gb', gpus = 2 }}"
        );
        let job = JobSpec::from_toml(&toml).unwrap().resolve(&CATALOG).unwrap();
        let cost = Cost::count(&job, AttentionFlops::Full);
        let mut collectives = cost.stages[0].ops.iter().filter_map(|op| op.collective());
        let gradients = collectives.find(|c| c.role == CollectiveRole::GradientReduction).unwrap();
        // adapters and their gradients are in 32 bits
        let trained = gradients.buffer.value() / 4.0;
        assert!((trained / 1e6 - millions).abs() <= 0.051, "rank {rank}: {trained}");
    }
}

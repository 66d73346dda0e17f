//! The audit finds, unprompted, what is known to be wrong with the study's table.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::collections::BTreeSet;

use wattlaw::audit::{Finding, FindingKind, audit};
use wattlaw::data::dataset::Dataset;
use wattlaw::job::catalog::Catalog;

fn findings() -> Option<Vec<Finding>> {
    let file =
        format!("{}/../../../shared/data/multi_gpu_2026/runs.csv", env!("CARGO_MANIFEST_DIR"));
    let Ok(bytes) = std::fs::read(file) else {
        println!("skipped: the measured table multi_gpu_2026/runs.csv is not beside the project");
        return None;
    };
    let data = Dataset::from_csv(&bytes, "runs.csv", None).unwrap();
    Some(audit(&data, &Catalog::built_in().unwrap()))
}

fn runs(findings: &[Finding], kind: FindingKind) -> BTreeSet<u64> {
    findings
        .iter()
        .filter(|f| f.kind == kind)
        .filter_map(|f| f.run_id.as_ref()?.parse().ok())
        .collect()
}

#[test]
fn every_known_defect_of_the_study_is_found() {
    let Some(found) = findings() else { return };
    let mut kinds: std::collections::BTreeMap<FindingKind, usize> =
        std::collections::BTreeMap::new();
    for finding in &found {
        *kinds.entry(finding.kind).or_default() += 1;
    }
    println!("{kinds:?}");
    // durations of unequal work
    assert!(runs(&found, FindingKind::WorkDiffersFromBaseline).len() > 400);
    // a one-epoch run against a three-epoch baseline
    assert!(runs(&found, FindingKind::EpochsDifferFromBaseline).contains(&192));
    // a quarter of the siblings' tokens
    assert!(
        runs(&found, FindingKind::TokensFarFromSiblings)
            .is_superset(&BTreeSet::from([353, 355, 362, 367]))
    );
    // averages of unlike runs
    assert!(runs(&found, FindingKind::AveragedUnlikeRuns).len() >= 80);
    // constant evaluation tokens of GPT: about 741,700 in three epochs
    let constant = found.iter().find(|f| f.kind == FindingKind::ConstantTokens).unwrap();
    assert!(constant.detail.contains("741888 + "), "{}", constant.detail);
    // one run against the mean of two
    assert!(
        runs(&found, FindingKind::RunsDifferFromBaseline)
            .is_superset(&BTreeSet::from([253, 254, 255, 256]))
    );
}

#[test]
fn sound_rows_raise_few_alarms() {
    let Some(found) = findings() else { return };
    for kind in [
        FindingKind::Duplicate,
        FindingKind::MixedScopes,
        FindingKind::PowerAboveLimit,
        FindingKind::PowerBelowIdle,
        FindingKind::ShortWindow,
    ] {
        assert!(
            !found.iter().any(|f| f.kind == kind),
            "{kind}: {:?}",
            found.iter().find(|f| f.kind == kind)
        );
    }
    // the 562 GPT rows have sound token counts, all but run 192, 574 and 575 that stopped early
    let gpt =
        runs(&found, FindingKind::TokensFarFromSiblings).into_iter().filter(|id| *id < 300).count();
    assert!(gpt <= 3, "{gpt} GPT rows");
}

#[test]
fn each_rule_finds_its_defect_in_a_made_up_table() {
    let header = "run_id,family,gpu,gpus,layers,hidden_size,seq_len,micro_batch,tokens,duration_s,energy_j,scope,meter\n";
    // the power of h is out of any GPU's range, for so short a time: nobody measured it
    let table = format!(
        "{header}a,gpt,T4,1,2,64,32,8,1000,100,5000,gpu,\nb,gpt,T4,1,2,64,32,8,1000,100,5000,gpu,\n\
         c,gpt,T4,1,2,64,32,8,1000,100,9000,gpu,\nd,gpt,T4,1,2,64,32,8,1000,100,300,gpu,gpu:counter\n\
         e,gpt,T4,1,2,64,32,8,1000,2,100,gpu,gpu:counter cpu:assumed\nf,gpt,T4,1,2,64,32,8,1000,,5000,gpu,\n\
         g,gpt,T4,1,4,64,32,8,1000,50,2500,node_ac,\nh,gpt,T4,1,2,64,32,8,1000,2,1,gpu,gpu:assumed\n"
    );
    let data = Dataset::from_csv(table.as_bytes(), "t.csv", None).unwrap();
    let found = audit(&data, &Catalog::built_in().unwrap());
    let of = |kind| -> Vec<&str> {
        found
            .iter()
            .filter(|f| f.kind == kind)
            .map(|f| f.run_id.as_deref().unwrap_or("table"))
            .collect()
    };
    assert_eq!(of(FindingKind::Duplicate), ["b"]);
    assert_eq!(of(FindingKind::PowerAboveLimit), ["c"]);
    assert_eq!(of(FindingKind::PowerBelowIdle), ["d"]);
    assert_eq!(of(FindingKind::ShortWindow), ["e"]);
    assert_eq!(of(FindingKind::HalfRecorded), ["f"]);
    assert_eq!(of(FindingKind::MixedScopes), ["table"]);
}

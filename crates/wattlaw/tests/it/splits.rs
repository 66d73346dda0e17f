//! Splits against those of scikit-learn and NumPy, row by row (golden/splits.py makes
//! golden/splits.json).

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use serde_json::Value;
use wattlaw::stats::split::{
    GroupShuffleSplit, Groups, RedrawnGroupShuffleSplit, ScaleShift, ShuffleSplit, Split,
    group_k_fold, k_fold, leave_one_group_out, scale_shift, shuffled_k_fold, unseen_level,
};

fn golden() -> Value {
    serde_json::from_str(include_str!("../golden/splits.json")).unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn rows(value: &Value) -> Vec<usize> {
    list(value).iter().map(|v| v.as_u64().unwrap() as usize).collect()
}

fn tests(splits: &[Split]) -> Vec<Vec<usize>> {
    splits.iter().map(|s| s.test.clone()).collect()
}

fn lists(value: &Value) -> Vec<Vec<usize>> {
    list(value).iter().map(rows).collect()
}

fn number(value: &Value) -> usize {
    value.as_u64().unwrap() as usize
}

/// Labels of a case: written out, or by the same formula as in golden/splits.py.
fn labels(case: &Value) -> Vec<String> {
    match &case["labels"] {
        Value::Array(written) => written.iter().map(|l| l.as_str().unwrap().to_owned()).collect(),
        formula => {
            assert_eq!(formula["kind"], "key");
            let group = |row: usize| (row * row + 7 * row) / 3 % number(&formula["groups"]);
            let label = |g: usize| format!("gpu {}|L={g}|{}", g % 3, 32 * (g % 5));
            (0..number(&formula["n"])).map(|row| label(group(row))).collect()
        }
    }
}

#[test]
fn group_shuffle_equals_scikit_learn() {
    for case in list(&golden()["grouped"]) {
        let groups = Groups::from_labels(&labels(case));
        for expected in list(&case["shuffle"]) {
            let splitter = GroupShuffleSplit::new(
                number(&expected["n_splits"]),
                expected["test_size"].as_f64().unwrap(),
                number(&expected["seed"]) as u32,
            )
            .unwrap();
            let splits = splitter.split(&groups).unwrap();
            assert_eq!(tests(&splits), lists(&expected["test"]));
            for split in splits {
                let mut all = [split.train, split.test].concat();
                all.sort_unstable();
                assert!(all.into_iter().eq(0..groups.rows()));
            }
        }
    }
}

#[test]
fn group_folds_equal_scikit_learn() {
    for case in list(&golden()["grouped"]) {
        let groups = Groups::from_labels(&labels(case));
        for expected in list(&case["k_fold"]) {
            let folds = group_k_fold(groups.ids(), number(&expected["k"]));
            assert_eq!(folds, lists(&expected["test"]));
        }
        let splits = leave_one_group_out(&groups).unwrap();
        assert_eq!(splits.len(), number(&case["leave_one_out"]));
    }
}

#[test]
fn redrawn_splits_equal_the_recipe_on_numpy() {
    for case in list(&golden()["grouped"]) {
        let groups = Groups::from_labels(&labels(case));
        let level = |row: usize| if row % 17 == 3 { "rare" } else { "common" };
        let levels: Vec<&str> = (0..groups.rows()).map(level).collect();
        let expected = &case["redrawn"];
        let splitter = RedrawnGroupShuffleSplit::new(
            number(&expected["n_splits"]),
            expected["test_size"].as_f64().unwrap(),
            expected["seed"].as_u64().unwrap(),
        )
        .unwrap();
        let splits = splitter.split(&groups, |s| unseen_level(&levels, s).is_none()).unwrap();
        assert_eq!(splits.len(), list(&expected["splits"]).len());
        for (split, expected) in splits.iter().zip(list(&expected["splits"])) {
            assert_eq!(u64::from(split.seed), expected["seed"].as_u64().unwrap());
            assert_eq!(split.split.test, rows(&expected["test"]));
        }
    }
}

#[test]
fn the_first_seed_is_that_of_default_rng() {
    let groups = Groups::from_labels(&["a", "b", "c"]);
    for (seed, expected) in golden()["first_seed"].as_object().unwrap() {
        let splitter = RedrawnGroupShuffleSplit::new(1, 0.3, seed.parse().unwrap()).unwrap();
        let drawn = splitter.split(&groups, |_| true).unwrap();
        assert_eq!(drawn[0].seed as usize, rows(expected)[0]);
    }
}

#[test]
fn scale_shifts_equal_pandas() {
    for case in list(&golden()["grouped"]) {
        let groups = Groups::from_labels(&labels(case));
        let scale: Vec<f64> = (0..groups.rows()).map(|row| (row * 37 % 101) as f64).collect();
        for (direction, name) in [
            (ScaleShift::LargeToSmall, "large_to_small"),
            (ScaleShift::SmallToLarge, "small_to_large"),
        ] {
            let split = scale_shift(&groups, &scale, direction).unwrap();
            assert_eq!(split.test, rows(&case["scale_shift"][name]));
        }
    }
}

#[test]
fn row_wise_splits_equal_scikit_learn() {
    for case in list(&golden()["row_wise"]) {
        let (n, seed) = (number(&case["n"]), number(&case["seed"]) as u32);
        let test_size = case["test_size"].as_f64().unwrap();
        let splits = ShuffleSplit::new(3, test_size, seed).unwrap().split(n).unwrap();
        for (split, expected) in splits.iter().zip(list(&case["shuffle"])) {
            assert_eq!(split.train, rows(&expected["train"]));
            assert_eq!(split.test, rows(&expected["test"]));
        }
        assert_eq!(k_fold(n, 4).unwrap(), lists(&case["k_fold"]));
        assert_eq!(shuffled_k_fold(n, 4, seed).unwrap(), lists(&case["shuffled_k_fold"]));
    }
}

//! No file makes the reader panic: cut at any byte, with any byte changed, or of bytes at random.

use std::time::{Duration, Instant};

use wattlaw_table::Table;

use crate::goldens;

fn read(bytes: &[u8]) -> Result<String, String> {
    let table = Table::from_bytes(bytes.to_vec().into(), "t").map_err(|e| e.to_string())?;
    let done = table.csv().map_err(|e| e.to_string());
    if let Err(sentence) = &done {
        assert!(sentence.starts_with("t") && !sentence.contains('\n'), "{sentence}");
    }
    done
}

#[test]
fn a_file_that_is_cut_off_is_refused() {
    for (name, whole) in goldens("jobs") {
        let content = read(&whole).unwrap();
        for end in 8..whole.len() {
            match read(&whole[..end]) {
                // a stream may end after each of its messages
                Ok(text) => {
                    assert!(name.ends_with("arrows") && content.starts_with(&text), "{name} {end}");
                }
                Err(sentence) => assert!(sentence.starts_with("t: "), "{name} {end}: {sentence}"),
            }
        }
    }
}

#[test]
fn a_file_with_any_byte_changed_makes_no_panic() {
    let begin = Instant::now();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for (_, whole) in goldens("jobs").into_iter().chain(goldens("refused")) {
        for at in (4..whole.len()).step_by(5) {
            // xorshift64: <https://www.jstatsoft.org/article/view/v008i14>
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let mut changed = whole.clone();
            changed[at] = (state >> 32) as u8;
            let _ = read(&changed);
        }
    }
    assert!(begin.elapsed() < Duration::from_secs(300), "{:?}", begin.elapsed());
}

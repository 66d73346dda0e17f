//! Masks values that look like secrets in a command, since a record is made to be shared.

use std::sync::LazyLock;

use regex::{Captures, Regex};

/// What stands for a masked value.
const MASK: &str = "***";

/// Ends of the names of flags and variables whose values are secrets.
const NAME: &str = r"(?:token|secret|passw(?:or)?d|passphrase|api[_-]?key|access[_-]?key|private[_-]?key|secret[_-]?key|credentials?)";

/// What names and keys are made of. `\w` has the letters of all scripts, whose automata took longer than all else of a start.
const WORD: &str = "0-9A-Za-z_";

/// A quoted value, or one up to the next space.
const VALUE: &str = r#"(?<value>"[^"]*"|'[^']*'|[^\s"';&|]+)"#;

/// Tokens of a vocabulary, which are no secrets.
const VOCABULARY: [&str; 10] =
    ["pad", "eos", "bos", "unk", "mask", "sep", "cls", "image", "start", "end"];

/// Patterns with the groups `before`, `value` and, of some, `name`.
static PATTERNS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    let patterns = [
        format!(r"(?i)(?<before>(?<name>[{WORD}.-]*{NAME})\s*[=:]\s*){VALUE}"),
        format!(r"(?i)(?<before>(?<name>--[{WORD}.-]*{NAME})\s+){VALUE}"),
        // the password of an address
        r"(?<before>://[^/\s:@]*:)(?<value>[^@/\s]+)".to_owned() + "@",
        // forms of keys: Hugging Face, OpenAI and Anthropic, GitHub, GitLab, Slack, Amazon, JSON Web Tokens
        format!(
            r"(?<before>\b)(?<value>hf_[{WORD}]{{16,}}|sk-[{WORD}-]{{16,}}|gh[pousr]_[{WORD}]{{20,}}|github_pat_[{WORD}]{{20,}}|glpat-[{WORD}-]{{16,}}|xox[abprs]-[{WORD}-]{{10,}}|AKIA[0-9A-Z]{{16}}|eyJ[{WORD}-]{{10,}}\.[{WORD}-]{{10,}}\.[{WORD}-]*)"
        ),
    ];
    patterns.iter().filter_map(|pattern| Regex::new(pattern).ok()).collect()
});

/// The words of a command, with secrets masked.
pub(crate) fn masked(words: &[String]) -> Vec<String> {
    let mut out: Vec<String> = Vec::with_capacity(words.len());
    let mut flag_of_secret = false;
    for word in words {
        let is_value = flag_of_secret && !word.starts_with('-');
        flag_of_secret = word.starts_with("--") && names_secret(word);
        out.push(if is_value { MASK.to_owned() } else { masked_text(word) });
    }
    out
}

/// Whether a flag is the name of a secret: `--hub-token`.
fn names_secret(flag: &str) -> bool {
    static FLAG: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(&format!("(?i){NAME}$")).ok());
    FLAG.as_ref().is_some_and(|flags| flags.is_match(flag)) && !is_vocabulary(flag)
}

fn is_vocabulary(name: &str) -> bool {
    let name = name.to_lowercase();
    let mut words = name.rsplit(['-', '_', '.']);
    words.next() == Some("token") && words.next().is_some_and(|word| VOCABULARY.contains(&word))
}

fn masked_text(text: &str) -> String {
    PATTERNS.iter().fold(text.to_owned(), |text, pattern| {
        let replaced = |found: &Captures<'_>| {
            let group = |name: &str| found.name(name).map_or("", |group| group.as_str());
            let whole = found.get(0).map_or("", |group| group.as_str());
            if is_vocabulary(group("name")) {
                return whole.to_owned();
            }
            let after = whole.get(group("before").len() + group("value").len()..).unwrap_or("");
            format!("{}{MASK}{after}", group("before"))
        };
        pattern.replace_all(&text, replaced).into_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(words: &str) -> String {
        masked(&words.split(' ').map(str::to_owned).collect::<Vec<_>>()).join(" ")
    }

    #[test]
    fn every_pattern_is_valid() {
        assert_eq!(PATTERNS.len(), 4);
        assert!(names_secret("--hub-token"));
    }

    #[test]
    fn values_that_look_like_secrets_are_masked() {
        for (given, masked) in [
            ("python t.py --token=abc --steps 3", "python t.py --token=*** --steps 3"),
            ("python t.py --wandb-api-key abc", "python t.py --wandb-api-key ***"),
            (
                "env HF_TOKEN=abc AWS_SECRET_ACCESS_KEY=d python",
                "env HF_TOKEN=*** AWS_SECRET_ACCESS_KEY=*** python",
            ),
            ("python t.py wandb.api_key=abc", "python t.py wandb.api_key=***"),
            ("git clone https://me:abc@host/x", "git clone https://me:***@host/x"),
            ("run hf_abcdefghijklmnopqrst", "run ***"),
            ("run --key sk-abcdefghijklmnopqrst", "run --key ***"),
        ] {
            assert_eq!(line(given), masked);
        }
        let script =
            ["sh", "-c", "export HF_TOKEN='a b'; x --password abc; train"].map(str::to_owned);
        assert_eq!(masked(&script)[2], "export HF_TOKEN=***; x --password ***; train");
    }

    #[test]
    fn what_is_no_secret_stays() {
        for plain in [
            "python t.py --tokens 3 --num-tokens=4 --tokenizer=gpt2 --max-tokens 5",
            "python t.py --pad-token=<pad> --eos_token 2",
            "python t.py --url https://host:80/x --token --steps 3",
        ] {
            assert_eq!(line(plain), plain);
        }
    }
}

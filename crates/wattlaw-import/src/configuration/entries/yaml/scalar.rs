//! What a scalar of YAML means: nothing, a flag, a number or a text.

use granit_parser::Tag;

use super::super::Value;

/// The value of a scalar. One in quotes or in a block is a text, unless its tag says otherwise.
///
/// # Errors
/// A text that its tag does not take; a number that is not finite.
pub(super) fn value(text: &str, is_plain: bool, tag: Option<&Tag>) -> Result<Value, String> {
    let trimmed = text.trim_matches([' ', '\t', '\r', '\n']);
    let is_text = |tag: &Tag| tag.core_suffix() == Some("str") || tag.parts() == ("", "!");
    if tag.is_some_and(is_text) {
        return Ok(Value::Text(text.to_owned()));
    }
    let fits = |found: Option<Value>, what: &str| {
        found.ok_or_else(|| format!("`{trimmed}` is no {what}, which its tag says that it is"))
    };
    match tag.and_then(Tag::core_suffix) {
        Some("null") => return Ok(Value::Nothing),
        Some("bool") => return fits(flag(trimmed), "flag"),
        Some("int") => return fits(whole(trimmed).map(Value::Number), "whole number"),
        Some("float") => return fits(number(trimmed)?, "number"),
        _ if !is_plain => return Ok(Value::Text(text.to_owned())),
        _ => {}
    }
    if ["", "~", "null", "Null", "NULL"].contains(&text) {
        return Ok(Value::Nothing);
    }
    let found = flag(trimmed).or_else(|| whole(trimmed).map(Value::Number));
    match found {
        Some(found) => Ok(found),
        None => Ok(number(trimmed)?.unwrap_or_else(|| Value::Text(text.to_owned()))),
    }
}

/// A flag of YAML 1.1, in any case.
fn flag(text: &str) -> Option<Value> {
    let is_one_of = |words: [&str; 4]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if is_one_of(["true", "yes", "on", "y"]) {
        return Some(Value::Flag(true));
    }
    is_one_of(["false", "no", "off", "n"]).then_some(Value::Flag(false))
}

/// A whole number of 64 bits in decimal digits, with single underscores between them, or in hexadecimal, octal or binary ones.
fn whole(text: &str) -> Option<String> {
    let (is_negative, digits) = signed(text);
    let radixes = [("0x", 16), ("0o", 8), ("0b", 2)];
    let prefixed =
        radixes.iter().find_map(|(prefix, radix)| Some((digits.strip_prefix(prefix)?, *radix)));
    let (digits, radix) = prefixed.unwrap_or((digits, 10));
    let is_padded = radix == 10 && digits.starts_with('0') && digits != "0";
    if is_padded || digits.split('_').any(str::is_empty) {
        return None;
    }
    let digits = digits.replace('_', "");
    if !digits.bytes().all(|c| c.is_ascii_alphanumeric()) {
        return None;
    }
    let magnitude = u64::from_str_radix(&digits, radix).ok()?;
    if is_negative {
        return Some(i64::try_from(-i128::from(magnitude)).ok()?.to_string());
    }
    Some(magnitude.to_string())
}

/// A number with a point or an exponent, also one that is too large for a whole number.
fn number(text: &str) -> Result<Option<Value>, String> {
    let (_, unsigned) = signed(text);
    let refused = || Err(format!("`{text}` is not a finite number"));
    match unsigned {
        ".inf" | ".Inf" | ".INF" => return refused(),
        // with a sign it is a text
        ".nan" | ".NaN" | ".NAN" if unsigned.len() == text.len() => return refused(),
        _ => {}
    }
    let is_numeral = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    match text.parse::<f64>() {
        Ok(found) if is_numeral && found.is_finite() => Ok(Some(Value::Number(found.to_string()))),
        Ok(_) if is_numeral => refused(),
        _ => Ok(None),
    }
}

/// Whether a number is below zero, and the rest of its text.
fn signed(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_scalar_means_what_the_frameworks_take_it_for() {
        let of = |text: &str| value(text, true, None).unwrap();
        let number = |text: &str| Value::Number(text.to_owned());
        let text = |text: &str| Value::Text(text.to_owned());
        for nothing in ["", "~", "null", "Null", "NULL"] {
            assert_eq!(of(nothing), Value::Nothing, "{nothing}");
        }
        for (flag, is) in
            [("true", true), ("Yes", true), ("ON", true), ("n", false), ("off", false)]
        {
            assert_eq!(of(flag), Value::Flag(is), "{flag}");
        }
        for (written, is) in [
            ("0", "0"),
            ("-0", "0"),
            ("+7", "7"),
            ("1_000", "1000"),
            ("0x1f", "31"),
            ("-0b101", "-5"),
            ("0o17", "15"),
            ("18446744073709551615", "18446744073709551615"),
            ("18446744073709551616", "18446744073709552000"),
            ("-9223372036854775808", "-9223372036854775808"),
            ("010", "10"),
            ("2e-5", "0.00002"),
            (".5", "0.5"),
            ("1.", "1"),
            ("1E3", "1000"),
        ] {
            assert_eq!(of(written), number(is), "{written}");
        }
        for word in [
            "1__0",
            "_1",
            "1_",
            "0X1f",
            "-.nan",
            "+.NaN",
            "inf",
            "nan",
            "-infinity",
            "e5",
            "1.2.3",
            "0x",
            "-",
            "+",
            "1_0.5",
            "nulL",
            "--1",
            "0x-1",
            "12 GiB",
        ] {
            assert_eq!(of(word), text(word), "{word}");
        }
        for infinite in [".inf", "-.INF", "+.Inf", ".nan", "1e999"] {
            let refused = value(infinite, true, None).unwrap_err();
            assert_eq!(refused, format!("`{infinite}` is not a finite number"));
        }
        assert_eq!(value("true", false, None).unwrap(), text("true"));
    }

    #[test]
    fn a_tag_says_what_a_scalar_is() {
        let of = |text: &str, tag: &str, is_plain| {
            value(text, is_plain, Some(&Tag::new("tag:yaml.org,2002:", tag)))
        };
        assert_eq!(of("8", "str", true).unwrap(), Value::Text("8".to_owned()));
        assert_eq!(of("8", "int", false).unwrap(), Value::Number("8".to_owned()));
        assert_eq!(of("x", "null", true).unwrap(), Value::Nothing);
        assert_eq!(of("yes", "bool", false).unwrap(), Value::Flag(true));
        assert_eq!(of("1.5", "float", false).unwrap(), Value::Number("1.5".to_owned()));
        assert_eq!(
            of("x", "int", true).unwrap_err(),
            "`x` is no whole number, which its tag says that it is"
        );
        let local = value("12", true, Some(&Tag::new("!", "local"))).unwrap();
        assert_eq!(local, Value::Number("12".to_owned()));
    }
}

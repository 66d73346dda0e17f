//! Text of others on one line of a terminal: characters that control it are escaped.

use std::fmt;

/// Displays text on one line: line ends, other control characters and changes of direction are escaped.
///
/// ```
/// use wattlaw::base::one_line::OneLine;
///
/// assert_eq!(OneLine("a\n\u{1b}[31mb").to_string(), "a\\n\\u{1b}[31mb");
/// ```
#[derive(Debug, Clone, Copy)]
pub struct OneLine<'a>(pub &'a str);

/// Whether a character controls a terminal or the direction of text: those of C0 and C1, the separators of lines and
/// paragraphs, and the bidirectional controls of Unicode Standard Annex 9.
pub fn is_control(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in self.0.split_inclusive(is_control) {
            match part.char_indices().next_back() {
                Some((at, last)) if is_control(last) => {
                    write!(f, "{}{}", &part[..at], last.escape_default())?;
                }
                _ => f.write_str(part)?,
            }
        }
        Ok(())
    }
}

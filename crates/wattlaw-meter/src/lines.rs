//! Splits a byte stream into lines.

/// Maximum length of a line in bytes; the rest of a longer line is dropped, since it cannot be an event.
const MAX_LENGTH: usize = 1 << 16;

/// Splits bytes into lines; holds an incomplete last line.
#[derive(Debug, Default)]
pub struct Lines {
    begun: Vec<u8>,
}

impl Lines {
    /// Returns the lines completed by `bytes`, without line ends.
    pub fn split(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut whole = Vec::new();
        for part in bytes.split_inclusive(|b| *b == b'\n') {
            let ended = part.ends_with(b"\n");
            let text = part.strip_suffix(b"\n").unwrap_or(part);
            let room = MAX_LENGTH.saturating_sub(self.begun.len());
            self.begun.extend(text.iter().take(room));
            if ended {
                let mut line = std::mem::take(&mut self.begun);
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                whole.push(line);
            }
        }
        whole
    }

    /// The incomplete last line, if any.
    pub fn rest(&mut self) -> Option<Vec<u8>> {
        (!self.begun.is_empty()).then(|| std::mem::take(&mut self.begun))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_complete_for_any_blocks() {
        let mut lines = Lines::default();
        assert_eq!(lines.split(b"on"), Vec::<Vec<u8>>::new());
        assert_eq!(lines.split(b"e\r\ntwo\n\nthr"), [b"one".to_vec(), b"two".to_vec(), vec![]]);
        assert_eq!(lines.split(b"ee\n"), [b"three".to_vec()]);
        assert_eq!(lines.rest(), None);
    }

    #[test]
    fn a_line_without_end_is_bounded() {
        let mut lines = Lines::default();
        for _ in 0..100 {
            assert!(lines.split(&[b'x'; 10_000]).is_empty());
        }
        assert_eq!(lines.split(b"\n")[0].len(), MAX_LENGTH);
    }
}

//! Bytes as they come, cut into lines.

/// Longer lines are no events; what follows is left out.
const MAX_LENGTH: usize = 1 << 16;

/// The begin of a line that is not whole yet.
#[derive(Debug, Default)]
pub struct Lines {
    begun: Vec<u8>,
}

impl Lines {
    /// The lines that `bytes` make whole, without their ends.
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

    /// What is left of a line without an end.
    pub fn rest(&mut self) -> Option<Vec<u8>> {
        (!self.begun.is_empty()).then(|| std::mem::take(&mut self.begun))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_however_they_come() {
        let mut lines = Lines::default();
        assert_eq!(lines.split(b"on"), Vec::<Vec<u8>>::new());
        assert_eq!(lines.split(b"e\r\ntwo\n\nthr"), [b"one".to_vec(), b"two".to_vec(), vec![]]);
        assert_eq!(lines.split(b"ee\n"), [b"three".to_vec()]);
        assert_eq!(lines.rest(), None);
    }

    #[test]
    fn a_line_without_end_does_not_fill_the_memory() {
        let mut lines = Lines::default();
        for _ in 0..100 {
            assert!(lines.split(&[b'x'; 10_000]).is_empty());
        }
        assert_eq!(lines.split(b"\n")[0].len(), MAX_LENGTH);
    }
}

//! Named parts of a run, from the events that open and close them.

use crate::base::units::Seconds;
use crate::record::event::{Entry, Event};

/// Maximum number of kept windows; further ones are only counted.
const MAX_WINDOWS: usize = 10_000;

/// A named part of a run, before its energy is known.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Span {
    pub name: String,
    pub inside: Vec<String>,
    pub from: Seconds,
    /// `None` if its end was not reported; it then ends with the command.
    pub to: Option<Seconds>,
    pub steps: u64,
    pub tokens: f64,
}

/// The windows of a run, and its counts.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Spans {
    /// In the order of their begin.
    pub spans: Vec<Span>,
    /// Number of windows beyond the limits.
    pub left_out: u64,
    /// Number of window ends without an open window.
    pub stray_ends: u64,
    pub steps: Option<u64>,
    pub tokens: Option<f64>,
    /// Open spans, the outermost first; `None` for one beyond the limits.
    open: Vec<(String, Option<usize>)>,
}

impl Spans {
    /// The windows of `entries`, which are sorted by time; every `window_steps` steps form an additional window.
    pub(crate) fn from_entries(entries: &[Entry], window_steps: Option<u64>) -> Self {
        let mut spans = Self::default();
        let mut by_steps =
            window_steps.map(|every| StepWindow { every: every.max(1), begun: None });
        for entry in entries {
            match &entry.event {
                Event::CommandBegin => {
                    if let Some(window) = &mut by_steps {
                        window.begun = Some((entry.at, 0, 0.0));
                    }
                }
                Event::WindowBegin { name } => spans.begin(name, entry.at),
                Event::WindowEnd { name } => spans.end(name.as_deref(), entry.at),
                Event::Step { tokens } => {
                    let done = spans.steps.unwrap_or(0) + 1;
                    spans.steps = Some(done);
                    spans.count(1, *tokens);
                    if let Some(span) =
                        by_steps.as_mut().and_then(|w| w.step(entry.at, done, *tokens))
                    {
                        spans.keep(span);
                    }
                }
                Event::Tokens { tokens } => spans.count(0, *tokens),
                _ => {}
            }
        }
        spans.spans.sort_by(|a, b| a.from.value().total_cmp(&b.from.value()));
        spans
    }

    fn begin(&mut self, name: &str, at: Seconds) {
        let inside = self.open.iter().map(|(name, _)| name.clone()).collect();
        let span =
            Span { name: name.to_owned(), inside, from: at, to: None, steps: 0, tokens: 0.0 };
        // each window lists the windows around it, so unclosed windows would make every later one longer
        if self.open.len() >= MAX_DEPTH {
            self.left_out += 1;
            return;
        }
        let index = self.keep(span);
        self.open.push((name.to_owned(), index));
    }

    fn end(&mut self, name: Option<&str>, at: Seconds) {
        let found = match name {
            None => self.open.len().checked_sub(1),
            Some(name) => self.open.iter().rposition(|(open, _)| open == name),
        };
        match found.map(|at| self.open.remove(at)) {
            Some((_, index)) => {
                if let Some(span) = index.and_then(|i| self.spans.get_mut(i)) {
                    span.to = Some(at);
                }
            }
            None => self.stray_ends += 1,
        }
    }

    fn keep(&mut self, span: Span) -> Option<usize> {
        if self.spans.len() >= MAX_WINDOWS {
            self.left_out += 1;
            return None;
        }
        self.spans.push(span);
        Some(self.spans.len() - 1)
    }

    fn count(&mut self, steps: u64, tokens: f64) {
        if tokens > 0.0 {
            *self.tokens.get_or_insert(0.0) += tokens;
        }
        for index in self.open.iter().filter_map(|(_, index)| *index) {
            if let Some(span) = self.spans.get_mut(index) {
                span.steps += steps;
                span.tokens += tokens;
            }
        }
    }
}

/// Maximum nesting depth.
const MAX_DEPTH: usize = 64;

/// A window of a number of steps.
struct StepWindow {
    every: u64,
    /// Its begin, the steps before it, and its tokens so far.
    begun: Option<(Seconds, u64, f64)>,
}

impl StepWindow {
    /// Adds the `done`-th step, which ended `at`; returns the window that ends with it.
    fn step(&mut self, at: Seconds, done: u64, tokens: f64) -> Option<Span> {
        let (from, before, so_far) = self.begun?;
        let tokens = so_far + tokens;
        if done - before < self.every {
            self.begun = Some((from, before, tokens));
            return None;
        }
        self.begun = Some((at, done, 0.0));
        Some(Span {
            name: format!("steps {}-{done}", before + 1),
            inside: Vec::new(),
            from,
            to: Some(at),
            steps: done - before,
            tokens,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(events: &[(f64, Event)]) -> Vec<Entry> {
        events
            .iter()
            .map(|(at, event)| Entry { at: Seconds::new(*at), event: event.clone() })
            .collect()
    }

    fn begin(name: &str) -> Event {
        Event::WindowBegin { name: name.into() }
    }

    fn end(name: &str) -> Event {
        Event::WindowEnd { name: (!name.is_empty()).then(|| name.into()) }
    }

    fn summaries(spans: &Spans) -> Vec<(String, String, f64, Option<f64>, u64)> {
        let plain = |s: &Span| {
            let to = s.to.map(Seconds::value);
            (s.name.clone(), s.inside.join("/"), s.from.value(), to, s.steps)
        };
        spans.spans.iter().map(plain).collect()
    }

    #[test]
    fn windows_nest_and_count_what_is_done_in_them() {
        let spans = Spans::from_entries(
            &entries(&[
                (1.0, begin("epoch")),
                (2.0, begin("train")),
                (3.0, Event::Step { tokens: 10.0 }),
                (4.0, end("")),
                (5.0, begin("train")),
                (6.0, Event::Step { tokens: 10.0 }),
                (7.0, end("epoch")),
                (8.0, end("never begun")),
            ]),
            None,
        );
        assert_eq!(
            summaries(&spans),
            [
                ("epoch".into(), String::new(), 1.0, Some(7.0), 2),
                ("train".into(), "epoch".into(), 2.0, Some(4.0), 1),
                ("train".into(), "epoch".into(), 5.0, None, 1),
            ]
        );
        assert_eq!((spans.stray_ends, spans.steps, spans.tokens), (1, Some(2), Some(20.0)));
    }

    #[test]
    fn steps_make_windows_from_the_begin_of_the_command() {
        let mut events = vec![(1.0, Event::CommandBegin)];
        events.extend((1..=5).map(|i| (1.0 + f64::from(i), Event::Step { tokens: 8.0 })));
        let spans = Spans::from_entries(&entries(&events), Some(2));
        assert_eq!(
            summaries(&spans),
            [
                ("steps 1-2".into(), String::new(), 1.0, Some(3.0), 2),
                ("steps 3-4".into(), String::new(), 3.0, Some(5.0), 2),
            ]
        );
        assert_eq!((spans.spans[0].tokens, spans.tokens), (16.0, Some(40.0)));
    }

    #[test]
    fn unclosed_windows_are_bounded() {
        let many: Vec<_> = (0..20_000).map(|i| (f64::from(i), begin("w"))).collect();
        let spans = Spans::from_entries(&entries(&many), None);
        assert_eq!((spans.spans.len(), spans.left_out), (MAX_DEPTH, 20_000 - MAX_DEPTH as u64));
        let pairs: Vec<_> = (0..30_000)
            .map(|i| (f64::from(i), if i % 2 == 0 { begin("w") } else { end("w") }))
            .collect();
        let spans = Spans::from_entries(&entries(&pairs), None);
        assert_eq!((spans.spans.len(), spans.left_out, spans.stray_ends), (MAX_WINDOWS, 5_000, 0));
    }
}

//! Windows opened and closed by lines of a program's standard output.

use std::str::FromStr;

use regex::Regex;
use wattlaw::record::event::Event;

/// A regular expression for lines that begin a window.
///
/// A matching line ends the pattern's previous window and begins a new one. The name of the window is the match of the group `name`,
/// else of the first group, else the whole match. If a group `end` matches, the line only ends the window.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let regex = Regex::new(text).map_err(|e| {
            let message = e.to_string();
            let last = message.lines().last().unwrap_or_default().trim_start_matches("error: ");
            format!("`{text}` is not a valid regular expression: {last}")
        })?;
        Ok(Self(regex))
    }
}

/// Maximum length of a window's name in characters.
const MAX_LENGTH: usize = 200;

impl Pattern {
    /// The events of a line; `open` is the pattern's open window.
    pub fn events(&self, line: &str, open: &mut Option<String>) -> Vec<Event> {
        let Some(found) = self.0.captures(line) else { return Vec::new() };
        let ended = open.take().map(|name| Event::WindowEnd { name: Some(name) });
        let name = ["name", "end"].map(|group| found.name(group));
        let begun = match name {
            [_, Some(_)] => None,
            [Some(name), None] => Some(name),
            [None, None] => found.get(1).or_else(|| found.get(0)),
        };
        let begun =
            begun.map(|name| name.as_str().trim().chars().take(MAX_LENGTH).collect::<String>());
        let begun = begun.filter(|name| !name.is_empty());
        open.clone_from(&begun);
        ended.into_iter().chain(begun.map(|name| Event::WindowBegin { name })).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(pattern: &str, lines: &[&str]) -> Vec<String> {
        let pattern: Pattern = pattern.parse().unwrap();
        let mut open = None;
        let events = lines.iter().flat_map(|line| pattern.events(line, &mut open));
        events
            .map(|event| match event {
                Event::WindowBegin { name } => format!("+{name}"),
                Event::WindowEnd { name } => format!("-{}", name.unwrap()),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn a_matching_line_begins_the_next_window() {
        let lines = ["start", "epoch 1 begins", "loss 3", "epoch 2 begins", "done"];
        assert_eq!(events(r"epoch \d+", &lines), ["+epoch 1", "-epoch 1", "+epoch 2"]);
        assert_eq!(
            events(r"(?<name>epoch \d+) begins|(?<end>done)", &lines),
            ["+epoch 1", "-epoch 1", "+epoch 2", "-epoch 2"]
        );
        assert_eq!(events(r"^epoch (\d+)", &lines), ["+1", "-1", "+2"]);
    }

    #[test]
    fn an_invalid_pattern_is_reported_in_one_line() {
        let error = "epoch (".parse::<Pattern>().unwrap_err();
        assert_eq!(error, "`epoch (` is not a valid regular expression: unclosed group");
    }
}

//! Windows that lines of a program's standard output open and close.

use std::str::FromStr;

use regex::Regex;
use wattlaw::record::event::Event;

/// A pattern of lines that begin a window.
///
/// A line that matches begins a window, and ends the one that the pattern began before. The window's name is what the group
/// `name` matched, else the first group, else the whole match. A line in whose match a group `end` takes part ends the window
/// and begins none.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let regex = Regex::new(text).map_err(|e| {
            let said = e.to_string();
            let last = said.lines().last().unwrap_or_default().trim_start_matches("error: ");
            format!("`{text}` is no regular expression: {last}")
        })?;
        Ok(Self(regex))
    }
}

/// A window's longest name in characters.
const MAX_LENGTH: usize = 200;

impl Pattern {
    /// What a line opens and closes; `open` is the window that the pattern began last.
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

    fn told(pattern: &str, lines: &[&str]) -> Vec<String> {
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
    fn a_line_that_matches_begins_the_next_window() {
        let lines = ["start", "epoch 1 begins", "loss 3", "epoch 2 begins", "done"];
        assert_eq!(told(r"epoch \d+", &lines), ["+epoch 1", "-epoch 1", "+epoch 2"]);
        assert_eq!(
            told(r"(?<name>epoch \d+) begins|(?<end>done)", &lines),
            ["+epoch 1", "-epoch 1", "+epoch 2", "-epoch 2"]
        );
        assert_eq!(told(r"^epoch (\d+)", &lines), ["+1", "-1", "+2"]);
    }

    #[test]
    fn a_pattern_that_is_none_is_said_in_one_line() {
        let said = "epoch (".parse::<Pattern>().unwrap_err();
        assert_eq!(said, "`epoch (` is no regular expression: unclosed group");
    }
}

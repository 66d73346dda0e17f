//! Rows of a catalogue by name. Built-in rows are found by their names in the file's text, and only the rows that are asked for
//! are parsed.

use std::sync::OnceLock;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::base::error::{Error, Result};
use crate::base::toml_text;

/// A row that can be looked up: its name and other names.
pub trait Named {
    /// The name, then the aliases.
    fn names(&self) -> Vec<String>;
}

/// Rows in the order in which they are looked up: the first with a name wins.
#[derive(Debug, Clone)]
pub struct Rows<T>(Vec<Row<T>>);

#[derive(Debug, Clone)]
struct Row<T> {
    /// The name, then the aliases; never empty.
    names: Vec<String>,
    /// The row's table, of a built-in row.
    text: &'static str,
    parsed: OnceLock<T>,
}

impl<T> Default for Rows<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Named + DeserializeOwned> Row<T> {
    fn get(&self) -> Result<&T> {
        if let Some(row) = self.parsed.get() {
            return Ok(row);
        }
        let row = toml_text::parse(self.text)?;
        Ok(self.parsed.get_or_init(|| row))
    }
}

impl<T> Rows<T> {
    /// The tables of a built-in file under `[[header]]`, not yet parsed.
    pub(super) fn indexed(text: &'static str, header: &str) -> Self {
        let header = format!("\n[[{header}]]\n");
        // what stands before the first header is the file's comment
        let tables = text.split(header.as_str()).skip(1);
        Self(
            tables
                .map(|text| Row { names: names_in(text), text, parsed: OnceLock::new() })
                .collect(),
        )
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The name of each row, without aliases.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|row| row.names.first().map(String::as_str))
    }

    /// Leaves the rows of which `keep` holds, given the name and the aliases.
    pub fn retain(&mut self, mut keep: impl FnMut(&[String]) -> bool) {
        self.0.retain(|row| keep(&row.names));
    }

    /// Adds rows that are looked up after these.
    pub(super) fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }
}

impl<T: Named + DeserializeOwned> Rows<T> {
    /// Every row, parsed.
    ///
    /// # Errors
    /// None in a released build; those of a damaged built-in row.
    pub fn all(&self) -> Result<Vec<&T>> {
        self.0.iter().map(Row::get).collect()
    }

    /// The row with a name or alias; case, spaces and dashes do not matter.
    ///
    /// # Errors
    /// [`Error::Unknown`], with the nearest name.
    pub(super) fn find(&self, what: &'static str, name: &str) -> Result<&T> {
        let wanted = plain(name);
        let row = self.0.iter().find(|row| row.names.iter().any(|name| plain(name) == wanted));
        row.ok_or_else(|| Error::unknown(what, name, self.names()))?.get()
    }
}

impl<T: Named> From<Vec<T>> for Rows<T> {
    fn from(rows: Vec<T>) -> Self {
        Self(
            rows.into_iter()
                .map(|row| Row { names: row.names(), text: "", parsed: OnceLock::from(row) })
                .collect(),
        )
    }
}

impl<'de, T: Named + Deserialize<'de>> Deserialize<'de> for Rows<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        Vec::<T>::deserialize(deserializer).map(Self::from)
    }
}

impl<T: Named + DeserializeOwned + Serialize> Serialize for Rows<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        self.all().map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

/// The values of `name` and `aliases` in a table's text. `name` is its first key and no name has escapes, which a test checks.
fn names_in(table: &str) -> Vec<String> {
    let quoted = |text: &str| text.split('"').skip(1).step_by(2).map(str::to_owned).collect();
    let mut names: Vec<String> = table.lines().next().map(quoted).unwrap_or_default();
    let aliases = table.split_once("\naliases = [").and_then(|(_, rest)| rest.split_once(']'));
    names.extend(aliases.map(|(aliases, _)| quoted(aliases)).unwrap_or_default());
    names
}

/// A name in lower case, with dashes in place of spaces and underscores.
pub(super) fn plain(name: &str) -> String {
    name.trim()
        .chars()
        .map(|c| if c == ' ' || c == '_' { '-' } else { c.to_ascii_lowercase() })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::Catalog;
    use super::*;

    fn check<T: Named + DeserializeOwned>(rows: &Rows<T>) {
        for (row, parsed) in rows.0.iter().zip(rows.all().unwrap()) {
            assert_eq!(row.names, parsed.names());
        }
    }

    #[test]
    fn a_built_in_row_is_known_by_the_names_that_it_states() {
        let catalog = Catalog::built_in().unwrap();
        check(&catalog.accelerators);
        check(&catalog.models);
        check(&catalog.systems);
        check(&catalog.regions);
    }

    #[test]
    fn only_the_row_that_is_asked_for_is_parsed() {
        let catalog = Catalog::built_in().unwrap();
        catalog.model("gpt2").unwrap();
        let parsed = catalog.models.0.iter().filter(|row| row.parsed.get().is_some());
        assert_eq!(parsed.count(), 1);
        let error = catalog.model("gpt3").unwrap_err().to_string();
        assert!(error.starts_with("unknown model `gpt3`; did you mean `gpt2`?"), "{error}");
    }
}

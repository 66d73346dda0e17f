//! A column map: the meaning of another tool's columns, and values that are constant in all or some of its rows.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::names::names;
use crate::base::error::{Error, Result};
use crate::base::toml_text;

/// Maps the columns of another tool's table to those of run tables, with constants for all rows or for rows with a
/// value.
///
/// ```toml
/// [columns]            # ours = "theirs", or a product or quotient of theirs
/// duration_s = "elapsed (s)"
/// micro_batch = "batch_size / number_gpus"
/// [constants]          # the same in every row
/// gpu = "a100-sxm4-40gb"
/// [where.method.lora]  # in rows whose column `method` is `lora`
/// lora_rank = 4
/// [where.notes."*VP=12*"] # `*` stands for any text, also for none
/// virtual_stages = 12
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnMap {
    /// A column of run tables to the table's, or to several joined by ` * ` and ` / `, numbers among them.
    #[serde(default)]
    pub columns: BTreeMap<String, String>,
    /// A column of run tables to a constant for every row, which replaces a column of that name in the table; an empty
    /// text drops that column.
    #[serde(default)]
    pub constants: BTreeMap<String, toml::Value>,
    /// The table's column, a pattern of its values, and for rows with such a value: columns of run tables to a constant or
    /// an expression as in `columns`. Of several patterns that fit a row, the last in alphabetical order counts: a plain value
    /// before one with `*`.
    #[serde(default, rename = "where")]
    pub cases: BTreeMap<String, BTreeMap<Pattern, BTreeMap<String, toml::Value>>>,
}

impl ColumnMap {
    /// Reads a map.
    ///
    /// # Errors
    /// [`Error::Syntax`] with line and column; [`Error::Unknown`] for a name that is not a column of run tables.
    pub fn from_toml(text: &str) -> Result<Self> {
        let map: Self = toml_text::parse(text)?;
        let of_cases = map.cases.values().flat_map(BTreeMap::values).flat_map(BTreeMap::keys);
        for name in map.columns.keys().chain(map.constants.keys()).chain(of_cases) {
            if !names().any(|own| own == name) {
                return Err(Error::unknown("column", name, names()));
            }
        }
        Ok(map)
    }

    /// The rules for rows with a value in a column.
    pub(super) fn cases(
        &self,
        headers: &csv::StringRecord,
        names: &[&'static str],
    ) -> Result<Vec<Case>> {
        let mut cases = Vec::new();
        for (column, values) in &self.cases {
            let at = headers
                .iter()
                .position(|header| header == column)
                .ok_or_else(|| Error::unknown("column", column, headers.iter()))?;
            for (value, own) in values {
                let rules = names
                    .iter()
                    .filter_map(|name| Some((*name, own.get(*name)?)))
                    .map(|(name, rule)| (name, Rule::from_value(rule, headers)))
                    .collect();
                cases.push((at, value.clone(), rules));
            }
        }
        Ok(cases)
    }
}

/// Rules for rows with a value in a column: the column, the values, and the rules by column of run tables.
pub(super) type Case = (usize, Pattern, BTreeMap<&'static str, Rule>);

/// A text that a cell must have; each `*` stands for any text, also for none.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pattern(String);

impl Pattern {
    /// Whether a cell has this text.
    pub fn matches(&self, cell: &str) -> bool {
        let mut parts = self.0.split('*');
        let first = parts.next().unwrap_or_default();
        let Some(last) = parts.next_back() else { return cell == first };
        let inner = cell.strip_prefix(first).and_then(|rest| rest.strip_suffix(last));
        // each part is taken where it first occurs, which leaves the most text to the parts after it
        let rest = inner.and_then(|inner| {
            parts.try_fold(inner, |rest, part| rest.find(part).map(|at| &rest[at + part.len()..]))
        });
        rest.is_some()
    }
}

/// A rule that computes a cell of a run table from a row of another table.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Rule {
    /// The cell of a column.
    Column(usize),
    /// The same text in every row.
    Constant(String),
    /// A product of columns and numbers, each to the power 1 or −1.
    Product(Vec<(Operand, bool)>),
}

/// An operand of a product.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Operand {
    /// The cell of a column.
    Column(usize),
    /// A number.
    Number(f64),
}

impl Rule {
    /// The same value in every row.
    pub fn constant(value: &toml::Value) -> Self {
        Self::Constant(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    }

    /// A column of the table by its name, or a product of several.
    ///
    /// # Errors
    /// [`Error::Unknown`] for a column that the table lacks.
    pub(crate) fn from_column(text: &str, headers: &csv::StringRecord) -> Result<Self> {
        if let Some(at) = headers.iter().position(|header| header == text) {
            return Ok(Self::Column(at));
        }
        Self::product(text, headers).ok_or_else(|| Error::unknown("column", text, headers.iter()))
    }

    fn from_value(value: &toml::Value, headers: &csv::StringRecord) -> Self {
        let product = value.as_str().and_then(|text| Self::product(text, headers));
        product.unwrap_or_else(|| Self::constant(value))
    }

    /// A product of two or more operands; `None` if the text is not one.
    fn product(text: &str, headers: &csv::StringRecord) -> Option<Self> {
        let operand = |name: &str| {
            let column = headers.iter().position(|header| header == name).map(Operand::Column);
            column.or_else(|| name.parse().ok().map(Operand::Number))
        };
        let mut factors = Vec::new();
        for part in text.split(" * ") {
            for (j, name) in part.split(" / ").enumerate() {
                factors.push((operand(name.trim())?, j == 0));
            }
        }
        (factors.len() > 1).then_some(Self::Product(factors))
    }

    /// The columns of the table in this rule.
    pub fn columns(&self) -> Vec<usize> {
        match self {
            Self::Column(at) => vec![*at],
            Self::Constant(_) => Vec::new(),
            Self::Product(factors) => factors
                .iter()
                .filter_map(|(operand, _)| match operand {
                    Operand::Column(at) => Some(*at),
                    Operand::Number(_) => None,
                })
                .collect(),
        }
    }

    /// The cell's text in a row; `None` if it is empty, or if a factor of a product is not a number.
    pub fn text(&self, record: &csv::StringRecord) -> Option<String> {
        let cell = |at: usize| {
            let text = record.get(at)?;
            (!text.is_empty() && !ABSENT.contains(&text)).then_some(text)
        };
        match self {
            Self::Column(at) => cell(*at).map(str::to_owned),
            Self::Constant(text) => (!text.is_empty()).then(|| text.clone()),
            Self::Product(factors) => {
                let mut product = 1.0;
                for (operand, multiplies) in factors {
                    let value = match operand {
                        Operand::Column(at) => cell(*at)?.parse::<f64>().ok()?,
                        Operand::Number(number) => *number,
                    };
                    product = if *multiplies { product * value } else { product / value };
                }
                Some(product.to_string())
            }
        }
    }
}

/// Texts for an empty cell.
pub(super) const ABSENT: [&str; 4] = ["NA", "N/A", "null", "None"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_evaluated_from_the_left() {
        let headers = csv::StringRecord::from(vec!["a", "b c", "d"]);
        let row = csv::StringRecord::from(vec!["6", "4", ""]);
        let text = |rule: &str| Rule::from_column(rule, &headers).unwrap().text(&row);
        assert_eq!(text("a / b c * 2").as_deref(), Some("3"));
        assert_eq!(text("a * b c / 3").as_deref(), Some("8"));
        assert_eq!(text("3600 * a").as_deref(), Some("21600"));
        assert_eq!(text("a * d"), None);
        let error = Rule::from_column("a / x", &headers).unwrap_err().to_string();
        assert!(error.starts_with("unknown column `a / x`"), "{error}");
    }

    #[test]
    fn a_star_stands_for_any_text() {
        let matches = |pattern: &str, cell: &str| Pattern(pattern.to_owned()).matches(cell);
        for (pattern, cell) in [
            ("lora", "lora"),
            ("", ""),
            ("*", ""),
            ("*", "x"),
            ("Maxtext*", "Maxtext"),
            ("*VP=12*", "release 25.02; VP=12; tflops"),
            ("*a*a*", "aa"),
            ("a*b*c", "axbxbxc"),
        ] {
            assert!(matches(pattern, cell), "{pattern} {cell}");
        }
        for (pattern, cell) in [
            ("lora", "qlora"),
            ("", "x"),
            ("a*", "ba"),
            ("ab*bc", "abc"),
            ("*a*a*", "a"),
            ("a*b", "abc"),
        ] {
            assert!(!matches(pattern, cell), "{pattern} {cell}");
        }
    }

    #[test]
    fn a_map_of_an_unknown_column_is_refused() {
        let fails = |text: &str| ColumnMap::from_toml(text).unwrap_err().to_string();
        assert!(fails("[columns]\nspeed = 'x'\n").contains("`speed`"));
        assert!(fails("[where.method.lora]\nranks = 4\n").contains("`ranks`"));
    }
}

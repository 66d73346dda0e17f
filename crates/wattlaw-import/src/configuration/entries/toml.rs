//! TOML.

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use wattlaw::base::error::{Error, Result};

use super::{MAX_DEPTH, Tree, Value, line_at};

/// Reads a document.
pub(super) fn read(text: &str) -> Result<Tree> {
    let parsed = DeTable::parse(text).map_err(|e| Error::Syntax {
        format: "TOML",
        message: e.message().lines().collect::<Vec<_>>().join("; "),
    })?;
    Ok(table(parsed.get_ref(), text, 0))
}

fn table(of: &DeTable<'_>, text: &str, depth: usize) -> Tree {
    let field = |(key, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
        let name: &std::borrow::Cow<'_, str> = key.get_ref();
        (name.to_string(), line_at(text, key.span().start), tree(value.get_ref(), text, depth + 1))
    };
    // in the order of the file
    let mut fields: Vec<(String, u64, Tree)> = of.iter().map(field).collect();
    fields.sort_by_key(|(_, line, _)| *line);
    Tree::Table(fields)
}

fn tree(value: &DeValue<'_>, text: &str, depth: usize) -> Tree {
    match value {
        DeValue::String(of) => Tree::Value(Value::Text(of.to_string())),
        DeValue::Integer(of) => Tree::Value(Value::Number(of.as_str().to_owned())),
        DeValue::Float(of) => Tree::Value(Value::Number(of.as_str().to_owned())),
        DeValue::Boolean(of) => Tree::Value(Value::Flag(*of)),
        DeValue::Datetime(of) => Tree::Value(Value::Text(of.to_string())),
        DeValue::Array(_) | DeValue::Table(_) if depth >= MAX_DEPTH => Tree::Value(Value::Nested),
        DeValue::Array(items) => {
            Tree::List(items.iter().map(|item| tree(item.get_ref(), text, depth + 1)).collect())
        }
        DeValue::Table(of) => table(of, text, depth),
    }
}

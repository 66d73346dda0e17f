//! YAML, with limits on nesting, aliases and size.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Options, Spanned};
use wattlaw::base::error::{Error, Result};

use super::{MAX_DEPTH, Tree, Value};

/// Most values of a file, those that aliases repeat among them.
const MAX_NODES: usize = 20_000;

/// Reads a document whose top is a mapping.
pub(super) fn read(text: &str) -> Result<Tree> {
    let syntax = |message: String| Error::Syntax { format: "YAML", message };
    let tree: Tree = serde_saphyr::from_str_with_options(text, options()).map_err(|e| {
        let message = e.without_snippet().to_string().lines().collect::<Vec<_>>().join("; ");
        syntax(message)
    })?;
    match tree {
        Tree::Table(_) => Ok(tree),
        Tree::Value(_) | Tree::List(_) => Err(syntax("its top is not a mapping".to_owned())),
    }
}

fn options() -> Options {
    let mut options = Options::default();
    if let Some(budget) = &mut options.budget {
        budget.max_depth = MAX_DEPTH;
        budget.max_nodes = MAX_NODES;
        budget.max_events = 4 * MAX_NODES;
    }
    options.alias_limits.max_total_replayed_events = 4 * MAX_NODES;
    // the frameworks read `1_000` as a thousand, and `010` by their own rules
    options.legacy_octal_numbers = false;
    options
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> std::result::Result<Tree, E> {
        Ok(Tree::Value(Value::Nothing))
    }

    fn visit_none<E>(self) -> std::result::Result<Tree, E> {
        Ok(Tree::Value(Value::Nothing))
    }

    fn visit_bool<E>(self, flag: bool) -> std::result::Result<Tree, E> {
        Ok(Tree::Value(Value::Flag(flag)))
    }

    fn visit_u64<E>(self, number: u64) -> std::result::Result<Tree, E> {
        Ok(Tree::Value(Value::Number(number.to_string())))
    }

    fn visit_i64<E>(self, number: i64) -> std::result::Result<Tree, E> {
        Ok(Tree::Value(Value::Number(number.to_string())))
    }

    fn visit_u128<E>(self, number: u128) -> std::result::Result<Tree, E> {
        Ok(Tree::Value(Value::Number(number.to_string())))
    }

    fn visit_i128<E>(self, number: i128) -> std::result::Result<Tree, E> {
        Ok(Tree::Value(Value::Number(number.to_string())))
    }

    fn visit_f64<E>(self, number: f64) -> std::result::Result<Tree, E> {
        Ok(Tree::Value(Value::Number(number.to_string())))
    }

    fn visit_str<E>(self, text: &str) -> std::result::Result<Tree, E> {
        Ok(Tree::Value(Value::Text(text.to_owned())))
    }

    fn visit_string<E>(self, text: String) -> std::result::Result<Tree, E> {
        Ok(Tree::Value(Value::Text(text)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> std::result::Result<Tree, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Tree::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Tree, A::Error> {
        let mut fields = Vec::new();
        while let Some(key) = map.next_key::<Spanned<Tree>>()? {
            let line = key.referenced.line();
            let name = match key.value {
                Tree::Value(Value::Text(text) | Value::Number(text)) => text,
                Tree::Value(Value::Flag(flag)) => flag.to_string(),
                Tree::Value(_) | Tree::List(_) | Tree::Table(_) => {
                    return Err(A::Error::custom("a key is not a text"));
                }
            };
            fields.push((name, line, map.next_value()?));
        }
        Ok(Tree::Table(fields))
    }
}

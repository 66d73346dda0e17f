//! YAML, with limits on nesting, aliases and size: a tree from the events of a parser.

mod scalar;

use std::collections::{BTreeMap, BTreeSet};

use granit_parser::{Event, Parser, ScalarStyle, Span, StrInput};
use wattlaw::base::error::{Error, Result};

use super::{MAX_DEPTH, Tree, Value};

/// Most values of a file, those that aliases repeat among them.
const MAX_VALUES: usize = 20_000;

/// Bytes of a text that count as a value more.
const BYTES_OF_VALUE: usize = 1024;

/// Why a document is not read.
type Why = String;

/// Reads a document whose top is a mapping.
pub(super) fn read(text: &str) -> Result<Tree> {
    let mut reader =
        Reader { events: Parser::new_from_str(text), anchors: BTreeMap::new(), values: 0 };
    let tree = match reader.document() {
        Ok(Tree::Value(_) | Tree::List(_)) => Err("its top is not a mapping".to_owned()),
        other => other,
    };
    tree.map_err(|message| Error::Syntax { format: "YAML", message })
}

struct Reader<'a> {
    events: Parser<'a, StrInput<'a>>,
    /// What aliases repeat, by the parser's number of the anchor.
    anchors: BTreeMap<usize, Tree>,
    /// Values so far, as [`values_in`] counts them.
    values: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> std::result::Result<(Event<'a>, Span), Why> {
        match self.events.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => {
                let at = error.marker();
                Err(format!("{} at line {}, column {}", error.info(), at.line(), at.col() + 1))
            }
            None => Err("it ends too early".to_owned()),
        }
    }

    /// The only document.
    fn document(&mut self) -> std::result::Result<Tree, Why> {
        let mut found = None;
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => return Ok(found.unwrap_or(Tree::Value(Value::Nothing))),
                (Event::DocumentStart(..), span) if found.is_some() => {
                    return Err(placed(
                        "a second document begins; give it a file of its own",
                        &span,
                    ));
                }
                (Event::DocumentStart(..), _) => {
                    let event = self.next()?;
                    found = Some(self.tree(event, 0)?);
                }
                _ => {}
            }
        }
    }

    /// The tree that an event begins.
    fn tree(
        &mut self,
        (event, span): (Event<'a>, Span),
        depth: usize,
    ) -> std::result::Result<Tree, Why> {
        let too_deep = || Err(placed(&format!("it is nested deeper than {MAX_DEPTH}"), &span));
        let is_nested = matches!(event, Event::SequenceStart(..) | Event::MappingStart(..));
        if is_nested && depth >= MAX_DEPTH {
            return too_deep();
        }
        let (tree, anchor, values) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_plain = style == ScalarStyle::Plain;
                let value = scalar::value(&text, is_plain, tag.as_deref());
                let tree = Tree::Value(value.map_err(|why| placed(&why, &span))?);
                let values = values_in(&tree);
                (tree, anchor, values)
            }
            Event::SequenceStart(_, anchor, _) => (self.list(depth)?, anchor, 1),
            Event::MappingStart(_, anchor, _) => (self.table(depth)?, anchor, 1),
            Event::Alias(anchor) => {
                // within its own anchor there is nothing to repeat yet
                let repeated = self.anchors.get(&anchor);
                let part = || placed("an alias repeats what it is a part of", &span);
                let tree = repeated.ok_or_else(part)?.clone();
                if depth + depth_of(&tree) > MAX_DEPTH {
                    return too_deep();
                }
                let values = values_in(&tree);
                (tree, 0, values)
            }
            _ => return Err(placed("a value is missing", &span)),
        };
        self.values += values;
        if self.values > MAX_VALUES {
            return Err(placed(&format!("it has more than {MAX_VALUES} values"), &span));
        }
        if anchor > 0 {
            self.anchors.insert(anchor, tree.clone());
        }
        Ok(tree)
    }

    /// The items up to the end of a list.
    fn list(&mut self, depth: usize) -> std::result::Result<Tree, Why> {
        let mut items = Vec::new();
        loop {
            let event = self.next()?;
            if event.0 == Event::SequenceEnd {
                return Ok(Tree::List(items));
            }
            items.push(self.tree(event, depth + 1)?);
        }
    }

    /// The fields up to the end of a table, those that it merges after its own.
    fn table(&mut self, depth: usize) -> std::result::Result<Tree, Why> {
        let mut fields: Vec<(String, u64, Tree)> = Vec::new();
        let mut merged = Vec::new();
        let mut names = BTreeSet::new();
        loop {
            let event = self.next()?;
            let (is_merge, span) = match &event {
                (Event::MappingEnd, _) => break,
                (Event::Scalar(text, style, _, _), span) => {
                    (text == "<<" && *style == ScalarStyle::Plain, *span)
                }
                (_, span) => (false, *span),
            };
            let line = span.start.line() as u64;
            let key = self.tree(event, depth + 1)?;
            let value = self.next()?;
            let value = self.tree(value, depth + 1)?;
            if is_merge {
                let tables = tables(value);
                let tables = tables.ok_or_else(|| placed("`<<` merges no mapping", &span))?;
                merged.extend(
                    tables.into_iter().flatten().map(|(name, _, below)| (name, line, below)),
                );
                continue;
            }
            let name = match key {
                Tree::Value(Value::Text(text) | Value::Number(text)) => text,
                Tree::Value(Value::Flag(flag)) => flag.to_string(),
                Tree::Value(_) | Tree::List(_) | Tree::Table(_) => {
                    return Err(placed("a key is not a text", &span));
                }
            };
            if !names.insert(name.clone()) {
                return Err(placed(&format!("duplicate key `{name}`"), &span));
            }
            fields.push((name, line, value));
        }
        for field in merged {
            if names.insert(field.0.clone()) {
                fields.push(field);
            }
        }
        Ok(Tree::Table(fields))
    }
}

/// The tables that `<<` merges: one, those of a list, or none.
fn tables(tree: Tree) -> Option<Vec<Vec<(String, u64, Tree)>>> {
    match tree {
        Tree::Table(fields) => Some(vec![fields]),
        Tree::List(items) => {
            let fields = |item| if let Tree::Table(fields) = item { Some(fields) } else { None };
            items.into_iter().map(fields).collect()
        }
        Tree::Value(Value::Nothing) => Some(Vec::new()),
        Tree::Value(_) => None,
    }
}

/// Lists and tables within each other.
fn depth_of(tree: &Tree) -> usize {
    match tree {
        Tree::Value(_) => 0,
        Tree::List(items) => 1 + items.iter().map(depth_of).max().unwrap_or(0),
        Tree::Table(fields) => {
            1 + fields.iter().map(|(.., below)| depth_of(below)).max().unwrap_or(0)
        }
    }
}

/// Values of a tree; a long text counts as several.
fn values_in(tree: &Tree) -> usize {
    match tree {
        Tree::Value(Value::Text(text) | Value::Number(text)) => 1 + text.len() / BYTES_OF_VALUE,
        Tree::Value(_) => 1,
        Tree::List(items) => 1 + items.iter().map(values_in).sum::<usize>(),
        Tree::Table(fields) => 1 + fields.iter().map(|(.., below)| values_in(below)).sum::<usize>(),
    }
}

fn placed(why: &str, span: &Span) -> Why {
    format!("{why} at line {}, column {}", span.start.line(), span.start.col() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Tree {
        Tree::Value(Value::Number(text.to_owned()))
    }

    fn fields(tree: Tree) -> Vec<(String, u64, Tree)> {
        let Tree::Table(fields) = tree else { panic!("{tree:?}") };
        fields
    }

    fn refused(text: &str) -> String {
        read(text).unwrap_err().to_string()
    }

    #[test]
    fn merged_keys_come_after_the_own_ones_with_the_line_of_the_merge() {
        let text = "x: &x {b: 1, c: 2}\nz: &z {b: 3, e: 4}\nof:\n  <<: [*x, *z]\n  c: 5\n  d: 6\n";
        let of = fields(read(text).unwrap()).pop().unwrap().2;
        let expected = [("c", 5, "5"), ("d", 6, "6"), ("b", 4, "1"), ("e", 4, "4")];
        let expected =
            expected.map(|(name, line, value)| (name.to_owned(), line, number(value))).to_vec();
        assert_eq!(fields(of), expected);
        assert_eq!(fields(read("<<: ~\na: 1\n").unwrap()), [("a".to_owned(), 2, number("1"))]);
        assert_eq!(refused("<<: 5"), "not valid YAML: `<<` merges no mapping at line 1, column 1");
    }

    #[test]
    fn what_is_no_single_mapping_is_refused_with_its_place() {
        for text in ["", "# nothing\n", "a\n", "- a\n", "---\n"] {
            assert_eq!(refused(text), "not valid YAML: its top is not a mapping", "{text}");
        }
        let of = [
            (
                "a: 1\n---\nb: 2\n",
                "a second document begins; give it a file of its own at line 2, column 1",
            ),
            ("a: 1\nb: {c: 1, c: 2}\n", "duplicate key `c` at line 2, column 11"),
            ("yes: 1\ntrue: 2\n", "duplicate key `true` at line 2, column 1"),
            ("? [a]\n: b\n", "a key is not a text at line 1, column 3"),
            ("a: &a [1, *a]\n", "an alias repeats what it is a part of at line 1, column 11"),
            ("a: .inf\n", "`.inf` is not a finite number at line 1, column 4"),
        ];
        for (text, why) in of {
            assert_eq!(refused(text), format!("not valid YAML: {why}"));
        }
        assert!(refused("a: [1\n").contains(" at line "), "{}", refused("a: [1\n"));
    }

    #[test]
    fn nesting_and_repetition_have_limits() {
        let lists = |n: usize| format!("a: {}{}", "[".repeat(n), "]".repeat(n));
        assert!(read(&lists(MAX_DEPTH - 1)).is_ok());
        assert!(refused(&lists(MAX_DEPTH)).contains("nested deeper than 64"));
        // each alias is one deeper than the one before
        let mut chain = "a0: &a0 [x]\n".to_owned();
        for at in 1..2 * MAX_DEPTH {
            chain += &format!("a{at}: &a{at} [*a{}]\n", at - 1);
        }
        assert!(refused(&chain).contains("nested deeper than 64"));
        // a long text that is repeated often
        let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 20), vec!["*a"; 100].join(", "));
        assert!(refused(&long).contains("more than 20000 values"));
    }
}

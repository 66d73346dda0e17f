//! A law's right-hand side as text: `strategy + log_C + log_M + gpu:log_C`.
//!
//! The notation is that of Wilkinson and Rogers (1973) as R and patsy write it: `+` joins terms,
//! `:` is an interaction, `a*b` is short for `a + b + a:b`, and there is an intercept unless `- 1` removes it. The
//! formula does not know whether a name is a number or a label.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::base::error::{Error, Result};

/// Maximum number of factors of `a*b*…`, which expands to every subset of them.
const MAX_FACTORS: usize = 6;

/// One variable, or the product of several: a summand of a formula.
#[derive(Debug, Clone)]
pub struct Term(Vec<String>);

impl Term {
    /// The names of its variables in the order written; never empty, never twice the same.
    pub fn variables(&self) -> &[String] {
        &self.0
    }

    /// Whether it is a product of several variables.
    pub fn is_interaction(&self) -> bool {
        self.0.len() > 1
    }

    fn sorted(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.0.iter().map(String::as_str).collect();
        names.sort_unstable();
        names
    }
}

/// The order of variables does not matter: `a:b` equals `b:a`.
impl PartialEq for Term {
    fn eq(&self, other: &Self) -> bool {
        self.sorted() == other.sorted()
    }
}

impl Eq for Term {}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(":"))
    }
}

/// The right-hand side of a regression: an intercept and distinct terms.
///
/// ```
/// use wattlaw::stats::formula::Formula;
///
/// let formula: Formula = "strategy + log_C*log_M".parse()?;
/// assert_eq!(formula.to_string(), "strategy + log_C + log_M + log_C:log_M");
/// # Ok::<(), wattlaw::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Formula {
    intercept: bool,
    terms: Vec<Term>,
}

impl Formula {
    /// Whether there is an intercept.
    pub(crate) fn has_intercept(&self) -> bool {
        self.intercept
    }

    /// The terms in the order written, without the intercept.
    pub fn terms(&self) -> &[Term] {
        &self.terms
    }

    /// The distinct variables in the order of their first appearance.
    pub fn variables(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for name in self.terms.iter().flat_map(|t| &t.0) {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        names
    }

    /// Whether the product of exactly these variables is a term; of none, whether there is an
    /// intercept.
    pub fn contains(&self, variables: &[&str]) -> bool {
        let mut wanted = variables.to_vec();
        wanted.sort_unstable();
        if wanted.is_empty() {
            return self.intercept;
        }
        self.terms.iter().any(|t| t.sorted() == wanted)
    }

    /// The formula without the terms that hold any of `variables`.
    #[must_use]
    pub fn without(&self, variables: &[&str]) -> Self {
        let holds = |t: &&Term| !t.0.iter().any(|name| variables.contains(&name.as_str()));
        Self {
            intercept: self.intercept,
            terms: self.terms.iter().filter(holds).cloned().collect(),
        }
    }
}

impl fmt::Display for Formula {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let terms: Vec<String> = self.terms.iter().map(Term::to_string).collect();
        match (terms.is_empty(), self.intercept) {
            (true, true) => f.write_str("1"),
            (true, false) => f.write_str("0"),
            (false, true) => f.write_str(&terms.join(" + ")),
            (false, false) => write!(f, "{} - 1", terms.join(" + ")),
        }
    }
}

impl From<Formula> for String {
    fn from(formula: Formula) -> Self {
        formula.to_string()
    }
}

impl TryFrom<String> for Formula {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl FromStr for Formula {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let tokens = tokens(text)?;
        let mut parser = Parser { tokens: &tokens, end: text.chars().count() + 1 };
        let mut formula = Self { intercept: true, terms: Vec::new() };
        parser.summand(&mut formula)?;
        while let Some((column, token)) = parser.next() {
            match token {
                Token::Plus => parser.summand(&mut formula)?,
                Token::Minus => match parser.next() {
                    Some((_, Token::Number('1'))) => formula.intercept = false,
                    other => return Err(parser.expected("`1` after `-`", other)),
                },
                _ => return Err(parser.expected("`+`, `:` or `*`", Some((column, token)))),
            }
        }
        Ok(formula)
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Token<'a> {
    Name(&'a str),
    Number(char),
    Plus,
    Minus,
    Colon,
    Star,
}

impl fmt::Display for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Number(digit) => write!(f, "{digit}"),
            Self::Plus => f.write_str("+"),
            Self::Minus => f.write_str("-"),
            Self::Colon => f.write_str(":"),
            Self::Star => f.write_str("*"),
        }
    }
}

/// Tokens with the column, counted in characters from one, at which each begins.
fn tokens(text: &str) -> Result<Vec<(usize, Token<'_>)>> {
    let mut found = Vec::new();
    let mut characters = text.char_indices().enumerate().peekable();
    while let Some((position, (start, c))) = characters.next() {
        let token = match c {
            _ if c.is_whitespace() => continue,
            '+' => Token::Plus,
            '-' => Token::Minus,
            ':' => Token::Colon,
            '*' => Token::Star,
            '0' | '1' => Token::Number(c),
            _ if c.is_alphabetic() || c == '_' => {
                let mut end = start + c.len_utf8();
                let belongs = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
                while let Some((_, (at, c))) = characters.next_if(|(_, (_, c))| belongs(*c)) {
                    end = at + c.len_utf8();
                }
                Token::Name(text.get(start..end).unwrap_or_default())
            }
            _ => {
                return Err(syntax(
                    position + 1,
                    format!("expected a name, `+`, `:` or `*`, but found `{c}`"),
                ));
            }
        };
        found.push((position + 1, token));
    }
    Ok(found)
}

fn syntax(column: usize, message: impl fmt::Display) -> Error {
    Error::Syntax { format: "formula", message: format!("column {column}: {message}") }
}

struct Parser<'a> {
    tokens: &'a [(usize, Token<'a>)],
    /// The column after the last character.
    end: usize,
}

impl<'a> Parser<'a> {
    fn next(&mut self) -> Option<(usize, Token<'a>)> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(*first)
    }

    fn next_if(&mut self, wanted: Token<'_>) -> Option<(usize, Token<'a>)> {
        self.tokens.first().filter(|(_, token)| *token == wanted)?;
        self.next()
    }

    fn expected(&self, what: &str, found: Option<(usize, Token<'_>)>) -> Error {
        match found {
            Some((column, token)) => {
                syntax(column, format!("expected {what}, but found `{token}`"))
            }
            None => syntax(self.end, format!("expected {what}, but the formula ends")),
        }
    }

    /// `1`, `0`, or a product of interactions.
    fn summand(&mut self, formula: &mut Formula) -> Result<()> {
        for digit in ['1', '0'] {
            if self.next_if(Token::Number(digit)).is_some() {
                formula.intercept = digit == '1';
                return Ok(());
            }
        }
        for term in self.product()? {
            if !formula.terms.contains(&term) {
                formula.terms.push(term);
            }
        }
        Ok(())
    }

    /// `a*b*c` as all of its subsets, smaller ones first.
    fn product(&mut self) -> Result<Vec<Term>> {
        let mut expanded = vec![self.interaction(&[])?];
        let mut factors = 1;
        while let Some((column, _)) = self.next_if(Token::Star) {
            factors += 1;
            if factors > MAX_FACTORS {
                return Err(syntax(
                    column,
                    format!("at most {MAX_FACTORS} variables can be joined by `*`"),
                ));
            }
            let used: Vec<String> = expanded.iter().flat_map(|t| t.0.iter().cloned()).collect();
            let factor = self.interaction(&used)?;
            let joined: Vec<Term> =
                expanded.iter().map(|t| Term([t.0.as_slice(), &factor.0].concat())).collect();
            expanded.push(factor);
            expanded.extend(joined);
        }
        expanded.sort_by_key(|t| t.0.len());
        Ok(expanded)
    }

    /// `a:b:c`, with distinct variables that are not in `used`.
    fn interaction(&mut self, used: &[String]) -> Result<Term> {
        let mut names: Vec<String> = Vec::new();
        loop {
            match self.next() {
                Some((column, Token::Name(name))) => {
                    if names.iter().chain(used).any(|n| n == name) {
                        return Err(syntax(column, format!("`{name}` occurs twice in one term")));
                    }
                    names.push(name.to_owned());
                }
                other => return Err(self.expected("a column name", other)),
            }
            if self.next_if(Token::Colon).is_none() {
                return Ok(Term(names));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(text: &str) -> String {
        text.parse::<Formula>().unwrap().to_string()
    }

    fn refused(text: &str) -> String {
        text.parse::<Formula>().unwrap_err().to_string()
    }

    #[test]
    fn products_expand_and_repeats_merge() {
        assert_eq!(parsed("a*b + b:a + a"), "a + b + a:b");
        assert_eq!(parsed("a*b*c"), "a + b + c + a:b + a:c + b:c + a:b:c");
        assert_eq!(parsed("gpu:log_C+log_C"), "gpu:log_C + log_C");
        assert_eq!(parsed("a:b*c"), "c + a:b + a:b:c");
    }

    #[test]
    fn the_intercept_is_there_unless_removed() {
        assert_eq!(parsed("a - 1"), "a - 1");
        assert_eq!(parsed("0 + a"), "a - 1");
        assert_eq!(parsed("1"), "1");
        assert!("a".parse::<Formula>().unwrap().contains(&[]));
        assert!(!"a - 1".parse::<Formula>().unwrap().contains(&[]));
    }

    #[test]
    fn errors_have_column_and_cause() {
        for (text, message) in [
            ("", "column 1: expected a column name, but the formula ends"),
            ("log_C +", "column 8: expected a column name, but the formula ends"),
            ("log_C + + b", "column 9: expected a column name, but found `+`"),
            ("log_C log_M", "column 7: expected `+`, `:` or `*`, but found `log_M`"),
            ("é ^ 2", "column 3: expected a name, `+`, `:` or `*`, but found `^`"),
            ("a - b", "column 5: expected `1` after `-`, but found `b`"),
            ("a:a", "column 3: `a` occurs twice in one term"),
            ("a*b*a", "column 5: `a` occurs twice in one term"),
            ("a*b*c*d*e*f*g", "column 12: at most 6 variables can be joined by `*`"),
        ] {
            assert_eq!(refused(text), format!("not valid formula: {message}"), "{text}");
        }
    }

    #[test]
    fn terms_are_dropped_with_their_interactions() {
        let formula: Formula = "strategy*log_C + log_M".parse().unwrap();
        assert_eq!(formula.without(&["strategy"]).to_string(), "log_C + log_M");
        assert_eq!(formula.variables(), ["strategy", "log_C", "log_M"]);
    }

    #[test]
    fn a_formula_is_a_string_in_files() {
        let formula: Formula = serde_json::from_str("\"a + b:c\"").unwrap();
        assert_eq!(serde_json::to_string(&formula).unwrap(), "\"a + b:c\"");
        assert!(serde_json::from_str::<Formula>("\"a +\"").is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,60}") {
            let _ = text.parse::<Formula>();
        }

        #[test]
        fn displayed_formulas_are_read_back(text in "[ab_1c0 +:*-]{0,40}") {
            if let Ok(formula) = text.parse::<Formula>() {
                prop_assert_eq!(formula.to_string().parse::<Formula>().unwrap(), formula);
            }
        }
    }
}

//! The reader of one file: takes entries by key, and collects statements.

use wattlaw::base::error::{Error, Location, Result};

use super::entries::{Entry, Value};
use super::harmless::is_harmless;
use super::statement::{Statement, Unmodelled};
use super::{Tool, vocabulary};

/// What a reader has found: statements, defaults, and keys without a field.
pub(super) type Found = (Vec<Statement>, Vec<Statement>, Vec<Unmodelled>);

/// Reader of one file.
pub(super) struct Reader<'a> {
    tool: Tool,
    file: &'a str,
    entries: Vec<Entry>,
    used: Vec<bool>,
    stated: Vec<Statement>,
    defaults: Vec<Statement>,
    unmodelled: Vec<Unmodelled>,
    /// Files that the file names, with the key that names them.
    references: Vec<(String, Entry)>,
}

impl<'a> Reader<'a> {
    /// A reader of a file's entries.
    pub(super) fn new(tool: Tool, file: &'a str, entries: Vec<Entry>) -> Self {
        let used = vec![false; entries.len()];
        Self {
            tool,
            file,
            entries,
            used,
            stated: Vec::new(),
            defaults: Vec::new(),
            unmodelled: Vec::new(),
            references: Vec::new(),
        }
    }

    /// The entry of a key, which counts as read. Null and `auto` are as absent.
    pub(super) fn entry(&mut self, key: &str) -> Option<Entry> {
        // of an argument that is given twice the last counts
        let at = self.entries.iter().rposition(|entry| entry.key == key)?;
        for (entry, used) in self.entries.iter().zip(&mut self.used) {
            *used |= entry.key == key;
        }
        let entry = self.entries[at].clone();
        match &entry.value {
            Value::Text(text) if text == "auto" => None,
            Value::Text(text) if text.starts_with('$') => {
                if !self.unmodelled.iter().any(|one| one.key == key) {
                    self.unmodelled(key, "its value is a variable that is not in the file");
                }
                None
            }
            _ => Some(entry),
        }
    }

    /// Whether a key is there, with or without a value.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == key)
    }

    /// Whether a table with this name holds keys.
    pub(super) fn has_table(&self, name: &str) -> bool {
        let below = |key: &str| key.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
        self.entries.iter().any(|entry| below(&entry.key))
    }

    /// A whole number.
    ///
    /// # Errors
    /// [`Error::Invalid`] for another value, with its place.
    pub(super) fn whole(&mut self, key: &str) -> Result<Option<u64>> {
        let Some(entry) = self.entry(key) else { return Ok(None) };
        let number = match &entry.value {
            Value::Nothing => return Ok(None),
            Value::Number(text) | Value::Text(text) => {
                text.strip_suffix(".0").unwrap_or(text).replace('_', "").parse().ok()
            }
            Value::Flag(_) | Value::Words(_) | Value::Nested => None,
        };
        match number {
            Some(number) => Ok(Some(number)),
            None => Err(self.wrong(&entry, "it must be a whole number from 0")),
        }
    }

    /// A number.
    ///
    /// # Errors
    /// [`Error::Invalid`] for another value, with its place.
    pub(super) fn number(&mut self, key: &str) -> Result<Option<f64>> {
        let Some(entry) = self.entry(key) else { return Ok(None) };
        let number = match &entry.value {
            Value::Nothing => return Ok(None),
            Value::Number(text) | Value::Text(text) => text.replace('_', "").parse().ok(),
            Value::Flag(_) | Value::Words(_) | Value::Nested => None,
        };
        match number.filter(|number: &f64| number.is_finite()) {
            Some(number) => Ok(Some(number)),
            None => Err(self.wrong(&entry, "it must be a number")),
        }
    }

    /// True or false; the words of YAML 1.1, which the frameworks' readers take, are among them.
    ///
    /// # Errors
    /// [`Error::Invalid`] for another value, with its place.
    pub(super) fn flag(&mut self, key: &str) -> Result<Option<bool>> {
        let Some(entry) = self.entry(key) else { return Ok(None) };
        match &entry.value {
            Value::Nothing => Ok(None),
            Value::Flag(flag) => Ok(Some(*flag)),
            Value::Text(text) => match text.to_lowercase().as_str() {
                "true" | "yes" | "on" => Ok(Some(true)),
                "false" | "no" | "off" | "" => Ok(Some(false)),
                _ => Err(self.wrong(&entry, "it must be true or false")),
            },
            Value::Number(text) if text == "1" => Ok(Some(true)),
            Value::Number(text) if text == "0" => Ok(Some(false)),
            Value::Number(_) | Value::Words(_) | Value::Nested => {
                Err(self.wrong(&entry, "it must be true or false"))
            }
        }
    }

    /// A text; a number and a flag are their text.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a list or a table, with its place.
    pub(super) fn text(&mut self, key: &str) -> Result<Option<String>> {
        let Some(entry) = self.entry(key) else { return Ok(None) };
        match &entry.value {
            Value::Nothing => Ok(None),
            Value::Text(text) | Value::Number(text) => Ok(Some(text.clone())),
            Value::Flag(flag) => Ok(Some(flag.to_string())),
            Value::Words(_) | Value::Nested => Err(self.wrong(&entry, "it must be a text")),
        }
    }

    /// Words: a list, or a text with commas or blanks between them.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a flag or a table, with its place.
    pub(super) fn words(&mut self, key: &str) -> Result<Vec<String>> {
        let Some(entry) = self.entry(key) else { return Ok(Vec::new()) };
        match &entry.value {
            Value::Nothing => Ok(Vec::new()),
            Value::Words(words) => Ok(words.clone()),
            Value::Number(text) => Ok(vec![text.clone()]),
            Value::Text(text) => {
                let words = text.split(|c: char| c == ',' || c.is_whitespace());
                Ok(words.filter(|word| !word.is_empty()).map(str::to_owned).collect())
            }
            Value::Flag(_) | Value::Nested => Err(self.wrong(&entry, "it must be a list of words")),
        }
    }

    /// The error for the value of an entry.
    pub(super) fn wrong(&self, entry: &Entry, expected: &str) -> Error {
        let found = match &entry.value {
            Value::Nothing => "empty".to_owned(),
            Value::Nested => "a table or list of tables".to_owned(),
            _ => format!("`{}`", text_of(&entry.value)),
        };
        Error::invalid(&entry.key, found, expected).at(self.place(entry.line))
    }

    /// The error for the value of a key.
    pub(super) fn wrong_key(&self, key: &str, expected: &str) -> Error {
        match self.entries.iter().rfind(|entry| entry.key == key) {
            Some(entry) => self.wrong(entry, expected),
            None => Error::missing(key, expected).at(Location::file(self.file)),
        }
    }

    fn place(&self, line: u64) -> Location {
        match line {
            0 => Location::file(self.file),
            line => Location::line(self.file, line),
        }
    }

    /// States a field, as a key says it.
    pub(super) fn state(&mut self, column: &'static str, value: impl ToString, key: &str) {
        let line = self.entries.iter().rfind(|entry| entry.key == key).map_or(0, |e| e.line);
        // a later key of the file replaces what an earlier one says, as the readers are written
        self.stated.retain(|statement| statement.column != column);
        let place = self.place(line);
        let (value, key) = (value.to_string(), key.to_owned());
        self.stated.push(Statement { column, value, key, place, tool: self.tool });
    }

    /// Whether the file states a field.
    pub(super) fn states(&self, column: &str) -> bool {
        self.stated.iter().any(|statement| statement.column == column)
    }

    /// States fields by keys with whole numbers.
    ///
    /// # Errors
    /// As [`Reader::whole`].
    pub(super) fn wholes(&mut self, keys: &[(&str, &'static str)]) -> Result<()> {
        for (key, column) in keys {
            if let Some(number) = self.whole(key)? {
                self.state(column, number, key);
            }
        }
        Ok(())
    }

    /// States degrees of parallelism above one by keys with whole numbers.
    ///
    /// # Errors
    /// As [`Reader::whole`].
    pub(super) fn degrees(&mut self, keys: &[(&str, &'static str)]) -> Result<()> {
        for (key, column) in keys {
            if let Some(ranks) = self.whole(key)?.filter(|ranks| *ranks > 1) {
                self.state(column, ranks, key);
            }
        }
        Ok(())
    }

    /// States that adapted weights have magnitudes, where a key is true.
    ///
    /// # Errors
    /// As [`Reader::flag`].
    pub(super) fn dora(&mut self, key: &str) -> Result<()> {
        if self.flag(key)? == Some(true) {
            self.state("dora", true, key);
        }
        Ok(())
    }

    /// States that FSDP keeps its shards on the host, where a key is true.
    ///
    /// # Errors
    /// As [`Reader::flag`].
    pub(super) fn offloads_shards(&mut self, key: &str) -> Result<()> {
        if self.flag(key)? == Some(true) {
            self.state("offload", "parameters", key);
        }
        Ok(())
    }

    /// States how context-parallel ranks exchange keys and values by a framework's words for a gather and for a ring.
    ///
    /// # Errors
    /// [`Error::Invalid`] for another word, with its place.
    pub(super) fn context_exchange(&mut self, key: &str, [gather, ring]: [&str; 2]) -> Result<()> {
        // Megatron-LM and TransformerEngine spell the gather differently
        let word = self.text(key)?.map(|word| word.replace('_', ""));
        match word.as_deref() {
            None => {}
            Some(word) if word == gather.replace('_', "") => {
                self.state("context_exchange", "all-gather", key)
            }
            Some(word) if word == ring.replace('_', "") => {
                self.state("context_exchange", "ring", key)
            }
            Some("a2a" | "a2a+p2p") => {
                self.unmodelled(key, "keys and values are counted as sent round a ring");
                self.state("context_exchange", "ring", key);
            }
            Some(_) => {
                return Err(self.wrong_key(key, &format!("it must be {gather} or {ring}")));
            }
        }
        Ok(())
    }

    /// Reports a degree of parallelism above one that no field holds.
    ///
    /// # Errors
    /// As [`Reader::whole`].
    pub(super) fn unmodelled_degree(&mut self, key: &str, reason: &str) -> Result<()> {
        if self.whole(key)?.is_some_and(|ranks| ranks > 1) {
            self.unmodelled(key, reason);
        }
        Ok(())
    }

    /// Takes a default for a field that no file states; a tool's own replaces that of what it is built on.
    pub(super) fn default(&mut self, column: &'static str, value: impl ToString, key: &str) {
        self.defaults.retain(|default| default.column != column);
        let place = Location::file(self.file);
        let (value, key) = (value.to_string(), key.to_owned());
        self.defaults.push(Statement { column, value, key, place, tool: self.tool });
    }

    /// Reports a key whose cost no field holds.
    pub(super) fn unmodelled(&mut self, key: &str, reason: impl Into<String>) {
        let Some(entry) = self.entries.iter().rfind(|entry| entry.key == key) else { return };
        self.unmodelled.push(self.without_field(entry, reason.into()));
    }

    fn without_field(&self, entry: &Entry, reason: String) -> Unmodelled {
        Unmodelled {
            file: self.file.to_owned(),
            line: Some(entry.line).filter(|line| *line > 0),
            key: entry.key.clone(),
            value: text_of(&entry.value),
            reason,
        }
    }

    /// Reports those of the keys that are set to something other than off: false, null, 0, `none` or an empty list.
    pub(super) fn unmodelled_if_on(&mut self, keys: &[(&str, &str)]) {
        for (key, reason) in keys {
            if self.entry(key).is_some_and(|entry| is_on(&entry.value)) {
                self.unmodelled(key, *reason);
            }
        }
    }

    /// Counts keys as read that change neither time nor energy nor memory by themselves.
    pub(super) fn ignore(&mut self, keys: &[&str]) {
        for (entry, used) in self.entries.iter().zip(&mut self.used) {
            *used |= keys.contains(&entry.key.as_str());
        }
    }

    /// Counts the keys of a table as read.
    pub(super) fn ignore_table(&mut self, name: &str) {
        for (entry, used) in self.entries.iter().zip(&mut self.used) {
            *used |= entry.key.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
        }
    }

    /// Notes that a key names another file of the same job.
    pub(super) fn refers(&mut self, key: &str, file: &str) {
        if let Some(entry) = self.entries.iter().rfind(|entry| entry.key == key) {
            self.references.push((file.to_owned(), entry.clone()));
        }
    }

    /// Checks that the files that this one names are among those that are read.
    ///
    /// # Errors
    /// [`Error::Missing`] with file, line and key.
    pub(super) fn check_references(&self, files: &[(&str, &str)]) -> Result<()> {
        let last = |path: &str| path.rsplit(['/', '\\']).next().unwrap_or(path).to_owned();
        for (named, entry) in &self.references {
            let wanted = last(named);
            if !files.iter().any(|(file, _)| last(file) == wanted) {
                let expected = format!("{} names it: give it beside this file", entry.key);
                return Err(
                    Error::missing(format!("`{named}`"), expected).at(self.place(entry.line))
                );
            }
        }
        Ok(())
    }

    /// States an optimizer by its name in the framework, or reports one that is not modelled.
    ///
    /// # Errors
    /// As [`Reader::text`].
    pub(super) fn optimizer(&mut self, key: &str) -> Result<()> {
        let Some(name) = self.text(key)? else { return Ok(()) };
        match vocabulary::optimizer(&name) {
            Some((optimizer, note)) => {
                self.state("optimizer", optimizer, key);
                if let Some(note) = note {
                    self.unmodelled(key, note);
                }
            }
            None => self.unmodelled(
                key,
                "this optimizer is not modelled: adamw is counted unless --optimizer says another",
            ),
        }
        Ok(())
    }

    /// States adapters.
    ///
    /// # Errors
    /// As [`Reader::words`].
    pub(super) fn lora(&mut self, rank: u64, rank_key: &str, targets_key: &str) -> Result<()> {
        self.state("lora_rank", rank, rank_key);
        let names = self.words(targets_key)?;
        let (targets, others) = vocabulary::lora_targets(&names);
        if !targets.is_empty() {
            self.state("lora_targets", targets.join(" "), targets_key);
        }
        if !others.is_empty() {
            let reason = format!("adapters on {} are not modelled", others.join(", "));
            self.unmodelled(targets_key, reason);
        }
        Ok(())
    }

    /// What was found. Keys that were not read and may matter are reported together.
    pub(super) fn finish(mut self) -> Found {
        let reason = "this key is unknown here: what it changes is not counted";
        let unknown: Vec<Unmodelled> = (self.entries.iter().zip(&self.used))
            .filter(|(entry, used)| !**used && is_on(&entry.value) && !is_harmless(&entry.key))
            .map(|(entry, _)| self.without_field(entry, reason.to_owned()))
            .collect();
        self.unmodelled.extend(unknown);
        (self.stated, self.defaults, self.unmodelled)
    }
}

/// Whether a value turns something on.
fn is_on(value: &Value) -> bool {
    match value {
        Value::Nothing => false,
        Value::Flag(flag) => *flag,
        Value::Number(text) => text.parse::<f64>().ok() != Some(0.0),
        Value::Text(text) => {
            let off = ["", "no", "none", "null", "false", "off", "auto", "disabled"];
            !off.contains(&text.to_lowercase().as_str())
        }
        Value::Words(words) => !words.is_empty(),
        Value::Nested => true,
    }
}

/// A value as text.
fn text_of(value: &Value) -> String {
    match value {
        Value::Nothing | Value::Nested => String::new(),
        Value::Flag(flag) => flag.to_string(),
        Value::Number(text) | Value::Text(text) => text.clone(),
        Value::Words(words) => words.join(" "),
    }
}

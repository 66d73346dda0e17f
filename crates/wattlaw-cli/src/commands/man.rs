//! `wattlaw man`: generates man pages, the command reference and the tables of job fields of the
//! documentation, from the parser and from the list of fields.
//!
//! The subcommand is hidden: packagers call it, users do not. Tests compare the pages of `docs/reference` with what it prints.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use clap::{Arg, Command};

use wattlaw::data::dataset::job_columns;
use wattlaw::job::fields::{Field, fields};

use crate::failure::{Done, Failure};
use crate::files;

/// Flags of `wattlaw man`.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub struct Args {
    /// Write a man page for each command to this folder, which is created if absent
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print the command reference as Markdown
    #[arg(long)]
    markdown: bool,
    /// Print the tables of a job's fields as Markdown, each under the comment that marks its place on a page
    #[arg(long)]
    fields: bool,
}

/// Runs the command.
///
/// # Errors
/// The folder or standard output cannot be written.
pub fn run(args: &Args, program: Command) -> Done {
    let Some(folder) = &args.out else {
        return files::print(&if args.fields {
            tables_of_fields(program)
        } else {
            reference(program)
        });
    };
    let failed = |error: std::io::Error| Failure::failed(format!("{}: {error}", folder.display()));
    fs::create_dir_all(folder).map_err(failed)?;
    clap_mangen::generate_to(program, folder).map_err(failed)
}

/// The fields of a job: a table for each table of a job file, and one with the columns of run tables.
fn tables_of_fields(mut program: Command) -> String {
    program.build();
    let predict = program.find_subcommand("predict");
    let flags: Vec<&Arg> = predict.iter().flat_map(|command| command.get_arguments()).collect();
    // a flag has the identifier of its field's column, and a name of its own where that is shorter
    let flag = |field: &Field| {
        let named = flags.iter().find(|arg| arg.get_id().as_str() == field.column);
        named.and_then(|arg| arg.get_long()).map(|long| format!("`--{long}`")).unwrap_or_default()
    };
    let mut page = String::new();
    for table in ["model", "workload", "parallelism", "system"] {
        let _ = writeln!(page, "<!-- fields of {table} -->\n");
        let _ = writeln!(page, "| field | flag | value | what |\n|---|---|---|---|");
        for field in fields().filter(|field| field.table == table) {
            // adapters are a table of their own: `lora.rank`
            let key = match field.column.strip_prefix(field.key) {
                Some(below) => field.key.to_owned() + &below.replacen('_', ".", 1),
                None => field.key.to_owned(),
            };
            let (flag, kind, about) = (flag(field), field.kind.name(), escaped(field.about));
            let _ = writeln!(page, "| `{key}` | {flag} | {kind} | {about} |");
        }
        page += "\n";
    }
    page += "<!-- columns of a job -->\n\n| column | value | what |\n|---|---|---|\n";
    for field in job_columns() {
        let about = escaped(field.about);
        let _ = writeln!(page, "| `{}` | {} | {about} |", field.column, field.kind.name());
    }
    page
}

/// The command reference: one section a command, in the order of `wattlaw --help`.
fn reference(mut program: Command) -> String {
    // `build` adds `--help`, usage lines and the full names of subcommands
    program.build();
    let mut page = String::from(
        "# Commands\n\n<!-- Generated from the command-line parser; do not edit. \
         `WATTLAW_WRITE_DOCS=1 cargo test -p wattlaw-cli --test it docs::` rewrites it. -->\n\n",
    );
    let about = program.get_about().map(ToString::to_string).unwrap_or_default();
    let _ = writeln!(page, "{}\n", escaped(&about));
    page += "`wattlaw COMMAND --help` prints the same text in a terminal. Every command also takes `--help` and `--version`.\n\n";
    page += "| command | what it does |\n|---|---|\n";
    let commands: Vec<Command> = visible(&program).cloned().collect();
    for command in &commands {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        let _ =
            writeln!(page, "| [`{}`](#{}) | {} |", name(command), anchor(command), escaped(&about));
    }
    for command in commands {
        section(command, &mut page);
    }
    if let Some(after) = program.get_after_help() {
        let _ = writeln!(page, "\n{}", escaped(&after.to_string()));
    }
    page
}

fn visible(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help")
}

/// Appends the section of a command and those of its own subcommands.
fn section(mut command: Command, page: &mut String) {
    let level = name(&command).split(' ').count();
    let _ =
        writeln!(page, "\n{} `{}` {{#{}}}\n", "#".repeat(level), name(&command), anchor(&command));
    let about = command.get_long_about().or(command.get_about());
    let about = about.map(ToString::to_string).unwrap_or_default();
    let _ = writeln!(page, "{}\n", escaped(&about));
    let usage = command.render_usage().to_string();
    let _ = writeln!(page, "```text\n{}\n```", usage.trim_start_matches("Usage: ").trim());
    options(&command, page);
    if let Some(after) = command.get_after_long_help().or(command.get_after_help()) {
        let _ = writeln!(page, "\n{}", escaped(&after.to_string()));
    }
    for sub in visible(&command).cloned().collect::<Vec<_>>() {
        section(sub, page);
    }
}

/// Appends the tables of a command's arguments, one for each heading that the help shows.
fn options(command: &Command, page: &mut String) {
    let mut groups: Vec<(String, Vec<&Arg>)> = Vec::new();
    let built_in = |arg: &&Arg| !["help", "version"].contains(&arg.get_id().as_str());
    for arg in command.get_arguments().filter(|arg| !arg.is_hide_set()).filter(built_in) {
        let default = if arg.is_positional() { "Arguments" } else { "Options" };
        let heading = arg.get_help_heading().unwrap_or(default);
        match groups.iter_mut().find(|(known, _)| known == heading) {
            Some((_, args)) => args.push(arg),
            None => groups.push((heading.to_owned(), vec![arg])),
        }
    }
    for (heading, args) in groups {
        let _ = writeln!(page, "\n| {} | |\n|---|---|", heading.to_lowercase());
        for arg in args {
            let _ = writeln!(page, "| {} | {} |", code(&signature(arg)), meaning(arg));
        }
    }
}

/// An argument as the help writes it, such as `-o, --out <FILE>`.
fn signature(arg: &Arg) -> String {
    match arg.get_short() {
        Some(short) => format!("-{short}, {arg}"),
        None => arg.to_string(),
    }
}

/// A text as code in a cell of a table.
fn code(text: &str) -> String {
    if !text.contains('|') {
        return format!("`{text}`");
    }
    // renderers of Markdown disagree on how a bar is escaped within backticks
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('|', "&#124;");
    format!("<code>{text}</code>")
}

/// What an argument means, its values and its default.
fn meaning(arg: &Arg) -> String {
    let help = arg.get_long_help().or(arg.get_help()).map(ToString::to_string).unwrap_or_default();
    let mut cell = escaped(&help.split_whitespace().collect::<Vec<_>>().join(" "));
    let values = arg.get_possible_values();
    if arg.get_action().takes_values() && !arg.is_hide_possible_values_set() && !values.is_empty() {
        let values = values.iter().filter(|value| !value.is_hide_set());
        let values: Vec<_> = values.map(|value| format!("`{}`", value.get_name())).collect();
        let _ = write!(cell, ". Values: {}", values.join(", "));
    }
    let defaults: Vec<_> =
        arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    if arg.get_action().takes_values() && !arg.is_hide_default_value_set() && !defaults.is_empty() {
        let _ = write!(cell, ". Default: `{}`", defaults.join(" "));
    }
    cell
}

/// A text with what Markdown would take for HTML, a table or emphasis made literal. What is code already stays as it is.
fn escaped(text: &str) -> String {
    let parts = text.split('`').enumerate().map(|(i, part)| {
        if i % 2 == 1 {
            return part.to_owned();
        }
        let part = part.replace('&', "&amp;").replace('<', "&lt;").replace('|', "\\|");
        part.replace('*', "\\*").replace('_', "\\_")
    });
    parts.collect::<Vec<_>>().join("`")
}

fn name(command: &Command) -> &str {
    command.get_bin_name().unwrap_or(command.get_name())
}

fn anchor(command: &Command) -> String {
    name(command).replace(' ', "-")
}

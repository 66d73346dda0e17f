//! The terminal while it is ours: a screen of its own, keys as they are pressed, and all as it was afterwards.

use std::io::{self, IsTerminal, Write, stdin, stdout};
use std::time::Duration;

use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use crossterm::execute;
use crossterm::terminal::{
    Clear, ClearType, DisableLineWrap, EnableLineWrap, EnterAlternateScreen, LeaveAlternateScreen,
    disable_raw_mode, enable_raw_mode, size,
};

/// The terminal, until it is dropped.
#[derive(Debug)]
pub struct Terminal {
    colour: bool,
}

/// Whether a person sits before it.
pub fn is_there() -> bool {
    stdout().is_terminal() && stdin().is_terminal()
}

impl Terminal {
    /// Takes the terminal.
    ///
    /// # Errors
    /// It cannot be set up.
    pub fn take() -> io::Result<Self> {
        let colour = anstream::AutoStream::choice(&stdout()) != anstream::ColorChoice::Never;
        enable_raw_mode()?;
        // from here on it is given back when dropped
        let terminal = Self { colour };
        execute!(stdout(), EnterAlternateScreen, DisableLineWrap, Hide)?;
        Ok(terminal)
    }

    /// Shows a text in place of what was there, as much of it as there are lines.
    ///
    /// # Errors
    /// It cannot be written to.
    pub fn show(&mut self, text: &str) -> io::Result<()> {
        // a terminal that does not know its size says 0
        let height = size().map_or(0, |(_, height)| usize::from(height));
        let height = if height == 0 { usize::MAX } else { height };
        let plain = anstream::adapter::strip_str(text).to_string();
        let text = if self.colour { text } else { &plain };
        let lines = text.lines().chain(["", "q ends"]).take(height);
        let mut out = stdout().lock();
        execute!(out, MoveTo(0, 0))?;
        for (i, line) in lines.enumerate() {
            // no line's end after the last line, which would scroll
            let end = if i == 0 { "" } else { "\r\n" };
            write!(out, "{end}{line}")?;
            execute!(out, Clear(ClearType::UntilNewLine))?;
        }
        execute!(out, Clear(ClearType::FromCursorDown))
    }

    /// Whether q, Esc or Ctrl-C was pressed.
    ///
    /// # Errors
    /// Keys cannot be read.
    pub fn is_left(&mut self) -> io::Result<bool> {
        while event::poll(Duration::ZERO)? {
            if let Event::Key(key) = event::read()?
                && key.kind != KeyEventKind::Release
            {
                let control = key.modifiers.contains(KeyModifiers::CONTROL);
                match key.code {
                    KeyCode::Char('q') | KeyCode::Esc => return Ok(true),
                    KeyCode::Char('c') if control => return Ok(true),
                    _ => {}
                }
            }
        }
        Ok(false)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // a terminal that is gone needs nothing back
        let _ = execute!(stdout(), Show, EnableLineWrap, LeaveAlternateScreen);
        let _ = disable_raw_mode();
    }
}

//! The terminal in full-screen mode: alternate screen and raw keys; the previous state is restored on drop.

use std::io::{self, IsTerminal, Write, stdin, stdout};
use std::time::Duration;

use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use crossterm::execute;
use crossterm::terminal::{
    Clear, ClearType, DisableLineWrap, EnableLineWrap, EnterAlternateScreen, LeaveAlternateScreen,
    disable_raw_mode, enable_raw_mode, size,
};

/// The terminal in full-screen mode until it is dropped.
#[derive(Debug)]
pub struct Terminal {
    colour: bool,
}

/// Whether standard input and output are a terminal.
pub fn is_available() -> bool {
    stdout().is_terminal() && stdin().is_terminal()
}

impl Terminal {
    /// Switches the terminal to full-screen mode.
    ///
    /// # Errors
    /// The terminal cannot be set up.
    pub fn new() -> io::Result<Self> {
        let colour = anstream::AutoStream::choice(&stdout()) != anstream::ColorChoice::Never;
        enable_raw_mode()?;
        // constructed before the next fallible call, so that drop restores the terminal
        let terminal = Self { colour };
        execute!(stdout(), EnterAlternateScreen, DisableLineWrap, Hide)?;
        Ok(terminal)
    }

    /// Replaces the screen by a text, cut to the height of the terminal.
    ///
    /// # Errors
    /// The terminal cannot be written.
    pub fn show(&mut self, text: &str) -> io::Result<()> {
        // a terminal without a known size reports 0
        let height = size().map_or(0, |(_, height)| usize::from(height));
        let height = if height == 0 { usize::MAX } else { height };
        let plain = anstream::adapter::strip_str(text).to_string();
        let text = if self.colour { text } else { &plain };
        let lines = text.lines().chain(["", "press q to quit"]).take(height);
        let mut out = stdout().lock();
        execute!(out, MoveTo(0, 0))?;
        for (i, line) in lines.enumerate() {
            // no newline after the last line, which would scroll
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
    pub fn quit_requested(&mut self) -> io::Result<bool> {
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
        // errors are ignored: the terminal may be gone
        let _ = execute!(stdout(), Show, EnableLineWrap, LeaveAlternateScreen);
        let _ = disable_raw_mode();
    }
}

//! A line to type on, below what is shown.

use std::io::{self, Write};
use std::thread::JoinHandle;
use std::time::Duration;

use rustyline::error::ReadlineError;
use rustyline::{DefaultEditor, ExternalPrinter};
use smallwire_examples::args::printable;
use smallwire_examples::client::Command;
use smallwire_examples::delimchat_client::Order;
use tokio::sync::mpsc;

/// How long the editor may take to show the last lines: it doesn't tell when it has.
const LAST_LINES: Duration = Duration::from_millis(100);

/// Reads commands in a thread of its own; puts the terminal in order when it is dropped.
pub(crate) struct Editor {
    thread: JoinHandle<()>,
    #[cfg(unix)]
    before: Option<nix::sys::termios::Termios>,
}

/// Shows a line above what is being typed.
pub(crate) type Printer = Box<dyn FnMut(String) + Send>;

impl Editor {
    /// Begins to read commands from the terminal; `None` if that can't be done.
    pub(crate) fn start(commands: mpsc::Sender<Command<Order>>) -> Option<(Self, Printer)> {
        #[cfg(unix)]
        let before = nix::sys::termios::tcgetattr(io::stdin()).ok();
        let mut editor = DefaultEditor::new().ok()?;
        let mut printer = editor.create_external_printer().ok()?;
        let print = Box::new(move |line| {
            // The terminal is gone? Go on.
            let _ = printer.print(line + "\n");
        });
        // Nothing can stop it from reading: it ends with the process, if not before.
        let thread = std::thread::spawn(move || edit(&mut editor, &commands));
        let editor = Self {
            thread,
            #[cfg(unix)]
            before,
        };
        Some((editor, print))
    }
}

impl Drop for Editor {
    fn drop(&mut self) {
        if self.thread.is_finished() {
            return;
        }
        std::thread::sleep(LAST_LINES);
        #[cfg(unix)]
        if let Some(before) = &self.before {
            use nix::sys::termios::{SetArg, tcsetattr};
            let _ = tcsetattr(io::stdin(), SetArg::TCSADRAIN, before);
        }
        // Pasted text isn't marked any more, and the line that was being typed is over.
        let _ = write!(io::stdout(), "\x1b[?2004l\r\n");
        let _ = io::stdout().flush();
    }
}

fn edit(editor: &mut DefaultEditor, commands: &mpsc::Sender<Command<Order>>) {
    let trouble = |text: &str| {
        let _ = writeln!(io::stderr(), "{}", printable(text));
    };
    loop {
        let command = match editor.readline("> ") {
            Ok(line) if line.trim().is_empty() => continue,
            Ok(line) => {
                if !line.starts_with("/login") && !line.starts_with("/register") {
                    let _ = editor.add_history_entry(&line);
                }
                match Command::parse(&line) {
                    Ok(command) => command,
                    Err(error) => {
                        trouble(&error);
                        continue;
                    }
                }
            }
            Err(ReadlineError::Interrupted) => Command::Leave,
            Err(ReadlineError::Eof) => Command::Quit,
            // Such as a change of the window's size.
            Err(ReadlineError::Signal(_)) => continue,
            Err(error) => {
                trouble(&error.to_string());
                Command::Quit
            }
        };
        let is_last = matches!(command, Command::Leave | Command::Quit);
        if commands.blocking_send(command).is_err() || is_last {
            return;
        }
    }
}

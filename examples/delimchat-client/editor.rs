//! A line to type on, below what is shown.

use std::sync::mpsc::{Sender, channel};

use rustyline::error::ReadlineError;
use rustyline::{Config, DefaultEditor, ExternalPrinter};
use smallwire_examples::args::printable;
use smallwire_examples::client::Command;
use smallwire_examples::delimchat_client::Order;
use tokio::sync::mpsc;

/// Shows lines above what is being typed, in a thread of its own; puts the terminal in order when it is
/// dropped.
pub(crate) struct Editor {
    lines: Sender<String>,
    #[cfg(unix)]
    before: Option<nix::sys::termios::Termios>,
}

impl Editor {
    /// Begins to read commands from the terminal; `None` if that can't be done.
    pub(crate) fn start(commands: mpsc::Sender<Command<Order>>) -> Option<Self> {
        #[cfg(unix)]
        let before = nix::sys::termios::tcgetattr(std::io::stdin()).ok();
        let config = Config::builder().bracketed_paste(false).build();
        let mut editor = DefaultEditor::with_config(config).ok()?;
        let mut printer = editor.create_external_printer().ok()?;
        let (lines, shown) = channel::<String>();
        std::thread::spawn(move || {
            for line in shown {
                if printer.print(line + "\n").is_err() {
                    return;
                }
            }
        });
        let trouble = lines.clone();
        // It ends with the process, if not before: nothing can stop it from reading.
        std::thread::spawn(move || edit(&mut editor, &commands, &trouble));
        Some(Self {
            lines,
            #[cfg(unix)]
            before,
        })
    }

    pub(crate) fn printer(&self) -> impl FnMut(String) + Send + use<> {
        let lines = self.lines.clone();
        move |line| {
            // The terminal is gone? Go on.
            let _ = lines.send(line);
        }
    }
}

impl Drop for Editor {
    fn drop(&mut self) {
        #[cfg(unix)]
        if let Some(before) = &self.before {
            use nix::sys::termios::{SetArg, tcsetattr};
            let _ = tcsetattr(std::io::stdin(), SetArg::TCSADRAIN, before);
        }
    }
}

fn edit(
    editor: &mut DefaultEditor,
    commands: &mpsc::Sender<Command<Order>>,
    trouble: &Sender<String>,
) {
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
                        let _ = trouble.send(printable(&error));
                        continue;
                    }
                }
            }
            Err(ReadlineError::Interrupted) => Command::Leave,
            Err(ReadlineError::Eof) => Command::Quit,
            // Such as a change of the window's size.
            Err(ReadlineError::Signal(_)) => continue,
            Err(error) => {
                let _ = trouble.send(error.to_string());
                Command::Quit
            }
        };
        let is_last = matches!(command, Command::Leave | Command::Quit);
        if commands.blocking_send(command).is_err() || is_last {
            return;
        }
    }
}

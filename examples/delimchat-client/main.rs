//! A chat client for the example `delimchat-server`, at the terminal or scripted through a pipe.

mod editor;

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use delimchat_proto::{ClientEvent, Secret};
use smallwire_examples::args::{interrupted, printable, read_lines, seconds};
use smallwire_examples::client::{AgainArgs, Command, Note, run};
use smallwire_examples::delimchat_args::{ByteOrderArg, WireArgs};
use smallwire_examples::delimchat_client::{Chatter, Credentials, Order};
use tokio::sync::mpsc;

use self::editor::Editor;

/// A delimchat client. Shows what happens, a line each; what is typed is said in the room, unless it
/// begins with a slash. Connects again when the connection is lost, and comes back to its rooms.
///
/// Commands: /login NAME PASSWORD, /register NAME PASSWORD EMAIL, /join ROOM [PASSWORD],
/// /part [ROOM [LAST WORD]], /alias NAME, /invite USER [ALIAS], /msg ROOM TEXT, /long FILE, /quit.
/// A line that begins with two slashes is said with one. At the end of stdin, as at /quit, it waits for
/// the answers it still expects and leaves. Rooms have up to eight characters; everybody is in "all",
/// and "echo" answers with the same.
#[derive(Debug, Parser)]
struct Args {
    /// Where the server is, such as 127.0.0.1:40123
    #[arg(long, value_name = "ADDRESS")]
    connect: String,
    #[command(flatten)]
    again: AgainArgs,
    /// Who to log in as [default: nobody, until /login or /register]
    #[arg(long, value_parser = credentials, value_name = "NAME:PASSWORD")]
    user: Option<Credentials>,
    /// Where to save long messages, each under its id [default: only shown]
    #[arg(long, value_name = "DIRECTORY")]
    save: Option<PathBuf>,
    /// Byte order to log in with
    #[arg(long, value_enum, default_value = "big", value_name = "ORDER")]
    byte_order: ByteOrderArg,
    /// Seconds that the server has to answer
    #[arg(long, default_value = "30", value_parser = seconds, value_name = "SECONDS")]
    result_timeout: Duration,
    #[command(flatten)]
    wire: WireArgs,
}

fn credentials(text: &str) -> Result<Credentials, String> {
    let (username, password) = text.split_once(':').ok_or("not NAME:PASSWORD")?;
    Ok(Credentials {
        username: username.to_owned(),
        password: Secret::new(password.as_bytes().into()),
    })
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    let config =
        args.wire.client().speaks(args.byte_order.into()).result_timeout(args.result_timeout);
    let (sender, commands) = mpsc::channel(16);
    let (interrupt, interrupted) = (sender.clone(), interrupted()?);
    tokio::spawn(async move {
        interrupted.await;
        let _ = interrupt.send(Command::Leave).await;
    });
    let editor = if io::stdin().is_terminal() && io::stdout().is_terminal() {
        Editor::start(sender.clone())
    } else {
        None
    };
    let (editor, mut printer) = editor.unzip();
    let mut sender = editor.is_none().then_some(sender);
    let notes = Box::new(move |note: Note<_>| {
        let line = printable(&note.to_string());
        match &mut printer {
            Some(printer) => printer(line),
            None => print(&line, matches!(note, Note::Trouble(_))),
        }
        // A script can do something from now on.
        if matches!(note, Note::Event(ClientEvent::Guest { .. }))
            && let Some(sender) = sender.take()
        {
            // A thread of its own, since stdin can't be read without blocking; ends with the process.
            std::thread::spawn(move || read_commands(&sender));
        }
    });
    let chatter = Chatter::new(Arc::new(config), args.user, args.save);
    let is_well = run(chatter, &args.connect, args.again.backoff(), notes, commands).await;
    drop(editor);
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn read_commands(sender: &mpsc::Sender<Command<Order>>) {
    read_lines(|line| match Command::parse(line) {
        _ if line.trim().is_empty() => true,
        Ok(command) => sender.blocking_send(command).is_ok(),
        Err(error) => {
            print(&printable(&error), true);
            true
        }
    });
    let _ = sender.blocking_send(Command::Quit);
}

fn print(line: &str, is_trouble: bool) {
    // Nobody reads it? Go on.
    let _ = if is_trouble {
        writeln!(io::stderr(), "{line}")
    } else {
        writeln!(io::stdout(), "{line}")
    };
}

//! What clients have in common: they do what they are told on lines of text, tell what happens in one
//! each, and connect again when the connection is lost. What differs between them is a [`Protocol`].

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use bytes::Buf;
use clap::Args;
use smallwire_core::{Backoff, CloseFrame, End, Message, Session};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::app::App;
use crate::args::{NORMAL, close_frame, printable, read_lines, seconds, split};
use crate::{tcp, tungstenite};

/// Commands that wait for a connection, or for room in it.
const MAX_WAITING: usize = 10_000;

/// The client is gone.
const GOING_AWAY: u16 = 1001;

/// A WebSocket to a server.
pub type WebSocket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// What a session talks over.
pub trait Socket<S: Session>: Sized + Send {
    /// Runs `session` to its end, and closes the socket.
    ///
    /// # Errors
    /// As [`websocket::drive`](crate::websocket::drive) and [`tcp::drive`].
    fn drive<A>(
        self,
        session: &mut S,
        commands: &mut mpsc::Receiver<A::Command>,
        app: &mut A,
    ) -> impl Future<Output = io::Result<End<S::Error>>> + Send
    where
        A: App<S, Command: Send> + Send;
}

impl<S, T> Socket<S> for WebSocketStream<T>
where
    S: Session<Input = Message, Transmit = Message> + Send,
    T: AsyncRead + AsyncWrite + Unpin + Send,
{
    async fn drive<A>(
        self,
        session: &mut S,
        commands: &mut mpsc::Receiver<A::Command>,
        app: &mut A,
    ) -> io::Result<End<S::Error>>
    where
        A: App<S, Command: Send> + Send,
    {
        tungstenite::drive(session, self, commands, app).await
    }
}

/// A byte stream.
#[derive(Debug)]
pub struct ByteStream<T>(pub T);

impl<S, T> Socket<S> for ByteStream<T>
where
    S: Session<Input = [u8], Transmit: Buf + Send> + Send,
    T: AsyncRead + AsyncWrite + Unpin + Send,
{
    async fn drive<A>(
        self,
        session: &mut S,
        commands: &mut mpsc::Receiver<A::Command>,
        app: &mut A,
    ) -> io::Result<End<S::Error>>
    where
        A: App<S, Command: Send> + Send,
    {
        tcp::drive(session, self.0, commands, app).await
    }
}

/// Makes a WebSocket that takes texts of up to `max_message` bytes.
///
/// # Errors
/// There can't be one to this address.
pub fn web_socket(
    url: &str,
    max_message: usize,
) -> impl Future<Output = io::Result<WebSocket>> + use<> {
    let url = url.to_owned();
    async move { tungstenite::connect(&url, max_message).await.map_err(io::Error::other) }
}

/// What a client of one protocol does.
pub trait Protocol: Send {
    /// One connection's.
    type Session: Session<Event = Self::Event> + Send;
    /// What carries it.
    type Socket: Socket<Self::Session>;
    /// What sessions tell.
    type Event: Tell + Send;
    /// What the user can have done.
    type Order: Order + Send;

    /// Makes a socket to this address.
    ///
    /// # Errors
    /// There can't be one.
    fn connect(&self, address: &str) -> impl Future<Output = io::Result<Self::Socket>> + 'static;

    /// Makes a session for a connection that stands now.
    ///
    /// # Errors
    /// There can't be one, for this reason.
    fn connected(
        &mut self,
        host: &mut Host<Self::Event>,
        now: Instant,
    ) -> Result<Self::Session, Box<dyn Error + Send + Sync>>;

    /// The session reports something, which the user is to be told.
    fn event(
        &mut self,
        _session: &mut Self::Session,
        _now: Instant,
        host: &mut Host<Self::Event>,
        event: Self::Event,
    ) {
        host.note(Note::Event(event));
    }

    /// Goes on with what waits for room in the session, the user's orders excepted; tells whether it
    /// is their turn.
    fn go_on(
        &mut self,
        _session: &mut Self::Session,
        _now: Instant,
        _host: &mut Host<Self::Event>,
    ) -> bool {
        true
    }

    /// Does what the user wants.
    ///
    /// # Errors
    /// It isn't done.
    fn order(
        &mut self,
        session: &mut Self::Session,
        now: Instant,
        host: &mut Host<Self::Event>,
        order: &Self::Order,
    ) -> Result<(), NotDone>;

    /// Whether nothing is awaited any more that was ordered.
    fn is_done(&self, session: &Self::Session) -> bool;

    /// Closes the session, with this frame if there are any.
    fn close(session: &mut Self::Session, now: Instant, frame: CloseFrame);

    /// The connection is over, `lasted` after it stood.
    fn ended(
        &mut self,
        _session: &Self::Session,
        _host: &mut Host<Self::Event>,
        _lasted: Duration,
    ) {
    }

    /// Whether to connect again after this.
    fn should_reconnect(&self, error: &<Self::Session as Session>::Error) -> bool;

    /// Why not to connect again, whatever the end was.
    fn gives_up(&self) -> Option<&str> {
        None
    }
}

/// Why an order isn't carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotDone {
    /// It waits, for room or for another connection.
    Yet,
    /// It can't be, for this reason.
    Ever(String),
}

/// An event, told in one line.
pub trait Tell: fmt::Debug {
    /// Writes the line.
    ///
    /// # Errors
    /// As `f`.
    fn tell(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

/// What the user can have done in one protocol.
pub trait Order: Sized {
    /// What all of them look like when typed.
    const TYPED: &str;

    /// Reads what the user typed: the first word, and what comes after it. `None`: there is no such
    /// order.
    ///
    /// # Errors
    /// There is, but not with this after it.
    fn parse(word: &str, rest: &str) -> Result<Option<Self>, String>;

    /// Reads a line that the user typed.
    ///
    /// # Errors
    /// It is no command; the text tells what would be.
    fn command(line: &str) -> Result<Command<Self>, String> {
        let (word, rest) = split(line);
        match word {
            "close" => return close_frame(rest).map(|frame| Command::Close { frame }),
            "quit" if rest.is_empty() => return Ok(Command::Quit),
            _ => {}
        }
        let order = Self::parse(word, rest)?.map(Command::Order);
        let typed = Self::TYPED;
        order.ok_or_else(|| format!("{line:?} is none of: {typed}, close [CODE [REASON]], quit"))
    }
}

/// What the user wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command<O> {
    /// Something of the protocol's.
    Order(O),
    /// To close this connection.
    Close {
        /// Why.
        frame: CloseFrame,
    },
    /// To leave when everything ordered before is done, or when the connection is over. What comes
    /// after it isn't carried out.
    Quit,
    /// To leave at once.
    Leave,
}

impl<O: Order> Command<O> {
    /// Reads a line that the user typed.
    ///
    /// # Errors
    /// It is no command; the text tells what would be.
    pub fn parse(line: &str) -> Result<Self, String> {
        O::command(line)
    }
}

/// What the user gets to know; `Display` is one line.
#[derive(Debug)]
pub enum Note<E> {
    /// The connection stands; only where no event tells so.
    Connected,
    /// Something of the session's.
    Event(E),
    /// Something that the user asked to see.
    Shown(String),
    /// The connection is over, or there never was one.
    Ended(Result<(), String>),
    /// There will be another one.
    Reconnecting {
        /// After this time.
        delay: Duration,
    },
    /// There won't be another one, for this reason.
    GivingUp(String),
    /// A command that couldn't be carried out.
    Trouble(String),
}

impl<E: Tell> fmt::Display for Note<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected => write!(f, "connected"),
            Self::Event(event) => event.tell(f),
            Self::Shown(what) | Self::Trouble(what) => write!(f, "{what}"),
            Self::Ended(Ok(())) => write!(f, "ended clean"),
            Self::Ended(Err(error)) => write!(f, "ended error {error}"),
            Self::Reconnecting { delay } => {
                write!(f, "reconnecting in {:.1}s", delay.as_secs_f64())
            }
            Self::GivingUp(error) => write!(f, "giving up: {error}"),
        }
    }
}

/// Where notes go.
pub type Notes<E> = Box<dyn FnMut(Note<E>) + Send>;

/// What a client has beside its protocol.
pub struct Host<E> {
    notes: Notes<E>,
    backoff: Option<Backoff>,
}

impl<E: fmt::Debug> fmt::Debug for Host<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("backoff", &self.backoff).finish_non_exhaustive()
    }
}

impl<E> Host<E> {
    /// Tells the user.
    pub fn note(&mut self, note: Note<E>) {
        (self.notes)(note);
    }

    /// Tells the user what couldn't be done.
    pub fn trouble(&mut self, what: impl Into<String>) {
        self.note(Note::Trouble(what.into()));
    }

    /// All is well with this connection: the next failure is another one.
    pub fn all_is_well(&mut self) {
        if let Some(backoff) = &mut self.backoff {
            backoff.reset();
        }
    }
}

/// Connects to `address`, and does it again until the user leaves, the error says not to, or there was to
/// be only one connection, which is so without a `backoff`. Tells whether it ended as it should.
pub async fn run<P: Protocol>(
    protocol: P,
    address: &str,
    backoff: Option<Backoff>,
    notes: Notes<P::Event>,
    mut commands: mpsc::Receiver<Command<P::Order>>,
) -> bool {
    let mut client = Client::new(protocol, Host { notes, backoff });
    loop {
        let end = client.connect(address, &mut commands).await;
        let is_clean = matches!(end, Ok(End::Clean));
        client.host.note(Note::Ended(match &end {
            Ok(End::Clean) => Ok(()),
            Ok(End::Error(error)) => Err(error.to_string()),
            Err(error) => Err(error.to_string()),
        }));
        if let Some(why) = client.protocol.gives_up() {
            client.host.note(Note::GivingUp(why.to_owned()));
            return false;
        }
        if client.leaves() {
            return is_clean;
        }
        if let Ok(End::Error(error)) = end
            && !client.protocol.should_reconnect(&error)
        {
            client.host.note(Note::GivingUp(error.to_string()));
            return false;
        }
        let Some(backoff) = &mut client.host.backoff else {
            return is_clean;
        };
        // Without randomness clients may come all at once, but no later than they should.
        let delay = backoff.delay(getrandom::u64().unwrap_or(u64::MAX));
        client.host.note(Note::Reconnecting { delay });
        if client.waits(tokio::time::sleep(delay), &mut commands).await.is_none() {
            return true;
        }
    }
}

/// Talks on a socket that stands already, once.
///
/// # Errors
/// The socket failed, or there can be no session.
pub async fn talk<P: Protocol>(
    protocol: P,
    socket: impl Socket<P::Session>,
    notes: Notes<P::Event>,
    mut commands: mpsc::Receiver<Command<P::Order>>,
) -> io::Result<End<<P::Session as Session>::Error>> {
    Client::new(protocol, Host { notes, backoff: None }).talk(socket, &mut commands).await
}

/// What stays the same over all connections.
struct Client<P: Protocol> {
    protocol: P,
    host: Host<P::Event>,
    /// What the session doesn't take yet.
    waiting: VecDeque<Waiting<P::Order>>,
    is_leaving: bool,
}

enum Waiting<O> {
    Order(O),
    Quit,
}

impl<P: Protocol> Client<P> {
    fn new(protocol: P, host: Host<P::Event>) -> Self {
        Self { protocol, host, waiting: VecDeque::new(), is_leaving: false }
    }

    async fn connect(
        &mut self,
        address: &str,
        commands: &mut mpsc::Receiver<Command<P::Order>>,
    ) -> io::Result<End<<P::Session as Session>::Error>> {
        let connecting = self.protocol.connect(address);
        let Some(socket) = self.waits(connecting, commands).await else {
            return Ok(End::Clean);
        };
        let no_socket = |error| io::Error::other(format!("can't connect to {address}: {error}"));
        self.talk(socket.map_err(no_socket)?, commands).await
    }

    async fn talk(
        &mut self,
        socket: impl Socket<P::Session>,
        commands: &mut mpsc::Receiver<Command<P::Order>>,
    ) -> io::Result<End<<P::Session as Session>::Error>> {
        let start = Instant::now();
        let mut session = self
            .protocol
            .connected(&mut self.host, start)
            .map_err(|error| io::Error::new(ErrorKind::InvalidInput, error))?;
        self.go_on(&mut session, start);
        let end = socket.drive(&mut session, commands, self).await;
        self.protocol.ended(&session, &mut self.host, start.elapsed());
        end
    }

    /// Waits for something else than a session; `None` if the user leaves meanwhile.
    async fn waits<T>(
        &mut self,
        future: impl Future<Output = T>,
        commands: &mut mpsc::Receiver<Command<P::Order>>,
    ) -> Option<T> {
        let mut future = std::pin::pin!(future);
        loop {
            tokio::select! {
                output = &mut future => return Some(output),
                command = commands.recv(), if !self.is_leaving => match command {
                    Some(Command::Close { .. }) => self.host.trouble("there is no connection"),
                    Some(Command::Order(order)) => self.wait(Waiting::Order(order)),
                    Some(Command::Quit) => self.wait(Waiting::Quit),
                    Some(Command::Leave) | None => self.is_leaving = true,
                },
            }
            if self.leaves() {
                return None;
            }
        }
    }

    fn wait(&mut self, what: Waiting<P::Order>) {
        if self.waiting.len() < MAX_WAITING {
            self.waiting.push_back(what);
        } else {
            self.host.trouble("too many commands wait");
        }
    }

    /// With nothing left to do there is nothing to connect for.
    fn leaves(&mut self) -> bool {
        self.is_leaving |= matches!(self.waiting.front(), Some(Waiting::Quit));
        self.is_leaving
    }

    /// Does as much as the session takes now.
    fn go_on(&mut self, session: &mut P::Session, now: Instant) {
        if !self.protocol.go_on(session, now, &mut self.host) {
            return;
        }
        while let Some(next) = self.waiting.front() {
            let done = match next {
                Waiting::Order(order) => self.protocol.order(session, now, &mut self.host, order),
                Waiting::Quit if !self.protocol.is_done(session) => Err(NotDone::Yet),
                Waiting::Quit => {
                    self.is_leaving = true;
                    P::close(session, now, CloseFrame::new(NORMAL, ""));
                    Ok(())
                }
            };
            match done {
                Err(NotDone::Yet) => return,
                Err(NotDone::Ever(why)) => self.host.trouble(format!("not sent: {why}")),
                Ok(()) => {}
            }
            self.waiting.pop_front();
        }
    }
}

impl<P: Protocol> App<P::Session> for Client<P> {
    type Command = Command<P::Order>;

    fn event(&mut self, session: &mut P::Session, now: Instant, event: P::Event) {
        self.protocol.event(session, now, &mut self.host, event);
        self.go_on(session, now);
    }

    fn command(&mut self, session: &mut P::Session, now: Instant, command: Self::Command) {
        match command {
            Command::Close { frame } => return P::close(session, now, frame),
            Command::Leave => {
                self.is_leaving = true;
                return P::close(session, now, CloseFrame::new(GOING_AWAY, ""));
            }
            Command::Order(order) => self.wait(Waiting::Order(order)),
            Command::Quit => self.wait(Waiting::Quit),
        }
        self.go_on(session, now);
    }

    fn relieved(&mut self, session: &mut P::Session, now: Instant) {
        self.go_on(session, now);
    }

    fn commands_closed(&mut self, session: &mut P::Session, now: Instant) {
        self.command(session, now, Command::Quit);
    }
}

/// Where to connect, and how often.
#[derive(Debug, Args)]
pub struct ConnectArgs {
    /// Where the server is, such as ws://127.0.0.1:40123
    #[arg(long, value_name = "URL")]
    pub connect: String,
    /// How often.
    #[command(flatten)]
    pub again: AgainArgs,
}

/// How often to connect.
#[derive(Debug, Clone, Copy, Args)]
pub struct AgainArgs {
    /// Connect only once; the exit status is 0 if that ends well, else 1
    #[arg(long)]
    once: bool,
    /// Least seconds before another connection
    #[arg(long, default_value = "1", value_parser = seconds, value_name = "SECONDS")]
    min_backoff: Duration,
    /// Most seconds before another connection
    #[arg(long, default_value = "8", value_parser = seconds, value_name = "SECONDS")]
    max_backoff: Duration,
}

impl AgainArgs {
    /// What goes between connections, if there are to be several.
    pub fn backoff(self) -> Option<Backoff> {
        (!self.once).then(|| Backoff::new().min(self.min_backoff).max(self.max_backoff))
    }
}

/// Runs a client at the keyboard, or scripted through a pipe: notes go to stdout, troubles to stderr,
/// Ctrl-C ends it. Commands come from stdin, as soon as there is a note that `is_ready`: from then on
/// there is something that they can do.
pub async fn at_terminal<P: Protocol>(
    protocol: P,
    args: ConnectArgs,
    is_ready: impl Fn(&Note<P::Event>) -> bool + Send + 'static,
) -> ExitCode
where
    P::Order: Send + 'static,
{
    let (sender, commands) = mpsc::channel(16);
    let interrupted = sender.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            let _ = interrupted.send(Command::Leave).await;
        }
    });
    let mut sender = Some(sender);
    let notes = Box::new(move |note: Note<P::Event>| {
        print(&note);
        if is_ready(&note)
            && let Some(sender) = sender.take()
        {
            std::thread::spawn(move || read_commands::<P>(&sender));
        }
    });
    let is_well = run(protocol, &args.connect, args.again.backoff(), notes, commands).await;
    if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A thread of its own, since stdin can't be read without blocking; ends with the process.
fn read_commands<P: Protocol>(sender: &mpsc::Sender<Command<P::Order>>) {
    read_lines(|line| match Command::parse(line) {
        Ok(command) => sender.blocking_send(command).is_ok(),
        Err(error) => {
            print(&Note::<P::Event>::Trouble(error));
            true
        }
    });
    let _ = sender.blocking_send(Command::Quit);
}

fn print<E: Tell>(note: &Note<E>) {
    let line = printable(&note.to_string());
    // Nobody reads it? Go on.
    let _ = match note {
        Note::Trouble(_) => writeln!(io::stderr(), "{line}"),
        _ => writeln!(io::stdout(), "{line}"),
    };
}

//! A chat client for the terminal.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Buf;
use delimchat_proto::{
    Client, ClientConfig, ClientEvent, LoginError, LongMessage, Outcome, RequestId, RoomId, Secret,
    SendError, SessionError, UniqueId,
};
use smallwire_core::CloseFrame;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::args::split;
use crate::client::{self, ByteStream, Command, Host, NotDone, Note, Protocol, Tell};
use crate::delimchat_args::{room, room_name, user_name};
use crate::delimchat_server::Password;

/// How long a connection may take to stand.
const CONNECT_TIME: Duration = Duration::from_secs(10);

/// More of a file isn't read: no server takes as much.
const MAX_FILE: u64 = 16 << 20;

/// Characters of a long message that are shown.
const MAX_SHOWN: usize = 200;

/// Percent from one sign of a long message's progress to the next.
const STEP: u64 = 10;

/// What the user can have done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// To log in.
    Login(Credentials),
    /// To get an account.
    Register(Credentials, String),
    /// To join a room, or to turn to one.
    Join(RoomId, Password),
    /// To leave a room, with a last word.
    Part(Option<RoomId>, Option<String>),
    /// To go by another name.
    Alias(String),
    /// To invite a user to the room: all of its endpoints, or the one with this alias.
    Invite(String, String),
    /// To say something, in the room unless another is named.
    Say(Option<RoomId>, String),
    /// To say what is in a file of this name.
    Long(String, Vec<u8>),
}

/// A name and what proves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// As who.
    pub username: String,
    /// Proven by what.
    pub password: Password,
}

impl client::Order for Order {
    const TYPED: &str = "/login NAME PASSWORD, /register NAME PASSWORD EMAIL, \
        /join ROOM [PASSWORD], /part [ROOM [LAST WORD]], /alias NAME, /invite USER [ALIAS], \
        /msg ROOM TEXT, /long FILE, /quit; all else is said in the room";

    fn parse(word: &str, rest: &str) -> Result<Option<Self>, String> {
        let rest = rest.trim_end();
        let (first, more) = split(rest);
        let (second, third) = split(more);
        let password = |text: &str| Secret::new(Box::from(text.as_bytes()));
        let credentials = || Credentials { username: first.into(), password: password(second) };
        Ok(Some(match word {
            "login" if !second.is_empty() && third.is_empty() => Self::Login(credentials()),
            "register" if !third.is_empty() => Self::Register(credentials(), third.into()),
            "join" if !first.is_empty() && third.is_empty() => {
                Self::Join(room(first)?, password(second))
            }
            "part" if first.is_empty() => Self::Part(None, None),
            "part" => Self::Part(Some(room(first)?), (!more.is_empty()).then(|| more.into())),
            "alias" if !rest.is_empty() => Self::Alias(rest.into()),
            "invite" if !first.is_empty() => Self::Invite(first.into(), more.into()),
            "msg" if !more.is_empty() => Self::Say(Some(room(first)?), more.into()),
            "long" if !rest.is_empty() => {
                let path = Path::new(rest);
                let bytes = read(path).map_err(|error| format!("can't read {rest}: {error}"))?;
                let name = path.file_name().unwrap_or(path.as_os_str());
                Self::Long(name.to_string_lossy().into_owned(), bytes)
            }
            _ => return Ok(None),
        }))
    }

    /// Whatever has no slash in front, or two, is to be said.
    fn command(line: &str) -> Result<Command<Self>, String> {
        let line = line.trim_end();
        let said = match line.strip_prefix('/') {
            None => Some(line),
            Some(command) => command.starts_with('/').then_some(command),
        };
        if let Some(text) = said {
            return Ok(Command::Order(Self::Say(None, text.into())));
        }
        let (word, rest) = split(line.trim_start_matches('/'));
        if (word, rest) == ("quit", "") {
            return Ok(Command::Quit);
        }
        let order = Self::parse(word, rest)?.map(Command::Order);
        // Not the whole line, in which there may be a password.
        order.ok_or_else(|| format!("/{word}, as it is here, is none of: {}", Self::TYPED))
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE).read_to_end(&mut bytes)?;
    Ok(bytes)
}

impl Tell for ClientEvent {
    fn tell(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Guest { username } => write!(f, "connected as {username}"),
            Self::Message { room, username, alias, message, .. } => {
                let text = String::from_utf8_lossy(message);
                write!(f, "[{}] {}: {text}", room_name(*room), user_name(username, alias))
            }
            Self::LongMessage { room, message, .. } => {
                let shown: String =
                    String::from_utf8_lossy(message.chunk()).chars().take(MAX_SHOWN).collect();
                write!(f, "[{}] {} bytes: {shown}…", room_name(*room), message.remaining())
            }
            Self::LongMessageDropped { reason, .. } => {
                write!(f, "a long message doesn't arrive: {reason:?}")
            }
            Self::UserJoined { room, username, alias } => {
                write!(f, "[{}] {} is here", room_name(*room), user_name(username, alias))
            }
            Self::UserParted { room, username, alias } => {
                write!(f, "[{}] {} has left", room_name(*room), user_name(username, alias))
            }
            Self::AliasChanged { username, old_alias, new_alias } => {
                write!(f, "{} is now {new_alias}", user_name(username, old_alias))
            }
            other => write!(f, "{other:?}"),
        }
    }
}

/// What awaits its outcome.
#[derive(Debug)]
enum What {
    /// `by_itself`: not as typed, but as it was for an earlier connection or on the command line.
    Login {
        credentials: Credentials,
        by_itself: bool,
    },
    Register(Credentials),
    Join(RoomId, Password),
    Part(RoomId),
    Alias(String),
    Say(RoomId),
    Long {
        name: String,
        /// Percent that the user was told.
        told: u64,
    },
}

/// One user, over all its connections.
#[derive(Debug)]
pub struct Chatter {
    config: Arc<ClientConfig>,
    credentials: Option<Credentials>,
    /// Where long messages are saved.
    save: Option<PathBuf>,
    /// Where plain lines are said.
    room: RoomId,
    /// Rooms to come back to.
    rooms: BTreeMap<RoomId, Password>,
    alias: Option<String>,
    open: BTreeMap<RequestId, What>,
    why_not: Option<String>,
}

impl Chatter {
    /// A user, a guest without credentials. Long messages are saved if there is a place for them.
    pub fn new(
        config: Arc<ClientConfig>,
        credentials: Option<Credentials>,
        save: Option<PathBuf>,
    ) -> Self {
        Self {
            config,
            credentials,
            save,
            room: RoomId::GLOBAL,
            rooms: BTreeMap::new(),
            alias: None,
            open: BTreeMap::new(),
            why_not: None,
        }
    }

    fn is_pending(&self, is_it: impl Fn(&What) -> bool) -> bool {
        self.open.values().any(is_it)
    }

    fn log_in(
        &mut self,
        session: &mut Client,
        now: Instant,
        credentials: Credentials,
        by_itself: bool,
    ) -> Result<(), LoginError> {
        let Credentials { username, password } = &credentials;
        let request = session.login(now, username, password.expose())?;
        self.open.insert(request, What::Login { credentials, by_itself });
        Ok(())
    }

    fn join(
        &mut self,
        session: &mut Client,
        now: Instant,
        room: RoomId,
        password: Password,
    ) -> Result<(), SendError> {
        let request = session.join(now, room, password.expose())?;
        self.open.insert(request, What::Join(room, password));
        Ok(())
    }

    fn change_alias(
        &mut self,
        session: &mut Client,
        now: Instant,
        alias: &str,
    ) -> Result<(), SendError> {
        let request = session.change_alias(now, alias)?;
        self.open.insert(request, What::Alias(alias.to_owned()));
        Ok(())
    }

    /// Logged in: everything is to be as it was.
    fn come_back(
        &mut self,
        session: &mut Client,
        now: Instant,
        host: &mut Host<ClientEvent>,
        credentials: Credentials,
    ) {
        self.credentials = Some(credentials);
        host.all_is_well();
        let mut sent = match self.alias.clone() {
            Some(alias) => self.change_alias(session, now, &alias),
            None => Ok(()),
        };
        for (room, password) in self.rooms.clone() {
            sent = sent.and_then(|()| self.join(session, now, room, password));
        }
        if let Err(error) = sent {
            host.trouble(format!("not all is as it was: {error}"));
        }
    }

    fn outcome(
        &mut self,
        session: &mut Client,
        now: Instant,
        host: &mut Host<ClientEvent>,
        what: What,
        outcome: Outcome,
    ) {
        let okay = outcome == Outcome::Okay;
        let shown = match what {
            What::Login { credentials, .. } if okay => {
                host.note(Note::Shown(format!("logged in as {}", credentials.username)));
                return self.come_back(session, now, host, credentials);
            }
            What::Register(credentials) if okay => {
                host.note(Note::Shown(format!("registered as {}", credentials.username)));
                return self.come_back(session, now, host, credentials);
            }
            What::Join(room, password) if okay => {
                self.rooms.insert(room, password);
                self.room = room;
                format!("you are in {} now", room_name(room))
            }
            What::Part(room) if okay => {
                self.rooms.remove(&room);
                if self.room == room {
                    self.room = RoomId::GLOBAL;
                }
                format!("you have left {}", room_name(room))
            }
            What::Alias(alias) if okay => {
                let shown = format!("you are {alias} now");
                self.alias = Some(alias);
                shown
            }
            What::Long { name, .. } if okay => format!("{name}: arrived"),
            // What was said is on the screen already.
            What::Say(_) if okay => return,
            What::Login { by_itself: true, .. }
                if matches!(outcome, Outcome::LoginRefused { .. } | Outcome::Malformed) =>
            {
                let why = format!("login refused: {}", told(outcome));
                self.why_not = Some(why);
                return session.close(now);
            }
            What::Login { .. } => {
                let lost = matches!(outcome, Outcome::Closed | Outcome::TimedOut);
                let what = if lost { "not logged in" } else { "login refused" };
                return host.trouble(format!("{what}: {}", told(outcome)));
            }
            What::Register(_) => {
                return host.trouble(format!("registration refused: {}", told(outcome)));
            }
            What::Join(room, _) => {
                // Not to be tried again and again.
                if outcome != Outcome::Closed {
                    self.rooms.remove(&room);
                    if self.room == room {
                        self.room = RoomId::GLOBAL;
                    }
                }
                return host.trouble(format!("not in {}: {}", room_name(room), told(outcome)));
            }
            What::Part(room) => {
                return host.trouble(format!("{} isn't left: {}", room_name(room), told(outcome)));
            }
            What::Alias(alias) => {
                if self.alias.as_ref() == Some(&alias) {
                    self.alias = None;
                }
                return host.trouble(format!("you aren't {alias}: {}", told(outcome)));
            }
            What::Say(room) => {
                return host.trouble(format!("not said in {}: {}", room_name(room), told(outcome)));
            }
            What::Long { name, .. } => {
                return host.trouble(format!("{name} doesn't arrive: {}", told(outcome)));
            }
        };
        host.note(Note::Shown(shown));
    }

    fn saved(&self, id: UniqueId, room: RoomId, message: &LongMessage) -> Option<String> {
        let path = self.save.as_ref()?.join(id.to_string());
        let shown = format!("[{}] {} bytes", room_name(room), message.remaining());
        Some(match std::fs::write(&path, message.to_vec()) {
            Ok(()) => format!("{shown}, saved as {}", path.display()),
            Err(error) => format!("{shown}, not saved as {}: {error}", path.display()),
        })
    }
}

/// Why something isn't done.
fn told(outcome: Outcome) -> String {
    let told = match outcome {
        Outcome::LoginRefused { username, password, byte_order } => format!(
            "username {}, password {}, byte order {}",
            username.name(),
            password.name(),
            byte_order.name()
        ),
        Outcome::RegisterRefused { username, password, email } => format!(
            "username {}, password {}, e-mail {}",
            username.name(),
            password.name(),
            email.name()
        ),
        Outcome::MessageRefused { room, message } => {
            format!("room {}, message {}", room.name(), message.name())
        }
        Outcome::HeadRefused { remaining, room, message } => format!(
            "number of parts {}, room {}, message {}",
            remaining.name(),
            room.name(),
            message.name()
        ),
        Outcome::PartRefused { number, room, message } => {
            format!("part {}, room {}, message {}", number.name(), room.name(), message.name())
        }
        Outcome::JoinRefused(status) => status.name().into(),
        Outcome::LeaveRefused(status) => status.name().into(),
        Outcome::AliasRefused(status) => status.name().into(),
        Outcome::Malformed => "the server can't read it".into(),
        Outcome::TimedOut => "no answer in time".into(),
        _ => "the connection is over".into(),
    };
    told.replace('_', " ")
}

fn not_done(error: SendError) -> NotDone {
    match error {
        SendError::QueueFull
        | SendError::TooManyPending
        | SendError::TooManyLong
        | SendError::Ended => NotDone::Yet,
        error => NotDone::Ever(error.to_string()),
    }
}

impl Protocol for Chatter {
    type Session = Client;
    type Socket = ByteStream<TcpStream>;
    type Event = ClientEvent;
    type Order = Order;

    fn connect(&self, address: &str) -> impl Future<Output = io::Result<Self::Socket>> + 'static {
        let address = address.to_owned();
        async move {
            let stream = timeout(CONNECT_TIME, TcpStream::connect(address));
            let stream = stream.await.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))?;
            // What people say is small and wants to be there at once.
            stream.set_nodelay(true)?;
            Ok(ByteStream(stream))
        }
    }

    fn connected(
        &mut self,
        _: &mut Host<ClientEvent>,
        now: Instant,
    ) -> Result<Client, Box<dyn Error + Send + Sync>> {
        self.open.clear();
        let mut session = Client::new(self.config.clone(), now);
        if let Some(credentials) = self.credentials.clone() {
            self.log_in(&mut session, now, credentials, true)?;
        }
        Ok(session)
    }

    fn event(
        &mut self,
        session: &mut Client,
        now: Instant,
        host: &mut Host<ClientEvent>,
        event: ClientEvent,
    ) {
        match &event {
            ClientEvent::Outcome { request, outcome } => {
                if let Some(what) = self.open.remove(request) {
                    self.outcome(session, now, host, what, *outcome);
                }
                return;
            }
            ClientEvent::Progress { request, arrived, parts } => {
                let Some(What::Long { name, told }) = self.open.get_mut(request) else { return };
                let percent = u64::from(*arrived) * 100 / u64::from(*parts) / STEP * STEP;
                if percent > *told {
                    *told = percent;
                    host.note(Note::Shown(format!("{name}: {percent} % arrived")));
                }
                return;
            }
            ClientEvent::LongMessage { unique_id, room, message } => {
                if let Some(shown) = self.saved(*unique_id, *room, message) {
                    return host.note(Note::Shown(shown));
                }
            }
            ClientEvent::Guest { .. } if self.credentials.is_none() => host.all_is_well(),
            _ => {}
        }
        host.note(Note::Event(event));
    }

    fn order(
        &mut self,
        session: &mut Client,
        now: Instant,
        host: &mut Host<ClientEvent>,
        order: &Order,
    ) -> Result<(), NotDone> {
        let is_login = |what: &What| matches!(what, What::Login { .. } | What::Register(_));
        match order {
            _ if self.is_pending(is_login) => return Err(NotDone::Yet),
            Order::Login(_) | Order::Register(..) => {}
            _ if session.is_logged_in() => {}
            _ => return Err(NotDone::Ever("/login or /register first".into())),
        }
        // Which room it is about is known then.
        if self.is_pending(|what| matches!(what, What::Join(..) | What::Part(_))) {
            return Err(NotDone::Yet);
        }
        let sent = match order {
            Order::Login(credentials) => {
                return match self.log_in(session, now, credentials.clone(), false) {
                    Err(LoginError::Send(error)) => Err(not_done(error)),
                    logged_in => logged_in.map_err(|error| NotDone::Ever(error.to_string())),
                };
            }
            Order::Register(credentials, email) => {
                let Credentials { username, password } = credentials;
                match session.register(now, username, password.expose(), email) {
                    Ok(request) => self.open.insert(request, What::Register(credentials.clone())),
                    Err(LoginError::Send(error)) => return Err(not_done(error)),
                    Err(error) => return Err(NotDone::Ever(error.to_string())),
                };
                Ok(())
            }
            Order::Join(room, _)
                if matches!(*room, RoomId::GLOBAL | RoomId::ECHO)
                    || self.rooms.contains_key(room) =>
            {
                self.room = *room;
                host.note(Note::Shown(format!("you are in {} now", room_name(*room))));
                Ok(())
            }
            Order::Join(room, password) => self.join(session, now, *room, password.clone()),
            Order::Part(room, message) => {
                let room = room.unwrap_or(self.room);
                session.part(now, room, message.as_deref()).map(|request| {
                    self.open.insert(request, What::Part(room));
                })
            }
            Order::Alias(alias) => self.change_alias(session, now, alias),
            Order::Invite(username, alias) => session.invite(now, self.room, username, alias),
            Order::Say(room, text) => {
                let room = room.unwrap_or(self.room);
                session.send_message(now, room, text.as_bytes()).map(|request| {
                    self.open.insert(request, What::Say(room));
                })
            }
            Order::Long(name, message) => {
                session.send_message(now, self.room, message).map(|request| {
                    self.open.insert(request, What::Long { name: name.clone(), told: 0 });
                })
            }
        };
        sent.map_err(not_done)
    }

    fn is_done(&self, _: &Client) -> bool {
        self.open.is_empty()
    }

    fn close(session: &mut Client, now: Instant, _: CloseFrame) {
        session.close(now);
    }

    fn should_reconnect(&self, error: &SessionError) -> bool {
        error.should_reconnect()
    }

    fn gives_up(&self) -> Option<&str> {
        self.why_not.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_typed() {
        let parse = Command::<Order>::parse;
        let order = |order| Ok(Command::Order(order));
        let password = |text: &str| Secret::new(Box::from(text.as_bytes()));
        let ada = Credentials { username: "ada".into(), password: password("x") };
        let lobby = RoomId(*b"000lobby");
        assert_eq!(parse("hello  you "), order(Order::Say(None, "hello  you".into())));
        assert_eq!(parse("//join us"), order(Order::Say(None, "/join us".into())));
        assert_eq!(parse("/msg lobby a b"), order(Order::Say(Some(lobby), "a b".into())));
        assert_eq!(parse("/login ada x"), order(Order::Login(ada.clone())));
        assert_eq!(parse("/register ada x a@b"), order(Order::Register(ada, "a@b".into())));
        assert_eq!(parse("/join lobby"), order(Order::Join(lobby, password(""))));
        assert_eq!(parse("/join lobby pw"), order(Order::Join(lobby, password("pw"))));
        assert_eq!(parse("/join echo"), order(Order::Join(RoomId::ECHO, password(""))));
        assert_eq!(parse("/part"), order(Order::Part(None, None)));
        assert_eq!(parse("/part lobby"), order(Order::Part(Some(lobby), None)));
        let so_long = Some("so long".into());
        assert_eq!(parse("/part lobby so long"), order(Order::Part(Some(lobby), so_long)));
        assert_eq!(parse("/alias The Countess"), order(Order::Alias("The Countess".into())));
        assert_eq!(parse("/invite ben"), order(Order::Invite("ben".into(), String::new())));
        assert_eq!(parse("/invite ben Big B"), order(Order::Invite("ben".into(), "Big B".into())));
        assert_eq!(parse("/quit"), Ok(Command::Quit));
        for line in [
            "/",
            "/hop",
            "/login ada",
            "/register ada x",
            "/join",
            "/join far-too-long",
            "/msg lobby",
            "/alias",
            "/invite",
            "/long",
            "/long /no/such/file",
            "/quit now",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
        assert!(!parse("/login ada hunter2 x").unwrap_err().contains("hunter2"));
    }
}

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;
use std::time::Instant;

use serde::Serialize;
use smallwire_core::{CloseFrame, End, Message, Secret, Session};

use crate::connection::{Common, Connection, Endpoint, Side, delegate_session};
use crate::{
    AnswerError, ClientEvent, ClientMessage, CloseCode, Config, EncodeError, PeerRequestId,
    RequestId, Role, SendError, ServerMessage, SessionError, Violation, ViolationKind,
};
use smallwire_core::clock::{Time, nanos};

const HEARTBEAT: &[u8] = br#"{"op":2}"#;

/// The connecting component's end of one connection.
///
/// Made when the WebSocket stands; how it is driven is told at [`Session`]. It answers the server's
/// Hello with the password, sends heartbeats by itself, and reports everything else as a
/// [`ClientEvent`].
///
/// ```
/// use litecord_proto::{Client, ClientEvent, Config, Outcome, Server, ServerEvent, Session};
/// use std::{sync::Arc, time::Instant};
///
/// let (config, now) = (Arc::new(Config::default().password("hunter2")), Instant::now());
/// let mut server = Server::new(config.clone(), now);
/// let mut client = Client::new(config, "hunter2", now)?;
///
/// // In your program this is a WebSocket.
/// client.handle_input(now, &server.poll_transmit().unwrap());
/// while let Some(message) = client.poll_transmit() {
///     server.handle_input(now, &message);
/// }
/// assert_eq!(server.poll_event(), Some(ServerEvent::Authenticated));
///
/// let asked = client.request(now, "GUILD_SUBSCRIBERS", &[42])?;
/// server.handle_input(now, &client.poll_transmit().unwrap());
/// let Some(ServerEvent::Request { id, what, args }) = server.poll_event() else { panic!() };
/// assert_eq!((&*what, args.parse::<[u64; 1]>()?), ("GUILD_SUBSCRIBERS", [42]));
/// server.respond(now, id, &["ada", "grace"])?;
///
/// while let Some(message) = server.poll_transmit() {
///     client.handle_input(now, &message);
/// }
/// let answer = std::iter::from_fn(|| client.poll_event()).find_map(|event| match event {
///     ClientEvent::Outcome { request, outcome: Outcome::Response(r) } if request == asked => Some(r),
///     _ => None,
/// });
/// assert_eq!(answer.unwrap().get(), r#"["ada","grace"]"#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Client(Endpoint<ClientSide>);

impl Client {
    /// Starts a session, which waits for the server's Hello.
    ///
    /// # Errors
    /// The HelloAck with this password would be longer than `max_message`.
    pub fn new(config: Arc<Config>, password: &str, now: Instant) -> Result<Self, EncodeError> {
        let mut hello_ack = Vec::new();
        ClientMessage::HelloAck { password: Secret::new(password.into()) }
            .encode(&config.codec, &mut hello_ack)?;
        let timeout = config.handshake_timeout;
        Ok(Self(Endpoint::new(config, now, |clock| ClientSide::Connecting {
            hello_ack: Secret::new(hello_ack.into()),
            deadline: clock.after(timeout),
        })))
    }

    /// Whether the server has let us in, as far as can be told: nothing on the wire says so, but it
    /// has answered (step 2).
    pub fn is_authenticated(&self) -> bool {
        matches!(self.0.side, ClientSide::Connected { authenticated: true, .. })
    }
}

enum ClientSide {
    Connecting {
        hello_ack: Secret<Box<[u8]>>,
        deadline: Time,
    },
    Connected {
        interval: u64,
        next_heartbeat: Time,
        /// When the Heartbeat was sent that isn't acknowledged yet.
        unacknowledged: Option<Time>,
        authenticated: bool,
    },
}

impl ClientSide {
    fn connect(
        &mut self,
        c: &mut Connection<Self>,
        hello_ack: Box<[u8]>,
        milliseconds: u64,
    ) -> Result<(), Violation> {
        let heartbeat_interval = Duration::from_millis(milliseconds);
        if heartbeat_interval < c.config.min_heartbeat_interval || milliseconds == 0 {
            return Err(Violation::at_start(ViolationKind::IntervalTooShort(milliseconds)));
        }
        c.transmit_text(hello_ack);
        c.ready = true;
        c.push_event(ClientEvent::Connected { heartbeat_interval }, 0);
        *self = Self::Connected {
            interval: nanos(heartbeat_interval),
            next_heartbeat: c.clock().time(),
            unacknowledged: None,
            authenticated: false,
        };
        self.handle_due(c);
        Ok(())
    }

    /// The server has answered something.
    fn authenticate(&mut self, c: &mut Connection<Self>) {
        if let Self::Connected { authenticated: authenticated @ false, .. } = self {
            *authenticated = true;
            c.push_event(ClientEvent::Authenticated, 0);
        }
    }

    fn handle_heartbeat_ack(&mut self, c: &mut Connection<Self>) {
        self.authenticate(c);
        if let Self::Connected { unacknowledged, .. } = self {
            if let Some(sent) = unacknowledged.take() {
                let round_trip = Duration::from_nanos(c.clock().time().saturating_sub(sent));
                c.push_event(ClientEvent::HeartbeatAck { round_trip }, 0);
            }
        }
    }
}

impl Side for ClientSide {
    const ROLE: Role = Role::Client;
    type Event = ClientEvent;

    fn handle_message(
        &mut self,
        c: &mut Connection<Self>,
        text: &[u8],
        arrived: Time,
    ) -> Result<(), Violation> {
        let message = ServerMessage::decode(text, c.codec()).map_err(Violation::malformed)?;
        let out_of_turn = Err(Violation::at_start(ViolationKind::OutOfTurn(message.op())));
        if let Self::Connecting { hello_ack, .. } = self {
            let ServerMessage::Hello { heartbeat_interval } = message else { return out_of_turn };
            let hello_ack = core::mem::take(hello_ack).into_inner();
            return self.connect(c, hello_ack, heartbeat_interval);
        }
        match message {
            ServerMessage::Hello { .. } => return out_of_turn,
            ServerMessage::HeartbeatAck => self.handle_heartbeat_ack(c),
            ServerMessage::Request { what, args, nonce } => {
                c.handle_request(what, args, nonce, arrived)?;
            }
            ServerMessage::Response { nonce, result } => {
                self.authenticate(c);
                c.handle_response(nonce, result);
            }
            ServerMessage::Dispatch { what, args } => c.handle_dispatch(what, args),
            ServerMessage::Unknown { op, raw } => c.handle_unknown(op, raw),
        }
        Ok(())
    }

    fn next_deadline(&self) -> Time {
        match self {
            Self::Connecting { deadline, .. } => *deadline,
            Self::Connected { next_heartbeat, .. } => *next_heartbeat,
        }
    }

    fn handle_due(&mut self, c: &mut Connection<Self>) {
        let time = c.clock().time();
        match self {
            Self::Connecting { .. } => {
                let error = SessionError::HandshakeTimeout;
                c.close_with_error(CloseCode::POLICY_VIOLATION, error);
            }
            Self::Connected { unacknowledged: Some(_), .. } => {
                let error = SessionError::HeartbeatTimeout;
                c.close_with_error(CloseCode::HEARTBEAT_TIMEOUT, error);
            }
            Self::Connected { interval, next_heartbeat, unacknowledged, .. } => {
                // However much waits already. But if the last one still does, its ack was made up.
                c.transmit_once(HEARTBEAT);
                *unacknowledged = Some(time);
                // On the beat, unless the caller came a whole beat late.
                let on_the_beat = next_heartbeat.saturating_add(*interval);
                *next_heartbeat =
                    if on_the_beat > time { on_the_beat } else { time.saturating_add(*interval) };
            }
        }
    }
}

/// Without the password.
impl fmt::Debug for ClientSide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connecting { .. } => f.write_str("Connecting"),
            Self::Connected { authenticated, .. } => f
                .debug_struct("Connected")
                .field("authenticated", authenticated)
                .finish_non_exhaustive(),
        }
    }
}

delegate_session!(Client, ClientEvent);

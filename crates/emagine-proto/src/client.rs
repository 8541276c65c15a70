use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;
use std::time::Instant;

use smallwire_core::clock::{NEVER, Time};
use smallwire_core::{CloseFrame, End, Json, Message, Secret, Session};

use crate::connection::{Common, Endpoint, Side, delegate_session};
use crate::{
    ClientEvent, ClientMessage, CloseCode, Config, EncodeError, OpCode, Role, SendError,
    ServerMessage, SessionError, Violation, ViolationKind,
};

/// The reading end of one connection.
///
/// Made when the WebSocket stands; how it is driven is told at [`Session`]. It answers the server's
/// Hello with the token, sends heartbeats and acknowledges the server's by itself, and reports
/// everything else as a [`ClientEvent`]. Messages go from the server to the client only (step 3).
///
/// ```
/// use emagine_proto::{Client, ClientEvent, Config, Server, ServerEvent, Session};
/// use std::{sync::Arc, time::Instant};
///
/// let (config, now) = (Arc::new(Config::default()), Instant::now());
/// let mut server = Server::new(config.clone(), now);
/// let mut client = Client::new(config, "a token", now)?;
///
/// // In your program this is a WebSocket.
/// client.handle_input(now, &server.poll_transmit().unwrap());
/// server.handle_input(now, &client.poll_transmit().unwrap());
/// let Some(ServerEvent::Identify { token }) = server.poll_event() else { panic!() };
/// assert_eq!(&**token.expose(), "a token");
/// server.accept(now, "ada")?;
/// server.send_message(now, &["hello", "ada"])?;
///
/// while let Some(message) = server.poll_transmit() {
///     client.handle_input(now, &message);
/// }
/// assert!(matches!(client.poll_event(), Some(ClientEvent::Connected { .. })));
/// assert_eq!(client.poll_event(), Some(ClientEvent::Ready { user: "ada".into() }));
/// let Some(ClientEvent::Message { message }) = client.poll_event() else { panic!() };
/// assert_eq!(message.get(), r#"["hello","ada"]"#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Client(Endpoint<ClientSide>);

impl Client {
    /// Starts a session, which waits for the server's Hello.
    ///
    /// # Errors
    /// The Identify with this token would be longer than `max_message`.
    pub fn new(config: Arc<Config>, token: &str, now: Instant) -> Result<Self, EncodeError> {
        let mut identify = Vec::new();
        ClientMessage::Identify { token: Secret::new(token.into()) }
            .encode(&config.codec, &mut identify)?;
        identify.shrink_to_fit();
        let common = Common::new(config, now);
        let side = ClientSide::Connecting {
            identify: Box::new(Secret::new(identify)),
            deadline: common.connection.clock.after(common.config.handshake_timeout),
        };
        Ok(Self(Endpoint { common, side }))
    }

    /// Whether the server has let us in (step 2); still so after the end.
    pub fn is_ready(&self) -> bool {
        matches!(self.0.side, ClientSide::Ready)
    }
}

enum ClientSide {
    /// No Hello yet.
    Connecting {
        // Boxed, or every client would be the larger for it, ever after.
        identify: Box<Secret<Vec<u8>>>,
        deadline: Time,
    },
    /// No Ready yet.
    Identified {
        deadline: Time,
    },
    Ready,
}

impl ClientSide {
    /// Step 1.
    fn handle_hello(&mut self, c: &mut Common<Self>, milliseconds: u64) -> Result<(), Violation> {
        let Self::Connecting { identify, .. } = self else {
            return Err(Violation::at_start(ViolationKind::OutOfTurn(OpCode::HELLO)));
        };
        let heartbeat_interval = Duration::from_millis(milliseconds);
        if heartbeat_interval < c.config.min_heartbeat_interval || milliseconds == 0 {
            return Err(Violation::at_start(ViolationKind::IntervalTooShort(milliseconds)));
        }
        c.transmit(core::mem::take(&mut **identify).into_inner());
        c.heartbeats.start(heartbeat_interval, &c.connection.clock);
        c.connection.push_event(ClientEvent::Connected { heartbeat_interval }, 0);
        let deadline = c.connection.clock.after(c.config.handshake_timeout);
        *self = Self::Identified { deadline };
        Ok(())
    }
}

impl Side for ClientSide {
    const ROLE: Role = Role::Client;
    type Event = ClientEvent;

    fn handle_message(&mut self, c: &mut Common<Self>, text: &[u8]) -> Result<(), Violation> {
        let message = ServerMessage::decode(text, c.codec()).map_err(Violation::malformed)?;
        let op = message.op();
        match (message, &self) {
            (ServerMessage::Hello { heartbeat_interval }, _) => {
                return self.handle_hello(c, heartbeat_interval);
            }
            (ServerMessage::Ready { user }, Self::Identified { .. }) => {
                let bytes = user.len();
                c.connection.push_event(ClientEvent::Ready { user: user.into() }, bytes);
                *self = Self::Ready;
            }
            (ServerMessage::Message { message }, Self::Ready) => {
                let event = ClientEvent::Message { message: message.to_owned() };
                c.connection.push_event(event, message.get().len());
            }
            (ServerMessage::Ready { .. } | ServerMessage::Message { .. }, _) => {
                return Err(Violation::at_start(ViolationKind::OutOfTurn(op)));
            }
            (ServerMessage::Heartbeat { time }, _) => return c.handle_heartbeat(time),
            (ServerMessage::HeartbeatAck { time }, _) => return c.handle_ack(time),
            (ServerMessage::Unknown { op, raw }, _) => c.handle_unknown(op, raw),
        }
        Ok(())
    }

    fn next_deadline(&self) -> Time {
        match self {
            Self::Connecting { deadline, .. } | Self::Identified { deadline } => *deadline,
            Self::Ready => NEVER,
        }
    }

    fn handle_due(&mut self, c: &mut Common<Self>) {
        c.close_with_error(CloseCode::TIMED_OUT, SessionError::HandshakeTimeout);
    }

    fn acknowledged(round_trip: Duration) -> ClientEvent {
        ClientEvent::HeartbeatAck { round_trip }
    }

    fn unknown(op: OpCode, raw: Json) -> ClientEvent {
        ClientEvent::Unknown { op, raw }
    }
}

/// Without the token.
impl fmt::Debug for ClientSide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connecting { .. } => "Connecting",
            Self::Identified { .. } => "Identified",
            Self::Ready => "Ready",
        })
    }
}

delegate_session!(Client, ClientEvent);

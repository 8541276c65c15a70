use alloc::sync::Arc;
use core::fmt;
use std::time::Instant;

use bytes::Bytes;
use smallwire_core::{End, Secret, Session};

use crate::connection::{Common, Connection, Endpoint, Side, delegate_session, reply_body};
use crate::{
    AnswerError, ClientEvent, Config, EncodeError, Frame, Identification, MessageId, OpCode,
    Outcome, Payload, PeerRequestId, RequestId, Role, SendError, ServerMessage, SessionError,
    Violation, ViolationKind,
};

/// The game plugin's end of one connection.
///
/// Made when the TCP connection stands; how it is driven is told at [`Session`]. It identifies
/// itself first thing, answers Pings by itself, and reports everything else as a [`ClientEvent`].
///
/// Once Ready it waits for its requests only: it doesn't know how often the server sends Pings. A server that
/// vanished without a word shows when a request times out, or by the keep-alive of the socket.
///
/// ```
/// use bingo_proto::{Client, ClientEvent, Config, Identification, Outcome, Server, ServerEvent, Session};
/// use std::{sync::Arc, time::Instant};
///
/// let (config, now) = (Arc::new(Config::default()), Instant::now());
/// let mut server = Server::new(config.clone(), now);
/// let mut client = Client::new(config, &Identification::new("9f2c", "Ada"), now)?;
///
/// // In your program this is a socket.
/// server.handle_input(now, &client.poll_transmit().unwrap());
/// let Some(ServerEvent::Identified(who)) = server.poll_event() else { panic!() };
/// server.accept(now, format!("token of {}", who.username).as_bytes())?;
///
/// client.handle_input(now, &server.poll_transmit().unwrap());
/// let Some(ClientEvent::Ready { token }) = client.poll_event() else { panic!() };
/// assert_eq!(token.expose().as_str(), Some("token of Ada"));
///
/// let claim = client.request(now, b"claim 7")?;
/// server.handle_input(now, &client.poll_transmit().unwrap());
/// let Some(ServerEvent::Request { id, payload }) = server.poll_event() else { panic!() };
/// assert_eq!(payload, b"claim 7");
/// server.reject(now, id, "taken")?;
///
/// client.handle_input(now, &server.poll_transmit().unwrap());
/// let outcome = Outcome::ErrorReply { text: "taken".into() };
/// assert_eq!(client.poll_event(), Some(ClientEvent::Outcome { request: claim, outcome }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Client(Endpoint<ClientSide>);

impl Client {
    /// Starts a session and queues its Identification (conversation, step 1).
    ///
    /// # Errors
    /// The Identification is longer than `max_payload`.
    pub fn new(
        config: Arc<Config>,
        identification: &Identification<'_>,
        now: Instant,
    ) -> Result<Self, EncodeError> {
        let mut endpoint = Endpoint::new(config, ClientSide, now);
        let connection = &mut endpoint.connection;
        let json = identification.to_json();
        connection.send(OpCode::Identification, json.as_bytes()).map_err(|_| {
            EncodeError::PayloadTooLarge { len: json.len(), limit: connection.codec().max_payload }
        })?;
        Ok(Self(endpoint))
    }

    /// Asks the server. Exactly one [`ClientEvent::Outcome`] will tell how it ended (step 5).
    ///
    /// # Errors
    /// Nothing is sent: not ready, ended, too many requests open, too much waiting, or too long.
    pub fn request(&mut self, now: Instant, payload: &[u8]) -> Result<RequestId, SendError> {
        self.0.at(now).request(payload)
    }

    /// Answers a request of the server. An empty body is an acknowledgement (B6).
    ///
    /// # Errors
    /// Nothing is sent: not open (never asked, answered already, or forgotten), ended, too much
    /// waiting, or too long.
    pub fn reply(
        &mut self,
        now: Instant,
        id: PeerRequestId,
        body: &[u8],
    ) -> Result<(), AnswerError> {
        self.0.at(now).answer(id, body)
    }

    /// Answers a request of the server without a body.
    ///
    /// # Errors
    /// As [`reply`](Self::reply).
    pub fn acknowledge(&mut self, now: Instant, id: PeerRequestId) -> Result<(), AnswerError> {
        self.0.at(now).answer(id, &[])
    }

    /// Refuses a request of the server; a client can't say why (B7).
    ///
    /// # Errors
    /// As [`reply`](Self::reply).
    pub fn reject(&mut self, now: Instant, id: PeerRequestId) -> Result<(), AnswerError> {
        self.0.at(now).reject(id, "")
    }

    /// Tells the server something.
    ///
    /// # Errors
    /// Nothing is sent: not ready, ended, too much waiting, or too long.
    pub fn event(&mut self, now: Instant, payload: &[u8]) -> Result<(), SendError> {
        self.0.at(now).send_when_ready(OpCode::Event, payload)
    }

    /// Sends a byte that means nothing, for the routers between (B2).
    ///
    /// # Errors
    /// Nothing is sent: ended, or too much waiting.
    pub fn noop(&mut self, now: Instant) -> Result<(), SendError> {
        self.0.at(now).noop()
    }

    /// Tells the server that it violates the protocol, where only the application can see it, and
    /// ends the session, cleanly on this side. Of the reason at most 256 bytes are sent.
    pub fn protocol_error(&mut self, now: Instant, reason: &str) {
        self.0.at(now).end_with_protocol_error(reason, End::Clean);
    }

    /// Ends the session, cleanly; what is queued is still to be sent, and says the last to the server: no message
    /// says goodbye. Input that waits, undecoded, for events to be taken is dropped.
    pub fn close(&mut self, now: Instant) {
        self.0.at(now).end(End::Clean);
    }

    /// Whether the server has let us in.
    pub fn is_ready(&self) -> bool {
        self.0.connection.ready
    }
}

#[derive(Debug)]
struct ClientSide;

impl Side for ClientSide {
    const ROLE: Role = Role::Client;
    const ANSWERS_BY_ITSELF: bool = true;
    type Event = ClientEvent;

    #[inline]
    fn plain_event(opcode: OpCode) -> Option<fn(Payload) -> ClientEvent> {
        match opcode {
            OpCode::Event => Some(ClientEvent::Event),
            OpCode::DataUpdate => Some(ClientEvent::DataUpdate),
            _ => None,
        }
    }

    fn handle_frame(
        &mut self,
        c: &mut Connection<ClientEvent>,
        id: MessageId,
        frame: Frame,
    ) -> Result<(), Violation> {
        let message =
            ServerMessage::decode(frame.as_ref(), c.codec()).map_err(Violation::malformed)?;
        let out_of_turn = Err(Violation::at_start(ViolationKind::OutOfTurn(frame.opcode())));
        match message {
            ServerMessage::Noop => {}
            ServerMessage::ProtocolError { reason } => c.end_by_protocol_error(reason),
            ServerMessage::Ping => {
                if c.ready {
                    c.acknowledge_ping(id);
                } else {
                    // Step 3 lets us send nothing yet; answered at Ready.
                    c.await_answer(id)?;
                }
            }
            ServerMessage::Ready { .. } if !c.ready => {
                c.set_ready();
                while let Some(id) = c.take_unanswered() {
                    c.acknowledge_ping(id);
                }
                let token = Secret::new(Payload(frame.into_payload()));
                c.push_event(ClientEvent::Ready { token });
            }
            ServerMessage::ErrorReply { text, .. } if !c.ready => {
                c.end(End::Error(SessionError::Refused { text: text.into() }));
            }
            ServerMessage::Ready { .. } => return out_of_turn,
            _ if !c.ready => return out_of_turn,
            ServerMessage::Request(_) => {
                c.handle_request(id, frame.into_payload())?;
            }
            ServerMessage::Acknowledgement { in_reply_to } => {
                c.handle_answer(in_reply_to, Outcome::Acknowledged);
            }
            ServerMessage::Reply { in_reply_to, .. } => {
                let body = reply_body(frame);
                c.handle_answer(in_reply_to, Outcome::Reply(body));
            }
            ServerMessage::ErrorReply { in_reply_to, text } => {
                c.handle_answer(in_reply_to, Outcome::ErrorReply { text: text.into() });
            }
            ServerMessage::Event(_) => {
                c.push_event(ClientEvent::Event(Payload(frame.into_payload())));
            }
            ServerMessage::DataUpdate(_) => {
                c.push_event(ClientEvent::DataUpdate(Payload(frame.into_payload())));
            }
        }
        Ok(())
    }
}

delegate_session!(Client, ClientEvent);

//! What an operator watches: counters, and gauges that are read off the hub whenever somebody asks.

use std::fmt;
use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::{SinkExt, StreamExt};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use roomvars_proto::{CloseFrame, ConnectionError, Hub, Message, ViolationKind};

use crate::hub::Sockets;
use crate::websocket::WebSocket;

/// What a library says where no code was sent.
const NO_CODE: u16 = 1005;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Close {
    by: &'static str,
    code: u16,
}

/// All of them.
pub(crate) struct Metrics {
    registry: Registry,
    connections: Gauge,
    clients: Gauge,
    merging: Gauge,
    untaken: Gauge,
    rooms: Gauge,
    empty_rooms: Gauge,
    variables: Gauge,
    joins: Counter,
    received: Counter,
    received_bytes: Counter,
    received_sets: Counter,
    sent: Counter,
    sent_bytes: Counter,
    sent_sets: Counter,
    refused: Family<Reason, Counter>,
    closes: Family<Close, Counter>,
    lost: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut all = Registry::with_prefix("roomvars");
        let mut gauge = |name: &str, help: &str| {
            let gauge = Gauge::default();
            all.register(name, help, gauge.clone());
            gauge
        };
        let connections = gauge("connections", "WebSockets, those included that aren't in a room");
        let clients = gauge("clients", "Clients in rooms");
        let merging = gauge("clients_merging", "Clients so slow that sets are merged for them");
        let untaken = gauge("untaken_bytes", "Text that waits for clients");
        let rooms = gauge("rooms", "Rooms, the empty ones included");
        let empty_rooms = gauge("empty_rooms", "Rooms that nobody is in");
        let variables = gauge("variables", "Variables of all rooms");
        let mut counter = |name: &str, help: &str| {
            let counter = Counter::default();
            all.register(name, help, counter.clone());
            counter
        };
        let joins = counter("joins", "Clients that were let into a room");
        let received = counter("messages_received", "Messages of clients");
        let received_bytes = counter("received_bytes", "Bytes of text in them");
        let received_sets = counter(
            "sets_received",
            "Messages behind the first: sets, renames, deletes, good or bad",
        );
        let sent = counter("messages_sent", "Messages to clients, each a batch of sets");
        let sent_bytes = counter("sent_bytes", "Bytes of text in them");
        let sent_sets = counter("sets_sent", "Sets, renames and deletes in them");
        let lost =
            counter("lost", "Connections that were lost: nobody closed, or no ping was answered");
        let (refused, closes) = (Family::default(), Family::default());
        all.register("refused", "Clients that were thrown out, by reason", refused.clone());
        all.register("closes", "Close codes, of whoever closed first", closes.clone());
        Self {
            registry: all,
            connections,
            clients,
            merging,
            untaken,
            rooms,
            empty_rooms,
            variables,
            joins,
            received,
            received_bytes,
            received_sets,
            sent,
            sent_bytes,
            sent_sets,
            refused,
            closes,
            lost,
        }
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// What a hub has at a time.
#[derive(Default)]
struct Census {
    connections: usize,
    clients: usize,
    merging: usize,
    untaken: usize,
    rooms: usize,
    empty_rooms: usize,
    variables: usize,
}

impl Census {
    fn of<P: roomvars_proto::Policy>(hub: &mut Hub<P>) -> Self {
        let mut all = Self::default();
        for one in hub.connections() {
            all.connections += 1;
            all.clients += usize::from(one.room.is_some());
            all.merging += usize::from(one.is_merging);
            all.untaken += one.pending_bytes;
        }
        for room in hub.rooms() {
            all.rooms += 1;
            all.empty_rooms += usize::from(room.clients() == 0);
            all.variables += room.variables().len();
        }
        all
    }
}

impl Metrics {
    /// All of them in the format of OpenMetrics, which Prometheus reads.
    pub(crate) async fn show<P>(&self, sockets: &Sockets<P>) -> Response
    where
        P: roomvars_proto::Policy + 'static,
    {
        let Some(census) = sockets.ask(|hub| Census::of(hub)).await else {
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        };
        for (gauge, number) in [
            (&self.connections, census.connections),
            (&self.clients, census.clients),
            (&self.merging, census.merging),
            (&self.untaken, census.untaken),
            (&self.rooms, census.rooms),
            (&self.empty_rooms, census.empty_rooms),
            (&self.variables, census.variables),
        ] {
            gauge.set(i64::try_from(number).unwrap_or(i64::MAX));
        }
        let mut text = String::new();
        match encode(&mut text, &self.registry) {
            Ok(()) => {
                let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
                ([(header::CONTENT_TYPE, kind)], text).into_response()
            }
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }

    /// A client was let in.
    pub(crate) fn joined(&self) {
        self.joins.inc();
    }

    /// A connection ended, not cleanly.
    pub(crate) fn ended(&self, error: &ConnectionError) {
        if *error == ConnectionError::ConnectionLost {
            self.lost.inc();
        } else if let Some(reason) = reason(error) {
            self.refused.get_or_create(&Reason { reason }).inc();
        }
    }

    /// Counts what passes through a socket.
    pub(crate) fn watch(self: Arc<Self>, socket: impl WebSocket) -> impl WebSocket {
        let (reading, is_closed) = (self.clone(), Arc::new(AtomicBool::new(false)));
        let (mut is_first, was_closed) = (true, is_closed.clone());
        let incoming = socket.inspect(move |read| match read {
            Ok(Message::Close(frame)) => reading.closed("client", frame.as_ref(), &was_closed),
            Ok(message) => {
                reading.received.inc();
                reading.received_bytes.inc_by(message.len() as u64);
                // The first is the handshake.
                reading.received_sets.inc_by(u64::from(!std::mem::take(&mut is_first)));
            }
            Err(_) => {}
        });
        incoming.with(move |message| {
            match &message {
                Message::Close(frame) => self.closed("server", frame.as_ref(), &is_closed),
                Message::Text(text) => {
                    let breaks = memchr::memchr_iter(b'\n', text).count() as u64;
                    self.sent.inc();
                    self.sent_bytes.inc_by(text.len() as u64);
                    self.sent_sets.inc_by(breaks + u64::from(!text.is_empty()));
                }
                Message::Binary(_) => {}
            }
            ready(Ok(message))
        })
    }

    /// Somebody closes; the other's answer doesn't count.
    fn closed(&self, by: &'static str, frame: Option<&CloseFrame>, is_closed: &AtomicBool) {
        if !is_closed.swap(true, Ordering::Relaxed) {
            let code = match frame.map_or(NO_CODE, CloseFrame::code) {
                code @ (1000..=1014 | 4000..=4006) => code,
                // A client's invention: each would be one more to keep.
                _ => 0,
            };
            self.closes.get_or_create(&Close { by, code }).inc();
        }
    }
}

/// In a word why a client was thrown out, if it was.
fn reason(error: &ConnectionError) -> Option<&'static str> {
    Some(match error {
        ConnectionError::Violation(violation) => match violation.kind {
            ViolationKind::Malformed(_) => "malformed",
            ViolationKind::UnexpectedBinary => "binary",
            ViolationKind::UnknownKind => "unknown_kind",
            ViolationKind::NoHandshake => "no_handshake",
            ViolationKind::SecondHandshake => "second_handshake",
            ViolationKind::RoomId(_) => "room_id_length",
            ViolationKind::UsernameLength(_) => "username_length",
            ViolationKind::UsernameRefused => "username_refused",
            ViolationKind::UsernameTaken => "username_taken",
            ViolationKind::NameLength(_) => "name_length",
            ViolationKind::ValueLength(_) => "value_length",
            ViolationKind::ValueRefused => "value_refused",
            ViolationKind::TooManyVariables => "too_many_variables",
            ViolationKind::DuplicateVariable => "duplicate_variable",
            ViolationKind::Incompatible => "other_variables",
            ViolationKind::UnknownVariable => "unknown_variable",
            ViolationKind::RoomFull => "room_full",
            ViolationKind::TooManyRooms => "too_many_rooms",
            _ => "other",
        },
        ConnectionError::HandshakeTimeout => "handshake_timeout",
        ConnectionError::RateLimited => "rate_limit",
        ConnectionError::TooFarBehind => "too_far_behind",
        ConnectionError::Kicked(_) => "kicked",
        _ => return None,
    })
}

//! The driver of [`websocket`] for tokio-tungstenite.

use std::future::ready;
use std::io::{self, ErrorKind};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use smallwire_core::{CloseFrame, End, Message, Session};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::{self as ws, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Utf8Bytes};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, accept_async_with_config, connect_async_with_config,
};

use crate::app::App;
use crate::websocket::{
    self, BUFFER, Failure, HANDSHAKE_TIME, Pinged, WebSocket, unsent_limit, wire_limit,
};

/// What a socket is to be made with, if a session takes and gives texts of up to `max_message` bytes.
pub fn config(max_message: usize) -> WebSocketConfig {
    let limit = Some(wire_limit(max_message));
    WebSocketConfig::default()
        .max_message_size(limit)
        .max_frame_size(limit)
        // 128 KiB each, unless told.
        .read_buffer_size(BUFFER)
        .write_buffer_size(BUFFER)
        .max_write_buffer_size(unsent_limit(max_message))
}

/// A server's handshake, within [`HANDSHAKE_TIME`].
///
/// # Errors
/// The peer doesn't want a WebSocket, or is too slow.
pub async fn accept<T>(stream: T, max_message: usize) -> Result<WebSocketStream<T>, Error>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let handshake = accept_async_with_config(stream, Some(config(max_message)));
    timeout(HANDSHAKE_TIME, handshake).await.unwrap_or(Err(too_slow()))
}

/// Connects to a `ws://` address, within [`HANDSHAKE_TIME`].
///
/// # Errors
/// Nobody is there, they don't want a WebSocket, or are too slow.
pub async fn connect(
    url: &str,
    max_message: usize,
) -> Result<WebSocketStream<MaybeTlsStream<TcpStream>>, Error> {
    let handshake = connect_async_with_config(url, Some(config(max_message)), true);
    let (socket, _response) =
        timeout(HANDSHAKE_TIME, handshake).await.unwrap_or(Err(too_slow()))?;
    Ok(socket)
}

fn too_slow() -> Error {
    io::Error::new(ErrorKind::TimedOut, "the WebSocket handshake took too long").into()
}

/// Runs `session` on `socket`, as [`websocket::drive`] does. The socket is made with a [`config`].
///
/// # Errors
/// As [`websocket::drive`].
pub async fn drive<S, A, T>(
    session: &mut S,
    socket: WebSocketStream<T>,
    commands: &mut mpsc::Receiver<A::Command>,
    app: &mut A,
) -> io::Result<End<S::Error>>
where
    S: Session<Input = Message, Transmit = Message, Error: Clone>,
    A: App<S>,
    T: AsyncRead + AsyncWrite + Unpin,
{
    websocket::drive(session, adapt(socket, None), commands, app).await
}

/// A socket as the drivers want it. It is made with a [`config`].
///
/// A peer of which nothing has come for a `ping_interval` gets a ping, and after another one is lost.
pub fn adapt<T: AsyncRead + AsyncWrite + Unpin>(
    socket: WebSocketStream<T>,
    ping_interval: Option<Duration>,
) -> impl WebSocket {
    let socket = socket.with(|message| ready(outward(message))).sink_map_err(failure).map(inward);
    Pinged::new(socket, ping_interval)
}

/// `None` is a ping.
fn outward(message: Option<Message>) -> Result<ws::Message, Error> {
    let Some(message) = message else { return Ok(ws::Message::Ping(Bytes::new())) };
    Ok(match message {
        Message::Text(text) => ws::Message::Text(Utf8Bytes::try_from(text)?),
        Message::Binary(bytes) => ws::Message::Binary(bytes),
        Message::Close(frame) => ws::Message::Close(frame.map(|frame| ws::CloseFrame {
            code: frame.code().into(),
            reason: frame.reason().into(),
        })),
    })
}

/// `None` for what is tungstenite's own business.
fn inward(read: Result<ws::Message, Error>) -> Result<Option<Message>, Failure> {
    Ok(Some(match read.map_err(failure)? {
        ws::Message::Text(text) => Message::Text(text.into()),
        ws::Message::Binary(bytes) => Message::Binary(bytes),
        ws::Message::Close(frame) => Message::Close(
            frame.map(|frame| CloseFrame::new(frame.code.into(), frame.reason.as_str().to_owned())),
        ),
        ws::Message::Ping(_) | ws::Message::Pong(_) | ws::Message::Frame(_) => return Ok(None),
    }))
}

pub(crate) fn failure(error: Error) -> Failure {
    match error {
        Error::Capacity(CapacityError::MessageTooLong { max_size, .. }) => {
            Failure::too_long(max_size)
        }
        Error::Utf8(_) => Failure::not_utf8(),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Failure::Eof,
        Error::Protocol(error) => Failure::Violation(io::Error::new(ErrorKind::InvalidData, error)),
        Error::Io(error) => Failure::Lost(error),
        error => Failure::Lost(io::Error::other(error)),
    }
}

//! The driver of [`websocket`] for axum. In a handler of your own:
//!
//! ```
//! # use axum::extract::ws::{WebSocketUpgrade, WebSocket};
//! # use axum::response::Response;
//! # const MAX_MESSAGE: usize = 1 << 20;
//! # async fn connection(_: WebSocket) {}
//! async fn handler(upgrade: WebSocketUpgrade) -> Response {
//!     let upgrade = smallwire_examples::axum::configure(upgrade, MAX_MESSAGE);
//!     // A session, commands and an application; then `drive(&mut session, socket, …).await`.
//!     upgrade.on_upgrade(connection)
//! }
//! ```

use std::future::ready;
use std::io;
use std::time::Duration;

use anyhow::Context;
use axum::extract::ws::{self, WebSocketUpgrade};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::map_response;
use axum::response::Response;
use axum::routing::any;
use axum::{Error, Router};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use smallwire_core::{CloseFrame, End, Message, Session};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite;

use crate::app::App;
use crate::tungstenite::failure as failure_of_tungstenite;
use crate::websocket::{
    self, BUFFER, Failure, HANDSHAKE_TIME, Pinged, WebSocket, unsent_limit, wire_limit,
};

/// Sets what a socket is to be made with, if a session takes and gives texts of up to `max_message` bytes.
pub fn configure(upgrade: WebSocketUpgrade, max_message: usize) -> WebSocketUpgrade {
    let limit = wire_limit(max_message);
    upgrade
        .max_message_size(limit)
        .max_frame_size(limit)
        // 128 KiB each, unless told.
        .read_buffer_size(BUFFER)
        .write_buffer_size(BUFFER)
        .max_write_buffer_size(unsent_limit(max_message))
}

/// One connection's one request, whatever it gets, within [`HANDSHAKE_TIME`]: `axum::serve` would wait
/// for ever.
///
/// # Errors
/// The peer speaks no HTTP, or is too slow.
pub async fn answer<T>(stream: T, router: Router) -> anyhow::Result<()>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let closing = map_response(async |mut response: Response| {
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    });
    let http = auto::Builder::new(TokioExecutor::new()).http1_only();
    let service = TowerToHyperService::new(router.layer(closing));
    let served = http.serve_connection_with_upgrades(TokioIo::new(stream), service);
    let served = timeout(HANDSHAKE_TIME, served).await.context("the request took too long")?;
    served.map_err(anyhow::Error::from_boxed)
}

/// One connection's HTTP, up to the WebSocket, within [`HANDSHAKE_TIME`].
///
/// # Errors
/// The peer doesn't want a WebSocket, or is too slow.
pub async fn accept<T>(stream: T, max_message: usize) -> anyhow::Result<ws::WebSocket>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, mut socket) = mpsc::channel(1);
    let handler = move |upgrade: WebSocketUpgrade| {
        ready(configure(upgrade, max_message).on_upgrade(async move |socket| {
            let _ = sender.send(socket).await;
        }))
    };
    answer(stream, Router::new().fallback(any(handler))).await?;
    socket.recv().await.context("no WebSocket is wanted")
}

/// Runs `session` on `socket`, as [`websocket::drive`] does. The socket comes of an upgrade with
/// [`configure`].
///
/// # Errors
/// As [`websocket::drive`].
pub async fn drive<S, A>(
    session: &mut S,
    socket: ws::WebSocket,
    commands: &mut mpsc::Receiver<A::Command>,
    app: &mut A,
) -> io::Result<End<S::Error>>
where
    S: Session<Input = Message, Transmit = Message, Error: Clone>,
    A: App<S>,
{
    websocket::drive(session, adapt(socket, None), commands, app).await
}

/// A socket as the drivers want it. It comes of an upgrade with [`configure`].
///
/// A peer of which nothing has come for a `ping_interval` gets a ping, and after another one is lost.
pub fn adapt(socket: ws::WebSocket, ping_interval: Option<Duration>) -> impl WebSocket {
    let socket = socket.with(|message| ready(outward(message))).sink_map_err(failure).map(inward);
    Pinged::new(socket, ping_interval)
}

/// `None` is a ping.
fn outward(message: Option<Message>) -> Result<ws::Message, Error> {
    let Some(message) = message else { return Ok(ws::Message::Ping(Bytes::new())) };
    Ok(match message {
        Message::Text(text) => {
            ws::Message::Text(ws::Utf8Bytes::try_from(text).map_err(Error::new)?)
        }
        Message::Binary(bytes) => ws::Message::Binary(bytes),
        Message::Close(frame) => ws::Message::Close(
            frame.map(|frame| ws::CloseFrame { code: frame.code(), reason: frame.reason().into() }),
        ),
    })
}

/// `None` for what is axum's own business.
fn inward(read: Result<ws::Message, Error>) -> Result<Option<Message>, Failure> {
    Ok(Some(match read.map_err(failure)? {
        ws::Message::Text(text) => Message::Text(text.into()),
        ws::Message::Binary(bytes) => Message::Binary(bytes),
        ws::Message::Close(frame) => Message::Close(
            frame.map(|frame| CloseFrame::new(frame.code, frame.reason.as_str().to_owned())),
        ),
        ws::Message::Ping(_) | ws::Message::Pong(_) => return Ok(None),
    }))
}

/// axum has tungstenite's errors in a box.
fn failure(error: Error) -> Failure {
    match error.into_inner().downcast::<tungstenite::Error>() {
        Ok(error) => failure_of_tungstenite(*error),
        Err(error) => Failure::Lost(io::Error::other(error)),
    }
}

//! The WebSocket drivers, on pipes under virtual time and on real sockets.

use std::cell::Cell;
use std::convert::Infallible;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use futures_util::{SinkExt, StreamExt};
use litecord_proto::{
    Client, ClientEvent, CloseCode, CloseFrame, CodecConfig, Config, End, Json, Message, Outcome,
    SendError, Server, ServerEvent, Session, SessionError,
};
use smallwire_examples::app::App;
use smallwire_examples::tungstenite::config;
use smallwire_examples::{axum, tungstenite};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode as WsCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{Frame, FrameHeader};
use tokio_tungstenite::tungstenite::protocol::{Message as Ws, Role};

const MAX_MESSAGE: usize = 20_000;
const HELLO: &str = r#"{"op":0,"hb_interval":1000}"#;

fn server_config() -> Config {
    Config::default()
        .codec(CodecConfig::default().max_message(MAX_MESSAGE))
        .password("x")
        .heartbeat_interval(Duration::from_secs(1))
        .heartbeat_grace(Duration::from_secs(1))
}

fn server() -> Server {
    Server::new(Arc::new(server_config()), tokio::time::Instant::now().into_std())
}

/// Sends what it is told to, and writes down what happens.
#[derive(Default)]
struct Host {
    dispatches: u32,
    refused: Option<SendError>,
    commands_closed: u32,
}

enum Command {
    Dispatch(String),
    Close,
}

impl App<Server> for Host {
    type Command = Command;

    fn event(&mut self, _: &mut Server, _: Instant, event: ServerEvent) {
        if let ServerEvent::Dispatch { .. } = event {
            self.dispatches += 1;
        }
    }

    fn command(&mut self, session: &mut Server, now: Instant, command: Command) {
        match command {
            Command::Dispatch(text) => {
                if let Err(error) = session.dispatch(now, "X", &[text]) {
                    self.refused.get_or_insert(error);
                }
            }
            Command::Close => session.close(now),
        }
    }

    fn commands_closed(&mut self, _: &mut Server, _: Instant) {
        self.commands_closed += 1;
    }
}

/// Both to their ends, within a time in which everything here must be over.
async fn both<A, B>(a: impl Future<Output = A>, b: impl Future<Output = B>) -> (A, B) {
    let both = async { tokio::join!(a, b) };
    timeout(Duration::from_secs(30), both).await.expect("stuck")
}

type Socket<T> = WebSocketStream<T>;

/// A server's socket and its peer's, past their handshake, on a pipe of so many bytes.
async fn pipes(size: usize) -> (Socket<DuplexStream>, Socket<DuplexStream>) {
    let (stream, peer) = duplex(size);
    (
        WebSocketStream::from_raw_socket(stream, Role::Server, Some(config(MAX_MESSAGE))).await,
        WebSocketStream::from_raw_socket(peer, Role::Client, None).await,
    )
}

async fn log_in<T: AsyncRead + AsyncWrite + Unpin>(peer: &mut Socket<T>) {
    assert_eq!(hears(peer).await, Ws::text(HELLO));
    peer.send(Ws::text(r#"{"op":1,"password":"x"}"#)).await.unwrap();
    peer.send(Ws::text(r#"{"op":2}"#)).await.unwrap();
    assert_eq!(hears(peer).await, Ws::text(r#"{"op":3}"#));
}

/// The next message that isn't a ping or a pong.
async fn hears<T: AsyncRead + AsyncWrite + Unpin>(peer: &mut Socket<T>) -> Ws {
    loop {
        match peer.next().await.expect("more to hear").unwrap() {
            Ws::Ping(_) | Ws::Pong(_) => {}
            message => return message,
        }
    }
}

fn close_code(message: &Ws) -> Option<u16> {
    match message {
        Ws::Close(Some(frame)) => Some(frame.code.into()),
        _ => None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_stops_reading_stops_nothing_else() {
    let mut session = server();
    let (socket, mut peer) = pipes(64).await;
    let (sender, mut commands) = mpsc::channel(1);
    let mut host = Host::default();
    let play = async {
        log_in(&mut peer).await;
        // Far more than the pipe takes, and more than the session lets wait.
        while sender.send(Command::Dispatch("7".repeat(10_000))).await.is_ok() {
            // Without reading, which `send` of a whole message might do; and the server stops too.
            let feed = async {
                peer.feed(Ws::text(r#"{"op":6,"w":"X","a":[]}"#)).await?;
                peer.flush().await
            };
            if let Ok(Err(_)) = timeout(Duration::from_millis(10), feed).await {
                break;
            }
        }
        peer
    };
    let began = tokio::time::Instant::now();
    let driven = async {
        let end = tungstenite::drive(&mut session, socket, &mut commands, &mut host).await;
        drop(commands);
        end
    };
    let (end, _peer) = both(driven, play).await;
    assert_eq!(end.unwrap(), End::Error(SessionError::HeartbeatTimeout));
    // Until half of what may wait did.
    assert!(host.dispatches > 10, "{} dispatches", host.dispatches);
    assert_eq!(host.refused, Some(SendError::QueueFull));
    // A heartbeat's interval and grace, and the time for closing.
    let took = began.elapsed();
    assert!(took > Duration::from_secs(2) && took < Duration::from_secs(5), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_clean_end_sends_all_that_is_queued() {
    let mut session = server();
    let (socket, mut peer) = pipes(64).await;
    let (sender, mut commands) = mpsc::channel(100);
    let mut host = Host::default();
    let play = async {
        log_in(&mut peer).await;
        for _ in 0..20 {
            sender.send(Command::Dispatch("7".repeat(10_000))).await.ok().unwrap();
        }
        sender.send(Command::Close).await.ok().unwrap();
        let mut heard = 0;
        loop {
            match hears(&mut peer).await {
                Ws::Text(text) if text.len() > 10_000 => heard += 1,
                message => break (heard, close_code(&message), peer.next().await.is_none()),
            }
        }
    };
    let driven = tungstenite::drive(&mut session, socket, &mut commands, &mut host);
    let (end, heard) = both(driven, play).await;
    assert_eq!(end.unwrap(), End::Clean);
    assert_eq!(heard, (20, Some(CloseCode::NORMAL.0), true));
}

#[tokio::test(start_paused = true)]
async fn closing_doesnt_wait_for_a_peer_that_never_reads() {
    let mut session = server();
    let (socket, mut peer) = pipes(64).await;
    let (sender, mut commands) = mpsc::channel(100);
    let mut host = Host::default();
    let began = tokio::time::Instant::now();
    let play = async {
        log_in(&mut peer).await;
        sender.send(Command::Dispatch("7".repeat(10_000))).await.ok().unwrap();
        sender.send(Command::Close).await.ok().unwrap();
        peer
    };
    let driven = tungstenite::drive(&mut session, socket, &mut commands, &mut host);
    let (end, _peer) = both(driven, play).await;
    assert_eq!(host.refused, None);
    assert_eq!(end.unwrap_err().kind(), ErrorKind::TimedOut);
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn closing_doesnt_wait_for_a_peer_that_never_answers() {
    let mut session = server();
    let (socket, mut peer) = pipes(4096).await;
    let (sender, mut commands) = mpsc::channel(100);
    let mut host = Host::default();
    let began = tokio::time::Instant::now();
    sender.send(Command::Close).await.ok().unwrap();
    let driven = tungstenite::drive(&mut session, socket, &mut commands, &mut host);
    let mut raw = [0; 64];
    let (end, heard) = both(driven, peer.get_mut().read(&mut raw)).await;
    // Hello, and the close frame of which the peer takes no notice.
    assert!(heard.unwrap() > 0);
    assert_eq!(end.unwrap(), End::Clean);
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(2) && took < Duration::from_secs(3), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn pongs_that_nobody_reads_dont_pile_up() {
    let mut session = server();
    let (socket, mut peer) = pipes(4096).await;
    let (_sender, mut commands) = mpsc::channel(1);
    let mut host = Host::default();
    let play = async {
        let ping = [&[0x89, 0xFD, 0, 0, 0, 0][..], &[b'x'; 125]].concat();
        for _ in 0..40_000 {
            peer.get_mut().write_all(&ping).await.unwrap();
        }
        let mut heard = Vec::new();
        peer.get_mut().read_to_end(&mut heard).await.unwrap();
        heard.len()
    };
    let driven = tungstenite::drive(&mut session, socket, &mut commands, &mut host);
    let (_, heard) = both(driven, play).await;
    // Of 5 MB.
    assert!(heard < 4 * MAX_MESSAGE, "{heard} bytes");
}

#[tokio::test(start_paused = true)]
async fn the_end_of_commands_is_told_once() {
    let mut session = server();
    let (socket, mut peer) = pipes(4096).await;
    let (sender, mut commands) = mpsc::channel(1);
    let mut host = Host::default();
    drop(sender);
    let play = async {
        log_in(&mut peer).await;
        peer.send(Ws::text(r#"{"op":6,"w":"X","a":[]}"#)).await.unwrap();
        peer.send(Ws::Ping("still there?".into())).await.unwrap();
        let pong = loop {
            match peer.next().await.unwrap().unwrap() {
                Ws::Pong(payload) => break payload,
                other => assert!(other.is_text(), "{other:?}"),
            }
        };
        peer.close(None).await.unwrap();
        pong
    };
    let driven = tungstenite::drive(&mut session, socket, &mut commands, &mut host);
    let (end, pong) = both(driven, play).await;
    assert_eq!(end.unwrap(), End::Clean);
    assert_eq!(pong, "still there?");
    assert_eq!((host.dispatches, host.commands_closed), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn commands_that_the_session_didnt_take_are_left() {
    let mut session = server();
    let (socket, peer) = pipes(4096).await;
    let (sender, mut commands) = mpsc::channel(10);
    drop(peer);
    let mut host = Host::default();
    session.close(Instant::now());
    sender.send(Command::Close).await.ok().unwrap();
    let end = tungstenite::drive(&mut session, socket, &mut commands, &mut host).await;
    assert!(end.is_err());
    assert!(commands.try_recv().is_ok());
}

/// Does nothing, and counts how often it is asked.
struct Idle {
    wants_input: bool,
    polls: Cell<u32>,
}

impl Session for Idle {
    type Input = Message;
    type Transmit = Message;
    type Event = Infallible;
    type Error = Infallible;

    fn wants_input(&self) -> bool {
        self.wants_input
    }
    fn handle_input(&mut self, _: Instant, _: &Message) {}
    fn handle_eof(&mut self, _: Instant) {}
    fn handle_timeout(&mut self, _: Instant) {}
    fn poll_transmit(&mut self) -> Option<Message> {
        None
    }
    fn poll_event(&mut self) -> Option<Infallible> {
        None
    }
    fn poll_timeout(&self) -> Option<Instant> {
        self.polls.set(self.polls.get() + 1);
        assert!(self.polls.get() <= 4, "the driver goes round and round");
        None
    }
    fn ended(&self) -> Option<&End<Infallible>> {
        None
    }
}

struct Nothing;

impl App<Idle> for Nothing {
    type Command = ();

    fn event(&mut self, _: &mut Idle, _: Instant, event: Infallible) {
        match event {}
    }
    fn command(&mut self, _: &mut Idle, _: Instant, (): ()) {}
}

#[tokio::test(start_paused = true)]
async fn nothing_to_do_is_waited_for() {
    for (wants_input, at_eof) in [(true, false), (true, true), (false, false), (false, true)] {
        let mut session = Idle { wants_input, polls: Cell::new(0) };
        let (socket, mut peer) = pipes(64).await;
        let (sender, mut commands) = mpsc::channel(1);
        // Neither input, its end, nor the end of commands may make the driver go round and round.
        peer.send(Ws::text("unread")).await.unwrap();
        if at_eof {
            drop((peer, sender));
        }
        let long = Duration::from_secs(5000);
        let mut app = Nothing;
        let driven = tungstenite::drive(&mut session, socket, &mut commands, &mut app);
        assert!(timeout(long, driven).await.is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_wants_no_websocket_is_not_waited_for() {
    let (stream, _peer) = duplex(64);
    let began = tokio::time::Instant::now();
    assert!(tungstenite::accept(stream, MAX_MESSAGE).await.is_err());
    assert_eq!(began.elapsed(), smallwire_examples::websocket::HANDSHAKE_TIME);
}

async fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (listener.accept().await.unwrap().0, peer)
}

#[derive(Clone, Copy, Debug)]
enum Library {
    Tungstenite,
    Axum,
}

const LIBRARIES: [Library; 2] = [Library::Tungstenite, Library::Axum];

/// A server on a real socket, which does nothing of its own accord.
async fn serve(library: Library, stream: TcpStream) -> std::io::Result<End<SessionError>> {
    let (_sender, mut commands) = mpsc::channel(1);
    let (commands, mut host) = (&mut commands, Host::default());
    match library {
        Library::Tungstenite => {
            let socket = tungstenite::accept(stream, MAX_MESSAGE).await.unwrap();
            tungstenite::drive(&mut server(), socket, commands, &mut host).await
        }
        Library::Axum => {
            let socket = axum::accept(stream, MAX_MESSAGE).await.unwrap();
            axum::drive(&mut server(), socket, commands, &mut host).await
        }
    }
}

/// What a server makes of this, and with which code it closes.
async fn answer(library: Library, what: &[Ws]) -> (std::io::Result<End<SessionError>>, u16) {
    let (stream, peer) = sockets().await;
    let play = async {
        let (mut peer, _) = tokio_tungstenite::client_async("ws://127.0.0.1/", peer).await.unwrap();
        log_in(&mut peer).await;
        for message in what {
            peer.send(message.clone()).await.unwrap();
        }
        close_code(&hears(&mut peer).await).unwrap()
    };
    both(serve(library, stream), play).await
}

/// A frame as it is, whatever it breaks.
fn frame(header: FrameHeader, payload: &'static [u8]) -> Ws {
    Ws::Frame(Frame::from_payload(header, payload.into()))
}

#[tokio::test]
async fn what_the_library_refuses_the_session_answers() {
    let data = |opcode, is_final| FrameHeader {
        is_final,
        opcode: OpCode::Data(opcode),
        ..FrameHeader::default()
    };
    let piece = |opcode, is_final| frame(data(opcode, is_final), &[b' '; MAX_MESSAGE - 1]);
    let cases = [
        // A byte more than the session takes; more than the library takes, whole and in pieces.
        (vec![Ws::text(" ".repeat(MAX_MESSAGE + 1))], CloseCode::MESSAGE_TOO_BIG),
        (vec![Ws::text(" ".repeat(10 * MAX_MESSAGE))], CloseCode::MESSAGE_TOO_BIG),
        (
            vec![
                piece(Data::Text, false),
                piece(Data::Continue, false),
                piece(Data::Continue, true),
            ],
            CloseCode::MESSAGE_TOO_BIG,
        ),
        (vec![frame(data(Data::Text, true), b"{\xFF}")], CloseCode::INVALID_DATA),
        (vec![Ws::binary(&b"{}"[..])], CloseCode::UNSUPPORTED_DATA),
    ];
    let cases = LIBRARIES.into_iter().flat_map(|library| {
        cases.iter().map(move |(messages, expected)| async move {
            let (end, code) = answer(library, messages).await;
            assert_eq!(code, expected.0, "{library:?}");
            match end.unwrap() {
                // It tells the application the same.
                End::Error(SessionError::Violation(violation)) => {
                    assert_eq!(violation.kind.close_code(), *expected, "{library:?}");
                }
                end => panic!("{library:?}: {end:?}"),
            }
        })
    });
    join_all(cases).await;
}

#[tokio::test]
async fn who_breaks_the_rules_of_websocket_is_told_so() {
    for library in LIBRARIES {
        let reserved =
            FrameHeader { rsv1: true, opcode: OpCode::Data(Data::Text), ..FrameHeader::default() };
        let (end, code) = answer(library, &[frame(reserved, b"{}")]).await;
        assert_eq!(code, u16::from(WsCode::Protocol), "{library:?}");
        assert_eq!(end.unwrap_err().kind(), ErrorKind::InvalidData, "{library:?}");
    }
}

#[tokio::test]
async fn a_close_frame_is_answered_and_told() {
    for library in LIBRARIES {
        let frame = CloseFrame::new(4321, "enough");
        let close = Ws::Close(Some(tokio_tungstenite::tungstenite::protocol::CloseFrame {
            code: frame.code().into(),
            reason: frame.reason().into(),
        }));
        let (end, code) = answer(library, &[close]).await;
        assert_eq!(code, 4321);
        let (code, reason) = (CloseCode(4321), "enough".into());
        assert_eq!(end.unwrap(), End::Error(SessionError::Closed { code, reason }), "{library:?}");
    }
}

#[tokio::test]
async fn a_peer_that_is_gone_is_a_lost_connection() {
    for library in LIBRARIES {
        let (stream, peer) = sockets().await;
        let play = async {
            let (mut peer, _) =
                tokio_tungstenite::client_async("ws://127.0.0.1/", peer).await.unwrap();
            log_in(&mut peer).await;
            peer.get_mut().shutdown().await.unwrap();
        };
        let (end, ()) = both(serve(library, stream), play).await;
        assert_eq!(end.unwrap(), End::Error(SessionError::ConnectionLost), "{library:?}");
    }
}

#[tokio::test]
async fn who_asks_for_a_page_gets_none() {
    for library in LIBRARIES {
        let (stream, mut peer) = sockets().await;
        let refused = async {
            match library {
                Library::Tungstenite => tungstenite::accept(stream, MAX_MESSAGE).await.is_err(),
                Library::Axum => axum::accept(stream, MAX_MESSAGE).await.is_err(),
            }
        };
        let play = async {
            peer.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
                .await
                .unwrap();
            let mut heard = Vec::new();
            peer.read_to_end(&mut heard).await.unwrap();
            heard
        };
        let (refused, heard) = both(refused, play).await;
        assert!(refused);
        assert!(!heard.starts_with(b"HTTP/1.1 101"), "{library:?}");
    }
}

/// Asks once it may, and writes down what comes of it.
#[derive(Default)]
struct Asker {
    outcomes: Vec<Outcome>,
}

impl App<Client> for Asker {
    type Command = ();

    fn event(&mut self, session: &mut Client, now: Instant, event: ClientEvent) {
        match event {
            ClientEvent::Connected { .. } => {
                session.request(now, "?", &[(); 0]).unwrap();
            }
            ClientEvent::Outcome { outcome, .. } => {
                self.outcomes.push(outcome);
                session.close(now);
            }
            _ => {}
        }
    }

    fn command(&mut self, _: &mut Client, _: Instant, (): ()) {}
}

async fn ask(
    mut peer: impl AsyncFnMut(&mut Socket<TcpStream>),
) -> (std::io::Result<End<SessionError>>, Vec<Outcome>) {
    let (stream, client) = sockets().await;
    let mut asker = Asker::default();
    let asking = async {
        let (_sender, mut commands) = mpsc::channel(1);
        let (socket, _) = tokio_tungstenite::client_async("ws://127.0.0.1/", client).await.unwrap();
        let mut session = Client::new(Arc::default(), "x", Instant::now()).unwrap();
        tungstenite::drive(&mut session, socket, &mut commands, &mut asker).await
    };
    let play = async {
        let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        socket.send(Ws::text(HELLO)).await.unwrap();
        for _ in ["HelloAck", "Heartbeat", "Request"] {
            hears(&mut socket).await;
        }
        peer(&mut socket).await;
    };
    let (end, ()) = both(asking, play).await;
    (end, asker.outcomes)
}

#[tokio::test]
async fn a_client_is_driven_the_same_way() {
    let (end, outcomes) = ask(async |socket| {
        socket.send(Ws::text(r#"{"op":5,"n":1,"r":[1.0]}"#)).await.unwrap();
        assert_eq!(close_code(&hears(socket).await), Some(1000));
    })
    .await;
    assert_eq!(end.unwrap(), End::Clean);
    let result = Json::of(&[1.0]).unwrap();
    assert_eq!(outcomes, [Outcome::Response(result)]);
}

#[tokio::test]
async fn a_reset_gives_every_request_its_outcome() {
    let (end, outcomes) = ask(async |socket| {
        // Closed without lingering, a socket is reset.
        socket.get_mut().set_zero_linger().unwrap();
        let (stream, _) = sockets().await;
        drop(std::mem::replace(socket.get_mut(), stream));
    })
    .await;
    assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(outcomes, [Outcome::Closed]);
}

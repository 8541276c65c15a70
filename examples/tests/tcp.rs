//! The driver, on pipes under virtual time and on real sockets.

use std::cell::Cell;
use std::convert::Infallible;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bingo_proto::{
    Client, ClientEvent, ClientMessage, CodecConfig, Config, Decoder, End, Identification,
    MessageId, OpCode, Outcome, SendError, Server, ServerEvent, ServerMessage, Session,
    SessionError,
};
use bytes::Bytes;
use smallwire_examples::app::App;
use smallwire_examples::tcp::drive;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Accepts everyone, sends what it is told to, and writes down what happens.
#[derive(Default)]
struct Host {
    events: Vec<Vec<u8>>,
    refused: Option<SendError>,
    commands_closed: u32,
}

enum Command {
    Event(Vec<u8>),
    Close,
}

impl App<Server> for Host {
    type Command = Command;

    fn event(&mut self, session: &mut Server, now: Instant, event: ServerEvent) {
        match event {
            ServerEvent::Identified(_) => session.accept(now, b"token").unwrap(),
            ServerEvent::Event(payload) => self.events.push(payload.to_vec()),
            _ => {}
        }
    }

    fn command(&mut self, session: &mut Server, now: Instant, command: Command) {
        match command {
            Command::Event(payload) => {
                if let Err(error) = session.event(now, &payload) {
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

fn hello() -> Vec<u8> {
    let mut wire = Vec::new();
    ClientMessage::Identification(Identification::new("ada", "Ada"))
        .encode(MessageId(0), &CodecConfig::default(), &mut wire)
        .unwrap();
    wire
}

async fn log_in(peer: &mut DuplexStream) {
    peer.write_all(&hello()).await.unwrap();
    let mut ready = [0; b"\x02\x80\0\0\x05token".len()];
    peer.read_exact(&mut ready).await.unwrap();
}

fn event(id: u16, payload: &[u8]) -> Vec<u8> {
    let mut wire = Vec::new();
    ClientMessage::Event(payload)
        .encode(MessageId(id), &CodecConfig::default(), &mut wire)
        .unwrap();
    wire
}

fn opcodes(mut wire: &[u8]) -> Vec<OpCode> {
    let mut decoder = Decoder::new(CodecConfig::default());
    let mut opcodes = Vec::new();
    while let Some(frame) = decoder.decode(&mut wire).unwrap() {
        opcodes.push(frame.opcode());
    }
    decoder.finish().unwrap();
    opcodes
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_stops_reading_stops_nothing_else() {
    let config = Config::default().ping_interval(Some(Duration::from_secs(1)));
    let mut session = Server::new(Arc::new(config), tokio::time::Instant::now().into_std());
    let (stream, mut peer) = duplex(64);
    let (sender, mut commands) = mpsc::channel(1);
    let mut host = Host::default();
    let play = async {
        log_in(&mut peer).await;
        // Far more than the pipe takes, and more than the session lets wait.
        while sender.send(Command::Event(vec![7; 10_000])).await.is_ok() && !sender.is_closed() {
            if peer.write_all(&event(1, b"still here")).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let began = tokio::time::Instant::now();
    let driven = async {
        let end = drive(&mut session, stream, &mut commands, &mut host).await;
        drop(commands);
        end
    };
    let (end, ()) = both(driven, play).await;
    assert_eq!(end.unwrap(), End::Error(SessionError::PingTimeout));
    assert!(host.events.len() > 50, "{} events", host.events.len());
    assert_eq!(host.refused, Some(SendError::QueueFull));
    // Ping after 1 s, its timeout after 10 s, closing in 2 s.
    assert!(began.elapsed() < Duration::from_secs(14), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_clean_end_sends_all_that_is_queued() {
    let mut session = Server::new(Arc::default(), tokio::time::Instant::now().into_std());
    let (stream, mut peer) = duplex(64);
    let (sender, mut commands) = mpsc::channel(100);
    let mut host = Host::default();
    let play = async {
        log_in(&mut peer).await;
        for _ in 0..20 {
            sender.send(Command::Event(vec![7; 10_000])).await.ok().unwrap();
        }
        sender.send(Command::Close).await.ok().unwrap();
        let mut heard = Vec::new();
        peer.read_to_end(&mut heard).await.unwrap();
        heard
    };
    let (end, heard) = both(drive(&mut session, stream, &mut commands, &mut host), play).await;
    assert_eq!(end.unwrap(), End::Clean);
    assert_eq!(opcodes(&heard), [OpCode::Event; 20]);
}

#[tokio::test(start_paused = true)]
async fn closing_doesnt_wait_for_a_peer_that_never_reads() {
    let mut session = Server::new(Arc::default(), tokio::time::Instant::now().into_std());
    let (stream, mut peer) = duplex(64);
    let (sender, mut commands) = mpsc::channel(100);
    let mut host = Host::default();
    let began = tokio::time::Instant::now();
    let play = async {
        log_in(&mut peer).await;
        sender.send(Command::Event(vec![7; 1000])).await.ok().unwrap();
        sender.send(Command::Close).await.ok().unwrap();
        peer
    };
    let (end, _peer) = both(drive(&mut session, stream, &mut commands, &mut host), play).await;
    assert_eq!(end.unwrap_err().kind(), ErrorKind::TimedOut);
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_end_of_commands_is_told_once() {
    let mut session = Server::new(Arc::default(), tokio::time::Instant::now().into_std());
    let (stream, mut peer) = duplex(64);
    let (sender, mut commands) = mpsc::channel(1);
    let mut host = Host::default();
    drop(sender);
    let play = async {
        log_in(&mut peer).await;
        peer.write_all(&event(1, b"on")).await.unwrap();
        peer.write_all(&event(2, b"and on")).await.unwrap();
        peer.shutdown().await.unwrap();
        peer.read_to_end(&mut Vec::new()).await.unwrap();
    };
    let (end, ()) = both(drive(&mut session, stream, &mut commands, &mut host), play).await;
    assert_eq!(end.unwrap(), End::Clean);
    assert_eq!(host.events, [&b"on"[..], b"and on"]);
    assert_eq!(host.commands_closed, 1);
}

/// Does nothing, and counts how often it is asked.
struct Idle {
    wants_input: bool,
    polls: Cell<u32>,
}

impl Session for Idle {
    type Input = [u8];
    type Transmit = Bytes;
    type Event = Infallible;
    type Error = Infallible;

    fn wants_input(&self) -> bool {
        self.wants_input
    }
    fn handle_input(&mut self, _: Instant, _: &[u8]) {}
    fn handle_eof(&mut self, _: Instant) {}
    fn handle_timeout(&mut self, _: Instant) {}
    fn poll_transmit(&mut self) -> Option<Bytes> {
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
        let (stream, mut peer) = duplex(64);
        let (sender, mut commands) = mpsc::channel(1);
        // Neither input, its end, nor the end of commands may make the driver go round and round.
        peer.write_all(b"unread").await.unwrap();
        if at_eof {
            peer.shutdown().await.unwrap();
            drop(sender);
        }
        let long = Duration::from_secs(5000);
        let end = timeout(long, drive(&mut session, stream, &mut commands, &mut Nothing)).await;
        assert!(end.is_err());
    }
}

async fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (listener.accept().await.unwrap().0, peer)
}

#[tokio::test]
async fn a_protocol_error_reaches_a_peer_that_is_still_sending() {
    let (stream, mut peer) = sockets().await;
    let (_sender, mut commands) = mpsc::channel(1);
    let mut session = Server::new(Arc::default(), Instant::now());
    let mut host = Host::default();
    let play = async {
        // Not bingo from the first byte on, with much more behind it.
        peer.write_all(&[0xEE; 300_000]).await.unwrap();
        let mut heard = vec![peer.read_u8().await.unwrap()];
        // What comes after the answer is thrown away, not answered with a reset.
        for _ in 0..10 {
            peer.write_all(&[0xEE; 10_000]).await.expect("closed, not reset");
        }
        peer.shutdown().await.unwrap();
        peer.read_to_end(&mut heard).await.expect("closed, not reset");
        heard
    };
    let (end, heard) = both(drive(&mut session, stream, &mut commands, &mut host), play).await;
    assert!(matches!(end.unwrap(), End::Error(SessionError::Violation(_))));
    assert_eq!(opcodes(&heard), [OpCode::ProtocolError]);
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
            ClientEvent::Ready { .. } => {
                session.request(now, b"?").unwrap();
            }
            ClientEvent::Outcome { outcome, .. } => self.outcomes.push(outcome),
            _ => {}
        }
    }

    fn command(&mut self, _: &mut Client, _: Instant, (): ()) {}
}

#[tokio::test]
async fn a_reset_gives_every_request_its_outcome() {
    let (mut peer, stream) = sockets().await;
    let (_sender, mut commands) = mpsc::channel(1);
    let who = Identification::new("ada", "Ada");
    let mut session = Client::new(Arc::default(), &who, Instant::now()).unwrap();
    let mut asker = Asker::default();
    let play = async {
        let mut ready = Vec::new();
        ServerMessage::Ready { token: b"token"[..].into() }
            .encode(MessageId(0x8000), &CodecConfig::default(), &mut ready)
            .unwrap();
        peer.write_all(&ready).await.unwrap();
        // Everything but the last byte of the request.
        let unread = 1;
        let mut heard = vec![0; hello().len() + b"\x04\0\0\0\x01?".len() - unread];
        peer.read_exact(&mut heard).await.unwrap();
        peer.readable().await.unwrap();
        // Closed with a byte unread, a socket is reset.
        drop(peer);
    };
    let (end, ()) = both(drive(&mut session, stream, &mut commands, &mut asker), play).await;
    assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(asker.outcomes, [Outcome::Closed]);
}

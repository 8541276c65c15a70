//! The bingo programs as their users have them: processes, pipes and sockets.

mod program;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use bingo_proto::{
    ClientMessage, CodecConfig, Decoder, Identification, MessageId, OpCode, ServerMessage,
};

use crate::program::{PATIENCE, Program};

fn server(args: &[&str]) -> (Program, String) {
    let mut server = Program::start("bingo-server", args);
    let first = server.shows("");
    let address = first.strip_prefix("listening on ").expect("the address on the first line");
    (server, address.to_owned())
}

fn client(address: &str, args: &[&str]) -> Program {
    Program::start("bingo-client", &[&["--connect", address], args].concat())
}

#[test]
fn two_clients_play() {
    let (mut server, address) = server(&["--cells", "4", "--ping-interval", "0.2"]);
    let mut ada = client(&address, &["--login", "ada", "--username", "Ada"]);
    ada.shows("let in");
    ada.shows("0 of 4 cells claimed");
    ada.says("claim 1");
    ada.shows("claim of cell 1: granted");
    ada.shows("claimed: 1 by Ada");

    let mut ben = client(&address, &["--login", "ben", "--username", "Ben"]);
    ben.shows("1 of 4 cells claimed: 1 by Ada");
    ada.shows("Ben joined");
    ben.says("claim 1");
    ben.shows("claim of cell 1: refused: Ada has that cell");
    ben.says("claim 4");
    ben.shows("refused: there are only 4 cells");
    ben.says("claim 2");
    ada.shows("claimed: 2 by Ben");
    ada.says("players");
    ada.shows(r#"players: ["Ada","Ben"]"#);
    ada.says("hop");
    ada.shows("is none of: claim CELL");

    ada.says("claim 0");
    ada.shows("the server asks for the map time: told");
    ada.shows("bingo! Ada has row 0, after");
    ben.shows("bingo! Ada has row 0, after");
    ben.says("say well \x1b[31mdone");
    ada.shows("Ben: well [31mdone");
    ben.shows("Ben: well");
    ben.says("cells");
    ben.shows("3 of 4 cells claimed: 0 by Ada, 1 by Ada, 2 by Ben");
    server.shows("answered a ping after");

    ben.says("quit");
    assert!(ben.ends().0.success());
    ada.shows("Ben left");
    ada.says("quit");
    assert!(ada.ends().0.success());
    server.shows("closed");
}

#[test]
fn the_other_two_servers_play_by_the_same_rules() {
    for name in ["bingo-server-threads", "bingo-server-framed"] {
        let mut server = Program::start(name, &[]);
        let first = server.shows("listening on ");
        let address = first.strip_prefix("listening on ").unwrap();
        let mut ada = client(address, &["--login", "ada", "--username", "Ada"]);
        ada.shows("0 of 25 cells claimed");
        let mut ben = client(address, &["--login", "ben", "--username", "Ben"]);
        ben.shows("0 of 25 cells claimed");
        ada.says("claim 1");
        ada.shows("claim of cell 1: granted");
        ada.shows("claimed: 1 by Ada");
        ben.shows("claimed: 1 by Ada");
        ben.says("claim 1");
        ben.shows("claim of cell 1: refused: Ada has that cell");
        let mut mallory = client(address, &["--login", "mallory", "--username", "Mallory"]);
        mallory.shows("refused: unknown login");
        ada.says("quit");
        assert!(ada.ends().0.success(), "{name}");
        let mut garbage = TcpStream::connect(address).unwrap();
        garbage.write_all(&[0, 0x05, 0, 0, 0, 2, 0x80, 0]).unwrap();
        let mut answer = Vec::new();
        garbage.set_read_timeout(Some(PATIENCE)).unwrap();
        garbage.read_to_end(&mut answer).unwrap();
        assert_eq!(answer.first(), Some(&(OpCode::ProtocolError as u8)), "{name}");
        ben.says("claim 2");
        ben.shows("claim of cell 2: granted");
    }
}

#[test]
fn both_wire_options_are_heeded() {
    let options = ["--byte-order", "little", "--error-reply", "payload-prefix"];
    let (_server, address) = server(&options);
    let mut ada = client(&address, &options);
    ada.shows("let in");
    ada.says("claim 7");
    ada.shows("claim of cell 7: granted");
    ada.says("claim 7");
    ada.shows("claim of cell 7: refused: ada has that cell");
}

#[test]
fn a_script_gets_all_its_answers() {
    let (_server, address) = server(&[]);
    let mut ada = client(&address, &[]);
    for command in ["claim 0", "claim 0", "players"] {
        ada.says(command);
    }
    let (status, shown) = ada.ends();
    assert!(status.success());
    for answer in ["claim of cell 0: granted", "ada has that cell", r#"players: ["ada"]"#] {
        assert!(shown.contains(answer), "no {answer:?} in {shown}");
    }
}

#[test]
fn a_plugin_that_doesnt_answer_holds_up_nobody() {
    let (mut server, address) = server(&["--cells", "1", "--request-timeout", "0.3"]);
    let mut ada = client(&address, &["--manual"]);
    ada.shows("let in");
    ada.says("claim 0");
    ada.shows("\"map-time\" tells it");
    server.shows("ada: no map time: TimedOut");
    ada.shows("bingo! ada has row 0");
    ada.says("map-time 7");
    server.shows("too late");
    ada.says("map-time 7");
    ada.shows("the server hasn't asked");
}

#[test]
fn who_isnt_on_the_list_is_refused() {
    let (mut server, address) = server(&["--login", "eve"]);
    let mut eve = client(&address, &["--login", "eve"]);
    eve.shows("let in");
    for (args, text) in [
        (["--login", "ada", "--username", "Ada"], "refused: unknown login"),
        (["--login", "eve", "--username", "eve"], "refused: somebody of that name plays already"),
        (["--login", "eve", "--username", " "], "refused: not a name for a player"),
    ] {
        let mut refused = client(&address, &args);
        let (status, shown) = refused.ends();
        assert_eq!(status.code(), Some(1));
        assert_eq!(shown, text);
        server.shows(text);
    }
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_the_server_and_tells_the_clients() {
    let (mut server, address) = server(&[]);
    // Somebody who never says who they are. They come first, so they are accepted before Ada is.
    let mut silent = TcpStream::connect(&address).unwrap();
    let mut ada = client(&address, &[]);
    ada.shows("ada joined");
    let mut ben = client(&address, &["--login", "ben"]);
    ben.shows("ben joined");
    let began = Instant::now();
    server.signal("INT");
    for player in [&mut ada, &mut ben] {
        player.shows("the connection is closed");
        assert!(player.ends().0.success());
    }
    silent.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(silent.read(&mut [0]).unwrap(), 0);
    assert!(server.ends().0.success());
    assert!(began.elapsed() < Duration::from_secs(10));
    assert!(TcpStream::connect(&address).is_err());
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_a_client() {
    let (_server, address) = server(&[]);
    let mut ben = client(&address, &["--login", "ben"]);
    ben.shows("ben joined");
    let mut ada = client(&address, &[]);
    ada.shows("ada joined");
    ada.signal("INT");
    ben.shows("ada left");
    assert!(ada.ends().0.success());
}

/// A client without a session: bytes out, frames in.
struct Raw {
    stream: TcpStream,
    decoder: Decoder,
    input: Vec<u8>,
}

impl Raw {
    fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { stream, decoder: Decoder::new(CodecConfig::default()), input: Vec::new() }
    }

    fn log_in(address: &str, name: &str) -> Self {
        let mut raw = Self::connect(address);
        raw.send(&identification(name));
        raw.expect(|message| matches!(message, ServerMessage::Ready { .. }));
        raw
    }

    fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Reads up to the message that is wanted; `false` at the end of the stream.
    fn finds(&mut self, is_wanted: impl Fn(&ServerMessage<'_>) -> bool) -> bool {
        loop {
            let mut input = &self.input[..];
            while let Some(frame) = self.decoder.decode(&mut input).unwrap() {
                let config = CodecConfig::default();
                if is_wanted(&ServerMessage::decode(frame, &config).unwrap()) {
                    self.input = input.to_vec();
                    return true;
                }
            }
            let mut read = vec![0; 4096];
            let n = self.stream.read(&mut read).expect("neither reset nor silent");
            if n == 0 {
                self.decoder.finish().unwrap();
                return false;
            }
            read.truncate(n);
            self.input = read;
        }
    }

    fn expect(&mut self, is_wanted: impl Fn(&ServerMessage<'_>) -> bool) {
        assert!(self.finds(is_wanted), "closed instead");
    }

    fn expect_protocol_error(&mut self, text: &str) {
        self.expect(
            |message| matches!(message, ServerMessage::ProtocolError { reason } if reason.contains(text)),
        );
        assert!(!self.finds(|_| true), "more after the ProtocolError");
    }
}

fn encode(message: &ClientMessage<'_>, id: u16) -> Vec<u8> {
    let mut wire = Vec::new();
    message.encode(MessageId(id), &CodecConfig::default(), &mut wire).unwrap();
    wire
}

fn identification(name: &str) -> Vec<u8> {
    encode(&ClientMessage::Identification(Identification::new("ada", name)), 0)
}

fn claim(id: u16, cell: usize) -> Vec<u8> {
    encode(&ClientMessage::Request(format!(r#"{{"ask":"claim","cell":{cell}}}"#).as_bytes()), id)
}

#[test]
fn bytes_may_come_one_at_a_time() {
    let (_server, address) = server(&[]);
    let mut raw = Raw::connect(&address);
    for byte in identification("Ada") {
        raw.send(&[byte]);
    }
    raw.expect(
        |message| matches!(message, ServerMessage::Ready { token } if token.expose().len() == 32),
    );
    for byte in [claim(1, 3), claim(2, 3), encode(&ClientMessage::Request(b"?"), 3)].concat() {
        raw.send(&[byte]);
    }
    let answers = |id, text| {
        move |message: &ServerMessage<'_>| match *message {
            ServerMessage::Acknowledgement { in_reply_to } => (in_reply_to.0, "") == (id, text),
            ServerMessage::ErrorReply { in_reply_to, text: t } => {
                in_reply_to.0 == id && t.starts_with(text)
            }
            _ => false,
        }
    };
    raw.expect(answers(1, ""));
    raw.expect(answers(2, "Ada has that cell"));
    raw.expect(answers(3, "can't understand"));
}

#[test]
fn garbage_is_told_so_and_harms_nobody_else() {
    let (mut server, address) = server(&[]);
    let mut ada = client(&address, &[]);
    ada.shows("let in");

    let mut raw = Raw::connect(&address);
    raw.send(b"GET / HTTP/1.1\r\n\r\n");
    raw.expect_protocol_error("unknown opcode 0x47 at byte 0");
    server.shows("the peer violated the protocol: unknown opcode 0x47 at byte 0");

    let mut raw = Raw::connect(&address);
    raw.send(&claim(0, 1));
    raw.expect_protocol_error("out of turn at byte 0");

    let mut raw = Raw::connect(&address);
    raw.send(&encode(&ClientMessage::Event(b""), 0)[..3]);
    raw.stream.shutdown(Shutdown::Write).unwrap();
    assert!(!raw.finds(|_| true));
    server.shows("the stream ended inside the frame at byte 0");

    let mut raw = Raw::log_in(&address, "Raw");
    raw.send(&[encode(&ClientMessage::Event(b"{}"), 1), claim(2, 5)[..9].to_vec()].concat());
    raw.stream.shutdown(Shutdown::Write).unwrap();
    assert!(!raw.finds(|message| message.opcode() == OpCode::Reply));
    ada.shows("Raw left");

    ada.says("claim 5");
    ada.shows("claim of cell 5: granted");
}

#[test]
fn two_hundred_play_at_once() {
    let (_server, address) = server(&[]);
    let mut players: Vec<_> = (0..200).map(|_| Raw::connect(&address)).collect();
    for (number, player) in players.iter_mut().enumerate() {
        player.send(&identification(&format!("player {number}")));
    }
    for player in &mut players {
        player.expect(|message| matches!(message, ServerMessage::Ready { .. }));
    }
    players[123].send(&claim(1, 7));
    for player in &mut players {
        player.expect(|message| {
            matches!(message, ServerMessage::DataUpdate(json) if json == br#"{"cells":{"7":"player 123"}}"#)
        });
    }
}

#[test]
fn who_never_reads_is_turned_out_and_holds_up_nobody() {
    let (mut server, address) = server(&[]);
    let mut ada = client(&address, &[]);
    ada.shows("let in");
    // Answers that are longer than their questions.
    let _crowd: Vec<_> = (0..40).map(|n| Raw::log_in(&address, &format!("{n:030}"))).collect();
    let mut deaf = Raw::log_in(&address, "deaf");
    ada.shows("deaf joined");
    let asks: Vec<_> = (1..=0x7FFF_u16)
        .flat_map(|id| encode(&ClientMessage::Request(br#"{"ask":"players"}"#), id))
        .collect();
    let asking = std::thread::spawn(move || {
        // Ends with an error when the server has had enough.
        while deaf.stream.write_all(&asks).is_ok() {}
    });
    for cell in 0..5 {
        ada.says(&format!("claim {cell}"));
        ada.shows(&format!("claim of cell {cell}: granted"));
    }
    server.shows("deaf: turned out: too slow");
    ada.shows("deaf left");
    asking.join().unwrap();
    ada.says("claim 9");
    ada.shows("claim of cell 9: granted");
}

#[test]
fn where_nothing_can_be_had_is_an_error() {
    let (_server, address) = server(&[]);
    let mut second = Program::start("bingo-server", &["--listen", &address]);
    let (status, shown) = second.ends();
    assert_eq!(status.code(), Some(1));
    assert!(shown.contains(&format!("can't listen on {address}")), "{shown}");

    let mut lonely = client("127.0.0.1:1", &[]);
    let (status, shown) = lonely.ends();
    assert_eq!(status.code(), Some(1));
    assert!(shown.contains("can't connect to 127.0.0.1:1"), "{shown}");

    for args in [&["--cells", "0"][..], &["--ping-interval", "0"], &["--ping-interval", "nan"]] {
        assert_eq!(Program::start("bingo-server", args).ends().0.code(), Some(2), "{args:?}");
    }
}

#[test]
fn the_tour_goes_through() {
    let mut tour = Program::start("tour", &[]);
    let (status, shown) = tour.ends();
    assert!(status.success(), "{shown}");
    assert!(shown.ends_with("all 63 steps happened"), "{shown}");
    for line in shown.lines() {
        assert!(line.chars().count() <= 100, "{line}");
    }
}

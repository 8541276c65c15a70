//! The emagine programs as their users have them: processes, pipes and sockets.

mod program;
mod raw;

use std::io::Read;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use tokio_tungstenite::tungstenite::Message;

use crate::program::{PATIENCE, Program};
use crate::raw::Raw;

const DRIVERS: [&str; 2] = ["tungstenite", "axum"];
const HELLO: &str = r#"{"op":0,"heartbeat_interval":"#;

fn server(args: &[&str]) -> (Program, String) {
    let mut server = Program::start("emagine-server", args);
    let first = server.shows("");
    let address = first.strip_prefix("listening on ").expect("the address on the first line");
    (server, format!("ws://{address}"))
}

fn server_on(driver: &str, args: &[&str]) -> (Program, String) {
    server(&[&["--driver", driver], args].concat())
}

fn client(url: &str, args: &[&str]) -> Program {
    Program::start("emagine-client", &[&["--connect", url], args].concat())
}

/// Ada, whom the server knows unless it is told otherwise.
fn ada(url: &str, args: &[&str]) -> Program {
    let mut client = client(url, args);
    client.shows("ready ada");
    client
}

fn log_in(url: &str) -> Raw {
    let mut raw = Raw::connect(url);
    raw.expect(HELLO);
    raw.says(r#"{"op":1,"token":"hellothere"}"#);
    raw.expect(r#"{"op":2,"user":"ben"}"#);
    raw
}

#[test]
fn what_is_typed_is_delivered_to_everybody_or_to_one() {
    for driver in DRIVERS {
        let users = ["--token", "a=b==ada", "--token", "x=ben the second"];
        let (mut server, url) = server_on(driver, &users);
        let mut ada = ada(&url, &["--once", "--token", "a=b="]);
        ada.shows("connected heartbeat_interval=45s");
        server.shows("client 0 is let in as ada");
        let mut ben = client(&url, &["--once", "--token", "x"]);
        ben.shows("ready ben the second");
        server.shows("client 1 is let in as ben the second");
        let mut again = client(&url, &["--once", "--token", "a=b="]);
        server.shows("client 2 is let in as ada");

        server.says(r#"all {"é":"\u00e9",  "n":[1.0, 12345678901234567890123]}"#);
        server.says("to ada good \"morning\"");
        server.says(r#"to "ben the second" [2]"#);
        server.says("all last");
        let first = r#"message {"é":"\u00e9",  "n":[1.0, 12345678901234567890123]}"#;
        for client in [&mut ada, &mut again] {
            for line in [first, r#"message "good \"morning\"""#, r#"message "last""#] {
                assert_eq!(client.shows("message "), line);
            }
        }
        for line in [first, "message [2]", r#"message "last""#] {
            assert_eq!(ben.shows("message "), line);
        }
        server.says("to nobody 1");
        server.shows("nobody is here as nobody");
        server.says("hop");
        server.shows(r#""hop" is none of: all MESSAGE"#);
        server.says("close ada x");
        server.shows(r#""x" is no close code"#);

        ben.says("quit");
        let (status, shown) = ben.ends();
        assert!(status.success() && shown.ends_with("ended clean"), "{shown}");
        server.shows("client 1 ends: closed");
        server.says("close ada 4321 so long");
        for client in [&mut ada, &mut again] {
            client.shows("ended error closed by the peer: 4321 so long");
            assert_eq!(client.ends().0.code(), Some(1));
        }
        server.says("all 1");
        assert_eq!(server.shows("nobody"), "nobody is here");
    }
}

#[test]
fn both_sides_send_heartbeats_and_tell_the_latency() {
    for driver in DRIVERS {
        let (mut server, url) = server_on(driver, &["--heartbeat-interval", "0.5"]);
        let mut ada = ada(&url, &["--once"]);
        ada.shows("connected heartbeat_interval=500ms");
        for _ in 0..3 {
            server.shows("client 0 acknowledges a heartbeat after ");
            assert!(ada.shows("heartbeat_ack ").ends_with("ms"));
        }
    }
    let (_server, url) = server(&[]);
    // A script's heartbeats are all acknowledged before it leaves; more than may be outstanding wait.
    let mut ada = client(&url, &["--once"]);
    for _ in 0..10 {
        ada.says("heartbeat");
    }
    ada.says("heartbeat now");
    let (status, shown) = ada.ends();
    assert!(status.success());
    assert_eq!(shown.matches("heartbeat_ack ").count(), 10, "{shown}");
    assert!(shown.contains("is none of: heartbeat, close [CODE [REASON]], quit"), "{shown}");
}

#[test]
fn a_refused_token_is_not_tried_again() {
    for driver in DRIVERS {
        let (mut server, url) = server_on(driver, &[]);
        let mut eve = client(&url, &["--token", "hellworld", "--min-backoff", "0.01"]);
        let (status, shown) = eve.ends();
        assert_eq!(status.code(), Some(1));
        let expected = "connected heartbeat_interval=45s\n\
                        ended error closed by the peer: 4003 identify failed\n\
                        giving up: closed by the peer: 4003 identify failed";
        assert_eq!(shown, expected);
        server.shows("client 0 has a token that nobody knows");
        server.shows("client 0 ends: closed");
        let (_, log) = {
            server.says("quit");
            server.ends()
        };
        assert!(!log.contains("hellworld"), "{log}");
    }
}

#[cfg(unix)]
#[test]
fn a_client_comes_back_after_the_server_does() {
    let (first, url) = server_on("tungstenite", &[]);
    let mut ada = ada(&url, &["--min-backoff", "0.05", "--max-backoff", "0.2"]);
    first.signal("TERM");
    ada.shows("ended clean");
    ada.shows("reconnecting in 0.");
    drop(first);
    // Meanwhile nobody listens.
    ada.shows("ended error can't connect to ws://");
    ada.shows("reconnecting in 0.");
    ada.says("heartbeat");
    let address = url.strip_prefix("ws://").unwrap();
    let (mut second, _) = server_on("axum", &["--listen", address]);
    ada.shows("ready ada");
    ada.shows("heartbeat_ack ");
    // Whatever else goes wrong, it comes back.
    second.says("close ada 1011 oh dear");
    ada.shows("ended error closed by the peer: 1011 oh dear");
    ada.shows("ready ada");
    ada.says("close 4000 a while");
    second.shows("client 1 ends: closed by the peer: 4000 a while");
    ada.shows("ended clean");
    ada.shows("ready ada");
    second.says("close ada 4003 no more");
    ada.shows("giving up: closed by the peer: 4003 no more");
    assert_eq!(ada.ends().0.code(), Some(1));
}

#[test]
fn the_server_ends_when_told_to_and_not_when_nobody_tells_it_anything_more() {
    let (mut server, url) = server(&[]);
    let mut ada = ada(&url, &["--once"]);
    server.says("quit");
    ada.shows("ended clean");
    assert!(ada.ends().0.success());
    assert!(server.ends().0.success());

    let (mut server, url) = self::server(&[]);
    server.says("all before the end");
    server.shows("nobody is here");
    server.stdin = None;
    let mut ada = self::ada(&url, &["--once"]);
    ada.says("quit");
    assert!(ada.ends().0.success());
    server.shows("client 0 ends: closed");
}

#[cfg(unix)]
#[test]
fn signals_end_the_server_and_tell_the_clients() {
    for (driver, signal) in [("tungstenite", "INT"), ("axum", "TERM"), ("axum", "INT")] {
        let (mut server, url) = server_on(driver, &[]);
        // Somebody who never asks for a WebSocket. They come first, so they are accepted before Ada.
        let address = url.strip_prefix("ws://").unwrap();
        let mut silent = TcpStream::connect(address).unwrap();
        let mut ada = ada(&url, &["--once"]);
        let mut raw = log_in(&url);
        let began = Instant::now();
        server.signal(signal);
        ada.shows("ended clean");
        assert!(ada.ends().0.success());
        assert_eq!(raw.close_code(), 1001);
        silent.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!(silent.read(&mut [0]).unwrap(), 0);
        let (status, shown) = server.ends();
        assert!(status.success());
        assert!(!shown.contains("didn't close in time"), "{shown}");
        assert!(began.elapsed() < Duration::from_secs(10));
        assert!(TcpStream::connect(address).is_err());
    }
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_a_client() {
    let (mut server, url) = server(&[]);
    let mut ada = ada(&url, &[]);
    ada.signal("INT");
    let (status, shown) = ada.ends();
    assert!(status.success());
    assert!(shown.ends_with("ended clean"), "{shown}");
    server.shows("client 0 ends: closed");
}

#[test]
fn what_isnt_emagine_is_told_so_and_harms_nobody_else() {
    for driver in DRIVERS {
        let (mut server, url) = server_on(driver, &["--max-message", "1000"]);
        let mut ada = ada(&url, &[]);
        for (message, code, note) in [
            (Message::text("hello?"), 4001, "not JSON at byte 0"),
            (Message::text(r#"{"op":1,"token":1}"#), 4001, "\"token\" is not a string"),
            (Message::text(r#"{"op":3,"message":1}"#), 4001, "Message from the wrong side"),
            (Message::binary(&b"{}"[..]), 1003, "a binary message"),
            (Message::text("x".repeat(1001)), 1009, "message of 1001 bytes, the limit is 1000"),
            (Message::text("x".repeat(100_000)), 1009, "bytes, the limit is 1000"),
        ] {
            let mut raw = Raw::connect(&url);
            raw.socket.send(message).unwrap();
            assert_eq!(raw.close_code(), code);
            server.shows(note);
        }
        // An op from the future harms nobody.
        let mut raw = log_in(&url);
        raw.says(r#"{"op":77}"#);
        server.shows("sends op 77, which is unknown");
        raw.says(r#"{"op":10,"time":"now"}"#);
        raw.expect(r#"{"op":11,"time":"now"}"#);
        // Gone without a word.
        drop(raw);
        server.shows("the connection was lost");
        server.says(&format!("all {}", "x".repeat(1000)));
        server.shows("client 0 isn't sent something: message of ");
        server.says("all well");
        ada.shows(r#"message "well""#);
    }
}

#[test]
fn heartbeats_that_come_all_at_once_are_all_acknowledged() {
    for driver in DRIVERS {
        let (_server, url) = server_on(driver, &[]);
        let mut raw = log_in(&url);
        for time in 0..100 {
            raw.socket.write(Message::text(format!(r#"{{"op":10,"time":{time}}}"#))).unwrap();
        }
        raw.socket.flush().unwrap();
        for time in 0..100 {
            raw.expect(&format!(r#"{{"op":11,"time":{time}}}"#));
        }
    }
}

#[test]
fn who_says_nothing_is_closed() {
    let (mut hasty, url) = server(&["--handshake-timeout", "0.3"]);
    let mut raw = Raw::connect(&url);
    assert_eq!(raw.close_code(), 4002);
    hasty.shows("client 0 ends: the handshake took too long");
    // Long enough to log in on a busy machine.
    let (mut server, url) = server(&["--heartbeat-interval", "0.8"]);
    let mut raw = log_in(&url);
    raw.expect(r#"{"op":10,"time":"#);
    assert_eq!(raw.close_code(), 4002);
    server.shows("client 0 ends: the heartbeat stopped");
    // A client that is asked for more than it wants to give closes by itself.
    let mut ada = client(&url, &["--once", "--min-heartbeat-interval", "1"]);
    ada.shows(
        "ended error the peer violated the protocol: a heartbeat interval of 800 ms is too short",
    );
    assert_eq!(ada.ends().0.code(), Some(1));
}

#[test]
fn who_never_reads_is_turned_out_and_holds_up_nobody() {
    for driver in DRIVERS {
        let (mut server, url) = server_on(driver, &[]);
        let mut ada = ada(&url, &[]);
        let deaf = log_in(&url);
        let text = "x".repeat(10_000);
        // More than sockets keep, and no faster than Ada reads.
        for number in 0..1500 {
            server.says(&format!(r#"all [{number},"{text}"]"#));
            ada.shows(&format!("message [{number},"));
        }
        server.shows("client 1 is turned out: too slow");
        server.shows("client 1 ends: ");
        server.says("all well");
        ada.shows(r#"message "well""#);
        drop(deaf);
    }
}

#[test]
fn nobody_fills_the_log() {
    let (mut server, url) = server_on("tungstenite", &[]);
    let mut raw = log_in(&url);
    for _ in 0..1000 {
        raw.says(r#"{"op":77}"#);
    }
    raw.says(r#"{"op":10,"time":7}"#);
    raw.expect(r#"{"op":11,"time":7}"#);
    server.says("quit");
    let (_, shown) = server.ends();
    let notes = shown.matches("sends op 77").count();
    assert!((50..500).contains(&notes), "{notes} lines");
}

#[test]
fn where_nothing_can_be_had_is_an_error() {
    let (_server, url) = server(&[]);
    let address = url.strip_prefix("ws://").unwrap();
    let mut second = Program::start("emagine-server", &["--listen", address]);
    let (status, shown) = second.ends();
    assert_eq!(status.code(), Some(1));
    assert!(shown.contains(&format!("can't listen on {address}")), "{shown}");

    let mut lonely = client("ws://127.0.0.1:1", &["--once"]);
    let (status, shown) = lonely.ends();
    assert_eq!(status.code(), Some(1));
    assert!(shown.starts_with("ended error can't connect to ws://127.0.0.1:1: "), "{shown}");

    for args in [&["--driver", "x"][..], &["--token", "x"], &["--heartbeat-interval", "0"]] {
        assert_eq!(Program::start("emagine-server", args).ends().0.code(), Some(2), "{args:?}");
    }
}

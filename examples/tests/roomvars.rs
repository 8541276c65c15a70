//! The roomvars programs as their users have them: processes, pipes and sockets.

mod program;

use std::net::TcpStream;
use std::time::{Duration, Instant};

use tokio_tungstenite::tungstenite::stream::MaybeTlsStream;
use tokio_tungstenite::tungstenite::{Message, WebSocket, connect};

use crate::program::Program;

fn server(args: &[&str]) -> (Program, String) {
    let mut server = Program::start("roomvars-server", args);
    let first = server.shows("");
    let address = first.strip_prefix("listening on ").expect("the address on the first line");
    (server, format!("ws://{address}"))
}

fn client(url: &str, username: &str, args: &[&str]) -> Program {
    let options = ["--connect", url, "--username", username];
    Program::start("roomvars-client", &[&options[..], args].concat())
}

/// One that is in a room with the variables x and y.
fn member(server: &mut Program, url: &str, username: &str, args: &[&str]) -> Program {
    let variables = ["--once", "--variable", "x=0", "--variable", "y=0"];
    let mut client = client(url, username, &[&variables[..], args].concat());
    client.shows("connected");
    server.shows(&format!("joined username={username:?}"));
    client
}

#[test]
fn two_clients_share_variables_in_every_dialect() {
    for dialect in ["documented", "deployed2020"] {
        let dialect = ["--dialect", dialect];
        let (mut server, url) = server(&dialect);
        let mut ada = member(&mut server, &url, "ada", &dialect);
        ada.says("set x 10");
        ada.says("show");
        ada.shows(r#"variable "x" "10""#);
        let mut grace = member(&mut server, &url, "grace", &dialect);
        grace.shows(r#"snapshot "x" "10""#);
        grace.shows(r#"snapshot "y" "0""#);
        grace.says("set y two words");
        ada.shows(r#"set "y" "two words""#);
        grace.says("set z 1");
        grace.shows("not sent: no such variable");
        grace.says("rename x z");
        grace.shows("not sent: the dialect has no rename");
        grace.says("quit");
        let (status, shown) = grace.ends();
        assert!(status.success() && shown.ends_with("ended clean"), "{shown}");
        server.shows(": left");
    }
}

#[test]
fn variables_come_and_go_in_the_scratch_dialect() {
    let scratch = ["--dialect", "scratch"];
    let (mut server, url) = server(&scratch);
    let room = ["--once", "--room", "123", "--room-is-number"];
    let mut ada = client(&url, "ada", &[&scratch[..], &room].concat());
    server.shows(r#"joined username="ada" room="123" clients=1"#);
    ada.says("number x 1.0");
    ada.says(r#"set "\u2601 score" 7"#);
    ada.says("show");
    ada.shows(r#"variable "☁ score" "7""#);
    // The same name again is no matter here, and neither is how the room's id is written.
    let room = ["--once", "--room", "123"];
    let mut other = client(&url, "ada", &[&scratch[..], &room].concat());
    server.shows(r#"joined username="ada" room="123" clients=2"#);
    other.shows(r#"snapshot "x" 1.0"#);
    other.shows(r#"snapshot "☁ score" "7""#);
    ada.says(r#"rename x "a b""#);
    ada.says(r#"delete "\u2601 score""#);
    other.shows(r#"renamed "x" "a b""#);
    other.shows(r#"deleted "☁ score""#);
}

#[test]
fn who_may_not_come_in_is_told_why_and_does_not_come_again() {
    let (mut server, url) = server(&["--refuse", "Rude", "--max-room-clients", "2"]);
    let _ada = member(&mut server, &url, "ada", &[]);
    for (username, variables, why) in [
        ("Ada", ["--variable", "x=0", "--variable", "y=0"], "4002 the username is taken"),
        ("grace", ["--variable", "x=0", "--variable", "z=0"], "4001 the room has other variables"),
        ("rudeboy", ["--variable", "x=0", "--variable", "y=0"], "4002 the username is not acc"),
    ] {
        let mut client = client(&url, username, &variables);
        client.shows(why);
        client.shows("giving up: closed by the server");
        assert_eq!(client.ends().0.code(), Some(1));
    }
    // When there is room again, who found none comes in.
    let mut ben = member(&mut server, &url, "ben", &[]);
    let variables = ["--variable", "x=0", "--variable", "y=0"];
    let backoff = ["--min-backoff", "0.1", "--max-backoff", "0.2"];
    let mut cat = client(&url, "cat", &[&variables[..], &backoff].concat());
    cat.shows("4003 the room is full");
    cat.shows("reconnecting in 0.");
    ben.says("set x that is Rude");
    ben.shows("4000 the value is not acceptable");
    server.shows(r#"joined username="cat""#);
}

#[test]
fn a_client_comes_back_after_the_server_does() {
    let (mut first, url) = server(&[]);
    let address = url.strip_prefix("ws://").unwrap().to_owned();
    let variables = ["--variable", "x=0", "--min-backoff", "0.1", "--max-backoff", "0.3"];
    let mut ada = client(&url, "ada", &variables);
    first.shows(r#"joined username="ada""#);
    ada.says("set x 5");
    ada.says("show");
    ada.shows(r#"variable "x" "5""#);
    #[cfg(unix)]
    first.signal("TERM");
    #[cfg(unix)]
    assert!(first.ends().0.success());
    drop(first);
    ada.shows("ended");
    ada.shows("reconnecting in 0.");
    let (mut second, _) = server(&["--listen", &address]);
    second.shows(r#"joined username="ada""#);
    // It brings the values that it knows.
    let mut ben = client(&url, "ben", &["--once", "--variable", "x=0"]);
    ben.shows(r#"snapshot "x" "5""#);
    ada.says("set x 6");
    ben.shows(r#"set "x" "6""#);
    ada.says("quit");
    assert!(ada.ends().0.success());
}

type Socket = WebSocket<MaybeTlsStream<TcpStream>>;

fn stranger(url: &str) -> Socket {
    connect(url).unwrap().0
}

/// Code and reason that the server closes with.
fn closed(socket: &mut Socket) -> String {
    loop {
        match socket.read() {
            Ok(Message::Close(Some(frame))) => return format!("{} {}", frame.code, frame.reason),
            Ok(_) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn what_isnt_roomvars_is_told_so_and_harms_nobody_else() {
    let (mut server, url) = server(&["--handshake-timeout", "1"]);
    let mut ada = member(&mut server, &url, "ada", &[]);
    let long = "x".repeat((1 << 20) + 1);
    for (message, close) in [
        (Message::text("{"), "4000 not JSON at byte 1"),
        (Message::text(long), "4000 message of 104"),
        (Message::binary(vec![1]), "1003 a binary message"),
        (Message::text(r#"{"kind":"set","variable":"x","value":"1"}"#), "4000 not a handshake"),
        (Message::text(r#"{"kind":"news"}"#), "4000 an unknown kind"),
    ] {
        let mut socket = stranger(&url);
        socket.send(message).unwrap();
        let told = closed(&mut socket);
        assert!(told.starts_with(close), "{told}");
    }
    let mut silent = stranger(&url);
    assert_eq!(closed(&mut silent), "4000 no handshake in time");
    let mut grace = member(&mut server, &url, "grace", &[]);
    grace.says("set x 1");
    ada.shows(r#"set "x" "1""#);
}

#[test]
fn who_never_reads_holds_up_nobody_and_ends_with_the_right_values() {
    let (mut server, url) = server(&["--max-untaken", "20000", "--max-value", "1000"]);
    let mut ada = member(&mut server, &url, "ada", &["--max-value", "1000"]);
    let mut slow = stranger(&url);
    let handshake =
        r#"{"kind":"handshake","room":"lobby","username":"slow","variables":{"x":"","y":""}}"#;
    slow.send(Message::text(handshake)).unwrap();
    server.shows(r#"joined username="slow""#);
    let mut grace = member(&mut server, &url, "grace", &["--max-value", "1000"]);
    let start = Instant::now();
    let filler = "v".repeat(900);
    // Much more than sockets and libraries keep.
    for number in 0..20_000 {
        ada.says(&format!("set x {number} {filler}"));
    }
    ada.says("set y last");
    grace.shows(r#"set "y" "last""#);
    assert!(start.elapsed() < Duration::from_secs(20));
    // Now it reads: not all of it, but the end is right.
    let (mut x, mut seen) = (String::new(), 0);
    loop {
        let text = slow.read().unwrap().into_text().unwrap();
        for line in text.lines() {
            seen += 1;
            if line.contains(r#""variable":"x""#) {
                x = line.to_owned();
            }
        }
        if text.contains("last") {
            break;
        }
    }
    assert!(x.contains(r#""value":"19999 "#), "{x}");
    assert!(seen < 20_000, "{seen} sets");
}

#[test]
fn who_never_reads_is_cut_off_once_the_hub_has_ended_it() {
    let (mut server, url) = server(&["--rate-limit", "30000"]);
    let mut ada = member(&mut server, &url, "ada", &[]);
    let mut slow = stranger(&url);
    let handshake =
        r#"{"kind":"handshake","room":"lobby","username":"slow","variables":{"x":"","y":""}}"#;
    slow.send(Message::text(handshake)).unwrap();
    server.shows(r#"joined username="slow""#);
    let filler = "v".repeat(900);
    for number in 0..10_000 {
        ada.says(&format!("set x {number} {filler}"));
    }
    ada.says("show");
    ada.shows(r#"variable "x" "9999 "#);
    slow.send(Message::text("{")).unwrap();
    server.shows(r#"ended error="not JSON"#);
    server.shows("number=1}: closed");
    // It never came to read why.
    drop(slow);
}

#[test]
fn changes_are_collected_into_batches() {
    let (mut server, url) = server(&["--flush-interval", "0.3"]);
    let mut ada = member(&mut server, &url, "ada", &[]);
    let mut watcher = stranger(&url);
    let handshake =
        r#"{"kind":"handshake","room":"lobby","username":"w","variables":{"x":"","y":""}}"#;
    watcher.send(Message::text(handshake)).unwrap();
    server.shows(r#"joined username="w""#);
    let snapshot = watcher.read().unwrap().into_text().unwrap();
    assert_eq!(snapshot.lines().count(), 2);
    for number in 0..50 {
        ada.says(&format!("set x {number}"));
    }
    let (mut messages, mut sets) = (0, 0);
    while sets < 50 {
        messages += 1;
        sets += watcher.read().unwrap().into_text().unwrap().lines().count();
    }
    assert_eq!(sets, 50);
    assert!(messages <= 10, "{messages} messages");
}

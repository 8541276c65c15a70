//! The litecord programs as their users have them: processes, pipes and sockets.

mod program;
mod raw;

use std::io::Read;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use tokio_tungstenite::tungstenite::Message;

use crate::program::{PATIENCE, Program};
use crate::raw::Raw;

const PASSWORD: [&str; 2] = ["--password", "hunter2"];
const DRIVERS: [&str; 2] = ["tungstenite", "axum"];

fn server(args: &[&str]) -> (Program, String) {
    let mut server = Program::start("litecord-server", args);
    let first = server.shows("");
    let address = first.strip_prefix("listening on ").expect("the address on the first line");
    (server, format!("ws://{address}"))
}

fn server_on(driver: &str, args: &[&str]) -> (Program, String) {
    server(&[&["--driver", driver][..], &PASSWORD, args].concat())
}

fn client(url: &str, args: &[&str]) -> Program {
    Program::start("litecord-client", &[&["--connect", url], args].concat())
}

/// One that has been let in.
fn friend(url: &str, args: &[&str]) -> Program {
    let mut client = client(url, &[&PASSWORD[..], args].concat());
    client.shows("authenticated");
    client
}

#[test]
fn two_clients_hear_of_each_other() {
    for driver in DRIVERS {
        let (mut server, url) = server_on(driver, &["--heartbeat-interval", "0.3"]);
        let mut ada = friend(&url, &["--once"]);
        ada.shows("connected heartbeat_interval=300ms");
        ada.shows("request VERSION []");
        server.shows(r#"client 0 answers VERSION: {"name":"litecord-client","version":"0.1.0"}"#);
        ada.shows("heartbeat_ack ");
        ada.shows("heartbeat_ack ");
        let mut ben = friend(&url, &["--once"]);
        server.shows("client 1 answers VERSION: ");

        ada.says(r#"dispatch SUBSCRIBE [42, "ben"]"#);
        ben.shows("dispatch SUBSCRIBERS_CHANGED [42,1]");
        ben.says(r#"dispatch SUBSCRIBE [42,"ada"]"#);
        ada.shows("dispatch SUBSCRIBERS_CHANGED [42,2]");
        // Another guild, as ids are compared by their JSON; and what changes nothing isn't told.
        ben.says(r#"dispatch SUBSCRIBE ["42",7]"#);
        ada.shows(r#"dispatch SUBSCRIBERS_CHANGED ["42",1]"#);
        ben.says(r#"dispatch SUBSCRIBE [42,"ben"]"#);
        ben.says("dispatch UNSUBSCRIBE [42,null]");
        server.shows("client 1 means no guild and user by that");
        ben.says(r#"dispatch UNSUBSCRIBE [42,"ben"]"#);
        assert_eq!(ada.shows("SUBSCRIBERS_CHANGED"), "dispatch SUBSCRIBERS_CHANGED [42,1]");
        ben.says("subscribers 42");
        assert_eq!(ben.shows("outcome"), r#"outcome 1 response ["ada"]"#);
        ben.says(r#"subscribers "42""#);
        assert_eq!(ben.shows("outcome"), "outcome 2 response [7]");
        ben.says("subscribers 43");
        assert_eq!(ben.shows("outcome"), "outcome 3 response []");
        ben.says("hop");
        ben.shows("is none of: request");

        ben.says("quit");
        let (status, shown) = ben.ends();
        assert!(status.success());
        assert!(shown.ends_with("ended clean"), "{shown}");
        server.shows("client 1 ends: closed");
    }
}

#[test]
fn both_sides_ask_and_answer() {
    for driver in DRIVERS {
        let (mut server, url) = server_on(driver, &["--request-timeout", "0.5"]);
        let mut ada = friend(&url, &["--once", "--request-timeout", "1"]);
        for (request, outcome) in [
            (
                r#"ECHO [1.0,  {"é":"\u00e9"}, 12345678901234567890123]"#,
                r#"response [1.0,  {"é":"\u00e9"}, 12345678901234567890123]"#,
            ),
            (r#"ASK ["ECHO", 1, [2.0]]"#, r#"response {"outcome":"response","r":[1,[2.0]]}"#),
            (
                r#"ASK ["WHO"]"#,
                r#"response {"outcome":"response","r":{"error":"unknown request"}}"#,
            ),
            (r#"ASK ["SILENCE"]"#, r#"response {"outcome":"timed_out"}"#),
            ("SILENCE", "timed_out"),
            ("WHO [1]", r#"response {"error":"unknown request"}"#),
        ] {
            ada.says(&format!("request {request}"));
            let shown = ada.shows("outcome ");
            let (_, shown) = shown.split_once("outcome ").unwrap().1.split_once(' ').unwrap();
            assert_eq!(shown, outcome);
        }
        ada.says("request GUILD_SUBSCRIBERS [1.5]");
        ada.shows(r#"response {"error":"no id of a guild"}"#);
        ada.says("dispatch HELLO {}");
        ada.shows("not sent: the arguments are not an array");
        ada.says("dispatch HELLO [1, 2]");
        server.shows("client 0 dispatches HELLO [1, 2]");
        ada.says("request SILENCE");
        ada.says(r#"request CLOSE [4123, "enough"]"#);
        for line in
            ["outcome 8 closed", "outcome 9 closed", "ended error closed by the peer: 4123 enough"]
        {
            ada.shows(line);
        }
        assert_eq!(ada.ends().0.code(), Some(1));
    }
}

#[test]
fn the_table_of_the_document_is_kept() {
    let directions = ["--directions", "as-documented"];
    let (mut server, url) = server_on("tungstenite", &directions);
    let mut ada = friend(&url, &directions);
    let mut ben = friend(&url, &directions);
    ben.says("dispatch SUBSCRIBE [1,2]");
    server.shows("client 1 dispatches SUBSCRIBE [1,2]");
    ada.says(r#"request ASK ["VERSION"]"#);
    ada.shows(r#"outcome 1 response {"error":"REQUEST from the wrong side"}"#);
    ada.says("subscribers 1");
    ada.shows("outcome 2 response [2]");
    ada.says("quit");
    let (_, shown) = ada.ends();
    assert!(!shown.contains("request VERSION") && !shown.contains("dispatch"), "{shown}");
}

#[test]
fn a_script_gets_all_its_answers() {
    let (_server, url) = server_on("tungstenite", &["--zlib"]);
    let mut ada = client(&url, &[&PASSWORD[..], &["--once", "--zlib"]].concat());
    for number in 0..100 {
        ada.says(&format!("request ECHO [{number}]"));
    }
    let (status, shown) = ada.ends();
    assert!(status.success());
    for number in 0..100 {
        let answer = format!("outcome {} response [{number}]\n", number + 1);
        assert!(shown.contains(&answer), "no {answer:?} in {shown}");
    }
}

#[test]
fn who_says_too_much_is_turned_out() {
    let (mut server, url) = server_on("tungstenite", &["--rate-limit", "4"]);
    let mut ada = friend(&url, &["--once"]);
    let mut ben = friend(&url, &["--once"]);
    for user in 0..22 {
        ada.says(&format!("dispatch SUBSCRIBE [42,{user}]"));
    }
    server.shows("client 0 is turned out: says too much");
    ada.shows("1008 says too much");
    ben.shows("dispatch SUBSCRIBERS_CHANGED [42,21]");
    // What nobody else hears of is no matter.
    for _ in 0..30 {
        ben.says("request GUILD_SUBSCRIBERS [7]");
    }
    ben.shows("outcome 30 response []");
}

#[test]
fn a_burst_waits_for_room_on_both_sides() {
    for driver in DRIVERS {
        let (_server, url) = server_on(driver, &[]);
        let mut ada = friend(&url, &["--once"]);
        let text = "x".repeat(200_000);
        // Each is more than half of what a session lets wait.
        for number in 1..=10 {
            ada.says(&format!(r#"request ECHO [{number},"{text}"]"#));
        }
        let (status, shown) = ada.ends();
        assert!(status.success());
        for number in 1..=10 {
            assert!(shown.contains(&format!(r#"outcome {number} response [{number},"xxx"#)));
        }
        assert!(!shown.contains("not "));
    }
}

#[test]
fn a_wrong_password_is_not_tried_again() {
    for driver in DRIVERS {
        let (_server, url) = server_on(driver, &[]);
        let mut eve = client(&url, &["--password", "hunter3", "--min-backoff", "0.01"]);
        let (status, shown) = eve.ends();
        assert_eq!(status.code(), Some(1));
        let expected = "connected heartbeat_interval=10s\n\
                        ended error closed by the peer: 4001 wrong password\n\
                        giving up: closed by the peer: 4001 wrong password";
        assert_eq!(shown, expected);
    }
}

#[test]
fn the_application_takes_its_time_to_decide() {
    let (mut server, url) = server(&[]);
    let began = Instant::now();
    let mut ada = client(&url, &["--password", "helloworld", "--once"]);
    ada.shows("authenticated");
    assert!(began.elapsed() >= Duration::from_millis(300));
    server.shows("client 0 is let in");
    let mut eve = client(&url, &["--password", "hunter2"]);
    eve.shows("giving up: closed by the peer: 4001 wrong password");
    assert_eq!(eve.ends().0.code(), Some(1));
    server.shows("client 1 has the wrong password");
}

#[cfg(unix)]
#[test]
fn a_client_comes_back_after_the_server_does() {
    let (first, url) = server_on("tungstenite", &[]);
    let mut ada = friend(&url, &["--min-backoff", "0.05", "--max-backoff", "0.2"]);
    first.signal("TERM");
    ada.shows("ended clean");
    ada.shows("reconnecting in 0.");
    drop(first);
    // Meanwhile nobody listens.
    ada.shows("ended error can't connect to ws://");
    ada.shows("reconnecting in 0.");
    ada.says("request ECHO [1]");
    let address = url.strip_prefix("ws://").unwrap();
    let (mut second, _) = server_on("axum", &["--listen", address]);
    ada.shows("authenticated");
    ada.shows("outcome 1 response [1]");
    second.shows("client 0 answers VERSION: ");
    // Whatever else goes wrong, it comes back.
    ada.says("close 4000 a while");
    second.shows("client 0 ends: closed by the peer: 4000 a while");
    ada.shows("ended clean");
    ada.shows("authenticated");
    ada.says("quit");
    assert!(ada.ends().0.success());
}

#[cfg(unix)]
#[test]
fn signals_end_the_server_and_tell_the_clients() {
    for (driver, signal) in [("tungstenite", "TERM"), ("tungstenite", "INT"), ("axum", "TERM")] {
        let (mut server, url) = server_on(driver, &[]);
        // Somebody who never asks for a WebSocket. They come first, so they are accepted before Ada.
        let address = url.strip_prefix("ws://").unwrap();
        let mut silent = TcpStream::connect(address).unwrap();
        let mut ada = friend(&url, &["--once"]);
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
    let (mut server, url) = server_on("tungstenite", &[]);
    let ada = friend(&url, &[]);
    ada.signal("INT");
    let mut ada = ada;
    let (status, shown) = ada.ends();
    assert!(status.success());
    assert!(shown.ends_with("ended clean"), "{shown}");
    server.shows("client 0 ends: closed");
    drop(server);
    // While it waits to connect again, too.
    let mut ben = client(&url, &["--min-backoff", "100", "--max-backoff", "100"]);
    ben.shows("reconnecting in 100.0s");
    ben.signal("INT");
    assert!(ben.ends().0.success());
}

fn log_in(url: &str) -> Raw {
    let mut raw = Raw::connect(url);
    raw.expect(r#"{"op":0,"#);
    raw.says(r#"{"op":1,"password":"hunter2"}"#);
    raw.expect(r#"{"op":4,"w":"VERSION""#);
    raw
}

#[test]
fn what_isnt_litecord_is_told_so_and_harms_nobody_else() {
    for driver in DRIVERS {
        let (mut server, url) = server_on(driver, &["--max-message", "1000"]);
        let mut ada = friend(&url, &[]);
        for (message, code, note) in [
            (Message::text("hello?"), 1007, "not JSON at byte 0"),
            (Message::text(r#"{"op":1,"password":1}"#), 1008, "\"password\" is not a string"),
            (Message::text(r#"{"op":2}"#), 4002, "HEARTBEAT before authentication"),
            (Message::binary(&b"{}"[..]), 1003, "a binary message"),
            (Message::text("x".repeat(1001)), 1009, "message of 1001 bytes, the limit is 1000"),
            (Message::text("x".repeat(100_000)), 1009, "bytes, the limit is 1000"),
        ] {
            let mut raw = Raw::connect(&url);
            raw.socket.send(message).unwrap();
            assert_eq!(raw.close_code(), code);
            server.shows(note);
        }
        // Gone without a word. With the HELLO unread, the connection would be reset instead.
        let mut raw = Raw::connect(&url);
        raw.expect(r#"{"op":0,"#);
        drop(raw);
        server.shows("the connection was lost");
        ada.says("request ECHO []");
        ada.shows("outcome 1 response []");
    }
}

#[test]
fn who_stops_its_heartbeat_is_closed() {
    let timing = ["--heartbeat-interval", "0.2", "--heartbeat-grace", "0.1"];
    let (mut server, url) = server_on("axum", &timing);
    let mut raw = log_in(&url);
    raw.says(r#"{"op":2,"s":null}"#);
    raw.expect(r#"{"op":3}"#);
    assert_eq!(raw.close_code(), 4003);
    server.shows("client 0 ends: the heartbeat stopped");
    // A client that is asked for more than it wants to give closes by itself.
    let mut ada =
        client(&url, &[&PASSWORD[..], &["--once", "--min-heartbeat-interval", "1"]].concat());
    ada.shows(
        "ended error the peer violated the protocol: a heartbeat interval of 200 ms is too short",
    );
    assert_eq!(ada.ends().0.code(), Some(1));
}

#[test]
fn who_never_reads_is_not_read_any_more_and_holds_up_nobody() {
    for driver in DRIVERS {
        let (mut server, url) = server_on(driver, &["--heartbeat-interval", "2"]);
        let mut ada = friend(&url, &[]);
        let mut deaf = log_in(&url);
        let text = "x".repeat(100_000);
        let asking = std::thread::spawn(move || {
            for nonce in 1.. {
                let ask = format!(r#"{{"op":4,"w":"ECHO","a":["{text}"],"n":{nonce}}}"#);
                // Ends with an error when the server has had enough.
                if deaf.socket.send(Message::text(ask)).is_err() {
                    break;
                }
            }
        });
        for number in 1..=5 {
            ada.says("request ECHO [1]");
            ada.shows(&format!("outcome {number} response [1]"));
        }
        // Its heartbeats would be behind what it asks.
        server.shows("client 1 ends: the heartbeat stopped");
        asking.join().unwrap();
        ada.says("request ECHO [6]");
        ada.shows("outcome 6 response [6]");
    }
}

#[test]
fn where_nothing_can_be_had_is_an_error() {
    let (_server, url) = server(&[]);
    let address = url.strip_prefix("ws://").unwrap();
    let mut second = Program::start("litecord-server", &["--listen", address]);
    let (status, shown) = second.ends();
    assert_eq!(status.code(), Some(1));
    assert!(shown.contains(&format!("can't listen on {address}")), "{shown}");

    let mut lonely = client("ws://127.0.0.1:1", &["--once"]);
    let (status, shown) = lonely.ends();
    assert_eq!(status.code(), Some(1));
    assert!(shown.starts_with("ended error can't connect to ws://127.0.0.1:1: "), "{shown}");

    for args in [&["--driver", "x"][..], &["--heartbeat-interval", "0"], &["--max-message", "-1"]] {
        assert_eq!(Program::start("litecord-server", args).ends().0.code(), Some(2), "{args:?}");
    }
}

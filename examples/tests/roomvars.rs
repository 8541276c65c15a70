//! The roomvars programs as their users have them: processes, pipes and sockets.

mod program;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio_tungstenite::tungstenite::stream::MaybeTlsStream;
use tokio_tungstenite::tungstenite::{Message, WebSocket, connect};

use crate::program::{PATIENCE, Program};

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

/// The variables of `member`, as a handshake has them.
const XY: &str = r#"{"x":"","y":""}"#;

/// A stranger that is in the lobby.
fn joined(server: &mut Program, url: &str, username: &str, variables: &str) -> Socket {
    let mut socket = stranger(url);
    let handshake = format!(
        r#"{{"kind":"handshake","room":"lobby","username":"{username}","variables":{variables}}}"#
    );
    socket.send(Message::text(handshake)).unwrap();
    server.shows(&format!("joined username={username:?}"));
    socket
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
    let mut slow = joined(&mut server, &url, "slow", XY);
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
    let mut slow = joined(&mut server, &url, "slow", XY);
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
fn who_never_closes_is_cut_off() {
    let (mut server, url) = server(&["--max-connections", "2"]);
    let mut wrong = joined(&mut server, &url, "wrong", "{}");
    let mut idle = joined(&mut server, &url, "idle", "{}");
    let mut surplus = stranger(&url);
    let reserved = [0x83, 0x80, 0, 0, 0, 0];
    for (socket, said, why) in
        [(&mut wrong, &reserved[..], "1002"), (&mut surplus, &[], "4003 too many connections")]
    {
        fn plain(socket: &mut Socket) -> &mut TcpStream {
            let MaybeTlsStream::Plain(stream) = socket.get_mut() else { unreachable!() };
            stream
        }
        plain(socket).write_all(said).unwrap();
        plain(socket).set_read_timeout(Some(PATIENCE)).unwrap();
        let told = closed(socket);
        assert!(told.starts_with(why), "{told}");
        // The answer to the close frame would go with the next call of the library.
        assert_eq!(plain(socket).read(&mut [0]).unwrap(), 0);
    }
    idle.close(None).unwrap();
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

/// What the server answers to one request.
fn http(url: &str, method: &str, path: &str) -> String {
    let address = url.strip_prefix("ws://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").unwrap();
    let mut answer = String::new();
    // To the end: the server closes.
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn the_page_is_served_as_the_server_speaks() {
    for dialect in ["documented", "deployed2020", "scratch"] {
        let (_server, url) = server(&["--dialect", dialect]);
        let page = http(&url, "GET", "/");
        assert!(page.starts_with("HTTP/1.1 200"), "{page}");
        assert!(page.contains("content-security-policy: default-src 'none'; script-src 'self'"));
        assert!(page.contains(&format!("data-dialect=\"{dialect}\"")), "{page}");
        for file in ["/page.js", "/roomvars.js", "/style.css"] {
            assert!(page.contains(&file[1..]) || file == "/roomvars.js", "{file}");
            let file = http(&url, "GET", file);
            assert!(file.starts_with("HTTP/1.1 200") && file.len() > 1000, "{file}");
        }
        for (method, path, status) in [("GET", "/page", "404"), ("POST", "/", "405")] {
            let answer = http(&url, method, path);
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
        }
        assert!(http(&url, "HEAD", "/").ends_with("\r\n\r\n"));
        // A WebSocket is to be had at any path.
        stranger(&format!("{url}/page"));
    }
    let protocol = include_str!("../roomvars-server/page/roomvars.js");
    assert!(protocol.lines().count() < 100, "it is to be read in one go");
}

#[test]
fn an_operator_can_count_what_happens() {
    let (mut server, url) = server(&[]);
    let mut ada = member(&mut server, &url, "ada", &[]);
    let mut grace = member(&mut server, &url, "grace", &[]);
    ada.says("set x 10");
    grace.shows(r#"set "x" "10""#);
    let mut twin = client(&url, "ADA", &["--variable", "x=0", "--variable", "y=0"]);
    twin.shows("4002 the username is taken");
    server.shows(r#"ended error="the username is taken""#);
    let mut strange = stranger(&url);
    strange.send(Message::text("{")).unwrap();
    assert!(closed(&mut strange).starts_with("4000"));
    grace.says("close 1000 bye");
    server.shows(": left");
    let told = http(&url, "GET", "/metrics");
    assert!(told.contains("content-type: application/openmetrics-text"), "{told}");
    for line in [
        "roomvars_clients 1",
        "roomvars_rooms 1",
        "roomvars_empty_rooms 0",
        "roomvars_variables 2",
        "roomvars_joins_total 2",
        // Three handshakes, a set, and what was no JSON.
        "roomvars_messages_received_total 5",
        "roomvars_sets_received_total 1",
        // Grace's snapshot, and a set.
        "roomvars_messages_sent_total 2",
        "roomvars_sets_sent_total 3",
        r#"roomvars_refused_total{reason="username_taken"} 1"#,
        r#"roomvars_refused_total{reason="malformed"} 1"#,
        r#"roomvars_closes_total{by="server",code="4002"} 1"#,
        r#"roomvars_closes_total{by="server",code="4000"} 1"#,
        r#"roomvars_closes_total{by="client",code="1000"} 1"#,
        "roomvars_lost_total 0",
        "# EOF",
    ] {
        assert!(told.lines().any(|one| one == line), "no {line} in {told}");
    }
    let sent: u64 = told
        .lines()
        .find_map(|line| line.strip_prefix("roomvars_sent_bytes_total "))
        .map(|bytes| bytes.parse().unwrap())
        .unwrap();
    assert_eq!(sent, r#"{"kind":"set","variable":"x","value":"0"}"#.len() as u64 * 3 + 1 + 1);
}

#[test]
fn who_is_gone_without_a_word_is_lost_and_its_name_is_free_again() {
    let (mut server, url) = server(&["--ping-interval", "1"]);
    let mut ada = member(&mut server, &url, "ada", &[]);
    // It keeps its socket open, and doesn't read, so that its library answers no pings.
    let _gone = joined(&mut server, &url, "ben", XY);
    let start = Instant::now();
    server.shows(r#"ended error="the connection was lost""#);
    server.shows(r#"lost error="no answer to a ping""#);
    assert!(start.elapsed() > Duration::from_millis(1500), "{:?}", start.elapsed());
    // Another whose socket just goes.
    drop(joined(&mut server, &url, "cat", XY));
    server.shows(r#"ended error="the connection was lost""#);
    let mut ben = member(&mut server, &url, "ben", &[]);
    // Those who answer are there.
    ben.says("set x still here");
    ada.shows(r#"set "x" "still here""#);
    let told = http(&url, "GET", "/metrics");
    for line in ["roomvars_lost_total 2", "roomvars_joins_total 4", "roomvars_clients 2"] {
        assert!(told.lines().any(|one| one == line), "no {line} in {told}");
    }
}

#[test]
fn no_pings_are_sent_where_none_are_wanted() {
    for interval in ["0", "0.0"] {
        let text = format!("ping-interval = {interval}");
        let config = File::new("pings.toml", &text);
        let (mut server, url) = server(&["--config", config.path()]);
        let mut ada = stranger(&url);
        let handshake =
            r#"{"kind":"handshake","room":"lobby","username":"ada","variables":{"x":"0"}}"#;
        ada.send(Message::text(handshake)).unwrap();
        server.shows(r#"joined username="ada""#);
    }
    let mut wrong = Program::start("roomvars-server", &["--ping-interval", "-1"]);
    assert_eq!(wrong.ends().0.code(), Some(2));
}

/// A file that is gone after the test.
struct File(PathBuf);

impl File {
    fn new(name: &str, text: &str) -> Self {
        let name = format!("smallwire-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn options_stand_in_a_file_and_those_of_the_command_line_win() {
    let words = File::new("words", "# not to be said\nrude\n");
    let text = format!(
        "dialect = 'deployed2020'\nmax-room-clients = 1\nhandshake-timeout = 0.5\n\
         refuse = ['naughty']\nrefuse-file = '{}'\n",
        words.path()
    );
    let config = File::new("config.toml", &text);
    let (mut server, url) = server(&["--config", config.path(), "--max-room-clients", "2"]);
    assert_eq!(closed(&mut stranger(&url)), "4000 no handshake in time");
    let dialect = ["--dialect", "deployed2020"];
    let _ada = member(&mut server, &url, "ada", &dialect);
    let _ben = member(&mut server, &url, "ben", &dialect);
    for (username, why) in [
        ("very rude", "4002 the username is not acceptable"),
        ("naughty", "4002 the username is not acceptable"),
        ("cat", "4003 the room is full"),
    ] {
        let variables = ["--variable", "x=0", "--variable", "y=0", "--once"];
        client(&url, username, &[&dialect[..], &variables].concat()).shows(why);
    }
    let config = File::new("wrong.toml", "max-clients = 3");
    let mut wrong = Program::start("roomvars-server", &["--config", config.path()]);
    let (status, shown) = wrong.ends();
    assert_eq!(status.code(), Some(2));
    assert!(shown.contains("wrong.toml") && shown.contains("--max-clients"), "{shown}");
}

#[test]
fn the_file_that_the_readme_shows_is_one() {
    let words = File::new("readme-words", "rude");
    let readme = include_str!("../../README.md");
    let blocks = readme.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let shown = blocks.into_iter().find(|block| block.contains("roomvars-server")).unwrap();
    let shown = shown.replace("127.0.0.1:4002", "127.0.0.1:0").replace("words.txt", words.path());
    let config = File::new("readme.toml", &shown);
    let (mut server, url) = server(&["--config", config.path()]);
    let _ada = client(&url, "ada", &["--once", "--variable", "x=0"]);
    let joined: serde_json::Value = serde_json::from_str(&server.shows("joined")).unwrap();
    assert_eq!(joined["fields"]["username"], "ada");
}

#[test]
fn the_log_can_be_read_by_programs() {
    let (mut server, url) = server(&["--log-format", "json"]);
    let _ada = client(&url, "\n\u{1b}[2Jada", &["--once", "--variable", "x=0"]);
    let line: serde_json::Value = serde_json::from_str(&server.shows("joined")).unwrap();
    let fields = &line["fields"];
    assert_eq!(fields["username"], "\n\u{1b}[2Jada");
    assert_eq!((&fields["room"], &fields["clients"]), (&"lobby".into(), &1.into()));
    assert_eq!((&line["level"], &line["span"]["number"]), (&"INFO".into(), &0.into()));
    assert!(line["span"]["peer"].as_str().unwrap().starts_with("127.0.0.1:"));
}

#[test]
fn nobody_can_forge_the_log() {
    let (mut server, url) = server(&[]);
    let _ada = client(&url, "a\nb\u{1b}[2J", &["--once", "--variable", "x=0"]);
    let line = server.shows("joined");
    assert!(line.contains(r#"username="a\nb\u{1b}[2J""#), "{line}");
}

#[test]
fn a_bot_answers_within_its_budget_and_outlives_its_server() {
    let (mut first, url) = server(&[]);
    let address = url.strip_prefix("ws://").unwrap().to_owned();
    let backoff = ["--min-backoff", "0.1", "--max-backoff", "0.3"];
    let mut bot = Program::start("roomvars-bot", &[&["--connect", &url], &backoff[..]].concat());
    first.shows(r#"joined username="bot""#);
    let variables = ["--variable", "question=", "--variable", "answer="];
    let mut ada = client(&url, "ada", &[&backoff[..], &variables].concat());
    first.shows(r#"joined username="ada""#);
    ada.says("set question is it raining?");
    ada.shows(r#"set "answer" "IS IT RAINING?""#);
    let start = Instant::now();
    for number in 0..=500 {
        ada.says(&format!("set question no. {number}"));
    }
    ada.shows(r#"set "answer" "NO. 500""#);
    let budget = 20 + 10 * (start.elapsed().as_secs() + 1);
    let told = http(&url, "GET", "/metrics");
    let heard = told
        .lines()
        .find_map(|line| line.strip_prefix("roomvars_sets_received_total "))
        .map(|sets| sets.parse::<u64>().unwrap() - 502)
        .unwrap();
    assert!(heard <= budget, "{heard} answers, {budget} are in the budget");
    #[cfg(unix)]
    first.signal("TERM");
    #[cfg(unix)]
    assert!(first.ends().0.success());
    drop(first);
    bot.shows("reconnecting in 0.");
    let (mut second, _) = server(&["--listen", &address]);
    second.shows(r#"joined username="bot""#);
    second.shows(r#"joined username="ada""#);
    ada.says("set question and now?");
    ada.shows(r#"set "answer" "AND NOW?""#);
}

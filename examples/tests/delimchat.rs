//! The delimchat programs as their users have them: processes, pipes and sockets.

mod program;

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use delimchat_proto::{
    Base64, ByteOrder, ByteOrderField, ClientMessageId, ClientPacketRef, CodecConfig, Decoder,
    FromClient, FromServer, HeadCountStatus, LoginByteOrderStatus, LoginPasswordStatus,
    LoginUsernameStatus, LongMessageStatus, LongRoomStatus, PartNumberStatus, RoomId, Secret,
    ServerPacket,
};

use crate::program::{PATIENCE, Program};

fn server(args: &[&str]) -> (Program, String) {
    let mut server = Program::start("delimchat-server", args);
    let first = server.shows("");
    let address = first.strip_prefix("listening on ").expect("the address on the first line");
    (server, address.to_owned())
}

fn client(address: &str, args: &[&str]) -> Program {
    Program::start("delimchat-client", &[&["--connect", address], args].concat())
}

/// Somebody whom the server knows unless it is told otherwise.
fn user(address: &str, user: &str, args: &[&str]) -> Program {
    let mut client = client(address, &[&["--user", user], args].concat());
    let name = user.split_once(':').unwrap().0;
    client.shows(&format!("logged in as {name}"));
    client
}

fn ada(address: &str) -> Program {
    user(address, "ada:lovelace", &["--once"])
}

fn ben(address: &str) -> Program {
    user(address, "ben:franklin", &["--once"])
}

/// A directory of this test's own, gone when dropped.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = format!("smallwire-delimchat-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.0.join(name);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Bytes that nothing can make shorter, and that aren't text.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    std::iter::repeat_with(&mut next).take(len).collect()
}

#[test]
fn two_clients_chat() {
    let (mut server, address) = server(&[]);
    let mut ada = ada(&address);
    server.shows("client 0 is let in as ada");
    let mut ben = ben(&address);
    server.shows("client 1 is let in as ben");
    ada.says("good morning");
    assert_eq!(ben.shows("morning"), "[all] ada: good morning");
    // What others say doesn't steer the terminal.
    ben.says("well \x1b[31mdone\x07");
    assert_eq!(ada.shows("well"), "[all] ben: well \u{fffd}[31mdone\u{fffd}");
    ada.says("//quit is how to leave");
    ben.shows("[all] ada: /quit is how to leave");
    ada.says("/hop");
    ada.shows("/hop, as it is here, is none of: /login NAME PASSWORD");

    ada.says("/alias The Countess");
    ada.shows("you are The Countess now");
    server.shows("client 0 is now The Countess (ada)");
    ben.shows("ada is now The Countess");
    for taken in ["The Countess", "ada"] {
        ben.says(&format!("/alias {taken}"));
        ben.shows(&format!("you aren't {taken}: already in use"));
    }
    ada.says("/alias ada");
    ben.shows("The Countess (ada) is now ada");

    ben.says("/quit");
    let (status, shown) = ben.ends();
    assert!(status.success() && shown.ends_with("ended clean"), "{shown}");
    server.shows("client 1 ends: closed");
}

#[test]
fn rooms_are_for_those_who_are_in_them() {
    let (mut server, address) = server(&["--user", "ada:1", "--user", "ben:2", "--user", "eve:3"]);
    let mut ada = user(&address, "ada:1", &["--once"]);
    let mut ben = user(&address, "ben:2", &["--once"]);
    let mut eve = user(&address, "eve:3", &["--once"]);
    ada.says("/join lobby secret");
    ada.shows("you are in lobby now");
    server.shows("client 0 joins lobby");
    eve.says("/join lobby guess");
    eve.shows("not in lobby: not authorized");
    server.shows("client 2 has the wrong password for lobby");
    eve.says("/msg lobby is anybody here?");
    eve.shows("not said in lobby: room not in room");
    ben.says("/join lobby secret");
    ben.shows("you are in lobby now");
    ben.shows("[lobby] ada is here");
    ada.shows("[lobby] ben is here");
    ben.says("hello");
    ada.shows("[lobby] ben: hello");
    ben.says("/msg all here we are");
    for client in [&mut ada, &mut eve] {
        client.shows("[all] ben: here we are");
    }

    // Who is invited needs no password.
    ada.says("/invite eve");
    assert_eq!(eve.shows("invites"), "[all] ada: invites you to lobby");
    server.shows("client 0 invites eve to lobby, which is told to 1");
    ada.says("/invite eve Nobody");
    server.shows("client 0 invites Nobody (eve) to lobby, which is told to 0");
    eve.says("/join lobby");
    eve.shows("you are in lobby now");
    for who in ["ada", "ben"] {
        eve.shows(&format!("[lobby] {who} is here"));
    }
    ben.shows("[lobby] eve is here");

    ben.says("/part lobby so long");
    ben.shows("you have left lobby");
    ada.shows("[lobby] ben: so long");
    ada.shows("[lobby] ben has left");
    ben.says("/part lobby");
    ben.shows("lobby isn't left: not in room");
    // He is where he was before.
    ben.says("back again");
    ada.shows("[all] ben: back again");
    drop(eve);
    ada.shows("[lobby] eve has left");
    ada.says("/part");
    ada.shows("you have left lobby");
    // With the last, the password is gone.
    ben.says("/join lobby another");
    ben.shows("you are in lobby now");
}

#[test]
fn the_echo_answers_with_the_same() {
    let place = Place::new("echo");
    let (_server, address) = server(&[]);
    let save = place.0.to_str().unwrap();
    let mut ada = user(&address, "ada:lovelace", &["--once", "--save", save]);
    ada.says("/join echo");
    ada.shows("you are in echo now");
    ada.says("hello?");
    assert_eq!(ada.shows("hello"), "[echo] ada: hello?");
    let bytes = noise(10_000);
    let path = place.write("noise", &bytes);
    ada.says(&format!("/long {path}"));
    ada.shows("noise: arrived");
    assert_eq!(saved(&ada.shows("[echo] 10000 bytes, saved as ")), bytes);
}

/// What a client says it has saved.
fn saved(line: &str) -> Vec<u8> {
    let (_, path) = line.split_once("saved as ").unwrap();
    fs::read(Path::new(path)).unwrap()
}

#[test]
fn a_long_file_arrives_intact() {
    let place = Place::new("long");
    let (mut server, address) = server(&["--rate-limit", "1000"]);
    let save = place.0.to_str().unwrap();
    // One of each byte order, and one that isn't in the room.
    let mut ada = ada(&address);
    let mut ben =
        user(&address, "ben:franklin", &["--once", "--save", save, "--byte-order", "little"]);
    let mut other = user(&address, "ben:franklin", &["--once"]);
    for client in [&mut ada, &mut ben] {
        client.says("/join lobby");
        client.shows("you are in lobby now");
    }
    let bytes = noise(500_000);
    let path = place.write("noise", &bytes);
    ada.says(&format!("/long {path}"));
    ada.shows("noise: arrived");
    server.shows("client 0 says 500000 bytes in lobby");
    assert_eq!(saved(&ben.shows("[lobby] 500000 bytes, saved as ")), bytes);
    // The other way, more of them than may be on their way at a time.
    for _ in 0..6 {
        ben.says(&format!("/long {path}"));
    }
    for _ in 0..6 {
        ben.shows("noise: arrived");
        ada.shows("[lobby] 500000 bytes: ");
    }
    ada.says("/msg all well");
    other.shows("[all] ada: well");
    other.says("/quit");
    let (_, shown) = other.ends();
    assert!(!shown.contains("bytes"), "{shown}");

    let long = place.write("too long", &noise(800_000));
    ada.says(&format!("/long {long}"));
    ada.shows("not sent: message of 800000 bytes, the limit is 771000");
}

#[test]
fn a_long_file_shows_how_much_of_it_has_arrived() {
    let place = Place::new("progress");
    let path = place.write("noise", &noise(30_000));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut client = client(&address, &["--user", "ada:lovelace", "--once"]);
    let (server, _) = listener.accept().unwrap();
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut decoder = Decoder::<FromClient>::new(CodecConfig::default());
    let mut hears = |mut stream: &TcpStream, name| {
        let mut is_there = false;
        while !is_there {
            let mut read = vec![0; 4096];
            let n = stream.read(&mut read).expect("neither reset nor silent");
            let mut input = &read[..n];
            while let Some(packet) = decoder.decode(&mut input).unwrap() {
                is_there |= packet.name() == name;
            }
        }
    };
    let says = |mut stream: &TcpStream, packets: &[ServerPacket]| {
        let mut wire = Vec::new();
        for packet in packets {
            packet.encode(&CodecConfig::default(), &mut wire).unwrap();
        }
        stream.write_all(&wire).unwrap();
    };
    says(&server, &[ServerPacket::GuestUsername { username: "guest".into() }]);
    hears(&server, "login");
    says(&server, &[OKAY]);
    client.shows("logged in as ada");
    client.says(&format!("/long {path}"));
    hears(&server, "long_message_head");
    // The login has the first number.
    let client_message_id = ClientMessageId::from_counter(2);
    let okay = ServerPacket::LongMessageHeadResult {
        client_message_id,
        remaining_status: HeadCountStatus::Okay,
        room_status: LongRoomStatus::Okay,
        message_status: LongMessageStatus::Okay,
    };
    says(&server, &[okay]);
    client.shows("noise: 10 % arrived");
    let okay = ServerPacket::LongMessageNextResult {
        client_message_id,
        number_status: PartNumberStatus::Okay,
        room_status: LongRoomStatus::Okay,
        message_status: LongMessageStatus::Okay,
    };
    hears(&server, "long_message_next");
    says(&server, &vec![okay.clone(); 4]);
    client.shows("noise: 50 % arrived");
    says(&server, &vec![okay; 5]);
    client.shows("noise: arrived");
}

#[test]
fn a_script_gets_all_its_answers() {
    let (_server, address) = server(&[]);
    let mut ben = ben(&address);
    ben.says("/join lobby");
    ben.shows("you are in lobby now");
    let mut ada = ada(&address);
    for line in ["/join lobby", "", "one", "/msg all two", "/part", "three", "/join far-too-long"] {
        ada.says(line);
    }
    let (status, shown) = ada.ends();
    assert!(status.success());
    for line in ["you are in lobby now", "you have left lobby", "\"far-too-long\" is no room"] {
        assert!(shown.contains(line), "no {line:?} in {shown}");
    }
    for line in ["[lobby] ada: one", "[all] ada: two", "[all] ada: three"] {
        ben.shows(line);
    }
}

#[test]
fn a_wrong_password_lets_nobody_in() {
    let (mut server, address) = server(&["--one-endpoint"]);
    for (user, why, note) in [
        ("ada:byron", "username okay, password invalid, byte order okay", "another password"),
        ("eve:eve", "username invalid, password unchecked, byte order okay", "is nobody"),
    ] {
        // Though it might connect again.
        let mut client = client(&address, &["--user", user]);
        let (status, shown) = client.ends();
        assert_eq!(status.code(), Some(1));
        assert!(shown.ends_with(&format!("giving up: login refused: {why}")), "{shown}");
        server.shows(note);
    }
    // Typed, it may be tried again, three times in all.
    let mut guest = client(&address, &["--min-backoff", "0.01"]);
    guest.shows("connected as guest-2");
    guest.says("hello");
    guest.shows("not sent: /login or /register first");
    for _ in 0..2 {
        guest.says("/login ada byron");
        guest.shows("login refused: username okay, password invalid");
    }
    guest.says("/login ada lovelace");
    guest.shows("logged in as ada");
    guest.says("/login ada lovelace");
    guest.shows("not sent: logged in already");

    let mut twice = client(&address, &["--user", "ada:lovelace"]);
    twice.shows("giving up: the server allows one endpoint for each user");
    assert_eq!(twice.ends().0.code(), Some(1));
    server.shows("client 3 claims to be ada, who is somebody who is here already");

    let mut mallory = client(&address, &["--once"]);
    for _ in 0..3 {
        mallory.says("/login ada byron");
    }
    mallory.shows("ended clean");
    server.shows("client 4 ends: too many failed logins");
    server.signal("TERM");
    let (_, log) = server.ends();
    assert!(!log.contains("byron") && !log.contains("lovelace"), "{log}");
}

#[test]
fn who_registers_has_an_account() {
    let (mut server, address) = server(&[]);
    let mut eve = client(&address, &["--min-backoff", "0.01"]);
    let long = format!("/register eve {} eve@example.org", "x".repeat(257));
    for (line, why) in [
        (&long[..], "username okay, password invalid"),
        ("/register ada x eve@example.org", "username already in use, password unchecked"),
        ("/register eve x nowhere", "username okay, password okay, e-mail invalid"),
    ] {
        eve.says(line);
        eve.shows(&format!("registration refused: {why}"));
    }
    // The third failure would be the last.
    eve.shows("reconnecting in ");
    eve.shows("connected as guest-1");
    eve.says("/register eve hunter2 eve@example.org");
    eve.shows("registered as eve");
    server.shows("client 1 is registered as eve");
    eve.says("hello");
    let mut again = user(&address, "eve:hunter2", &["--once"]);
    eve.says("hello again");
    again.shows("[all] eve: hello again");

    let (_closed, address) = self::server(&["--no-registration"]);
    let mut eve = client(&address, &["--once"]);
    eve.says("/register eve hunter2 eve@example.org");
    eve.shows("registration refused: username invalid");
}

#[cfg(unix)]
#[test]
fn a_client_comes_back_after_the_server_does() {
    let (first, address) = server(&[]);
    let again = ["--min-backoff", "0.05", "--max-backoff", "0.2"];
    let mut ada = user(&address, "ada:lovelace", &again);
    ada.says("/join lobby secret");
    ada.shows("you are in lobby now");
    ada.says("/alias Countess");
    ada.shows("you are Countess now");
    first.signal("TERM");
    ada.shows("ended clean");
    ada.shows("reconnecting in 0.");
    drop(first);
    // Meanwhile nobody listens.
    ada.shows("ended error can't connect to 127.0.0.1:");
    ada.shows("reconnecting in 0.");
    let (_second, _) = server(&["--listen", &address]);
    ada.shows("logged in as ada");
    // All is as it was.
    ada.shows("you are Countess now");
    ada.shows("you are in lobby now");
    let mut ben = ben(&address);
    ben.says("/join lobby secret");
    ben.shows("[lobby] Countess (ada) is here");
    ada.says("here again");
    ben.shows("[lobby] Countess (ada): here again");
}

#[cfg(unix)]
#[test]
fn signals_end_the_server_and_tell_the_clients() {
    for signal in ["INT", "TERM"] {
        let (mut server, address) = server(&[]);
        // Somebody who never says who they are. They come first, so they are accepted before Ada.
        let mut silent = TcpStream::connect(&address).unwrap();
        let mut ada = ada(&address);
        let began = Instant::now();
        server.signal(signal);
        ada.shows("ended clean");
        assert!(ada.ends().0.success());
        silent.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut greeting = Vec::new();
        silent.read_to_end(&mut greeting).unwrap();
        assert_eq!(greeting, b"\x01\xFFguest-0\0");
        drop(silent);
        let (status, shown) = server.ends();
        assert!(status.success());
        assert!(!shown.contains("didn't close in time"), "{shown}");
        assert!(began.elapsed() < Duration::from_secs(10));
        assert!(TcpStream::connect(&address).is_err());
    }
}

#[cfg(unix)]
#[test]
fn signals_end_a_client() {
    for signal in ["INT", "TERM"] {
        let (mut server, address) = server(&[]);
        let mut ada = user(&address, "ada:lovelace", &[]);
        ada.signal(signal);
        let (status, shown) = ada.ends();
        assert!(status.success());
        assert!(shown.ends_with("ended clean"), "{shown}");
        server.shows("client 0 ends: closed");
    }
}

/// A client on a terminal, where lines are edited.
#[cfg(unix)]
mod terminal {
    use std::fs::File;
    use std::io::{Read, Write};
    use std::os::fd::OwnedFd;
    use std::process::{Child, Command};
    use std::sync::{Arc, Mutex};
    use std::time::{Duration, Instant};

    use nix::pty::openpty;
    use nix::sys::termios::{Termios, tcgetattr};

    use super::{PATIENCE, ben, server};

    struct Terminal {
        keyboard: File,
        screen: Arc<Mutex<Vec<u8>>>,
        line: OwnedFd,
        before: Termios,
        client: Child,
        /// How much of the screen was looked at.
        seen: usize,
    }

    impl Terminal {
        fn start(args: &[&str]) -> Self {
            let pty = openpty(None, None).unwrap();
            let keyboard = File::from(pty.master);
            let before = tcgetattr(&pty.slave).unwrap();
            let mut path = std::env::current_exe().unwrap();
            path.pop();
            path.pop();
            let client = Command::new(path.join("examples/delimchat-client"))
                .args(args)
                .env("TERM", "xterm")
                .stdin(pty.slave.try_clone().unwrap())
                .stdout(pty.slave.try_clone().unwrap())
                .stderr(pty.slave.try_clone().unwrap())
                .spawn()
                .unwrap();
            let screen = Arc::new(Mutex::new(Vec::new()));
            let (mut from, to) = (keyboard.try_clone().unwrap(), screen.clone());
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                while let Ok(n @ 1..) = from.read(&mut buffer) {
                    to.lock().unwrap().extend_from_slice(&buffer[..n]);
                }
            });
            Self { keyboard, screen, line: pty.slave, before, client, seen: 0 }
        }

        fn types(&mut self, keys: &str) {
            self.keyboard.write_all(keys.as_bytes()).unwrap();
        }

        fn shows(&mut self, text: &str) {
            let began = Instant::now();
            loop {
                let screen = self.screen.lock().unwrap().clone();
                let new = &screen[self.seen..];
                if let Some(at) = new.windows(text.len()).position(|w| w == text.as_bytes()) {
                    self.seen += at + text.len();
                    return;
                }
                let shown = String::from_utf8_lossy(new);
                assert!(began.elapsed() < PATIENCE, "no {text:?} in {shown:?}");
                std::thread::sleep(Duration::from_millis(10));
            }
        }

        /// The client ends, and leaves the terminal as it was.
        fn ends(&mut self) {
            let began = Instant::now();
            let status = loop {
                match self.client.try_wait().unwrap() {
                    Some(status) => break status,
                    None => assert!(began.elapsed() < PATIENCE, "still there"),
                }
                std::thread::sleep(Duration::from_millis(10));
            };
            assert!(status.success());
            assert_eq!(tcgetattr(&self.line).unwrap(), self.before);
        }
    }

    impl Drop for Terminal {
        fn drop(&mut self) {
            let _ = self.client.kill();
            let _ = self.client.wait();
        }
    }

    #[test]
    fn lines_are_edited_below_what_is_shown() {
        let (server, address) = server(&[]);
        let mut ben = ben(&address);
        let user = ["--connect", &address, "--once", "--user", "ada:lovelace"];
        let mut ada = Terminal::start(&user);
        ada.shows("logged in as ada");
        // With two keys to take back, all at once.
        ada.types("/join lubb\x7f\x7f\x7fobby\r");
        ada.shows("you are in lobby now");
        ben.says("/join lobby");
        ada.shows("[lobby] ben is here");
        ada.types("good\x01very \x05 morning, \u{e9}\r");
        assert_eq!(ben.shows("good"), "[lobby] ada: very good morning, \u{e9}");
        // The last line again, and a line in the middle of it.
        ada.types("\x1b[A");
        ada.shows("very good morning");
        ben.says("so \x1b[2Jwhat");
        ada.shows("[lobby] ben: so \u{fffd}[2Jwhat");
        ada.types(" again\r");
        ben.shows("[lobby] ada: very good morning, \u{e9} again");
        ada.types("/hop\r");
        ada.shows("/hop, as it is here, is none of: /login");
        ada.types("/quit\r");
        ada.shows("ended clean");
        ada.ends();

        // However it ends: by Ctrl-C and Ctrl-D, and in the middle of a line.
        for key in ["\x03", "\x04"] {
            let mut ada = Terminal::start(&user);
            ada.shows("logged in as ada");
            ada.types(key);
            ada.shows("ended clean");
            ada.ends();
        }
        let mut ada = Terminal::start(&user);
        ada.shows("logged in as ada");
        ada.types("wai");
        ada.shows("wai");
        server.signal("TERM");
        ada.shows("ended clean");
        ada.ends();
    }
}

/// A client without a session: bytes out, packets in.
struct Raw {
    stream: TcpStream,
    decoder: Decoder<FromServer>,
    input: Vec<u8>,
}

impl Raw {
    /// One that has been greeted.
    fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        let decoder = Decoder::new(CodecConfig::default());
        let mut raw = Self { stream, decoder, input: Vec::new() };
        raw.expect(|packet| matches!(packet, ServerPacket::GuestUsername { .. }));
        raw
    }

    fn log_in(address: &str) -> Self {
        let mut raw = Self::connect(address);
        raw.says(&CodecConfig::default(), &login(ByteOrder::BigEndian));
        raw.expect(|packet| matches!(packet, ServerPacket::LoginResult { .. }));
        raw
    }

    fn sends(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    fn says(&mut self, config: &CodecConfig, packet: &ClientPacketRef<'_>) {
        let mut wire = Vec::new();
        packet.encode(config, &mut wire).unwrap();
        self.sends(&wire);
    }

    /// The next packet; `None` at the end of the stream.
    fn next(&mut self) -> Option<ServerPacket> {
        loop {
            let mut input = &self.input[..];
            let packet = self.decoder.decode(&mut input).unwrap();
            let packet = packet.map(|packet| packet.map(|bytes| bytes.to_vec().into()));
            let left = input.len();
            self.input.drain(..self.input.len() - left);
            if packet.is_some() {
                return packet;
            }
            let mut read = vec![0; 4096];
            let n = self.stream.read(&mut read).expect("neither reset nor silent");
            if n == 0 {
                assert_eq!(self.decoder.finish().unwrap(), None);
                return None;
            }
            self.input.extend_from_slice(&read[..n]);
        }
    }

    /// The next packet, which is the right one.
    fn expect(&mut self, is_right: impl Fn(&ServerPacket) -> bool) -> ServerPacket {
        let packet = self.next().expect("closed instead");
        assert!(is_right(&packet), "{packet:?}");
        packet
    }

    fn expect_end(&mut self) {
        assert_eq!(self.next(), None);
    }
}

fn login(byte_order: ByteOrder) -> ClientPacketRef<'static> {
    ClientPacketRef::Login {
        username: "ada".into(),
        password: Secret::new(Base64::of(&b"lovelace"[..])),
        byte_order: ByteOrderField::from(byte_order),
    }
}

fn hello(room: RoomId) -> ClientPacketRef<'static> {
    let client_message_id = ClientMessageId::from_counter(7);
    ClientPacketRef::ShortMessage { client_message_id, room, message: Base64::of(b"hello") }
}

const OKAY: ServerPacket = ServerPacket::LoginResult {
    username_status: LoginUsernameStatus::Okay,
    password_status: LoginPasswordStatus::Okay,
    byte_order_status: LoginByteOrderStatus::Okay,
};

#[test]
fn who_begins_otherwise_is_told_s9_and_cut_off() {
    let (mut server, address) = server(&[]);
    let mut ada = ada(&address);
    let config = CodecConfig::default();
    let mut early = Vec::new();
    hello(RoomId::GLOBAL).encode(&config, &mut early).unwrap();
    for bytes in [&early[..], b"GET / HTTP/1.1\r\n\r\n", b"\x02\xFFada\xFF\0"] {
        let mut raw = Raw::connect(&address);
        raw.sends(bytes);
        // A login with its layout broken is told S4 before.
        if bytes.first() == Some(&0x02) {
            raw.expect(|packet| matches!(packet, ServerPacket::BadLogin));
            raw.says(&config, &hello(RoomId::GLOBAL));
        }
        // It may be the first that closes, if no byte ends what isn't a packet.
        raw.stream.shutdown(Shutdown::Write).unwrap();
        raw.expect(|packet| matches!(packet, ServerPacket::BadFirstPacket));
        raw.expect_end();
        server.shows("the peer violated the protocol");
    }
    // It harmed nobody else.
    let mut ben = ben(&address);
    ada.says("well");
    ben.shows("[all] ada: well");
}

#[test]
fn a_broken_login_is_told_s4_and_may_be_tried_again() {
    let (_server, address) = server(&[]);
    let mut raw = Raw::connect(&address);
    raw.sends(b"\x02\xFFada\xFFbG92ZWxhY2U=\0");
    raw.expect(|packet| matches!(packet, ServerPacket::BadLogin));
    // Byte by byte.
    let mut wire = Vec::new();
    login(ByteOrder::BigEndian).encode(&CodecConfig::default(), &mut wire).unwrap();
    for byte in wire {
        raw.sends(&[byte]);
    }
    assert_eq!(raw.next(), Some(OKAY));
}

#[test]
fn a_login_sets_the_byte_order() {
    let (_server, address) = server(&[]);
    let mut raw = Raw::connect(&address);
    let little = CodecConfig::default().byte_order(ByteOrder::LittleEndian);
    raw.says(&CodecConfig::default(), &login(ByteOrder::LittleEndian));
    assert_eq!(raw.next(), Some(OKAY));
    // Of numbers only: two parts behind a head, to the echo and back.
    let client_message_id = ClientMessageId(*b"\x01\0\0\xFF");
    let room = RoomId::ECHO;
    let message = Base64::of(&b"a"[..]);
    let head = ClientPacketRef::LongMessageHead { remaining: 2, client_message_id, room, message };
    let mut wire = Vec::new();
    head.encode(&little, &mut wire).unwrap();
    assert!(wire.starts_with(b"\x57\xFF\x02\0\0\0\xFF\x01\0\0\xFF\xFF0000ECHO\xFF"), "{wire:?}");
    raw.sends(&wire);
    for number in [2, 1] {
        let message = Base64::of(if number == 1 { &b"b"[..] } else { b"c" });
        raw.says(&little, &ClientPacketRef::LongMessageNext { number, client_message_id, message });
    }
    raw.expect(|packet| matches!(packet, ServerPacket::LongMessageHeadResult { .. }));
    for _ in 0..2 {
        raw.expect(|packet| matches!(packet, ServerPacket::LongMessageNextResult { .. }));
    }
    raw.decoder.set_byte_order(ByteOrder::LittleEndian);
    let mut whole = Vec::new();
    let head = raw.next().unwrap();
    let ServerPacket::LongMessageDeliveryHead { remaining: 2, message, .. } = &head else {
        panic!("{head:?}")
    };
    whole.extend(message.payload().unwrap());
    for expected in [1, 2] {
        let part = raw.next().unwrap();
        let ServerPacket::LongMessageDeliveryNext { number, message, .. } = &part else {
            panic!("{part:?}")
        };
        assert_eq!(*number, expected);
        whole.extend(message.payload().unwrap());
    }
    assert_eq!(whole, b"abc");
}

#[test]
fn garbage_without_end_ends_the_connection() {
    let (mut server, address) = server(&["--max-malformed", "4"]);
    let mut ada = ada(&address);
    let mut raw = Raw::log_in(&address);
    // One good packet and it is forgiven.
    for _ in 0..2 {
        raw.sends(b"\x50?\0\x50?\0\x50?\0\x50?\0");
        for _ in 0..4 {
            raw.expect(|packet| matches!(packet, ServerPacket::BadShortMessage));
        }
        raw.says(&CodecConfig::default(), &hello(RoomId::GLOBAL));
        raw.expect(|packet| matches!(packet, ServerPacket::ShortMessageResult { .. }));
        ada.shows("[all] ada: hello");
    }
    server.shows("client 1 sends no packet: packet 80 at byte ");
    raw.sends(&b"\x07junk\0".repeat(5));
    raw.expect(|packet| matches!(packet, ServerPacket::PacketNotSupported));
    raw.expect_end();
    server.shows("client 1 ends: the peer violated the protocol: too many bad packets");

    // Gone in the middle of a packet.
    let mut raw = Raw::log_in(&address);
    raw.sends(b"\x50\xFF");
    drop(raw);
    server.shows("client 2 ends: the stream ended inside the packet at byte ");
    ada.says("/msg echo well");
    ada.shows("[echo] ada: well");
}

#[test]
fn who_says_nothing_is_closed() {
    let (mut server, address) = server(&["--login-timeout", "0.3"]);
    let mut raw = Raw::connect(&address);
    raw.expect_end();
    server.shows("client 0 ends: the login took too long");
}

#[test]
fn who_says_too_much_is_turned_out() {
    let (mut server, address) = server(&["--rate-limit", "4"]);
    let mut ada = ada(&address);
    let many = |said: ClientPacketRef<'_>| {
        let mut wire = Vec::new();
        said.encode(&CodecConfig::default(), &mut wire).unwrap();
        wire.repeat(22)
    };
    let invitation = ClientPacketRef::InviteUser {
        room: RoomId::GLOBAL,
        username: "ada".into(),
        alias: "".into(),
    };
    for said in [hello(RoomId::GLOBAL), invitation] {
        let mut raw = Raw::log_in(&address);
        raw.sends(&many(said));
        server.shows("is turned out: says too much");
        while raw.next().is_some() {}
    }
    for _ in 0..21 {
        ada.shows("hello");
    }
    // Nobody else hears the echo.
    let mut raw = Raw::log_in(&address);
    raw.sends(&many(hello(RoomId::ECHO)));
    for _ in 0..22 {
        while !matches!(raw.next().unwrap(), ServerPacket::ShortMessageDelivery { .. }) {}
    }
}

#[test]
fn who_never_reads_is_turned_out_and_holds_up_nobody() {
    let (mut server, address) = server(&["--rate-limit", "1000000"]);
    let mut ada = ada(&address);
    let mut ben = ben(&address);
    let deaf = Raw::log_in(&address);
    // More than sockets keep, and no faster than Ben reads.
    let text = "x".repeat(2900);
    for number in 0..2500 {
        ada.says(&format!("{number} {text}"));
        ben.shows(&format!("[all] ada: {number} "));
    }
    server.shows("client 2 is turned out: too slow");
    ada.says("well");
    ben.shows("[all] ada: well");
    drop(deaf);
}

#[test]
fn who_is_gone_before_all_is_read_is_not_kept() {
    let (mut server, address) = server(&[]);
    let mut raw = Raw::log_in(&address);
    let mut wire = Vec::new();
    let asking = ClientPacketRef::SupportedPacketsRequest;
    asking.encode(&CodecConfig::default(), &mut wire).unwrap();
    let wire = wire.repeat(1000);
    raw.stream.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
    // Until the server, whose answers nobody takes, doesn't read on.
    while raw.stream.write_all(&wire).is_ok() {}
    // With unread bytes, this is a reset.
    drop(raw);
    server.shows("client 0 ends: ");
}

#[test]
fn where_nothing_can_be_had_is_an_error() {
    let (_server, address) = server(&[]);
    let mut second = Program::start("delimchat-server", &["--listen", &address]);
    let (status, shown) = second.ends();
    assert_eq!(status.code(), Some(1));
    assert!(shown.contains(&format!("can't listen on {address}")), "{shown}");

    let mut lonely = client("127.0.0.1:1", &["--once"]);
    let (status, shown) = lonely.ends();
    assert_eq!(status.code(), Some(1));
    assert!(shown.starts_with("ended error can't connect to 127.0.0.1:1: "), "{shown}");

    for args in [&["--user", "x"][..], &["--user", ":x"], &["--login-timeout", "0"]] {
        assert_eq!(Program::start("delimchat-server", args).ends().0.code(), Some(2), "{args:?}");
    }
}

//! Captures of TCP connections, made here byte by byte.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{inspect, message_of, options_of, run, run_command};

const CLIENT: usize = 0;
const SERVER: usize = 1;
const PORTS: [u16; 2] = [50000, 4000];

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

/// Link types.
const NULL: u32 = 0;
const ETHERNET: u32 = 1;
const RAW: u32 = 101;
const LOOP: u32 = 108;
const SLL: u32 = 113;
const SLL2: u32 = 276;

/// What goes over a network: IP packets, in the order in which they are captured.
struct Talk {
    packets: Vec<Vec<u8>>,
    /// What each side sends next.
    seq: [u32; 2],
    ports: [u16; 2],
    v6: bool,
}

impl Talk {
    fn new() -> Self {
        Self { packets: Vec::new(), seq: [1000, 7000], ports: PORTS, v6: false }
    }

    /// The same, with the handshake captured.
    fn opened() -> Self {
        let mut talk = Self::new();
        talk.open();
        talk
    }

    fn open(&mut self) {
        let [client, server] = self.seq;
        self.push(CLIENT, client, 0, SYN, b"");
        self.push(SERVER, server, client.wrapping_add(1), SYN | ACK, b"");
        self.seq = self.seq.map(|seq| seq.wrapping_add(1));
        self.push(CLIENT, self.seq[CLIENT], self.seq[SERVER], ACK, b"");
    }

    fn push(&mut self, from: usize, seq: u32, ack: u32, flags: u8, payload: &[u8]) {
        let mut tcp = Vec::new();
        tcp.extend(self.ports[from].to_be_bytes());
        tcp.extend(self.ports[1 - from].to_be_bytes());
        tcp.extend(seq.to_be_bytes());
        tcp.extend(ack.to_be_bytes());
        tcp.extend([0x50, flags, 0xFF, 0xFF, 0, 0, 0, 0]);
        tcp.extend(payload);
        let len = u16::try_from(tcp.len()).unwrap();
        let [source, destination] = [from, 1 - from].map(|side| u8::try_from(side + 1).unwrap());
        let mut ip = Vec::new();
        if self.v6 {
            ip.extend([0x60, 0, 0, 0]);
            ip.extend(len.to_be_bytes());
            ip.extend([6, 64]);
            for host in [source, destination] {
                ip.extend([0xFD, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, host]);
            }
        } else {
            ip.extend([0x45, 0]);
            ip.extend((len + 20).to_be_bytes());
            ip.extend([0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, source, 10, 0, 0, destination]);
        }
        ip.extend(tcp);
        self.packets.push(ip);
    }

    /// A segment that is captured, with what the other side has sent acknowledged.
    fn say(&mut self, from: usize, payload: &[u8]) {
        let seq = self.lose(from, payload.len());
        self.push(from, seq, self.seq[1 - from], ACK, payload);
    }

    /// One that isn't.
    fn lose(&mut self, from: usize, len: usize) -> u32 {
        let seq = self.seq[from];
        self.seq[from] = seq.wrapping_add(u32::try_from(len).unwrap());
        seq
    }

    fn acknowledge(&mut self, from: usize) {
        self.push(from, self.seq[from], self.seq[1 - from], ACK, b"");
    }

    fn fin(&mut self, from: usize) {
        let seq = self.lose(from, 1);
        self.push(from, seq, self.seq[1 - from], FIN | ACK, b"");
    }

    fn close(&mut self) {
        self.fin(CLIENT);
        self.fin(SERVER);
        self.acknowledge(CLIENT);
    }

    fn pcap(&self) -> Vec<u8> {
        pcap(RAW, &self.packets)
    }

    fn framed(&self, link: u32, front: &[u8]) -> Vec<u8> {
        let frame = |ip: &Vec<u8>| [front, ip].concat();
        pcap(link, &self.packets.iter().map(frame).collect::<Vec<_>>())
    }
}

/// A packet a second since 2020, as little-endian.
fn pcap(link: u32, packets: &[Vec<u8>]) -> Vec<u8> {
    let mut file = Vec::new();
    file.extend(0xA1B2_C3D4_u32.to_le_bytes());
    file.extend([2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0]);
    file.extend(link.to_le_bytes());
    for (packet, second) in packets.iter().zip(1_577_836_800_u32..) {
        let len = u32::try_from(packet.len()).unwrap();
        for number in [second, 250_000, len, len] {
            file.extend(number.to_le_bytes());
        }
        file.extend(packet);
    }
    file
}

/// A block of pcapng.
fn block(big: bool, kind: u32, body: &[u8]) -> Vec<u8> {
    let padding = (4 - body.len() % 4) % 4;
    let len = u32::try_from(12 + body.len() + padding).unwrap();
    let [kind, len] = [kind, len].map(|number| word(big, number));
    [&kind[..], &len, body, &[0; 3][..padding], &len].concat()
}

fn word(big: bool, number: u32) -> [u8; 4] {
    if big { number.to_be_bytes() } else { number.to_le_bytes() }
}

fn half(big: bool, number: u16) -> [u8; 2] {
    if big { number.to_be_bytes() } else { number.to_le_bytes() }
}

/// The same as in `pcap`; `resolution` is if_tsresol and what a second is in it.
fn pcapng(big: bool, link: u32, packets: &[Vec<u8>], (resolution, unit): (u8, u64)) -> Vec<u8> {
    let version = [half(big, 1), half(big, 0)].concat();
    let section = [&word(big, 0x1A2B_3C4D)[..], &version, &[0xFF; 8]].concat();
    let mut file = block(big, 0x0A0D_0D0A, &section);
    let link = u16::try_from(link).unwrap();
    let option = [&half(big, 9)[..], &half(big, 1), &[resolution, 0, 0, 0], &[0; 4]].concat();
    let interface = [&half(big, link)[..], &[0, 0], &word(big, 0), &option].concat();
    file.extend(block(big, 1, &interface));
    for (packet, second) in packets.iter().zip(1_577_836_800_u64..) {
        let ticks = second * unit + unit / 4;
        let [high, low] = [ticks >> 32, ticks & 0xFFFF_FFFF].map(|n| u32::try_from(n).unwrap());
        let len = u32::try_from(packet.len()).unwrap();
        let numbers = [0, high, low, len, len].map(|number| word(big, number)).concat();
        file.extend(block(big, 6, &[&numbers[..], packet].concat()));
        // Any kind that isn't known is passed over.
        file.extend(block(big, 0x0BAD, b"what?"));
    }
    file
}

/// Exit status and objects; nothing on stderr.
fn read(args: &str, file: &[u8]) -> (i32, Vec<Value>) {
    let (status, out, err) = run(&format!("pcap {args}"), file);
    assert_eq!(err, "", "{args}");
    (status, objects(&out))
}

fn objects(lines: &[u8]) -> Vec<Value> {
    let lines = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).unwrap()).collect()
}

/// Each in a word or two: who, and what is said or noted.
fn gist(objects: &[Value]) -> Vec<String> {
    let gist = |object: &Value| {
        let from = object["from"].as_str().unwrap_or("-");
        let what = ["note", "error", "text", "type"].iter().find_map(|key| object[key].as_str());
        let numbers = ["missing", "unfinished"].iter().filter_map(|key| object[key].as_u64());
        let numbers = numbers.fold(String::new(), |all, number| format!("{all} {number}"));
        let length = match object["note"].as_str() {
            Some("skipped") => format!(" {}", object["length"]),
            _ => String::new(),
        };
        format!("{} {}{numbers}{length}", &from[..1], what.unwrap())
    };
    objects.iter().map(gist).collect()
}

fn event(text: &str) -> Vec<u8> {
    let len = u16::try_from(text.len()).unwrap().to_be_bytes();
    [b"\x08\x00\x00", &len[..], text.as_bytes()].concat()
}

fn server_event(text: &str) -> Vec<u8> {
    let mut frame = event(text);
    frame[1] = 0x80;
    frame
}

/// A conversation of one event each way, from beginning to end.
fn hello() -> Talk {
    let mut talk = Talk::opened();
    talk.say(CLIENT, &event("hi"));
    talk.say(SERVER, &server_event("ho"));
    talk.close();
    talk
}

#[test]
fn every_link_type_and_both_formats_read_the_same() {
    let talk = hello();
    let (status, expected) = read("bingo", &talk.pcap());
    let gists = ["- opened", "c hi", "s ho", "c ended", "s ended"];
    assert_eq!((status, gist(&expected)), (0, gists.map(String::from).to_vec()));
    assert_eq!(expected[0]["client"], "10.0.0.1:50000");
    assert_eq!(expected[0]["server"], "10.0.0.2:4000");
    let hi = json!({
        "at": "2020-01-01T00:00:03.25Z", "connection": 0, "from": "client",
        "offset": 0, "length": 7, "type": "event", "message_id": 0, "text": "hi",
    });
    assert_eq!(expected[1], hi);

    let mac = [0x02; 12];
    let vlan = [&mac[..], b"\x81\x00\x00\x05\x08\x00"].concat();
    let vlans = [&mac[..], b"\x88\xA8\x00\x05\x81\x00\x00\x06\x08\x00"].concat();
    let cooked = [&[0; 14][..], b"\x08\x00"].concat();
    let cooked2 = [&b"\x08\x00"[..], &[0; 18]].concat();
    for (link, front) in [
        (ETHERNET, &[&mac[..], b"\x08\x00"].concat()[..]),
        (ETHERNET, &vlan),
        (ETHERNET, &vlans),
        // The length of a checksum in the upper bits.
        (ETHERNET | 0x2400_0000, &[&mac[..], b"\x08\x00"].concat()),
        (SLL, &cooked),
        (SLL2, &cooked2),
        (NULL, b"\x02\0\0\0"),
        (NULL, b"\0\0\0\x02"),
        (LOOP, b"\0\0\0\x02"),
        (228, b""),
    ] {
        assert_eq!(read("bingo", &talk.framed(link, front)), (0, expected.clone()), "{link}");
    }
    for (big, resolution) in [
        (false, (6, 1_000_000)),
        (true, (6, 1_000_000)),
        (false, (9, 1_000_000_000)),
        (true, (0x94, 1 << 20)),
    ] {
        let file = pcapng(big, RAW, &talk.packets, resolution);
        assert_eq!(read("bingo", &file), (0, expected.clone()), "{big} {resolution:?}");
        // Another section may have another byte order, and the connection goes on.
        let (front, back) = talk.packets.split_at(4);
        let [front, back] = [(front, big), (back, !big)]
            .map(|(packets, big)| pcapng(big, RAW, packets, resolution));
        let (status, found) = read("bingo", &[front, back].concat());
        assert_eq!((status, gist(&found)), (0, gists.map(String::from).to_vec()));
    }
    // Big-endian, and with nanoseconds.
    let mut file = talk.pcap();
    file[..4].copy_from_slice(&0xA1B2_3C4D_u32.to_le_bytes());
    let (_, found) = read("bingo", &file);
    assert_eq!(found[1]["at"], "2020-01-01T00:00:03.00025Z");
    for at in [0, 4, 6, 20].into_iter().chain([24, 28, 32, 36]) {
        let len = if matches!(at, 4 | 6) { 2 } else { 4 };
        file[at..at + len].reverse();
    }
    let one = file[..24 + 16 + 40].to_vec();
    assert_eq!(gist(&read("bingo", &one).1), ["- opened"]);

    let mut six = Talk { v6: true, ..Talk::new() };
    six.open();
    six.say(CLIENT, &event("hi"));
    six.close();
    for (link, front) in [
        (RAW, &b""[..]),
        (229, b""),
        (NULL, b"\x1E\0\0\0"),
        (ETHERNET, &[&mac[..], b"\x86\xDD"].concat()),
    ] {
        let (status, found) = read("bingo", &six.framed(link, front));
        assert_eq!((status, gist(&found)[1].as_str()), (0, "c hi"), "{link}");
        assert_eq!(found[0]["client"], "[fd00::1]:50000");
    }
}

#[test]
fn the_vectors_read_as_without_a_capture() {
    let bingo = include_str!("../../../crates/bingo-proto/tests/vectors/bingo.json");
    let delimchat = include_str!("../../../crates/delimchat-proto/tests/vectors/delimchat.json");
    let bingo_options =
        [("byte-order", "byte_order"), ("dialect", "error_reply"), ("max-payload", "max_payload")];
    let delimchat_options = [("byte-order", "byte_order"), ("max-message", "max_packet")];
    for (file, options) in [(bingo, &bingo_options[..]), (delimchat, &delimchat_options)] {
        let file: Value = serde_json::from_str(file).unwrap();
        let protocol = file["protocol"].as_str().unwrap();
        let mut count = 0;
        for vector in file["vectors"].as_array().unwrap() {
            if vector["config"].get("drafts").is_some() {
                continue;
            }
            let name = vector["name"].as_str().unwrap();
            let from = if vector["from"] == "client" { CLIENT } else { SERVER };
            let args = options_of(vector, options);
            let bytes = message_of(vector);
            let decode = format!("decode {protocol} --show-secrets {args}");
            let (status, out, _) = run(&decode, &bytes);
            let mut talk = Talk::opened();
            // Small enough to cut most frames, and not to take all day.
            bytes.chunks(5.max(bytes.len() / 100)).for_each(|part| talk.say(from, part));
            talk.close();
            let (_, args) = args.split_at("--from client".len());
            let args = format!("{protocol} --show-secrets {args}");
            let (found_status, mut found) = read(&args, &talk.pcap());
            found.retain(|object| object.get("note").is_none());
            for object in &mut found {
                let object = object.as_object_mut().unwrap();
                assert_eq!(object.remove("from").unwrap(), vector["from"], "{name}");
                object.retain(|key, _| key != "at" && key != "connection");
            }
            assert_eq!((found_status, found), (status, objects(&out)), "{name}");
            count += 1;
        }
        assert!(count > 20, "{protocol}");
    }
}

#[test]
fn segments_come_together_in_order() {
    let frames = ["one", "two", "three", "four"].map(event).concat();
    let expected = ["- opened", "c one", "c two", "c three", "c four", "c ended", "s ended"];
    // Sequence numbers that wrap, here and there.
    for start in [1000, 0xFFFF_FFFF, 0xFFFF_FFF0, 0x7FFF_FFF8] {
        for size in 1..12 {
            let mut talk = Talk { seq: [start, !start], ..Talk::new() };
            talk.open();
            let first = talk.seq[CLIENT];
            let pieces: Vec<_> = frames.chunks(size).zip((0..).step_by(size)).collect();
            let mut order: Vec<_> = (0..pieces.len()).collect();
            // Neighbours change places, and the last comes first.
            order.chunks_mut(2).for_each(<[usize]>::reverse);
            order.rotate_right(1);
            for at in order {
                let (piece, place) = pieces[at];
                // With some of what is before it, and again later.
                let before = place.min(at % 3);
                let piece = [&frames[place - before..place], piece].concat();
                let seq = first.wrapping_add(u32::try_from(place - before).unwrap());
                talk.push(CLIENT, seq, 0, 0, &piece);
                talk.push(CLIENT, seq, 0, 0, &piece[..piece.len() / 2]);
            }
            talk.lose(CLIENT, frames.len());
            talk.close();
            let (status, found) = read("bingo", &talk.pcap());
            assert_eq!((status, gist(&found)), (0, expected.map(String::from).to_vec()));
        }
    }
}

#[test]
fn a_capture_may_begin_in_the_middle() {
    // In the middle of a frame, too.
    let mut talk = Talk::new();
    talk.say(SERVER, &server_event("something")[7..]);
    talk.say(SERVER, &[server_event("a"), server_event("b")].concat());
    talk.say(CLIENT, &event("c"));
    let (status, found) = read("bingo --port 4000", &talk.pcap());
    assert_eq!(
        (status, gist(&found)),
        (0, ["- joined", "s skipped 7", "s a", "s b", "c c"].map(String::from).to_vec())
    );
    assert_eq!(found[0]["server"], "10.0.0.2:4000");
    assert_eq!((&found[2]["offset"], &found[4]["offset"]), (&json!(7), &json!(0)));
    // Without a port, the lower one is the server's; a port says otherwise.
    assert_eq!(gist(&read("bingo", &talk.pcap()).1), gist(&found));
    let (_, turned) = read("bingo --port 50000", &talk.pcap());
    assert_eq!(turned[0]["server"], "10.0.0.1:50000");
    assert_eq!(read("bingo --port 4001", &talk.pcap()), (0, vec![]));
    assert_eq!(gist(&read("bingo --port 4001 --port 4000", &talk.pcap()).1), gist(&found));
    // A handshake tells, whatever the ports are.
    let mut talk = Talk { ports: [4000, 50000], ..Talk::new() };
    talk.open();
    talk.say(CLIENT, &event("c"));
    talk.packets.remove(0);
    let (_, found) = read("bingo", &talk.pcap());
    assert_eq!(found[0]["server"], "10.0.0.2:50000");
    assert_eq!(gist(&found), ["- opened", "c c"]);

    // A frame that takes several packets is believed when it is whole.
    let mut talk = Talk::new();
    let long = event(&"x".repeat(100));
    long.chunks(30).for_each(|part| talk.say(CLIENT, part));
    assert_eq!(
        gist(&read("bingo", &talk.pcap()).1),
        ["- joined".to_owned(), format!("c {}", "x".repeat(100))]
    );
    // And one that never is leaves nothing but zeros behind.
    let mut talk = Talk::new();
    talk.say(CLIENT, &[0; 100]);
    assert_eq!(gist(&read("bingo", &talk.pcap()).1), ["- joined", "c skipped 100"]);

    // Delimchat's packets are found wherever they are.
    let mut talk = Talk::new();
    talk.say(CLIENT, b"Gk=\0\xFC\xFFSP\0\xFC\xFF");
    talk.say(CLIENT, b"SP\0\x28\xFFBYE\0");
    let (status, found) = read("delimchat", &talk.pcap());
    let packet = "c supported_packets_request";
    assert_eq!(
        (status, gist(&found)),
        (0, ["- joined", "c skipped 4", packet, packet, "c log_off"].map(String::from).to_vec())
    );
}

#[test]
fn lost_bytes_are_told_and_reading_begins_anew() {
    let gists = |talk: &Talk, protocol: &str| {
        let (status, found) = read(protocol, &talk.pcap());
        (status, gist(&found))
    };
    // A frame is missing; that is known when the answer comes.
    let mut talk = Talk::opened();
    talk.say(CLIENT, &event("one"));
    talk.lose(CLIENT, 10);
    talk.say(CLIENT, &event("three"));
    talk.say(SERVER, &server_event("ok"));
    talk.close();
    let expected = ["- opened", "c one", "c lost 10 0", "c three", "s ok", "c ended", "s ended"];
    assert_eq!(gists(&talk, "bingo"), (1, expected.map(String::from).to_vec()));
    let (_, found) = read("bingo", &talk.pcap());
    assert_eq!((&found[2]["offset"], &found[3]["offset"]), (&json!(8), &json!(18)));
    // Or when nothing more comes.
    let mut talk = Talk::opened();
    talk.say(CLIENT, &event("one")[..5]);
    talk.lose(CLIENT, 10);
    talk.say(CLIENT, b"rest");
    talk.say(CLIENT, &event("four"));
    let expected = ["- opened", "c lost 10 5", "c skipped 4", "c four"];
    assert_eq!(gists(&talk, "bingo"), (1, expected.map(String::from).to_vec()));
    // Before an error, its place in the stream is what it was.
    talk.say(CLIENT, b"\x04\x80\x00\x00\x00");
    let (_, found) = read("bingo", &talk.pcap());
    let bad = &found[4];
    assert_eq!((&bad["offset"], &bad["error"]), (&json!(28), &json!("wrong_id_half")));
    assert!(bad["detail"].as_str().unwrap().ends_with("at byte 29"), "{bad}");
    talk.say(CLIENT, &event("five")[..6]);
    talk.close();
    let (_, found) = read("bingo", &talk.pcap());
    assert_eq!(found[5]["detail"], "the stream ended inside a frame at byte 33");
    // Packets of which only the beginning was captured.
    let mut talk = Talk::opened();
    talk.say(CLIENT, &event("one"));
    let cut = talk.packets.last_mut().unwrap();
    cut.truncate(cut.len() - 3);
    talk.say(CLIENT, &event("two"));
    talk.acknowledge(SERVER);
    let expected = ["- opened", "c lost 3 5", "c two"];
    assert_eq!(gists(&talk, "bingo"), (1, expected.map(String::from).to_vec()));
    // Whoever has all, and a FIN that wasn't captured, is no sign of loss.
    let mut talk = Talk::opened();
    talk.say(CLIENT, &event("one"));
    talk.lose(CLIENT, 1);
    talk.acknowledge(SERVER);
    assert_eq!(gists(&talk, "bingo"), (0, ["- opened", "c one"].map(String::from).to_vec()));
    // Delimchat.
    let mut talk = Talk::opened();
    talk.say(CLIENT, b"\xFC\xFFSP\0\xFC\xFF");
    talk.lose(CLIENT, 100);
    talk.say(CLIENT, b"aGk=\0\xFC\xFFSX\0\x28\xFFBYE\0\x07junk\0");
    talk.close();
    let expected = [
        "- opened",
        "c supported_packets_request",
        "c lost 100 2",
        "c skipped 10",
        "c log_off",
        "c unknown_packet",
        "c ended",
        "s ended",
    ];
    let (status, found) = gists(&talk, "delimchat");
    assert_eq!((status, found), (1, expected.map(String::from).to_vec()));
    let (_, found) = read("delimchat", &talk.pcap());
    assert_eq!(found[5]["detail"], "packet 7 at byte 123: unknown packet");
}

#[test]
fn connections_end_as_they_do() {
    let mut talk = Talk::opened();
    talk.say(CLIENT, &event("one"));
    talk.say(SERVER, b"\x08\x80");
    // Old ones say nothing.
    talk.push(SERVER, 6000, 0, RST, b"");
    talk.push(SERVER, talk.seq[SERVER] - 1, 0, RST, b"");
    talk.push(CLIENT, talk.seq[CLIENT] - 5, 0, FIN, b"");
    // Nor does what keeps the connection alive.
    talk.push(CLIENT, talk.seq[CLIENT] - 1, 0, ACK, b"?");
    talk.say(CLIENT, &event("two"));
    talk.push(CLIENT, talk.seq[CLIENT], 0, RST, b"");
    talk.say(CLIENT, &event("too late"));
    // The same ports again.
    talk.seq = [1, 2];
    talk.open();
    talk.say(CLIENT, &event("three"));
    // And again, without an end.
    talk.seq = [100_000, 2];
    talk.open();
    // The handshake again is the same connection.
    talk.push(CLIENT, 100_000, 0, SYN, b"");
    talk.say(CLIENT, &event("four")[..7]);
    let (status, found) = read("bingo", &talk.pcap());
    let expected = [
        "- opened",
        "c one",
        "c two",
        "s unexpected_eof",
        "c reset",
        "- opened",
        "c three",
        "- replaced",
        "- opened",
        "c cut 7",
    ];
    assert_eq!((status, gist(&found)), (1, expected.map(String::from).to_vec()));
    let numbers: Vec<_> =
        found.iter().map(|object| object["connection"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [0, 0, 0, 0, 0, 1, 1, 1, 2, 2]);
    // Refused.
    let mut talk = Talk::new();
    talk.push(CLIENT, 5, 0, SYN, b"");
    talk.push(SERVER, 0, 6, RST | ACK, b"");
    assert_eq!(gist(&read("bingo", &talk.pcap()).1), ["- opened", "s reset"]);
    // A stream that ends in a frame, and one whose last packet is missing.
    let mut talk = Talk::opened();
    talk.say(CLIENT, &event("one")[..7]);
    talk.lose(SERVER, 3);
    talk.close();
    let (status, found) = read("bingo", &talk.pcap());
    let expected = ["- opened", "s lost 3 0", "c unexpected_eof", "c ended", "s ended"];
    assert_eq!((status, gist(&found)), (1, expected.map(String::from).to_vec()));
}

#[test]
fn only_so_many_connections_are_kept() {
    let mut talk = Talk::new();
    for port in 10_000..14_097 {
        talk.ports[CLIENT] = port;
        talk.push(CLIENT, 1, 0, SYN, b"");
        // Something more of the first.
        if port == 14_000 {
            talk.ports[CLIENT] = 10_000;
            talk.push(CLIENT, 2, 0, 0, &event("hi"));
        }
    }
    let (status, found) = read("bingo", &talk.pcap());
    let notes: Vec<_> = found.iter().filter(|object| object["note"] != "opened").collect();
    assert_eq!((status, notes.len()), (1, 2));
    // The second is the one that nothing was seen of for the longest.
    assert_eq!((&notes[0]["connection"], &notes[0]["text"]), (&json!(0), &json!("hi")));
    assert_eq!((&notes[1]["connection"], &notes[1]["note"]), (&json!(1), &json!("forgotten")));
}

#[test]
fn a_login_sets_the_byte_order_of_both_sides() {
    let login = |order: u8| [b"\x02\xFFada\xFFaGVsbG8=\xFF", &[order, 0][..]].concat();
    let number = |id: u8, number: u32| {
        let id = [id, 0xFF];
        [&id[..], &number.to_le_bytes(), &b"\xFF\0\xFF\0\xFF\0\xFF\0\xFF\0"[..]].concat()
    };
    let mut talk = Talk::opened();
    talk.say(SERVER, b"\x01\xFFguest\0");
    talk.say(CLIENT, &login(1));
    talk.say(SERVER, b"\x03\xFF\x03\x03\x03\0");
    talk.say(CLIENT, &number(0x63, 5));
    // S94 has a shorter id behind its number.
    talk.say(SERVER, b"\x5E\xFF\x06\0\0\0\xFF\0\0\0\x01\0");
    // And behind lost bytes.
    talk.lose(SERVER, 10);
    talk.say(SERVER, b"\x5E\xFF\x07\0\0\0\xFF\0\0\0\x01\0");
    talk.close();
    let (_, found) = read("delimchat", &talk.pcap());
    let numbers: Vec<_> = found.iter().filter_map(|object| object["number"].as_u64()).collect();
    assert_eq!(numbers, [5, 6, 7], "{found:?}");
}

#[test]
fn what_is_no_tcp_is_passed_over_and_what_cant_be_read_is_told() {
    let mut talk = hello();
    let good = gist(&read("bingo", &talk.pcap()).1);
    let mut udp = talk.packets[3].clone();
    udp[9] = 17;
    let mut fragment = talk.packets[3].clone();
    fragment[6] = 0x20;
    talk.packets.splice(3..3, [udp, vec![], vec![0x45], vec![0xFF; 60], fragment]);
    let (status, mut found) = read("bingo", &talk.pcap());
    let mut unread = found.split_off(good.len());
    assert_eq!((status, gist(&found)), (1, good));
    unread.sort_by_key(|object| object["packets"].as_u64());
    let expected = [(1, "fragments of IP packets"), (3, "headers cut off or malformed")];
    let found: Vec<_> = unread
        .iter()
        .map(|o| (o["packets"].as_u64().unwrap(), o["why"].as_str().unwrap()))
        .collect();
    assert_eq!(found, expected);
    let (status, found) = read("bingo", &pcap(147, &talk.packets));
    assert_eq!(
        (status, gist(&found).len(), &found[0]["why"]),
        (1, 1, &json!("link type 147 is not known"))
    );
}

#[test]
fn bad_captures_are_errors_with_their_place() {
    let talk = hello();
    let files = [talk.pcap(), pcapng(false, RAW, &talk.packets, (6, 1_000_000))];
    for (file, text, place) in [
        (&b""[..], "neither pcap nor pcapng", 0),
        (b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n", "neither pcap nor pcapng", 0),
        (&files[0][..10], "the capture ends after 10 of 24 bytes", 0),
        (&files[0][..30], "the capture ends after 6 of 16 bytes", 24),
        (&files[0][..60], "the capture ends after 36 of 56 bytes", 24),
        (&files[1][..20], "the capture ends after 20 of 28 bytes", 0),
        (&files[1][..100], "the capture ends after", 60),
    ] {
        let (status, _, err) = run("pcap bingo", file);
        let message = format!("inspect: byte {place}: {text}");
        assert!(status == 1 && err.starts_with(&message), "{err}");
    }
    // A length that nobody has sent so much for.
    let mut file = files[0].clone();
    file[32..36].copy_from_slice(&[0xFF; 4]);
    let (status, _, err) = run("pcap bingo", &file);
    assert!(status == 1 && err.contains("byte 24: a block of 4294967311 bytes"), "{err}");
    // What comes before is shown all the same.
    let (status, out, err) = run("pcap bingo", &files[0][..files[0].len() - 1]);
    assert!(status == 1 && err.contains("the capture ends"), "{err}");
    assert_eq!(gist(&objects(&out)).len(), 5);
    let (status, _, _) = run("pcap litecord", b"");
    assert_eq!(status, 2);
    assert_eq!(run("pcap bingo /nowhere/at/all", b"").0, 1);
}

#[test]
fn frames_show_as_they_come() {
    use std::io::{BufRead, BufReader, Write};

    let mut child = inspect("pcap bingo").spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut talk = Talk::opened();
    stdin.write_all(&talk.pcap()).unwrap();
    assert!(lines.next().unwrap().unwrap().contains("opened"));
    for text in ["one", "two", "three"] {
        talk.packets.clear();
        talk.say(CLIENT, &event(text));
        stdin.write_all(&talk.pcap()[24..]).unwrap();
        let line = lines.next().unwrap().unwrap();
        assert!(line.contains(text), "{line}");
    }
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

#[test]
fn garbage_is_no_panic() {
    let talk = hello();
    let framed = talk.framed(ETHERNET, b"\0\0\0\0\0\0\0\0\0\0\0\0\x08\x00");
    let mut seed = 1_u64;
    let mut random = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap()
    };
    for file in [framed, pcapng(false, RAW, &talk.packets, (6, 1_000_000))] {
        for round in 0..150 {
            let mut file = file.clone();
            for _ in 0..=round % 4 {
                let at = random() % file.len();
                file[at] = u8::try_from(random() % 256).unwrap();
            }
            file.truncate(file.len() - random() % 20);
            for protocol in ["bingo", "delimchat"] {
                let (status, _, err) = run(&format!("pcap {protocol}"), &file);
                assert!(matches!(status, 0 | 1) && !err.contains("panicked"), "{err}");
            }
        }
    }
}

#[test]
fn the_hexdump_tells_when_and_on_which_connection() {
    let mut talk = hello();
    talk.packets.truncate(5);
    let (status, out, _) = run("pcap bingo --human", talk.pcap());
    let expected = "\
2020-01-01T00:00:00.250000Z  [0]            opened  client 10.0.0.1:50000, server 10.0.0.2:4000
2020-01-01T00:00:03.250000Z  [0]  00000000  client  event  message_id 0x0000  7 bytes
  00000000 #08                                               opcode       event
  00000001 #00 00                                            message_id   0 = 0x0000
  00000003 #00 02                                            length       2 = 0x0002
  00000005  68 69                                            text         \"hi\"
2020-01-01T00:00:04.250000Z  [0]  00000000  server  event  message_id 0x8000  7 bytes
  00000000 #08                                               opcode       event
  00000001 #80 00                                            message_id   32768 = 0x8000
  00000003 #00 02                                            length       2 = 0x0002
  00000005  68 6f                                            text         \"ho\"
";
    assert_eq!((status, String::from_utf8(out).unwrap().as_str()), (0, expected));
}

#[test]
fn colours_are_for_whoever_wants_them() {
    let coloured = |args: &str, variables: &[(&str, &str)]| {
        let mut command = inspect(&format!("decode bingo --from client --human {args}"));
        command.env_remove("NO_COLOR").envs(variables.iter().copied()).env("TERM", "xterm");
        String::from_utf8(run_command(command, b"\x08\0\0\0\x01x\x04\x80\0\0\0").stdout).unwrap()
    };
    let force = ("CLICOLOR_FORCE", "1");
    for (args, variables, expected) in [
        ("", &[][..], false),
        ("--color auto", &[], false),
        ("--color never", &[force], false),
        ("", &[force], true),
        ("", &[force, ("NO_COLOR", "1")], false),
        ("--color always", &[], true),
        ("--color always", &[("NO_COLOR", "1")], true),
    ] {
        assert_eq!(coloured(args, variables).contains('\x1b'), expected, "{args} {variables:?}");
    }
    let out = coloured("--color always", &[]);
    // Each field has one of its own, its name too, and what is wrong is red.
    for text in
        ["\x1b[36m#08 ", "\x1b[33m#00 00 ", "\x1b[35m#00 01 ", "\x1b[32m 78 ", "\x1b[32mtext"]
    {
        assert!(out.contains(text), "{text:?} {out:?}");
    }
    assert!(out.contains("\x1b[1m\x1b[31m!80 00 "), "{out:?}");
    assert_eq!(out.matches('!').count(), 1, "{out:?}");
    let plain = coloured("", &[]);
    assert!(plain.contains("  00000007 !80 00  "), "{plain}");
}

/// What a real client and server say to each other, packet by packet.
fn bingo_talk() -> Talk {
    use bingo_proto::{
        Client, ClientEvent, Config, Identification, Outcome, Server, ServerEvent, Session,
    };
    let (config, start) = (std::sync::Arc::new(Config::default()), Instant::now());
    let mut server = Server::new(config.clone(), start);
    let mut client = Client::new(config, &Identification::new("9f2c", "ada"), start).unwrap();
    let mut talk = Talk::opened();
    for step in 0.. {
        let now = start + Duration::from_millis(step);
        while let Some(bytes) = client.poll_transmit() {
            talk.say(CLIENT, &bytes);
            server.handle_input(now, &bytes);
        }
        while let Some(event) = server.poll_event() {
            match event {
                ServerEvent::Identified(_) => server.accept(now, b"a secret token").unwrap(),
                ServerEvent::Request { id, .. } => {
                    server.data_update(now, b"cell 7: ada").unwrap();
                    server.reply(now, id, b"it is yours").unwrap();
                }
                _ => {}
            }
        }
        while let Some(bytes) = server.poll_transmit() {
            talk.say(SERVER, &bytes);
            client.handle_input(now, &bytes);
        }
        while let Some(event) = client.poll_event() {
            match event {
                ClientEvent::Ready { .. } => drop(client.request(now, b"claim 7").unwrap()),
                ClientEvent::Outcome { outcome: Outcome::Reply(_), .. } => {
                    talk.close();
                    return talk;
                }
                _ => {}
            }
        }
    }
    unreachable!()
}

/// The same for delimchat.
fn delimchat_talk() -> Talk {
    use delimchat_proto::{
        Client, ClientConfig, ClientEvent, RoomId, Server, ServerConfig, ServerEvent, Session,
        UniqueId,
    };
    let start = Instant::now();
    let mut server = Server::new(ServerConfig::default().into(), "guest-7", start).unwrap();
    let mut client = Client::new(ClientConfig::default().into(), start);
    let login = client.login(start, "ada", b"lovelace").unwrap();
    let mut talk = Talk::opened();
    for step in 0.. {
        let now = start + Duration::from_millis(step);
        while let Some(bytes) = server.poll_transmit() {
            talk.say(SERVER, &bytes);
            client.handle_input(now, &bytes);
        }
        while let Some(bytes) = client.poll_transmit() {
            talk.say(CLIENT, &bytes);
            server.handle_input(now, &bytes);
        }
        while let Some(event) = server.poll_event() {
            match event {
                ServerEvent::Login { .. } => server.accept(now).unwrap(),
                ServerEvent::Message { id, room, message } => {
                    server.accept_message(now, id).unwrap();
                    let id = UniqueId::new(1, 1_577_836_800_000);
                    server.deliver(now, id, room, "ada", "", &message).unwrap();
                }
                ServerEvent::Received { .. } => {
                    talk.close();
                    return talk;
                }
                _ => {}
            }
        }
        while let Some(event) = client.poll_event() {
            if matches!(event, ClientEvent::Outcome { request, .. } if request == login) {
                client.send_message(now, RoomId::GLOBAL, b"hello").unwrap();
            }
        }
    }
    unreachable!()
}

#[test]
fn real_sessions_read_well() {
    let (status, found) = read("bingo --port 4000", &bingo_talk().pcap());
    let expected = [
        "- opened",
        "c identification",
        "s ready",
        "c claim 7",
        "s cell 7: ada",
        "s it is yours",
        "c ended",
        "s ended",
    ];
    assert_eq!((status, gist(&found)), (0, expected.map(String::from).to_vec()));
    assert_eq!(found[2]["token"], "[redacted]");
    let (status, found) = read("delimchat", &delimchat_talk().pcap());
    let expected = [
        "- opened",
        "s guest_username",
        "c login",
        "s login_result",
        "c short_message",
        "s short_message_result",
        "s short_message_delivery",
        "c short_message_received",
        "c ended",
        "s ended",
    ];
    assert_eq!((status, gist(&found)), (0, expected.map(String::from).to_vec()));
    // What was shown of one side can be written again.
    let lines =
        found.iter().filter(|object| object["from"] == "server" && object["note"].is_null());
    let lines = lines.map(Value::to_string).collect::<Vec<_>>().join("\n");
    let (status, bytes, err) = run("encode delimchat --from server", lines);
    assert_eq!((status, err.as_str(), &bytes[..2]), (0, "", &b"\x01\xFF"[..]));
}

/// The captures that the README opens; `SMALLWIRE_WRITE_SAMPLES=1` writes them anew.
#[test]
fn the_samples_are_up_to_date() {
    let front = b"\x02\0\0\0\0\x02\x02\0\0\0\0\x01\x08\x00";
    let bingo = bingo_talk().framed(ETHERNET, front);
    let delimchat = pcapng(false, RAW, &delimchat_talk().packets, (6, 1_000_000));
    for (name, bytes) in [("bingo.pcap", bingo), ("delimchat.pcapng", delimchat)] {
        let path = format!("{}/inspect/{name}", env!("CARGO_MANIFEST_DIR"));
        if std::env::var_os("SMALLWIRE_WRITE_SAMPLES").is_some() {
            std::fs::write(&path, &bytes).unwrap();
        }
        assert!(
            std::fs::read(&path).unwrap() == bytes,
            "{name}: SMALLWIRE_WRITE_SAMPLES=1 cargo test"
        );
    }
}

#[cfg(target_os = "linux")]
#[test]
fn memory_does_not_grow_with_the_capture() {
    use std::io::Write;
    use std::process::Stdio;

    // One connection whose second byte never comes, and many that say half a frame.
    let mut held = Talk::opened();
    let first = held.lose(CLIENT, 1);
    held.packets.clear();
    held.push(CLIENT, first.wrapping_add(1), 0, 0, &[0x55; 1400]);
    let packet = held.packets.remove(0);
    let peak = |packet_of: &dyn Fn(u32) -> Vec<u8>, count: u32| {
        let mut command = inspect("pcap bingo");
        let mut child = command.stdout(Stdio::null()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(&pcap(RAW, &[])).unwrap();
        for number in 0..count {
            stdin.write_all(&pcap(RAW, &[packet_of(number)])[24..]).unwrap();
        }
        // All but what is in the pipe has been read.
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        let kib: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
        drop(stdin);
        assert_eq!(child.wait().unwrap().code(), Some(1));
        kib / 1024
    };
    let gap = |number: u32| {
        let mut packet = packet.clone();
        // Every one with a byte missing before it.
        let seq = first.wrapping_add(1).wrapping_add(number * 1401);
        packet[24..28].copy_from_slice(&seq.to_be_bytes());
        packet
    };
    let mib = peak(&gap, 20_000);
    println!("{mib} MiB for 27 MiB of one connection");
    assert!(mib < 16);
    let half = |number: u32| {
        let mut packet = packet.clone();
        let host = (number / 10_000).to_be_bytes();
        packet[12..16].copy_from_slice(&[10, 1, host[2], host[3]]);
        let port = u16::try_from(10_000 + number % 10_000).unwrap();
        packet[20..22].copy_from_slice(&port.to_be_bytes());
        packet[40..45].copy_from_slice(b"\x08\0\0\xFF\xFF");
        packet
    };
    let mib = peak(&half, 60_000);
    println!("{mib} MiB for 60,000 connections");
    assert!(mib < 96);
    // A hundred of which each waits for a byte.
    let gaps = |number: u32| {
        let mut packet = gap(number / 100);
        let port = u16::try_from(10_000 + number % 100).unwrap();
        packet[20..22].copy_from_slice(&port.to_be_bytes());
        packet
    };
    let mib = peak(&gaps, 70_000);
    println!("{mib} MiB for 93 MiB that wait");
    assert!(mib < 96);
}

//! Packets out of a capture, pcap or pcapng.

use std::io::{BufReader, Read, Write};

use anyhow::{Context, anyhow, bail, ensure};
use jiff::Timestamp;
use pcap_parser::pcapng::{Block, parse_block_be, parse_block_le};
use pcap_parser::traits::PcapNGPacketBlock;
use pcap_parser::{
    InterfaceDescriptionBlock, Linktype, OptionCode, parse_pcap_frame, parse_pcap_frame_be,
    parse_pcap_frame_modified, parse_pcap_header,
};

/// The largest packet or block taken, as Wireshark has it; memory is taken for what has come only.
const MAX_BLOCK: usize = 16 << 20;

/// The most interfaces in a section.
const MAX_INTERFACES: usize = 4096;

/// What begins a pcapng section, in either byte order.
const SECTION: [u8; 4] = *b"\x0a\x0d\x0d\x0a";

/// What was captured of one packet.
pub(crate) struct Packet<'a> {
    /// When, if the capture says so.
    pub(crate) at: Option<Timestamp>,
    pub(crate) link: Linktype,
    pub(crate) data: &'a [u8],
}

pub(crate) struct Reader {
    input: BufReader<Box<dyn Read>>,
    /// The packet or block that is looked at, as far as it has come.
    block: Vec<u8>,
    /// Where in the input that begins.
    offset: u64,
    format: Format,
}

enum Format {
    Unknown,
    Pcap { kind: Kind, nanoseconds: bool, link: Linktype },
    PcapNg { big_endian: bool, interfaces: Vec<Interface> },
}

#[derive(Clone, Copy)]
enum Kind {
    Little,
    Big,
    /// Of an old patch of Linux: eight more bytes before each packet.
    Modified,
}

struct Interface {
    link: Linktype,
    /// Units of time: the exponent of ten, or with the highest bit set of two.
    resolution: u8,
    /// Seconds to add.
    offset: i64,
}

impl Reader {
    pub(crate) const fn new(input: BufReader<Box<dyn Read>>) -> Self {
        Self { input, block: Vec::new(), offset: 0, format: Format::Unknown }
    }

    /// The next packet; before it might wait for one, `output` is flushed.
    pub(crate) fn next(&mut self, output: &mut impl Write) -> anyhow::Result<Option<Packet<'_>>> {
        let (at, link, start, len) = loop {
            self.offset += self.block.len() as u64;
            self.block.clear();
            let found = match &self.format {
                Format::Unknown => {
                    self.begin(output)?;
                    continue;
                }
                Format::Pcap { .. } => self.packet(output)?,
                Format::PcapNg { .. } => self.block(output)?,
            };
            match found {
                Found::End => return Ok(None),
                Found::Other => {}
                Found::Packet { at, link, start, len } => break (at, link, start, len),
            }
        };
        let data = self.block.get(start..start + len).unwrap_or_default();
        Ok(Some(Packet { at, link, data }))
    }

    /// Reads until so many bytes of the block are there; `false` if the input ends before the first.
    fn fill(&mut self, len: usize, output: &mut impl Write) -> anyhow::Result<bool> {
        let offset = self.offset;
        ensure!(
            len <= MAX_BLOCK,
            "byte {offset}: a block of {len} bytes, the limit is {MAX_BLOCK}"
        );
        let missing = len.saturating_sub(self.block.len());
        if self.input.buffer().len() < missing {
            output.flush()?;
        }
        let mut rest = (&mut self.input).take(missing as u64);
        rest.read_to_end(&mut self.block).context("can't read")?;
        if self.block.is_empty() {
            return Ok(false);
        }
        let come = self.block.len();
        ensure!(come >= len, "byte {offset}: the capture ends after {come} of {len} bytes");
        Ok(true)
    }

    /// Finds out what it is.
    fn begin(&mut self, output: &mut impl Write) -> anyhow::Result<()> {
        const UNKNOWN: &str = "byte 0: neither pcap nor pcapng";
        ensure!(self.fill(4, output)?, UNKNOWN);
        if self.block == SECTION {
            self.format = Format::PcapNg { big_endian: false, interfaces: Vec::new() };
            self.block(output)?;
            return Ok(());
        }
        let known = matches!(
            self.block[..],
            [0xD4, 0xC3, 0xB2, 0xA1]
                | [0xA1, 0xB2, 0xC3, 0xD4]
                | [0x4D, 0x3C, 0xB2, 0xA1]
                | [0xA1, 0xB2, 0x3C, 0x4D]
                | [0x34, 0xCD, 0xB2, 0xA1]
        );
        ensure!(known, UNKNOWN);
        self.fill(24, output)?;
        let (_, header) = parse_pcap_header(&self.block).map_err(|_| anyhow!(UNKNOWN))?;
        let kind = match (header.is_bigendian(), header.is_modified_format()) {
            (true, _) => Kind::Big,
            (_, true) => Kind::Modified,
            _ => Kind::Little,
        };
        // Above that there is how long a checksum is captured with each packet.
        let link = Linktype(header.network.0 & 0xFFFF);
        let nanoseconds = header.is_nanosecond_precision();
        self.format = Format::Pcap { kind, nanoseconds, link };
        Ok(())
    }

    /// A packet of a pcap capture.
    fn packet(&mut self, output: &mut impl Write) -> anyhow::Result<Found> {
        let Format::Pcap { kind, nanoseconds, link } = self.format else {
            return Ok(Found::Other);
        };
        let start = if matches!(kind, Kind::Modified) { 24 } else { 16 };
        if !self.fill(start, output)? {
            return Ok(Found::End);
        }
        let len = number(&self.block, 8, matches!(kind, Kind::Big));
        self.fill(start.saturating_add(len), output)?;
        let parsed = match kind {
            Kind::Little => parse_pcap_frame(&self.block),
            Kind::Big => parse_pcap_frame_be(&self.block),
            Kind::Modified => parse_pcap_frame_modified(&self.block),
        };
        let (_, packet) = parsed.map_err(|_| anyhow!("byte {}: no packet", self.offset))?;
        let unit = if nanoseconds { 1 } else { 1000 };
        let nanos = i64::from(packet.ts_usec) * unit;
        let at = time(i64::from(packet.ts_sec), nanos);
        Ok(Found::Packet { at, link, start, len: packet.data.len() })
    }

    /// A block of a pcapng capture.
    fn block(&mut self, output: &mut impl Write) -> anyhow::Result<Found> {
        let offset = self.offset;
        if !self.fill(12, output)? {
            return Ok(Found::End);
        }
        let Format::PcapNg { big_endian, interfaces } = &mut self.format else {
            return Ok(Found::Other);
        };
        if self.block.starts_with(&SECTION) {
            *big_endian = match self.block[8..12] {
                [0x1A, 0x2B, 0x3C, 0x4D] => true,
                [0x4D, 0x3C, 0x2B, 0x1A] => false,
                _ => bail!("byte {offset}: a section of no byte order"),
            };
            interfaces.clear();
        }
        let is_big = *big_endian;
        let len = number(&self.block, 4, is_big);
        ensure!(
            len >= 12 && len.is_multiple_of(4),
            "byte {offset}: a block of {len} bytes can't be"
        );
        self.fill(len, output)?;
        let Format::PcapNg { interfaces, .. } = &mut self.format else {
            return Ok(Found::Other);
        };
        let parse = if is_big { parse_block_be } else { parse_block_le };
        let parsed = parse(&self.block);
        let (_, block) = parsed.map_err(|_| anyhow!("byte {offset}: a malformed block"))?;
        let (id, data, ticks) = match &block {
            Block::InterfaceDescription(description) => {
                ensure!(interfaces.len() < MAX_INTERFACES, "byte {offset}: too many interfaces");
                interfaces.push(Interface::new(description, is_big));
                return Ok(Found::Other);
            }
            Block::EnhancedPacket(packet) => {
                let ticks = u64::from(packet.ts_high) << 32 | u64::from(packet.ts_low);
                (packet.if_id as usize, packet.packet_data(), Some(ticks))
            }
            Block::SimplePacket(packet) => (0, packet.packet_data(), None),
            _ => return Ok(Found::Other),
        };
        let interface = interfaces.get(id);
        let interface = interface.with_context(|| format!("byte {offset}: no interface {id}"))?;
        let at = ticks.and_then(|ticks| interface.time(ticks));
        let start = data.as_ptr().addr() - self.block.as_ptr().addr();
        Ok(Found::Packet { at, link: interface.link, start, len: data.len() })
    }
}

/// What comes next, and where in the block its data is.
enum Found {
    End,
    /// Nothing to look into.
    Other,
    Packet {
        at: Option<Timestamp>,
        link: Linktype,
        start: usize,
        len: usize,
    },
}

impl Interface {
    fn new(description: &InterfaceDescriptionBlock<'_>, big_endian: bool) -> Self {
        let offset = description.options.iter().find(|o| o.code == OptionCode::IfTsoffset);
        let bytes = offset.and_then(|option| <[u8; 8]>::try_from(option.value.get(..8)?).ok());
        let read = if big_endian { i64::from_be_bytes } else { i64::from_le_bytes };
        Self {
            link: description.linktype,
            resolution: description.if_tsresol,
            offset: bytes.map_or(0, read),
        }
    }

    fn time(&self, ticks: u64) -> Option<Timestamp> {
        let base: u128 = if self.resolution & 0x80 == 0 { 10 } else { 2 };
        let unit = base.checked_pow(u32::from(self.resolution & 0x7F))?;
        let ticks = u128::from(ticks);
        let seconds = i64::try_from(ticks / unit).ok()?.checked_add(self.offset)?;
        let nanos = (ticks % unit).checked_mul(1_000_000_000)? / unit;
        time(seconds, nanos.try_into().ok()?)
    }
}

fn time(seconds: i64, nanos: i64) -> Option<Timestamp> {
    let seconds = seconds.checked_add(nanos / 1_000_000_000)?;
    Timestamp::new(seconds, (nanos % 1_000_000_000).try_into().ok()?).ok()
}

/// A length at this place of a block that is long enough.
fn number(block: &[u8], at: usize, big_endian: bool) -> usize {
    let bytes = block.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).unwrap_or_default();
    let number = if big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) };
    number as usize
}

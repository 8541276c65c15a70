//! TCP segments out of packets.

use std::fmt;
use std::net::SocketAddr;

use etherparse::{EtherType, IpNumber, LaxNetSlice, LaxSlicedPacket, TransportSlice};
use pcap_parser::Linktype;

use crate::capture::Packet;

pub(crate) struct Segment<'a> {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) seq: u32,
    /// What the sender has of the other side.
    pub(crate) ack: Option<u32>,
    pub(crate) syn: bool,
    pub(crate) fin: bool,
    pub(crate) rst: bool,
    pub(crate) payload: &'a [u8],
    /// Bytes of the payload that weren't captured.
    pub(crate) missing: u32,
}

/// Why a packet that may be of interest can't be looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Unread {
    /// Captured in a way that isn't known.
    Link(i32),
    Fragment,
    Short,
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Link(number) => write!(f, "link type {number} is not known"),
            Self::Fragment => f.write_str("fragments of IP packets"),
            Self::Short => f.write_str("headers cut off or malformed"),
        }
    }
}

/// The segment in a packet; `None` for what isn't TCP.
pub(crate) fn segment<'a>(packet: &Packet<'a>) -> Result<Option<Segment<'a>>, Unread> {
    let data = packet.data;
    let sliced = match packet.link {
        Linktype::ETHERNET => LaxSlicedPacket::from_ethernet(data).map_err(|_| Unread::Short)?,
        // The protocol is the last field of this header and the first of the newer one.
        Linktype::LINUX_SLL => cooked(data, 14, 16)?,
        Linktype::LINUX_SLL2 => cooked(data, 0, 20)?,
        // The family of the address is of the host's byte order, and IPv6's of the host's system; the IP
        // header has the version, too.
        Linktype::NULL | Linktype::LOOP => ip(data.get(4..).ok_or(Unread::Short)?)?,
        // Some systems' own numbers for raw IP came to be used in files, too.
        Linktype::RAW | Linktype::IPV4 | Linktype::IPV6 | Linktype(12 | 14) => ip(data)?,
        Linktype(number) => return Err(Unread::Link(number)),
    };
    let (source, destination, announced, content) = match &sliced.net {
        Some(LaxNetSlice::Ipv4(ip)) => {
            let header = ip.header();
            let extensions = ip.extensions().auth.map_or(0, |auth| auth.slice().len());
            let before = header.slice().len() + extensions;
            let announced = usize::from(header.total_len()).saturating_sub(before);
            let (from, to) = (header.source_addr().into(), header.destination_addr().into());
            (from, to, announced, ip.payload())
        }
        Some(LaxNetSlice::Ipv6(ip)) => {
            let header = ip.header();
            let before = ip.extensions().slice().len();
            let announced = usize::from(header.payload_length()).saturating_sub(before);
            let (from, to) = (header.source_addr().into(), header.destination_addr().into());
            (from, to, announced, ip.payload())
        }
        _ => return Ok(None),
    };
    if content.ip_number != IpNumber::TCP {
        return Ok(None);
    }
    if content.fragmented {
        return Err(Unread::Fragment);
    }
    let Some(TransportSlice::Tcp(tcp)) = &sliced.transport else {
        return Err(Unread::Short);
    };
    let missing = announced.saturating_sub(content.payload.len());
    Ok(Some(Segment {
        from: SocketAddr::new(source, tcp.source_port()),
        to: SocketAddr::new(destination, tcp.destination_port()),
        seq: tcp.sequence_number(),
        ack: tcp.ack().then(|| tcp.acknowledgment_number()),
        syn: tcp.syn(),
        fin: tcp.fin(),
        rst: tcp.rst(),
        payload: tcp.payload(),
        missing: if content.incomplete { missing.try_into().unwrap_or(0) } else { 0 },
    }))
}

/// What is behind a header of that length, in which the protocol is at this place.
fn cooked(data: &[u8], protocol: usize, len: usize) -> Result<LaxSlicedPacket<'_>, Unread> {
    let (header, rest) = data.split_at_checked(len).ok_or(Unread::Short)?;
    let number = u16::from_be_bytes([header[protocol], header[protocol + 1]]);
    Ok(LaxSlicedPacket::from_ether_type(EtherType(number), rest))
}

fn ip(data: &[u8]) -> Result<LaxSlicedPacket<'_>, Unread> {
    LaxSlicedPacket::from_ip(data).map_err(|_| Unread::Short)
}

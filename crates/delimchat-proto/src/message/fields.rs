use alloc::vec::Vec;
use core::fmt;

use bytes::{BufMut, Bytes};
use smallwire_core::Secret;

use super::base64;
use super::table::{Field, FieldRef, FieldWidth, Make, MapBytes, Note, Problem, Read};
use super::{MAX_BASE64, PacketId};
use crate::codec::{Scan, Stop, put_base64};
use crate::{
    ByteOrder, ClientMessageId, CodecConfig, ContentError, ContentErrorKind, EndianMarker, RoomId,
    UniqueId, UniqueIdPrefix,
};

/// Texts, each with what may be in it and how long it may be.
macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident, $check:ident, $limit:ident;)+) => {$(
        $(#[$doc])*
        ///
        /// Any bytes: a packet with bad content is delivered, with that field marked invalid (D0). They are
        /// looked at when the text is asked for, and when it is encoded.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
        pub struct $name<B = Bytes>(B);

        impl<B> $name<B> {
            /// A field of these bytes.
            #[inline]
            pub const fn new(bytes: B) -> Self {
                Self(bytes)
            }

            /// The bytes as they are, valid or not.
            pub fn into_inner(self) -> B {
                self.0
            }
        }

        impl<B: AsRef<[u8]>> $name<B> {
            /// Its text.
            ///
            /// # Errors
            /// The field is invalid (D0); that it is empty is for the caller to see.
            #[inline]
            pub fn as_str(&self) -> Result<&str, ContentError> {
                $check(self.0.as_ref())
            }

            /// The bytes as they are, valid or not.
            #[inline]
            pub fn as_bytes(&self) -> &[u8] {
                self.0.as_ref()
            }

            /// Whether it is empty.
            #[inline]
            pub fn is_empty(&self) -> bool {
                self.0.as_ref().is_empty()
            }
        }

        impl<'a> From<&'a str> for $name<&'a [u8]> {
            fn from(text: &'a str) -> Self {
                Self(text.as_bytes())
            }
        }

        impl From<&str> for $name<Bytes> {
            fn from(text: &str) -> Self {
                Self(Bytes::copy_from_slice(text.as_bytes()))
            }
        }

        impl<B: AsRef<[u8]>> fmt::Debug for $name<B> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "\"{}\"", self.as_bytes().escape_ascii())
            }
        }

        impl<'a> Read<'a> for $name<&'a [u8]> {
            #[inline(always)]
            fn read<const RESUME: bool>(scan: &mut Scan<'a>) -> Result<Self, Stop> {
                scan.delimited::<RESUME, true>(scan.config.$limit).map(Self)
            }
        }

        impl<B: AsRef<[u8]>> Field for $name<B> {
            const WIDTH: FieldWidth = FieldWidth::$name;

            #[inline]
            fn check(&self, config: &CodecConfig, note: Note) -> Result<usize, Problem> {
                let bytes = self.as_bytes();
                if bytes.is_empty() && note == Note::None {
                    return Err(Problem::EMPTY);
                }
                let limit = config.$limit;
                if bytes.len() > usize::from(limit) {
                    return Err(Problem::TooLong { len: bytes.len(), limit });
                }
                if !is_graphic(bytes) {
                    let text = self.as_str().map_err(Problem::Content)?;
                    no_delimiter(text.as_bytes())?;
                }
                Ok(bytes.len())
            }

            #[inline]
            fn put(&self, _: &CodecConfig, dst: &mut impl BufMut) {
                dst.put_slice(self.as_bytes());
            }

            fn view(&self) -> Option<FieldRef<'_>> {
                let invalid = FieldRef::Invalid(self.as_bytes());
                Some(self.as_str().map_or(invalid, FieldRef::Text))
            }
        }

        impl<'a> Make<'a> for $name<&'a [u8]> {
            fn make(field: Option<FieldRef<'a>>) -> Option<Self> {
                match field? {
                    FieldRef::Text(text) => Some(Self(text.as_bytes())),
                    FieldRef::Invalid(bytes) => Some(Self(bytes)),
                    _ => None,
                }
            }
        }

        impl<B, C> MapBytes<B, C> for $name<B> {
            type Out = $name<C>;

            #[inline]
            fn map_bytes(self, f: &mut impl FnMut(B) -> C) -> $name<C> {
                $name(f(self.0))
            }
        }
    )+};
}

texts! {
    /// The name of a user: printable ASCII without spaces.
    Username, printable, max_username;
    /// A name that a user goes by.
    Alias, utf8, max_alias;
    /// An e-mail address; what makes one valid is the application's to say.
    Email, utf8, max_email;
    /// Some other text.
    Text, utf8, max_text;
}

#[inline]
fn printable(bytes: &[u8]) -> Result<&str, ContentError> {
    if is_graphic(bytes) {
        if let Ok(text) = core::str::from_utf8(bytes) {
            return Ok(text);
        }
    }
    let offset = bytes.iter().position(|b| !b.is_ascii_graphic()).unwrap_or(0);
    Err(ContentError { kind: ContentErrorKind::NotPrintable, offset })
}

/// Whether all are printable ASCII and no spaces: eight at a time, the last ones maybe twice.
#[inline]
fn is_graphic(bytes: &[u8]) -> bool {
    const ALL: u64 = u64::MAX / 0xFF;
    let are = |eight: &[u8; 8]| {
        let word = u64::from_le_bytes(*eight);
        // In the top bit of each byte: at least `!`, less than DEL, no more than seven bits.
        let least = word.wrapping_add(ALL * (0x80 - 0x21));
        let beyond = word.wrapping_add(ALL) | word;
        least & !beyond & (ALL << 7) == ALL << 7
    };
    match bytes.last_chunk() {
        Some(last) => bytes.chunks_exact(8).filter_map(<[u8]>::first_chunk).all(are) && are(last),
        None => bytes.iter().all(u8::is_ascii_graphic),
    }
}

#[inline]
fn utf8(bytes: &[u8]) -> Result<&str, ContentError> {
    core::str::from_utf8(bytes).map_err(|error| ContentError {
        kind: ContentErrorKind::NotUtf8,
        offset: error.valid_up_to(),
    })
}

/// Text has no `FF` in it, but may have a NUL.
#[inline]
fn no_delimiter(text: &[u8]) -> Result<(), Problem> {
    match memchr::memchr(0, text) {
        None => Ok(()),
        Some(offset) => {
            Err(Problem::Content(ContentError { kind: ContentErrorKind::Delimiter, offset }))
        }
    }
}

/// A payload, which is base64 on the wire (D1).
///
/// What was received is the text, and is looked at when the payload is asked for; what is to be sent is
/// either. Equal are those that are the same on the wire. `Debug` shows the text.
#[derive(Clone, Copy)]
pub struct Base64<B = Bytes>(Form<B>);

#[derive(Clone, Copy)]
enum Form<B> {
    Text(B),
    Payload(B),
}

impl<B> Base64<B> {
    /// The base64 of this payload.
    #[inline]
    pub const fn of(payload: B) -> Self {
        Self(Form::Payload(payload))
    }

    /// This text, which should be base64.
    #[inline]
    pub const fn from_text(text: B) -> Self {
        Self(Form::Text(text))
    }
}

impl<B: AsRef<[u8]>> Base64<B> {
    fn borrow(&self) -> Base64<&[u8]> {
        Base64(match &self.0 {
            Form::Text(text) => Form::Text(text.as_ref()),
            Form::Payload(payload) => Form::Payload(payload.as_ref()),
        })
    }

    /// Whether there is no payload.
    #[inline]
    pub fn is_empty(&self) -> bool {
        let (Form::Text(bytes) | Form::Payload(bytes)) = &self.0;
        bytes.as_ref().is_empty()
    }

    /// Characters on the wire.
    #[inline]
    pub fn encoded_len(&self) -> usize {
        match &self.0 {
            Form::Text(text) => text.as_ref().len(),
            Form::Payload(payload) => base64::encoded_len(payload.as_ref().len()),
        }
    }

    /// The payload.
    ///
    /// # Errors
    /// It isn't base64 (D0).
    pub fn payload(&self) -> Result<Vec<u8>, ContentError> {
        let mut payload = Vec::new();
        self.payload_into(&mut payload)?;
        Ok(payload)
    }

    /// The payload in place of what is in `dst`, which can be used again and again.
    ///
    /// # Errors
    /// It isn't base64 (D0); nothing is in `dst`.
    #[inline]
    pub fn payload_into(&self, dst: &mut Vec<u8>) -> Result<(), ContentError> {
        match &self.0 {
            Form::Text(text) => base64::decode(text.as_ref(), dst),
            Form::Payload(payload) => {
                dst.clear();
                dst.extend_from_slice(payload.as_ref());
                Ok(())
            }
        }
    }

    /// The characters on the wire, valid or not.
    pub fn text(&self) -> Vec<u8> {
        match &self.0 {
            Form::Text(text) => text.as_ref().to_vec(),
            Form::Payload(payload) => {
                let mut text = alloc::vec![0; self.encoded_len()];
                base64::encode(payload.as_ref(), &mut text);
                text
            }
        }
    }

    /// Whether it is base64, for who doesn't need the payload (D0).
    ///
    /// # Errors
    /// It isn't.
    pub fn check(&self) -> Result<(), ContentError> {
        match &self.0 {
            Form::Text(text) => base64::check(text.as_ref()),
            Form::Payload(_) => Ok(()),
        }
    }
}

impl<B: AsRef<[u8]>> PartialEq for Base64<B> {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Form::Text(a), Form::Text(b)) | (Form::Payload(a), Form::Payload(b)) => {
                a.as_ref() == b.as_ref()
            }
            _ => self.text() == other.text(),
        }
    }
}

impl<B: AsRef<[u8]>> Eq for Base64<B> {}

impl<B: AsRef<[u8]>> fmt::Debug for Base64<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.text().escape_ascii())
    }
}

impl<'a> Read<'a> for Base64<&'a [u8]> {
    #[inline(always)]
    fn read<const RESUME: bool>(scan: &mut Scan<'a>) -> Result<Self, Stop> {
        scan.delimited::<RESUME, false>(base64::LIMIT).map(Self::from_text)
    }
}

impl<B: AsRef<[u8]>> Field for Base64<B> {
    const WIDTH: FieldWidth = FieldWidth::Base64;

    #[inline]
    fn check(&self, _: &CodecConfig, note: Note) -> Result<usize, Problem> {
        if self.is_empty() && note == Note::None {
            return Err(Problem::EMPTY);
        }
        let len = self.encoded_len();
        if len > MAX_BASE64 {
            return Err(Problem::TooLong { len, limit: base64::LIMIT });
        }
        self.check().map_err(Problem::Content)?;
        Ok(len)
    }

    #[inline]
    fn put(&self, _: &CodecConfig, dst: &mut impl BufMut) {
        match &self.0 {
            Form::Text(text) => dst.put_slice(text.as_ref()),
            Form::Payload(payload) => put_base64(payload.as_ref(), dst),
        }
    }

    fn view(&self) -> Option<FieldRef<'_>> {
        Some(FieldRef::Base64(self.borrow()))
    }
}

impl<'a> Make<'a> for Base64<&'a [u8]> {
    fn make(field: Option<FieldRef<'a>>) -> Option<Self> {
        match field? {
            FieldRef::Base64(field) => Some(field),
            _ => None,
        }
    }
}

impl<'a> Make<'a> for Secret<Base64<&'a [u8]>> {
    fn make(field: Option<FieldRef<'a>>) -> Option<Self> {
        match field? {
            FieldRef::Password(field) => Some(field),
            _ => None,
        }
    }
}

impl<B, C> MapBytes<B, C> for Base64<B> {
    type Out = Base64<C>;

    #[inline]
    fn map_bytes(self, f: &mut impl FnMut(B) -> C) -> Base64<C> {
        Base64(match self.0 {
            Form::Text(text) => Form::Text(f(text)),
            Form::Payload(payload) => Form::Payload(f(payload)),
        })
    }
}

/// E: the byte order that a client speaks (D6, D7), valid or not (D0).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ByteOrderField {
    /// One of the two, in whatever spelling.
    Valid(ByteOrder),
    /// Nothing before the `00`.
    Empty,
    /// A byte that is no spelling.
    Invalid(u8),
}

impl ByteOrderField {
    /// The byte order, if it is one.
    pub const fn get(self) -> Option<ByteOrder> {
        match self {
            Self::Valid(order) => Some(order),
            Self::Empty | Self::Invalid(_) => None,
        }
    }
}

impl From<ByteOrder> for ByteOrderField {
    fn from(order: ByteOrder) -> Self {
        Self::Valid(order)
    }
}

impl<'a> Read<'a> for ByteOrderField {
    #[inline(always)]
    fn read<const RESUME: bool>(scan: &mut Scan<'a>) -> Result<Self, Stop> {
        Ok(match scan.delimited::<RESUME, true>(1)? {
            [] => Self::Empty,
            [0x01 | b'L', ..] => Self::Valid(ByteOrder::LittleEndian),
            [0x02 | b'B', ..] => Self::Valid(ByteOrder::BigEndian),
            [other, ..] => Self::Invalid(*other),
        })
    }
}

impl Field for ByteOrderField {
    const WIDTH: FieldWidth = FieldWidth::ByteOrder;

    fn check(&self, _: &CodecConfig, _: Note) -> Result<usize, Problem> {
        let kind = match self {
            Self::Valid(_) => return Ok(1),
            Self::Empty => return Err(Problem::EMPTY),
            Self::Invalid(_) => ContentErrorKind::NotAByteOrder,
        };
        Err(Problem::Content(ContentError { kind, offset: 0 }))
    }

    fn put(&self, config: &CodecConfig, dst: &mut impl BufMut) {
        if let Self::Valid(order) = self {
            dst.put_u8(match (config.endian_marker, order) {
                (EndianMarker::Numeric, ByteOrder::LittleEndian) => 0x01,
                (EndianMarker::Numeric, ByteOrder::BigEndian) => 0x02,
                (EndianMarker::Letter, ByteOrder::LittleEndian) => b'L',
                (EndianMarker::Letter, ByteOrder::BigEndian) => b'B',
            });
        }
    }

    fn view(&self) -> Option<FieldRef<'_>> {
        Some(FieldRef::ByteOrder(*self))
    }
}

impl<'a> Make<'a> for ByteOrderField {
    fn make(field: Option<FieldRef<'a>>) -> Option<Self> {
        match field? {
            FieldRef::ByteOrder(field) => Some(field),
            _ => None,
        }
    }
}

impl<B, C> MapBytes<B, C> for ByteOrderField {
    type Out = Self;

    fn map_bytes(self, _: &mut impl FnMut(B) -> C) -> Self {
        self
    }
}

/// A set of packet ids, in 32 bytes: what a peer says that it supports (conversation, step 6).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct PacketSet([u64; 4]);

impl PacketSet {
    /// None.
    pub const fn new() -> Self {
        Self([0; 4])
    }

    /// Puts one in; `00` and `FF`, which are no ids, stay out.
    pub fn insert(&mut self, id: PacketId) {
        let (word, bit) = Self::place(id);
        if let Some(word) = self.0.get_mut(word).filter(|_| id.is_valid()) {
            *word |= bit;
        }
    }

    /// Whether it is in.
    pub fn contains(&self, id: PacketId) -> bool {
        let (word, bit) = Self::place(id);
        self.0.get(word).is_some_and(|word| word & bit != 0)
    }

    /// How many are in.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether none is in.
    pub fn is_empty(&self) -> bool {
        *self == Self::new()
    }

    /// Those that are in, in order.
    pub fn iter(&self) -> impl Iterator<Item = PacketId> + '_ {
        (0..=u8::MAX).map(PacketId).filter(|id| self.contains(*id))
    }

    const fn place(id: PacketId) -> (usize, u64) {
        ((id.0 >> 6) as usize, 1 << (id.0 & 63))
    }
}

impl FromIterator<PacketId> for PacketSet {
    fn from_iter<I: IntoIterator<Item = PacketId>>(ids: I) -> Self {
        let mut set = Self::new();
        ids.into_iter().for_each(|id| set.insert(id));
        set
    }
}

impl fmt::Debug for PacketSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(|id| id.0)).finish()
    }
}

/// The ids of packets that a side supports, in the order in which it names them.
#[derive(Clone, Copy)]
pub struct PacketList<B = Bytes>(List<B>);

#[derive(Clone, Copy)]
enum List<B> {
    /// Ids with an `FF` between each two, as on the wire.
    Wire(B),
    Ids(B),
    Set(PacketSet),
}

impl<B> PacketList<B> {
    /// The ids that these bytes are.
    pub const fn new(ids: B) -> Self {
        Self(List::Ids(ids))
    }
}

impl<B> From<PacketSet> for PacketList<B> {
    fn from(set: PacketSet) -> Self {
        Self(List::Set(set))
    }
}

impl<B: AsRef<[u8]>> PacketList<B> {
    /// The ids, one after the other.
    pub fn iter(&self) -> impl Iterator<Item = PacketId> + '_ {
        let (bytes, step, set) = match &self.0 {
            List::Wire(bytes) => (bytes.as_ref(), 2, PacketSet::new()),
            List::Ids(bytes) => (bytes.as_ref(), 1, PacketSet::new()),
            List::Set(set) => (&[][..], 1, *set),
        };
        let of_set = (0..=u8::MAX).map(PacketId).filter(move |id| set.contains(*id));
        bytes.iter().step_by(step).map(|id| PacketId(*id)).chain(of_set)
    }

    /// The ids as a set.
    pub fn to_set(&self) -> PacketSet {
        self.iter().collect()
    }
}

impl<B: AsRef<[u8]>> PartialEq for PacketList<B> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<B: AsRef<[u8]>> Eq for PacketList<B> {}

impl<B: AsRef<[u8]>> fmt::Debug for PacketList<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|id| id.0)).finish()
    }
}

impl<'a> Read<'a> for PacketList<&'a [u8]> {
    fn read<const RESUME: bool>(scan: &mut Scan<'a>) -> Result<Self, Stop> {
        scan.list::<RESUME>().map(|bytes| Self(List::Wire(bytes)))
    }
}

impl<B: AsRef<[u8]>> Field for PacketList<B> {
    const WIDTH: FieldWidth = FieldWidth::PacketList;

    fn check(&self, _: &CodecConfig, _: Note) -> Result<usize, Problem> {
        if let Some(offset) = self.iter().position(|id| !id.is_valid()) {
            let kind = ContentErrorKind::NotAPacketId;
            return Err(Problem::Content(ContentError { kind, offset }));
        }
        match self.iter().count() {
            0 => Err(Problem::EMPTY),
            ids => Ok(ids.saturating_mul(2).saturating_sub(1)),
        }
    }

    fn put(&self, _: &CodecConfig, dst: &mut impl BufMut) {
        for (at, id) in self.iter().enumerate() {
            if at > 0 {
                dst.put_u8(0xFF);
            }
            dst.put_u8(id.0);
        }
    }

    fn view(&self) -> Option<FieldRef<'_>> {
        Some(FieldRef::Packets(PacketList(match &self.0 {
            List::Wire(bytes) => List::Wire(bytes.as_ref()),
            List::Ids(bytes) => List::Ids(bytes.as_ref()),
            List::Set(set) => List::Set(*set),
        })))
    }
}

impl<'a> Make<'a> for PacketList<&'a [u8]> {
    fn make(field: Option<FieldRef<'a>>) -> Option<Self> {
        match field? {
            FieldRef::Packets(field) => Some(field),
            _ => None,
        }
    }
}

impl<B, C> MapBytes<B, C> for PacketList<B> {
    type Out = PacketList<C>;

    fn map_bytes(self, f: &mut impl FnMut(B) -> C) -> PacketList<C> {
        PacketList(match self.0 {
            List::Wire(bytes) => List::Wire(f(bytes)),
            List::Ids(bytes) => List::Ids(f(bytes)),
            List::Set(set) => List::Set(set),
        })
    }
}

/// What is only ever seen through another field's eyes.
impl<'a, T: Read<'a>> Read<'a> for Secret<T> {
    #[inline(always)]
    fn read<const RESUME: bool>(scan: &mut Scan<'a>) -> Result<Self, Stop> {
        T::read::<RESUME>(scan).map(Self::new)
    }
}

impl<T: Field> Field for Secret<T> {
    const WIDTH: FieldWidth = T::WIDTH;

    #[inline]
    fn check(&self, config: &CodecConfig, note: Note) -> Result<usize, Problem> {
        self.expose().check(config, note)
    }

    #[inline]
    fn put(&self, config: &CodecConfig, dst: &mut impl BufMut) {
        self.expose().put(config, dst);
    }

    fn view(&self) -> Option<FieldRef<'_>> {
        match self.expose().view() {
            Some(FieldRef::Base64(field)) => Some(FieldRef::Password(Secret::new(field))),
            other => other,
        }
    }
}

impl<B, C, T: MapBytes<B, C>> MapBytes<B, C> for Secret<T> {
    type Out = Secret<T::Out>;

    #[inline]
    fn map_bytes(self, f: &mut impl FnMut(B) -> C) -> Secret<T::Out> {
        Secret::new(self.into_inner().map_bytes(f))
    }
}

/// A field of a group that may be missing.
impl<'a, T: Read<'a>> Read<'a> for Option<T> {
    #[inline(always)]
    fn read<const RESUME: bool>(scan: &mut Scan<'a>) -> Result<Self, Stop> {
        if scan.is_missing() { Ok(None) } else { T::read::<RESUME>(scan).map(Some) }
    }
}

impl<T: Field> Field for Option<T> {
    const WIDTH: FieldWidth = T::WIDTH;

    fn is_missing(&self) -> bool {
        self.is_none()
    }

    fn check(&self, config: &CodecConfig, note: Note) -> Result<usize, Problem> {
        self.as_ref().map_or(Ok(0), |field| field.check(config, note))
    }

    fn put(&self, config: &CodecConfig, dst: &mut impl BufMut) {
        if let Some(field) = self {
            field.put(config, dst);
        }
    }

    fn view(&self) -> Option<FieldRef<'_>> {
        self.as_ref()?.view()
    }
}

impl<'a, T: Make<'a>> Make<'a> for Option<T> {
    fn make(field: Option<FieldRef<'a>>) -> Option<Self> {
        match field {
            None => Some(None),
            field => T::make(field).map(Some),
        }
    }
}

impl<B, C, T: MapBytes<B, C>> MapBytes<B, C> for Option<T> {
    type Out = Option<T::Out>;

    fn map_bytes(self, f: &mut impl FnMut(B) -> C) -> Option<T::Out> {
        self.map(|field| field.map_bytes(f))
    }
}

/// Fields of fixed width that own what they are.
macro_rules! fixed {
    ($($name:ident($len:literal);)+) => {$(
        impl<'a> Read<'a> for $name {
            #[inline(always)]
            fn read<const RESUME: bool>(scan: &mut Scan<'a>) -> Result<Self, Stop> {
                scan.fixed().map(Self)
            }
        }

        impl Field for $name {
            const WIDTH: FieldWidth = FieldWidth::Fixed($len);

            #[inline]
            fn check(&self, _: &CodecConfig, _: Note) -> Result<usize, Problem> {
                Ok($len)
            }

            #[inline]
            fn put(&self, _: &CodecConfig, dst: &mut impl BufMut) {
                dst.put_slice(&self.0);
            }

            fn view(&self) -> Option<FieldRef<'_>> {
                Some(FieldRef::Opaque(&self.0))
            }
        }

        impl<'a> Make<'a> for $name {
            fn make(field: Option<FieldRef<'a>>) -> Option<Self> {
                match field? {
                    FieldRef::Opaque(bytes) => bytes.try_into().ok().map(Self),
                    _ => None,
                }
            }
        }

        impl<B, C> MapBytes<B, C> for $name {
            type Out = Self;

            #[inline]
            fn map_bytes(self, _: &mut impl FnMut(B) -> C) -> Self {
                self
            }
        }
    )+};
}

fixed! {
    ClientMessageId(4);
    RoomId(8);
    UniqueId(16);
    UniqueIdPrefix(8);
}

impl<'a> Read<'a> for u32 {
    #[inline(always)]
    fn read<const RESUME: bool>(scan: &mut Scan<'a>) -> Result<Self, Stop> {
        scan.fixed().map(|bytes| scan.config.byte_order.read(bytes))
    }
}

impl Field for u32 {
    const WIDTH: FieldWidth = FieldWidth::Number;

    #[inline]
    fn check(&self, _: &CodecConfig, _: Note) -> Result<usize, Problem> {
        Ok(4)
    }

    #[inline]
    fn put(&self, config: &CodecConfig, dst: &mut impl BufMut) {
        dst.put_slice(&config.byte_order.write(*self));
    }

    fn view(&self) -> Option<FieldRef<'_>> {
        Some(FieldRef::Number(*self))
    }
}

impl<'a> Make<'a> for u32 {
    fn make(field: Option<FieldRef<'a>>) -> Option<Self> {
        match field? {
            FieldRef::Number(number) => Some(number),
            _ => None,
        }
    }
}

impl<B, C> MapBytes<B, C> for u32 {
    type Out = Self;

    #[inline]
    fn map_bytes(self, _: &mut impl FnMut(B) -> C) -> Self {
        self
    }
}

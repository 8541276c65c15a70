//! Fields that have a grammar, each of at most so many bytes as it needs (D5).

use bytes::{BufMut, Bytes};
use nom::branch::alt;
use nom::bytes::complete::take_while_m_n;
use nom::character::complete::{char, one_of};
use nom::combinator::{all_consuming, map_opt, value};
use nom::sequence::terminated;
use nom::{IResult, Parser};

use crate::codec::{Scan, Stop};
use crate::message::table::{Field, FieldRef, FieldWidth, Make, MapBytes, Note, Problem, Read};
use crate::{CodecConfig, ContentError, ContentErrorKind};

/// What a field says that has a grammar. Bad content is delivered (D0), but never written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed<T, B = Bytes> {
    /// This.
    Valid(T),
    /// Nothing, as it may.
    Empty,
    /// Something else.
    Invalid {
        /// The bytes as they are.
        bytes: B,
        /// What is wrong with them.
        error: ContentError,
    },
}

impl<T: Copy, B> Parsed<T, B> {
    /// What it says; `None` if it is empty.
    ///
    /// # Errors
    /// It is invalid (D0).
    pub const fn get(&self) -> Result<Option<T>, ContentError> {
        match self {
            Self::Valid(value) => Ok(Some(*value)),
            Self::Empty => Ok(None),
            Self::Invalid { error, .. } => Err(*error),
        }
    }
}

impl<T, B> From<T> for Parsed<T, B> {
    fn from(value: T) -> Self {
        Self::Valid(value)
    }
}

impl<T, B> From<Option<T>> for Parsed<T, B> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Empty, Self::Valid)
    }
}

/// A grammar of such a field.
trait Grammar: Copy {
    const WIDTH: FieldWidth;
    /// The most bytes that it needs.
    const LIMIT: u16;
    const ERROR: ContentErrorKind;

    fn parse(input: &[u8]) -> IResult<&[u8], Self>;
    /// Bytes on the wire.
    fn len(self) -> usize;
    fn put(self, dst: &mut impl BufMut);
    fn view(self) -> FieldRef<'static>;
    fn make(field: FieldRef<'_>) -> Option<Self>;
}

/// What a field of these bytes says.
fn parsed<T: Grammar>(bytes: &[u8]) -> Parsed<T, &[u8]> {
    if bytes.is_empty() {
        return Parsed::Empty;
    }
    match all_consuming(T::parse).parse(bytes) {
        Ok((_, value)) => Parsed::Valid(value),
        Err(error) => {
            let rest = match error {
                nom::Err::Error(error) | nom::Err::Failure(error) => error.input.len(),
                nom::Err::Incomplete(_) => 0,
            };
            let offset = bytes.len().saturating_sub(rest);
            Parsed::Invalid { bytes, error: ContentError { kind: T::ERROR, offset } }
        }
    }
}

impl<'a, T: Grammar> Read<'a> for Parsed<T, &'a [u8]> {
    fn read<const RESUME: bool>(scan: &mut Scan<'a>) -> Result<Self, Stop> {
        scan.delimited::<RESUME, true>(T::LIMIT).map(parsed)
    }
}

impl<T: Grammar, B: AsRef<[u8]>> Field for Parsed<T, B> {
    const WIDTH: FieldWidth = T::WIDTH;

    fn check(&self, _: &CodecConfig, _: Note) -> Result<usize, Problem> {
        let value = self.get().map_err(Problem::Content)?;
        Ok(value.map_or(0, T::len))
    }

    fn put(&self, _: &CodecConfig, dst: &mut impl BufMut) {
        if let Self::Valid(value) = self {
            value.put(dst);
        }
    }

    fn view(&self) -> Option<FieldRef<'_>> {
        Some(match self {
            Self::Valid(value) => value.view(),
            Self::Empty => FieldRef::Text(""),
            Self::Invalid { bytes, .. } => FieldRef::Invalid(bytes.as_ref()),
        })
    }
}

impl<'a, T: Grammar> Make<'a> for Parsed<T, &'a [u8]> {
    fn make(field: Option<FieldRef<'a>>) -> Option<Self> {
        match field? {
            FieldRef::Text("") => Some(Self::Empty),
            FieldRef::Invalid(bytes) => Some(parsed(bytes)),
            other => T::make(other).map(Self::Valid),
        }
    }
}

impl<T, B, C> MapBytes<B, C> for Parsed<T, B> {
    type Out = Parsed<T, C>;

    fn map_bytes(self, f: &mut impl FnMut(B) -> C) -> Parsed<T, C> {
        match self {
            Self::Valid(value) => Parsed::Valid(value),
            Self::Empty => Parsed::Empty,
            Self::Invalid { bytes, error } => Parsed::Invalid { bytes: f(bytes), error },
        }
    }
}

/// So many digits, as a number.
fn digits(least: usize, most: usize) -> impl Fn(&[u8]) -> IResult<&[u8], u16> {
    move |input| {
        let (rest, digits) =
            take_while_m_n(least, most, |b: u8| b.is_ascii_digit()).parse(input)?;
        let add = |number: u16, digit: &u8| {
            number.saturating_mul(10).saturating_add(u16::from(digit & 0x0F))
        };
        Ok((rest, digits.iter().fold(0, add)))
    }
}

/// Two digits.
fn put_two(number: u8, dst: &mut impl BufMut) {
    dst.put_u8(b'0' | (number / 10 % 10));
    dst.put_u8(b'0' | (number % 10));
}

/// A gender, by its letter, or when read also by its number in the notes' list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Gender {
    /// `M`, or 1.
    Male,
    /// `F`, or 2.
    Female,
    /// `T`, or 3.
    Trans,
    /// `O`, or 4.
    Other,
    /// 5, which has no letter: written as it is.
    Mayo,
}

impl Gender {
    /// All of them, in the order of their numbers.
    pub const ALL: &[Self] = &[Self::Male, Self::Female, Self::Trans, Self::Other, Self::Mayo];

    /// Its name, in snake case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Male => "male",
            Self::Female => "female",
            Self::Trans => "trans",
            Self::Other => "other",
            Self::Mayo => "mayo",
        }
    }
}

impl Grammar for Gender {
    const WIDTH: FieldWidth = FieldWidth::Gender;
    const LIMIT: u16 = 1;
    const ERROR: ContentErrorKind = ContentErrorKind::NotAGender;

    fn parse(input: &[u8]) -> IResult<&[u8], Self> {
        alt((
            value(Self::Male, one_of("M\x01")),
            value(Self::Female, one_of("F\x02")),
            value(Self::Trans, one_of("T\x03")),
            value(Self::Other, one_of("O\x04")),
            value(Self::Mayo, char('\x05')),
        ))
        .parse(input)
    }

    fn len(self) -> usize {
        1
    }

    fn put(self, dst: &mut impl BufMut) {
        dst.put_u8(match self {
            Self::Male => b'M',
            Self::Female => b'F',
            Self::Trans => b'T',
            Self::Other => b'O',
            Self::Mayo => 0x05,
        });
    }

    fn view(self) -> FieldRef<'static> {
        FieldRef::Status(self.name())
    }

    fn make(field: FieldRef<'_>) -> Option<Self> {
        let FieldRef::Status(name) = field else { return None };
        Self::ALL.iter().copied().find(|gender| gender.name() == name)
    }
}

/// A day as `MM/DD/YY`; the century is anybody's guess.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Date {
    month: u8,
    day: u8,
    year: u8,
}

impl Date {
    /// A month, the day in it, and the last two digits of a year; `None` if no century has such a day.
    pub const fn new(month: u8, day: u8, year: u8) -> Option<Self> {
        let days = match month {
            1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
            4 | 6 | 9 | 11 => 30,
            2 if year % 4 == 0 => 29,
            2 => 28,
            _ => 0,
        };
        if day >= 1 && day <= days && year <= 99 { Some(Self { month, day, year }) } else { None }
    }

    /// 1 to 12.
    pub const fn month(self) -> u8 {
        self.month
    }

    /// 1 to 31.
    pub const fn day(self) -> u8 {
        self.day
    }

    /// 0 to 99.
    pub const fn year(self) -> u8 {
        self.year
    }
}

impl Grammar for Date {
    const WIDTH: FieldWidth = FieldWidth::Date;
    const LIMIT: u16 = 8;
    const ERROR: ContentErrorKind = ContentErrorKind::NotADate;

    fn parse(input: &[u8]) -> IResult<&[u8], Self> {
        let two = || map_opt(digits(2, 2), |number| u8::try_from(number).ok());
        let parts = (terminated(two(), char('/')), terminated(two(), char('/')), two());
        map_opt(parts, |(month, day, year)| Self::new(month, day, year)).parse(input)
    }

    fn len(self) -> usize {
        8
    }

    fn put(self, dst: &mut impl BufMut) {
        put_two(self.month, dst);
        dst.put_u8(b'/');
        put_two(self.day, dst);
        dst.put_u8(b'/');
        put_two(self.year, dst);
    }

    fn view(self) -> FieldRef<'static> {
        FieldRef::Date(self)
    }

    fn make(field: FieldRef<'_>) -> Option<Self> {
        match field {
            FieldRef::Date(date) => Some(date),
            _ => None,
        }
    }
}

/// `MM/DD/YY`.
impl core::fmt::Display for Date {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:02}/{:02}/{:02}", self.month, self.day, self.year)
    }
}

/// A number up to `MAX`, in decimal digits: a raw 0 or 255 would be a delimiter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UpTo<const MAX: u8>(u8);

impl<const MAX: u8> UpTo<MAX> {
    /// This number; `None` if it is larger.
    pub const fn new(number: u8) -> Option<Self> {
        if number <= MAX { Some(Self(number)) } else { None }
    }

    /// The number.
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl<const MAX: u8> Grammar for UpTo<MAX> {
    const WIDTH: FieldWidth = FieldWidth::Decimal { max: MAX };
    const LIMIT: u16 = 3;
    const ERROR: ContentErrorKind = ContentErrorKind::NotADecimal;

    fn parse(input: &[u8]) -> IResult<&[u8], Self> {
        map_opt(digits(1, 3), |number| Self::new(u8::try_from(number).ok()?)).parse(input)
    }

    fn len(self) -> usize {
        match self.0 {
            0..=9 => 1,
            10..=99 => 2,
            _ => 3,
        }
    }

    fn put(self, dst: &mut impl BufMut) {
        if self.0 > 99 {
            dst.put_u8(b'0' | (self.0 / 100));
        }
        if self.0 > 9 {
            put_two(self.0, dst);
        } else {
            dst.put_u8(b'0' | self.0);
        }
    }

    fn view(self) -> FieldRef<'static> {
        FieldRef::Number(self.0.into())
    }

    fn make(field: FieldRef<'_>) -> Option<Self> {
        match field {
            FieldRef::Number(number) => Self::new(u8::try_from(number).ok()?),
            _ => None,
        }
    }
}

/// How long a user is silenced or banned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct TimeSpan {
    /// 0 to 59.
    pub minutes: UpTo<59>,
    /// 0 to 23.
    pub hours: UpTo<23>,
    /// 0 to 30.
    pub days: UpTo<30>,
    /// 0 to 11.
    pub months: UpTo<11>,
    /// 0 to 255.
    pub years: UpTo<255>,
}

impl TimeSpan {
    const NONE: Self =
        Self { minutes: UpTo(0), hours: UpTo(0), days: UpTo(0), months: UpTo(0), years: UpTo(0) };
    /// Of a Silence that says nothing about it: 15 minutes.
    pub const SILENCE: Self = Self { minutes: UpTo(15), ..Self::NONE };
    /// Of a Ban that says nothing about it: 3 hours.
    pub const BAN: Self = Self { hours: UpTo(3), ..Self::NONE };
}

impl<'a> Read<'a> for u8 {
    fn read<const RESUME: bool>(scan: &mut Scan<'a>) -> Result<Self, Stop> {
        scan.fixed().map(|[byte]: [u8; 1]| byte)
    }
}

impl Field for u8 {
    const WIDTH: FieldWidth = FieldWidth::Byte;

    fn check(&self, _: &CodecConfig, _: Note) -> Result<usize, Problem> {
        Ok(1)
    }

    fn put(&self, _: &CodecConfig, dst: &mut impl BufMut) {
        dst.put_u8(*self);
    }

    fn view(&self) -> Option<FieldRef<'_>> {
        Some(FieldRef::Number((*self).into()))
    }
}

impl<'a> Make<'a> for u8 {
    fn make(field: Option<FieldRef<'a>>) -> Option<Self> {
        match field? {
            FieldRef::Number(number) => Self::try_from(number).ok(),
            _ => None,
        }
    }
}

impl<B, C> MapBytes<B, C> for u8 {
    type Out = Self;

    fn map_bytes(self, _: &mut impl FnMut(B) -> C) -> Self {
        self
    }
}

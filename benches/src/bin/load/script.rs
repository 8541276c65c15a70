use anyhow::{Context, ensure};

const BEFORE: &[u8] = br#"{"kind":"set","variable":"x","value":""#;
const DIGITS: usize = 10;
const AFTER: &[u8] = br#""}"#;

/// How long a set is: its value is its number.
pub(crate) const MESSAGE: usize = BEFORE.len() + DIGITS + AFTER.len();

/// And a line break.
const LINE: usize = MESSAGE + 1;

/// The set of this number, and a line break.
pub(crate) fn line(number: u64) -> [u8; LINE] {
    let mut line = [b'\n'; LINE];
    let digits = format!("{number:010}");
    for (to, from) in line.iter_mut().zip(BEFORE.iter().chain(digits.as_bytes()).chain(AFTER)) {
        *to = *from;
    }
    line
}

/// The number of a set.
pub(crate) fn number(text: &[u8]) -> anyhow::Result<u64> {
    let digits = text.strip_prefix(BEFORE).and_then(|rest| rest.strip_suffix(AFTER));
    let digits = digits.with_context(|| format!("not ours: {}", text.escape_ascii()))?;
    ensure!(digits.len() == DIGITS, "not ours: {}", text.escape_ascii());
    Ok(str::from_utf8(digits)?.parse()?)
}

/// All that anybody may have yet to hear, as it goes over the wire in one batch.
#[derive(Debug)]
pub(crate) struct Script {
    ring: Vec<u8>,
    lines: u64,
    /// The number of the next set.
    next: u64,
}

impl Script {
    /// Remembers so many sets.
    pub(crate) fn new(lines: u32) -> Self {
        Self { ring: vec![0; lines as usize * LINE], lines: lines.into(), next: 1 }
    }

    /// How many sets there are.
    pub(crate) fn len(&self) -> u64 {
        self.next - 1
    }

    /// Makes the next set.
    pub(crate) fn next(&mut self) -> [u8; LINE] {
        let line = line(self.next);
        let at = self.position(self.next, 0);
        self.ring[at..at + LINE].copy_from_slice(&line);
        self.next += 1;
        line
    }

    fn position(&self, number: u64, at: usize) -> usize {
        usize::try_from(number % self.lines).unwrap_or(0) * LINE + at
    }

    /// Goes on by these bytes, if they are what comes after so many bytes of this set.
    pub(crate) fn follow(
        &self,
        number: &mut u64,
        at: &mut usize,
        mut bytes: &[u8],
    ) -> anyhow::Result<()> {
        while !bytes.is_empty() {
            let position = self.position(*number, *at);
            let (now, later) = bytes.split_at(bytes.len().min(self.ring.len() - position));
            ensure!(
                now == &self.ring[position..position + now.len()],
                "set {number} comes next, not {}",
                now[..now.len().min(2 * LINE)].escape_ascii()
            );
            let lines = (*at + now.len()) / LINE;
            *number += lines as u64;
            *at = (*at + now.len()) % LINE;
            bytes = later;
        }
        ensure!(*number <= self.next, "set {number} comes before it was sent");
        Ok(())
    }
}

//! The rules of a small bingo game, and what its players and its server tell each other in the
//! opaque payloads of the protocol. No I/O.

use std::collections::BTreeMap;
use std::fmt;

use bingo_proto::{from_json, to_json};
use serde::{Deserialize, Serialize};

/// What a player asks the server, in a Request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Ask {
    /// To have a cell; acknowledged, or refused with a text to show.
    Claim {
        /// Counted from 0.
        cell: usize,
    },
    /// Who plays; answered with a list of names.
    Players,
}

/// What the server asks a player's plugin, in a Request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Question {
    /// How long the player has played the map; answered with a [`MapTime`].
    MapTime,
}

/// The answer to [`Question::MapTime`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MapTime {
    /// In milliseconds.
    pub map_time_ms: u64,
}

/// What a player tells the server, in an Event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Say {
    /// To be told to everyone.
    pub say: String,
}

/// What the server tells every player, in an Event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "news", rename_all = "snake_case")]
pub enum News {
    /// A player came.
    Joined {
        /// The player.
        who: String,
    },
    /// A player went.
    Left {
        /// The player.
        who: String,
    },
    /// A player said something.
    Said {
        /// The player.
        who: String,
        /// What.
        text: String,
    },
    /// A player has a whole row.
    Bingo {
        /// The player.
        who: String,
        /// Counted from 0.
        row: usize,
        /// What the player's plugin says, if it does.
        map_time_ms: Option<u64>,
    },
}

/// Network variables, in a DataUpdate: all of them for a newcomer, then those that change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variables {
    /// Number of cells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<usize>,
    /// Whose a cell is.
    #[serde(default)]
    pub cells: BTreeMap<usize, String>,
}

impl Variables {
    /// Takes over what has changed.
    pub fn update(&mut self, changes: Self) {
        self.size = changes.size.or(self.size);
        self.cells.extend(changes.cells);
    }
}

/// The cells of a room, in rows of one width, and whose they are.
#[derive(Debug, Clone)]
pub struct Board {
    cells: Vec<Option<String>>,
}

/// Why a cell can't be had; the text is for the player.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimError {
    /// There is no such cell.
    OutOfRange {
        /// The cells that there are.
        cells: usize,
    },
    /// Somebody has it.
    Taken {
        /// Who.
        by: String,
    },
}

impl fmt::Display for ClaimError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfRange { cells } => write!(f, "there are only {cells} cells"),
            Self::Taken { by } => write!(f, "{by} has that cell"),
        }
    }
}

impl std::error::Error for ClaimError {}

impl Board {
    /// A board on which nothing is claimed.
    pub fn new(cells: usize) -> Self {
        Self { cells: vec![None; cells] }
    }

    /// How many cells it has.
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    /// Whether it has no cells at all.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// Gives `cell` to `who`; tells which row is theirs now, if that completes one.
    ///
    /// # Errors
    /// There is no such cell, or somebody has it.
    pub fn claim(&mut self, cell: usize, who: &str) -> Result<Option<usize>, ClaimError> {
        let cells = self.cells.len();
        match self.cells.get_mut(cell) {
            None => return Err(ClaimError::OutOfRange { cells }),
            Some(Some(by)) => return Err(ClaimError::Taken { by: by.clone() }),
            Some(free) => *free = Some(who.to_owned()),
        }
        let width = cells.isqrt();
        let row = cell / width;
        let mut cells_of_row = self.cells.iter().skip(row * width).take(width);
        let is_theirs = cells_of_row.all(|cell| cell.as_deref() == Some(who));
        Ok(is_theirs.then_some(row))
    }

    /// Does what the JSON of an [`Ask::Claim`] asks for; gives the JSON of what everyone is to know.
    ///
    /// # Errors
    /// It can't be had, or understood; the text is for the player.
    pub fn claim_json(&mut self, ask: &[u8], who: &str) -> Result<Vec<u8>, String> {
        let Ok(Ask::Claim { cell }) = from_json(ask) else {
            return Err("can't understand".into());
        };
        self.claim(cell, who).map_err(|error| error.to_string())?;
        let cells = BTreeMap::from([(cell, who.to_owned())]);
        Ok(to_json(&Variables { size: None, cells }).unwrap_or_default())
    }

    /// All network variables.
    pub fn variables(&self) -> Variables {
        let cells = self.cells.iter().enumerate();
        let claimed = cells.filter_map(|(cell, who)| Some((cell, who.clone()?)));
        Variables { size: Some(self.cells.len()), cells: claimed.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_had_once() {
        let mut board = Board::new(9);
        assert_eq!(board.claim(7, "Ada"), Ok(None));
        assert_eq!(board.claim(7, "Ben"), Err(ClaimError::Taken { by: "Ada".into() }));
        assert_eq!(board.claim(7, "Ada"), Err(ClaimError::Taken { by: "Ada".into() }));
        assert_eq!(board.claim(9, "Ada"), Err(ClaimError::OutOfRange { cells: 9 }));
        assert_eq!(board.variables().cells, BTreeMap::from([(7, "Ada".into())]));
    }

    #[test]
    fn a_row_of_ones_own_is_bingo() {
        let mut board = Board::new(9);
        assert_eq!(board.claim(5, "Ada"), Ok(None));
        assert_eq!(board.claim(4, "Ada"), Ok(None));
        assert_eq!(board.claim(3, "Ada"), Ok(Some(1)));
        assert_eq!(board.claim(0, "Ada"), Ok(None));
        assert_eq!(board.claim(1, "Ben"), Ok(None));
        assert_eq!(board.claim(2, "Ada"), Ok(None));
        assert_eq!(Board::new(1).claim(0, "Ada"), Ok(Some(0)));
        assert_eq!(Board::new(0).claim(0, "Ada"), Err(ClaimError::OutOfRange { cells: 0 }));
    }

    #[test]
    fn a_claim_as_json() {
        let mut board = Board::new(9);
        let ask = br#"{"ask":"claim","cell":7}"#;
        assert_eq!(board.claim_json(ask, "Ada").unwrap(), br#"{"cells":{"7":"Ada"}}"#);
        assert_eq!(board.claim_json(ask, "Ben").unwrap_err(), "Ada has that cell");
        assert_eq!(board.claim_json(b"7", "Ben").unwrap_err(), "can't understand");
    }

    #[test]
    fn the_last_row_may_be_short() {
        let mut board = Board::new(5);
        assert_eq!(board.claim(4, "Ada"), Ok(Some(2)));
    }

    #[test]
    fn variables_travel_as_json() {
        let mut board = Board::new(4);
        board.claim(3, "Ada").unwrap();
        let json = serde_json::to_string(&board.variables()).unwrap();
        assert_eq!(json, r#"{"size":4,"cells":{"3":"Ada"}}"#);
        let mut seen: Variables = serde_json::from_str(&json).unwrap();
        seen.update(serde_json::from_str(r#"{"cells":{"0":"Ben"}}"#).unwrap());
        assert_eq!(seen.size, Some(4));
        assert_eq!(seen.cells, BTreeMap::from([(0, "Ben".into()), (3, "Ada".into())]));
    }
}

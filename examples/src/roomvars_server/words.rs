//! What the server doesn't like to hear.

use std::collections::BTreeSet;

use roomvars_proto::{Author, Policy, ValueRef};

/// Words that no username and no value may have in it, whatever their case.
#[derive(Debug, Clone, Default)]
pub struct Words(BTreeSet<String>);

impl Words {
    /// Adds those of a file: one on each line, but for what follows a `#`.
    pub fn add_file(&mut self, text: &str) {
        self.extend(text.lines().map(|line| line.split('#').next().unwrap_or_default()));
    }

    fn accept(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        !self.0.iter().any(|word| text.contains(word))
    }
}

impl<T: AsRef<str>> FromIterator<T> for Words {
    fn from_iter<I: IntoIterator<Item = T>>(words: I) -> Self {
        let mut all = Self::default();
        all.extend(words);
        all
    }
}

impl<T: AsRef<str>> Extend<T> for Words {
    fn extend<I: IntoIterator<Item = T>>(&mut self, words: I) {
        let words = words.into_iter().map(|word| word.as_ref().trim().to_lowercase());
        self.0.extend(words.filter(|word| !word.is_empty()));
    }
}

impl Policy for Words {
    fn accepts_username(&mut self, author: Author<'_>) -> bool {
        self.accept(author.username)
    }

    fn accepts_value(&mut self, _: Author<'_>, _: &str, value: &ValueRef<'_>) -> bool {
        self.accept(value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_words_is_read() {
        let mut words = Words::default();
        words.add_file("# what nobody says\n\nRude \r\ntwo words # really\n");
        words.extend(["  ÄRGER ", ""]);
        for said in ["how RUDE!", "in Two Words", "kein Ärger"] {
            assert!(!words.accept(said), "{said}");
        }
        for said in ["", "ru de", "really", "what nobody says"] {
            assert!(words.accept(said), "{said}");
        }
    }
}

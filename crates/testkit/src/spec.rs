//! Whether every number of a `SPEC.md` is named by a test.

use std::collections::BTreeSet;
use std::path::Path;
use std::{fs, io};

/// The numbers of a spec: decisions as `b7`, for `**B7`, and steps of its conversation as `step4`,
/// for a line that begins `4.`.
pub fn numbers(spec: &str) -> BTreeSet<String> {
    let decisions = spec.split("**").skip(1).filter_map(|bold| {
        let number: String = bold.chars().take_while(char::is_ascii_alphanumeric).collect();
        let (letter, digits) = number.split_at_checked(1)?;
        (letter.chars().all(|c| c.is_ascii_uppercase())
            && !digits.is_empty()
            && digits.chars().all(|c| c.is_ascii_digit()))
        .then(|| number.to_lowercase())
    });
    let steps = spec.lines().filter_map(|line| {
        let (digits, _) = line.split_once(". ")?;
        (!digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit()))
            .then(|| format!("step{digits}"))
    });
    decisions.chain(steps).collect()
}

/// The numbers that the tests in this source name, in a test's name or the comments that stand
/// between `#[test]` and its first statement.
pub fn named(source: &str) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    let mut in_head = false;
    for line in source.lines().map(str::trim) {
        if line == "#[test]" || line.starts_with("#[tokio::test") {
            in_head = true;
        } else if in_head {
            let is_name = line.starts_with("fn ") || line.starts_with("async fn ");
            let is_comment = line.starts_with("//");
            if is_name || is_comment {
                named.extend(
                    line.split(|c: char| !c.is_ascii_alphanumeric()).map(str::to_lowercase),
                );
            }
            in_head = is_name || is_comment || line.starts_with("#[");
        }
    }
    named
}

/// The numbers of a crate's `SPEC.md` that no test in its `src` or `tests` names.
///
/// # Errors
/// The crate's files can't be read.
pub fn unnamed(crate_dir: &Path) -> io::Result<BTreeSet<String>> {
    let mut missing = numbers(&fs::read_to_string(crate_dir.join("SPEC.md"))?);
    let mut dirs = vec![crate_dir.join("src"), crate_dir.join("tests")];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let found = named(&fs::read_to_string(path)?);
                missing.retain(|number| !found.contains(number));
            }
        }
    }
    Ok(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found() {
        let spec =
            "- **B1 byte order.** x\n- **B10.** y **bold** **D**\n1. Client\n12. Server\n1.5";
        let expected = ["b1", "b10", "step1", "step12"];
        assert_eq!(numbers(spec), expected.map(String::from).into());
    }

    #[test]
    fn only_names_and_first_comments_of_tests_count() {
        let source = "// B1\n#[test]\nfn b2_x() {\n    // B3, step4: y\n    let a = 1;\n    // B5\n}\nfn b6() {}";
        let found = named(source);
        assert!(["b2", "b3", "step4"].iter().all(|n| found.contains(*n)), "{found:?}");
        assert!(["b1", "b5", "b6"].iter().all(|n| !found.contains(*n)), "{found:?}");
    }
}

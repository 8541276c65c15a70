//! Every number of every `SPEC.md` is named by a test.

use std::fs;
use std::path::Path;

#[test]
fn every_number_of_every_spec_is_named_by_a_test() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut specs = 0;
    for entry in fs::read_dir(crates).unwrap() {
        let dir = entry.unwrap().path();
        if !dir.join("SPEC.md").exists() {
            continue;
        }
        specs += 1;
        let spec = fs::read_to_string(dir.join("SPEC.md")).unwrap();
        assert!(testkit::spec::numbers(&spec).len() > 5, "{}: no numbers", dir.display());
        let unnamed = testkit::spec::unnamed(&dir).unwrap();
        assert!(unnamed.is_empty(), "{}: no test names {unnamed:?}", dir.display());
    }
    assert!(specs >= 1);
}

//! Replays the corpora of all fuzz targets.

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

#[test]
fn every_file_of_every_corpus_passes_its_target() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    let mut failed = Vec::new();
    for target in testkit::fuzz::targets() {
        let dir = corpora.join(target.name);
        let files = fs::read_dir(&dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
        let mut replayed = 0;
        for file in files {
            let path = file.unwrap().path();
            let bytes = fs::read(&path).unwrap();
            if catch_unwind(|| (target.run)(&bytes)).is_err() {
                failed.push(path);
            }
            replayed += 1;
        }
        assert!(replayed > 0, "{}: no corpus", dir.display());
    }
    assert!(failed.is_empty(), "failed: {failed:#?}");
}

#[test]
fn every_target_has_a_program_and_every_seed_is_committed() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
    for target in testkit::fuzz::targets() {
        let program = fuzz.join("fuzz_targets").join(target.name).with_extension("rs");
        assert!(program.exists(), "{} is missing", program.display());
        for (name, bytes) in (target.seeds)() {
            let path = fuzz.join("corpus").join(target.name).join(name);
            assert!(fs::read(&path).is_ok_and(|b| b == bytes), "{}: seed anew", path.display());
        }
    }
}

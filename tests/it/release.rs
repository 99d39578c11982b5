//! The file that ships.

use std::{env, path::PathBuf, process::Command};

/// The release binary that `tests/run` has built.
fn release_binary() -> PathBuf {
    env::var_os("PILOTHOUSE_BINARY").map(PathBuf::from).expect(
        "PILOTHOUSE_BINARY must name the release binary: run `tests/run it`, which builds it and sets the variable",
    )
}

#[test]
fn the_release_is_one_static_pie_file() {
    let bytes = std::fs::read(release_binary()).expect("the release binary can be read");
    let header = |at: usize, len: usize| -> u64 {
        let mut word = [0_u8; 8];
        word[..len].copy_from_slice(&bytes[at..at + len]);
        u64::from_le_bytes(word)
    };
    assert_eq!(&bytes[..4], b"\x7fELF");
    // e_type ET_DYN: position independent.
    assert_eq!(header(16, 2), 3, "the release must be position independent");
    let (table, size, count) = (header(32, 8), header(54, 2), header(56, 2));
    for entry in 0..count {
        let at = usize::try_from(table + entry * size).expect("a program header lies in the file");
        // PT_INTERP names a dynamic linker: an image without one could not start the file.
        assert_ne!(header(at, 4), 3, "the release must need no dynamic linker: build it with +crt-static");
    }
}

#[test]
fn an_unknown_flag_is_one_clear_sentence_on_stderr() {
    let ended =
        Command::new(release_binary()).args(["serve", "--htpp", "127.0.0.1:0"]).output().expect("it runs");
    assert!(!ended.status.success());
    assert!(ended.stdout.is_empty(), "stdout belongs to the protocol");
    let message = String::from_utf8_lossy(&ended.stderr);
    assert!(message.contains("--htpp") && message.contains("--http"), "{message}");
}

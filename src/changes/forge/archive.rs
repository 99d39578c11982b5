//! A commit as the `tar.gz` that a forge makes of it.

use std::{
    collections::BTreeMap,
    io::{Error, Read},
};

use flate2::read::GzDecoder;
use tar::Archive;

use super::gathering::{Gathering, is_wanted};

/// Of what is read unpacked, pictures and all; what is beyond is an error. Bytes.
const LARGEST: u64 = 1 << 30;

/// The text files by path, without the folder that the archive puts around them.
///
/// # Errors
/// What is wrong with it, to follow "the repository's archive".
pub(super) fn files(packed: &[u8]) -> Result<BTreeMap<String, String>, String> {
    let broken = |error: Error| format!("cannot be unpacked ({error})");
    // A reader that ends early makes the archive end in the middle, which is an error then.
    let mut archive = Archive::new(GzDecoder::new(packed).take(LARGEST));
    let mut all = Gathering::default();
    for entry in archive.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path = String::from_utf8(entry.path_bytes().into_owned());
        let Some((_, path)) = path.as_ref().ok().and_then(|path| path.split_once('/')) else { continue };
        if !is_wanted(path, entry.size()) {
            continue;
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(broken)?;
        all.add(path, bytes)?;
    }
    Ok(all.files())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};
    use tar::{Builder, EntryType, Header};

    fn packed(files: &[(&str, EntryType, &[u8])]) -> Vec<u8> {
        let mut archive = Builder::new(Vec::new());
        for (path, kind, bytes) in files {
            let mut header = Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_entry_type(*kind);
            header.set_mode(0o644);
            if *kind == EntryType::Symlink {
                header.set_link_name("x").unwrap();
            }
            archive.append_data(&mut header, path, *bytes).unwrap();
        }
        let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
        gz.write_all(&archive.into_inner().unwrap()).unwrap();
        gz.finish().unwrap()
    }

    #[test]
    fn files_come_without_the_folder_around_them() {
        let all = packed(&[
            ("deploy/", EntryType::Directory, b""),
            ("deploy/a.yaml", EntryType::Regular, b"x: 1\n"),
            ("deploy/chart/templates/b.yaml", EntryType::Regular, b"{{ .x }}\n"),
            ("deploy/link.yaml", EntryType::Symlink, b""),
            ("deploy/logo.png", EntryType::Regular, b"png"),
        ]);
        let files = super::files(&all).unwrap();
        assert_eq!(files.keys().collect::<Vec<_>>(), ["a.yaml", "chart/templates/b.yaml"]);
        assert_eq!(files["a.yaml"], "x: 1\n");
    }

    #[test]
    fn half_an_archive_is_none() {
        let all = packed(&[("deploy/a.yaml", EntryType::Regular, &[b'x'; 3000])]);
        for half in [&all[..all.len() / 2], b"<html>"] {
            assert!(super::files(half).unwrap_err().contains("cannot be unpacked"));
        }
    }
}

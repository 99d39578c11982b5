//! How pilothouse is given a repository at a forge.

use std::{fs, sync::Arc};

use pilothouse::changes::{
    ChangesConfig,
    forge::{self, Forge},
};
use tempfile::TempDir;

/// The repository at `url` of a forge of this type; a request may take so many seconds. The folder must be kept.
pub(crate) fn connect(url: &str, token: &str, software: &str, seconds: u64) -> (Arc<dyn Forge>, TempDir) {
    connect_by(url, token, &format!("type: {software}, timeoutSeconds: {seconds}"))
}

/// As [`connect`], with what stands under `forge`.
pub(crate) fn connect_by(url: &str, token: &str, forge: &str) -> (Arc<dyn Forge>, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    fs::write(&file, token).unwrap();
    let yaml = format!(
        "repositories: [{{name: deploy, url: '{url}', tokenFile: '{}', forge: {{{forge}}}}}]",
        file.display()
    );
    let config: ChangesConfig = serde_saphyr::from_str(&yaml).unwrap();
    let repository = config.checked().unwrap().remove(0);
    (forge::connect(&repository, folder.path()).unwrap(), folder)
}

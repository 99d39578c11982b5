//! `pilothouse bridge --install`: puts this very program into another container's reach.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

#[derive(Debug, thiserror::Error)]
#[error("the program cannot be copied to {destination} ({reason}): is its folder there and writable?")]
pub struct InstallError {
    destination: PathBuf,
    reason: io::Error,
}

/// Copies the running program to `destination`, mode 755, in one step: a reader sees the old file, none, or the
/// whole new one.
///
/// # Errors
/// When the folder is missing, full or not writable.
pub fn install(destination: &Path) -> Result<(), InstallError> {
    let failed = |reason| InstallError { destination: destination.to_owned(), reason };
    let mut name = destination.as_os_str().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = PathBuf::from(name);
    let copied = fs::copy("/proc/self/exe", &temporary)
        .and_then(|_| fs::set_permissions(&temporary, fs::Permissions::from_mode(0o755)))
        .and_then(|()| fs::rename(&temporary, destination));
    copied.map_err(|reason| {
        if let Err(error) = fs::remove_file(&temporary)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(file = %temporary.display(), %error, "half a copy stays behind");
        }
        failed(reason)
    })
}

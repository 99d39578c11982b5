//! Finding the server's command before anything is served, so that Kubernetes shows why a pod does not start.

use std::{
    ffi::{OsStr, OsString},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

#[derive(Debug, thiserror::Error)]
pub(super) enum CommandError {
    #[error("command {0:?} does not exist in this image{1}: correct the server's command")]
    NotFound(OsString, &'static str),
    #[error("command {0:?} is not an executable file: make it executable or name its interpreter")]
    NotExecutable(OsString),
}

impl CommandError {
    /// As a shell has it.
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::NotFound(..) => 127,
            Self::NotExecutable(_) => 126,
        }
    }
}

/// The program that `name` means: itself when it has a slash, else the first executable in `PATH`.
pub(super) fn find(name: &OsStr) -> Result<PathBuf, CommandError> {
    find_in(name, &std::env::var_os("PATH").unwrap_or_default())
}

fn find_in(name: &OsStr, path: &OsStr) -> Result<PathBuf, CommandError> {
    if name.as_encoded_bytes().contains(&b'/') {
        let file = PathBuf::from(name);
        return match kind(&file) {
            Kind::Executable => Ok(file),
            Kind::Other => Err(CommandError::NotExecutable(name.to_owned())),
            Kind::Missing => Err(CommandError::NotFound(name.to_owned(), "")),
        };
    }
    let mut found_other = false;
    for folder in std::env::split_paths(path) {
        let file = folder.join(name);
        match kind(&file) {
            Kind::Executable => return Ok(file),
            Kind::Other => found_other = true,
            Kind::Missing => {}
        }
    }
    Err(if found_other && !name.is_empty() {
        CommandError::NotExecutable(name.to_owned())
    } else {
        CommandError::NotFound(name.to_owned(), " (looked through PATH)")
    })
}

enum Kind {
    Executable,
    Other,
    Missing,
}

fn kind(file: &Path) -> Kind {
    match std::fs::metadata(file) {
        Ok(data) if data.is_file() && data.permissions().mode() & 0o111 != 0 => Kind::Executable,
        Ok(_) => Kind::Other,
        Err(_) => Kind::Missing,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::{ffi::OsStr, fs, os::unix::fs::PermissionsExt};

    use super::find_in;

    #[test]
    fn a_command_is_found_missing_or_not_executable() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tool");
        fs::write(&file, "#!/bin/sh\n").unwrap();
        let path = folder.path().as_os_str();

        assert_eq!(find_in(OsStr::new("tool"), path).unwrap_err().exit_code(), 126);
        assert_eq!(find_in(file.as_os_str(), path).unwrap_err().exit_code(), 126);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(find_in(OsStr::new("tool"), path).unwrap(), file);
        assert_eq!(find_in(OsStr::new("other"), path).unwrap_err().exit_code(), 127);
        assert_eq!(find_in(OsStr::new("/no/such/tool"), path).unwrap_err().exit_code(), 127);
    }
}

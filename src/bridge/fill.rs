//! `pilothouse bridge --fill`: credentials into a file, from environment variables that the kubelet has set.

use std::{
    env, fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use crate::api::variables::{self, PREFIX};

#[derive(Debug, thiserror::Error)]
pub enum FillError {
    #[error("the template {file} cannot be read ({reason}): is its ConfigMap mounted?")]
    Read { file: PathBuf, reason: io::Error },
    #[error("the file {file} cannot be written ({reason}): is its folder there and writable?")]
    Write { file: PathBuf, reason: io::Error },
    #[error("the variable {0} is not UTF-8 text: correct the Secret that it comes from")]
    NotText(String),
}

/// Writes `into` as `template` is, with `${NAME}` replaced wherever the environment holds a value for it. Values
/// are written as the inside of a double-quoted string. Whoever is in the pod may read the file.
///
/// # Errors
/// When a file cannot be read or written, or a value is no text.
pub fn fill(template: &Path, into: &Path) -> Result<(), FillError> {
    let text = fs::read_to_string(template)
        .map_err(|reason| FillError::Read { file: template.to_owned(), reason })?;
    let filled = variables::fill(&text, |name| match env::var(format!("{PREFIX}{name}")) {
        Ok(value) => Ok(Some(value)),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => Err(FillError::NotText(name.to_owned())),
    })?;
    // In one step, since it runs again when the pod is started again, over a file that nobody may write to.
    let mut temporary = into.as_os_str().to_owned();
    temporary.push(format!(".{}.tmp", std::process::id()));
    let temporary = PathBuf::from(temporary);
    let written = fs::write(&temporary, filled)
        .and_then(|()| fs::set_permissions(&temporary, fs::Permissions::from_mode(0o444)))
        .and_then(|()| fs::rename(&temporary, into));
    written.map_err(|reason| FillError::Write { file: into.to_owned(), reason })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::{fs, os::unix::fs::PermissionsExt};

    use super::fill;

    #[test]
    fn the_environment_itself_is_not_referred_to() {
        let folder = tempfile::tempdir().unwrap();
        let (template, into) = (folder.path().join("template"), folder.path().join("filled"));
        fs::write(&template, "path = \"${PATH}\"").unwrap();
        fill(&template, &into).unwrap();
        assert_eq!(fs::read_to_string(&into).unwrap(), "path = \"${PATH}\"");
        assert_eq!(fs::metadata(&into).unwrap().permissions().mode() & 0o777, 0o444);
    }

    #[test]
    fn what_is_missing_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = fill(&folder.path().join("none"), &folder.path().join("filled")).unwrap_err();
        assert!(error.to_string().contains("none cannot be read"), "{error}");
    }
}

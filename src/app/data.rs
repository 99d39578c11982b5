//! Where what must outlive the process is kept.

use std::path::PathBuf;

use anyhow::{Context, bail};

/// The folder that was asked for, or this user's own; made where it is missing.
///
/// # Errors
/// When no folder was asked for and the user has no home, or it cannot be made.
pub(super) fn folder(asked: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    let folder = match asked {
        Some(folder) => folder,
        None => match own(std::env::var_os("XDG_STATE_HOME"), std::env::var_os("HOME")) {
            Some(folder) => folder,
            None => bail!("there is no home folder to keep the audit record in: name a folder with --data"),
        },
    };
    std::fs::create_dir_all(&folder).with_context(|| {
        format!("the data folder {} cannot be made: name another with --data", folder.display())
    })?;
    Ok(folder)
}

fn own(state: Option<std::ffi::OsString>, home: Option<std::ffi::OsString>) -> Option<PathBuf> {
    let absolute = |path: std::ffi::OsString| Some(PathBuf::from(path)).filter(|path| path.is_absolute());
    let state = state.and_then(absolute).or_else(|| Some(home.and_then(absolute)?.join(".local/state")))?;
    Some(state.join("pilothouse"))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::own;

    #[test]
    fn the_state_folder_goes_before_home() {
        let chosen = own(Some("/s".into()), Some("/h".into()));
        assert_eq!(chosen, Some(PathBuf::from("/s/pilothouse")));
    }

    #[test]
    fn without_a_state_folder_it_is_below_home() {
        assert_eq!(own(None, Some("/h".into())), Some(PathBuf::from("/h/.local/state/pilothouse")));
    }

    #[test]
    fn nowhere_is_none() {
        assert_eq!(own(None, None), None);
    }
}

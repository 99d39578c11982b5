//! Names as clients see them: `prefix_tool`, never longer than what clients take.

use super::{downstream::Prefix, observation::digest};

/// Clients put a prefix of their own before a name and stop at 60 or 64 characters.
pub(super) const LONGEST: usize = 46;

/// What stands for the cut end of a name.
const MARK: usize = 8;

/// The name clients use for `original`. Names that are too long keep their beginning and end in 8 hex digits
/// of the SHA-256 of the whole: the same name gives the same one on every replica and after every start.
pub(super) fn shown(prefix: &Prefix, original: &str) -> String {
    let whole = match prefix.as_str() {
        "" => original.to_owned(),
        prefix => format!("{prefix}_{original}"),
    };
    if whole.chars().count() <= LONGEST {
        return whole;
    }
    let kept: String = whole.chars().take(LONGEST - MARK - 1).collect();
    format!("{kept}_{}", digest(whole.as_bytes()).split_at(MARK).0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{LONGEST, shown};
    use crate::gateway::Prefix;

    fn prefix(text: &str) -> Prefix {
        Prefix::parse(text).unwrap()
    }

    #[test]
    fn a_short_name_gets_its_prefix() {
        assert_eq!(shown(&prefix("git"), "log"), "git_log");
        assert_eq!(shown(&prefix(""), "log"), "log");
    }

    #[test]
    fn a_name_of_exactly_46_characters_stays() {
        let tool = "a".repeat(LONGEST - 4);
        assert_eq!(shown(&prefix("git"), &tool), format!("git_{tool}"));
    }

    #[test]
    fn a_longer_name_is_cut_to_46_characters_and_is_always_the_same() {
        let tool = "get_the_very_long_description_of_a_repository_and_more";
        let name = shown(&prefix("git"), tool);
        assert_eq!(name.len(), LONGEST);
        assert!(name.starts_with("git_get_the_very_long_description_of_"));
        assert_eq!(name, shown(&prefix("git"), tool));
    }

    #[test]
    fn two_long_names_with_the_same_beginning_stay_apart() {
        let (one, two) = (format!("{}one", "a".repeat(60)), format!("{}two", "a".repeat(60)));
        assert_ne!(shown(&prefix("git"), &one), shown(&prefix("git"), &two));
        assert_ne!(shown(&prefix("git"), &one), shown(&prefix("hub"), &one));
    }

    #[test]
    fn characters_are_counted_not_bytes() {
        let name = shown(&prefix(""), &"ä".repeat(60));
        assert_eq!(name.chars().count(), LONGEST);
    }
}

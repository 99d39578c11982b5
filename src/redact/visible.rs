//! Characters that a person does not see but a terminal or a model obeys.

use std::{borrow::Cow, sync::LazyLock};

use regex::Regex;

/// Escape sequences of terminals; then control characters but tab and line end, and characters that are
/// invisible or turn the reading direction.
static UNSEEN: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(concat!(
        r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b.?",
        r"|[\x00-\x08\x0b-\x1f\x7f-\u{9f}\u{ad}\u{61c}\u{180e}\u{200b}-\u{200f}\u{2028}-\u{202e}\u{2060}-\u{206f}",
        r"\u{fe00}-\u{fe0f}\u{feff}\u{fff9}-\u{fffb}\u{e0000}-\u{e0fff}]"
    ))
    .ok()
});

/// `text` without control and invisible characters and terminal sequences.
pub fn visible(text: &str) -> Cow<'_, str> {
    match UNSEEN.as_ref() {
        Some(unseen) => unseen.replace_all(text, ""),
        None => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::{UNSEEN, visible};

    #[test]
    fn what_cannot_be_seen_is_gone() {
        assert!(UNSEEN.is_some());
        assert_eq!(visible("a\u{1b}[31mred\u{1b}[0m b\r\n\tc"), "ared b\n\tc");
        assert_eq!(visible("i\u{200b}gno\u{202e}re\u{e0041}\u{0}"), "ignore");
        assert_eq!(visible("größe 日本 🎉"), "größe 日本 🎉");
    }
}

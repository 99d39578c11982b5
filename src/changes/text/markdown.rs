//! Foreign text inside of Markdown, in its place. Pure.

use std::borrow::Cow;

use crate::{changes::shown, redact};

/// As plain words: without secrets, and tame.
pub(super) fn words(text: &str) -> String {
    tame(&shown::in_words(&redact::shown(text)))
}

/// Mentions and references to issues are broken up, so that no forge acts on them, wherever they stand. Forges look
/// for them in the raw text, in commits too.
pub(super) fn tame(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut before: Option<char> = None;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        out.push(c);
        let next = rest.peek().copied();
        let in_word = before.is_some_and(|before| before.is_alphanumeric());
        let breaks = match c {
            '@' => !in_word && next.is_some_and(|next| next.is_alphanumeric() || next == '_'),
            // `#12`, GitLab's `!12`, `&12`, `~label`.
            '#' | '!' | '&' => next.is_some_and(|next| next.is_ascii_digit()),
            _ => false,
        };
        if breaks {
            out.push(' ');
        }
        before = Some(c);
    }
    unlinked(&out).into_owned()
}

/// Addresses of issues close them as well, and so does GitHub's `GH-12`.
fn unlinked(text: &str) -> Cow<'_, str> {
    const PARTS: [(&str, &str); 5] = [
        ("/issues/", "/issues /"),
        ("/pull/", "/pull /"),
        ("/merge_requests/", "/merge_requests /"),
        ("GH-", "GH "),
        ("gh-", "gh "),
    ];
    PARTS.iter().fold(Cow::Borrowed(text), |text, (part, broken)| {
        if text.contains(part) { Cow::Owned(text.replace(part, broken)) } else { text }
    })
}

/// Lines of a difference, of which only those change that a forge could take for an order.
pub(super) fn tame_lines(text: &str) -> String {
    const ORDERS: [&str; 4] = ["clos", "fix", "implement", "resolv"];
    let is_order = |line: &str| {
        let line = line.to_lowercase();
        ORDERS.iter().any(|order| line.contains(order))
    };
    text.split_inclusive('\n').map(|line| if is_order(line) { tame(line) } else { line.to_owned() }).collect()
}

/// A block that its content cannot end.
pub(super) fn block(language: &str, content: &str) -> String {
    let fence = fence(content, 3);
    format!("{fence}{language}\n{}\n{fence}\n", content.trim_end_matches('\n'))
}

/// Code inside of a line, or of a cell of a table.
pub(super) fn code(text: &str) -> String {
    let text = words(text).replace(['\n', '\r', '\t'], " ");
    if text.is_empty() {
        return String::new();
    }
    let fence = fence(&text, 1);
    let space = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{fence}{space}{}{space}{fence}", text.replace('|', "\\|"))
}

/// One line of prose, or a cell of a table.
pub(super) fn line(text: &str) -> String {
    let text = words(text);
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' | '\t' => out.push(' '),
            '<' => out.push_str("&lt;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

/// Longer than any run of backticks inside.
fn fence(content: &str, least: usize) -> String {
    let (mut run, mut longest) = (0, 0);
    for c in content.chars() {
        run = if c == '`' { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    "`".repeat(least.max(longest + 1))
}

/// Not longer than `chars`.
pub(super) fn short(text: &str, chars: usize) -> String {
    if text.chars().count() <= chars {
        return text.to_owned();
    }
    text.chars().take(chars.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::{block, code, line, tame_lines, words};

    #[test]
    fn nobody_is_mentioned_and_nothing_is_closed() {
        for (said, broken) in [
            ("Fixes #12, closes org/repo#3", "Fixes # 12, closes org/repo# 3"),
            ("cc @platform-team and a@example.com", "cc @ platform-team and a@example.com"),
            ("closes https://forge.example/o/r/issues/7", "closes https://forge.example/o/r/issues /7"),
            ("resolves GH-12 and !4", "resolves GH 12 and ! 4"),
            ("image web@sha256:ab", "image web@sha256:ab"),
        ] {
            assert_eq!(words(said), broken);
        }
    }

    #[test]
    fn a_difference_gives_no_orders() {
        assert_eq!(tame_lines("+note: Closes #12\n+image: a#1\n"), "+note: Closes # 12\n+image: a#1\n");
    }

    #[test]
    fn foreign_text_stays_in_its_block() {
        let evil = "x\n```\n# Approved\n````\n@admin";
        let block = block("text", evil);
        assert!(block.starts_with("`````text\n") && block.ends_with("\n`````\n"), "{block}");
        assert_eq!(code("a`b|c\nd"), "``a`b\\|c d``");
        assert_eq!(line("<b>|x|</b> [a](b) *c*\n# d"), "&lt;b>\\|x\\|&lt;/b> \\[a\\](b) \\*c\\* # d");
    }
}

//! Files that end inside a block of text (`|`, `>`) without a line break. The last line break belongs to the text, so
//! a break behind it makes another value of it; parsers do not agree on that, and ours is one of those that do not
//! tell. Pure.

/// Why the end of the file must not become the other; nothing where it may.
pub(super) fn changed(before: &str, after: &str) -> Option<&'static str> {
    let is_same = last_line(before) == last_line(after) && before.ends_with('\n') == after.ends_with('\n');
    let is_open = is_open(before) || is_open(after);
    (is_open && !is_same).then_some(
        "the file ends in a block of text without a line break, which what comes behind it would change",
    )
}

fn last_line(text: &str) -> &str {
    text.trim_end_matches('\n').rsplit('\n').next().unwrap_or_default()
}

/// Whether the last line belongs to a block of text that keeps its last line break, and has none.
fn is_open(text: &str) -> bool {
    if text.ends_with('\n') {
        return false;
    }
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut lines = text.lines().rev().filter(|line| !line.trim().is_empty());
    let Some(last) = lines.next() else { return false };
    let mut least = indent(last);
    for line in lines {
        if indent(line) < least {
            if let Some(header) = header(line) {
                return !header.contains('-');
            }
            least = indent(line);
        }
    }
    false
}

/// The `|`, `>2-` that a line ends with.
fn header(line: &str) -> Option<&str> {
    let line = line.split(" #").next().unwrap_or_default().trim_end();
    let word = line.rsplit([' ', '\t']).next()?;
    let rest = word.strip_prefix(['|', '>'])?;
    let is_header = rest.chars().all(|c| c.is_ascii_digit() || c == '+' || c == '-');
    let before = line[..line.len() - word.len()].trim_end();
    (is_header && (before.ends_with(':') || before.ends_with('-'))).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::changed;

    #[test]
    fn a_block_of_text_at_the_end_is_left_at_the_end() {
        let open = "a: 1\nrun: |\n  if x\n    then";
        assert!(changed(open, &format!("{open}\nb: 2")).is_some());
        assert!(changed(open, &format!("{open}\n")).is_some());
        assert_eq!(changed(open, &open.replace("a: 1", "a: 2")), None);
        let stripped = open.replace('|', "|-");
        assert_eq!(changed(&stripped, &format!("{stripped}\nb: 2")), None);
        assert_eq!(changed("a: 1", "a: 1\nb: 2"), None);
        let closed = format!("{open}\n");
        assert_eq!(changed(&closed, &format!("{closed}b: 2\n")), None);
        // What is written must not end so either.
        assert!(changed("a: 1", "a: |\n  x").is_some());
    }
}

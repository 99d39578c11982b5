//! The difference that the reviewer and the caller see.

use similar::TextDiff;

/// A unified diff with three lines of context, as `git diff` writes it.
pub(super) fn unified(path: &str, before: &str, after: &str) -> String {
    TextDiff::from_lines(before, after)
        .unified_diff()
        .context_radius(3)
        .header(&format!("a/{path}"), &format!("b/{path}"))
        .to_string()
}

#[cfg(test)]
mod tests {
    #[test]
    fn shows_the_line_and_its_surroundings() {
        let diff = super::unified("web.yaml", "a: 1\nb: 2\nc: 3", "a: 1\nb: 9\nc: 3");
        assert_eq!(
            diff,
            "--- a/web.yaml\n+++ b/web.yaml\n@@ -1,3 +1,3 @@\n a: 1\n-b: 2\n+b: 9\n c: 3\n\\ No newline at end of file\n"
        );
    }
}

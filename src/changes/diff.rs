//! The difference that the reviewer and the caller see.

use similar::TextDiff;

use super::shown::Veil;

/// The difference without secrets; a sentence instead where that cannot be had.
pub(super) fn veiled(veil: &Veil, path: &str, before: &str, after: &str) -> String {
    match (veil.over_file(before), veil.over_file(after)) {
        (Some(before), Some(after)) => unified(path, &before, &after),
        _ => format!(
            "The difference is not shown: {path} holds a secret that cannot be taken out of it surely; look at the branch.\n"
        ),
    }
}

/// A unified diff with three lines of context, as `git diff` writes it.
fn unified(path: &str, before: &str, after: &str) -> String {
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

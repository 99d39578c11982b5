//! Patterns: `*` stands for any characters.

use serde::Deserialize;

/// Whether all of `text` is as `pattern` says; `*` stands for any characters, also for none.
fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    // The earliest place of each part leaves the most for those after it.
    let rest = middle.iter().try_fold(rest, |rest, part| rest.find(part).map(|at| &rest[at + part.len()..]));
    rest.is_some_and(|rest| rest.ends_with(last))
}

/// Of a whole text.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct TextPattern(String);

impl TextPattern {
    pub(super) fn fits(&self, text: &str) -> bool {
        fits(&self.0, text)
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for TextPattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.is_empty() {
            return Err("a pattern is empty: write a value, or * for any".to_owned());
        }
        Ok(Self(text))
    }
}

/// Of an image's repository, its registry included: what lies below it fits too. `*` stands for characters of one
/// part of the path and never for a `/`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct RepositoryPattern(String);

impl RepositoryPattern {
    /// `repository` begins with its registry.
    pub(super) fn fits(&self, repository: &str) -> bool {
        let mut parts = repository.split('/');
        self.0.split('/').all(|wanted| parts.next().is_some_and(|part| fits(wanted, part)))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for RepositoryPattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let text = text.trim_end_matches('/').to_owned();
        let wrong = |why: &str| Err(format!("the repository `{text}` {why}: write it like docker.io/mcp"));
        if text.contains("://") {
            return wrong("is written with a scheme");
        }
        if text.is_empty() || text.contains(char::is_whitespace) || text.split('/').any(str::is_empty) {
            return wrong("is not a path");
        }
        let mut parts = text.split('/');
        let host = parts.next().unwrap_or_default();
        if !host.contains(['.', ':', '*']) && host != "localhost" {
            return wrong("does not begin with a registry");
        }
        if text.contains('@') || parts.any(|part| part.contains(':')) {
            return wrong("names a tag or a digest");
        }
        Ok(Self(text))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{RepositoryPattern, fits};

    fn repository(pattern: &str) -> RepositoryPattern {
        pattern.to_owned().try_into().unwrap()
    }

    #[test]
    fn a_star_stands_for_any_characters() {
        let cases = [
            ("a", "a", true),
            ("a", "ab", false),
            ("*", "", true),
            ("a*", "a", true),
            ("a*c", "abc", true),
            ("a*c", "ab", false),
            ("a*c*e", "abcde", true),
            ("*b*b", "ab", false),
            ("ab*ba", "aba", false),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn a_repository_holds_what_lies_below_it_and_nothing_beside_it() {
        let cases = [
            ("docker.io/mcp", "docker.io/mcp/everything", true),
            ("docker.io/mcp", "docker.io/mcp", true),
            ("docker.io/mcp/", "docker.io/mcp/everything", true),
            ("docker.io/mcp", "docker.io/mcp-evil/everything", false),
            ("docker.io/mcp", "docker.io.evil.com/mcp/everything", false),
            ("docker.io/mcp/everything", "docker.io/mcp", false),
            ("registry.example.com:5000", "registry.example.com:5000/a/b", true),
            ("*.example.com/team-*/mcp", "eu.example.com/team-a/mcp/x", true),
            ("*.example.com/team-*", "evil.com/x.example.com/team-a", false),
            ("registry.example.com/*/mcp", "registry.example.com/a/b/mcp", false),
        ];
        for (pattern, image, expected) in cases {
            assert_eq!(repository(pattern).fits(image), expected, "{pattern} {image}");
        }
    }

    #[test]
    fn a_repository_that_says_something_else_is_refused_with_the_fix() {
        let cases = [
            ("https://docker.io/mcp", "scheme"),
            ("mcp/everything", "registry"),
            ("docker.io//mcp", "path"),
            ("", "path"),
            ("docker.io/mcp:1", "tag"),
            ("docker.io/mcp@sha256:0", "tag"),
        ];
        for (pattern, expected) in cases {
            let said = RepositoryPattern::try_from(pattern.to_owned()).unwrap_err();
            assert!(said.contains(expected) && said.contains("docker.io/mcp"), "{said}");
        }
    }
}

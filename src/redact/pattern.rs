//! Secrets that are known by their shape, or by the words before them.

use std::{borrow::Cow, sync::LazyLock};

use regex::{Captures, Regex, RegexSet};

use super::{name, token};

/// ASCII classes and boundaries only: Unicode ones would take the regexes off their fast path. The group `v` (or `w`, `x`) of each is the secret; the whole match without one. The group `n` is the name beside it.
const SHAPES: [&str; 9] = [
    // A private key in PEM, whole or cut off, with real or escaped line ends.
    r"(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\z)",
    // The same in base64, as Secrets and kubeconfigs hold it.
    r"(?-u:\b)LS0tLS1CRUdJTi(?:[A-Za-z0-9+/]{0,40}(?:UFJJVkFURS|BSSVZBVE|QUklWQVRF))[A-Za-z0-9+/=]*",
    // A JSON Web Token.
    r"(?-u:\b)eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?",
    // Keys whose makers gave them a beginning of their own.
    r"(?-u:\b)(?:(?:AKIA|ASIA)[A-Z0-9]{16}|gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{40,}|glpat-[A-Za-z0-9_-]{20,}|xox[abeoprs]-[A-Za-z0-9_-]{10,}|AIza[A-Za-z0-9_-]{35}|sk-[A-Za-z0-9_-]{20,}|(?:sk|rk)_(?:live|test)_[A-Za-z0-9_]{16,}|npm_[A-Za-z0-9]{30,}|dop_v1_[a-f0-9]{40,}|hvs\.[A-Za-z0-9_-]{20,})",
    // A password in an address.
    r"(?-u:\b)[A-Za-z][A-Za-z0-9+.-]*://[^\s:/@]*:(?<v>[^\s@/]+)@",
    // An Authorization header.
    r"(?i)(?-u:\b)authorization\\?[\x22']?[ \t]*[:=][ \t]*\\?[\x22']?(?:(?:basic|bearer|token|digest)[ \t]+)?(?<v>[^\s\x22',;\\]{6,})",
    // A bearer token in running text: with a digit, so that `bearer authentication` is left alone.
    r"(?i)(?-u:\b)bearer[ \t]+(?<v>[A-Za-z._~+/=-]*[0-9][A-Za-z0-9._~+/=-]{7,})",
    // A flag and its value.
    r"(?i)--?[A-Za-z0-9_-]*(?:password|passwd|secret|token|api-?key|access-?key)[ \t]+\\?[\x22']?(?<v>[^\s\x22'\\-][^\s\x22'\\]{2,})",
    // A name and its value, the name ending in a word for secrets and not being the end of a path.
    r"(?i)(?:^|[^/A-Za-z0-9_.-])(?<n>[A-Za-z0-9_.-]*(?:password|passwd|passphrase|pwd|secret|token|api[_-]?key|access[_-]?key|secret[_-]?key|private[_-]?key|client-key-data)[0-9]*)\\?[\x22']?[ \t]*(?::=|=>|[=:])[ \t]*(?:\\?\x22(?<v>[^\x22\\]+)|\\?'(?<w>[^'\\]+)|(?<x>[^\s\x22'\\,;&|<>{}\[\]][^\s\x22'\\,;&]+))",
];

static REGEXES: LazyLock<Vec<Regex>> =
    LazyLock::new(|| SHAPES.iter().filter_map(|shape| Regex::new(shape).ok()).collect());

/// All shapes as one automaton.
static ANY: LazyLock<Option<RegexSet>> = LazyLock::new(|| RegexSet::new(SHAPES).ok());

/// Whether there is anything to replace: one scan for all shapes together, however many they are.
pub(super) fn hits(text: &str) -> bool {
    match &*ANY {
        Some(any) => any.is_match(text),
        None => REGEXES.iter().any(|regex| regex.is_match(text)),
    }
}

pub(super) fn replace(text: &str) -> Cow<'_, str> {
    let mut text = Cow::Borrowed(text);
    for regex in REGEXES.iter() {
        if let Cow::Owned(replaced) = regex.replace_all(&text, one) {
            text = Cow::Owned(replaced);
        }
    }
    text
}

fn one(found: &Captures<'_>) -> String {
    let whole = found.get_match();
    let secret = ["v", "w", "x"].iter().find_map(|group| found.name(group)).unwrap_or(whole);
    // What closes the brace around a name and its value is not of the value.
    let value = secret.as_str().trim_end_matches(['}', ']', ')']);
    let is_name =
        |name: regex::Match<'_>| name::is_for_the_name_of_one(name.as_str()) && name::is_object_name(value);
    if found.name("n").is_some_and(is_name) {
        return whole.as_str().to_owned();
    }
    let (from, to) = (secret.start() - whole.start(), secret.end() - whole.start());
    format!("{}{}{}", &whole.as_str()[..from], token(secret.as_str()), &whole.as_str()[to..])
}

#[cfg(test)]
mod tests {
    use super::{ANY, REGEXES, SHAPES};

    #[test]
    fn every_shape_is_a_regex() {
        assert_eq!(REGEXES.len(), SHAPES.len());
        assert!(ANY.is_some());
    }
}

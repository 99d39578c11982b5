//! The credentials of one source while it is checked. They have no way into a log line or a status.

use std::{collections::BTreeMap, fmt};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::redact;

/// Shorter values stand in too many words to be found in a text.
const SHORTEST: usize = 4;

const USERNAME: &str = "username";

/// What a server says is shown up to here.
const SHOWN: usize = 240;

/// Values by their names in the spec.
#[derive(Clone, Default)]
pub(crate) struct Credentials(BTreeMap<String, String>);

/// Values are never shown.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl FromIterator<(String, String)> for Credentials {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

impl Credentials {
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `text`, which may be what a server said, without any of the values in it, shortened.
    pub(crate) fn scrub(&self, text: &str) -> String {
        // A value that is too short to be found: then nothing foreign is shown at all. A user's name is replaced
        // where it stands as a word.
        let is_short = |value: &str| (1..SHORTEST).contains(&value.len());
        if self.0.iter().any(|(name, value)| name != USERNAME && is_short(value)) {
            return "what it said is not shown, since a credential is too short to be found in it".to_owned();
        }
        let mut forms: Vec<(String, String)> =
            self.0.iter().flat_map(|(name, value)| forms(name, value)).collect();
        if let (Some(user), Some(password)) = (self.get(USERNAME), self.get("password")) {
            let basic = STANDARD.encode(format!("{user}:{password}"));
            forms.push((basic, "<username and password>".to_owned()));
        }
        // The longest first: a value may be part of another.
        forms.sort_by_key(|(form, _)| std::cmp::Reverse(form.len()));
        let mut text = text.to_owned();
        for (form, placeholder) in forms.iter().filter(|(form, _)| form.len() >= SHORTEST) {
            text = text.replace(form, placeholder);
        }
        if let Some(user) = self.get(USERNAME).filter(|user| is_short(user)) {
            text = without_word(&text, user);
        }
        redact::shown(&text).chars().take(SHOWN).collect()
    }
}

fn without_word(text: &str, word: &str) -> String {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let mut without = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(word) {
        let (before, after) = (&rest[..at], &rest[at + word.len()..]);
        let is_inside = before.ends_with(is_part)
            || after.starts_with(is_part)
            || (before.is_empty() && without.ends_with(is_part));
        without.push_str(before);
        without.push_str(if is_inside { word } else { "<username>" });
        rest = after;
    }
    without + rest
}

/// How a value may come back.
fn forms(name: &str, value: &str) -> [(String, String); 4] {
    let placeholder = format!("<{name}>");
    let encoded = STANDARD.encode(value);
    let percent = crate::api::variables::percent_encoded(value);
    [
        (value.to_owned(), placeholder.clone()),
        (value.trim().to_owned(), placeholder.clone()),
        (encoded, placeholder.clone()),
        (percent, placeholder),
    ]
}

#[cfg(test)]
mod tests {
    use super::Credentials;

    fn credentials(values: &[(&str, &str)]) -> Credentials {
        values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn no_form_of_a_value_comes_through() {
        let known = credentials(&[("username", "reader"), ("password", "p@ss w0rd\n")]);
        let said = "user \"reader\" with p@ss w0rd, cEBzcyB3MHJkCg==, p%40ss%20w0rd%0A, cmVhZGVyOnBAc3MgdzByZAo= failed";
        let scrubbed = known.scrub(said);
        assert_eq!(
            scrubbed,
            "user \"<username>\" with <password>, <password>, <password>, <username and password> failed"
        );
    }

    #[test]
    fn short_values_hide_the_whole_text() {
        let said = credentials(&[("password", "abc")]).scrub("the password abc is wrong");
        assert!(!said.contains("abc"), "{said}");
        let known = credentials(&[("username", "md5"), ("password", "hunter22")]);
        assert_eq!(known.scrub("user \"md5\" of md5sum, xmd5"), "user \"<username>\" of md5sum, xmd5");
    }

    #[test]
    fn long_texts_are_cut_after_the_values_are_gone() {
        let known = credentials(&[("token", "tok-123456")]);
        let said = known.scrub(&format!("{}tok-123456", "x".repeat(235)));
        assert!(said.len() <= 240 && !said.contains("tok-"), "{said}");
    }

    #[test]
    fn debug_shows_names_only() {
        assert_eq!(format!("{:?}", credentials(&[("token", "tok-123456")])), "{\"token\"}");
    }
}

//! Names that say that a secret stands beside them.

/// Whether a variable, header, annotation or key called `name` holds a secret itself (and not, for example,
/// the path or name of one).
pub(super) fn of_secret(name: &str) -> bool {
    let plain = plain(name);
    let about = ABOUT.iter().any(|end| plain.ends_with(end));
    !about
        && (ENDS.iter().any(|end| plain.trim_end_matches(|c: char| c.is_ascii_digit()).ends_with(end))
            || ANYWHERE.iter().any(|part| plain.contains(part)))
}

/// Whether a thing called `name` holds a secret in `value`: its name says so, and `value` is not the mere name of a
/// Secret, as charts ask for it (`existingSecret: web-db`).
pub(super) fn holds_secret(name: &str, value: &str) -> bool {
    of_secret(name) && !(is_for_the_name_of_one(name) && is_object_name(value))
}

/// Names under which charts want the name of a Secret that is there already, or of a key in it.
pub(super) fn is_for_the_name_of_one(name: &str) -> bool {
    let plain = plain(name);
    (plain.contains("existing") && plain.contains("secret"))
        || ["pullsecret", "tlssecret"].iter().any(|end| plain.ends_with(end))
}

/// Whether `value` may be the name of an object or of a key in it, and is not as random as what a machine makes up:
/// a token that stands where a name belongs is still a secret.
pub(super) fn is_object_name(value: &str) -> bool {
    let is_edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    value.len() <= 253
        && value.starts_with(is_edge)
        && value.ends_with(is_edge)
        && value.chars().all(|c| is_edge(c) || "-._".contains(c))
        && value.contains(|c: char| c.is_ascii_lowercase())
        && value.split(['-', '.', '_']).map(switches).sum::<usize>() < 6
        && !value.split(['-', '.', '_']).any(is_random)
}

/// How often a word goes from letters to digits or back.
fn switches(word: &str) -> usize {
    word.as_bytes().windows(2).filter(|two| two[0].is_ascii_digit() != two[1].is_ascii_digit()).count()
}

/// Whether nobody would call a thing so: letters and digits in turn, many digits, or a long word that cannot be
/// spoken.
fn is_random(word: &str) -> bool {
    let is_vowel = |c: char| "aeiouy".contains(c);
    let letters = word.chars().filter(char::is_ascii_lowercase).count();
    let digits = word.len() - letters;
    let vowels = word.chars().filter(|c| is_vowel(*c)).count();
    let consonants = word.split(|c: char| is_vowel(c) || c.is_ascii_digit()).map(str::len).max().unwrap_or(0);
    let most_switches = if word.len() >= 12 { 2 } else { 3 };
    switches(word) > most_switches
        || digits >= 10
        || (letters >= 14 && (consonants >= 6 || vowels * 5 < letters))
}

fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// As [`of_secret`], for fields of any object: only names that are never a reference to something else.
pub(super) fn of_secret_field(name: &str) -> bool {
    FIELDS.iter().any(|field| name.eq_ignore_ascii_case(field))
}

/// Whether the next argument of a command holds a secret: `--admin-password`, and not `--password-file` or
/// `--password=...`.
pub(super) fn is_flag_of_secret(argument: &str) -> bool {
    argument.starts_with('-') && !argument.contains('=') && of_secret(argument)
}

/// Empty, a placeholder, a reference, or redacted already.
pub(super) fn is_no_value(value: &str) -> bool {
    let value = value.trim();
    value.is_empty()
        || value.starts_with("<redacted:")
        || is_reference(value)
        || value.chars().all(|c| c == '*')
        || ["null", "nil", "<nil>", "none", "true", "false", "undefined"]
            .iter()
            .any(|none| value.eq_ignore_ascii_case(none))
}

/// `$NAME`, `${...}` or `$(...)` and nothing after it; the end may be cut off by what found the value.
fn is_reference(value: &str) -> bool {
    let Some(name) = value.strip_prefix('$') else { return false };
    let is_whole = |open: char, close: char| {
        name.strip_prefix(open).is_some_and(|rest| rest.find(close).is_none_or(|at| at + 1 == rest.len()))
    };
    let is_variable = name.starts_with(|c: char| c.is_ascii_uppercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    is_variable || is_whole('{', '}') || is_whole('(', ')')
}

const ENDS: [&str; 14] = [
    "secret",
    "token",
    "apikey",
    "accesskey",
    "secretkey",
    "privatekey",
    "signingkey",
    "encryptionkey",
    "credential",
    "credentials",
    "authorization",
    "connectionstring",
    "cookie",
    "pwd",
];
const ANYWHERE: [&str; 6] =
    ["password", "passwd", "passphrase", "tlskey", "dockerconfigjson", "clientkeydata"];
/// Names that end so speak about a secret and do not hold it.
const ABOUT: [&str; 17] = [
    "name",
    "file",
    "path",
    "url",
    "uri",
    "ttl",
    "seconds",
    "ref",
    "type",
    "length",
    "namespace",
    "policy",
    "enabled",
    "issuer",
    "audience",
    "version",
    "hash",
];
const FIELDS: [&str; 12] = [
    "password",
    "passwd",
    "passphrase",
    "token",
    "apiKey",
    "api_key",
    "clientSecret",
    "client_secret",
    "secretKey",
    "secretAccessKey",
    "privateKey",
    "accessToken",
];

#[cfg(test)]
mod tests {
    use super::{holds_secret, of_secret};

    #[test]
    fn names_of_secrets_are_told_from_names_about_them() {
        for name in
            ["DB_PASSWORD", "password2", "X-Api-Key", "aws_secret_access_key", "GITHUB_TOKEN", "tls.key"]
        {
            assert!(of_secret(name), "{name}");
        }
        for name in
            ["SECRET_NAME", "PASSWORD_FILE", "TOKEN_TTL", "KEYBOARD", "monkey", "replicas", "TOKEN_URL"]
        {
            assert!(!of_secret(name), "{name}");
        }
    }

    #[test]
    fn the_name_of_a_secret_is_no_secret() {
        for (name, value) in [
            ("existingSecret", "db"),
            ("existingSecret", "web-db-credentials"),
            ("auth.existingSecret", "postgresql14-primary"),
            ("existingSecretKey", "root-password"),
            ("existingSecretPasswordKey", "redis_password"),
            ("global_existing_secret", "tls-20260101"),
            ("image.pullSecret", "regcred"),
            ("tlsSecret", "wildcard.example.org-tls"),
            ("existingSecret", "elasticsearchcredentials"),
        ] {
            assert!(!holds_secret(name, value), "{name}: {value}");
        }
    }

    #[test]
    fn a_secret_in_the_place_of_a_name_is_one() {
        for value in [
            "7f3a9c2e1b8d4f6a",
            "0123456789",
            "a4bd776c-2812-4b10-973c-6930e2e23d44",
            "k7x2m9q4w8z1",
            "qwzxkvbnmplrtgdh",
            "web-qzrtwplkmnbvcxsd",
            "Correct-Horse",
            "hunter2!",
            "dXNlcjpodW50ZXIy",
            "s3cr3t p4ss",
            "-db",
            "",
        ] {
            assert!(holds_secret("existingSecret", value), "{value}");
        }
        // Only a name for names lets a name through.
        for name in ["existingPassword", "clientSecret", "rootPassword", "tokenSecret", "secret"] {
            assert!(holds_secret(name, "web-db"), "{name}");
        }
    }
}

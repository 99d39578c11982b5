//! Names that say that a secret stands beside them.

/// Whether a variable, header, annotation or key called `name` holds a secret itself (and not, for example,
/// the path or name of one).
pub(super) fn of_secret(name: &str) -> bool {
    let plain: String =
        name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    let about = ABOUT.iter().any(|end| plain.ends_with(end));
    !about
        && (ENDS.iter().any(|end| plain.trim_end_matches(|c: char| c.is_ascii_digit()).ends_with(end))
            || ANYWHERE.iter().any(|part| plain.contains(part)))
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
    use super::of_secret;

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
}

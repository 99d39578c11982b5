//! CEL rules that more than one field needs. Each message names the field and the fix. They use nothing that an
//! API server 1.25 does not know, since an API server refuses a CRD with a function that it does not know.

use kube::core::Rule;

use super::span;

fn rule(expression: impl Into<String>, message: String) -> Rule {
    Rule::new(expression).message(message.as_str())
}

/// A whole number.
pub(super) fn between(field: &str, least: i64, most: i64) -> Rule {
    rule(
        format!("self >= {least} && self <= {most}"),
        format!("{field} must be from {least} to {most}: correct it"),
    )
}

pub(super) fn port(field: &str) -> Rule {
    rule(
        "self >= 1 && self <= 65535",
        format!("{field} must be from 1 to 65535: set the port that is listened on"),
    )
}

/// A [`span::Span`]. `least` and `most` are durations as CEL reads them.
pub(super) fn span(field: &str, least: &str, most: &str) -> Rule {
    rule(
        format!(
            "self.matches('{}') && duration(self) >= duration('{least}') && duration(self) <= duration('{most}')",
            span::PATTERN
        ),
        format!(
            "{field} must be a number and a unit, such as 500ms, 60s or 5m, from {least} to {most}: write it that way"
        ),
    )
}

/// The path of a URL.
pub(super) fn url_path(field: &str, example: &str) -> Rule {
    rule(
        "self.matches('^/[^ ?#]*$')",
        format!("{field} must begin with / and hold no space, ? or #: write it like {example}"),
    )
}

/// A file or folder in the container. `:` and `..` are refused by the kubelet.
pub(super) fn file_path(field: &str, example: &str) -> Rule {
    rule(
        r"self.matches('^(/[^/:\\s]+)+$') && !self.matches('/[.][.]?(/|$)|^/(proc|sys|dev|bridge-bin)(/|$)')",
        format!(
            "{field} must be an absolute path without `:`, spaces, `.` or `..`, with no / at its end and outside /proc, /sys, /dev and /bridge-bin: write it like {example}"
        ),
    )
}

/// An http or https URL in which no credential is.
pub(super) fn http_url(field: &str, example: &str) -> Rule {
    rule(
        "isURL(self) && url(self).getScheme() in ['http', 'https'] && url(self).getHost() != '' && !self.split('/')[2].contains('@')",
        format!(
            "{field} must be an http or https URL with a host and without user or password: write it like {example}"
        ),
    )
}

/// Certificates as text.
pub(super) fn pem(field: &str) -> Rule {
    rule(
        r"self.matches('^\\s*-----BEGIN CERTIFICATE-----')",
        format!("{field} must be the certificates as PEM text: begin it with -----BEGIN CERTIFICATE-----"),
    )
}

/// The name of an object; `kind` is its kind with article.
pub(super) fn object_name(field: &str, kind: &str) -> Rule {
    rule(
        "self.matches('^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$')",
        format!("{field} must be the name of {kind}, lowercase letters, digits, dashes and dots: correct it"),
    )
}

/// The key of a Secret or ConfigMap.
pub(super) fn data_key(field: &str) -> Rule {
    rule(
        "self.matches('^[-._a-zA-Z0-9]+$')",
        format!(
            "{field} must be a key of a Secret, letters, digits, dashes, dots and underscores: correct it"
        ),
    )
}

pub(super) fn environment_name(field: &str) -> Rule {
    rule(
        "self.matches('^[A-Za-z_][A-Za-z0-9_]*$')",
        format!(
            "{field} must be the name of an environment variable, letters, digits and underscores and no digit first: write it like API_TOKEN"
        ),
    )
}

/// A number of bytes as Kubernetes writes it.
pub(super) fn quantity(field: &str, example: &str) -> Rule {
    rule(
        "type(self) == int ? self > 0 : string(self).matches('^[1-9][0-9]*([.][0-9]+)?([kMGTPE]|[KMGTPE]i)?$')",
        format!("{field} must be a number of bytes: write it like {example}"),
    )
}

/// A namespace's name for each entry of a list.
pub(super) fn namespaces(field: &str) -> Rule {
    rule(
        "self.all(name, name.matches('^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$'))",
        format!("{field} must hold names of namespaces: write them like team-a"),
    )
}

/// Labels: Kubernetes would refuse the object that they are put on.
pub(super) fn labels(field: &str) -> Rule {
    rule(
        "self.all(key, key.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$') && self[key].matches('^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$'))",
        format!(
            "{field} must be labels, at most 63 letters, digits, dashes, dots and underscores on each side, beginning and ending with a letter or digit: write them like team: search"
        ),
    )
}

//! What is wrong with a field, in the API server's own words: `spec.image: Invalid value: "x:latest": use a version`.

use std::fmt;

/// How the API server tells kinds of trouble apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    /// The value, as text.
    Invalid(String),
    /// The same; somebody else has it.
    Duplicate(String),
    /// What it names does not exist.
    NotFound(String),
    /// A value is wanted, and there is none.
    Required,
    /// It may not be set, whatever its value.
    Forbidden,
}

impl Problem {
    /// As in `details.causes[].reason` of a Status.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "FieldValueInvalid",
            Self::Duplicate(_) => "FieldValueDuplicate",
            Self::NotFound(_) => "FieldValueNotFound",
            Self::Required => "FieldValueRequired",
            Self::Forbidden => "FieldValueForbidden",
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(value) => write!(f, "Invalid value: {value:?}"),
            Self::Duplicate(value) => write!(f, "Duplicate value: {value:?}"),
            Self::NotFound(value) => write!(f, "Not found: {value:?}"),
            Self::Required => f.write_str("Required value"),
            Self::Forbidden => f.write_str("Forbidden"),
        }
    }
}

/// One field, what is wrong with it, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FieldError {
    /// Its path, such as `spec.secrets[0].env`.
    pub(super) field: String,
    pub(super) problem: Problem,
    /// Why, and what would be accepted.
    pub(super) detail: String,
}

impl FieldError {
    pub(super) fn new(field: impl Into<String>, problem: Problem, detail: impl Into<String>) -> Self {
        Self { field: field.into(), problem, detail: detail.into() }
    }

    /// Without the field, as in `details.causes[].message` of a Status.
    pub(super) fn message(&self) -> String {
        format!("{}: {}", self.problem, self.detail)
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message())
    }
}

/// Several as one sentence, for a condition.
pub(super) fn listed(errors: &[FieldError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::{FieldError, Problem, listed};

    #[test]
    fn it_reads_as_the_api_server_writes_it() {
        let invalid = FieldError::new("spec.image", Problem::Invalid("x:latest".to_owned()), "use a version");
        let required = FieldError::new("metadata.labels[team]", Problem::Required, "set it");
        assert_eq!(
            listed(&[invalid, required]),
            "spec.image: Invalid value: \"x:latest\": use a version; metadata.labels[team]: Required value: set it"
        );
    }
}

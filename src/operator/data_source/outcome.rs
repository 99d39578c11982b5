//! What a check found.

use super::target::Target;

/// What a check found. Messages are sentences that hold no credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It let us in; what it is, such as `PostgreSQL 15.6`.
    In(String),
    /// It answers, but not as it should, or the credentials could not be tried.
    Partly(Finding),
    /// It did not answer, or not for long enough to know more.
    Away(Finding),
    /// It said no: trying again changes nothing until somebody does.
    Refused(Finding),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub reason: Reason,
    pub message: String,
}

/// Reasons of the condition Connected; they never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    Connected,
    Slow,
    NotAsExpected,
    CredentialsNotTried,
    NameNotResolved,
    NotReachable,
    NoAnswer,
    AddressNotAllowed,
    TlsFailed,
    CredentialsRefused,
    CredentialsMissing,
    DatabaseMissing,
    NotChecked,
}

impl Reason {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Connected => "Connected",
            Self::Slow => "Slow",
            Self::NotAsExpected => "NotAsExpected",
            Self::CredentialsNotTried => "CredentialsNotTried",
            Self::NameNotResolved => "NameNotResolved",
            Self::NotReachable => "NotReachable",
            Self::NoAnswer => "NoAnswer",
            Self::AddressNotAllowed => "AddressNotAllowed",
            Self::TlsFailed => "TlsFailed",
            Self::CredentialsRefused => "CredentialsRefused",
            Self::CredentialsMissing => "CredentialsMissing",
            Self::DatabaseMissing => "DatabaseMissing",
            Self::NotChecked => "NotChecked",
        }
    }
}

impl Finding {
    pub(crate) fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

impl Outcome {
    pub(crate) fn partly(reason: Reason, message: impl Into<String>) -> Self {
        Self::Partly(Finding::new(reason, message))
    }

    pub(crate) fn away(reason: Reason, message: impl Into<String>) -> Self {
        Self::Away(Finding::new(reason, message))
    }

    pub(crate) fn refused(reason: Reason, message: impl Into<String>) -> Self {
        Self::Refused(Finding::new(reason, message))
    }

    /// It answers, and there are credentials that the operator may not read.
    pub(crate) fn not_tried(target: &Target) -> Self {
        let place = target.place();
        Self::partly(
            Reason::CredentialsNotTried,
            format!(
                "{place} answers, but its credentials could not be tried, since they cannot be read here."
            ),
        )
    }

    /// It asks for credentials, and we have given none.
    pub(crate) fn asks(target: &Target, what: &str) -> Self {
        if target.has_credentials {
            return Self::not_tried(target);
        }
        let place = target.place();
        Self::refused(
            Reason::CredentialsRefused,
            format!("{place} asks for {what}, and spec.credentials names none: add it there."),
        )
    }
}

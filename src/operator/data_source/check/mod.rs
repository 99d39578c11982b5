//! One check of one source: a connection, TLS where it is asked for, and the handshake of its engine with the real
//! credentials. Stores nothing and reads no cluster.

mod dial;
mod http;
mod postgresql;
mod redis;

pub(crate) use dial::{Dial, Loopback};

use std::time::Instant;

use tokio::time::timeout;

use super::{
    credentials::Credentials,
    outcome::{Outcome, Reason},
    target::Target,
};
use crate::api::data_source::Engine;
use dial::DialError;

/// Checks one source within its timeout. Without `credentials` it goes as far as it gets.
pub(crate) async fn check(dial: &Dial, target: &Target, credentials: &Credentials) -> Outcome {
    let started = Instant::now();
    let Ok(outcome) = timeout(target.timeout, engine(dial, target, credentials)).await else {
        let (place, patience) = (target.place(), target.timeout);
        return Outcome::away(Reason::NoAnswer, format!("{place} gave no answer within {patience:?}."));
    };
    slow(outcome, target, started)
}

async fn engine(dial: &Dial, target: &Target, credentials: &Credentials) -> Outcome {
    match target.engine {
        Engine::Postgresql => postgresql::check(dial, target, credentials).await,
        Engine::Redis => redis::check(dial, target, credentials).await,
        Engine::Http => http::check(dial, target, credentials).await,
        Engine::Tcp => match dial.line(target).await {
            Ok(_) if target.tls.is_some() => Outcome::In("a TLS server".to_owned()),
            Ok(_) => Outcome::In("a TCP server".to_owned()),
            Err(error) => error.outcome(target),
        },
    }
}

/// Who needs more than half of the time is close to not answering at all.
fn slow(outcome: Outcome, target: &Target, started: Instant) -> Outcome {
    let took = started.elapsed();
    match outcome {
        Outcome::In(_) if took > target.timeout / 2 => Outcome::partly(
            Reason::Slow,
            format!(
                "{} let us in, but only after {:.1} s of the {:?} that a check may take.",
                target.place(),
                took.as_secs_f64(),
                target.timeout
            ),
        ),
        other => other,
    }
}

/// A connection that broke while something was said on it.
fn broken(target: &Target, error: &std::io::Error) -> Outcome {
    Outcome::away(
        Reason::NotReachable,
        format!("{} closed the connection before the handshake was done ({error}).", target.place()),
    )
}

impl DialError {
    fn outcome(&self, target: &Target) -> Outcome {
        let place = target.place();
        match self {
            Self::Resolve(_) => Outcome::away(Reason::NameNotResolved, format!("{place}: {self}.")),
            Self::NotAllowed(_) => Outcome::refused(Reason::AddressNotAllowed, format!("{place}: {self}.")),
            Self::Connect(_) => Outcome::away(Reason::NotReachable, format!("{place}: {self}.")),
            Self::Tls(_) | Self::Bundle(_) => {
                Outcome::refused(Reason::TlsFailed, format!("{place}: {self}."))
            }
        }
    }
}

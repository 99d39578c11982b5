//! What the Secret holds, as a value.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use k8s_openapi::{ByteString, api::core::v1::Secret, jiff::Timestamp};
use x509_parser::{extensions::GeneralName, pem::parse_x509_pem};

use super::{
    issue::{Issued, Pair},
    life::Dates,
};

/// As cert-manager names them.
const AUTHORITIES: &str = "ca.crt";
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";
const NEXT_CERTIFICATE: &str = "next.crt";
const NEXT_KEY: &str = "next.key";

const END: &str = "-----END CERTIFICATE-----";

#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Stored {
    /// Of all certificates that are or will be presented, as PEM text.
    pub authorities: String,
    pub current: Option<Pair>,
    pub next: Option<Pair>,
}

impl Stored {
    /// What is not text or not there counts as missing.
    pub(super) fn of(secret: &Secret) -> Self {
        let text = |key: &str| {
            let value = secret.data.as_ref()?.get(key)?;
            String::from_utf8(value.0.clone()).ok().filter(|text| !text.trim().is_empty())
        };
        let pair = |certificate, key| Some(Pair { certificate: text(certificate)?, key: text(key)? });
        Self {
            authorities: text(AUTHORITIES).unwrap_or_default(),
            current: pair(CERTIFICATE, KEY),
            next: pair(NEXT_CERTIFICATE, NEXT_KEY),
        }
    }

    pub(super) fn data(&self) -> BTreeMap<String, ByteString> {
        let Self { authorities, current, next } = self;
        let mut data = BTreeMap::from([(AUTHORITIES, authorities)]);
        for (pair, certificate, key) in [(current, CERTIFICATE, KEY), (next, NEXT_CERTIFICATE, NEXT_KEY)] {
            if let Some(pair) = pair {
                data.extend([(certificate, &pair.certificate), (key, &pair.key)]);
            }
        }
        data.into_iter().map(|(key, text)| (key.to_owned(), ByteString(text.clone().into_bytes()))).collect()
    }

    /// Presented at once.
    pub(super) fn issued(&self, issued: Issued, now: Timestamp) -> Self {
        let Issued { authority, pair } = issued;
        Self { authorities: self.with(&authority, now), current: Some(pair), next: None }
    }

    /// Its authority is trusted from now on; it is presented later.
    pub(super) fn prepared(&self, issued: Issued, now: Timestamp) -> Self {
        let Issued { authority, pair } = issued;
        Self { authorities: self.with(&authority, now), next: Some(pair), current: self.current.clone() }
    }

    pub(super) fn switched(&self) -> Self {
        let Self { authorities, current, next } = self.clone();
        Self { authorities, current: next.or(current), next: None }
    }

    /// The newest last; those that have ended are left out.
    fn with(&self, authority: &str, now: Timestamp) -> String {
        let known = self.authorities.split_inclusive(END).map(str::trim).filter(|pem| pem.ends_with(END));
        let alive = known.filter(|pem| read(pem).is_some_and(|read| read.dates.holds_at(now)));
        alive.chain([authority.trim()]).map(|pem| format!("{pem}\n")).collect()
    }
}

/// What a certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Read {
    pub dates: Dates,
    pub names: BTreeSet<String>,
}

/// Of the first certificate of a PEM text; none when it cannot be read.
pub(super) fn read(pem: &str) -> Option<Read> {
    let (_, pem) = parse_x509_pem(pem.as_bytes()).ok()?;
    let certificate = pem.parse_x509().ok()?;
    let validity = certificate.validity();
    let date = |seconds: i64| Timestamp::from_second(seconds).ok();
    let dates = Dates {
        not_before: date(validity.not_before.timestamp())?,
        not_after: date(validity.not_after.timestamp())?,
    };
    let names = certificate.subject_alternative_name().ok().flatten();
    let names = names.into_iter().flat_map(|names| &names.value.general_names).filter_map(name).collect();
    Some(Read { dates, names })
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let four = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            let address = four.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from)).ok()?;
            Some(address.to_string())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use k8s_openapi::{
        api::core::v1::Secret,
        jiff::{SignedDuration, Timestamp},
    };

    use super::{Stored, read};
    use crate::operator::webhook::certificate::issue::issue;

    const LIFE: Duration = Duration::from_secs(1_000);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn names() -> Vec<String> {
        vec!["pilothouse-webhook.pilothouse.svc".to_owned(), "127.0.0.1".to_owned()]
    }

    #[test]
    fn what_is_made_says_its_names_and_dates_and_survives_the_secret() {
        let stored = Stored::default().issued(issue(&names(), LIFE, at(0)).unwrap(), at(0));
        let secret = Secret { data: Some(stored.data()), ..Secret::default() };
        assert!(Stored::of(&secret) == stored);
        let certificate = read(&stored.current.unwrap().certificate).unwrap();
        assert_eq!(certificate.names, names().into_iter().collect());
        assert_eq!(certificate.dates.not_after, at(1_000));
        assert_eq!(certificate.dates.not_before, at(0) - SignedDuration::from_secs(60));
    }

    #[test]
    fn the_authority_before_it_stays_until_it_has_ended() {
        let first = Stored::default().issued(issue(&names(), LIFE, at(0)).unwrap(), at(0));
        let second = first.prepared(issue(&names(), LIFE, at(700)).unwrap(), at(700));
        assert_eq!(second.authorities.matches("BEGIN").count(), 2);
        assert!(second.authorities.starts_with(first.authorities.trim()));
        assert!(second.current == first.current, "it is not presented yet");
        let switched = second.switched();
        assert!(switched.current == second.next && switched.next.is_none());
        let third = switched.prepared(issue(&names(), LIFE, at(1_400)).unwrap(), at(1_400));
        assert_eq!(third.authorities.matches("BEGIN").count(), 2, "the first has ended");
    }

    #[test]
    fn what_is_not_a_certificate_counts_as_missing() {
        assert_eq!(read("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), None);
        assert!(Stored::of(&Secret::default()) == Stored::default());
    }
}

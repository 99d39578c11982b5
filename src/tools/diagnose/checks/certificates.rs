//! TLS Secrets that are missing, are no TLS Secrets, or whose certificate has ended or soon will.

use jiff::Timestamp;

use crate::tools::{
    diagnose::{
        cause::Cause,
        customs::{self, list, text},
        finding::{Evidence, Finding, ObjectRef, Severity},
        look::reference,
        picture::{Picture, SecretFacts},
        routing::GATEWAY_GROUP,
    },
    kinds::age,
};

/// A renewal that has not come by then probably will not.
const SOON_SECONDS: i64 = 14 * 24 * 3_600;

pub(super) fn check(picture: &Picture, findings: &mut Vec<Finding>) {
    for (by, path, secret) in uses(picture) {
        let key = (secret.namespace.clone(), secret.name.clone());
        match picture.secrets.get(&key) {
            Some(SecretFacts::Missing) => {
                let what = "which does not exist";
                findings.push(unusable(picture, &by, &path, &secret, what));
            }
            Some(SecretFacts::There { keys, certificate_ends: _ })
                if !keys.contains("tls.crt") || !keys.contains("tls.key") =>
            {
                let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
                let what = format!("which has no tls.crt and tls.key (it has: {})", keys.join(", "));
                findings.push(unusable(picture, &by, &path, &secret, &what));
            }
            _ => {}
        }
    }
    for ((namespace, name), facts) in &picture.secrets {
        if let SecretFacts::There { keys: _, certificate_ends: Some(ends) } = facts {
            findings.extend(ended(picture, &ObjectRef::new("Secret", namespace, name), *ends));
        }
    }
}

/// Who serves TLS with which Secret, and the field that says so.
fn uses(picture: &Picture) -> Vec<(ObjectRef, String, ObjectRef)> {
    let mut all = Vec::new();
    for ingress in &picture.ingresses {
        let object = reference("Ingress", &ingress.metadata);
        let tls = ingress.spec.iter().flat_map(|spec| spec.tls.iter().flatten()).enumerate();
        for (at, tls) in tls {
            if let Some(name) = tls.secret_name.as_deref().filter(|name| !name.is_empty()) {
                let secret = ObjectRef::new("Secret", &object.namespace, name);
                all.push((object.clone(), format!("spec.tls[{at}].secretName"), secret));
            }
        }
    }
    for gateway in customs::of(picture, GATEWAY_GROUP, "Gateway") {
        let object = customs::reference(gateway);
        for (at, listener) in list(gateway, "/spec/listeners").iter().enumerate() {
            for certificate in list(listener, "/tls/certificateRefs") {
                let namespace =
                    Some(text(certificate, "/namespace")).filter(|namespace| !namespace.is_empty());
                let secret = ObjectRef::new(
                    "Secret",
                    namespace.unwrap_or(&object.namespace),
                    text(certificate, "/name"),
                );
                all.push((object.clone(), format!("spec.listeners[{at}].tls.certificateRefs"), secret));
            }
        }
    }
    all
}

fn unusable(picture: &Picture, by: &ObjectRef, path: &str, secret: &ObjectRef, what: &str) -> Finding {
    let mechanism = format!("{} {} serves TLS with Secret {}, {what}", by.kind, by.name, secret.name);
    let confirm = format!("get_resource Secret {} in {}", secret.name, secret.namespace);
    let issued = certificate_for(picture, secret);
    let change = match &issued {
        Some(certificate) => format!("mend {}, which makes the Secret", certificate.words()),
        None => {
            format!("make Secret {} of type kubernetes.io/tls, or name another one in {path}", secret.name)
        }
    };
    Finding::new(Severity::Critical, Cause::TlsSecretMissing, by, mechanism, confirm, change)
        .shown_by([Evidence::field(by, path, secret.name.as_str())])
        .following(issued)
}

fn ended(picture: &Picture, secret: &ObjectRef, ends: Timestamp) -> Option<Finding> {
    let left = ends.as_second() - picture.now.as_second();
    let issued = certificate_for(picture, secret);
    // An issuer that is well renews in time, however short its certificates live.
    if left > SOON_SECONDS || (left > 0 && issued.is_some()) {
        return None;
    }
    let users: Vec<ObjectRef> =
        uses(picture).into_iter().filter(|(_, _, used)| used == secret).map(|(by, _, _)| by).collect();
    let who = users.first().map_or_else(String::new, |user| format!(", which {} serves", user.words()));
    let (cause, severity, when) = if left <= 0 {
        (Cause::CertificateExpired, Severity::Critical, format!("ended {} ago", age(Some(ends), picture.now)))
    } else {
        (Cause::CertificateExpiring, Severity::Warning, format!("ends in {}", age(Some(picture.now), ends)))
    };
    let mechanism = format!("the certificate in Secret {}{who}, {when}", secret.name);
    let confirm = format!("get_resource Secret {} in {}", secret.name, secret.namespace);
    let change = match &issued {
        Some(certificate) => format!("mend {}, which renews it", certificate.words()),
        None => "renew the certificate: tls.crt and tls.key".to_owned(),
    };
    let finding =
        Finding::new(severity, cause, secret, mechanism, confirm, change).affecting(users).following(issued);
    Some(finding.shown_by([Evidence::field(secret, "data[tls.crt], not after", ends.to_string())]))
}

/// cert-manager's Certificate that makes this Secret.
fn certificate_for(picture: &Picture, secret: &ObjectRef) -> Option<ObjectRef> {
    let mut certificates = customs::of(picture, "cert-manager.io", "Certificate");
    let found = certificates.find(|certificate| {
        customs::reference(certificate).namespace == secret.namespace
            && text(certificate, "/spec/secretName") == secret.name
    });
    found.map(customs::reference)
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tools::diagnose::checks::example::{findings, found};

    fn with(secret: &str) -> String {
        format!(
            "kind: Ingress\nmetadata: {{ name: front }}\nspec: {{ tls: [{{ secretName: cert }}] }}\n---\nkind: Secret\nmetadata: {{ name: cert }}\n{secret}"
        )
    }

    #[test]
    fn tls_secrets_that_cannot_serve() {
        assert_eq!(found(check, &with("missing: true")), ["TlsSecretMissing Ingress shop/front"]);
        let all = findings(check, &with("keys: [password]"));
        assert_eq!(
            all[0].mechanism,
            "Ingress front serves TLS with Secret cert, which has no tls.crt and tls.key (it has: password)"
        );
        assert!(found(check, &with("keys: [tls.crt, tls.key]")).is_empty());
    }

    #[test]
    fn certificates_have_an_end() {
        let ends = |at: &str| with(&format!("keys: [tls.crt, tls.key]\nends: '{at}'"));
        let all = findings(check, &ends("2025-12-30T12:00:00Z"));
        assert_eq!(
            all[0].mechanism,
            "the certificate in Secret cert, which Ingress shop/front serves, ended 2d ago"
        );
        assert_eq!(found(check, &ends("2026-01-04T12:00:00Z")), ["CertificateExpiring Secret shop/cert"]);
        assert!(found(check, &ends("2026-03-01T12:00:00Z")).is_empty());
        let issued = "\n---\napiVersion: cert-manager.io/v1\nkind: Certificate\nmetadata: { name: c }\nspec: { secretName: cert }";
        assert!(found(check, &(ends("2026-01-04T12:00:00Z") + issued)).is_empty());
        assert_eq!(
            findings(check, &(ends("2025-12-30T12:00:00Z") + issued))[0].follows[0].words(),
            "Certificate shop/c"
        );
    }
}

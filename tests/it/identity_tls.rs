//! An issuer over TLS whose certificate the system does not know: `caFile` names who signed it.

use std::{fs, path::Path};

use reqwest::StatusCode;

use crate::{
    authority::Authority,
    identity_issuer::{AUDIENCE, SigningKey, TestIssuer},
    program::{Served, command},
    program_identity::answer,
};

/// The program, which trusts this issuer; `more` are further fields of it.
async fn trusting(folder: &Path, issuer: &TestIssuer, more: &str) -> Served {
    let config = folder.join("config.yaml");
    let text = format!("identity: {{oidc: [{{issuer: '{}', audience: '{AUDIENCE}'{more}}}]}}\n", issuer.url);
    fs::write(&config, text).unwrap();
    Served::start("serve", &["--config", &config.display().to_string()]).await
}

#[tokio::test]
async fn the_issuer_is_believed_over_tls_by_the_authority_that_is_named_and_no_other() {
    let (ours, other) = (Authority::new(), Authority::new());
    let folder = tempfile::tempdir().unwrap();
    let (our_file, other_file) = (ours.write(folder.path(), "ours"), other.write(folder.path(), "other"));
    // A bundle may hold more than one.
    let both = folder.path().join("both");
    fs::write(&both, format!("{}{}", other.pem, ours.pem)).unwrap();
    let key = SigningKey::es256("key");
    let issuer = TestIssuer::start_over(&[&key], Some(ours.acceptor("127.0.0.1", &[]))).await;
    let elsewhere = TestIssuer::start_over(&[&key], Some(ours.acceptor("login.example", &[]))).await;
    for (what, issuer, ca, comes_in) in [
        ("its authority", &issuer, Some(our_file.clone()), true),
        ("a bundle", &issuer, Some(both.display().to_string()), true),
        ("another's authority", &issuer, Some(other_file), false),
        ("the system's alone", &issuer, None, false),
        ("a certificate for another name", &elsewhere, Some(our_file), false),
    ] {
        let more = ca.map_or_else(String::new, |file| format!(", caFile: '{file}'"));
        let served = trusting(folder.path(), issuer, &more).await;
        let (status, body) = answer(&served, &key.sign(&issuer.claims("ann"))).await;
        if comes_in {
            assert_eq!(status, StatusCode::OK, "{what}: {body} {}", served.said());
        } else {
            assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{what}: {body}");
            assert!(body.contains(&issuer.url) && body.contains("certificate"), "{what}: {body}");
        }
    }
    assert_eq!((issuer.fetched(), elsewhere.fetched()), (2, 0), "keys come from nobody else");
}

#[test]
fn a_file_without_a_certificate_ends_the_start_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let (config, file) = (folder.path().join("config.yaml"), folder.path().join("ca.pem"));
    for (text, says) in
        [("", "there is no certificate in it"), ("-----BEGIN CERTIFICATE-----\nnone", "identity.oidc")]
    {
        fs::write(&file, text).unwrap();
        let (ca, issuer) = (file.display(), "https://login.example");
        let identity = format!("identity: {{oidc: [{{issuer: '{issuer}', audience: a, caFile: '{ca}'}}]}}\n");
        fs::write(&config, identity).unwrap();
        let mut command = command(folder.path());
        command.args(["serve", "--http", "127.0.0.1:0", "--health", "127.0.0.1:0", "--config"]).arg(&config);
        let ended = command.output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(!ended.status.success() && said.contains(issuer) && said.contains(says), "{text}: {said}");
    }
}

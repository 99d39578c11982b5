//! The init container of a server that is connected to DataSources, as the kubelet starts it.

use std::fs;

use crate::bridge_process::pilothouse;

#[test]
fn credentials_come_from_their_variables_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (template, into) = (folder.path().join("template"), folder.path().join("sources.toml"));
    fs::write(
        &template,
        "a = \"${ORDERS_PASSWORD}\"\nurl = \"x://${ORDERS_PASSWORD:url}@db\"\nhome = \"${HOME}\"\n",
    )
    .unwrap();
    let fill = || {
        let mut fill = pilothouse();
        fill.args(["bridge", "--fill"]).arg(&template).arg("--into").arg(&into);
        fill.env("PILOTHOUSE_FILL_ORDERS_PASSWORD", "p\"a@ss\n");
        fill
    };
    // Once more after a restart of the pod's sandbox.
    for _ in 0..2 {
        let ended = fill().output().unwrap();
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
        assert!(ended.stdout.is_empty() && ended.stderr.is_empty());
        assert_eq!(
            fs::read_to_string(&into).unwrap(),
            "a = \"p\\\"a@ss\\n\"\nurl = \"x://p%22a%40ss%0A@db\"\nhome = \"${HOME}\"\n"
        );
    }
    fs::remove_file(&template).unwrap();
    let ended = fill().output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(!ended.status.success() && said.contains("is its ConfigMap mounted?"), "{said}");
}

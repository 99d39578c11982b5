//! kubectl, as a user has it.

use std::{
    io::Write,
    process::{Command, Output, Stdio},
};

/// A kubectl command on the cluster that `KUBECONFIG` names.
pub(crate) fn kubectl() -> Command {
    let config = std::env::var_os("KUBECONFIG").expect(
        "KUBECONFIG must name a disposable cluster: run `tests/run cluster`, which starts one and sets the variable",
    );
    let mut command = Command::new("kubectl");
    command.env("KUBECONFIG", config);
    command
}

/// Runs `kubectl ARGUMENTS` and gives its output; fails the test, with kubectl's words, when it fails.
pub(crate) fn run(arguments: &[&str]) -> String {
    let output = kubectl().args(arguments).stdin(Stdio::null()).output().expect("kubectl can be started");
    text(&format!("kubectl {}", arguments.join(" ")), &output)
}

/// `kubectl apply -f -` with these manifests.
pub(crate) fn apply(manifests: &str) -> String {
    let output = try_apply(manifests);
    text("kubectl apply", &output)
}

/// As [`apply`], by the server and into this namespace unless the manifests name another.
pub(crate) fn apply_in(namespace: &str, manifests: &str) -> String {
    let arguments = ["apply", "--server-side", "--force-conflicts", "-n", namespace, "-f", "-"];
    text(&format!("kubectl apply into {namespace}"), &piped(&arguments, manifests))
}

/// As [`apply`], for what is expected to be refused.
pub(crate) fn try_apply(manifests: &str) -> Output {
    piped(&["apply", "-f", "-"], manifests)
}

fn piped(arguments: &[&str], manifests: &str) -> Output {
    let mut child = kubectl()
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("kubectl can be started");
    let mut stdin = child.stdin.take().expect("kubectl has a stdin");
    stdin.write_all(manifests.as_bytes()).expect("kubectl reads the manifests");
    drop(stdin);
    child.wait_with_output().expect("kubectl ends")
}

fn text(what: &str, output: &Output) -> String {
    assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// All that is printed, warnings included, or why it was refused.
pub(crate) fn ask(arguments: &[&str], manifests: &str) -> Result<String, String> {
    let output = piped(arguments, manifests);
    let said =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    if output.status.success() { Ok(said) } else { Err(said) }
}

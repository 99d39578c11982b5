//! Where the third-party parts are that tests run.

use std::path::PathBuf;

/// The folder with `node_modules`.
pub(crate) fn node_parts() -> PathBuf {
    folder("PARTS_NODE")
}

/// Node itself.
pub(crate) fn node() -> PathBuf {
    node_parts().join("node_modules/.bin/node")
}

/// The Python environment, with `bin`.
pub(crate) fn python_parts() -> PathBuf {
    folder("PARTS_PYTHON")
}

/// A client of `tests/parts/clients`.
pub(crate) fn client(script: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/parts/clients").join(script)
}

/// The programs of PostgreSQL and Redis, and their libraries.
pub(crate) fn postgresql() -> PathBuf {
    folder("PARTS_POSTGRESQL")
}

pub(crate) fn redis() -> PathBuf {
    folder("PARTS_REDIS")
}

pub(crate) fn debian_libraries() -> PathBuf {
    folder("PARTS_DEBIAN_LIBRARIES")
}

/// The program, from `tests/parts/gitea`.
pub(crate) fn gitea() -> PathBuf {
    folder("PARTS_GITEA")
}

/// What it reads.
pub(crate) fn gitea_static() -> PathBuf {
    folder("PARTS_GITEA_STATIC")
}

/// What forges publish of their APIs, from `tests/parts/forges/install`.
pub(crate) fn forges() -> PathBuf {
    folder("PARTS_FORGES")
}

/// The YAML files of other projects, and what reads them beside us.
pub(crate) fn corpus() -> PathBuf {
    folder("PARTS_CORPUS")
}

/// The Python environment with mcp-fuzzer, from `tests/parts/fuzzer/install`.
pub(crate) fn fuzzer() -> PathBuf {
    folder("PARTS_FUZZER")
}

/// The Kubernetes programs in one file; `kubectl` is its first argument.
pub(crate) fn kubernetes() -> String {
    program("PARTS_KUBERNETES")
}

pub(crate) fn helm() -> String {
    program("PARTS_HELM")
}

fn program(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        panic!("{variable} is not set: export what `tests/cluster/harness/parts renderers` prints, or use tests/run")
    })
}

fn folder(variable: &str) -> PathBuf {
    let folder = std::env::var_os(variable).unwrap_or_else(|| {
        panic!("{variable} is not set: run tests/parts/install and export what it prints, or use tests/run")
    });
    PathBuf::from(folder)
}

//! `pilothouse snapshot`.

use std::io::Write;

use anyhow::Context;

use crate::{
    cli::SnapshotArgs,
    cluster::{self, ConnectOptions},
};

/// Records the cluster and says what is in the recording.
pub(super) async fn snapshot(arguments: SnapshotArgs) -> anyhow::Result<()> {
    let SnapshotArgs { dir, kubeconfig, context, namespaces } = arguments;
    let connection = cluster::connect(&ConnectOptions { kubeconfig, context }).await?;
    let recorded = cluster::record::record(&connection.reader, &dir, &namespaces).await?;
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "Recorded {} objects of {} kinds and {} logs of {} in {}.",
        recorded.objects,
        recorded.kinds,
        recorded.logs,
        connection.server,
        dir.display()
    )
    .and_then(|()| recorded.missing.iter().try_for_each(|missing| writeln!(out, "Not recorded: {missing}")))
    .and_then(|()| writeln!(out, "Serve it with: pilothouse serve --snapshot {}", dir.display()))
    .context("stdout cannot be written")
}

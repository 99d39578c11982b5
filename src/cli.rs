//! Every flag and its environment variable.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::bridge::BridgeArgs;

/// One place from which an assistant looks at a Kubernetes cluster, asks for changes to it, and reaches every
/// MCP server that runs in it.
#[derive(Debug, Parser)]
#[command(name = "pilothouse", version, max_term_width = 110)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,

    /// What to log to stderr: error, warn, info, debug, trace, or a filter such as `info,pilothouse::gateway=debug`
    #[arg(long, global = true, env = "PILOTHOUSE_LOG", default_value = "info", value_name = "FILTER")]
    pub log: String,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    #[command(flatten)]
    Job(Job),
    /// Serve a stdio MCP server as Streamable HTTP; runs in the server's own pod
    Bridge(BridgeArgs),
}

/// What the application does; the bridge is none of it.
#[derive(Debug, Subcommand)]
pub enum Job {
    /// Serve MCP: over stdin and stdout, or over HTTP with --http
    Serve(Box<ServeArgs>),
    /// Serve a recorded broken cluster and two local example servers, to try everything without a cluster
    Demo(DemoArgs),
    /// Record a cluster into a folder, redacted, to be served later with `serve --snapshot`
    Snapshot(SnapshotArgs),
    /// Print the custom resource definitions as YAML
    Crds,
    /// Print everything an installation in a cluster needs, as YAML for `kubectl apply`
    Manifests(ManifestsArgs),
    /// Prove the audit record whole, or print it in the words of other systems
    #[command(subcommand)]
    Audit(AuditCommand),
}

#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Prove that each file is what was written and signed; say the first line that is not, and fail
    Verify(VerifyArgs),
    /// Print each line as an event of another format, one JSON object a line
    Export(ExportArgs),
}

#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// A file of the record, such as DATA/audit/audit.jsonl; what proves it lies beside it
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// A point the log must still contain: the Audit-Checkpoint trailer of a commit, as it stands there (repeatable)
    #[arg(long = "anchor", value_name = "TRAILER")]
    pub anchors: Vec<String>,

    /// The log's verifier key, the text of its .pub file, as you kept it elsewhere; without it the one beside the file
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
}

#[derive(Debug, Args)]
pub struct ExportArgs {
    /// What to print
    #[arg(long, value_enum)]
    pub format: ExportFormat,

    /// A file of the record; export does not prove it, verify does
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// OCSF API Activity, class 6003
    Ocsf,
    /// CloudEvents 1.0 in JSON
    #[value(name = "cloudevents")]
    CloudEvents,
}

#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Serve /mcp and /sse at this address instead of stdin and stdout, for example 127.0.0.1:8080
    #[arg(long, env = "PILOTHOUSE_HTTP", value_name = "ADDR")]
    pub http: Option<SocketAddr>,

    #[command(flatten)]
    pub door: DoorArgs,

    /// Whether this process reconciles MCPServer resources; auto: on inside a cluster, off with a laptop's kubeconfig
    #[arg(long, env = "PILOTHOUSE_OPERATOR", value_enum, default_value_t = Operator::Auto)]
    pub operator: Operator,

    /// Seconds after which another replica takes over from one that fell silent
    #[arg(long, env = "PILOTHOUSE_LEASE_SECONDS", value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u8).range(3..=60))]
    pub lease_seconds: u8,

    /// The kubeconfig to use; without it KUBECONFIG, ~/.kube/config, or in a pod its service account
    #[arg(long, env = "PILOTHOUSE_KUBECONFIG", value_name = "FILE", conflicts_with = "snapshot")]
    pub kubeconfig: Option<PathBuf>,

    /// The kubeconfig context to use; without it the current one
    #[arg(long, env = "PILOTHOUSE_CONTEXT", value_name = "NAME", conflicts_with = "snapshot")]
    pub context: Option<String>,

    /// Serve a recorded cluster from this folder instead of a live one
    #[arg(long, env = "PILOTHOUSE_SNAPSHOT", value_name = "DIR")]
    pub snapshot: Option<PathBuf>,

    /// Run the MCPServer manifests of this folder as local processes, and follow its changes
    #[arg(long, env = "PILOTHOUSE_SERVERS", value_name = "DIR")]
    pub servers: Option<PathBuf>,

    /// What must outlive the process: the audit record, local change requests
    #[arg(long, env = "PILOTHOUSE_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,

    /// Whether each line of the audit record also goes to stderr, as JSON, for whoever collects logs there; auto: with --http
    #[arg(long, env = "PILOTHOUSE_AUDIT_STDERR", value_enum, default_value_t = AuditStderr::Auto)]
    pub audit_stderr: AuditStderr,

    /// The configuration file
    #[arg(long, env = "PILOTHOUSE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Use MCPServers of this namespace only (repeatable); without it those of all namespaces
    #[arg(long = "namespace", env = "PILOTHOUSE_NAMESPACE", value_name = "NS", value_delimiter = ',')]
    pub namespaces: Vec<String>,
}

#[derive(Debug, Args)]
pub struct ManifestsArgs {
    /// Work in this namespace only, with a Role there instead of a ClusterRole (repeatable); without it everywhere
    #[arg(long = "namespace", value_name = "NS", value_delimiter = ',')]
    pub namespaces: Vec<String>,

    /// Also let the API server ask pilothouse before it stores a resource of ours
    #[arg(long)]
    pub webhook: bool,

    /// Also ask the API server about each change before a person does, as an account that may only dry-run
    #[arg(long)]
    pub dry_run_identity: bool,

    /// Also let the API server tell pilothouse who writes what, for the record of emergencies
    #[arg(long, requires = "webhook")]
    pub witness: bool,
}

/// Who may come in over HTTP, and by which names.
#[derive(Clone, Debug, Default, Args)]
pub struct DoorArgs {
    /// Health and metrics; without it the address of --http with the port after it
    #[arg(long, env = "PILOTHOUSE_HEALTH", value_name = "ADDR")]
    pub health: Option<SocketAddr>,

    /// File with the bearer token that clients must send; PILOTHOUSE_TOKEN may hold the token itself
    #[arg(long, env = "PILOTHOUSE_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,

    /// Let everybody in who can reach the address
    #[arg(long, env = "PILOTHOUSE_ALLOW_ANONYMOUS")]
    pub allow_anonymous: bool,

    /// A host name that clients use for this server, besides loopback and its Service's (repeatable)
    #[arg(long = "allow-host", env = "PILOTHOUSE_ALLOW_HOST", value_name = "HOST", value_delimiter = ',')]
    pub hosts: Vec<String>,

    /// A web origin whose pages may call this server, besides localhost's (repeatable)
    #[arg(
        long = "allow-origin",
        env = "PILOTHOUSE_ALLOW_ORIGIN",
        value_name = "ORIGIN",
        value_delimiter = ','
    )]
    pub origins: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Operator {
    Auto,
    On,
    Off,
}

/// Whether lines of the record are copied to stderr.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AuditStderr {
    /// On with --http, where a cluster collects what a pod writes. Off over stdio, where a person sees it between the
    /// messages, and some clients read stderr late or never.
    Auto,
    On,
    Off,
}

#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Where to serve
    #[arg(long, env = "PILOTHOUSE_HTTP", value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub http: SocketAddr,

    /// Where the examples are unpacked and the audit record is kept
    #[arg(long, env = "PILOTHOUSE_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct SnapshotArgs {
    /// The folder to write; it must not exist yet or be empty
    pub dir: PathBuf,

    /// The kubeconfig to use; without it KUBECONFIG, ~/.kube/config, or in a pod its service account
    #[arg(long, env = "PILOTHOUSE_KUBECONFIG", value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,

    /// The kubeconfig context to record; without it the current one
    #[arg(long, env = "PILOTHOUSE_CONTEXT", value_name = "NAME")]
    pub context: Option<String>,

    /// Leave out what is in other namespaces (repeatable); without it everything is recorded
    #[arg(long = "namespace", value_name = "NS", value_delimiter = ',')]
    pub namespaces: Vec<String>,
}

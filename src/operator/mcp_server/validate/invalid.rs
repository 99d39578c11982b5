//! Why a spec cannot be acted on.

/// The field and the fix, in one sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::operator::mcp_server) enum InvalidSpec {
    #[error("spec.image and spec.remote exclude each other: remove one of them")]
    ImageAndRemote,
    #[error(
        "spec.image is missing: set spec.image to run a server, or spec.remote.url to use one that is already there"
    )]
    NeitherImageNorRemote,
    #[error(
        "spec.command is required when spec.transport is stdio: name the program the image would start, for example [\"node\", \"server.js\"]"
    )]
    StdioWithoutCommand,
    #[error("spec.transport stdio has no meaning with spec.remote: use streamable-http or sse")]
    StdioRemote,
    #[error("spec.port is {0}: set the port the server listens on, from 1 to 65535")]
    Port(i32),
    #[error("spec.path `{0}` does not begin with /: write it like /mcp")]
    Path(String),
    #[error("spec.replicas is {0}: set 0 to stop the server, or a positive number")]
    Replicas(i32),
    #[error(
        "spec.remote.url `{0}` is not an http or https URL with a host: write it like https://mcp.example.com/mcp"
    )]
    Url(String),
    #[error("spec.gateway.prefix: {0}")]
    Prefix(String),
    #[error(
        "pilothouse does not know its own image, which brings the bridge for stdio servers: set the environment variable PILOTHOUSE_IMAGE of pilothouse to the image it runs from"
    )]
    NoBridgeImage,
    #[error("spec.storage of {0} must hold exactly one of claimName, emptyDir and size: set one of them")]
    Storage(String),
    #[error("spec.storage has two volumes at {0}: give each a mountPath of its own")]
    MountedTwice(String),
    #[error("spec.secrets[{0}] must hold exactly one of env and file: say where the server finds it")]
    SecretPlace(usize),
    #[error("spec.secrets[{0}] must hold exactly one of secretKeyRef and external: say where it is kept")]
    SecretSource(usize),
    #[error("{0} is set by spec.env and by spec.secrets: remove one of them")]
    SetTwice(String),
    #[error("{field} is {port}: set a port from 1 to 65535")]
    OtherPort { field: &'static str, port: i32 },
    #[error(
        "spec.autoscaling goes from {min} to {max} pods: set min to at least 1 and max to no less than min"
    )]
    Autoscaling { min: i32, max: i32 },
    #[error(
        "spec.disruptionBudget must hold exactly one of minAvailable and maxUnavailable: set one of them"
    )]
    DisruptionBudget,
    #[error("spec.serviceAccount.name is an account that exists: remove create and annotations, or the name")]
    Account,
    #[error(
        "pilothouse does not know its own image, which fills spec.dataSources.template: set the environment variable PILOTHOUSE_IMAGE of pilothouse to the image it runs from"
    )]
    NoFillImage,
    #[error("{0}")]
    Sources(String),
    #[error("the object has no name, namespace or uid: it was not read from an API server")]
    NotStored,
}

impl InvalidSpec {
    /// The field that it begins with, and the rest of the sentence.
    pub(in crate::operator::mcp_server) fn split(&self) -> (String, String) {
        let said = self.to_string();
        let field = said.split([' ', ':']).next().filter(|word| word.starts_with("spec."));
        (field.unwrap_or("spec").to_owned(), said)
    }

    /// The reason of the condition.
    pub(in crate::operator::mcp_server) fn reason(&self) -> &'static str {
        match self {
            Self::NoBridgeImage | Self::NoFillImage => "BridgeImageUnknown",
            Self::Sources(_) => "DataSourcesNotUsable",
            _ => "InvalidSpec",
        }
    }
}

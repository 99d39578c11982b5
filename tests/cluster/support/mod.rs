//! What the cluster tests share.

pub(crate) mod asking;
pub(crate) mod audit_log;
pub(crate) mod client;
pub(crate) mod crd;
pub(crate) mod crowd;
pub(crate) mod external_secrets;
pub(crate) mod fake_node;
pub(crate) mod follower;
pub(crate) mod installation;
pub(crate) mod kubectl;
pub(crate) mod namespace;
pub(crate) mod one_server;
pub(crate) mod openshift;
pub(crate) mod operator_crds;
pub(crate) mod own_operator;
pub(crate) mod piped;
pub(crate) mod process;
pub(crate) mod prometheus;
pub(crate) mod relay;
pub(crate) mod replica;

pub(crate) mod served;
pub(crate) mod served_at;
pub(crate) mod talk;
pub(crate) mod tools;
pub(crate) mod wait;
pub(crate) mod webhook;
pub(crate) mod whole;
pub(crate) mod witness;

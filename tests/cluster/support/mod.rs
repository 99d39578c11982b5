//! What the cluster tests share.

pub(crate) mod follower;
pub(crate) mod installation;
pub(crate) mod kubectl;
pub(crate) mod namespace;

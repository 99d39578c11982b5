//! What is looked for: one subject a file, each a plain function of the picture.

mod access;
mod admission;
mod autoscaling;
mod backends;
mod certificates;
mod crashes;
mod custom;
mod deletion;
mod disruption;
mod environment;
mod evictions;
mod exposure;
mod gateways;
mod hints;
mod images;
mod ingresses;
mod init_containers;
mod jobs;
mod limits;
mod names;
mod network_policies;
mod nodes;
mod obstacles;
mod openshift;
mod placement;
mod probes;
mod references;
mod refusals;
mod scheduling;
mod service_ports;
mod services;
mod storage;
mod subject;
mod turned_out;
mod waiting;
mod workloads;

#[cfg(test)]
mod example;

use super::{finding::Finding, picture::Picture};

/// Looks at the picture and tells what is wrong.
pub(super) type Check = fn(&Picture, &mut Vec<Finding>);

/// All checks. Their order does not matter.
pub(super) const ALL: &[Check] = &[
    access::check,
    admission::check,
    autoscaling::check,
    backends::check,
    certificates::check,
    crashes::check,
    custom::check,
    deletion::check,
    disruption::check,
    environment::check,
    evictions::check,
    exposure::check,
    gateways::check,
    hints::check,
    images::check,
    ingresses::check,
    init_containers::check,
    jobs::check,
    limits::check,
    names::check,
    network_policies::check,
    nodes::check,
    openshift::check,
    probes::check,
    references::check,
    scheduling::check,
    service_ports::check,
    services::check,
    storage::check,
    turned_out::check,
    workloads::check,
];

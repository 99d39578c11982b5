//! What is looked for: one subject a file, each a plain function of the picture.

mod access;
mod admission;
mod autoscaling;
mod backends;
mod certificates;
mod custom;
mod deletion;
mod disruption;
mod exposure;
mod gateways;
mod hints;
mod ingresses;
mod limits;
mod network_policies;
mod nodes;
mod openshift;
mod refusals;
mod service_ports;
mod services;

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
    custom::check,
    deletion::check,
    disruption::check,
    exposure::check,
    gateways::check,
    hints::check,
    ingresses::check,
    limits::check,
    network_policies::check,
    nodes::check,
    openshift::check,
    service_ports::check,
    services::check,
];

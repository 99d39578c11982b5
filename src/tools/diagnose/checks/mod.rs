//! What is looked for: one subject a file, each a plain function of the picture.

mod backends;
mod certificates;
mod exposure;
mod ingresses;
mod network_policies;
mod service_ports;
mod services;

#[cfg(test)]
mod example;

use super::{finding::Finding, picture::Picture};

/// Looks at the picture and tells what is wrong.
pub(super) type Check = fn(&Picture, &mut Vec<Finding>);

/// All checks. Their order does not matter.
pub(super) const ALL: &[Check] = &[
    backends::check,
    certificates::check,
    exposure::check,
    ingresses::check,
    network_policies::check,
    service_ports::check,
    services::check,
];

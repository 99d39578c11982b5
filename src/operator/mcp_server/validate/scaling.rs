//! How many pods, and who says so.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde::Serialize;

use super::InvalidSpec;
use crate::api::mcp_server::{Autoscaling, DisruptionBudget};

/// The number of pods as declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::operator::mcp_server) struct Replicas {
    /// `spec.replicas`; with a range only whether it is 0 counts.
    pub declared: i32,
    /// The HorizontalPodAutoscaler chooses in it.
    pub range: Option<Range>,
}

/// At least 1, and no upside down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::operator::mcp_server) struct Range {
    pub min: i32,
    pub max: i32,
}

impl Replicas {
    pub(super) fn of(declared: i32, autoscaling: Option<&Autoscaling>) -> Result<Self, InvalidSpec> {
        if declared < 0 {
            return Err(InvalidSpec::Replicas(declared));
        }
        let range = match autoscaling {
            None => None,
            Some(Autoscaling { min, max, .. }) if *min < 1 || max < min => {
                return Err(InvalidSpec::Autoscaling { min: *min, max: *max });
            }
            Some(Autoscaling { min, max, .. }) => Some(Range { min: *min, max: *max }),
        };
        Ok(Self { declared, range })
    }

    /// Of a Deployment that is made.
    pub(in crate::operator::mcp_server) fn first(self) -> i32 {
        match self.range {
            Some(Range { min, max }) if self.declared > 0 => self.declared.clamp(min, max),
            _ => self.declared,
        }
    }

    /// What a Deployment should have that has `now`. What an autoscaler chose stays; from 0 it would not rise
    /// by itself.
    pub(in crate::operator::mcp_server) fn wanted(self, now: Option<i32>) -> i32 {
        match (self.range, now) {
            (Some(_), Some(now)) if self.declared > 0 && now > 0 => now,
            _ => self.first(),
        }
    }
}

/// What the HorizontalPodAutoscaler aims at, in percent of what is requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(in crate::operator::mcp_server) struct Targets {
    pub cpu: Option<i32>,
    pub memory: Option<i32>,
}

impl Targets {
    pub(super) fn of(autoscaling: &Autoscaling) -> Self {
        let Autoscaling { cpu, memory, min: _, max: _ } = autoscaling;
        let cpu = if cpu.is_none() && memory.is_none() { Some(80) } else { *cpu };
        Self { cpu, memory: *memory }
    }
}

/// How many pods a drain of nodes leaves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(in crate::operator::mcp_server) enum Budget {
    MinAvailable(IntOrString),
    MaxUnavailable(IntOrString),
}

impl Budget {
    pub(super) fn of(budget: &DisruptionBudget) -> Result<Self, InvalidSpec> {
        let DisruptionBudget { min_available, max_unavailable } = budget;
        match (min_available, max_unavailable) {
            (Some(min), None) => Ok(Self::MinAvailable(min.clone())),
            (None, Some(max)) => Ok(Self::MaxUnavailable(max.clone())),
            _ => Err(InvalidSpec::DisruptionBudget),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Range, Replicas};

    fn scaled(declared: i32) -> Replicas {
        Replicas { declared, range: Some(Range { min: 2, max: 5 }) }
    }

    #[test]
    fn the_declared_number_is_held() {
        let fixed = Replicas { declared: 3, range: None };
        assert_eq!((fixed.first(), fixed.wanted(Some(7)), fixed.wanted(None)), (3, 3, 3));
    }

    #[test]
    fn what_an_autoscaler_chose_stays() {
        assert_eq!(scaled(1).first(), 2);
        assert_eq!(scaled(9).first(), 5);
        assert_eq!(scaled(1).wanted(Some(4)), 4);
    }

    #[test]
    fn zero_stops_and_one_starts_again() {
        assert_eq!(scaled(0).wanted(Some(4)), 0);
        assert_eq!(scaled(1).wanted(Some(0)), 2);
    }
}

//! When each server is to be looked at again. Pure: the time comes from outside.

use std::collections::HashMap;

use tokio::time::Instant;

use crate::fleet::ServerName;

#[derive(Debug, Default)]
pub(super) struct Alarms(HashMap<ServerName, Instant>);

impl Alarms {
    pub(super) fn set(&mut self, name: &ServerName, at: Option<Instant>) {
        match at {
            Some(at) => drop(self.0.insert(name.clone(), at)),
            None => drop(self.0.remove(name)),
        }
    }

    /// Those of one namespace, or of all, whose time has come; each rings once.
    pub(super) fn take_due(&mut self, now: Instant, namespace: Option<&str>) -> Vec<ServerName> {
        let is_due = |(name, at): &(&ServerName, &Instant)| {
            **at <= now && namespace.is_none_or(|only| only == name.namespace)
        };
        let due: Vec<ServerName> = self.0.iter().filter(is_due).map(|(name, _)| name.clone()).collect();
        for name in &due {
            self.0.remove(name);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::Alarms;
    use crate::fleet::ServerName;

    #[test]
    fn each_rings_once_at_its_time() {
        let name = ServerName { namespace: "a".to_owned(), name: "b".to_owned() };
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut alarms = Alarms::default();
        alarms.set(&name, Some(at(60)));
        assert!(alarms.take_due(at(59), None).is_empty());
        assert!(alarms.take_due(at(60), Some("other")).is_empty());
        assert_eq!(alarms.take_due(at(60), Some("a")), std::slice::from_ref(&name));
        assert!(alarms.take_due(at(61), None).is_empty());
        alarms.set(&name, Some(at(62)));
        alarms.set(&name, None);
        assert!(alarms.take_due(at(99), None).is_empty());
    }
}

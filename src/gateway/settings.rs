//! What holds for all downstreams of one gateway.

use std::{path::PathBuf, time::Duration};

use super::sessions::Lives;
use crate::answer::Ring;

/// How a gateway works, whatever its downstreams say.
#[derive(Clone, Debug)]
pub struct Settings {
    /// A folder where what the servers offered last is remembered; nowhere when absent.
    pub memory: Option<PathBuf>,
    /// A connection over HTTP that nobody has used for so long is closed.
    pub idle_after: Duration,
    /// How often the lists behind a closed connection are read, where the server does not say how long they hold.
    pub list_every: Duration,
    /// The shortest and the longest time that a server may say instead.
    pub list_between: (Duration, Duration),
    /// Sessions that are held for modern clients.
    pub lives: Lives,
    /// Seals what goes round through clients; replicas with the same one open it. Without one nothing can be asked
    /// back of a modern client.
    pub ring: Option<Ring>,
    /// Our name among the replicas.
    pub replica: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            memory: None,
            idle_after: Duration::from_secs(300),
            list_every: Duration::from_secs(300),
            list_between: (Duration::from_secs(30), Duration::from_secs(3600)),
            lives: Lives::default(),
            // Only this process opens what it seals.
            ring: Ring::random().ok(),
            replica: String::new(),
        }
    }
}

impl Settings {
    /// When lists that were read now are to be read again, where the connection is closed meanwhile.
    pub(super) fn lists_hold(&self, said: Option<Duration>) -> Duration {
        let (least, most) = self.list_between;
        said.map_or(self.list_every, |said| said.clamp(least, most.max(least)))
    }
}

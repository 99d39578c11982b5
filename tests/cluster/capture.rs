//! What people write past Git is captured: on a real API server, with kubectl as people use it.

mod cost;
mod killed;
mod script;
mod stage;
mod witnesses;

use script::{expected, script};
use stage::{Capturing, Stage};

//! The parts of the face under test.

pub mod sessions;

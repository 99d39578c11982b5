//! Root causes instead of symptoms, without a model: one bounded set of reads makes a [`Picture`](picture::Picture),
//! plain functions find what is wrong in it, and what follows from something else is folded under it.

#![allow(dead_code, reason = "filled room by room")]

mod cause;
mod checks;
mod customs;
mod finding;
mod look;
mod owning;
mod picture;
mod pods;
mod ports;
mod quantity;
mod reach;
mod routing;
mod selecting;
mod users;

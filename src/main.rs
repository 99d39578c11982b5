//! The program: TLS provider, arguments, run.

fn main() {}

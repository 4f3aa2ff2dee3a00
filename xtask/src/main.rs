//! Heliogram.

fn main() {}

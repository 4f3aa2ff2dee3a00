//! Tests of the codec: what it reads and writes, against vectors of other implementations, and what it refuses.

#[cfg(test)]
mod containers;
#[cfg(test)]
mod gzip;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod layer;
#[cfg(test)]
mod primitives;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod schema;
#[cfg(test)]
mod service;
#[cfg(test)]
mod vectors;

//! Values of any schema: against types that others generated, and against bytes and fields that are wrong.

#[cfg(test)]
mod catalog;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod objects;
#[cfg(test)]
mod peer;
#[cfg(test)]
mod random;
#[cfg(test)]
mod round_trip;

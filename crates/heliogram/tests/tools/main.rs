//! The tools that call servers, each in a process of its own, against scripted servers in this one.

#[cfg(test)]
mod bed;
#[cfg(test)]
mod call;
#[cfg(test)]
mod connection;
#[cfg(test)]
mod watch;

//! Listeners and connection loops: sockets in front of the pure link.

//! Tests of the transports as a whole: against vectors of other implementations, against malformed bytes, and
//! against themselves at every way to cut a stream.

mod detection;
mod fake_tls;
mod frames;
mod http;
mod limits;
mod malformed;
mod obfuscation;
mod proxy;
mod splits;
mod support;
mod websocket_frames;
mod websockets;

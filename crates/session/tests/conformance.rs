//! The port of one process passes the suite that every other way to sessions passes.

use std::sync::Arc;

use heliogram_crypto::SecretBytes;
use heliogram_ports::conformance::{self, TERM};
use heliogram_proto::host::Config;
use heliogram_session::LocalPort;
use tokio::runtime::Handle;

#[tokio::test]
async fn the_port_of_one_process_conforms() {
    conformance::session_port(async |keys, backend| {
        let config = Config::new(TERM, SecretBytes::new([1; 32]));
        let port = LocalPort::new(&config, 4, keys, backend, Handle::current());
        Arc::new(port) as Arc<_>
    })
    .await;
}

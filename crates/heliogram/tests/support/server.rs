//! A server in a process of its own.

use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use heliogram_crypto::rsa::PublicKey;
use heliogram_tl::Serialize;
use heliogram_tl::api::{InitConnection, InvokeWithLayer};

/// A running server; killed when dropped.
pub(crate) struct Server {
    pub(crate) child: Child,
    endpoints: serde_json::Value,
    public_pem: String,
}

impl Server {
    /// Starts a server on a directory and waits until it listens.
    pub(crate) fn start(data: &Path, options: &[&str]) -> Self {
        Self::spawn(data, &mut command(data, options))
    }

    /// Starts a server by a command and waits until it is ready.
    pub(crate) fn spawn(data: &Path, command: &mut Command) -> Self {
        let endpoints_file = data.join("endpoints.json");
        // What a killed server has left.
        let _ = std::fs::remove_file(&endpoints_file);
        let mut child = command.spawn().unwrap();
        let patience = Instant::now() + Duration::from_secs(30);
        while !endpoints_file.exists() {
            let (ended, mut error) = (child.try_wait().unwrap(), String::new());
            if ended.is_some()
                && let Some(mut stderr) = child.stderr.take()
            {
                stderr.read_to_string(&mut error).unwrap();
            }
            assert_eq!(ended, None, "{error}");
            assert!(Instant::now() < patience, "the server does not listen");
            std::thread::sleep(Duration::from_millis(5));
        }
        let endpoints = serde_json::from_slice(&std::fs::read(&endpoints_file).unwrap()).unwrap();
        // A session node has none.
        let public_pem = std::fs::read_to_string(data.join("server_public.pem"));
        Self {
            child,
            endpoints,
            public_pem: public_pem.unwrap_or_default(),
        }
    }

    /// Sends a signal, by its name without SIG.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status();
        assert!(sent.unwrap().success());
    }

    pub(crate) fn tcp(&self) -> SocketAddr {
        let first = self.endpoints.pointer("/tcp/0").unwrap();
        first.as_str().unwrap().parse().unwrap()
    }

    pub(crate) fn admin(&self) -> SocketAddr {
        let admin = self.endpoints.get("admin").unwrap();
        admin.as_str().unwrap().parse().unwrap()
    }

    pub(crate) fn public_key(&self) -> PublicKey {
        PublicKey::from_pem(&self.public_pem).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server on ports that the system chooses.
pub(crate) fn command(data: &Path, options: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_heliogram"));
    command.arg("serve").arg("--data").arg(data).args(options);
    for option in ["--listen", "--ws-listen", "--admin"] {
        command.args([option, "127.0.0.1:0"]);
    }
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// `invokeWithLayer(222, initConnection(query))`.
pub(crate) fn first_call(query: &[u8]) -> Vec<u8> {
    let init = InitConnection {
        api_id: 4,
        device_model: b"test",
        system_version: b"1",
        app_version: b"1",
        system_lang_code: b"en",
        lang_pack: b"",
        lang_code: b"en",
        proxy: None,
        params: None,
        query,
    };
    InvokeWithLayer {
        layer: 222,
        query: &init.to_bytes(),
    }
    .to_bytes()
}

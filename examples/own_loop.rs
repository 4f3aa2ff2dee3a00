//! A client on your own event loop: one thread, blocking sockets, no tokio.
//!
//! Teaches: that the protocol is a value. [`Engine`] is told what happens ([`Input`]) and says what it wants done
//! ([`Effect`]); the socket, the clock and the randomness are yours, whatever they are. Forty lines make a driver.

use std::collections::{BTreeMap, VecDeque};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use heliogram_crypto::rsa::PublicKey;
use heliogram_ports::{Reply, clock::Clock, random};
use heliogram_proto::client::{Config, Effect, Engine, Event, Input};
use heliogram_proto::cx::Cx;
use heliogram_proto::ids::SessionId;
use heliogram_proto::session::client::Event as SessionEvent;
use heliogram_proto::transport::Framing;
use heliogram_proto::transport::client::{Config as Transport, Obfuscation};
use heliogram_tl::api::{InitConnection, InvokeWithLayer, NearestDc, help::GetNearestDc};
use heliogram_tl::{Deserialize as _, Serialize as _};

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: own_loop ADDRESS PUBLIC_KEY_FILE";
    let address = arguments.next().context(usage)?.parse()?;
    let pem = std::fs::read_to_string(arguments.next().context(usage)?)?;

    let mut driver = Driver::new(address, PublicKey::from_pem(&pem)?);
    let Reply::Result(body) = driver.call(&introduced(&GetNearestDc.to_bytes()))? else {
        bail!("the server refuses to say where we are");
    };
    println!(
        "data centre {} answers",
        NearestDc::from_bytes(&body)?.this_dc
    );
    driver.step(Engine::stop)
}

/// What an engine lacks: a socket, a clock, randomness. And somewhere to put answers.
struct Driver {
    engine: Engine,
    address: SocketAddr,
    socket: Option<TcpStream>,
    clock: Clock,
    answers: BTreeMap<u64, Reply>,
}

impl Driver {
    fn new(address: SocketAddr, server: PublicKey) -> Self {
        let transport = Transport::new(Framing::Intermediate).obfuscated(Obfuscation::default());
        let config = Config::new(transport, vec![server]);
        // A server knows a session by this number; a key that was kept from last time would stand beside it.
        let session = SessionId(i64::from(std::process::id()));
        Self {
            engine: Engine::new(config, None, session),
            address,
            socket: None,
            clock: Clock::start(),
            answers: BTreeMap::new(),
        }
    }

    /// Makes a call and turns the loop until it is answered.
    fn call(&mut self, method: &[u8]) -> anyhow::Result<Reply> {
        let due = self.clock.now().mono + Duration::from_secs(30);
        let call = self.engine.call(Bytes::copy_from_slice(method), due)?;
        self.step(Engine::start)?;
        self.step(Engine::flush)?;
        loop {
            if let Some(reply) = self.answers.remove(&call) {
                return Ok(reply);
            }
            self.turn()?;
        }
    }

    /// Waits for bytes, but not longer than the engine can.
    fn turn(&mut self) -> anyhow::Result<()> {
        let now = self.clock.now().mono;
        let deadline = self.engine.next_deadline();
        let wait = deadline.map_or(Duration::from_secs(60), |at| at.since(now));
        if wait.is_zero() {
            return self.step(Engine::handle_deadline);
        }
        let Some(socket) = &mut self.socket else {
            std::thread::sleep(wait);
            return Ok(());
        };
        socket.set_read_timeout(Some(wait))?;
        let mut buffer = [0; 4096];
        match socket.read(&mut buffer) {
            Ok(count @ 1..) => {
                let bytes = buffer.get_mut(..count).unwrap_or_default();
                self.step(|engine, cx| engine.handle(Input::Bytes(bytes), cx))
            }
            Err(error) if matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock) => {
                Ok(())
            }
            Ok(0) | Err(_) => self.step(|engine, cx| engine.handle(Input::Disconnected, cx)),
        }
    }

    /// Lets the engine take a step, and does what it wants, which may lead to another step.
    fn step(&mut self, step: impl FnOnce(&mut Engine, &mut Cx<'_, Effect>)) -> anyhow::Result<()> {
        let mut wanted = VecDeque::from(self.effects_of(step));
        while let Some(effect) = wanted.pop_front() {
            let input = match effect {
                Effect::Dial => Some(self.dial()),
                Effect::Send(bytes) => self.send(&bytes),
                Effect::HangUp => {
                    self.socket = None;
                    None
                }
                // The arithmetic of a handshake. A loop that serves others meanwhile would use a thread.
                Effect::Work(work) => Some(Input::Worked(work.run(&mut random::system()))),
                // The key that was made: who stores it needs no handshake next time.
                Effect::Keep(_saved) => None,
                Effect::Tell(event) => {
                    self.on_event(event)?;
                    None
                }
            };
            if let Some(input) = input {
                wanted.extend(self.effects_of(|engine, cx| engine.handle(input, cx)));
            }
        }
        Ok(())
    }

    fn effects_of(&mut self, step: impl FnOnce(&mut Engine, &mut Cx<'_, Effect>)) -> Vec<Effect> {
        let mut effects = Vec::new();
        let mut cx = Cx {
            now: self.clock.now(),
            rng: &mut random::lend(),
            out: &mut effects,
        };
        step(&mut self.engine, &mut cx);
        effects
    }

    fn dial(&mut self) -> Input<'static> {
        match TcpStream::connect_timeout(&self.address, Duration::from_secs(10)) {
            Ok(socket) => {
                self.socket = Some(socket);
                Input::Connected
            }
            // It says itself when it wants to try again.
            Err(_) => Input::Disconnected,
        }
    }

    fn send(&mut self, bytes: &[u8]) -> Option<Input<'static>> {
        let written = self.socket.as_mut()?.write_all(bytes);
        written.is_err().then(|| {
            self.socket = None;
            Input::Disconnected
        })
    }

    fn on_event(&mut self, event: Event) -> anyhow::Result<()> {
        match event {
            Event::Session(SessionEvent::Answer { call, reply }) => {
                self.answers.insert(call, reply);
            }
            Event::Session(SessionEvent::TimedOut { .. }) => bail!("no answer came in time"),
            Event::Failed(failure) => bail!("there is no way on: {failure}"),
            // Updates, reconnections and the like: whoever only asks a question need not know.
            Event::Session(_) | Event::Ready { .. } | Event::Lost { .. } | Event::KeyLost => {}
        }
        Ok(())
    }
}

/// Says who we are, around the first call: a server that does not know a key wants to know who uses it.
fn introduced(method: &[u8]) -> Vec<u8> {
    let init = InitConnection {
        api_id: 4,
        device_model: b"a loop of its own",
        system_version: b"1",
        app_version: b"1",
        system_lang_code: b"en",
        lang_pack: b"",
        lang_code: b"en",
        proxy: None,
        params: None,
        query: method,
    };
    let layered = InvokeWithLayer {
        layer: 222,
        query: &init.to_bytes(),
    };
    layered.to_bytes()
}

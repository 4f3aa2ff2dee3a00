//! `heliogram ready`: whether a process of this machine wants clients, for scripts and containers.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;

use crate::endpoints::Endpoints;

/// Which process is asked.
#[derive(Args, Debug)]
#[group(multiple = false)]
pub(crate) struct ReadyOptions {
    /// The process's admin address [default: 127.0.0.1:8088]
    #[arg(long, value_name = "ADDR", value_parser = crate::config::parse_address)]
    admin: Option<SocketAddr>,
    /// The process's data directory, whose `endpoints.json` names the address.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// Asks once, and prints what the process says: success if it is ready, failure if it is not, or not there.
///
/// # Errors
///
/// If nothing answers, or something else does.
pub(crate) fn run(options: &ReadyOptions) -> anyhow::Result<ExitCode> {
    let address = match (&options.data, options.admin) {
        (Some(data), _) => admin_of(data)?,
        (None, Some(address)) => address,
        (None, None) => SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_PORT)),
    };
    let (status, body) = ask(reachable(address))
        .with_context(|| format!("no process answers on {address}: is it running?"))?;
    println!("{}", body.trim_end());
    Ok(match status {
        200 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

fn admin_of(data: &Path) -> anyhow::Result<SocketAddr> {
    let endpoints = Endpoints::read(data);
    let endpoints = endpoints.with_context(|| {
        let data = data.display();
        format!("{data} has no endpoints.json: the process is not ready yet, or has another data directory")
    })?;
    Ok(endpoints.admin)
}

/// A process that listens everywhere also listens here.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Returns the status and the body of `GET /ready`.
fn ask(address: SocketAddr) -> anyhow::Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let request = format!("GET /ready HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    let status = head.strip_prefix("HTTP/1.1 ").and_then(|it| it.get(..3));
    let Some(status) = status.and_then(|it| it.parse().ok()) else {
        bail!("what answers there is no admin address");
    };
    Ok((status, body.to_owned()))
}

/// As `listen.admin` has it.
const DEFAULT_PORT: u16 = 8088;

/// How long each step may take: below the time-out that health checks mostly have.
const PATIENCE: Duration = Duration::from_secs(2);

/// More than any answer of ours.
const ANSWER_BYTES_MAX: u64 = 4096;

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn what_answers_otherwise_than_http_or_not_at_all_is_an_error() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let other = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(b"220 mail.example ESMTP\r\n").unwrap();
        });

        let error = ask(address).unwrap_err().to_string();

        assert!(
            error.contains("no admin address") || error.contains("reset"),
            "{error}"
        );
        other.join().unwrap();
        assert!(ask(address).is_err());
    }

    #[test]
    fn a_process_that_listens_everywhere_is_asked_on_this_machine() {
        for (given, asked) in [
            ("0.0.0.0:1", "127.0.0.1:1"),
            ("[::]:1", "[::1]:1"),
            ("192.0.2.1:1", "192.0.2.1:1"),
        ] {
            assert_eq!(reachable(given.parse().unwrap()), asked.parse().unwrap());
        }
    }
}

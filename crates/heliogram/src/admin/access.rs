//! Who may ask the admin address for what.
//!
//! Whether the process lives and is ready anybody may ask who reaches the address. All else needs the token, if there
//! is one; on an address that others than this machine reach there must be one. A browser that some page has sent here
//! is refused by what it says of itself: the name that it thinks it speaks to, or the page's origin.

use std::net::IpAddr;
use std::path::Path;

use anyhow::{Context as _, bail};
use heliogram_crypto::hash::ct_eq;
use hyper::header::{AUTHORIZATION, HOST, HeaderName, ORIGIN};
use hyper::{HeaderMap, StatusCode};
use zeroize::Zeroizing;

/// What a request must bring.
#[derive(Default)]
pub(crate) struct Access {
    token: Option<Zeroizing<String>>,
}

impl Access {
    /// Reads the token's file: one line.
    ///
    /// # Errors
    ///
    /// If it can't be read, or holds no token that is worth the name.
    pub(crate) fn load(token_file: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = token_file else {
            return Ok(Self::default());
        };
        let name = path.display();
        let text = std::fs::read_to_string(path)
            .map(Zeroizing::new)
            .with_context(|| format!("the token of the admin address, {name}, can't be read"))?;
        let token = text.trim();
        if token.len() < TOKEN_BYTES_MIN || token.contains(char::is_whitespace) {
            bail!(
                "{name}: expected one line of at least {TOKEN_BYTES_MIN} characters without blanks; \
                 make one with `openssl rand -hex 32`"
            );
        }
        Ok(Self {
            token: Some(Zeroizing::new(token.to_owned())),
        })
    }

    /// Checks a request for what only the operator may see.
    ///
    /// # Errors
    ///
    /// What to answer instead.
    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<(), StatusCode> {
        check_browser(headers)?;
        let Some(token) = &self.token else {
            return Ok(());
        };
        let given = headers
            .get(AUTHORIZATION)
            .map_or(&[][..], |it| it.as_bytes());
        let given = given.strip_prefix(b"Bearer ").unwrap_or_default();
        if ct_eq(given, token.as_bytes()) {
            Ok(())
        } else {
            Err(StatusCode::UNAUTHORIZED)
        }
    }
}

/// Refuses what a browser sends for a page of somebody else: a name that was made to lead here, or a foreign origin.
///
/// # Errors
///
/// What to answer instead.
pub(crate) fn check_browser(headers: &HeaderMap) -> Result<(), StatusCode> {
    if headers.contains_key(ORIGIN) {
        return Err(StatusCode::FORBIDDEN);
    }
    match text(headers, HOST) {
        Some(host) if is_own_name(host) => Ok(()),
        _ => Err(StatusCode::MISDIRECTED_REQUEST),
    }
}

/// Addresses are no names, and `localhost` leads nowhere else: only names can be made to lead here by a stranger. Within
/// a cluster, names of services have no dot.
fn is_own_name(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']');
    address.parse::<IpAddr>().is_ok() || (!name.is_empty() && !name.contains('.'))
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

const TOKEN_BYTES_MIN: usize = 16;

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn headers(of: &[(HeaderName, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in of {
            headers.insert(name, HeaderValue::from_static(value));
        }
        headers
    }

    fn access(token: &str) -> anyhow::Result<Access> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), token).unwrap();
        Access::load(Some(file.path()))
    }

    #[test]
    fn without_a_token_the_machine_itself_may_ask() {
        for host in [
            "127.0.0.1:8088",
            "[::1]:8088",
            "::1",
            "localhost:8088",
            "heliogram",
        ] {
            let headers = headers(&[(HOST, host)]);
            assert_eq!(Access::default().check(&headers), Ok(()), "{host}");
        }
    }

    #[test]
    fn a_name_that_leads_here_and_a_pages_origin_are_refused() {
        let rebound = headers(&[(HOST, "evil.example:8088")]);
        assert_eq!(
            Access::default().check(&rebound),
            Err(StatusCode::MISDIRECTED_REQUEST)
        );
        let foreign = headers(&[(HOST, "127.0.0.1:8088"), (ORIGIN, "https://evil.example")]);
        assert_eq!(
            Access::default().check(&foreign),
            Err(StatusCode::FORBIDDEN)
        );
        assert_eq!(
            Access::default().check(&headers(&[])),
            Err(StatusCode::MISDIRECTED_REQUEST)
        );
    }

    #[test]
    fn the_token_lets_in_and_nothing_else_does() {
        let access = access("0123456789abcdef\n").unwrap();
        let asking =
            |with: &'static str| headers(&[(HOST, "10.0.0.1:8088"), (AUTHORIZATION, with)]);
        assert_eq!(access.check(&asking("Bearer 0123456789abcdef")), Ok(()));
        for wrong in [
            "Bearer 0123456789abcdeF",
            "Bearer ",
            "Basic 0123456789abcdef",
            "0123456789abcdef",
        ] {
            let refused = access.check(&asking(wrong));
            assert_eq!(refused, Err(StatusCode::UNAUTHORIZED), "{wrong}");
        }
        let silent = headers(&[(HOST, "10.0.0.1:8088")]);
        assert_eq!(access.check(&silent), Err(StatusCode::UNAUTHORIZED));
    }

    #[test]
    fn a_token_of_16_characters_will_do_and_one_of_15_will_not() {
        assert!(access("0123456789abcdef").is_ok());
        let error = access("0123456789abcde").err().unwrap();
        assert!(error.to_string().contains("at least 16"), "{error}");
        assert!(access("").is_err());
        assert!(Access::load(Some(Path::new("/nowhere/token"))).is_err());
    }
}

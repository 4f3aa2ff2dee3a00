//! MTProxies: relays between a client and its servers that are shown a secret.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::general_purpose::GeneralPurpose;
use base64::engine::{DecodePaddingMode, GeneralPurposeConfig};
use heliogram_proto::transport::Secret;
use heliogram_proto::transport::fake_tls::DisguisedSecret;
use zeroize::Zeroizing;

use crate::limits::HOST_BYTES_MAX;

/// A relay to all data centres, which is shown a secret.
///
/// ```
/// use heliogram_client::MtProxy;
///
/// let link = "tg://proxy?server=proxy.example&port=443&secret=dd000102030405060708090a0b0c0d0e0f";
/// let proxy: MtProxy = link.parse()?;
/// assert_eq!((proxy.host.as_str(), proxy.port), ("proxy.example", 443));
/// # Ok::<(), heliogram_client::BadProxy>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MtProxy {
    /// Its name or its address. A name is looked up at each connection.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// What it is shown.
    pub secret: ProxySecret,
}

impl MtProxy {
    /// Names a proxy.
    #[must_use]
    pub fn new(host: &str, port: u16, secret: ProxySecret) -> Self {
        Self {
            host: host.to_owned(),
            port,
            secret,
        }
    }
}

impl FromStr for MtProxy {
    type Err = BadProxy;

    /// Reads a link: `tg://proxy?server=…&port=…&secret=…`, or the same with `https://t.me/proxy`.
    fn from_str(link: &str) -> Result<Self, BadProxy> {
        let (place, query) = link.split_once('?').ok_or(BadProxy::Link)?;
        let place = place.trim_end_matches('/');
        if !PLACES.iter().any(|it| place.eq_ignore_ascii_case(it)) {
            return Err(BadProxy::Link);
        }
        let query = query.split_once('#').map_or(query, |(query, _)| query);
        let (mut host, mut port, mut secret) = (None, None, None);
        for field in query.split('&') {
            let (name, value) = field.split_once('=').unwrap_or((field, ""));
            match name {
                "server" => host = Some(unescape(value)?),
                "port" => port = Some(unescape(value)?),
                "secret" => secret = Some(unescape(value)?),
                _ => {}
            }
        }
        let host = host.filter(|it| is_host(it)).ok_or(BadProxy::Server)?;
        let port = port.and_then(|it| it.parse().ok()).filter(|&it| it != 0);
        Ok(Self {
            host: host.to_string(),
            port: port.ok_or(BadProxy::Port)?,
            secret: secret.ok_or(BadProxy::Secret)?.parse()?,
        })
    }
}

/// A secret of one of the three kinds.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProxySecret {
    /// 16 bytes, or `dd` and 16 bytes: the connection is to look like noise, the second with frames of odd lengths.
    Obfuscated(Secret),
    /// `ee`, 16 bytes, and a domain: the connection is to look like a visit to that site.
    Disguised(DisguisedSecret),
}

impl ProxySecret {
    /// Reads the binary form.
    ///
    /// # Errors
    ///
    /// [`BadProxy::Secret`] if it is none of the three kinds.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadProxy> {
        let secret = match bytes {
            // Sixteen bytes that happen to begin so are a secret without a mark.
            [0xee, ..] if bytes.len() > 17 => {
                DisguisedSecret::from_bytes(bytes).map(Self::Disguised)
            }
            _ => Secret::from_bytes(bytes).map(Self::Obfuscated),
        };
        secret.map_err(|_| BadProxy::Secret)
    }
}

impl FromStr for ProxySecret {
    type Err = BadProxy;

    /// Reads a text form of the bytes: hex if it can be that, else Base64 of either alphabet, padded or not.
    fn from_str(text: &str) -> Result<Self, BadProxy> {
        let bytes = from_hex(text).or_else(|| from_base64(text));
        Self::from_bytes(&bytes.ok_or(BadProxy::Secret)?)
    }
}

impl fmt::Debug for ProxySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Obfuscated(_) => f.write_str("Obfuscated(…)"),
            Self::Disguised(secret) => write!(f, "Disguised({}, …)", secret.domain()),
        }
    }
}

/// What is wrong with a proxy's link or secret. Does not show the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadProxy {
    /// Another kind of link.
    #[error("a proxy's link begins with tg://proxy? or https://t.me/proxy?")]
    Link,
    /// No port, or none that exists.
    #[error("a proxy's link names a port from 1 to 65535: port=443")]
    Port,
    /// No secret, or none of the three kinds.
    #[error(
        "a proxy's secret is 16 bytes, dd and 16 bytes, or ee, 16 bytes and a domain; in hex or Base64"
    )]
    Secret,
    /// No server, or what can't be one.
    #[error("a proxy's link names a host or an address: server=proxy.example")]
    Server,
}

fn is_host(text: &str) -> bool {
    let is_part = |it: char| it.is_ascii_alphanumeric() || matches!(it, '-' | '.' | '_' | ':');
    (1..=HOST_BYTES_MAX).contains(&text.len()) && text.chars().all(is_part)
}

fn unescape(value: &str) -> Result<Zeroizing<String>, BadProxy> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(value.len()));
    let mut rest = value.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first != b'%' {
            bytes.push(first);
            continue;
        }
        let (digits, after) = rest.split_first_chunk::<2>().ok_or(BadProxy::Link)?;
        let [high, low] = digits.map(|it| char::from(it).to_digit(16));
        let both = high.zip(low).map(|(high, low)| high << 4 | low);
        let byte = both.and_then(|it| u8::try_from(it).ok());
        bytes.push(byte.ok_or(BadProxy::Link)?);
        rest = after;
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| BadProxy::Link)?;
    Ok(Zeroizing::new(text.to_owned()))
}

fn from_hex(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
        return None;
    };
    let digit = |it: u8| u8::try_from(char::from(it).to_digit(16)?).ok();
    let bytes: Option<Vec<u8>> = pairs
        .iter()
        .map(|&[high, low]| Some(digit(high)? << 4 | digit(low)?))
        .collect();
    bytes.map(Zeroizing::new)
}

fn from_base64(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let url_safe = Zeroizing::new(text.replace('+', "-").replace('/', "_"));
    let bytes = BASE64.decode(url_safe.as_bytes()).ok()?;
    Some(Zeroizing::new(bytes))
}

/// Lenient with padding, as links are.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What stands before the question mark.
const PLACES: [&str; 8] = [
    "tg:proxy",
    "tg://proxy",
    "http://t.me/proxy",
    "http://telegram.me/proxy",
    "https://t.me/proxy",
    "https://telegram.me/proxy",
    "t.me/proxy",
    "telegram.me/proxy",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_from_hex_and_from_base64_of_either_alphabet() {
        let key = [0xfb; 16];
        let disguised = [&[0xee][..], &key, b"example.org"].concat();
        let forms = [
            (key.to_vec(), "fbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfb"),
            (key.to_vec(), "FBFBFBFBFBFBFBFBFBFBFBFBFBFBFBFB"),
            (key.to_vec(), "+/v7+/v7+/v7+/v7+/v7+w=="),
            (key.to_vec(), "-_v7-_v7-_v7-_v7-_v7-w"),
            (
                [&[0xdd][..], &key].concat(),
                "ddfbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfb",
            ),
            ([&[0xdd][..], &key].concat(), "3fv7-_v7-_v7-_v7-_v7-_s="),
            ([&[0xdd][..], &key].concat(), "3fv7+/v7+/v7+/v7+/v7+/s"),
            (
                disguised.clone(),
                "eefbfbfbfbfbfbfbfbfbfbfbfbfbfbfbfb6578616d706c652e6f7267",
            ),
            (disguised, "7vv7-_v7-_v7-_v7-_v7-_tleGFtcGxlLm9yZw"),
        ];
        for (bytes, text) in forms {
            let expected = ProxySecret::from_bytes(&bytes).unwrap();
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn each_kind_of_secret_is_told_by_its_length_and_its_mark() {
        let with_mark = |mark: u8, more: usize| [vec![mark; 17], vec![b'a'; more]].concat();
        let kind = |bytes: &[u8]| match ProxySecret::from_bytes(bytes) {
            Ok(ProxySecret::Obfuscated(it)) if it.requires_padding() => "padded",
            Ok(ProxySecret::Obfuscated(_)) => "plain",
            Ok(ProxySecret::Disguised(_)) => "disguised",
            Err(error) => {
                assert_eq!(error, BadProxy::Secret);
                "none"
            }
        };
        assert_eq!(kind(&[7; 15]), "none");
        assert_eq!(kind(&[7; 16]), "plain");
        assert_eq!(kind(&[0xee; 16]), "plain");
        assert_eq!(kind(&with_mark(7, 0)), "none");
        assert_eq!(kind(&with_mark(0xdd, 0)), "padded");
        assert_eq!(kind(&with_mark(0xdd, 1)), "none");
        assert_eq!(kind(&with_mark(0xee, 0)), "none");
        assert_eq!(kind(&with_mark(0xee, 1)), "disguised");
        assert_eq!(kind(&with_mark(0xee, 182)), "disguised");
        assert_eq!(kind(&with_mark(0xee, 183)), "none");
    }

    #[test]
    fn a_link_names_server_port_and_secret_in_any_order_and_with_escapes() {
        let expected = MtProxy::new("proxy.example", 8443, HEX.parse().unwrap());
        for link in [
            format!("tg://proxy?server=proxy.example&port=8443&secret={HEX}"),
            format!("tg:proxy?secret={HEX}&port=8443&server=proxy.example"),
            format!("https://t.me/proxy?server=proxy.example&port=8443&secret={HEX}&more=1#end"),
            format!("https://T.me/proxy/?server=proxy%2Eexample&port=8443&secret={HEX}"),
            "tg://proxy?server=proxy.example&port=8443&secret=3QcHBwcHBwcHBwcHBwcHBwc%3D"
                .to_owned(),
        ] {
            assert_eq!(link.parse(), Ok(expected.clone()), "{link}");
        }
        let link = format!("tg://proxy?server=2001:db8::1&port=443&secret={HEX}");
        assert_eq!(link.parse::<MtProxy>().unwrap().host, "2001:db8::1");
    }

    #[test]
    fn a_link_says_what_it_lacks() {
        for (link, error) in [
            ("tg://proxy".to_owned(), BadProxy::Link),
            ("tg://socks?server=a&port=1".to_owned(), BadProxy::Link),
            (format!("tg://proxy?port=1&secret={HEX}"), BadProxy::Server),
            (
                format!("tg://proxy?server=&port=1&secret={HEX}"),
                BadProxy::Server,
            ),
            (
                format!("tg://proxy?server=a/b&port=1&secret={HEX}"),
                BadProxy::Server,
            ),
            (format!("tg://proxy?server=a&secret={HEX}"), BadProxy::Port),
            (
                format!("tg://proxy?server=a&port=0&secret={HEX}"),
                BadProxy::Port,
            ),
            (
                format!("tg://proxy?server=a&port=65536&secret={HEX}"),
                BadProxy::Port,
            ),
            ("tg://proxy?server=a&port=1".to_owned(), BadProxy::Secret),
            (
                "tg://proxy?server=a&port=1&secret=xyz".to_owned(),
                BadProxy::Secret,
            ),
            (
                "tg://proxy?server=a&port=1&secret=%4".to_owned(),
                BadProxy::Link,
            ),
        ] {
            assert_eq!(link.parse::<MtProxy>(), Err(error), "{link}");
        }
    }

    #[test]
    fn a_name_has_1_to_253_characters_of_a_name() {
        for (length, is_right) in [(0, false), (1, true), (253, true), (254, false)] {
            let host = "a".repeat(length);
            let link = format!("tg://proxy?server={host}&port=1&secret={HEX}");
            assert_eq!(link.parse::<MtProxy>().is_ok(), is_right, "{length}");
        }
    }

    #[test]
    fn a_secret_is_not_shown() {
        let proxy = MtProxy::new("a", 1, HEX.parse().unwrap());
        assert!(!format!("{proxy:?}").contains("07"));
    }

    const HEX: &str = "dd07070707070707070707070707070707";
}

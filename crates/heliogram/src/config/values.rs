//! Values of the configuration that are more than a number or a string.

use std::fmt;
use std::net::SocketAddr;

use crate::logging;
use heliogram_proto::edge::network;
use heliogram_proto::transport::Secret;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A data centre's id in its plain form: neither test nor media.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct DcId(i32);

impl DcId {
    /// What a value must be.
    pub(crate) const EXPECTED: &'static str = "expected a data centre id from 1 to 999";

    /// Where most clients start.
    pub(crate) const DEFAULT: Self = Self(2);

    /// The data centres that clients of today know.
    pub(crate) fn defaults() -> Vec<Self> {
        (1..=5).map(Self).collect()
    }

    /// Returns the number as it is on the wire.
    pub(crate) const fn get(self) -> i32 {
        self.0
    }
}

impl TryFrom<i64> for DcId {
    type Error = String;

    fn try_from(number: i64) -> Result<Self, Self::Error> {
        i32::try_from(number)
            .ok()
            .filter(|dc| (1..=999).contains(dc))
            .map(Self)
            .ok_or_else(|| format!("{number} is not a data centre; {}", Self::EXPECTED))
    }
}

impl fmt::Display for DcId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for DcId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for DcId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for DcId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = DcId;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(DcId::EXPECTED.trim_start_matches("expected "))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<DcId, E> {
                DcId::try_from(number).map_err(E::custom)
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<DcId, E> {
                DcId::try_from(i64::try_from(number).unwrap_or(i64::MAX)).map_err(E::custom)
            }
        }
        deserializer.deserialize_i64(Visitor)
    }
}

/// Reads an address to listen on.
///
/// # Errors
///
/// If it is not an IP address with a port; the message says what was expected.
pub(crate) fn parse_address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse()
        .map_err(|_| "expected an IP address and a port, such as 127.0.0.1:10443 or [::1]:0")
}

/// Reads one address of the file.
pub(super) fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    Address::deserialize(deserializer).map(|address| address.0)
}

/// Reads a list of addresses of the file.
pub(super) fn addresses<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<SocketAddr>, D::Error> {
    let addresses = Vec::<Address>::deserialize(deserializer)?;
    Ok(addresses.into_iter().map(|address| address.0).collect())
}

/// An address whose error says what was expected, which the standard library's does not.
struct Address(SocketAddr);

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_address(&text).map(Self).map_err(de::Error::custom)
    }
}

/// A network, as text: `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network(pub(crate) network::Network);

impl Network {
    /// The machine itself.
    pub(crate) fn loopback() -> Vec<Self> {
        network::Network::LOOPBACK.into_iter().map(Self).collect()
    }
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse()
            .map(Self)
            .map_err(|error| de::Error::custom(format!("`{text}` is no network: {error}")))
    }
}

/// Which log lines are written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct LogFilter(String);

impl LogFilter {
    /// Returns the directives.
    pub(crate) fn directives(&self) -> &str {
        &self.0
    }
}

impl Default for LogFilter {
    fn default() -> Self {
        Self("info".to_owned())
    }
}

impl<'de> Deserialize<'de> for LogFilter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let directives = String::deserialize(deserializer)?;
        logging::parse(&directives).map_err(de::Error::custom)?;
        Ok(Self(directives))
    }
}

/// The secret of an obfuscated transport. Never shown, not even in an error about it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ProxySecret(pub(crate) Secret);

/// An application's `api_hash`: 32 hexadecimal digits. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ApiHash([u8; 16]);

/// Where the database of record is, with user and password. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct MySqlUrl(String);

/// Where the cache is, with its password. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct RedisUrl(String);

macro_rules! url {
    ($name:ident, $scheme:literal, $expected:literal) => {
        impl $name {
            /// Returns the URL, which may be shown to nobody.
            pub(crate) fn as_str(&self) -> &str {
                &self.0
            }

            /// Reads a URL.
            ///
            /// # Errors
            ///
            /// If it is not one of the kind that was expected; the message does not show it.
            pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
                let rest = text.strip_prefix($scheme).unwrap_or_default();
                anyhow::ensure!(!rest.is_empty(), concat!("expected ", $expected));
                Ok(Self(text.to_owned()))
            }

            fn parse_inner(text: &str) -> anyhow::Result<String> {
                Self::parse(text).map(|url| url.0)
            }
        }
    };
}

url!(
    MySqlUrl,
    "mysql://",
    "mysql://user:password@host[:port]/database"
);
url!(
    RedisUrl,
    "redis://",
    "redis://[user:password@]host[:port][/database]"
);

macro_rules! redacted {
    ($name:ident, $parse:expr, $expected:literal) => {
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str("(redacted)")
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let parsed = $parse(&String::deserialize(deserializer)?);
                parsed.map(Self).map_err(|_| de::Error::custom($expected))
            }
        }
    };
}

redacted!(
    ProxySecret,
    Secret::from_hex,
    "expected a string of 32 hexadecimal digits, or dd and 32 for padded framing"
);
redacted!(
    ApiHash,
    parse_hex,
    "expected a string of 32 hexadecimal digits"
);

redacted!(
    MySqlUrl,
    Self::parse_inner,
    "expected mysql://user:password@host[:port]/database"
);
redacted!(
    RedisUrl,
    Self::parse_inner,
    "expected redis://[user:password@]host[:port][/database]"
);

/// It is not what was expected; what it is may be a secret.
struct NotHex;

fn parse_hex(text: &str) -> Result<[u8; 16], NotHex> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
        return Err(NotHex);
    };
    let digit = |digit: u8| char::from(digit).to_digit(16);
    let byte = |&[high, low]: &[u8; 2]| u8::try_from(digit(high)? * 16 + digit(low)?).ok();
    let bytes = pairs
        .iter()
        .map(byte)
        .collect::<Option<Vec<_>>>()
        .ok_or(NotHex)?;
    bytes.try_into().map_err(|_| NotHex)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_32_digits_and_neither_31_nor_33() {
        let parse = |text: &str| toml::Value::String(text.to_owned()).try_into::<ProxySecret>();
        let digits = "00112233445566778899aabbccddeeff0";

        assert!(parse(&digits[..31]).is_err());
        assert!(parse(&digits[..32]).is_ok());
        assert!(parse(digits).is_err());
        assert!(parse("zz112233445566778899aabbccddeeff").is_err());
    }

    #[test]
    fn a_secret_may_ask_for_padded_framing() {
        let parse = |text: &str| toml::Value::String(text.to_owned()).try_into::<ProxySecret>();

        assert!(
            parse("dd00112233445566778899aabbccddeeff")
                .unwrap()
                .0
                .requires_padding()
        );
        assert!(parse("ee00112233445566778899aabbccddeeff").is_err());
    }

    #[test]
    fn secrets_show_in_no_form() {
        let hash = toml::Value::String("00112233445566778899aabbccddeeff".to_owned())
            .try_into::<ApiHash>()
            .unwrap();

        assert!(!format!("{hash:?}").contains("0011"));
        assert_eq!(
            toml::Value::try_from(&hash).unwrap().as_str(),
            Some("(redacted)")
        );
    }
}

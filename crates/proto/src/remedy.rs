//! What a client does by itself about an `rpc_error`, before it troubles its user with it.
//!
//! Source: <https://core.telegram.org/api/errors>.

use core::time::Duration;
use std::borrow::Cow;

use crate::dc::Migration;
use crate::limits::WAIT_S_MAX;
use crate::port::RpcError;

/// What helps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a new remedy must break every client at compile time"
)]
pub enum Remedy {
    /// The temporary key is to be bound, then the call made again.
    Bind,
    /// The client is to introduce itself again, with the call.
    Introduce,
    /// The call belongs to another data centre.
    Migrate(Migration),
    /// Nothing: the caller must know.
    None,
    /// The same call once more, after a pause that grows.
    Retry,
    /// The call once more, after this time.
    Wait(Duration),
}

impl RpcError {
    /// Returns the name without its number, and that number: `FLOOD_WAIT_42` is `FLOOD_WAIT` and 42,
    /// `FILE_PART_3_MISSING` is `FILE_PART_MISSING` and 3. Of several numbers the first counts.
    #[must_use]
    pub fn name(&self) -> (Cow<'_, str>, Option<u64>) {
        let message = self.message.as_str();
        let is_name = |it: char| it.is_ascii_uppercase() || it.is_ascii_digit() || it == '_';
        let mut parts = message.split('_');
        let number = parts.clone().skip(1).find_map(decimal);
        if number.is_none() || !message.chars().all(is_name) {
            return (Cow::Borrowed(message), None);
        }
        let mut name = parts.next().unwrap_or_default().to_owned();
        for part in parts.filter(|it| decimal(it).is_none()) {
            name.push('_');
            name.push_str(part);
        }
        (Cow::Owned(name), number)
    }

    /// Returns what helps.
    #[must_use]
    pub fn remedy(&self) -> Remedy {
        let (name, number) = self.name();
        match (self.code, &*name) {
            (303, _) => Migration::parse(&self.message).map_or(Remedy::None, Remedy::Migrate),
            (400, "CONNECTION_LAYER_INVALID" | "CONNECTION_NOT_INITED") => Remedy::Introduce,
            (400, "MSG_WAIT_TIMEOUT" | "RETRY") => Remedy::Retry,
            (400 | 401 | 403 | 404 | 406, name) => match name {
                "AUTH_KEY_PERM_EMPTY" => Remedy::Bind,
                _ => Remedy::None,
            },
            (420, _) => number.map_or(Remedy::None, wait),
            // Has been done already: once more is the same answer.
            (500, "RANDOM_ID_DUPLICATE") => Remedy::None,
            // Everything else is a mistake of the server's, and passes.
            _ => Remedy::Retry,
        }
    }
}

/// From one second to two weeks.
fn wait(seconds: u64) -> Remedy {
    Remedy::Wait(Duration::from_secs(seconds.clamp(1, WAIT_S_MAX)))
}

/// Reads digits and nothing else.
fn decimal(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dc::Moves;

    #[test]
    fn the_number_in_a_name_is_its_parameter() {
        for (message, name, number) in [
            ("FLOOD_WAIT_42", "FLOOD_WAIT", Some(42)),
            ("FLOOD_WAIT_0", "FLOOD_WAIT", Some(0)),
            ("2FA_CONFIRM_WAIT_7", "2FA_CONFIRM_WAIT", Some(7)),
            ("PEER_ID_INVALID", "PEER_ID_INVALID", None),
            ("FLOOD_WAIT_", "FLOOD_WAIT_", None),
            ("FLOOD_WAIT_+4", "FLOOD_WAIT_+4", None),
            ("FILE_PART_0_MISSING", "FILE_PART_MISSING", Some(0)),
            ("INTERDC_2_CALL_ERROR", "INTERDC_CALL_ERROR", Some(2)),
            (
                "INPUT_METHOD_INVALID_7_222",
                "INPUT_METHOD_INVALID",
                Some(7),
            ),
            ("2_FAILED", "2_FAILED", None),
            (
                "FLOOD_WAIT_99999999999999999999",
                "FLOOD_WAIT_99999999999999999999",
                None,
            ),
            ("wait_4_me", "wait_4_me", None),
            ("Timeout", "Timeout", None),
        ] {
            assert_eq!(error(420, message).name(), (name.into(), number));
        }
    }

    #[test]
    fn each_class_of_errors_has_its_remedy() {
        let migration = Migration {
            dc: 4,
            moves: Moves::Account,
        };
        let wait = |seconds| Remedy::Wait(Duration::from_secs(seconds));
        for (code, message, remedy) in [
            (303, "USER_MIGRATE_4", Remedy::Migrate(migration)),
            (303, "SOMETHING", Remedy::None),
            (400, "CONNECTION_NOT_INITED", Remedy::Introduce),
            (400, "CONNECTION_LAYER_INVALID", Remedy::Introduce),
            (400, "MSG_WAIT_TIMEOUT", Remedy::Retry),
            (400, "MSG_WAIT_FAILED", Remedy::None),
            (400, "PEER_ID_INVALID", Remedy::None),
            (401, "AUTH_KEY_PERM_EMPTY", Remedy::Bind),
            (401, "AUTH_KEY_UNREGISTERED", Remedy::None),
            (403, "CHAT_WRITE_FORBIDDEN", Remedy::None),
            (404, "METHOD_INVALID", Remedy::None),
            (406, "AUTH_KEY_DUPLICATED", Remedy::None),
            (420, "FLOOD_WAIT_42", wait(42)),
            (420, "SLOWMODE_WAIT_0", wait(1)),
            (420, "FLOOD_WAIT_99999999", wait(14 * 86_400)),
            (420, "FROZEN_METHOD_INVALID", Remedy::None),
            (500, "RPC_CALL_FAIL", Remedy::Retry),
            (500, "RANDOM_ID_DUPLICATE", Remedy::None),
            (-503, "Timeout", Remedy::Retry),
            (599, "WHATEVER", Remedy::Retry),
        ] {
            assert_eq!(error(code, message).remedy(), remedy, "{code} {message}");
        }
    }

    fn error(code: i32, message: &str) -> RpcError {
        let message = message.to_owned();
        RpcError { code, message }
    }
}

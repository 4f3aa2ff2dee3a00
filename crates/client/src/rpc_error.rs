//! Errors with which servers answer calls.

use std::time::Duration;

use heliogram_proto::dc::Migration;
use heliogram_proto::port;
use heliogram_proto::remedy::Remedy;

/// An `rpc_error`, with the number in its name taken out.
///
/// ```
/// use std::time::Duration;
///
/// use heliogram_client::{RpcError, RpcErrorKind};
///
/// let error = RpcError::new(420, "FLOOD_WAIT_42");
/// assert_eq!((error.code, error.name.as_str(), error.parameter), (420, "FLOOD_WAIT", Some(42)));
/// assert_eq!(error.kind(), RpcErrorKind::FloodWait(Duration::from_secs(42)));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code} {message}")]
#[non_exhaustive]
pub struct RpcError {
    /// Class of the error, as in HTTP.
    pub code: i32,
    /// The name without its number: `FLOOD_WAIT`, `FILE_PART_MISSING`.
    pub name: String,
    /// The number: 42 in `FLOOD_WAIT_42`, 3 in `FILE_PART_3_MISSING`.
    pub parameter: Option<u64>,
    /// The name as the server wrote it.
    message: String,
    remedy: Remedy,
}

impl RpcError {
    /// Takes an error apart.
    #[must_use]
    pub fn new(code: i32, message: &str) -> Self {
        let message = message.to_owned();
        Self::from(port::RpcError { code, message })
    }

    /// Returns what helps against it. A client does it by itself, within limits, before its user hears of the error.
    #[must_use]
    pub const fn remedy(&self) -> Remedy {
        self.remedy
    }

    /// Returns the name as the server wrote it, with its number.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns what it means, as far as that does not depend on the method.
    #[must_use]
    pub fn kind(&self) -> RpcErrorKind {
        let wait = || Duration::from_secs(self.parameter.unwrap_or(0));
        match (self.code, self.name.as_str()) {
            (303, _) => {
                if let Remedy::Migrate(migration) = self.remedy {
                    RpcErrorKind::Migrate(migration)
                } else {
                    RpcErrorKind::Other
                }
            }
            (420, "FLOOD_WAIT") => RpcErrorKind::FloodWait(wait()),
            (420, "FLOOD_PREMIUM_WAIT") => RpcErrorKind::FloodPremiumWait(wait()),
            (420, "SLOWMODE_WAIT") => RpcErrorKind::SlowmodeWait(wait()),
            (420, "TAKEOUT_INIT_DELAY") => RpcErrorKind::TakeoutInitDelay(wait()),
            (420, "2FA_CONFIRM_WAIT") => RpcErrorKind::ConfirmWait(wait()),
            (401, "SESSION_PASSWORD_NEEDED") => RpcErrorKind::PasswordNeeded,
            (401, "AUTH_KEY_PERM_EMPTY") => RpcErrorKind::Unbound,
            (401, _) | (406, "AUTH_KEY_DUPLICATED") => RpcErrorKind::SignedOut,
            (400, "CONNECTION_NOT_INITED" | "CONNECTION_LAYER_INVALID") => {
                RpcErrorKind::NotIntroduced
            }
            (400, "FILE_PART_MISSING") => RpcErrorKind::FilePartMissing(self.parameter),
            (400, name) if name.starts_with("FILE_REFERENCE_") => {
                RpcErrorKind::FileReference(self.parameter)
            }
            (400, name) if name.starts_with("INPUT_METHOD_INVALID") => RpcErrorKind::UnknownMethod,
            (404, "METHOD_INVALID") => RpcErrorKind::UnknownMethod,
            (400, _) if self.remedy == Remedy::None => RpcErrorKind::BadRequest,
            (403, _) => RpcErrorKind::Forbidden,
            (404, _) => RpcErrorKind::NotFound,
            (406, _) => RpcErrorKind::NotAcceptable,
            _ if self.remedy == Remedy::Retry => RpcErrorKind::Internal,
            _ => RpcErrorKind::Other,
        }
    }
}

impl From<port::RpcError> for RpcError {
    fn from(error: port::RpcError) -> Self {
        let (name, parameter) = error.name();
        Self {
            code: error.code,
            name: name.into_owned(),
            parameter,
            remedy: error.remedy(),
            message: error.message,
        }
    }
}

/// What an [`RpcError`] means, whatever the method was.
///
/// Source: <https://core.telegram.org/api/errors>.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RpcErrorKind {
    /// 400: the request is wrong. Its name says how.
    BadRequest,
    /// `2FA_CONFIRM_WAIT_X`: an account's deletion is confirmed after this time.
    ConfirmWait(Duration),
    /// `FILE_PART_X_MISSING`: this part was not uploaded.
    FilePartMissing(Option<u64>),
    /// `FILE_REFERENCE_…`: the reference has expired; fetch the message that it came with again. Of several files, which one.
    FileReference(Option<u64>),
    /// `FLOOD_PREMIUM_WAIT_X`: too much at once for an account that pays nothing.
    FloodPremiumWait(Duration),
    /// `FLOOD_WAIT_X`: too much at once. A client waits by itself, up to [`Builder::flood_wait_max`](crate::Builder::flood_wait_max).
    FloodWait(Duration),
    /// 403: not allowed.
    Forbidden,
    /// 500, and numbers below zero: the server has trouble. A client has tried again a few times.
    Internal,
    /// The request belongs to another data centre. A client follows by itself.
    Migrate(Migration),
    /// 406: not acceptable; what to show the user comes as an update.
    NotAcceptable,
    /// 404: there is no such thing.
    NotFound,
    /// `CONNECTION_NOT_INITED` and the like. A client introduces itself again.
    NotIntroduced,
    /// `SESSION_PASSWORD_NEEDED`: signing in takes a password too.
    PasswordNeeded,
    /// 401: nobody is signed in with this key, or not any more.
    SignedOut,
    /// `SLOWMODE_WAIT_X`: one message in so much time.
    SlowmodeWait(Duration),
    /// `TAKEOUT_INIT_DELAY_X`: data can be exported after this time.
    TakeoutInitDelay(Duration),
    /// `AUTH_KEY_PERM_EMPTY`: the temporary key is not bound. A client binds its keys before it calls.
    Unbound,
    /// The server does not know the method: it is of another layer.
    UnknownMethod,
    /// None of these.
    Other,
}

#[cfg(test)]
mod tests {
    use heliogram_proto::dc::Moves;

    use super::*;

    #[test]
    fn a_number_in_the_name_is_the_parameter_and_the_message_stays_as_it_was() {
        let error = RpcError::new(420, "FLOOD_WAIT_42");
        assert_eq!(error.name, "FLOOD_WAIT");
        assert_eq!(error.parameter, Some(42));
        assert_eq!(error.remedy(), Remedy::Wait(Duration::from_secs(42)));
        assert_eq!(error.to_string(), "420 FLOOD_WAIT_42");
        let error = RpcError::new(400, "FILE_PART_3_MISSING");
        assert_eq!(error.name, "FILE_PART_MISSING");
        assert_eq!(error.parameter, Some(3));
        assert_eq!(error.message(), "FILE_PART_3_MISSING");
    }

    #[test]
    fn each_error_of_the_reference_has_its_kind() {
        use RpcErrorKind as Kind;
        let seconds = Duration::from_secs;
        let migration = Migration {
            dc: 4,
            moves: Moves::Request,
        };
        for (code, message, kind) in [
            (303, "FILE_MIGRATE_4", Kind::Migrate(migration)),
            (303, "CHAT_MIGRATE_4", Kind::Other),
            (400, "PEER_ID_INVALID", Kind::BadRequest),
            (400, "CONNECTION_NOT_INITED", Kind::NotIntroduced),
            (400, "CONNECTION_LAYER_INVALID", Kind::NotIntroduced),
            (400, "CONNECTION_API_ID_INVALID", Kind::BadRequest),
            (400, "FILE_PART_3_MISSING", Kind::FilePartMissing(Some(3))),
            (400, "FILE_REFERENCE_EXPIRED", Kind::FileReference(None)),
            (
                400,
                "FILE_REFERENCE_2_EXPIRED",
                Kind::FileReference(Some(2)),
            ),
            (400, "INPUT_METHOD_INVALID_7_222", Kind::UnknownMethod),
            (400, "MSG_WAIT_TIMEOUT", Kind::Internal),
            (401, "AUTH_KEY_UNREGISTERED", Kind::SignedOut),
            (401, "SESSION_REVOKED", Kind::SignedOut),
            (401, "SESSION_PASSWORD_NEEDED", Kind::PasswordNeeded),
            (401, "AUTH_KEY_PERM_EMPTY", Kind::Unbound),
            (403, "CHAT_WRITE_FORBIDDEN", Kind::Forbidden),
            (404, "METHOD_INVALID", Kind::UnknownMethod),
            (404, "NOT_FOUND", Kind::NotFound),
            (406, "AUTH_KEY_DUPLICATED", Kind::SignedOut),
            (406, "UPDATE_APP_TO_LOGIN", Kind::NotAcceptable),
            (420, "FLOOD_WAIT_42", Kind::FloodWait(seconds(42))),
            (
                420,
                "FLOOD_PREMIUM_WAIT_3",
                Kind::FloodPremiumWait(seconds(3)),
            ),
            (420, "SLOWMODE_WAIT_9", Kind::SlowmodeWait(seconds(9))),
            (
                420,
                "TAKEOUT_INIT_DELAY_8",
                Kind::TakeoutInitDelay(seconds(8)),
            ),
            (420, "2FA_CONFIRM_WAIT_7", Kind::ConfirmWait(seconds(7))),
            (420, "FROZEN_METHOD_INVALID", Kind::Other),
            (500, "RPC_CALL_FAIL", Kind::Internal),
            (-503, "Timeout", Kind::Internal),
        ] {
            assert_eq!(
                RpcError::new(code, message).kind(),
                kind,
                "{code} {message}"
            );
        }
    }
}

//! Why a tool that calls a server ends, and the exit code that says so to scripts.

use std::fmt;
use std::process::ExitCode;

use heliogram_client::{ConnectError, InvokeError, Lost, RpcError};
use heliogram_proto::client::Failure as Gone;
use heliogram_proto::exchange::client::Error as ExchangeError;

/// Why there is no result. Each has its exit code.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Something on this machine: a file, standard output.
    Local(anyhow::Error),
    /// The command line, or an argument of the method.
    Usage(anyhow::Error),
    /// No connection or no key.
    Connect(anyhow::Error),
    /// No answer in time.
    TimedOut(anyhow::Error),
    /// The server has answered with an error.
    Refused(RpcError),
    /// The answer is not what the schema says.
    Unreadable(anyhow::Error),
    /// The connection ended, and nobody knows whether the call was executed.
    Uncertain(anyhow::Error),
}

impl Failure {
    /// Returns the exit code: see [`EXIT_CODES`].
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Local(_) => 1,
            Self::Usage(_) => 2,
            Self::Connect(_) => 3,
            Self::TimedOut(_) => 4,
            Self::Refused(_) => 5,
            Self::Unreadable(_) => 6,
            Self::Uncertain(_) => 7,
        })
    }

    /// Tells what else may help, if anything is known to.
    fn hint(error: &RpcError) -> Option<String> {
        Some(match (error.code, error.name.as_str(), error.parameter) {
            (420, _, Some(seconds)) => {
                format!("wait {seconds} s, or have that done with --wait {seconds}")
            }
            (303, _, Some(dc)) => format!("call data centre {dc}: --dc {dc} with its --server"),
            (401, "AUTH_KEY_UNREGISTERED", _) => {
                "nobody is signed in with this key: name the session of a client that is with --session FILE".to_owned()
            }
            (400, "CONNECTION_API_ID_INVALID" | "API_ID_INVALID", _) => {
                "the server does not allow this application: name another with --api-id".to_owned()
            }
            (400, "CONNECTION_LAYER_INVALID", _) => {
                "the server does not speak this layer: name another with --schema FILE --layer N".to_owned()
            }
            _ => return None,
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(error)
            | Self::Usage(error)
            | Self::Connect(error)
            | Self::TimedOut(error)
            | Self::Unreadable(error)
            | Self::Uncertain(error) => write!(f, "{error:#}"),
            Self::Refused(error) => {
                write!(f, "the server answered {}", harmless(&error.to_string()))?;
                match Self::hint(error) {
                    Some(hint) => write!(f, "\n{hint}"),
                    None => Ok(()),
                }
            }
        }
    }
}

/// What a server says goes to a terminal: nothing of it may steer that.
fn harmless(text: &str) -> String {
    let written = |it: char| {
        if it.is_control() {
            it.escape_default().to_string()
        } else {
            it.to_string()
        }
    };
    text.chars().map(written).collect()
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Failed(lost) => Self::from(lost),
            ConnectError::Storage(_) => Self::Local(error.into()),
            ConnectError::Missing(_) | ConnectError::Misconfigured(_) | _ => {
                Self::Usage(error.into())
            }
        }
    }
}

impl From<Lost> for Failure {
    fn from(lost: Lost) -> Self {
        let hint = match lost {
            Lost::Failed(Gone::Exchange(ExchangeError::NoKnownKey(_))) => {
                "; name the file of one of those with --pubkey FILE (`heliogram fingerprint FILE` tells a file's)"
            }
            Lost::Failed(Gone::Exchange(ExchangeError::Untrusted)) => {
                "; is --pubkey the server's own key, and the address the server's?"
            }
            Lost::Failed(Gone::WrongDataCentre) => "; name another with --dc N",
            Lost::Failed(Gone::Unreachable) => {
                "; is --server right, and does it speak this --transport and --secret?"
            }
            Lost::Failed(_) | Lost::ShutDown | _ => "",
        };
        Self::Connect(anyhow::anyhow!("{lost}{hint}"))
    }
}

impl From<InvokeError> for Failure {
    fn from(error: InvokeError) -> Self {
        match error {
            InvokeError::Rpc(error) => Self::Refused(error),
            InvokeError::TimedOut => Self::TimedOut(anyhow::anyhow!(
                "{error}: give it more with --timeout SECONDS"
            )),
            InvokeError::Unsendable(_) => Self::Usage(error.into()),
            InvokeError::UnknownDataCentre(dc) => Self::Connect(anyhow::anyhow!(
                "the server sends this call to data centre {dc}: call that with --dc {dc} and its --server"
            )),
            InvokeError::Malformed(_) => Self::Unreadable(error.into()),
            InvokeError::ConnectionLost(_)
            | InvokeError::TooManyCalls
            | InvokeError::Uncertain
            | _ => Self::Uncertain(error.into()),
        }
    }
}

/// What `--help` says about exit codes.
pub(crate) const EXIT_CODES: &str = "Exit codes: 0 a result; 1 something on this machine; 2 the command line or an argument; 3 no connection or no \
    key; 4 no answer in time; 5 the server answered with an error (which is printed as JSON); 6 the answer is not what the \
    schema says; 7 the connection ended and the call may have been executed.";

#[cfg(test)]
mod tests {
    use heliogram_proto::port;

    use super::*;

    #[test]
    fn what_a_server_says_can_not_steer_the_terminal() {
        let message = "\u{1b}]0;title\u{7}\u{9b}2J\nerror: ü".to_owned();
        let failure = Failure::Refused(port::RpcError { code: 400, message }.into());
        assert_eq!(
            failure.to_string(),
            r"the server answered 400 \u{1b}]0;title\u{7}\u{9b}2J\nerror: ü"
        );
    }

    #[test]
    fn errors_that_something_helps_against_say_what() {
        for (code, message, hint) in [
            (420, "FLOOD_WAIT_42", "--wait 42"),
            (303, "USER_MIGRATE_4", "--dc 4"),
            (401, "AUTH_KEY_UNREGISTERED", "--session FILE"),
            (400, "CONNECTION_API_ID_INVALID", "--api-id"),
        ] {
            let message = message.to_owned();
            let failure = Failure::Refused(port::RpcError { code, message }.into());
            assert!(failure.to_string().contains(hint), "{failure}");
        }
    }
}

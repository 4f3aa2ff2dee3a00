//! `303` errors: the request belongs to another data centre.

/// An error that names another data centre.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "what the error says")]
pub struct Migration {
    /// Where the request belongs.
    pub dc: i32,
    /// What moves there.
    pub moves: Moves,
}

/// What moves to the other data centre.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there is no third case")]
pub enum Moves {
    /// The account: `PHONE_`, `NETWORK_` and `USER_MIGRATE_X`. The other one is the main one from now on.
    Account,
    /// This request alone: `FILE_` and `STATS_MIGRATE_X`.
    Request,
}

impl Migration {
    /// Reads an error's message: `PHONE_MIGRATE_4`.
    #[must_use]
    pub fn parse(message: &str) -> Option<Self> {
        let (subject, dc) = message.split_once("_MIGRATE_")?;
        let moves = match subject {
            "NETWORK" | "PHONE" | "USER" => Moves::Account,
            "FILE" | "STATS" => Moves::Request,
            _ => return None,
        };
        let dc = dc.parse().ok().filter(|&dc| dc > 0)?;
        Some(Self { dc, moves })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_move_for_phone_network_and_user_and_requests_for_file_and_stats() {
        for (subject, moves) in [
            ("PHONE", Moves::Account),
            ("NETWORK", Moves::Account),
            ("USER", Moves::Account),
            ("FILE", Moves::Request),
            ("STATS", Moves::Request),
        ] {
            let message = format!("{subject}_MIGRATE_4");
            let expected = Migration { dc: 4, moves };
            assert_eq!(Migration::parse(&message), Some(expected), "{message}");
        }
    }

    #[test]
    fn what_names_no_data_centre_is_none() {
        for message in [
            "PHONE_MIGRATE_",
            "PHONE_MIGRATE_0",
            "PHONE_MIGRATE_-2",
            "PHONE_MIGRATE_X",
            "PHONE_MIGRATE_99999999999",
            "CHAT_MIGRATE_2",
            "PHONE_NUMBER_INVALID",
            "",
        ] {
            assert_eq!(Migration::parse(message), None, "{message}");
        }
    }
}

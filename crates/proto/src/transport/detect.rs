//! What a client's first bytes say about its transport.
//!
//! Never guesses: a client that obfuscates avoids the beginnings of all other transports, so each rule is exact.
//! Where only obfuscation is served, nothing else is looked for, so that a prober learns nothing.
//!
//! Source: <https://core.telegram.org/mtproto/mtproto-transports#transport-obfuscation>.

/// What is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Served {
    /// The four framings without obfuscation.
    pub(super) plain: bool,
    /// The first three framings within obfuscation.
    pub(super) obfuscated: bool,
    /// An HTTP request that upgrades to WebSocket.
    pub(super) websocket: bool,
    /// HTTP requests that bring messages.
    pub(super) http: bool,
}

/// What the first bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum First {
    /// Not to be told before so many bytes are there.
    Need(usize),
    /// One byte, to be dropped.
    Abridged,
    /// Four bytes, to be dropped.
    Intermediate,
    /// Four bytes, to be dropped.
    PaddedIntermediate,
    /// Eight bytes that belong to the first frame.
    Full,
    /// Four bytes that belong to an HTTP request.
    Get,
    /// Four bytes that belong to an HTTP request, which is a frame.
    Post,
    /// Sixty-four bytes: the header of an obfuscated stream, if it is one.
    Obfuscated,
    /// Nothing that is served.
    Refused,
}

/// Classifies `bytes`, which begin a stream. Asks for no more than it needs, so that nothing of the next layer is
/// taken away.
pub(super) fn classify(bytes: &[u8], served: Served) -> First {
    let Some(&first) = bytes.first() else {
        return First::Need(1);
    };
    if served.plain && first == ABRIDGED {
        return First::Abridged;
    }
    let Some(&word) = bytes.first_chunk::<4>() else {
        return First::Need(4);
    };
    if served.websocket && &word == b"GET " {
        return First::Get;
    }
    if served.http && &word == b"POST" {
        return First::Post;
    }
    if served.plain {
        match &word {
            [INTERMEDIATE, INTERMEDIATE, INTERMEDIATE, INTERMEDIATE] => return First::Intermediate,
            [PADDED, PADDED, PADDED, PADDED] => return First::PaddedIntermediate,
            b"POST" | b"HEAD" | b"OPTI" | b"GET " | [0x16, 0x03, 0x01, _] => return First::Refused,
            _ => {}
        }
        match bytes.get(4..8) {
            None => return First::Need(8),
            Some([0, 0, 0, 0]) => return First::Full,
            Some(_) => {}
        }
    }
    match (served.obfuscated, bytes.len() >= HEADER_BYTES) {
        (false, _) => First::Refused,
        (true, false) => First::Need(HEADER_BYTES),
        (true, true) => First::Obfuscated,
    }
}

/// The prefix of an abridged stream, and four times the tag of an obfuscated one.
pub(super) const ABRIDGED: u8 = 0xef;

/// Four times: the prefix of an intermediate stream, and the tag of an obfuscated one.
pub(super) const INTERMEDIATE: u8 = 0xee;

/// Four times: the prefix of a padded intermediate stream, and the tag of an obfuscated one.
pub(super) const PADDED: u8 = 0xdd;

/// The header of an obfuscated stream.
pub(super) const HEADER_BYTES: usize = 64;

//! Newtypes for everything that is a number on the wire.

pub use heliogram_crypto::AuthKeyId;

macro_rules! wire_long {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub i64);

        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                write!(f, concat!(stringify!($name), "({:016x})"), self.0)
            }
        }
    };
}

wire_long! {
    /// Identifies a message within a session: Unix time of the sender times 2^32, low two bits by role and kind.
    MsgId
}

wire_long! {
    /// Identifies a session of one authorization key; chosen by the client, random.
    SessionId
}

/// A server salt. Its value authenticates nothing, but is shown to nobody: `Debug` redacts it.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Salt(pub i64);

impl core::fmt::Debug for Salt {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Salt(…)")
    }
}

/// The sequence number of a message: twice the count of content-related messages before it, plus one if it is one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeqNo(pub i32);

impl SeqNo {
    /// Tells whether the message asks for an acknowledgement.
    #[must_use]
    pub const fn is_content_related(self) -> bool {
        self.0 & 1 == 1
    }
}

/// Whose sessions: the permanent key's id once a key is bound to one, else the key's own id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity(pub AuthKeyId);

/// The term of an owner of sessions: new whenever a host starts owning a key. Salts are derived from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Term(pub u64);

/// One connection at one gateway. Never used twice within a gateway's process, so that a late answer finds nobody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

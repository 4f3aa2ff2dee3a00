//! Every maximum of the codec, with its unit and source. A test stands on each side of each edge.

/// Nested boxed objects in one object. Source: the deepest that clients send (wrappers around a method) is below ten.
pub const DEPTH_MAX: u32 = 32;

/// Elements of one vector. The bytes that are really there bound it further.
pub const VECTOR_LEN_MAX: usize = 1 << 20;

/// Messages of one container. Source: official clients refuse more than 1,020 when sending, 1,024 when receiving.
pub const CONTAINER_MESSAGES_MAX: usize = 1024;

/// Ids in one `msgs_ack`, `msgs_state_req`, `msgs_all_info`, `msg_resend_req` or `msg_resend_ans_req`.
/// Source: <https://core.telegram.org/mtproto/service_messages_about_messages>.
pub const MSG_IDS_MAX: usize = 8192;

/// Bytes of one string: its length has three bytes on the wire.
pub const STRING_BYTES_MAX: usize = (1 << 24) - 1;

/// Values, those within others included, that [`dynamic`](crate::dynamic) reads from one object: some 64 MiB of memory.
pub const VALUES_MAX: usize = 1 << 20;

/// What a [`Reader`](crate::Reader) accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the whole input.
    pub bytes_max: usize,
    /// Nested boxed objects.
    pub depth_max: u32,
    /// Elements of one vector.
    pub vector_len_max: usize,
}

impl Limits {
    /// No limit but the input itself: for bytes that a stricter reader has accepted before.
    pub(crate) const NONE: Self = Self {
        bytes_max: usize::MAX,
        depth_max: u32::MAX,
        vector_len_max: usize::MAX,
    };
}

impl Default for Limits {
    /// [`DEPTH_MAX`] and [`VECTOR_LEN_MAX`]; the size of the input is bounded by whoever framed it.
    fn default() -> Self {
        Self {
            bytes_max: usize::MAX,
            depth_max: DEPTH_MAX,
            vector_len_max: VECTOR_LEN_MAX,
        }
    }
}

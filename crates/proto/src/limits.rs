//! Every maximum of the engine, with its unit and source. A test stands on each side of each edge.

use core::time::Duration;

/// Bytes of one frame's payload before its sender has shown a key: the largest message of an exchange has some 660.
///
/// Source: `docs/adr/0006-exchange-limits.md`.
pub const FRAME_BYTES_MAX_BEFORE_KEY: usize = 4096;

/// Bytes of one frame's payload from a client that has shown a key.
///
/// Telegram accepts 1,044,480; a power of two is easier to configure everywhere.
pub const FRAME_BYTES_MAX_SERVER: usize = 1 << 20;

/// Bytes of one frame's payload from a server.
pub const FRAME_BYTES_MAX_CLIENT: usize = 16 << 20;

// Transport

/// Bytes that are read and dropped of an obfuscated stream that fits no secret, before the connection is closed.
///
/// As many as a real client might send in its first seconds, so that a prober sees no difference.
pub const SKIPPED_BYTES_MAX: usize = 64 << 10;
// ---- edge: connections, handshakes, keys at hand ----

/// Handshakes that one address may start in a minute, in the long run.
pub const HANDSHAKES_PER_MINUTE: u32 = 120;

/// Handshakes that one address may start at once.
pub const HANDSHAKES_BURST: u32 = 240;

/// Connections that one address may hold: a whole company behind one address stays below it.
pub const CONNECTIONS_PER_ADDRESS_MAX: u32 = 1000;

/// Connections of one gateway process: below the 20,000 files that a process may commonly open.
pub const CONNECTIONS_MAX: u32 = 16_384;

/// Addresses that a gateway keeps account of; some 100 bytes each.
pub const ADDRESSES_MAX: usize = 65_536;

/// Look-ups of keys that a gateway runs at once.
pub const KEY_LOADS_MAX: usize = 1024;

/// Keys, and ids known to be absent, that a gateway holds while nobody uses them.
pub const KEYS_UNUSED_MAX: usize = 65_536;

/// How long a gateway holds a key after its last use.
pub const KEY_UNUSED_MAX: Duration = Duration::from_secs(60);

/// How long a gateway believes that a key is absent.
pub const KEY_ABSENT_MAX: Duration = Duration::from_secs(2);

/// Links that one push has reached, from which on they are sealed together. Below, each is woken and seals its own.
pub const FANOUT_LINKS_MIN: usize = 8;

/// Links of a fan-out that are drained and sealed together: what the kernels gain most from, and no more than keeps a
/// link from its own drain for some ten microseconds.
pub const FANOUT_BATCH_LINKS: usize = 64;

// ---- link: one connection ----

/// From a connection's start to knowing its transport.
pub const DETECT_MAX: Duration = Duration::from_secs(10);

/// From a frame's first byte to its last.
pub const FRAME_MAX: Duration = Duration::from_secs(30);

/// From a connection's start to its first authentic message or the end of an exchange.
pub const HANDSHAKE_MAX: Duration = Duration::from_secs(60);

/// Between two complete frames of a client, by default.
pub const IDLE_MAX: Duration = Duration::from_secs(120);

/// How long a frame waits for its key.
pub const KEY_WAIT_MAX: Duration = Duration::from_secs(5);

/// Frames of one link that wait for keys.
pub const WAITING_FRAMES_MAX: usize = 1024;

/// Bytes of the frames of one link that wait for keys.
pub const WAITING_BYTES_MAX: usize = 2 << 20;

/// Keys that one link uses.
pub const KEYS_PER_LINK_MAX: usize = 16;

/// Exchange messages of one link that wait for their answers.
pub const EXCHANGE_MESSAGES_MAX: usize = 8;
// ---- envelope, session, host ----

/// Bytes of padding after a message, at least.
///
/// Source: <https://core.telegram.org/mtproto/description#encrypted-message-encrypted-data>.
pub const PADDING_BYTES_MIN: usize = 12;

/// Bytes of padding after a message, at most.
pub const PADDING_BYTES_MAX: usize = 1024;

/// Seconds by which a message may be older than the server's clock.
///
/// Source: <https://core.telegram.org/mtproto/description#message-identifier-msg-id>.
pub const MSG_AGE_S_MAX: u64 = 300;

/// Seconds by which a message may be ahead of the server's clock.
pub const MSG_SKEW_S_MAX: u64 = 30;

/// Messages in a received container.
pub const CONTAINER_MESSAGES_MAX: usize = 1024;

/// Messages in a container that we send: what every client is known to take.
pub const CONTAINER_MESSAGES_SENT_MAX: usize = 1020;

/// Bytes of a container that we send; one larger message travels alone.
pub const CONTAINER_BYTES_SENT_MAX: usize = 256 << 10;

/// Identifiers in one `msgs_ack`, `msgs_state_req`, `msg_resend_req` and their like.
pub const MSG_IDS_MAX: usize = 8192;

/// `invoke*` wrappers around one method, `gzip_packed` not counted.
pub const WRAPPERS_MAX: usize = 8;

/// Message ids in one `invokeAfterMsgs`.
pub const INVOKE_AFTER_IDS_MAX: usize = 100;

/// Milliseconds for which a call waits for the calls that it names in `invokeAfterMsg(s)`.
///
/// Source: <https://core.telegram.org/api/invoking#invokeaftermsg>.
pub const INVOKE_AFTER_WAIT_MS: u64 = 500;

/// Failed calls that a session remembers, so that what was to come after them fails as well.
pub const FAILED_CALLS_MAX: usize = 128;

/// Bytes of a frame that a call which waits for its answer may hold beyond twice its own.
pub const PINNED_BYTES_MAX: usize = 4096;

/// Bytes that all packed objects of one frame may unpack to.
pub const UNPACKED_BYTES_MAX: usize = 16 << 20;

/// Bytes from which an answer is packed, if that makes it smaller.
pub const PACK_BYTES_MIN: usize = 512;

/// Bytes up to which an answer is packed. A larger one is a file's part, and those are compressed already.
pub const PACK_BYTES_MAX: usize = 128 << 10;

/// Bytes of a backend's answer: with what is around it, as much as a client takes in one frame. A larger one becomes an
/// `rpc_error`, which ends a call better than a message does that nobody can take.
pub const ANSWER_BYTES_MAX: usize = FRAME_BYTES_MAX_CLIENT - 4096;

/// Identifiers that a session remembers to tell a duplicate from a new message.
pub const RECEIVED_IDS_MAX: usize = 4096;

/// Seconds after which a received identifier is forgotten: its message would be too old by then.
pub const RECEIVED_ID_AGE_S: u64 = MSG_AGE_S_MAX + MSG_SKEW_S_MAX;

/// Messages that a session keeps until they are acknowledged.
pub const UNACKED_MESSAGES_MAX: usize = 1000;

/// Bytes that a session keeps until they are acknowledged; the newest message is kept whatever its size. Eight parts of
/// a file, of the largest size in use, may be on their way when a connection breaks.
pub const UNACKED_BYTES_MAX: usize = 8 << 20;

/// Bytes up to which a message is sent again unasked; a larger one is announced. Source: about 1 KiB in
/// <https://core.telegram.org/mtproto/service_messages_about_messages#extended-voluntary-communication-of-status-of-one-message>.
pub const WHOLE_BYTES_MAX: usize = 1024;

/// Seconds for which a message is kept until it is acknowledged.
pub const UNACKED_AGE_S_MAX: u64 = 600;

/// Seconds after which a message that is not acknowledged is sent again on a connection new to the session.
pub const RESEND_AGE_S: u64 = 3;

/// Acknowledgements that wait for company at most.
pub const ACKS_WAITING_MAX: usize = 16;

/// Milliseconds for which a server's acknowledgement waits for company; also how long a call may run without one.
pub const ACK_DELAY_MS_SERVER: u64 = 1000;

/// Milliseconds for which a client's acknowledgement waits for company.
pub const ACK_DELAY_MS_CLIENT: u64 = 5000;

/// Seconds for which a salt is the current one.
pub const SALT_SLOT_S: u64 = 1800;

/// Seconds before its time from which a salt is accepted: clocks differ.
pub const SALT_EARLY_S: u64 = 60;

/// Salts in one `future_salts` at least: some clients ask for ever when they get only one.
pub const FUTURE_SALTS_MIN: u64 = 2;

/// Salts in one `future_salts` at most.
pub const FUTURE_SALTS_MAX: u64 = 64;

/// Seconds of `ping_delay_disconnect` at least.
pub const DISCONNECT_DELAY_S_MIN: i32 = 1;

/// Seconds of `ping_delay_disconnect` at most.
pub const DISCONNECT_DELAY_S_MAX: i32 = 600;

/// Calls of one session that run at the same time.
pub const CALLS_RUNNING_MAX: usize = 1024;

/// Bytes of the calls of one session that run at the same time: two that unpack to as much as a frame may.
pub const CALLS_BYTES_MAX: usize = 2 * UNPACKED_BYTES_MAX;

/// Bytes that wait in one session for its connections; beyond it calls are refused.
pub const QUEUED_BYTES_MAX: usize = 16 << 20;

/// Messages that wait in one session for its connections; beyond it the connection is closed.
pub const QUEUED_MESSAGES_MAX: usize = 8192;

/// Updates that were pushed to a session and wait for its connection; beyond it one `updatesTooLong` stands for all.
pub const PUSHES_QUEUED_MAX: usize = 500;

/// Bytes of the updates that wait for a session's connection; beyond it one `updatesTooLong` stands for all.
pub const PUSHES_QUEUED_BYTES_MAX: usize = 256 << 10;

/// Updates that were sent and are kept until they are acknowledged; beyond it the oldest are forgotten, and a
/// connection that is lost then brings one `updatesTooLong`.
pub const PUSHES_UNACKED_MAX: usize = 500;

/// Bytes of the updates that were sent and are kept until they are acknowledged.
pub const PUSHES_UNACKED_BYTES_MAX: usize = 512 << 10;

/// Events of one sequence that a backend's bookkeeping keeps for the difference, unless it is told otherwise.
pub const UPDATE_EVENTS_KEPT: usize = 10_000;

/// Events of one sequence in one answer about the difference, whatever its client asks for.
pub const DIFFERENCE_EVENTS_MAX: usize = 1000;

/// Targets of one push.
pub const PUSH_TARGETS_MAX: usize = 65_536;

/// Messages of one identity that were refused because their time had not come, and are remembered one by one.
pub const REFUSED_EARLY_MAX: usize = 64;

/// Milliseconds for which the response to an HTTP request is held at most.
pub const HTTP_WAIT_MS_MAX: u64 = 50_000;

/// Milliseconds for which the response is held while nothing waits, if the request doesn't say.
///
/// Source: <https://core.telegram.org/mtproto/service_messages#http-wait-long-poll>.
pub const HTTP_WAIT_MS: u64 = 25_000;

/// Sessions of one identity; the one used longest ago makes room.
pub const SESSIONS_PER_IDENTITY_MAX: usize = 100;

/// Ended sessions of one identity that are remembered one by one.
pub const ENDED_SESSIONS_MAX: usize = 100;

/// Seconds for which a session without a connection is kept.
pub const SESSION_IDLE_S_MAX: u64 = 900;

/// Seconds after which an idle session gives back the room of its queues.
pub const SESSION_TIDY_S: u64 = 10;

/// Connections that one session uses at the same time.
pub const LINKS_PER_SESSION_MAX: usize = 16;

/// Sessions that one connection carries at the same time.
pub const SESSIONS_PER_LINK_MAX: usize = 100;

/// Layers of the API that are believed: far above any that exists.
pub const LAYER_MAX: i32 = 1000;

/// Bytes of one string of `initConnection`, or of a connection's id, that are kept.
pub const CLIENT_INFO_BYTES_MAX: usize = 256;

/// Bytes of the parameters of `initConnection`; larger ones are left out.
pub const CLIENT_PARAMS_BYTES_MAX: usize = 4096;

/// Bytes of a token by which an application proves what it is; a call with a larger one is refused.
pub const PROOF_BYTES_MAX: usize = 16 << 10;

/// Refusals in a row after which a client gives up on its session.
pub const REFUSALS_IN_A_ROW_MAX: u8 = 5;

/// Salts that a client keeps for later.
pub const SALTS_KEPT_MAX: usize = 64;

/// Seconds from the beginning of a salt's time to its use by a client: the one before is good for a slot more.
pub const SALT_LATE_S: u64 = 60;

/// Seconds between two requests of a client for salts, at least; also how long few are left before it asks.
pub const SALTS_ASK_S: u64 = 60;

/// Seconds by which an answer may be older than its call before a client doubts its clock.
pub const CLOCK_DOUBT_S: u64 = 15;

/// Questions of a client (pings, states, salts) that wait for their answers; one more drops the oldest.
pub const ASKS_MAX: usize = 64;

/// Sessions that a client has left and still takes answers from; one more and the oldest one's calls are uncertain.
pub const LEFT_SESSIONS_MAX: usize = 4;

/// Bytes of unanswered calls from which a client that has reconnected asks what became of them before it sends them
/// again.
pub const RESEND_BYTES_MAX: usize = 64 << 10;

/// Seconds for which a client that has reconnected waits to be told what became of its calls.
pub const STATES_WAIT_S: u64 = 5;

/// Seconds after which a client asks what became of calls that are not answered.
pub const CALL_CHECK_S: u64 = 30;
// ---- transport: what stands in front of frames ----

/// Bytes of the head of an HTTP request that brings a message.
pub const HTTP_REQUEST_HEAD_BYTES_MAX: usize = 4096;

/// Bytes of the head of a WebSocket handshake's request or answer.
pub const HTTP_HEAD_BYTES_MAX: usize = 8 << 10;

/// Bytes of one WebSocket frame. Only a sanity check: bodies are passed on as they come, never collected.
pub const WEBSOCKET_FRAME_BYTES_MAX: usize = FRAME_BYTES_MAX_CLIENT + 1024;

/// Bytes of a `PROXY` header of version 1, with its line end. Source: the PROXY protocol, section 2.1.
pub const PROXY_V1_BYTES_MAX: usize = 107;

/// Bytes of a `PROXY` header of version 2 after its first 16. The protocol would allow 65,535.
pub const PROXY_V2_BYTES_MAX: usize = 2048;

// Key exchange; source: `docs/adr/0006-exchange-limits.md`

/// Exchanges that one gateway process remembers; one more drops the oldest.
pub const EXCHANGES_MAX: usize = 1 << 15;

/// Unfinished exchanges that one connection began; one more drops its oldest.
pub const EXCHANGES_PER_LINK_MAX: usize = 4;

/// How long an exchange is remembered from its first query, and how long identical queries get identical answers.
pub const EXCHANGE_LIFE: Duration = Duration::from_mins(10);

/// Jobs of exchanges that wait or are worked on at once; a query that needs one more is refused with `-429`.
///
/// Some two seconds of one core's work: who waits longer is better told to come again.
pub const EXCHANGE_JOBS_MAX: usize = 256;

/// Secret exponents that one thread makes ahead, with their public numbers; some 600 bytes each.
pub const KEY_PAIRS_AHEAD_MAX: usize = 64;

/// Connections that wait for the answer to one query; one more is refused with `-429`.
pub const EXCHANGE_WAITERS_MAX: usize = 8;

/// Used `new_nonce`s that are remembered for [`EXCHANGE_LIFE`]; one more drops the oldest.
pub const NEW_NONCES_MAX: usize = 1 << 18;

/// Times that `dh_gen_retry` is answered within one exchange, or accepted by a client.
pub const DH_RETRIES_MAX: u8 = 5;

/// Fingerprints of a server's keys that a client names when it knows none of them. Telegram's servers have offered three.
pub const OFFERED_MAX: usize = 4;

/// Times that a client begins an exchange anew after a failure.
pub const EXCHANGE_RESTARTS_MAX: u32 = 5;

/// Seconds that a temporary key lives, whatever the client asked for.
pub const TEMP_KEY_LIFE_S_MAX: u32 = 86_400;

/// Seconds by which the end that a binding names may lie after that of its temporary key: the client reckons it from its
/// own idea of the server's time.
pub const BIND_EXPIRY_SLACK_S: u32 = 60;

/// Temporary keys that a host remembers to be bound elsewhere; of more, the one that ends first is forgotten, and a gateway
/// that does not know that it is bound is told so by its client, who binds it again.
pub const MOVED_KEYS_MAX: usize = 1 << 20;

/// Messages under one key that wait while its sessions are handed over. That takes no longer than a message between two
/// hosts; the connection of one more is closed, so that its client sends again.
pub const PARKED_FRAMES_MAX: usize = 256;

/// For how long they wait: then whoever was to take the sessions is taken to be lost, and its successor knows nothing.
pub const PARKED_AGE_MAX: Duration = Duration::from_secs(5);

/// Bytes of such messages.
pub const PARKED_BYTES_MAX: usize = 4 << 20;

/// Bytes of what one owner of sessions tells another: as much as the packed objects of a frame may unpack to, and half a frame
/// around them. A frame that is larger costs its connection, and sessions end on their way to the owner of a permanent key.
pub const CROSSING_BYTES_MAX: usize = UNPACKED_BYTES_MAX + FRAME_BYTES_MAX_SERVER / 2;

/// Destroyed keys that an owner remembers; of more, the first is forgotten.
pub const DESTROYED_KEYS_MAX: usize = 1 << 16;

/// For how long it does: a gateway that has missed their end may still use them.
pub const DESTROYED_KEY_AGE_S: u64 = 86_400;

/// Requests of one session to bind its key that are checked at the same time: each costs the store a look-up and a write,
/// and anybody can make a temporary key.
pub const BINDINGS_CHECKED_MAX: u32 = 4;

/// Keys that `auth.dropTempAuthKeys` may except.
pub const EXCEPT_KEYS_MAX: usize = 1024;

/// Temporary keys that are bound to one permanent key at a time; one more destroys the one that ends first.
///
/// A client may have a key for each of its main and media connections, and renews each before it ends.
pub const TEMP_KEYS_PER_KEY_MAX: usize = 64;

// ---- updates: a client's bookkeeping ----

/// Milliseconds for which a client waits for an update that is missing before it asks for the difference.
pub const GAP_WAIT_MS: u64 = 500;

/// Updates of one sequence that wait for one that is missing; one more and the difference is asked for at once.
pub const POSTPONED_UPDATES_MAX: usize = 1000;

/// Updates of all channels together that wait so; one more and its channel's difference is asked for at once.
pub const POSTPONED_CHANNEL_UPDATES_MAX: usize = 10_000;

/// Seconds without any update after which the difference is asked for.
pub const UPDATES_IDLE_S: u64 = 900;

/// Seconds after which a request for a difference that has failed is made again.
pub const DIFFERENCE_RETRY_S: u64 = 5;

/// Channels whose updates are kept in order; those of one more are delivered as they come.
pub const CHANNELS_MAX: usize = 65_536;

// ---- data centres, errors ----

/// Addresses of data centres that are kept.
pub const DC_ADDRESSES_MAX: usize = 256;

/// Bytes of an address's secret: `ee`, 16 bytes, and a domain of 182 at most.
pub const DC_SECRET_BYTES_MAX: usize = 200;

/// Seconds that an error may ask to wait; more counts as so many.
pub const WAIT_S_MAX: u64 = 14 * 86_400;

// ---- fake TLS ----

/// Bytes of the domain that a secret names. Source: MTProxy.
pub const FAKE_TLS_DOMAIN_BYTES_MAX: usize = 182;

/// Bytes of a client's hello. Source: MTProxy.
pub const FAKE_TLS_HELLO_BYTES_MAX: usize = 4096;

/// Bytes of one record of the server's reply: TLS has no larger ones.
pub const FAKE_TLS_REPLY_BYTES_MAX: usize = FAKE_TLS_RECORD_BYTES_MAX;

/// Bytes of a received record: 16 KiB, and what a cipher may add.
pub const FAKE_TLS_RECORD_BYTES_MAX: usize = (16 << 10) + 256;

/// Bytes of a record that we send. Source: tdlib.
pub const FAKE_TLS_RECORD_BYTES_SENT_MAX: usize = 2878;

/// Seconds by which a client's hello may be ahead of the server's clock. Source: MTProxy.
pub const FAKE_TLS_SKEW_S_MAX: u64 = 3;

/// Seconds by which a client's hello may be older than the server's clock. Source: MTProxy.
pub const FAKE_TLS_AGE_S_MAX: u64 = 600;

/// Hellos that are remembered while they would be accepted; beyond it no more are.
pub const FAKE_TLS_HELLOS_MAX: usize = 65_536;

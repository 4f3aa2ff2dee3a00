//! The byte forms of numbers and values that the whole crate knows.

use crate::crossing::{Cross, In, Malformed, Out, crosses};
use crate::envelope::Header;
use crate::ids::{AuthKeyId, Identity, LinkId, MsgId, Salt, SeqNo, SessionId, Term};
use crate::port::{Call, ClientInfo, FirstSalt, KeyFacts, KeyKind, Proof, Scope, Target, Trace};

macro_rules! newtypes_cross {
    ($($name:ident),*) => {$(
        impl Cross for $name {
            fn write(&self, out: &mut Out) {
                self.0.write(out);
            }

            fn read(from: &mut In<'_>) -> Result<Self, Malformed> {
                Cross::read(from).map(Self)
            }
        }
    )*};
}

newtypes_cross!(
    AuthKeyId, Identity, LinkId, MsgId, Salt, SeqNo, SessionId, Term
);

crosses!(Header {
    salt,
    session_id,
    msg_id,
    seqno
});
crosses!(FirstSalt {
    salt,
    term,
    since_unix_s
});
crosses!(KeyFacts {
    id,
    kind,
    perm,
    dc,
    first_salt
});
crosses!(Trace { trace_id, span_id });
crosses!(ClientInfo {
    api_id,
    device_model,
    system_version,
    app_version,
    system_lang_code,
    lang_pack,
    lang_code,
    proxy,
    params,
});
crosses!(Scope {
    messages,
    takeout_id,
    business_connection,
    proof
});
crosses!(Call {
    identity,
    key,
    session_id,
    msg_id,
    term,
    layer,
    client,
    user,
    peer,
    trace,
    without_updates,
    scope,
    body,
});
crosses!(enum KeyKind {
    0 = Permanent,
    1 = Temporary { expires_at_unix_s },
});
crosses!(enum Proof {
    0 = PlayIntegrity { nonce, token },
    1 = Apns { nonce, secret },
    2 = ReCaptcha { token },
});
crosses!(enum Target {
    0 = User(user),
    1 = Key(identity),
    2 = Session { identity, session_id },
});

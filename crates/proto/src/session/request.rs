//! Takes the wrappers off a call: `invokeWithLayer`, `initConnection` and the other `invoke*`, in any order, and
//! `gzip_packed` inside of them.
//!
//! Source: <https://core.telegram.org/api/invoking>.

use bytes::{Buf, Bytes};
use heliogram_tl::{Deserialize, Error, Reader, Serialize, api, peek_id};

use crate::ids::MsgId;
use crate::limits::{
    CLIENT_INFO_BYTES_MAX, CLIENT_PARAMS_BYTES_MAX, INVOKE_AFTER_IDS_MAX, LAYER_MAX,
    PROOF_BYTES_MAX, WRAPPERS_MAX,
};
use crate::port::{ClientInfo, Proof, Scope};
use crate::session::incoming::{CONTAINER, PACKED, unpack};

/// A call without its wrappers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    /// The innermost method: one boxed object, unpacked.
    pub(crate) query: Bytes,
    /// What `invokeWithLayer` said.
    pub(crate) layer: Option<i32>,
    /// What `initConnection` said.
    pub(crate) client: Option<Box<ClientInfo>>,
    /// What `invokeAfterMsg(s)` said.
    pub(crate) after: Vec<MsgId>,
    /// `invokeWithoutUpdates` was there.
    pub(crate) without_updates: bool,
    /// What the wrappers say that are for the backend.
    pub(crate) scope: Option<Box<Scope>>,
}

/// Takes off all wrappers. `budget` is what packed objects may still unpack to.
///
/// # Errors
///
/// The name of the `rpc_error` 400 that answers the call.
pub(crate) fn unwrap(bytes: Bytes, budget: &mut usize) -> Result<Request, &'static str> {
    let mut request = Request {
        query: bytes,
        ..Request::default()
    };
    let (mut wrappers, mut unpacked) = (0, false);
    loop {
        match peek_id(&request.query).ok_or(FETCH_FAIL)? {
            PACKED if unpacked => return Err(FETCH_FAIL),
            PACKED => {
                request.query = unpack(&request.query, budget).ok_or(FETCH_FAIL)?;
                unpacked = true;
            }
            CONTAINER => return Err(FETCH_FAIL),
            id if is_wrapper(id) => {
                wrappers += 1;
                if wrappers > WRAPPERS_MAX {
                    return Err(FETCH_FAIL);
                }
                request.take_off(id)?;
            }
            _ => return Ok(request),
        }
    }
}

impl Request {
    /// Takes off the outermost wrapper, whose constructor is `id`.
    fn take_off(&mut self, id: u32) -> Result<(), &'static str> {
        // The bytes are borrowed from a handle of their own: shortening `self.query` then needs no second one.
        let left = {
            let mut reader = Reader::new(&self.query);
            let (left, found) = Wrapper::read(id, &mut reader).map_err(|_| FETCH_FAIL)?;
            match found {
                Wrapper::After(ids) => self.after.extend(ids),
                Wrapper::Client(client) => self.client = Some(client),
                Wrapper::Layer(layer) if (1..=LAYER_MAX).contains(&layer) => {
                    self.layer = Some(layer);
                }
                Wrapper::Layer(_) => return Err(LAYER_INVALID),
                Wrapper::WithoutUpdates => self.without_updates = true,
                Wrapper::Messages(range) => self.scope().messages = Some(range),
                Wrapper::Takeout(id) => self.scope().takeout_id = Some(id),
                Wrapper::Business(id) => self.scope().business_connection = Some(id),
                Wrapper::Proof(proof) => self.scope().proof = Some(proof),
            }
            left
        };
        if self.after.len() > INVOKE_AFTER_IDS_MAX {
            return Err(FETCH_FAIL);
        }
        self.query.advance(self.query.len() - left);
        Ok(())
    }

    fn scope(&mut self) -> &mut Scope {
        self.scope.get_or_insert_default()
    }
}

/// What a wrapper says of its query.
enum Wrapper {
    After(Vec<MsgId>),
    Client(Box<ClientInfo>),
    Layer(i32),
    WithoutUpdates,
    Messages((i32, i32)),
    Takeout(i64),
    Business(String),
    Proof(Proof),
}

impl Wrapper {
    /// Reads one wrapper; returns the length of its query, too.
    fn read(id: u32, r: &mut Reader<'_>) -> Result<(usize, Self), Error> {
        let (query, wrapper) = match id {
            api::InvokeAfterMsg::ID => {
                let it = api::InvokeAfterMsg::read(r)?;
                (it.query, Self::After(vec![MsgId(it.msg_id)]))
            }
            api::InvokeAfterMsgs::ID => {
                let it = api::InvokeAfterMsgs::read(r)?;
                let ids = it.msg_ids.iter().take(INVOKE_AFTER_IDS_MAX + 1).map(MsgId);
                (it.query, Self::After(ids.collect()))
            }
            api::InitConnection::ID => {
                let it = api::InitConnection::read(r)?;
                (it.query, Self::Client(Box::new(client_info(&it))))
            }
            api::InvokeWithLayer::ID => {
                let it = api::InvokeWithLayer::read(r)?;
                (it.query, Self::Layer(it.layer))
            }
            api::InvokeWithoutUpdates::ID => (
                api::InvokeWithoutUpdates::read(r)?.query,
                Self::WithoutUpdates,
            ),
            api::InvokeWithMessagesRange::ID => {
                let it = api::InvokeWithMessagesRange::read(r)?;
                let range = (it.range.min_id, it.range.max_id);
                (it.query, Self::Messages(range))
            }
            api::InvokeWithTakeout::ID => {
                let it = api::InvokeWithTakeout::read(r)?;
                (it.query, Self::Takeout(it.takeout_id))
            }
            api::InvokeWithBusinessConnection::ID => {
                let it = api::InvokeWithBusinessConnection::read(r)?;
                (it.query, Self::Business(text(it.connection_id)))
            }
            id => return Self::read_proof(id, r),
        };
        Ok((query.len(), wrapper))
    }

    /// Reads a wrapper by which an application proves what it is.
    fn read_proof(id: u32, r: &mut Reader<'_>) -> Result<(usize, Self), Error> {
        let (query, proof) = match id {
            api::InvokeWithGooglePlayIntegrity::ID => {
                let it = api::InvokeWithGooglePlayIntegrity::read(r)?;
                let (nonce, token) = (proof_bytes(it.nonce)?, proof_bytes(it.token)?);
                (it.query, Proof::PlayIntegrity { nonce, token })
            }
            api::InvokeWithApnsSecret::ID => {
                let it = api::InvokeWithApnsSecret::read(r)?;
                let (nonce, secret) = (proof_bytes(it.nonce)?, proof_bytes(it.secret)?);
                (it.query, Proof::Apns { nonce, secret })
            }
            api::InvokeWithReCaptcha::ID => {
                let it = api::InvokeWithReCaptcha::read(r)?;
                let token = proof_bytes(it.token)?;
                (it.query, Proof::ReCaptcha { token })
            }
            id => return Err(Error::UnexpectedId { id }),
        };
        Ok((query.len(), Self::Proof(proof)))
    }
}

fn is_wrapper(id: u32) -> bool {
    matches!(
        id,
        api::InvokeAfterMsg::ID
            | api::InvokeAfterMsgs::ID
            | api::InitConnection::ID
            | api::InvokeWithLayer::ID
            | api::InvokeWithoutUpdates::ID
            | api::InvokeWithMessagesRange::ID
            | api::InvokeWithTakeout::ID
            | api::InvokeWithBusinessConnection::ID
            | api::InvokeWithGooglePlayIntegrity::ID
            | api::InvokeWithApnsSecret::ID
            | api::InvokeWithReCaptcha::ID
    )
}

fn client_info(init: &api::InitConnection<'_>) -> ClientInfo {
    ClientInfo {
        api_id: init.api_id,
        device_model: text(init.device_model),
        system_version: text(init.system_version),
        app_version: text(init.app_version),
        system_lang_code: text(init.system_lang_code),
        lang_pack: text(init.lang_pack),
        lang_code: text(init.lang_code),
        proxy: init.proxy.map(|it| (text(it.address), it.port)),
        params: init
            .params
            .map(|it| it.to_bytes())
            .and_then(|it| (it.len() <= CLIENT_PARAMS_BYTES_MAX).then(|| it.into_boxed_slice())),
    }
}

/// Keeps all of a peer's token, if it is not too large.
fn proof_bytes(bytes: &[u8]) -> Result<Box<[u8]>, Error> {
    let max = PROOF_BYTES_MAX;
    if bytes.len() > max {
        return Err(Error::TooLong);
    }
    Ok(bytes.into())
}

/// Keeps the beginning of a peer's string; what is not UTF-8 is replaced.
fn text(bytes: &[u8]) -> String {
    let kept = bytes.get(..CLIENT_INFO_BYTES_MAX).unwrap_or(bytes);
    String::from_utf8_lossy(kept).into_owned()
}

/// The call can't be read.
pub(crate) const FETCH_FAIL: &str = "INPUT_FETCH_FAIL";

/// There is no such layer.
pub(crate) const LAYER_INVALID: &str = "CONNECTION_LAYER_INVALID";

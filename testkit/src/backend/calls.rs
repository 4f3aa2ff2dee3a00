//! Which method is answered where: reading of requests, writing of results.

use bytes::Bytes;
use grammers_tl_types::{
    Cursor, Deserializable, Identifiable, RemoteCall, Serializable, functions,
};
use heliogram_ports::{Answer, Call, Reply, RpcError};

use super::{Backend, tokens, unregistered};

/// What a method comes to.
pub type Outcome<T> = Result<T, RpcError>;

/// Makes an `rpc_error`.
#[must_use]
pub fn refuse(code: i32, message: &str) -> RpcError {
    RpcError {
        code,
        message: message.to_owned(),
    }
}

/// A call whose key is signed in, and what it asks.
pub(super) struct Asked<'a, M> {
    pub(super) call: &'a Call,
    pub(super) user: i64,
    pub(super) request: M,
}

impl Backend {
    /// Runs a call that nothing stands in the way of.
    pub(super) fn run(&self, method: u32, call: &Call) -> Answer {
        if let Some(answer) = tokens::run(&self.ledger, method, call) {
            return answer;
        }
        let outcome = match self.script.answered(method, call) {
            Some(outcome) => outcome,
            None => self.run_known(method, call),
        };
        Answer::Now(match outcome {
            Ok(body) => Reply::Result(Bytes::from(body)),
            Err(error) => Reply::Error(error),
        })
    }

    fn run_known(&self, method: u32, call: &Call) -> Outcome<Vec<u8>> {
        use functions::{auth, help, messages, updates, upload, users};
        match method {
            help::GetConfig::CONSTRUCTOR_ID => self.on_get_config(call),
            help::GetNearestDc::CONSTRUCTOR_ID => self.open(call, Self::on_get_nearest_dc),
            auth::ImportAuthorization::CONSTRUCTOR_ID => self.open(call, Self::on_import),
            auth::ImportBotAuthorization::CONSTRUCTOR_ID => self.open(call, Self::on_import_bot),
            auth::ExportAuthorization::CONSTRUCTOR_ID => self.signed(call, Self::on_export),
            auth::LogOut::CONSTRUCTOR_ID => self.signed(call, Self::on_log_out),
            users::GetUsers::CONSTRUCTOR_ID => self.signed(call, Self::on_get_users),
            messages::SendMessage::CONSTRUCTOR_ID => self.signed(call, Self::on_send_message),
            messages::UploadMedia::CONSTRUCTOR_ID => self.signed(call, Self::on_upload_media),
            updates::GetState::CONSTRUCTOR_ID => self.signed(call, Self::on_get_state),
            updates::GetDifference::CONSTRUCTOR_ID => self.signed(call, Self::on_get_difference),
            updates::GetChannelDifference::CONSTRUCTOR_ID => {
                self.signed(call, Self::on_get_channel_difference)
            }
            upload::SaveFilePart::CONSTRUCTOR_ID => self.signed(call, Self::on_save_file_part),
            upload::SaveBigFilePart::CONSTRUCTOR_ID => {
                self.signed(call, Self::on_save_big_file_part)
            }
            upload::GetFile::CONSTRUCTOR_ID => self.signed(call, Self::on_get_file),
            upload::GetFileHashes::CONSTRUCTOR_ID => self.signed(call, Self::on_get_file_hashes),
            _ => Err(refuse(400, &format!("INPUT_METHOD_INVALID_{method}"))),
        }
    }

    /// Answers a method that anybody may call.
    fn open<M>(
        &self,
        call: &Call,
        answer: impl FnOnce(&Self, &Call, &M) -> Outcome<M::Return>,
    ) -> Outcome<Vec<u8>>
    where
        M: RemoteCall<Return: Serializable> + Deserializable,
    {
        answer(self, call, &read(&call.body)?).map(|it| it.to_bytes())
    }

    /// Answers a method that needs somebody who is signed in.
    fn signed<M>(
        &self,
        call: &Call,
        answer: impl FnOnce(&Self, &Asked<'_, M>) -> Outcome<M::Return>,
    ) -> Outcome<Vec<u8>>
    where
        M: RemoteCall<Return: Serializable> + Deserializable,
    {
        let request = read(&call.body)?;
        let user = self.user_of(call.identity).ok_or_else(unregistered)?;
        let asked = Asked {
            call,
            user,
            request,
        };
        answer(self, &asked).map(|it| it.to_bytes())
    }
}

/// Reads a method's arguments: all of them, and nothing after them.
pub(super) fn read<M: Deserializable>(body: &[u8]) -> Outcome<M> {
    let invalid = || refuse(400, "INPUT_FETCH_FAIL");
    let arguments = body.get(4..).ok_or_else(invalid)?;
    let mut cursor = Cursor::from_slice(arguments);
    let request = M::deserialize(&mut cursor).map_err(|_| invalid())?;
    if cursor.pos() == arguments.len() {
        Ok(request)
    } else {
        Err(refuse(400, "INPUT_FETCH_ERROR"))
    }
}

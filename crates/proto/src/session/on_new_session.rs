//! `new_session_created`: the server has no memory of what came before `first_msg_id`.

use heliogram_tl::mtproto as tl;

use crate::ids::{MsgId, Salt};
use crate::session::Session;
use crate::session::client::Event;
use crate::side::Client;

impl Session<Client> {
    /// Calls below `first_msg_id` are lost: they are sent again under new identifiers. A container is compared by its
    /// own identifier.
    ///
    /// Before a temporary key is bound its server knows nothing of what was sent under another: the calls wait for the
    /// owner of the permanent one, who may have them.
    pub(super) fn on_new_session_created(
        &mut self,
        message: &tl::NewSessionCreated,
        out: &mut Vec<Event>,
    ) {
        if self.state.incarnation == Some(message.unique_id) {
            return;
        }
        self.state.incarnation = Some(message.unique_id);
        self.state.refusals = 0;
        self.state.salts.replace(Salt(message.server_salt));
        let first = MsgId(message.first_msg_id);
        if !self.outbox.awaits_binding() {
            self.send_anew(|it| it.msg_id.max(it.container) < first, out);
        }
        out.push(Event::NewSession);
    }
}

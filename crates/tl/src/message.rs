//! The bare `message`, the one service type whose wire form the schema language can't express.

use crate::{Deserialize, Error, Reader, Serialize, Writer};

/// `message msg_id:long seqno:int bytes:int body:Object`: one message of a container.
///
/// On the wire `bytes`, the length of the body, stands before it; here the body carries its own length. The body is
/// one boxed object that nobody has looked at yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Message<'a> {
    /// Identifier, given by the sender.
    pub msg_id: i64,
    /// Sequence number, given by the sender.
    pub seqno: i32,
    /// Boxed object; its length is a multiple of four.
    pub body: &'a [u8],
}

impl<'a> Deserialize<'a> for Message<'a> {
    const BYTES_MIN: usize = 16;

    fn read(r: &mut Reader<'a>) -> Result<Self, Error> {
        let msg_id = r.i64()?;
        let seqno = r.i32()?;
        let bytes = usize::try_from(r.i32()?).map_err(|_negative| Error::Unaligned)?;
        if !bytes.is_multiple_of(4) {
            return Err(Error::Unaligned);
        }
        let body = r.take(bytes)?;
        Ok(Self {
            msg_id,
            seqno,
            body,
        })
    }
}

impl Serialize for Message<'_> {
    fn write(&self, w: &mut Writer) {
        debug_assert!(
            self.body.len().is_multiple_of(4),
            "a serialised object consists of whole words"
        );
        w.i64(self.msg_id);
        w.i32(self.seqno);
        let Ok(bytes) = i32::try_from(self.body.len()) else {
            w.overflow();
            w.i32(0);
            return;
        };
        w.i32(bytes);
        w.raw(self.body);
    }
}

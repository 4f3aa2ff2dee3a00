//! The backend's methods.

use bytes::Bytes;
use heliogram_client::Method;

/// `ledger.append`: an entry that no other call has.
pub(crate) struct Append(pub(crate) i64);

/// `ledger.signIn`.
pub(crate) struct SignIn(pub(crate) i64);

/// `ledger.pushed`: how many updates the user was pushed.
pub(crate) struct Pushed;

impl Method for Append {
    type Return = i64;

    fn to_body(&self) -> Bytes {
        body(0x7e57_0003, Some(self.0))
    }

    fn read_result(result: &[u8]) -> Result<i64, String> {
        entry(result)
    }
}

impl Method for SignIn {
    type Return = i64;

    fn to_body(&self) -> Bytes {
        body(0x7e57_0005, Some(self.0))
    }

    fn read_result(result: &[u8]) -> Result<i64, String> {
        entry(result)
    }
}

impl Method for Pushed {
    type Return = i64;

    fn to_body(&self) -> Bytes {
        body(0x7e57_0006, None)
    }

    fn read_result(result: &[u8]) -> Result<i64, String> {
        entry(result)
    }
}

fn body(id: u32, argument: Option<i64>) -> Bytes {
    let mut body = id.to_le_bytes().to_vec();
    body.extend(argument.into_iter().flat_map(i64::to_le_bytes));
    body.into()
}

fn entry(result: &[u8]) -> Result<i64, String> {
    let (id, entry) = result.split_first_chunk().ok_or("too short")?;
    if u32::from_le_bytes(*id) != 0x7e57_0004 {
        return Err(format!("not an entry: {result:02x?}"));
    }
    let entry = entry.try_into().map_err(|_| "too long")?;
    Ok(i64::from_le_bytes(entry))
}

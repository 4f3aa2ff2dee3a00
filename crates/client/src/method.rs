//! What can be called: any schema plugs in here.

use bytes::Bytes;

/// A method of a schema: how it is written, and how its result is read.
///
/// With the feature `layer-222` every function of `grammers_tl_types` is one.
pub trait Method {
    /// What the server answers.
    type Return;

    /// Writes the method: one boxed object, a whole number of words.
    fn to_body(&self) -> Bytes;

    /// Reads the result: one boxed object, unpacked.
    ///
    /// # Errors
    ///
    /// What is wrong with it, in words.
    fn read_result(result: &[u8]) -> Result<Self::Return, String>;
}

/// A method as bytes, whose result is bytes, for schemas that this crate does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "bytes")]
pub struct Raw(pub Bytes);

impl Method for Raw {
    type Return = Bytes;

    fn to_body(&self) -> Bytes {
        self.0.clone()
    }

    fn read_result(result: &[u8]) -> Result<Bytes, String> {
        Ok(Bytes::copy_from_slice(result))
    }
}

#[cfg(feature = "layer-222")]
impl<T: grammers_tl_types::RemoteCall> Method for T {
    type Return = T::Return;

    fn to_body(&self) -> Bytes {
        self.to_bytes().into()
    }

    fn read_result(result: &[u8]) -> Result<T::Return, String> {
        use grammers_tl_types::Deserializable as _;
        T::Return::from_bytes(result).map_err(|error| format!("{error:?}"))
    }
}

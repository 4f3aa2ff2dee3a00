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
        if !crate::nesting::is_shallow(result) {
            return Err("it is nested too deep, or in no known form".to_owned());
        }
        T::Return::from_bytes(result).map_err(|error| format!("{error:?}"))
    }
}

#[cfg(all(test, feature = "layer-222"))]
mod tests {
    use grammers_tl_types::{Identifiable as _, RemoteCall, Serializable, enums, types};

    use super::*;

    #[test]
    fn a_result_that_is_nothing_but_levels_is_refused_before_it_is_read() {
        let level = types::TextBold::CONSTRUCTOR_ID.to_le_bytes();
        let levels = |count: usize| [level.repeat(count), EMPTY.to_vec()].concat();
        Text::read_result(&levels(64)).unwrap();
        // The stack is not that large.
        Text::read_result(&levels(1_000_000)).unwrap_err();
    }

    /// Has a text for a result.
    struct Text;

    impl Serializable for Text {
        fn serialize(&self, _: &mut impl Extend<u8>) {}
    }

    impl RemoteCall for Text {
        type Return = enums::RichText;
    }

    /// `textEmpty`.
    const EMPTY: [u8; 4] = 0xdc3d_824f_u32.to_le_bytes();
}

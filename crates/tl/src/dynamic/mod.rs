//! Values of any schema, known by nothing but its text.
//!
//! A [`Catalog`] says which constructors and methods there are: those of the API layer, or of a schema file. With it
//! bytes are read into a [`Value`], and values are put together field by field. A value knows its own shape, so that it
//! is written without the catalog, and what was read is written back the same: bits that the schema does not know
//! included.
//!
//! ```
//! use heliogram_tl::dynamic::{Catalog, Object, Value};
//! use heliogram_tl::Serialize;
//!
//! let catalog = Catalog::of_layer();
//! let get_config = catalog.method("help.getConfig").ok_or("no such method")?;
//! let call = Object::new(get_config, true, Vec::new()).map_err(|it| it.to_string())?;
//! assert_eq!(call.to_bytes(), 0xc4f9_186b_u32.to_le_bytes());
//!
//! let answer = [0xb5, 0x75, 0x72, 0x99];
//! let accept = catalog.method("help.acceptTermsOfService").ok_or("no such method")?;
//! assert_eq!(catalog.read_all(&answer, accept.result)?, Value::Bool(true));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! For tools that show or make messages, not for a server's path: each value allocates. What hostile bytes may cost is
//! bounded by [`VALUES_MAX`](crate::limits::VALUES_MAX) and by the reader's own limits.
//!
//! How values are shown to people is not decided here.

mod catalog;
mod object;
mod read;
mod shape;
mod value;

pub use catalog::Catalog;
pub use object::{Misfit, Object, Wrong};
pub use shape::Shape;
pub use value::Value;

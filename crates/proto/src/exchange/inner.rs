//! `p_q_inner_data`: what the client encrypts to the server's RSA key, in its four forms as one.

use heliogram_tl::mtproto::{PQInnerData, PQInnerDataDc, PQInnerDataTemp, PQInnerDataTempDc};
use heliogram_tl::{Deserialize, Serialize, Writer, peek_id};
use zeroize::Zeroizing;

use super::params::{self, Nonce};

/// The inner data; which constructor it has follows from which of the last two fields there are.
pub(super) struct Inner<'a> {
    pub(super) pq: &'a [u8],
    pub(super) p: &'a [u8],
    pub(super) q: &'a [u8],
    pub(super) nonce: Nonce,
    pub(super) server_nonce: Nonce,
    pub(super) new_nonce: Zeroizing<[u8; 32]>,
    /// The data centre, `+10000` for test, negative for media-only.
    pub(super) dc: Option<i32>,
    /// There is one if a temporary key is asked for.
    pub(super) expires_in_s: Option<i32>,
}

impl<'a> Inner<'a> {
    /// Serialises the data, boxed.
    pub(super) fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let &Self {
            pq,
            p,
            q,
            nonce,
            server_nonce,
            ref new_nonce,
            ..
        } = self;
        let new_nonce = **new_nonce;
        // A vector that grows leaves copies behind.
        let mut writer = Writer::from_vec(Vec::with_capacity(BYTES_MAX));
        let w = &mut writer;
        match (self.dc, self.expires_in_s) {
            (None, None) => PQInnerData {
                pq,
                p,
                q,
                nonce,
                server_nonce,
                new_nonce,
            }
            .write(w),
            (Some(dc), None) => PQInnerDataDc {
                pq,
                p,
                q,
                nonce,
                server_nonce,
                new_nonce,
                dc,
            }
            .write(w),
            (None, Some(expires_in)) => PQInnerDataTemp {
                pq,
                p,
                q,
                nonce,
                server_nonce,
                new_nonce,
                expires_in,
            }
            .write(w),
            (Some(dc), Some(expires_in)) => PQInnerDataTempDc {
                pq,
                p,
                q,
                nonce,
                server_nonce,
                new_nonce,
                dc,
                expires_in,
            }
            .write(w),
        }
        Zeroizing::new(writer.into_vec())
    }

    /// Reads from the front; returns the data with the number of bytes that it takes.
    pub(super) fn read(bytes: &'a [u8]) -> Option<(Self, usize)> {
        match peek_id(bytes)? {
            PQInnerData::ID => read_as::<PQInnerData<'a>>(bytes),
            PQInnerDataDc::ID => read_as::<PQInnerDataDc<'a>>(bytes),
            PQInnerDataTemp::ID => read_as::<PQInnerDataTemp<'a>>(bytes),
            PQInnerDataTempDc::ID => read_as::<PQInnerDataTempDc<'a>>(bytes),
            _ => None,
        }
    }
}

fn read_as<'a, T: Deserialize<'a> + Into<Inner<'a>>>(
    bytes: &'a [u8],
) -> Option<(Inner<'a>, usize)> {
    let (form, taken) = params::read_front::<T>(bytes)?;
    Some((form.into(), taken.len()))
}

macro_rules! from_form {
    ($form:ident, |$inner:ident| $dc:expr, $expires_in_s:expr) => {
        impl<'a> From<$form<'a>> for Inner<'a> {
            fn from($inner: $form<'a>) -> Self {
                Self {
                    dc: $dc,
                    expires_in_s: $expires_in_s,
                    pq: $inner.pq,
                    p: $inner.p,
                    q: $inner.q,
                    nonce: $inner.nonce,
                    server_nonce: $inner.server_nonce,
                    new_nonce: Zeroizing::new($inner.new_nonce),
                }
            }
        }
    };
}

from_form!(PQInnerData, |inner| None, None);
from_form!(PQInnerDataDc, |inner| Some(inner.dc), None);
from_form!(PQInnerDataTemp, |inner| None, Some(inner.expires_in));
from_form!(
    PQInnerDataTempDc,
    |inner| Some(inner.dc),
    Some(inner.expires_in)
);

/// More than inner data may have: the old padding takes 235 bytes, the new one 144.
const BYTES_MAX: usize = 256;

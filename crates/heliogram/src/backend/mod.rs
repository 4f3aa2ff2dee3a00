//! The built-in backend: what a client asks before login, and an honest error to everything else.
//!
//! Knows no users. Whoever wants more runs a backend of their own behind the same trait.

use std::net::SocketAddr;
use std::sync::OnceLock;

use bytes::Bytes;
use heliogram_ports::clock::unix_now;
use heliogram_ports::{Answer, Backend, Call, Reply, RpcError};
use heliogram_tl::api::help::{GetAppConfig, GetConfig, GetNearestDc};
use heliogram_tl::{Deserialize, layer};

pub(crate) use self::data_centres::DataCentres;
use self::data_centres::Seen;

mod data_centres;
mod get_app_config;
mod get_config;
mod get_nearest_dc;

/// The backend.
#[derive(Debug)]
pub(crate) struct BuiltIn {
    data_centres: DataCentres,
    addresses: OnceLock<Vec<SocketAddr>>,
}

impl BuiltIn {
    /// Makes the backend of these data centres, which nobody can reach yet.
    pub(crate) const fn new(data_centres: DataCentres) -> Self {
        Self {
            data_centres,
            addresses: OnceLock::new(),
        }
    }

    /// Says where clients reach every data centre; only the first time counts.
    pub(crate) fn publish(&self, addresses: Vec<SocketAddr>) {
        self.addresses.get_or_init(|| addresses);
    }

    fn answer(&self, body: &[u8], named_dc: Option<i32>, now_unix_s: u64) -> Reply {
        let context = Context {
            seen: self.data_centres.seen(named_dc),
            data_centres: &self.data_centres,
            addresses: self.addresses.get().map_or(&[], Vec::as_slice),
            now_unix_s,
        };
        let Some(id) = body.first_chunk().map(|id| u32::from_le_bytes(*id)) else {
            return malformed();
        };
        let result = match id {
            GetConfig::ID => parsed::<GetConfig>(body, |_| get_config::answer(&context)),
            GetNearestDc::ID => parsed::<GetNearestDc>(body, |_| get_nearest_dc::answer(&context)),
            GetAppConfig::ID => {
                parsed::<GetAppConfig>(body, |query| get_app_config::answer(&query))
            }
            // Clients ask for themselves before they log in, and expect exactly this.
            id if layer::method(id).is_some() => {
                return error(401, "AUTH_KEY_UNREGISTERED".to_owned());
            }
            id => return error(400, format!("INPUT_METHOD_INVALID_{id}")),
        };
        result.unwrap_or_else(malformed)
    }
}

impl Backend for BuiltIn {
    fn call(&self, call: Call) -> Answer {
        let now_unix_s = unix_now().seconds();
        Answer::Now(self.answer(&call.body, call.key.dc, now_unix_s))
    }
}

/// What an answer depends on beside the query.
#[derive(Clone, Copy, Debug)]
struct Context<'a> {
    /// The data centre that the client believes it reached.
    seen: Seen,
    /// Every data centre that is served.
    data_centres: &'a DataCentres,
    /// Where each of them is reached.
    addresses: &'a [SocketAddr],
    now_unix_s: u64,
}

fn parsed<'a, Q: Deserialize<'a>>(
    body: &'a [u8],
    answer: impl FnOnce(Q) -> Vec<u8>,
) -> Option<Reply> {
    let query = Q::from_bytes(body).ok()?;
    Some(Reply::Result(Bytes::from(answer(query))))
}

fn malformed() -> Reply {
    error(400, "INPUT_FETCH_FAIL".to_owned())
}

const fn error(code: i32, message: String) -> Reply {
    Reply::Error(RpcError { code, message })
}

#[cfg(test)]
mod tests {
    use heliogram_tl::Serialize;
    use heliogram_tl::api::{Config, NearestDc};

    use super::*;
    use crate::config::DcId;

    const NOW_S: u64 = 1_700_000_000;

    fn backend() -> BuiltIn {
        let backend = BuiltIn::new(DataCentres::new(DcId::DEFAULT, DcId::defaults()));
        backend.publish(vec![
            "127.0.0.1:10443".parse().unwrap(),
            "[::1]:5222".parse().unwrap(),
        ]);
        backend
    }

    fn result(body: &[u8], named_dc: Option<i32>) -> Bytes {
        match backend().answer(body, named_dc, NOW_S) {
            Reply::Result(result) => result,
            Reply::Error(error) => panic!("{error:?}"),
        }
    }

    fn error_of(body: &[u8]) -> (i32, String) {
        match backend().answer(body, None, NOW_S) {
            Reply::Error(error) => (error.code, error.message),
            Reply::Result(result) => panic!("{result:?}"),
        }
    }

    #[test]
    fn the_config_names_the_data_centre_of_the_key_and_its_environment() {
        for (named, this_dc, test_mode) in [
            (None, 2, false),
            (Some(4), 4, false),
            (Some(10_001), 1, true),
        ] {
            let body = result(&GetConfig.to_bytes(), named);
            let config = Config::from_bytes(&body).unwrap();

            assert_eq!(
                (config.this_dc, config.test_mode),
                (this_dc, test_mode),
                "{named:?}"
            );
        }
    }

    #[test]
    fn the_config_is_valid_for_a_while() {
        let body = result(&GetConfig.to_bytes(), None);
        let config = Config::from_bytes(&body).unwrap();

        assert_eq!(u64::try_from(config.date).unwrap(), NOW_S);
        assert!(config.expires > config.date);
    }

    #[test]
    fn the_config_names_every_bound_address_for_every_served_data_centre() {
        let body = result(&GetConfig.to_bytes(), None);
        let config = Config::from_bytes(&body).unwrap();

        let options = config
            .dc_options
            .iter()
            .map(|option| (option.id, option.ip_address, option.port, option.ipv6));
        let expected = (1..=5).flat_map(|dc| {
            [
                (dc, b"127.0.0.1".as_slice(), 10_443, false),
                (dc, b"::1".as_slice(), 5_222, true),
            ]
        });
        assert!(options.eq(expected));
    }

    #[test]
    fn the_nearest_data_centre_is_the_one_that_was_reached() {
        let body = result(&GetNearestDc.to_bytes(), Some(-3));
        let nearest = NearestDc::from_bytes(&body).unwrap();

        assert_eq!((nearest.this_dc, nearest.nearest_dc), (3, 3));
    }

    #[test]
    fn the_app_config_is_sent_once() {
        let first = result(&GetAppConfig { hash: 0 }.to_bytes(), None);
        assert_eq!(
            layer::constructor(id_of(&first)).unwrap().name(),
            "help.appConfig"
        );
        let hash = i32::from_le_bytes(first[4..8].try_into().unwrap());

        let second = result(&GetAppConfig { hash }.to_bytes(), None);

        assert_eq!(
            layer::constructor(id_of(&second)).unwrap().name(),
            "help.appConfigNotModified"
        );
    }

    #[test]
    fn a_method_that_needs_a_login_says_so() {
        for name in ["users.getUsers", "updates.getState", "auth.sendCode"] {
            let id = layer::method_by_name(name).unwrap().id();

            assert_eq!(
                error_of(&id.to_le_bytes()),
                (401, "AUTH_KEY_UNREGISTERED".to_owned()),
                "{name}"
            );
        }
    }

    #[test]
    fn an_unknown_constructor_and_one_that_is_no_method_are_named_in_decimal() {
        assert_eq!(
            error_of(&0xffff_fffe_u32.to_le_bytes()),
            (400, "INPUT_METHOD_INVALID_4294967294".to_owned())
        );
        assert_eq!(
            error_of(&Config::ID.to_le_bytes()),
            (400, format!("INPUT_METHOD_INVALID_{}", Config::ID))
        );
    }

    #[test]
    fn a_query_with_bytes_after_its_end_or_none_at_all_is_malformed() {
        let mut long = GetConfig.to_bytes();
        long.extend_from_slice(&[0; 4]);

        assert_eq!(error_of(&long), (400, "INPUT_FETCH_FAIL".to_owned()));
        assert_eq!(error_of(&[]), (400, "INPUT_FETCH_FAIL".to_owned()));
        assert_eq!(
            error_of(&GetAppConfig::ID.to_le_bytes()),
            (400, "INPUT_FETCH_FAIL".to_owned())
        );
    }

    fn id_of(body: &[u8]) -> u32 {
        u32::from_le_bytes(body[..4].try_into().unwrap())
    }
}

//! `help.getAppConfig`: an empty object, which never changes.

use heliogram_tl::Serialize;
use heliogram_tl::api::help::{AppConfig, AppConfigNotModified, GetAppConfig};
use heliogram_tl::api::{JsonObject, JsonValue};

/// Answers with the object, or says that the client has it already.
pub(super) fn answer(query: &GetAppConfig) -> Vec<u8> {
    if query.hash == HASH {
        return AppConfigNotModified.to_bytes();
    }
    AppConfig {
        hash: HASH,
        config: JsonValue::JsonObject(JsonObject::default()),
    }
    .to_bytes()
}

/// Names this object among its versions; zero would mean that the client has none.
const HASH: i32 = 1;

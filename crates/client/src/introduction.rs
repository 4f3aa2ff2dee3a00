//! What a client says of itself: `invokeWithLayer` and `initConnection` around its first call.

use bytes::Bytes;
use heliogram_tl::{Serialize as _, api};

/// What a client says of the device and the program it runs in.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the fields of initConnection")]
pub struct Device {
    /// The device.
    pub device_model: String,
    /// Its operating system.
    pub system_version: String,
    /// The program's version.
    pub app_version: String,
    /// The operating system's language.
    pub system_lang_code: String,
    /// The name of the language pack; empty for those that Telegram doesn't know.
    pub lang_pack: String,
    /// The program's language.
    pub lang_code: String,
}

impl Default for Device {
    fn default() -> Self {
        Self {
            device_model: std::env::consts::ARCH.to_owned(),
            system_version: std::env::consts::OS.to_owned(),
            app_version: env!("CARGO_PKG_VERSION").to_owned(),
            system_lang_code: "en".to_owned(),
            lang_pack: String::new(),
            lang_code: "en".to_owned(),
        }
    }
}

/// Who the client is to every server.
#[derive(Clone, Debug)]
pub(crate) struct Introduction {
    pub(crate) api_id: i32,
    pub(crate) layer: i32,
    pub(crate) device: Device,
    /// The client wants no updates.
    pub(crate) without_updates: bool,
}

impl Introduction {
    /// Puts the introduction around a method.
    pub(crate) fn around(&self, method: &[u8]) -> Bytes {
        let device = &self.device;
        let init = api::InitConnection {
            api_id: self.api_id,
            device_model: device.device_model.as_bytes(),
            system_version: device.system_version.as_bytes(),
            app_version: device.app_version.as_bytes(),
            system_lang_code: device.system_lang_code.as_bytes(),
            lang_pack: device.lang_pack.as_bytes(),
            lang_code: device.lang_code.as_bytes(),
            proxy: None,
            params: None,
            query: method,
        };
        let layered = api::InvokeWithLayer {
            layer: self.layer,
            query: &init.to_bytes(),
        };
        self.quiet(&layered.to_bytes())
    }

    /// Puts `invokeWithoutUpdates` around a method, if the client wants none.
    pub(crate) fn quiet(&self, method: &[u8]) -> Bytes {
        if !self.without_updates {
            return Bytes::copy_from_slice(method);
        }
        let quiet = api::InvokeWithoutUpdates { query: method };
        quiet.to_bytes().into()
    }
}

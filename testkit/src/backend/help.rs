//! `help.getConfig` and `help.getNearestDc`: where the data centres of this test are.

use std::net::SocketAddr;

use grammers_tl_types::{enums, functions, types};
use heliogram_ports::Call;
use heliogram_ports::clock::unix_now;
use heliogram_tl::Serialize as _;
use heliogram_tl::api::{Config, DcOption};

use super::Backend;
use super::calls::{Outcome, read};

impl Backend {
    pub(super) fn on_get_config(&self, call: &Call) -> Outcome<Vec<u8>> {
        read::<functions::help::GetConfig>(&call.body)?;
        let places = self.cloud.addresses();
        let places = places.iter().flat_map(|(&dc, addresses)| {
            addresses
                .iter()
                .map(move |it| (dc, it, it.ip().to_string()))
        });
        let places: Vec<_> = places.collect();
        let options: Vec<_> = places
            .iter()
            .map(|(dc, address, ip)| option(*dc, address, ip))
            .collect();
        let date = i32::try_from(unix_now().seconds()).unwrap_or(i32::MAX);
        Ok(Config {
            date,
            expires: date.saturating_add(VALID_S),
            this_dc: self.dc,
            dc_options: options.as_slice().into(),
            webfile_dc_id: self.dc,
            ..Config::default()
        }
        .to_bytes())
    }

    pub(super) fn on_get_nearest_dc(
        &self,
        _: &Call,
        _: &functions::help::GetNearestDc,
    ) -> Outcome<enums::NearestDc> {
        Ok(types::NearestDc {
            country: "NL".to_owned(),
            this_dc: self.dc,
            nearest_dc: self.dc,
        }
        .into())
    }
}

fn option<'a>(id: i32, address: &SocketAddr, ip: &'a str) -> DcOption<'a> {
    DcOption {
        ipv6: address.is_ipv6(),
        this_port_only: true,
        id,
        ip_address: ip.as_bytes(),
        port: i32::from(address.port()),
        ..DcOption::default()
    }
}

const VALID_S: i32 = 3600;

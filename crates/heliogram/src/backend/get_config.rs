//! `help.getConfig`: where the data centres are, and numbers that clients want to know.

use std::net::SocketAddr;

use heliogram_tl::Serialize;
use heliogram_tl::api::{Config, DcOption};

use super::Context;

/// Answers with a `config` that is valid for an hour.
pub(super) fn answer(context: &Context<'_>) -> Vec<u8> {
    let addresses = context
        .addresses
        .iter()
        .map(|address| (address, address.ip().to_string()));
    let addresses = addresses.collect::<Vec<_>>();
    let options = context.data_centres.served().iter().flat_map(|dc| {
        let addresses = addresses.iter();
        addresses.map(|(address, ip)| option(dc.get(), address, ip))
    });
    let options = options.collect::<Vec<_>>();
    let date = unix_i32(context.now_unix_s);
    Config {
        date,
        expires: date.saturating_add(VALID_S),
        test_mode: context.seen.is_test,
        this_dc: context.seen.id.get(),
        dc_options: options.as_slice().into(),
        webfile_dc_id: context.seen.id.get(),
        ..constants()
    }
    .to_bytes()
}

fn option<'a>(id: i32, address: &SocketAddr, ip: &'a str) -> DcOption<'a> {
    DcOption {
        ipv6: address.is_ipv6(),
        // Nothing listens on the ports that clients would try otherwise.
        this_port_only: true,
        id,
        ip_address: ip.as_bytes(),
        port: i32::from(address.port()),
        ..DcOption::default()
    }
}

/// Wire time is signed 32-bit; it ends in 2038.
fn unix_i32(unix_s: u64) -> i32 {
    i32::try_from(unix_s).unwrap_or(i32::MAX)
}

/// What does not depend on who asks: the values that clients know from Telegram.
fn constants() -> Config<'static> {
    Config {
        revoke_pm_inbox: true,
        // Clients that find no data centre would ask this name's TXT records for others.
        dc_txt_domain_name: b"",
        chat_size_max: 200,
        megagroup_size_max: 200_000,
        forwarded_count_max: 100,
        online_update_period_ms: 210_000,
        offline_blur_timeout_ms: 5_000,
        offline_idle_timeout_ms: 30_000,
        online_cloud_timeout_ms: 300_000,
        notify_cloud_delay_ms: 30_000,
        notify_default_delay_ms: 1_500,
        push_chat_period_ms: 60_000,
        push_chat_limit: 2,
        edit_time_limit: 172_800,
        revoke_time_limit: i32::MAX,
        revoke_pm_time_limit: i32::MAX,
        rating_e_decay: 2_419_200,
        stickers_recent_limit: 200,
        channels_read_media_period: 604_800,
        call_receive_timeout_ms: 20_000,
        call_ring_timeout_ms: 90_000,
        call_connect_timeout_ms: 30_000,
        call_packet_timeout_ms: 10_000,
        me_url_prefix: b"https://t.me/",
        caption_length_max: 1_024,
        message_length_max: 4_096,
        ..Config::default()
    }
}

/// Seconds until a client asks again.
const VALID_S: i32 = 3_600;

//! Frames, and what is to be sealed.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use heliogram_ports::{Attach, Frame, FromHost, Trace};
use heliogram_proto::ids::{AuthKeyId, LinkId, MsgId, Salt, SeqNo, SessionId, Term};

use super::Malformed;
use super::keys::{facts_from, facts_to};
use crate::generated::cluster as wire;

pub(crate) fn frame_to(frame: Frame) -> wire::Frame {
    wire::Frame {
        link: frame.link.0,
        key: Some(facts_to(frame.key)),
        peer_ip: match frame.peer.ip() {
            IpAddr::V4(ip) => ip.octets().to_vec().into(),
            IpAddr::V6(ip) => ip.octets().to_vec().into(),
        },
        peer_port: frame.peer.port().into(),
        salt: frame.salt.0,
        session_id: frame.session_id.0,
        msg_id: frame.msg_id.0,
        seqno: frame.seqno.0,
        body: frame.body,
        quick_ack: frame.quick_ack,
        is_http: frame.is_http,
        term: frame.term.map(|term| term.0),
        trace: frame.trace.map(trace_to).unwrap_or_default(),
    }
}

fn trace_to(trace: Trace) -> Bytes {
    [&trace.trace_id[..], &trace.span_id].concat().into()
}

/// What is not as long as a trace is none: a frame is worth more.
fn trace_from(bytes: &[u8]) -> Option<Trace> {
    let (&trace_id, rest) = bytes.split_first_chunk()?;
    let span_id = rest.try_into().ok()?;
    Some(Trace { trace_id, span_id })
}

/// The link is the one that this node knows it by.
pub(crate) fn frame_from(frame: wire::Frame, link: LinkId) -> Result<Frame, Malformed> {
    let ip = match *frame.peer_ip.as_ref() {
        [a, b, c, d] => IpAddr::from([a, b, c, d]),
        ref other => IpAddr::from(
            <[u8; 16]>::try_from(other)
                .map_err(|_| Malformed("an IP address has 4 or 16 bytes"))?,
        ),
    };
    let port = u16::try_from(frame.peer_port).map_err(|_| Malformed("a port has two bytes"))?;
    Ok(Frame {
        link,
        key: facts_from(
            frame
                .key
                .ok_or(Malformed("a frame must have the facts of its key"))?,
        ),
        peer: SocketAddr::new(ip, port),
        salt: Salt(frame.salt),
        session_id: SessionId(frame.session_id),
        msg_id: MsgId(frame.msg_id),
        seqno: SeqNo(frame.seqno),
        body: frame.body,
        quick_ack: frame.quick_ack,
        is_http: frame.is_http,
        term: frame.term.map(Term),
        trace: trace_from(&frame.trace),
    })
}

pub(crate) fn attach_to(attach: &Attach) -> wire::Attach {
    wire::Attach {
        link: attach.link.0,
        key: Some(facts_to(attach.key)),
        session_id: attach.session_id.0,
        term: attach.term.map(|term| term.0),
        is_http: attach.is_http,
    }
}

/// The link is the one that this node knows it by.
pub(crate) fn attach_from(attach: wire::Attach, link: LinkId) -> Result<Attach, Malformed> {
    let key = attach.key.ok_or(Malformed(
        "a connection that comes back must have the facts of its key",
    ))?;
    Ok(Attach {
        link,
        key: facts_from(key),
        session_id: SessionId(attach.session_id),
        term: attach.term.map(Term),
        is_http: attach.is_http,
    })
}

/// The link is the one that the gateway knows it by.
pub(crate) fn down_to(item: FromHost, link: u64) -> wire::down::Item {
    match item {
        FromHost::Seal {
            link: _,
            key,
            salt,
            session_id,
            msg_id,
            seqno,
            body,
        } => wire::down::Item::Seal(wire::Seal {
            link,
            key: key.0,
            salt: salt.0,
            session_id: session_id.0,
            msg_id: msg_id.0,
            seqno: seqno.0,
            body,
        }),
        FromHost::QuickAck { link: _, token } => {
            wire::down::Item::QuickAck(wire::QuickAck { link, token })
        }
        FromHost::Close { link: _, code } => wire::down::Item::Close(wire::Close { link, code }),
    }
}

pub(crate) fn seal_from(seal: wire::Seal) -> FromHost {
    FromHost::Seal {
        link: LinkId(seal.link),
        key: AuthKeyId(seal.key),
        salt: Salt(seal.salt),
        session_id: SessionId(seal.session_id),
        msg_id: MsgId(seal.msg_id),
        seqno: SeqNo(seal.seqno),
        body: seal.body,
    }
}

super::redacted!(Frame, OwnerInput, Seal);

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use bytes::Bytes;
    use heliogram_ports::{KeyKind, conformance};

    use super::*;

    #[test]
    fn a_frame_crosses_whole_under_the_link_of_its_node() {
        let peers = [
            SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 1)),
            SocketAddr::from((Ipv6Addr::LOCALHOST, 65_535)),
        ];
        for peer in peers {
            let mut frame = frame(peer);
            let there = frame_from(frame_to(frame.clone()), LinkId(77)).unwrap();
            frame.link = LinkId(77);
            assert_eq!(format!("{there:?}"), format!("{frame:?}"));
            assert_eq!(there.salt, frame.salt);
        }
    }

    #[test]
    fn what_a_host_says_crosses_whole_under_the_link_of_its_gateway() {
        let seal = FromHost::Seal {
            link: LinkId(9),
            key: AuthKeyId(-1),
            salt: Salt(-2),
            session_id: SessionId(-3),
            msg_id: MsgId(-4),
            seqno: SeqNo(5),
            body: Bytes::from_static(&[6; 4]),
        };
        let wire::down::Item::Seal(there) = down_to(seal.clone(), 9) else {
            panic!("it is a seal")
        };
        assert_eq!(seal_from(there), seal);
        let quick_ack = FromHost::QuickAck {
            link: LinkId(1),
            token: u32::MAX,
        };
        assert_eq!(
            down_to(quick_ack, 9),
            wire::down::Item::QuickAck(wire::QuickAck {
                link: 9,
                token: u32::MAX
            })
        );
    }

    #[test]
    fn a_connection_that_comes_back_crosses_whole_under_the_link_of_its_node() {
        let mut attach = Attach {
            link: LinkId(3),
            key: conformance::record(1, KeyKind::Permanent).facts,
            session_id: SessionId(-6),
            term: Some(Term(7)),
            is_http: true,
        };
        let there = attach_from(attach_to(&attach), LinkId(77)).unwrap();
        attach.link = LinkId(77);
        assert_eq!(there, attach);
        let mut without_key = attach_to(&attach);
        without_key.key = None;
        assert!(attach_from(without_key, LinkId(77)).is_err());
    }

    #[test]
    fn neither_frames_nor_what_is_to_be_sealed_are_shown() {
        let frame = frame_to(frame(SocketAddr::from((Ipv4Addr::LOCALHOST, 1))));
        let shown = format!("{frame:?} {:?}", wire::Seal::default());
        assert_eq!(shown, "Frame(…) Seal(…)");
    }

    #[test]
    fn a_frame_without_a_key_or_with_no_address_is_refused() {
        let good = frame_to(frame(SocketAddr::from((Ipv4Addr::LOCALHOST, 1))));
        let mut without_key = good.clone();
        without_key.key = None;
        let mut of_three = good.clone();
        of_three.peer_ip = Bytes::from_static(&[1, 2, 3]);
        let mut far = good;
        far.peer_port = 65_536;
        for bad in [without_key, of_three, far] {
            assert!(frame_from(bad, LinkId(1)).is_err());
        }
    }

    fn frame(peer: SocketAddr) -> Frame {
        Frame {
            link: LinkId(3),
            key: conformance::record(1, KeyKind::Permanent).facts,
            peer,
            salt: Salt(-5),
            session_id: SessionId(6),
            msg_id: MsgId(-7),
            seqno: SeqNo(9),
            body: Bytes::from_static(&[1; 8]),
            quick_ack: Some(0x8000_0001),
            is_http: true,
            term: Some(Term(u64::MAX)),
            trace: Some(Trace {
                trace_id: [7; 16],
                span_id: [9; 8],
            }),
        }
    }
}

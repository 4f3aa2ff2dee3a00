//! The traced frames of a connection, from their arrival until everything in them is answered.
//!
//! The few that are traced are looked at as no other frame is: which messages they hold, and what answers them. An answer
//! names its question right after its constructor: `rpc_result`, `pong`, `bad_server_salt` and all others.

use std::collections::VecDeque;

use heliogram_ports::trace::{Note, Running, Tracer};
use heliogram_ports::{Frame, FromHost};
use heliogram_proto::ids::{MsgId, SessionId};

/// Traced frames that wait for answers. Costs a word while there are none.
#[derive(Debug, Default)]
#[expect(
    clippy::box_collection,
    reason = "every idle connection holds this: a word, not four"
)]
pub(crate) struct Traces(Option<Box<VecDeque<Traced>>>);

#[derive(Debug)]
struct Traced {
    session_id: SessionId,
    /// Not answered yet.
    questions: Vec<MsgId>,
    running: Running,
}

impl Traces {
    /// Begins a trace with a frame that has come, if it is one of the share and asks for something.
    pub(crate) fn frame(&mut self, tracer: &Tracer, frame: &mut Frame) {
        let Some(mut running) = tracer.begin("frame") else {
            return;
        };
        let questions = questions(frame);
        running.note("messages", Note::Number(length(questions.len())));
        running.note("bytes", Note::Number(length(frame.body.len())));
        frame.trace = running.trace();
        if questions.is_empty() {
            return;
        }
        // Until they are answered: those whose connection ends before never are.
        running.fail(Some("unanswered"));
        let waiting = self.0.get_or_insert_default();
        if waiting.len() >= TRACED_MAX {
            waiting.pop_front();
        }
        waiting.push_back(Traced {
            session_id: frame.session_id,
            questions,
            running,
        });
    }

    /// Ends the traces whose answers are on their way to the socket.
    pub(crate) fn sent(&mut self, items: &[FromHost]) {
        let Some(waiting) = &mut self.0 else {
            return;
        };
        for item in items {
            let FromHost::Seal {
                session_id, body, ..
            } = item
            else {
                continue;
            };
            each_message(body, |_, _, body| {
                let Some(answered) = after_constructor(body) else {
                    return;
                };
                let of_session = waiting.iter_mut().filter(|it| it.session_id == *session_id);
                for traced in of_session {
                    traced.questions.retain(|&question| question != answered);
                }
            });
        }
        waiting.retain_mut(|traced| {
            let is_answered = traced.questions.is_empty();
            if is_answered {
                traced.running.fail(None);
            }
            !is_answered
        });
        if waiting.is_empty() {
            self.0 = None;
        }
    }
}

/// Returns the messages of a frame that ask for an answer: the content-related ones.
fn questions(frame: &Frame) -> Vec<MsgId> {
    let mut questions = Vec::new();
    if constructor(&frame.body) != Some(CONTAINER) && frame.seqno.0 & 1 == 1 {
        questions.push(frame.msg_id);
    }
    each_message(&frame.body, |msg_id, seqno, _| {
        if seqno & 1 == 1 && questions.len() < QUESTIONS_MAX {
            questions.extend(msg_id);
        }
    });
    questions
}

/// Calls `each` with every message of a container, or once with what is no container, which has neither id nor number here.
/// What is malformed ends it: the host refuses it.
fn each_message(body: &[u8], mut each: impl FnMut(Option<MsgId>, u32, &[u8])) {
    if constructor(body) != Some(CONTAINER) {
        return each(None, 0, body);
    }
    let mut rest = body.get(8..).unwrap_or_default();
    while let Some((msg_id, after)) = rest.split_first_chunk()
        && let Some((seqno, after)) = after.split_first_chunk()
        && let Some((bytes, after)) = after.split_first_chunk()
        && let Ok(bytes) = usize::try_from(u32::from_le_bytes(*bytes))
        && let Some((message, after)) = after.split_at_checked(bytes)
    {
        let msg_id = MsgId(i64::from_le_bytes(*msg_id));
        each(Some(msg_id), u32::from_le_bytes(*seqno), message);
        rest = after;
    }
}

fn constructor(body: &[u8]) -> Option<u32> {
    body.first_chunk().map(|id| u32::from_le_bytes(*id))
}

fn after_constructor(body: &[u8]) -> Option<MsgId> {
    let id = body.get(4..)?.first_chunk()?;
    Some(MsgId(i64::from_le_bytes(*id)))
}

fn length(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// `msg_container`.
const CONTAINER: u32 = 0x73f1_f8dc;

/// Traced frames of one connection that wait for answers; of more the oldest ends unanswered.
const TRACED_MAX: usize = 16;

/// Messages of a traced frame whose answers are waited for.
const QUESTIONS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use heliogram_ports::conformance;
    use heliogram_ports::trace::{MemorySpans, Span};
    use heliogram_ports::{KeyKind, Trace};
    use heliogram_proto::ids::{AuthKeyId, LinkId, Salt, SeqNo};

    use super::*;

    #[test]
    fn a_frame_is_traced_until_all_its_questions_are_answered_in_their_session() {
        let mut rig = Rig::new(1.0);
        let call = container(&[(4, 1, b"body"), (8, 2, b"acks"), (12, 3, b"body")]);
        let trace = rig.frame(16, 4, &call);
        rig.sent(7, &answer(4));
        rig.sent(6, &answer(12));
        rig.sent(7, &answer(8));
        assert_eq!(rig.spans(), []);
        rig.sent(7, &container(&[(1, 1, b"push"), (5, 1, &answer(12))]));

        let [span] = rig.spans().try_into().unwrap();
        assert_eq!(Some(span.trace), trace);
        assert_eq!((span.parent, span.failure), (None, None));
        assert_eq!(span.notes[0], ("messages", Note::Number(2)));
        assert!(rig.traces.0.is_none());
    }

    #[test]
    fn a_single_call_waits_for_its_own_id_and_what_asks_nothing_waits_for_nothing() {
        let mut rig = Rig::new(1.0);
        assert!(rig.frame(4, 2, b"acks").is_some());
        assert_eq!(rig.spans().len(), 1);
        rig.frame(8, 3, b"call");
        rig.sent(7, &answer(4));
        assert_eq!(rig.spans().len(), 1);
        rig.sent(7, &answer(8));
        assert_eq!(rig.spans()[1].failure, None);
    }

    #[test]
    fn what_is_not_of_the_share_carries_no_trace() {
        let mut rig = Rig::new(0.0);
        assert_eq!(rig.frame(4, 1, b"call"), None);
        assert!(rig.traces.0.is_none());
    }

    #[test]
    fn frames_whose_connection_ends_and_the_oldest_of_too_many_end_unanswered() {
        let mut rig = Rig::new(1.0);
        for id in 1..=16 {
            rig.frame(4 * id, 1, b"call");
        }
        assert_eq!(rig.spans(), []);
        rig.frame(4 * 17, 1, b"call");
        assert_eq!(rig.spans().len(), 1);
        rig.traces = Traces::default();
        let spans = rig.spans();
        assert_eq!(spans.len(), 17);
        assert!(spans.iter().all(|it| it.failure == Some("unanswered")));
    }

    #[test]
    fn no_cut_of_a_container_goes_wrong() {
        let whole = container(&[(4, 1, b"body"), (8, 1, b"body")]);
        for cut in 0..whole.len() {
            let mut seen = 0;
            each_message(&whole[..cut], |_, _, _| seen += 1);
            assert!(seen <= 1, "{cut}");
        }
        let mut too_long = whole;
        too_long[20..24].copy_from_slice(&u32::MAX.to_le_bytes());
        each_message(&too_long, |_, _, _| panic!("it has no whole message"));
    }

    struct Rig {
        spans: Arc<MemorySpans>,
        tracer: Tracer,
        traces: Traces,
    }

    impl Rig {
        fn new(sample: f64) -> Self {
            let spans = Arc::new(MemorySpans::default());
            let tracer = Tracer::new(Arc::<MemorySpans>::clone(&spans) as Arc<_>, sample);
            Self {
                spans,
                tracer,
                traces: Traces::default(),
            }
        }

        fn frame(&mut self, msg_id: i64, seqno: i32, body: &[u8]) -> Option<Trace> {
            let mut frame = Frame {
                link: LinkId(1),
                key: conformance::record(1, KeyKind::Permanent).facts,
                peer: ([192, 0, 2, 1], 1).into(),
                salt: Salt(1),
                session_id: SessionId(7),
                msg_id: MsgId(msg_id),
                seqno: SeqNo(seqno),
                body: Bytes::copy_from_slice(body),
                quick_ack: None,
                is_http: false,
                term: None,
                trace: None,
            };
            self.traces.frame(&self.tracer, &mut frame);
            frame.trace
        }

        fn sent(&mut self, session_id: i64, body: &[u8]) {
            self.traces.sent(&[FromHost::Seal {
                link: LinkId(1),
                key: AuthKeyId(1),
                salt: Salt(1),
                session_id: SessionId(session_id),
                msg_id: MsgId(1),
                seqno: SeqNo(1),
                body: Bytes::copy_from_slice(body),
            }]);
        }

        fn spans(&self) -> Vec<Span> {
            self.spans.all()
        }
    }

    fn answer(question: i64) -> Vec<u8> {
        [&[1; 4][..], &question.to_le_bytes(), &[2; 4]].concat()
    }

    fn container(messages: &[(i64, u32, &[u8])]) -> Vec<u8> {
        let count = u32::try_from(messages.len()).unwrap();
        let mut bytes = [CONTAINER.to_le_bytes(), count.to_le_bytes()].concat();
        for (msg_id, seqno, body) in messages {
            bytes.extend(msg_id.to_le_bytes());
            bytes.extend(seqno.to_le_bytes());
            bytes.extend(u32::try_from(body.len()).unwrap().to_le_bytes());
            bytes.extend(*body);
        }
        bytes
    }
}

//! Clients in JavaScript at the cluster: each library, unmodified, calls without a pause while processes are killed.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;

use heliogram_interop::{Program, node};

use crate::check::{Fault, Run, calls, examine, runs};
use crate::load::unix_ms;
use crate::round::{GRAMJS, MTCUTE};
use crate::whole::Whole;

#[test]
fn gramjs_s_calls_are_answered_by_the_other_gateway_when_its_own_is_killed() {
    let Some(modules) = node("GramJS at a cluster") else {
        return;
    };
    let mut whole = Whole::lock();
    whole.settle();
    let mut client = Calls::begin(&whole, &modules, "gramjs", GRAMJS);
    for gateway in 0..KILLS {
        client.while_killing(|| whole.gateways[gateway].kill());
        // Until here only the other one could answer.
        whole.gateways[gateway].start();
        client.go_on();
    }
    client.finish(&whole);
    whole.check_logs();
}

#[test]
fn mtcute_s_temporary_key_stays_bound_though_the_owner_of_its_permanent_key_is_killed_and_its_gateway()
 {
    let Some(modules) = node("mtcute at a cluster") else {
        return;
    };
    let mut whole = Whole::lock();
    whole.settle();
    let mut client = Calls::begin(&whole, &modules, "mtcute", MTCUTE);
    client.while_killing(|| {
        let identity = runs_of(&whole, &MTCUTE)[0].key.0;
        let owner = whole.owner_of(identity);
        whole.nodes[owner].kill();
    });
    client.go_on();
    client.while_killing(|| whole.gateways[0].kill());
    client.go_on();
    client.finish(&whole);

    let runs = runs_of(&whole, &MTCUTE);
    let identities: BTreeSet<_> = runs.iter().map(|run| run.key.0).collect();
    let carriers: BTreeSet<_> = runs.iter().map(|run| run.carrier).collect();
    let terms: BTreeSet<_> = runs.iter().map(|run| run.term).collect();
    assert_eq!((identities.len(), carriers.len()), (1, 1));
    assert!(
        identities.is_disjoint(&carriers),
        "its permanent key carried calls"
    );
    assert!(terms.len() > 1, "another node was killed");
    whole.heal();
    whole.settle();
    whole.check_logs();
}

/// A program that calls, and what it was through.
struct Calls {
    client: Program,
    library: String,
    tokens: Range<i64>,
    faults: Vec<Fault>,
}

impl Calls {
    /// Connects a client to the first gateway; when that is gone, it is to try the other.
    fn begin(whole: &Whole, modules: &Path, library: &str, tokens: Range<i64>) -> Self {
        let gateway = &whole.gateways[0];
        std::fs::write(gateway.path("server_public.pem"), &whole.key).unwrap();
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("node/calls_without_pause.js");
        let mut arguments = vec![
            format!("./{library}.js"),
            gateway.path(""),
            tokens.start.to_string(),
            KILLS.to_string(),
        ];
        arguments.extend(whole.addresses().iter().map(ToString::to_string));
        let arguments = arguments.iter().map(String::as_str);
        Self {
            client: Program::start_node(modules, &program, arguments),
            library: library.to_owned(),
            tokens,
            faults: Vec::new(),
        }
    }

    /// Kills something among its calls; comes back once calls that it has begun since are answered.
    fn while_killing(&mut self, kill: impl FnOnce()) {
        let number = self.faults.len();
        self.client.until(&format!("kill {number}"));
        let begun = unix_ms();
        kill();
        let ended = unix_ms();
        self.faults.push(Fault { begun, ended });
        self.client.go_on();
        self.client.until(&format!("answered {number}"));
    }

    fn go_on(&mut self) {
        self.client.go_on();
    }

    /// Ends it, and compares what it saw with what the backend did.
    fn finish(self, whole: &Whole) {
        self.client.finish();
        let calls = calls(&std::fs::read_to_string(whole.gateways[0].path("calls.txt")).unwrap());
        let runs = runs_of(whole, &self.tokens);
        let tally = examine(&calls, &runs, &self.faults);
        let tally = tally.unwrap_or_else(|findings| panic!("{findings:#?}"));
        println!(
            "{}, processes killed {KILLS} times: {} calls, {} ran twice",
            self.library, tally.calls, tally.doubles
        );
    }
}

fn runs_of(whole: &Whole, tokens: &Range<i64>) -> Vec<Run> {
    let mut runs = runs(&whole.ledger());
    runs.retain(|run| tokens.contains(&run.token));
    runs
}

const KILLS: usize = 2;

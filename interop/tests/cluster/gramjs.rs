//! `GramJS` at the cluster, while the gateway that it is at is killed, and then the other.

use std::path::Path;

use heliogram_interop::{Program, node};

use crate::check::{Fault, calls, examine, runs};
use crate::load::unix_ms;
use crate::round::GRAMJS;
use crate::whole::Whole;

#[test]
fn gramjs_s_calls_are_answered_by_the_other_gateway_when_its_own_is_killed() {
    let Some(modules) = node("GramJS at a cluster") else {
        return;
    };
    let mut whole = Whole::lock();
    whole.settle();
    let gateway = &whole.gateways[0];
    std::fs::write(gateway.path("server_public.pem"), &whole.key).unwrap();
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("node/calls_without_pause.js");
    let (data, first) = (gateway.path(""), GRAMJS.start.to_string());
    let addresses: Vec<_> = whole.addresses().iter().map(ToString::to_string).collect();
    let mut arguments = vec![&*data, &*first];
    arguments.extend(addresses.iter().map(String::as_str));
    let mut client = Program::start_node(&modules, &program, arguments);
    let mut faults = Vec::new();
    for kill in 0..addresses.len() {
        client.until(&format!("kill {kill}"));
        let begun = unix_ms();
        whole.gateways[kill].kill();
        let ended = unix_ms();
        faults.push(Fault { begun, ended });
        // From here on only the other one answers.
        client.go_on();
        client.until(&format!("answered {kill}"));
        whole.gateways[kill].start();
        client.go_on();
    }
    client.finish();

    let calls = calls(&std::fs::read_to_string(whole.gateways[0].path("calls.txt")).unwrap());
    let mut runs = runs(&whole.ledger());
    runs.retain(|run| GRAMJS.contains(&run.token));
    let tally = examine(&calls, &runs, &faults).unwrap_or_else(|findings| panic!("{findings:#?}"));
    println!(
        "GramJS, each gateway killed: {} calls, {} ran twice",
        tally.calls, tally.doubles
    );
    whole.check_logs();
}

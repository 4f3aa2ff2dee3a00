//! Telethon at the cluster, while all session nodes are killed at once.

use heliogram_interop::{Program, python};

use crate::check::{Fault, calls, examine, runs};
use crate::load::unix_ms;
use crate::member::Member;
use crate::round::TELETHON;
use crate::whole::Whole;

#[test]
fn telethon_s_calls_are_answered_though_all_session_nodes_are_killed_and_captured_packets_never_run()
 {
    let Some(python) = python("Telethon at a cluster") else {
        return;
    };
    let mut whole = Whole::lock();
    whole.settle();
    let gateway = &whole.gateways[0];
    std::fs::write(gateway.path("server_public.pem"), &whole.key).unwrap();
    let data = gateway.path("");
    let mut client = Program::start(&python, "calls_without_pause.py", [&*data, KILLS]);
    let mut faults = Vec::new();
    for kill in 0..KILLS.parse().unwrap() {
        client.until(&format!("kill {kill}"));
        let begun = unix_ms();
        let is_there = |node: &&mut Member| node.is_there();
        let mut nodes: Vec<_> = whole.nodes.iter_mut().filter(is_there).collect();
        nodes.iter_mut().for_each(|node| node.kill());
        nodes.iter_mut().for_each(|node| node.launch());
        let ended = unix_ms();
        faults.push(Fault { begun, ended });
        whole.settle();
        client.go_on();
    }
    client.finish();

    let calls = calls(&std::fs::read_to_string(whole.gateways[0].path("calls.txt")).unwrap());
    let mut runs = runs(&whole.ledger());
    runs.retain(|run| TELETHON.contains(&run.token));
    let tally = examine(&calls, &runs, &faults).unwrap_or_else(|findings| panic!("{findings:#?}"));
    println!(
        "Telethon, all session nodes killed {KILLS} times: {} calls, {} ran twice",
        tally.calls, tally.doubles
    );
    whole.check_logs();
}

const KILLS: &str = "3";

//! Jobs of several exchanges, done together.

use super::*;
use crate::exchange::server::Worker;

#[test]
fn jobs_done_together_make_the_keys_that_their_clients_make() {
    let mut worker = Worker::new(0);
    for count in [1, 2, 3, 9, 17] {
        let mut table = Table::new();
        let links: Vec<_> = (0..count).map(LinkId).collect();
        let begun: Vec<_> = links.iter().map(|link| table.up_to_req_dh(*link)).collect();

        let queries: Vec<_> = begun.iter().map(|(_, query)| query.as_slice()).collect();
        let answers = table.work_together(&links, &queries, &mut worker);
        let mut clients = Vec::new();
        for ((client, _), answer) in begun.into_iter().zip(answers) {
            let answer = answer.only_answer(links[clients.len()]);
            let job = client.handle(&answer, table.now).unwrap();
            clients.push(job.run(&mut table.rng).unwrap());
        }
        let queries: Vec<_> = clients.iter().map(|(_, query)| query.as_slice()).collect();
        let answers = table.work_together(&links, &queries, &mut worker);
        for (((client, _), effects), link) in clients.into_iter().zip(answers).zip(&links) {
            let Effect::Store { ticket, record } = effects.only() else {
                panic!("nothing to store");
            };
            let answer = table
                .stored(ticket, StoreOutcome::Stored)
                .only_answer(*link);
            let Outcome::Made(made) = client.handle(&answer).unwrap() else {
                panic!("asked for another try");
            };
            assert_eq!(made.key, record.key);
        }
    }
}

#[test]
fn a_bad_job_among_good_ones_is_refused_alone() {
    let mut table = Table::new();
    let links = [0, 1, 2, 3].map(LinkId);
    let mut queries = links.map(|link| table.up_to_req_dh(link).1);
    *queries[2].last_mut().unwrap() ^= 1;
    let queries = queries.each_ref().map(Vec::as_slice);
    let effects = table.work_together(&links, &queries, &mut Worker::new(0));
    for (effects, link) in effects.into_iter().zip(links) {
        if link == LinkId(2) {
            assert_eq!(effects.only_refusal(link), -404);
        } else {
            effects.only_answer(link);
        }
    }
}

#[test]
fn as_many_pairs_as_may_are_made_ahead_and_each_is_used_once() {
    let mut table = Table::new();
    let mut worker = Worker::new(5);
    while worker.prepare(&mut table.rng) {
        assert!(worker.ahead() <= 5);
    }
    assert_eq!(worker.ahead(), 5);

    let (_, query) = table.up_to_req_dh(LINK);
    table.work_together(&[LINK], &[&query], &mut worker);
    assert_eq!(worker.ahead(), 4);
    assert!(worker.prepare(&mut table.rng));
    assert_eq!(worker.ahead(), 5);
}

#[test]
fn a_worker_that_may_keep_nothing_prepares_nothing_and_keeps_nothing() {
    let mut table = Table::new();
    let mut worker = Worker::new(0);
    assert!(!worker.prepare(&mut table.rng));
    let (_, query) = table.up_to_req_dh(LINK);
    table.work_together(&[LINK], &[&query], &mut worker);
    assert_eq!(worker.ahead(), 0);
}

impl Table {
    /// Makes requests that each take a job, and does the jobs together; returns what follows each.
    fn work_together(
        &mut self,
        links: &[LinkId],
        queries: &[&[u8]],
        worker: &mut Worker,
    ) -> Vec<Vec<Effect>> {
        let mut jobs = Vec::new();
        for (link, query) in links.iter().zip(queries) {
            jobs.push(self.request(*link, query).only_job());
        }
        let tickets: Vec<_> = jobs.iter().map(Job::ticket).collect();
        let worked = Job::run_all(jobs, worker, &mut self.rng);
        assert_eq!(
            worked.iter().map(Worked::ticket).collect::<Vec<_>>(),
            tickets
        );
        worked
            .into_iter()
            .map(|worked| self.input(Input::Worked(worked)))
            .collect()
    }
}

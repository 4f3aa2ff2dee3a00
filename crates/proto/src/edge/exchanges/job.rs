//! What an exchange has others compute: private RSA operations and powers, apart from the table, so that a pool can do them together.

use rand_core::CryptoRng;

use super::Ticket;
use crate::exchange::server::{Agreed, Derived, DhJob, Refusal, RsaJob, Worker};

/// Heavy arithmetic for one exchange.
#[derive(Debug)]
pub struct Job {
    pub(super) ticket: Ticket,
    pub(super) work: Work,
}

#[derive(Debug)]
pub(super) enum Work {
    Dh(DhJob),
    Rsa(RsaJob),
}

impl Job {
    /// Returns whose job it is.
    #[must_use]
    pub fn ticket(&self) -> Ticket {
        self.ticket
    }

    /// Takes a fraction of a millisecond of one core.
    pub fn run(self, rng: &mut dyn CryptoRng) -> Worked {
        let product = match self.work {
            Work::Dh(job) => Ok(Product::Derived(job.run())),
            Work::Rsa(job) => job.run(rng).map(Product::Agreed),
        };
        Worked {
            ticket: self.ticket,
            product,
        }
    }

    /// Tells jobs apart that are not done together.
    #[must_use]
    pub fn kind(&self) -> JobKind {
        match self.work {
            Work::Dh(_) => JobKind::Derive,
            Work::Rsa(_) => JobKind::Agree,
        }
    }

    /// Runs several jobs, those of one kind together; the results of one kind are in the order of the jobs.
    pub fn run_all(jobs: Vec<Self>, worker: &mut Worker, rng: &mut dyn CryptoRng) -> Vec<Worked> {
        let (mut to_agree, mut to_derive) = (Vec::new(), Vec::new());
        let (mut agree, mut derive) = (Vec::new(), Vec::new());
        for Self { ticket, work } in jobs {
            match work {
                Work::Dh(job) => {
                    to_derive.push(ticket);
                    derive.push(job);
                }
                Work::Rsa(job) => {
                    to_agree.push(ticket);
                    agree.push(job);
                }
            }
        }
        let agreed = worker.agree(agree, rng).into_iter();
        let derived = worker.derive(derive).into_iter();
        let products = agreed
            .map(|agreed| agreed.map(Product::Agreed))
            .chain(derived.map(|derived| Ok(Product::Derived(derived))));
        let worked = |(ticket, product)| Worked { ticket, product };
        let tickets = to_agree.into_iter().chain(to_derive);
        tickets.zip(products).map(worked).collect()
    }
}

/// The two heavy steps of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "an exchange has two")]
pub enum JobKind {
    /// The private RSA operation, and our half of the Diffie-Hellman exchange.
    Agree,
    /// The key of both halves.
    Derive,
}

/// The result of a [`Job`].
#[derive(Debug)]
pub struct Worked {
    pub(super) ticket: Ticket,
    pub(super) product: Result<Product, Refusal>,
}

impl Worked {
    /// Returns whose job it was.
    #[must_use]
    pub fn ticket(&self) -> Ticket {
        self.ticket
    }
}

#[derive(Debug)]
pub(super) enum Product {
    Agreed(Agreed),
    Derived(Derived),
}

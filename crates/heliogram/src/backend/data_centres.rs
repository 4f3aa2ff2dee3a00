//! Which data centres this server is, and how clients reach them.

use crate::config::DcId;

/// Every served data centre is this one process: they differ only in the number that clients gave.
#[derive(Clone, Debug)]
pub(crate) struct DataCentres {
    /// Of a client whose key names none that is served.
    default: DcId,
    /// Plain forms; each is served as test and as media data centre, too.
    served: Vec<DcId>,
}

/// A data centre as one client sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Its id in the plain form.
    pub(crate) id: DcId,
    /// The client is in the test environment.
    pub(crate) is_test: bool,
}

impl DataCentres {
    /// Takes the one for clients that named none, and all that are served.
    pub(crate) const fn new(default: DcId, served: Vec<DcId>) -> Self {
        Self { default, served }
    }

    /// Returns the plain forms of all that are served.
    pub(crate) fn served(&self) -> &[DcId] {
        &self.served
    }

    /// Returns what a client is to believe it reached, from the number that its key exchange named: `+10000` for
    /// test, negative for media.
    pub(crate) fn seen(&self, named: Option<i32>) -> Seen {
        let named = named.map_or(0, i32::unsigned_abs);
        let is_test = named >= TEST_OFFSET;
        let plain = if is_test { named - TEST_OFFSET } else { named };
        match self
            .served
            .iter()
            .find(|served| served.get().unsigned_abs() == plain)
        {
            Some(&id) => Seen { id, is_test },
            None => Seen {
                id: self.default,
                is_test,
            },
        }
    }
}

const TEST_OFFSET: u32 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(named: Option<i32>) -> (i32, bool) {
        let seen = DataCentres::new(DcId::DEFAULT, DcId::defaults()).seen(named);
        (seen.id.get(), seen.is_test)
    }

    #[test]
    fn a_served_number_is_kept_in_every_form() {
        assert_eq!(seen(Some(4)), (4, false));
        assert_eq!(seen(Some(-4)), (4, false));
        assert_eq!(seen(Some(10_004)), (4, true));
        assert_eq!(seen(Some(-10_004)), (4, true));
    }

    #[test]
    fn a_number_that_is_not_served_or_none_becomes_the_configured_one() {
        assert_eq!(seen(None), (2, false));
        assert_eq!(seen(Some(0)), (2, false));
        assert_eq!(seen(Some(5)), (5, false));
        assert_eq!(seen(Some(6)), (2, false));
        assert_eq!(seen(Some(i32::MIN)), (2, true));
    }

    #[test]
    fn the_test_environment_begins_at_10000() {
        assert_eq!(seen(Some(9_999)), (2, false));
        assert_eq!(seen(Some(10_000)), (2, true));
        assert_eq!(seen(Some(10_001)), (1, true));
    }
}

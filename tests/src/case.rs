//! The list of cases, and how one is run.

use std::fmt;
use std::time::Duration;

use futures::future::BoxFuture;

use crate::{Bench, Setup};

/// Longest time for one case. A guard against calls that hang, far above what a thousand sets need on a slow host.
const PATIENCE: Duration = Duration::from_mins(5);

/// What a group of cases is about. The author of a new backend goes through them in order.
#[derive(Clone, Copy, Debug)]
pub struct Level {
    /// 1 is what everything else stands on.
    pub number: u8,
    /// What a backend can do once it passes.
    pub story: &'static str,
}

/// One rule of the contract, as a test.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// The rule in snake case.
    pub name: &'static str,
    /// Its level.
    pub level: Level,
    /// The test.
    pub(crate) run: fn(&Bench) -> BoxFuture<'_, Result<(), Failure>>,
}

/// How a backend breaks the contract, in words.
#[derive(Debug)]
pub struct Failure(String);

impl Failure {
    /// A failure that says what was seen.
    pub fn new(seen: impl Into<String>) -> Self {
        Self(seen.into())
    }

    /// Says in which step it was seen.
    #[must_use]
    pub fn at(self, step: impl fmt::Display) -> Self {
        Self(format!("{step}: {}", self.0))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<dnsprovider::Error> for Failure {
    fn from(error: dnsprovider::Error) -> Self {
        Self(format!("a call failed ({}): {}", error.kind().as_str(), error.chain()))
    }
}

/// Fails with a message unless a condition holds.
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err($crate::Failure::new(format!($($message)+)));
        }
    };
}
pub(crate) use ensure;

/// Runs one case on a backend, with the checks that belong to every case.
///
/// # Errors
/// What the backend did against the contract.
pub async fn check(case: &Case, setup: Setup) -> Result<(), Failure> {
    let whole = async {
        let bench = Bench::open(setup).await.map_err(|failure| failure.at("preparing the zone"))?;
        (case.run)(&bench).await?;
        bench.close().await.map_err(|failure| failure.at("after the case"))
    };
    match tokio::time::timeout(PATIENCE, whole).await {
        Ok(result) => result,
        Err(_) => Err(Failure::new(format!("a call did not return within {} s", PATIENCE.as_secs()))),
    }
}

/// Runs the case of the given name, for [`crate::conformance!`].
///
/// # Panics
/// When the case fails, with its level and what was seen; or when it passes and was to fail
/// ([`Setup::with_known_faults`]).
pub fn run<F: Future<Output = Setup>>(name: &str, setup: impl FnOnce() -> F) {
    let case = CASES.iter().find(|case| case.name == name).expect("the macro takes names from the same list");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime can be started");
    let (fault, result) = runtime.block_on(async {
        let setup = setup().await;
        (setup.known_fault(name), check(case, setup).await)
    });
    match (result, fault) {
        (Err(failure), None) => {
            let Level { number, story } = case.level;
            panic!("level {number} ({story})\n  rule: {}\n  seen: {failure}", name.replace('_', " "));
        }
        (Ok(()), Some(reason)) => panic!("the host no longer has this fault, so take it off the list: {reason}"),
        (Ok(()), None) | (Err(_), Some(_)) => {}
    }
}

/// Hands the list of all cases to `callback`, behind `context`.
#[doc(hidden)]
#[macro_export]
macro_rules! __for_each_case {
    ($callback:ident $context:tt) => {
        $crate::$callback! { $context
            lifecycle::the_zone_is_listed,
            lifecycle::a_set_is_created_replaced_and_deleted,
            lifecycle::an_empty_change_set_changes_nothing,
            lifecycle::absent_names_are_absent_from_what_is_read,
            lifecycle::reading_names_gives_exactly_those_names,
            lifecycle::several_names_change_in_one_unit,
            lifecycle::the_version_of_an_outcome_serves_the_next_change,
            lifecycle::claims_come_back_with_their_credits,
            lifecycle::a_claim_changes_alone,
            lifecycle::zones_are_created_and_deleted,
            values::many_values_stay_one_set,
            values::order_and_duplicates_make_no_difference,
            values::all_types_stand_side_by_side,
            values::an_ipv4_mapped_address_is_stored_or_refused,
            values::one_value_of_many_is_exchanged,
            values::more_records_than_allowed_are_refused,
            names::the_apex_holds_sets,
            names::a_wildcard_is_a_name,
            names::deep_names_and_their_parents_are_apart,
            names::labels_of_63_octets_and_names_of_255_are_stored,
            names::names_match_in_any_case,
            names::common_beginnings_are_different_names,
            names::odd_octets_are_stored_or_refused,
            text::quotes_semicolons_and_backslashes_are_text,
            text::texts_above_255_octets_stay_whole,
            text::blanks_and_case_are_kept,
            text::octets_beyond_ascii_are_stored_or_refused,
            ttl::the_ttl_changes_alone,
            ttl::the_bounds_are_stored_as_given,
            ttl::beyond_the_bounds_is_refused,
            foreign::sets_of_others_stay,
            foreign::an_unclaimed_set_is_somebody_elses_and_stays,
            foreign::deleting_a_name_leaves_those_below,
            cname::addresses_give_way_to_a_cname_and_back,
            cname::a_cname_beside_other_data_is_refused,
            cname::other_data_beside_a_cname_is_refused,
            cname::a_target_changes,
            cname::a_chain_arrives_and_leaves,
            stale::what_another_changed_is_a_conflict,
            stale::what_another_deleted_is_a_conflict,
            stale::what_another_created_is_a_conflict,
            stale::a_ttl_that_another_changed_is_a_conflict,
            stale::a_claim_that_another_took_is_a_conflict,
            stale::a_stale_delete_is_a_conflict,
            stale::one_stale_change_stops_its_unit,
            stale::a_stale_unit_is_told_apart_from_the_others,
            size::a_thousand_sets_arrive_and_leave,
            size::pages_hold_each_set_once_and_no_name_twice,
            size::a_batch_above_the_limit_is_refused_whole,
            size::costs_add_up,
            writers::of_two_writers_one_wins,
            writers::of_two_creators_one_wins,
            writers::writers_of_different_names_both_succeed,
            errors::a_missing_zone_is_said_so,
            errors::a_name_outside_the_zone_is_refused,
            errors::changes_that_make_no_sense_are_refused,
            errors::types_that_cannot_be_written_are_refused,
            errors::after_the_deadline_nothing_is_sent,
            cancel::a_dropped_call_leaves_whole_sets,
            cancel::a_watch_reports_own_and_foreign_changes,
            cancel::a_watch_misses_nothing_since_its_version,
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __case_table {
    ({} $($level:ident :: $case:ident),* $(,)?) => {
        /// Every case, by level.
        pub const CASES: &[Case] = &[$(Case {
            name: stringify!($case),
            level: $crate::levels::$level::LEVEL,
            run: |bench| Box::pin($crate::levels::$level::$case(bench)),
        }),*];
    };
}

__for_each_case!(__case_table {});

/// Makes one test of each case for a backend: `conformance!(name, setup)`, where `setup` is an
/// `async fn() -> Setup` of the same module.
///
/// `conformance!(name, setup, needs = "WHAT")` marks them as ignored with that reason, for backends that need a server
/// or an account. Asked for with `--include-ignored` they run, and `setup` has to panic when what it needs is missing.
#[macro_export]
macro_rules! conformance {
    ($name:ident, $setup:ident) => {
        mod $name {
            $crate::__for_each_case!(__case_tests { $setup [] });
        }
    };
    ($name:ident, $setup:ident, needs = $needs:literal) => {
        mod $name {
            $crate::__for_each_case!(__case_tests { $setup [ignore = $needs] });
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __case_tests {
    ({ $setup:ident $attribute:tt } $($level:ident :: $case:ident),* $(,)?) => {
        $($crate::__case_test! { $setup $attribute $case })*
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __case_test {
    ($setup:ident [$($attribute:meta)?] $case:ident) => {
        #[test]
        $(#[$attribute])?
        fn $case() {
            $crate::run(stringify!($case), super::$setup);
        }
    };
}

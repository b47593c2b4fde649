//! Route 53: the suite on the strict fake and on moto, and what the fake shows that the suite cannot.

#[path = "route53/faults.rs"]
mod faults;
#[path = "route53/reads.rs"]
mod reads;
#[path = "route53/world.rs"]
mod world;
#[path = "route53/writes.rs"]
mod writes;

use dns_conformance::fakes::route53::Fake;
use dns_conformance::servers::Moto;
use dns_conformance::{Setup, conformance};
use dns_providers::route53::Route53;
use dnsprovider::{ApplyContext, Chunked, DnsProvider, Fqdn, MemoryProvider, ZoneId};

use world::{APEX, options};

async fn on_the_fake() -> Setup {
    let fake = Fake::start().await;
    fake.create_zone(APEX, false);
    let provider = Route53::new(&options(&fake.url())).await.expect("the options are right");
    Setup::new(provider, Fqdn::parse(APEX).expect("a name")).keep(fake)
}
conformance!(suite, on_the_fake);

/// What moto 5.2.5 does wrong and the real service does not, by case. The strict fake passes them all.
const MOTO_FAULTS: &[(&str, &str)] = &[
    ("a_chain_arrives_and_leaves", CREATED_BEFORE),
    ("a_set_is_created_replaced_and_deleted", CREATED_BEFORE),
    ("addresses_give_way_to_a_cname_and_back", CREATED_BEFORE),
    ("all_types_stand_side_by_side", CREATED_BEFORE),
    ("common_beginnings_are_different_names", CREATED_BEFORE),
    ("deep_names_and_their_parents_are_apart", CREATED_BEFORE),
    ("deleting_a_name_leaves_those_below", CREATED_BEFORE),
    ("many_values_stay_one_set", CREATED_BEFORE),
    ("a_claim_that_another_took_is_a_conflict", DELETED_AS_IT_ONCE_WAS),
    ("a_stale_delete_is_a_conflict", DELETED_AS_IT_ONCE_WAS),
    ("a_stale_unit_is_told_apart_from_the_others", DELETED_AS_IT_ONCE_WAS),
    ("a_ttl_that_another_changed_is_a_conflict", DELETED_AS_IT_ONCE_WAS),
    ("of_two_writers_one_wins", DELETED_AS_IT_ONCE_WAS),
    ("one_stale_change_stops_its_unit", DELETED_AS_IT_ONCE_WAS),
    ("what_another_changed_is_a_conflict", DELETED_AS_IT_ONCE_WAS),
    ("what_another_deleted_is_a_conflict", DELETED_AS_IT_ONCE_WAS),
    ("of_two_creators_one_wins", CREATED_OVER),
    ("what_another_created_is_a_conflict", CREATED_OVER),
    ("a_cname_beside_other_data_is_refused", CNAME_BESIDE),
    ("other_data_beside_a_cname_is_refused", CNAME_BESIDE),
];
const CREATED_BEFORE: &str = "a set that was created before, and deleted since, counts as one that exists";
const DELETED_AS_IT_ONCE_WAS: &str = "a set is deleted by any state that it ever had, and not only by the present one";
const CREATED_OVER: &str = "CREATE adds its values to a set that exists, unless the two are alike";
const CNAME_BESIDE: &str = "a CNAME is put beside other data, and other data beside a CNAME";

/// A moto for each case: some count the zones of the account.
async fn on_moto() -> Setup {
    let moto = Moto::start().await;
    moto.create_zone(APEX).await;
    let provider = Route53::new(&options(&moto.url())).await.expect("the options are right");
    Setup::new(provider, Fqdn::parse(APEX).expect("a name")).keep(moto).with_known_faults(MOTO_FAULTS)
}
conformance!(on_moto_5_2, on_moto, needs = "needs MOTO_BIN: tests/run gets it");

#[tokio::test]
#[ignore = "needs MOTO_BIN: tests/run gets it"]
async fn ten_thousand_creates_and_their_claims_take_fourteen_calls_on_moto() {
    let moto = Moto::start().await;
    let zone = ZoneId(moto.create_zone(APEX).await.into());
    let provider = Chunked::new(Route53::new(&options(&moto.url())).await.expect("the options are right"));
    let applied =
        provider.apply(&zone, &writes::ten_thousand(), &ApplyContext::default()).await.expect("it is applied");
    assert_eq!(world::tally(&applied), [("done", 12_500)]);
    let calls = moto.log().matches(&format!("POST /2013-04-01/hostedzone/{zone}/rrset")).count();
    assert!((1..=14).contains(&calls), "{calls} calls");
}

/// A fault that is declared and gone does not stay on the list unnoticed.
#[test]
#[should_panic(expected = "the host no longer has this fault, so take it off the list: it was mended")]
fn a_fault_that_is_gone_is_noticed() {
    const GONE: &[(&str, &str)] = &[("the_zone_is_listed", "it was mended")];
    let apex = Fqdn::parse(APEX).expect("a name");
    dns_conformance::run("the_zone_is_listed", || async {
        Setup::new(MemoryProvider::new([apex.clone()]), apex).with_known_faults(GONE)
    });
}

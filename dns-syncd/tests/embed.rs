//! The example of embedding does what it shows.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../examples/embed.rs"]
pub mod embed;

#[tokio::test]
async fn a_site_without_an_address_is_led_elsewhere() {
    assert_eq!(
        embed::demo().await.unwrap(),
        "\
at first:
  match.lobby.arena.svc.games.example. A 192.0.2.1
  match.lobby.arena.svc.games.example. A 198.51.100.1
  match.lobby.arena.svc.games.example. AAAA 2001:db8::1
  match.lobby.arena.svc.north.games.example. A 192.0.2.1
  match.lobby.arena.svc.south.games.example. A 198.51.100.1
  match.lobby.arena.svc.south.games.example. AAAA 2001:db8::1
oslo has no address any more:
  match.lobby.arena.svc.games.example. A 198.51.100.1
  match.lobby.arena.svc.games.example. AAAA 2001:db8::1
  match.lobby.arena.svc.north.games.example. CNAME match.lobby.arena.svc.games.example.
  match.lobby.arena.svc.south.games.example. A 198.51.100.1
  match.lobby.arena.svc.south.games.example. AAAA 2001:db8::1
the way from the north:
  match.lobby.arena.svc.north.games.example.
  match.lobby.arena.svc.games.example.
"
    );
}

#[test]
fn the_example_ends_by_itself() {
    embed::main().unwrap();
}

//! moto starts, is emptied, is shared by the tests of a binary, and is gone when dropped.

use dns_conformance::servers::Moto;

async fn listens(moto: &Moto) -> bool {
    let address = moto.url().replace("http://", "");
    tokio::net::TcpStream::connect(address).await.is_ok()
}

#[tokio::test]
#[ignore = "needs MOTO_BIN: tests/run gets it"]
async fn moto_makes_zones_and_is_shared_while_it_is_held() {
    let moto = Moto::shared().await;
    let (one, two) = (moto.create_zone("one.test").await, moto.create_zone("one.test").await);
    assert_ne!(one, two);
    moto.reset().await;
    let again = Moto::shared().await;
    assert_eq!(again.url(), moto.url());
    assert!(listens(&moto).await);
    let address = moto.url().replace("http://", "");
    drop((moto, again));
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "the last holder ends it");
}

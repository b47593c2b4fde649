//! Where requests go, and that no token or secret travels in clear text beyond this machine.
//!
//! The SDK takes `https` alone. A URL with `http` is allowed on loopback for people who test: the SDK then sees the same
//! address with `https`, and [`Transport`] turns exactly that address back.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use azure_core::http::{AsyncRawResponse, HttpClient, Request, Url};
use dnsprovider::{Error, ErrorKind};

use super::error::error;

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A base address, as the SDK sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// With `https`, without a path.
    pub(super) url: Url,
    /// It is `http` in truth, on loopback.
    plain: bool,
}

impl Endpoint {
    /// Reads an address of a config.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let mut url = Url::parse(text).map_err(|_| "this is no URL; write `https://HOST`")?;
        let bare = url.username().is_empty() && url.password().is_none();
        if !bare || url.query().is_some() || url.fragment().is_some() || !matches!(url.path(), "" | "/") {
            return Err("write scheme, host and port alone, such as `https://management.azure.com`");
        }
        let plain = match url.scheme() {
            "https" => false,
            "http" if is_loopback(&url) => true,
            "http" => return Err("`http` would show the credentials to others; write `https://…`"),
            _ => return Err("write `https://…`"),
        };
        if plain {
            let port = url.port_or_known_default();
            // Both cannot fail: the URL has a host, and both schemes are of the same kind.
            _ = url.set_scheme("https");
            _ = url.set_port(port);
        }
        Ok(Self { url, plain })
    }

    /// The address behind a link of the host, if it leads to where this endpoint is: same scheme, host and port.
    pub(super) fn own(&self, link: &str) -> Option<Url> {
        let mut url = Url::parse(link).ok()?;
        if self.plain && url.scheme() == "http" {
            let port = url.port_or_known_default();
            url.set_scheme("https").ok()?;
            url.set_port(port).ok()?;
        }
        (url.origin() == self.url.origin() && url.username().is_empty() && url.password().is_none()).then_some(url)
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// Sends what the SDK asks for, with `http` to loopback where an [`Endpoint`] says so.
#[derive(Debug)]
pub(super) struct Transport {
    plain: Vec<Url>,
    client: Arc<dyn HttpClient>,
    /// Past any proxy: what is meant for this machine stays on it.
    direct: Arc<dyn HttpClient>,
}

impl Transport {
    /// Over a client of the caller's, or a new one.
    ///
    /// # Errors
    /// When no client can be made.
    pub(super) fn new(endpoints: &[&Endpoint], client: Option<Arc<dyn HttpClient>>) -> Result<Self, Error> {
        let new = |direct: bool| -> Result<Arc<dyn HttpClient>, Error> {
            // A redirect would carry the token to wherever it leads.
            let builder =
                reqwest::Client::builder().connect_timeout(CONNECT_TIMEOUT).redirect(reqwest::redirect::Policy::none());
            let builder = if direct { builder.no_proxy() } else { builder };
            let client = builder.build();
            client
                .map(|client| Arc::new(client) as Arc<dyn HttpClient>)
                .map_err(|cause| error(ErrorKind::Unavailable, "making a client for HTTPS").with_source(cause))
        };
        let plain = endpoints.iter().filter(|endpoint| endpoint.plain).map(|endpoint| endpoint.url.clone()).collect();
        let (client, direct) = match client {
            Some(client) => (client.clone(), client),
            None => (new(false)?, new(true)?),
        };
        Ok(Self { plain, client, direct })
    }
}

#[async_trait]
impl HttpClient for Transport {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let origin = request.url().origin();
        if !self.plain.iter().any(|url| url.origin() == origin) {
            return self.client.execute_request(request).await;
        }
        let mut request = request.clone();
        let port = request.url().port_or_known_default();
        let url = request.url_mut();
        if url.set_scheme("http").is_err() || url.set_port(port).is_err() {
            let message = "an address on loopback cannot be written with `http`";
            return Err(azure_core::Error::with_message(azure_core::error::ErrorKind::Other, message));
        }
        self.direct.execute_request(&request).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clear_text_is_for_loopback_alone() {
        for good in ["https://management.azure.com", "http://127.0.0.1:8080/", "http://localhost:1", "http://[::1]:9"] {
            let endpoint = Endpoint::parse(good);
            assert_eq!(endpoint.map(|endpoint| endpoint.url.scheme().to_owned()).as_deref(), Ok("https"), "{good}");
        }
        for bad in [
            "http://management.azure.com",
            "http://127.0.0.1.example.com",
            "http://10.0.0.1",
            "ftp://127.0.0.1",
            "https://user:word@management.azure.com",
            "https://management.azure.com/path",
            "https://management.azure.com?x=y",
            "management.azure.com",
        ] {
            assert!(Endpoint::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_link_elsewhere_is_nobodys_own() {
        let azure = Endpoint::parse("https://management.azure.com").expect("an address");
        let path = "/subscriptions/x?api-version=2018-05-01&$skipToken=y";
        for same in ["https://management.azure.com", "https://management.azure.com:443", "HTTPS://Management.Azure.com"]
        {
            assert!(azure.own(&format!("{same}{path}")).is_some(), "{same}");
        }
        for other in [
            "http://management.azure.com",
            "https://management.azure.com:444",
            "https://management.azure.com.example.com",
            "https://example.com",
            "https://management.azure.com@example.com",
            "https://u:p@management.azure.com",
            "",
        ] {
            assert_eq!(azure.own(&format!("{other}{path}")), None, "{other}");
        }
        let here = Endpoint::parse("http://127.0.0.1:80").expect("an address");
        assert_eq!(here.own("http://127.0.0.1/x").map(String::from).as_deref(), Some("https://127.0.0.1:80/x"));
        assert_eq!(here.own("http://127.0.0.2/x"), None);
    }
}

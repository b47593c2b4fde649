//! The calls of Azure's interface, one function each. Every attempt pays for its kind of call.
//!
//! Version 2018-05-01 of `Microsoft.Network/dnsZones`. Nothing is decided here: answers become wire values, refusals go
//! through the table in `error`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use azure_core::credentials::TokenCredential;
use azure_core::http::headers::{HeaderName, Headers};
use azure_core::http::policies::auth::BearerTokenAuthorizationPolicy;
use azure_core::http::{Context, HttpClient, Method, Pipeline, PipelineSendOptions, Request, Url};
use dnsprovider::capabilities::Operation;
use dnsprovider::{Error, ErrorKind, Fqdn, RetryHint, RrType, TimeLeft};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::config::{Options, Rates};
use super::convert;
use super::credential;
use super::endpoint::{Endpoint, Transport};
use super::error::{Asked, NAME, Refusal, error, unanswered};
use super::wire::{List, OperationStatus, RecordSet, ZoneResource};
use crate::cloud::{Ahead, Bucket, Call, Failure, Fate, Turn};

const API_VERSION: &str = "2018-05-01";
/// How often the end of a zone's deletion is asked for, where Azure does not say.
const POLL: Duration = Duration::from_secs(2);
/// The longest that an attempt may take that has paid before.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(20);

/// What may be sent, and when.
#[derive(Clone, Copy)]
pub(super) struct When<'a> {
    pub(super) turn: Turn,
    pub(super) time_left: Option<&'a TimeLeft>,
    /// [`Api::reserve`] has taken what the first attempt pays.
    pub(super) is_paid: bool,
}

/// A client of the resource manager for the zones of one resource group.
pub(super) struct Api {
    pipeline: Pipeline,
    manager: Endpoint,
    subscription: String,
    pub(super) group: String,
    page_size: u32,
    rates: Rates,
    zones: Mutex<BTreeMap<Fqdn, BTreeMap<Operation, Bucket>>>,
    reads: Bucket,
    writes: Bucket,
    deletes: Bucket,
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The pipeline holds the credential.
        f.debug_struct("Api").field("manager", &self.manager).field("group", &self.group).finish_non_exhaustive()
    }
}

/// A request before it is sent.
struct Ask<'a> {
    what: &'a str,
    /// Such as `dnsZones/A/write`.
    right: String,
    scope: String,
    method: Method,
    url: Url,
    headers: Vec<(&'static str, String)>,
    body: Option<Vec<u8>>,
    /// The zone whose rate it counts for, and as what.
    zone: Option<(&'a Fqdn, Operation)>,
    when: When<'a>,
}

/// An answer that is no refusal, or says that a record set is absent.
struct Reply {
    status: u16,
    headers: Headers,
    body: Vec<u8>,
}

impl Api {
    /// Makes the client. Nothing is sent.
    ///
    /// # Errors
    /// - [`ErrorKind::ConfigInvalid`] for addresses and credentials that cannot be.
    pub(super) fn new(options: &Options) -> Result<Self, Error> {
        let endpoint = |url: &Option<String>, of_cloud: &'static str| {
            let text = url.as_deref().unwrap_or(of_cloud);
            Endpoint::parse(text).map_err(|why| error(ErrorKind::ConfigInvalid, format!("opening `{text}`: {why}")))
        };
        let manager = endpoint(&options.resource_manager_url, options.cloud.resource_manager())?;
        let authority = endpoint(&options.authority_url, options.cloud.authority())?;
        let transport: Arc<dyn HttpClient> =
            Arc::new(Transport::new(&[&manager, &authority], options.http_client.clone())?);
        let client_options = credential::client_options(&authority, transport);
        let credential: Arc<dyn TokenCredential> = credential::open(&options.credential, client_options.clone())?;
        let bearer = BearerTokenAuthorizationPolicy::new(credential, [options.cloud.scope()]);
        let pipeline = Pipeline::new(
            option_env!("CARGO_PKG_NAME"),
            option_env!("CARGO_PKG_VERSION"),
            client_options,
            Vec::new(),
            vec![Arc::new(bearer)],
            None,
        );
        Ok(Self {
            pipeline,
            manager,
            subscription: options.subscription_id.clone(),
            group: options.resource_group.clone(),
            page_size: options.page_size.max(1),
            reads: Bucket::new(options.rates.subscription_reads),
            writes: Bucket::new(options.rates.subscription_writes),
            deletes: Bucket::new(options.rates.subscription_deletes),
            rates: options.rates.clone(),
            zones: Mutex::default(),
        })
    }

    //------- zones ----------------------------------------------------------

    /// A page of the group's zones; `next` is the link of the page before.
    pub(super) async fn zones(&self, next: Option<&str>) -> Result<List<ZoneResource>, Failure> {
        let url = match next {
            Some(link) => self.own(link)?,
            None => self.url(&[], &[("$top", self.page_size.to_string())])?,
        };
        let when = When { turn: Turn::Bulk, time_left: None, is_paid: false };
        let ask = Ask {
            right: "Microsoft.Network/dnsZones/read".to_owned(),
            scope: format!("the resource group `{}`", self.group),
            ..self.ask("listing the zones", Method::Get, url, None, when)
        };
        json(&self.send(&ask).await?, ask.what)
    }

    /// A zone; [`ErrorKind::ZoneNotFound`] where there is none.
    pub(super) async fn zone(&self, apex: &Fqdn) -> Result<ZoneResource, Failure> {
        let when = When { turn: Turn::Point, time_left: None, is_paid: false };
        let url = self.url(&[convert::zone_name(apex)], &[])?;
        let ask = self.zone_ask("reading the zone", "read", Method::Get, url, apex, when);
        json(&self.send(&Ask { zone: Some((apex, Operation::Get)), ..ask }).await?, "reading the zone")
    }

    /// Creates a public zone where there is none.
    pub(super) async fn create_zone(&self, apex: &Fqdn) -> Result<ZoneResource, Failure> {
        let when = When { turn: Turn::Bulk, time_left: None, is_paid: false };
        let url = self.url(&[convert::zone_name(apex)], &[])?;
        let mut ask = self.zone_ask("creating the zone", "write", Method::Put, url, apex, when);
        ask.headers.push(("if-none-match", "*".to_owned()));
        ask.body = Some(br#"{"location":"global","properties":{"zoneType":"Public"}}"#.to_vec());
        json(&self.send(&ask).await?, ask.what)
    }

    /// Deletes a zone and waits until it is gone; false when there was none.
    pub(super) async fn delete_zone(&self, apex: &Fqdn) -> Result<bool, Failure> {
        let when = When { turn: Turn::Bulk, time_left: None, is_paid: false };
        let what = "deleting the zone";
        let url = self.url(&[convert::zone_name(apex)], &[])?;
        let reply = self.send(&self.zone_ask(what, "delete", Method::Delete, url, apex, when)).await?;
        if reply.status == 204 {
            return Ok(false);
        }
        let Some(link) = reply.header("azure-asyncoperation") else { return Ok(true) };
        let mut pause = reply.retry_after();
        // The caller's patience ends this; the deletion goes on at the host.
        loop {
            let url = self.own(&link)?;
            let ask = self.zone_ask("waiting for the zone's deletion", "read", Method::Get, url, apex, when);
            let reply = self.send(&ask).await?;
            match json::<OperationStatus>(&reply, ask.what)?.status.as_str() {
                "Succeeded" => return Ok(true),
                status @ ("Failed" | "Canceled") => {
                    let told = error(ErrorKind::Unavailable, format!("{what}: Azure says that it is `{status}`"));
                    return Err(Failure::not_done(told));
                }
                _ => pause = reply.retry_after().or(pause),
            }
            tokio::time::sleep(pause.unwrap_or(POLL).min(POLL * 5)).await;
        }
    }

    //------- record sets ----------------------------------------------------

    /// A page of a zone's sets of all types; `next` is the link of the page before.
    pub(super) async fn sets(&self, apex: &Fqdn, next: Option<&str>) -> Result<List<RecordSet>, Failure> {
        let url = match next {
            Some(link) => self.own(link)?,
            None => self.url(&[convert::zone_name(apex), "recordsets"], &[("$top", self.page_size.to_string())])?,
        };
        let when = When { turn: Turn::Bulk, time_left: None, is_paid: false };
        let ask = self.zone_ask("reading a page of the zone", "recordsets/read", Method::Get, url, apex, when);
        json(&self.send(&Ask { zone: Some((apex, Operation::List)), ..ask }).await?, "reading a page of the zone")
    }

    /// A record set, or that there is none.
    pub(super) async fn set(&self, apex: &Fqdn, rr_type: &str, relative: &str) -> Result<Option<RecordSet>, Failure> {
        let when = When { turn: Turn::Point, time_left: None, is_paid: false };
        let url = self.url(&[convert::zone_name(apex), rr_type, relative], &[])?;
        let what = "reading a set";
        let ask = self.zone_ask(what, &format!("{rr_type}/read"), Method::Get, url, apex, when);
        let reply = self.send(&Ask { zone: Some((apex, Operation::Get)), ..ask }).await?;
        if reply.status == 404 { Ok(None) } else { json(&reply, what).map(Some) }
    }

    /// Writes a set: creates it where there is none, or (`etag`) replaces that state of it. Gives its version's ETag
    /// where the answer tells it.
    pub(super) async fn put_set(
        &self,
        apex: &Fqdn,
        (rr_type, relative): (&RrType, &str),
        body: Vec<u8>,
        etag: Option<&str>,
        when: When<'_>,
    ) -> Result<Option<String>, Failure> {
        let url = self.url(&[convert::zone_name(apex), rr_type.as_str(), relative], &[])?;
        let (what, operation, condition) = match etag {
            None => ("creating a set", Operation::Create, ("if-none-match", "*".to_owned())),
            Some(etag) => ("replacing a set", Operation::Update, ("if-match", etag.to_owned())),
        };
        let ask = self.zone_ask(what, &format!("{rr_type}/write"), Method::Put, url, apex, when);
        let headers = vec![condition];
        let reply = self.send(&Ask { headers, body: Some(body), zone: Some((apex, operation)), ..ask }).await?;
        let in_body = serde_json::from_slice::<RecordSet>(&reply.body).ok().and_then(|set| set.etag);
        Ok(in_body.or_else(|| reply.header("etag")))
    }

    /// Deletes that state of a set; false when there was no set.
    pub(super) async fn delete_set(
        &self,
        apex: &Fqdn,
        (rr_type, relative): (&RrType, &str),
        etag: &str,
        when: When<'_>,
    ) -> Result<bool, Failure> {
        let url = self.url(&[convert::zone_name(apex), rr_type.as_str(), relative], &[])?;
        let ask = self.zone_ask("deleting a set", &format!("{rr_type}/delete"), Method::Delete, url, apex, when);
        let headers = vec![("if-match", etag.to_owned())];
        let reply = self.send(&Ask { headers, zone: Some((apex, Operation::Delete)), ..ask }).await?;
        Ok(reply.status != 204 && reply.status != 404)
    }

    //------- sending --------------------------------------------------------

    fn ask<'a>(&self, what: &'a str, method: Method, url: Url, body: Option<Vec<u8>>, when: When<'a>) -> Ask<'a> {
        let (right, scope) = (String::new(), format!("the resource group `{}`", self.group));
        Ask { what, right, scope, method, url, headers: Vec::new(), body, zone: None, when }
    }

    fn zone_ask<'a>(
        &self,
        what: &'a str,
        right: &str,
        method: Method,
        url: Url,
        apex: &Fqdn,
        when: When<'a>,
    ) -> Ask<'a> {
        Ask {
            right: format!("Microsoft.Network/dnsZones/{right}"),
            scope: format!("the zone `{}` of the resource group `{}`", convert::zone_name(apex), self.group),
            ..self.ask(what, method, url, None, when)
        }
    }

    /// Takes what the creations of so many sets pay, ahead of them; `None` when it is not granted in that time. It is
    /// for fewer where the host never grants so many at once.
    pub(super) async fn reserve(
        &self,
        apex: &Fqdn,
        creations: usize,
        turn: Turn,
        time_left: &TimeLeft,
    ) -> Option<Vec<Vec<Ahead>>> {
        let of_zone = self.zone_bucket(apex, Operation::Create);
        let mut paid: Vec<Vec<Ahead>> = (0..creations).map(|_| Vec::new()).collect();
        for bucket in of_zone.iter().chain([&self.writes]) {
            let granted = bucket.pay_ahead(creations, turn, time_left).await.ok()?;
            paid.truncate(granted.len());
            for (creation, ahead) in paid.iter_mut().zip(granted) {
                creation.push(ahead);
            }
        }
        Some(paid)
    }

    async fn send(&self, ask: &Ask<'_>) -> Result<Reply, Failure> {
        let of_zone = ask.zone.and_then(|(apex, operation)| self.zone_bucket(apex, operation));
        let of_subscription = match ask.method {
            Method::Get | Method::Head => &self.reads,
            Method::Delete => &self.deletes,
            _ => &self.writes,
        };
        let buckets: Vec<&Bucket> = of_zone.iter().chain([of_subscription]).collect();
        let repeatable = matches!(ask.method, Method::Get);
        let call = Call { provider: NAME, what: ask.what, buckets: &buckets, turn: ask.when.turn, repeatable };
        let mut refused = None;
        if ask.when.is_paid {
            match self.attempt_paid(ask, &buckets).await {
                Err(failure) if failure.fate == Fate::NotDone && failure.error.retry() != RetryHint::Never => {
                    refused = Some(failure);
                }
                told => return told,
            }
        }
        let told = call.send(ask.when.time_left, || self.attempt(ask)).await;
        told.map_err(|failure| match refused {
            Some(refused) if failure.fate == Fate::NotSent => refused,
            _ => failure,
        })
    }

    /// One attempt that has paid already. Its answer counts for the rate as that of any other.
    async fn attempt_paid(&self, ask: &Ask<'_>, buckets: &[&Bucket]) -> Result<Reply, Failure> {
        let told = timeout(ATTEMPT_LIMIT, self.attempt(ask)).await.unwrap_or_else(|_| {
            let message = format!("{}: no answer within {} s", ask.what, ATTEMPT_LIMIT.as_secs());
            Err(Failure::unknown(error(ErrorKind::Timeout, message)))
        });
        match &told {
            Ok(_) => buckets.iter().for_each(|bucket| bucket.accepted()),
            Err(failure) if failure.error.kind() == ErrorKind::RateLimited => {
                let pause = if let RetryHint::After(pause) = failure.error.retry() { Some(pause) } else { None };
                for bucket in buckets {
                    bucket.throttled(pause);
                }
            }
            Err(_) => {}
        }
        told
    }

    async fn attempt(&self, ask: &Ask<'_>) -> Result<Reply, Failure> {
        let mut request = Request::new(ask.url.clone(), ask.method);
        request.insert_header("accept", "application/json");
        for (name, value) in &ask.headers {
            request.insert_header(HeaderName::from_static(name), value.clone());
        }
        if let Some(body) = &ask.body {
            request.insert_header("content-type", "application/json");
            request.set_body(body.clone());
        }
        let asked = Asked { what: ask.what, right: &ask.right, scope: &ask.scope };
        // The table of errors is ours.
        let options = PipelineSendOptions { skip_checks: true, ..PipelineSendOptions::default() };
        let answer = self.pipeline.send(&Context::new(), &mut request, Some(options)).await;
        let (status, headers, body) = answer.map_err(|cause| unanswered(&cause, asked))?.deconstruct();
        let reply = Reply { status: status.into(), headers, body: body.as_ref().to_vec() };
        let refusal = Refusal { status: reply.status, body: &reply.body, retry_after: reply.retry_after() };
        // A set that is not there is an answer to reading and deleting it.
        let may_be_absent = matches!(ask.method, Method::Get | Method::Delete) && refusal.is_absent_set();
        if (200..300).contains(&reply.status) || may_be_absent {
            return Ok(reply);
        }
        Err(refusal.failure(asked))
    }

    fn zone_bucket(&self, apex: &Fqdn, operation: Operation) -> Option<Bucket> {
        let mut zones = self.zones.lock().unwrap_or_else(PoisonError::into_inner);
        let buckets = zones
            .entry(apex.clone())
            .or_insert_with(|| self.rates.zone.iter().map(|rate| (rate.operation, Bucket::new(*rate))).collect());
        buckets.get(&operation).cloned()
    }

    /// Below the group's zones.
    fn url(&self, below: &[&str], query: &[(&str, String)]) -> Result<Url, Failure> {
        let mut url = self.manager.url.clone();
        {
            let invalid = || error(ErrorKind::ConfigInvalid, "the resource manager's address takes no path");
            let mut path = url.path_segments_mut().map_err(|()| Failure::not_done(invalid()))?;
            let group = ["subscriptions", &self.subscription, "resourceGroups", &self.group];
            path.clear().extend(group).extend(["providers", "Microsoft.Network", "dnsZones"]).extend(below);
        }
        url.query_pairs_mut().append_pair("api-version", API_VERSION).extend_pairs(query);
        Ok(url)
    }

    /// A link of the host's, which is opaque but for where it leads: the token goes nowhere else.
    fn own(&self, link: &str) -> Result<Url, Failure> {
        self.manager.own(link).ok_or_else(|| {
            let host = Url::parse(link).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
            let message = format!("following a link of Azure: it leads elsewhere, to `{host}`");
            Failure::not_done(error(ErrorKind::Protocol, message))
        })
    }
}

impl Reply {
    fn header(&self, name: &'static str) -> Option<String> {
        self.headers.get_optional_str(&HeaderName::from_static(name)).map(str::to_owned)
    }

    /// In seconds or, in Azure's own headers, in milliseconds. A date is passed over: a pause of our own does.
    fn retry_after(&self) -> Option<Duration> {
        let number = |name| self.header(name).and_then(|text| text.trim().parse::<u64>().ok());
        let milliseconds = number("x-ms-retry-after-ms").or_else(|| number("retry-after-ms"));
        milliseconds.map(Duration::from_millis).or_else(|| number("retry-after").map(Duration::from_secs))
    }
}

fn json<T: DeserializeOwned>(reply: &Reply, what: &str) -> Result<T, Failure> {
    serde_json::from_slice(&reply.body).map_err(|cause| {
        let message = format!("{what}: the answer is not as Azure's description has it");
        Failure::unknown(error(ErrorKind::Protocol, message).with_source(cause))
    })
}

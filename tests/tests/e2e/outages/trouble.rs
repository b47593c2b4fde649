//! What happens to a cluster, how it is seen, and how it ends.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use dns_conformance::servers::{KubeUser, Way, certificates};
use serde_json::{Value, json};

use super::gate::Manner;
use super::stage::Stage;
use crate::real::rights;
use crate::truth::truth;

/// In how many seconds an overloaded API server wants to be asked again.
pub(super) const RETRY_AFTER: u64 = 2;

/// A credential plugin that gives the token of the file beside it, and leaves the file `ran`.
const PRINTS_TOKEN: &str = ": >\"${0%/*}/ran\"; printf '{\"kind\":\"ExecCredential\",\"apiVersion\":\
                            \"client.authentication.k8s.io/v1\",\"status\":{\"token\":\"%s\"}}' \
                            \"$(/bin/cat \"${0%/*}/token\")\"";

/// One way in which the view of a cluster is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Connections are reset, the open ones too.
    Reset,
    /// Nothing goes through any more, and nothing closes.
    Hangs,
    /// Whatever is asked is answered with this code.
    Answers(u16),
    /// The right to watch is taken away, that to list stays.
    WatchDenied,
    /// After a reset, lists have no objects.
    Emptied,
    /// Another cluster is at the same address.
    Replaced,
    /// The server's certificate has expired.
    CertificateExpired,
    /// The client's certificate has expired, as the API server sees it.
    ClientCertificateExpired,
    /// The token is not accepted any more, and the file has no other yet.
    TokenRevoked,
    /// The token is not accepted any more, and the plugin that should give another fails.
    PluginFails,
    /// The cluster's folder is not among the others any more.
    KubeconfigGone,
    /// The folder is there and empty, as that of an absent Secret.
    SecretGone,
    /// The kubeconfig cannot be parsed.
    KubeconfigBroken,
    /// It names a user that it does not have.
    KubeconfigIncomplete,
}

impl Trouble {
    /// What people are told of it.
    pub(super) fn words(self) -> &'static [&'static str] {
        match self {
            Self::Reset => &["unreachable", "reset"],
            Self::Hangs => &["it did not answer within 15s"],
            Self::Answers(401) => &["does not accept our credentials (401", "renew the token"],
            Self::Answers(403) => &["denied (403", "grant list and watch on services"],
            Self::Answers(429) => &["it answers 429", "Too many requests"],
            Self::Answers(_) => &["it answers 500", "an internal error"],
            Self::WatchDenied => &["watching ", "denied (403", "grant list and watch on services"],
            Self::Emptied => &["a full list after a lost watch finds nothing of what was there"],
            Self::Replaced => &["another cluster answers in its place"],
            Self::CertificateExpired => &["unreachable", "certificate expired"],
            Self::ClientCertificateExpired | Self::TokenRevoked => &["does not accept our credentials (401"],
            Self::PluginFails => &["the credential plugin `/", "/plugin` ended with exit status: 3"],
            Self::KubeconfigGone => &["it is not in its source"],
            Self::SecretGone => &["eu/kubeconfig", "there is no such file"],
            Self::KubeconfigBroken => &["eu/kubeconfig", "it is no kubeconfig"],
            Self::KubeconfigIncomplete => &["names the user `eu`, which is not there"],
        }
    }
}

impl Stage {
    /// The cluster gets into trouble: it shows, what it said stays for the grace and then gives way where others serve
    /// the same; the trouble ends, and everything is as it was. Of each change of its state there is one line in the log.
    pub(super) async fn suffer(&mut self, trouble: Trouble) {
        let (cluster, whole) = (self.lost_name(), self.members_without(&[]));
        let failed_over = self.members_without(&["web", "api"]);
        self.prepare(trouble);
        if trouble == Trouble::PluginFails {
            // Its connection is in use, so that nothing else breaks than what is meant to.
            while !self.file("ran").exists() {
                self.pause().await;
            }
            self.change("through the plugin").await;
        }
        let since = self.mark();
        self.real.world.expect(truth(&failed_over));
        self.strike(trouble).await;
        self.shows_unknown(&cluster, trouble.words(), since).await;
        self.real.world.settle(&format!("{trouble:?}: names fail over after the grace, and no further")).await;
        self.kept_the_grace(&cluster).await;
        self.shows_expired(&cluster).await;
        self.shows_unknown(&cluster, trouble.words(), since).await;
        if trouble == Trouble::Answers(429) {
            self.assert_patient();
        }

        self.real.world.expect(truth(&whole));
        self.heal(trouble).await;
        self.real.world.settle(&format!("{trouble:?}: the cluster is back")).await;
        self.shows_known(&cluster, since, 2).await;
    }

    /// The daemon begins while the cluster is in trouble: what the zone credits to it stays for the grace, then names
    /// fail over. A daemon that begins after that changes nothing, and when the trouble ends everything is as it was.
    pub(super) async fn suffer_from_the_start(&mut self, trouble: Trouble) {
        let (cluster, whole) = (self.lost_name(), self.members_without(&[]));
        let failed_over = self.members_without(&["web", "api"]);
        self.real.world.stop().await;
        self.prepare(trouble);
        self.strike(trouble).await;
        self.real.world.expect(truth(&failed_over));
        self.real.world.start();
        self.shows_unknown(&cluster, trouble.words(), 0).await;
        self.real.world.settle(&format!("{trouble:?} from the start: names fail over after the grace")).await;
        self.kept_the_grace(&cluster).await;

        self.restart().await;
        self.shows_unknown(&cluster, trouble.words(), 0).await;
        self.shows_expired(&cluster).await;
        self.real.world.settle(&format!("{trouble:?} after a second start: nothing changes")).await;

        self.real.world.expect(truth(&whole));
        self.heal(trouble).await;
        self.real.world.settle(&format!("{trouble:?} from the start: the cluster is back")).await;
        self.shows_known(&cluster, 0, 2).await;
    }

    /// What must be so before the trouble begins.
    fn prepare(&mut self, trouble: Trouble) {
        let api = &self.real.clusters[0].api;
        let (token, next) = (api.token(KubeUser::Plain), api.renewed_token());
        match trouble {
            Trouble::ClientCertificateExpired => {
                self.write("client.crt", certificates::CLIENT);
                self.write("client.key", certificates::CLIENT_KEY);
                let [certificate, key] = ["client.crt", "client.key"].map(|file| self.file(file).display().to_string());
                self.credit_direct(&format!("client-certificate: '{certificate}'\n    client-key: '{key}'"));
            }
            Trouble::TokenRevoked => {
                self.write("token", &token);
                self.credit(&format!("tokenFile: '{}'", self.file("token").display()));
            }
            Trouble::PluginFails => {
                assert_ne!(token, next);
                self.write("token", &token);
                self.plugin(PRINTS_TOKEN);
                let plugin = self.file("plugin").display().to_string();
                self.credit(&format!(
                    "exec: {{apiVersion: client.authentication.k8s.io/v1, command: '{plugin}', \
                     interactiveMode: Never}}"
                ));
            }
            _ => {}
        }
    }

    async fn strike(&mut self, trouble: Trouble) {
        let renewed = self.real.clusters[0].api.renewed_token();
        let kubeconfig = self.kubeconfig();
        match trouble {
            Trouble::Reset => self.wire.set(Way::Reset),
            Trouble::Hangs => self.wire.set(Way::Hang),
            Trouble::Answers(429) => self.gate.set(Manner::Answer(429, Some(RETRY_AFTER))),
            Trouble::Answers(code) => self.gate.set(Manner::Answer(code, None)),
            Trouble::WatchDenied => {
                self.allow_watches(false).await;
                self.gate.set(Manner::Pass); // ends the watches that are open
            }
            Trouble::Emptied => self.gate.set(Manner::Forget(true)),
            Trouble::Replaced => self.gate.lead_to(&self.real.clusters[1].api),
            Trouble::CertificateExpired => self.gate.set(Manner::Expired),
            Trouble::ClientCertificateExpired => self.write("client.crt", certificates::CLIENT_EXPIRED),
            Trouble::TokenRevoked => self.gate.set(Manner::Only(renewed)),
            Trouble::PluginFails => {
                self.plugin("exit 3");
                self.gate.set(Manner::Only(renewed));
            }
            Trouble::KubeconfigGone => std::fs::rename(folder(&kubeconfig), aside(folder(&kubeconfig))).unwrap(),
            Trouble::SecretGone => std::fs::rename(&kubeconfig, aside(&kubeconfig)).unwrap(),
            Trouble::KubeconfigBroken => Self::replace(&kubeconfig, "apiVersion: v1\nkind: Config\nclusters: [\n"),
            Trouble::KubeconfigIncomplete => {
                let text = std::fs::read_to_string(&kubeconfig).unwrap();
                Self::replace(&kubeconfig, &text.replace("users:\n- name: eu\n", "users:\n- name: us\n"));
            }
        }
    }

    async fn heal(&mut self, trouble: Trouble) {
        let renewed = self.real.clusters[0].api.renewed_token();
        let kubeconfig = self.kubeconfig();
        match trouble {
            Trouble::Reset | Trouble::Hangs => self.wire.set(Way::Pass),
            Trouble::Answers(_) | Trouble::CertificateExpired => self.gate.set(Manner::Pass),
            Trouble::WatchDenied => self.allow_watches(true).await,
            // The objects are there again, and that no watch can tell.
            Trouble::Emptied => self.gate.set(Manner::Forget(false)),
            Trouble::Replaced => self.gate.lead_to(&self.real.clusters[0].api),
            Trouble::ClientCertificateExpired => self.write("client.crt", certificates::CLIENT_NEXT),
            Trouble::TokenRevoked => self.write("token", &renewed),
            Trouble::PluginFails => {
                self.write("token", &renewed);
                self.plugin(PRINTS_TOKEN);
            }
            Trouble::KubeconfigGone => std::fs::rename(aside(folder(&kubeconfig)), folder(&kubeconfig)).unwrap(),
            Trouble::SecretGone => std::fs::rename(aside(&kubeconfig), &kubeconfig).unwrap(),
            Trouble::KubeconfigBroken | Trouble::KubeconfigIncomplete => self.credit_by_token(),
        }
    }

    /// Credentials rotate in time: the cluster is known throughout, and what changes in it is seen.
    pub(super) async fn rotate(&mut self, what: &str) {
        let (cluster, since) = (self.lost_name(), self.mark());
        let token = self.real.clusters[0].api.token(KubeUser::Plain);
        self.write("token", &token);
        self.gate.set(Manner::Only(token));
        self.change(what).await;
        assert_eq!(self.lines(&cluster, since), Vec::<String>::new(), "{what}");
    }

    /// The cluster has another address for a service, and then the old one again.
    pub(super) async fn change(&mut self, what: &str) {
        let whole = self.members_without(&[]);
        let mut moved = whole.clone();
        moved[0] = moved[0].clone().with("solo", &["192.0.2.77"]);
        for members in [moved, whole] {
            self.real.world.expect(truth(&members));
            self.real.clusters[0].put(&members[0]).await;
            self.real.world.settle(&format!("{what}: a change is seen")).await;
        }
    }

    /// While an API server is overloaded it is asked by each of the three watches once in the time that it wants.
    fn assert_patient(&self) {
        let asked = self.gate.asked();
        let wanted = Duration::from_secs(RETRY_AFTER);
        for window in asked.windows(4) {
            let took = window[3] - window[0];
            assert!(took >= wanted, "asked four times within {took:?}, though it said `Retry-After: {RETRY_AFTER}`");
        }
        assert!(!asked.is_empty());
    }

    /// Gives or takes the right to watch, and waits until the API server follows that.
    async fn allow_watches(&self, allowed: bool) {
        let [mut role, _] = rights();
        if !allowed {
            for rule in role["rules"].as_array_mut().unwrap() {
                rule["verbs"].as_array_mut().unwrap().retain(|verb| verb != "watch");
            }
        }
        let cluster = &self.real.clusters[0];
        cluster.write(&role).await;
        let begun = Instant::now();
        for (group, resource) in [("", "services"), ("", "nodes"), ("discovery.k8s.io", "endpointslices")] {
            let review = json!({
                "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "metadata": {},
                "spec": {
                    "user": "dns-syncd",
                    "resourceAttributes": { "verb": "watch", "group": group, "resource": resource },
                },
            });
            let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
            loop {
                let request = kube::core::Request::new(path);
                let request = request.create(&kube::api::PostParams::default(), review.to_string().into_bytes());
                let answer: Value = cluster.client.request(request.unwrap()).await.unwrap();
                if answer["status"]["allowed"] == allowed {
                    break;
                }
                assert!(begun.elapsed() < Duration::from_mins(1), "{answer}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.credentials.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        Self::replace(&self.file(name), text);
    }

    /// The credential plugin, a script of this line.
    fn plugin(&self, line: &str) {
        let new = self.file(".plugin");
        std::fs::write(&new, format!("#!/bin/sh\n{line}\n")).unwrap();
        std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::rename(new, self.file("plugin")).unwrap();
    }
}

fn folder(kubeconfig: &Path) -> &Path {
    kubeconfig.parent().unwrap()
}

/// The same name with a dot before it, which the daemon passes over.
fn aside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap().to_str().unwrap();
    path.with_file_name(format!(".{name}"))
}

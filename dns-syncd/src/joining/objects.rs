//! Objects in a cluster: those of these commands carry a mark, and nothing else is ever written over or deleted.

use std::fmt::Display;
use std::time::Duration;

use kube::ResourceExt as _;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, Preconditions};
use kube::core::GroupVersionKind;
use kube::discovery::{ApiGroup, Discovery, Scope, verbs};
use serde_json::{Value, json};

use super::contexts::{PATIENCE, Reached, refused};
use super::report::{Action, JoiningError, Listener, Result, Step};

/// The label that marks objects, and its value.
pub(crate) const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
pub(crate) const OURS: &str = "dns-syncd";
/// What is written is remembered under this name by the API server.
pub(crate) const MANAGER: &str = "dns-syncd";
/// The name under which a member joined, as an annotation of what lies in it.
pub(crate) const CLUSTER: &str = "dns-syncd.io/cluster";
/// The federation whose `join` made a namespace, as an annotation of it.
pub(crate) const MADE_BY: &str = "dns-syncd.io/made-by";

/// Kinds and names of what Kubernetes, or OpenShift, puts into every namespace.
const IN_EVERY: [(&str, &str); 8] = [
    ("ConfigMap", "kube-root-ca.crt"),
    ("ConfigMap", "openshift-service-ca.crt"),
    ("RoleBinding", "system:deployers"),
    ("RoleBinding", "system:image-builders"),
    ("RoleBinding", "system:image-pullers"),
    ("ServiceAccount", "builder"),
    ("ServiceAccount", "default"),
    ("ServiceAccount", "deployer"),
];

/// How long a namespace may take to go, and the pause between two looks.
const ENDING: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(250);

/// How people call an object.
pub(crate) fn called(object: &Value) -> String {
    let (kind, name) = (text(object, "/kind"), text(object, "/metadata/name"));
    match object.pointer("/metadata/namespace").and_then(Value::as_str) {
        Some(namespace) => format!("{kind} {namespace}/{name}"),
        None => format!("{kind} {name}"),
    }
}

pub(crate) fn text<'a>(object: &'a Value, at: &str) -> &'a str {
    object.pointer(at).and_then(Value::as_str).unwrap_or_default()
}

/// Marks an object.
pub(crate) fn marked(mut object: Value) -> Value {
    object["metadata"]["labels"][MANAGED_BY] = json!(OURS);
    object
}

/// The namespace, which these commands make where there is none.
pub(crate) fn namespace(name: &str) -> Value {
    marked(json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } }))
}

/// True when it carries the mark.
pub(crate) fn is_ours(object: &DynamicObject) -> bool {
    object.labels().get(MANAGED_BY).is_some_and(|by| by == OURS)
}

impl Reached {
    /// Where objects of this kind and namespace are.
    fn at(&self, object: &Value) -> Api<DynamicObject> {
        let version = text(object, "/apiVersion");
        let (group, version) = version.split_once('/').unwrap_or(("", version));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, text(object, "/kind")));
        match object.pointer("/metadata/namespace").and_then(Value::as_str) {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        }
    }

    /// Waits for an answer, not for ever.
    pub(crate) async fn answer<T>(
        &self,
        doing: impl Display,
        asking: impl Future<Output = kube::Result<T>>,
    ) -> Result<T> {
        let doing = doing.to_string();
        let context = &self.context;
        let silent =
            || JoiningError::failed(format!("{doing} in the cluster `{context}`: no answer within {PATIENCE:?}"));
        let answer = tokio::time::timeout(PATIENCE, asking).await.map_err(|_| silent())?;
        answer.map_err(|error| refused(context, &doing, &error))
    }

    /// The object as it is there; `None` where there is none.
    pub(crate) async fn find(&self, object: &Value) -> Result<Option<DynamicObject>> {
        let api = self.at(object);
        self.answer(format!("getting the {}", called(object)), api.get_opt(text(object, "/metadata/name"))).await
    }

    /// The object as it is there, when it is ours; `None` where there is none.
    ///
    /// # Errors
    /// For one of somebody else.
    pub(crate) async fn find_ours(&self, object: &Value) -> Result<Option<DynamicObject>> {
        let Some(found) = self.find(object).await? else { return Ok(None) };
        if is_ours(&found) || text(object, "/kind") == "Namespace" {
            return Ok(Some(found));
        }
        let (called, context) = (called(object), &self.context);
        Err(JoiningError::failed(format!(
            "the {called} in the cluster `{context}` is not ours: it has no label `{MANAGED_BY}: {OURS}`, so it is not \
             touched; hint: rename or delete it, or take another --federation-system-namespace"
        )))
    }

    /// Refuses to begin where an object of somebody else is in the way.
    pub(crate) async fn check_ours(&self, objects: &[Value]) -> Result<()> {
        for object in objects {
            self.find_ours(object).await?;
        }
        Ok(())
    }

    /// Makes the object this, where it is not; a namespace that is there is taken as it is, whoever made it.
    pub(crate) async fn apply(&self, object: &Value, listener: &dyn Listener) -> Result<DynamicObject> {
        let mut before = self.find_ours(object).await?;
        if text(object, "/kind") == "Namespace" {
            before = self.unless_it_goes(object, before, listener).await?;
        }
        if let Some(namespace) = before.as_ref().filter(|_| text(object, "/kind") == "Namespace") {
            self.tell(object, Action::Unchanged, listener);
            return Ok(namespace.clone());
        }
        let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let name = text(object, "/metadata/name");
        let patch = Patch::Apply(object);
        let api = self.at(object);
        let after =
            self.answer(format!("writing the {}", called(object)), api.patch(name, &parameters, &patch)).await?;
        let action = match before {
            None => Action::Created,
            Some(before) if before.resource_version() == after.resource_version() => Action::Unchanged,
            Some(_) => Action::Changed,
        };
        self.tell(object, action, listener);
        Ok(after)
    }

    /// The namespace; waits while it is being deleted, for nothing can be made in it then.
    async fn unless_it_goes(
        &self,
        object: &Value,
        mut found: Option<DynamicObject>,
        listener: &dyn Listener,
    ) -> Result<Option<DynamicObject>> {
        let until = tokio::time::Instant::now() + ENDING;
        let what = format!("the {} in the cluster `{}` is being deleted", called(object), self.context);
        let mut said = false;
        while found.as_ref().is_some_and(|namespace| namespace.metadata.deletion_timestamp.is_some()) {
            if tokio::time::Instant::now() >= until {
                return Err(JoiningError::failed(format!(
                    "{what}, and still there after {ENDING:?}; hint: its conditions say what holds it; when it is gone, run \
                     this again"
                )));
            }
            if !std::mem::replace(&mut said, true) {
                listener.remark(&format!("waiting: {what}"));
            }
            tokio::time::sleep(PAUSE).await;
            found = self.find(object).await?;
        }
        Ok(found)
    }

    /// Deletes the object where it is ours.
    pub(crate) async fn delete(&self, object: &Value, listener: &dyn Listener) -> Result<()> {
        let Some(found) = self.find_ours(object).await?.filter(is_ours) else {
            self.tell(object, Action::Absent, listener);
            return Ok(());
        };
        if found.metadata.deletion_timestamp.is_none() {
            let preconditions = Some(Preconditions { uid: found.uid(), resource_version: None });
            let parameters = DeleteParams { preconditions, ..DeleteParams::default() };
            let (api, name) = (self.at(object), text(object, "/metadata/name"));
            self.answer(format!("deleting the {}", called(object)), api.delete(name, &parameters)).await?;
        }
        self.tell(object, Action::Deleted, listener);
        Ok(())
    }

    /// Writes some fields of an object that was read before; false when it has changed since, and nothing was written.
    pub(crate) async fn merge(&self, object: &Value, since: &DynamicObject, fields: &Value) -> Result<bool> {
        let mut patch = fields.clone();
        patch["metadata"]["resourceVersion"] = json!(since.resource_version());
        let parameters = PatchParams { field_manager: Some(format!("{MANAGER}-members")), ..PatchParams::default() };
        let (api, name) = (self.at(object), text(object, "/metadata/name"));
        let patch = Patch::Merge(&patch);
        let patching = async {
            match api.patch(name, &parameters, &patch).await {
                Ok(_) => Ok(true),
                Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
                Err(error) => Err(error),
            }
        };
        self.answer(format!("changing the {}", called(object)), patching).await
    }

    /// What lies in a namespace beside what was made there and what is in every namespace; the first thing found.
    ///
    /// Every kind counts that the cluster knows, but for Events, which only tell of the others.
    ///
    /// # Errors
    /// When the cluster does not show all of it.
    pub(crate) async fn stranger_in(&self, namespace: &str, made: &[Value]) -> Result<Option<String>> {
        let known = Discovery::new(self.client.clone()).run();
        let known = self.answer("listing the kinds of objects", known).await?;
        let groups = known.groups_alphabetical().into_iter();
        for (resource, can) in groups.flat_map(ApiGroup::resources_by_stability) {
            if can.scope != Scope::Namespaced || !can.supports_operation(verbs::LIST) || resource.kind == "Event" {
                continue;
            }
            let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &resource);
            let doing = format!("listing the {} of the namespace {namespace}", resource.plural);
            let all = self.answer(doing, api.list_metadata(&ListParams::default())).await?;
            let mut names = all.items.iter().map(kube::ResourceExt::name_any);
            if let Some(name) = names.find(|name| !is_expected(&resource.kind, name, made)) {
                return Ok(Some(format!("{} {name}", resource.kind)));
            }
        }
        Ok(None)
    }

    /// Something was done to a key of an object.
    pub(crate) fn tell_part(&self, object: &Value, key: &str, action: Action, listener: &dyn Listener) {
        listener.step(Step { cluster: self.context.clone(), object: format!("{} key {key}", called(object)), action });
    }

    pub(crate) fn tell(&self, object: &Value, action: Action, listener: &dyn Listener) {
        listener.step(Step { cluster: self.context.clone(), object: called(object), action });
    }
}

/// Whether an object in a namespace is one of these, or would be there without anybody's doing.
fn is_expected(kind: &str, name: &str, made: &[Value]) -> bool {
    let is_it = |object: &Value| text(object, "/kind") == kind && text(object, "/metadata/name") == name;
    IN_EVERY.contains(&(kind, name)) || made.iter().any(is_it)
}

/// The objects as YAML for people: what is secret is left out.
pub(crate) fn printed(objects: &[Value]) -> String {
    let mut text = String::new();
    for object in objects {
        let mut object = object.clone();
        if object["kind"] == "Secret" {
            for field in ["data", "stringData"] {
                let values = object.get_mut(field).and_then(Value::as_object_mut);
                for value in values.into_iter().flat_map(serde_json::Map::values_mut) {
                    *value = json!("(hidden)");
                }
            }
        }
        text.push_str("---\n");
        // JSON is YAML as well.
        let yaml = serde_saphyr::to_string(&object).unwrap_or_else(|_| object.to_string());
        text.push_str(yaml.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn what_is_secret_is_not_printed() {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "a", "namespace": "b" },
            "data": { "key": "c2VjcmV0" }, "stringData": { "other": "s3cret" },
        });
        let map =
            json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "a" }, "data": { "x": "1\n2\n" } });
        let text = printed(&[secret, map.clone()]);
        assert!(!text.contains("c2VjcmV0") && !text.contains("s3cret") && text.contains("(hidden)"), "{text}");
        let read: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
        assert_eq!(read[1], map);
    }

    #[test]
    fn what_others_put_into_a_namespace_is_not_expected() {
        let made = [json!({ "kind": "ServiceAccount", "metadata": { "name": "dns-syncd-fed" } })];
        for (kind, name) in [("ServiceAccount", "dns-syncd-fed"), ("ConfigMap", "kube-root-ca.crt")] {
            assert!(is_expected(kind, name, &made), "{kind} {name}");
        }
        for (kind, name) in [("ServiceAccount", "dns-syncd-other"), ("Secret", "dns-syncd-fed"), ("Secret", "default")]
        {
            assert!(!is_expected(kind, name, &made), "{kind} {name}");
        }
    }

    #[test]
    fn objects_are_called_by_kind_namespace_and_name() {
        assert_eq!(called(&namespace("a")), "Namespace a");
        assert_eq!(called(&json!({ "kind": "Secret", "metadata": { "name": "b", "namespace": "a" } })), "Secret a/b");
    }
}

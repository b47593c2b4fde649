//! The service behind `dns/v1`: from a request to its operation, and what each does.

use serde_json::{Map, Value};

use super::methods::Call;
use super::operations::{self, NOT_IMITATED, OPERATIONS, Operation, SYSTEM};
use super::project::Project;
use super::refusal::Refusal;
use super::{fields, schema};
use crate::fakes::listener::{Answer, Request};

//----------- Finding the operation ----------------------------------

/// What a path and a method ask for.
pub(super) enum Target {
    /// An operation, with what stands in the braces of its path.
    Imitated(&'static Operation, Vec<String>),
    /// One that the vendor has and the fake has not.
    NotImitated(&'static str),
    Unknown,
}

pub(super) fn target(request: &Request) -> Target {
    let (segments, method) = (request.segments(), request.method.as_str());
    // A verb behind a colon makes another operation of what is else a name.
    let verbs_first = NOT_IMITATED
        .iter()
        .find(|(_, on, path)| *on == method && path.contains("}:") && operations::bind(path, &segments).is_some());
    if let Some((id, _, _)) = verbs_first {
        return Target::NotImitated(id);
    }
    for operation in OPERATIONS.iter().filter(|operation| operation.method == method) {
        if let Some(bound) = operations::bind(operation.path, &segments) {
            return Target::Imitated(operation, bound);
        }
    }
    let other = NOT_IMITATED.iter().find(|(_, on, path)| *on == method && operations::bind(path, &segments).is_some());
    other.map_or(Target::Unknown, |(id, _, _)| Target::NotImitated(id))
}

/// The page that Google's front end shows for a path that no service has.
pub(super) fn no_such_page(path: &str) -> Answer {
    let body =
        format!("<!DOCTYPE html>\n<title>Error 404 (Not Found)!!1</title>\n<p>{path} was not found on this server.\n");
    Answer::new(404, body).with_header("content-type", "text/html; charset=UTF-8")
}

/// A JSON answer with the headers that the service sends.
pub(super) fn json_answer(status: u16, body: &Value, pretty: bool) -> Answer {
    let text = if pretty { format!("{body:#}\n") } else { body.to_string() };
    Answer::new(status, text)
        .with_header("content-type", "application/json; charset=UTF-8")
        .with_header("cache-control", "private")
        .with_header("server", "ESF")
}

//----------- Reading the request ------------------------------------

/// Whether the `$.xgafv=2` shape of errors is asked for.
pub(super) fn wants_second_format(request: &Request) -> bool {
    system_parameter(request, "$.xgafv") == Some("2")
}

/// A system parameter, with or without the `$` that Google's clients put before it.
fn system_parameter<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request.query(name).or_else(|| request.query(&format!("${name}")))
}

/// Checks the query and the body against the operation; gives the body.
fn read(operation: &Operation, request: &Request) -> Result<Map<String, Value>, Refusal> {
    let mut seen: Vec<&str> = Vec::new();
    for (name, value) in &request.query {
        let own = operation.query.iter().find(|parameter| parameter.name == name);
        let system = || {
            let is_meant = |wanted: &str| wanted == name || name.strip_prefix('$') == Some(wanted);
            SYSTEM.iter().find(|parameter| is_meant(parameter.name))
        };
        let Some(parameter) = own.or_else(system) else {
            let what = format!("Unknown name \"{name}\": Cannot bind query parameter.");
            let why = format!("Field '{name}' could not be found in request message.");
            return Err(Refusal::unreadable(format!("Invalid JSON payload received. {what} {why}")));
        };
        // Google's clients ask for `json;enum-encoding=int` too.
        let plain = if parameter.name == "alt" { value.split(';').next().unwrap_or(value) } else { value };
        if !parameter.kind.takes(plain) || seen.contains(&parameter.name) {
            return Err(Refusal::unreadable(format!("Invalid value at '{name}', \"{value}\"")));
        }
        if parameter.name == "alt" && plain != "json" {
            return Err(Refusal::new(501, "notImplemented", format!("the fake does not imitate alt={value}")));
        }
        seen.push(parameter.name);
    }
    let Some(schema) = operation.body else {
        return if request.body.is_empty() {
            Ok(Map::new())
        } else {
            Err(Refusal::unreadable("Request body is not allowed for this method."))
        };
    };
    let media_type = request.header("content-type").map(|text| text.split(';').next().unwrap_or(text).trim());
    if media_type != Some("application/json") {
        let given = media_type.unwrap_or("none");
        return Err(Refusal::unreadable(format!("Invalid JSON payload received. Unsupported content type: {given}")));
    }
    schema::read(schema, &request.body)
}

//----------- Doing it -----------------------------------------------

/// Does one operation of a project.
pub(super) fn perform(
    project: &mut Project,
    operation: &Operation,
    bound: &[String],
    request: &Request,
) -> Result<Answer, Refusal> {
    let body = read(operation, request)?;
    if bound.first() != Some(&project.id) && bound.first() != Some(&project.number.to_string()) {
        // A project that is not there and one that is not the caller's look alike. No document says so for this one.
        return Err(Refusal::forbidden());
    }
    if project.denied.contains(operation.permission) {
        return Err(Refusal::forbidden());
    }
    let mut call = Call { project, request, bound: &bound[1..] };
    let answer = match operation.id {
        "dns.projects.get" => Ok(call.project_json()),
        "dns.managedZones.list" => call.list_zones(),
        "dns.managedZones.get" => call.get_zone(),
        "dns.managedZones.create" => call.create_zone(&body),
        "dns.managedZones.delete" => call.delete_zone(),
        "dns.changes.create" => call.create_change(&body),
        "dns.changes.get" => call.get_change(),
        "dns.changes.list" => call.list_changes(),
        "dns.resourceRecordSets.list" => call.list_sets(),
        "dns.resourceRecordSets.get" => call.get_set(),
        "dns.resourceRecordSets.create" => call.create_set(&body),
        "dns.resourceRecordSets.delete" => call.delete_set(),
        "dns.resourceRecordSets.patch" => call.patch_set(&body),
        other => unreachable!("`{other}` stands in the table and is not done"),
    }?;
    let pretty = system_parameter(request, "prettyPrint") != Some("false");
    Ok(match system_parameter(request, "fields") {
        _ if answer.is_null() => Answer::new(204, ""),
        Some(fields) => json_answer(200, &fields::select(&answer, fields)?, pretty),
        None => json_answer(200, &answer, pretty),
    })
}

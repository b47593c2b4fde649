//! The tables of the fake beside the vendor's service model.

use dns_conformance::fakes::fixtures;
use dns_conformance::fakes::route53::model::{NAMESPACE, Named, OPERATIONS, Operation, Param, Shape, UNLIMITED};
use serde_json::Value;

/// Every operation, parameter, field, word and limit in the tables is the model's, and none of the model's is left out.
#[test]
#[ignore = "needs DNS_FIXTURES: the vendor's description"]
fn tables_are_those_of_the_service_model() {
    let path = fixtures::dir().join("route53-model/service-2.json");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let model: Value = serde_json::from_str(&text).expect("the model is JSON");
    let mut wrong = Vec::new();
    let mut shapes = 0;
    for operation in OPERATIONS {
        check_operation(&model, operation, &mut wrong, &mut shapes);
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert!(shapes > 60, "only {shapes} shapes were compared");
}

fn check_operation(model: &Value, operation: &Operation, wrong: &mut Vec<String>, shapes: &mut usize) {
    let name = operation.name;
    let theirs = &model["operations"][name];
    let mut same = |what: &str, ours: String, theirs: &Value| {
        if theirs != &serde_json::from_str::<Value>(&ours).expect("ours is JSON") {
            wrong.push(format!("{name}: {what} is {theirs}, not {ours}"));
        }
    };
    same("method", format!("\"{}\"", operation.method), &theirs["http"]["method"]);
    same("path", format!("\"{}\"", operation.path), &theirs["http"]["requestUri"]);
    let places: Vec<_> = operation.path.split(['{', '}']).skip(1).step_by(2).collect();
    assert_eq!(
        operation.uri.iter().map(|param| param.name).collect::<Vec<_>>(),
        places,
        "{name}: the order in the path"
    );
    let status = theirs["http"].get("responseCode").cloned().unwrap_or_else(|| Value::from(200));
    same("status", operation.status.to_string(), &status);
    if let Some(body) = operation.body {
        same("root", format!("\"{}\"", body.name), &theirs["input"]["locationName"]);
        same("namespace", format!("\"{NAMESPACE}\""), &theirs["input"]["xmlNamespace"]["uri"]);
        check_shape(model, body, name, wrong, shapes);
    }
    let Some(input) = theirs["input"]["shape"].as_str() else { return };
    let input = &model["shapes"][input];
    for (location, params) in [("uri", operation.uri), ("querystring", operation.query)] {
        for param in params {
            check_param(input, param, location, name, wrong);
            check_shape(model, param.of, &format!("{name} {}", param.name), wrong, shapes);
        }
        for (member, theirs) in members(input) {
            let known = params.iter().any(|param| param.member == member);
            if theirs["location"] == location && !known {
                wrong.push(format!("{name}: the parameter {member} is missing"));
            }
        }
    }
}

fn check_param(input: &Value, param: &Param, location: &str, place: &str, wrong: &mut Vec<String>) {
    let theirs = &input["members"][param.member];
    let right = theirs["location"] == location
        && theirs["locationName"] == param.name
        && theirs["shape"] == param.of.name
        && required(input, param.member) == param.required;
    if !right {
        wrong.push(format!("{place}: the parameter {} is {theirs}", param.member));
    }
}

fn check_shape(model: &Value, ours: &Named, place: &str, wrong: &mut Vec<String>, shapes: &mut usize) {
    *shapes += 1;
    let theirs = &model["shapes"][ours.name];
    let place = format!("{place}/{}", ours.name);
    let count = |name: &str| theirs[name].as_i64();
    let right = match &ours.shape {
        Shape::Text { min, max } => {
            let ours = (i64::try_from(*min).ok(), (*max != UNLIMITED).then(|| i64::try_from(*max).ok()).flatten());
            theirs["type"] == "string" && theirs["enum"].is_null() && ours == (count("min").or(Some(0)), count("max"))
        }
        Shape::Word(words) => theirs["enum"] == Value::from(words.to_vec()),
        Shape::Integer { min, max } => {
            let kind = ["long", "integer"].iter().any(|kind| theirs["type"] == *kind);
            kind && count("min").unwrap_or(i64::MIN) == *min && count("max").unwrap_or(i64::MAX) == *max
        }
        Shape::Boolean => theirs["type"] == "boolean",
        Shape::List { min, element, item } => {
            check_shape(model, item, &place, wrong, shapes);
            theirs["type"] == "list"
                && theirs["member"]["shape"] == item.name
                && theirs["member"]["locationName"] == *element
                && count("min").unwrap_or(0) == i64::try_from(*min).expect("a small number")
        }
        Shape::Structure(fields) => {
            for field in *fields {
                check_shape(model, field.of, &place, wrong, shapes);
                let member = &theirs["members"][field.name];
                if member["shape"] != field.of.name || required(theirs, field.name) != field.required {
                    wrong.push(format!("{place}: the field {} is {member}", field.name));
                }
            }
            for (member, theirs) in members(theirs) {
                if theirs["location"].is_null() && !fields.iter().any(|field| field.name == member) {
                    wrong.push(format!("{place}: the field {member} is missing"));
                }
            }
            theirs["type"] == "structure"
        }
    };
    if !right {
        wrong.push(format!("{place}: {:?} is {theirs}", ours.shape));
    }
}

fn members(shape: &Value) -> impl Iterator<Item = (&str, &Value)> {
    shape["members"].as_object().into_iter().flatten().map(|(name, member)| (name.as_str(), member))
}

fn required(shape: &Value, member: &str) -> bool {
    shape["required"].as_array().is_some_and(|all| all.iter().any(|name| name == member))
}

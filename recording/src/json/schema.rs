//! The published schema is made from the model, and what is written obeys it.

use super::model::{Access, Document};
use serde_json::{Map, Value};
use std::fs;
use std::path::PathBuf;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn schema() -> Value {
    let mut schema = schemars::schema_for!(Document<'static, Vec<Access<'static>>>).to_value();
    let about = schema.as_object_mut().expect("an object");
    about.insert("title".into(), "Airtight recording, format 2".into());
    schema
}

#[test]
fn the_published_schema_is_that_of_the_model() {
    let path = root().join("docs/recording.schema.json");
    let now = schema();
    let text = format!("{now:#}\n");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &text).expect("the schema can be written");
    }
    let published = fs::read_to_string(&path).expect("the schema is published");
    let published: Value = serde_json::from_str(&published).expect("it is JSON");
    assert!(published == now, "run with UPDATE_GOLDEN=1; the schema is now:\n{text}");
}

/// What is wrong with `value`, by that part of JSON Schema which schemars uses. A keyword that
/// this does not know is an error, so that nothing goes unchecked.
fn check(root: &Value, schema: &Value, value: &Value, place: &str) -> Result<(), String> {
    let wrong = |what: String| Err(format!("{place}: {what}"));
    let Value::Object(rules) = schema else {
        return if schema == &Value::Bool(true) { Ok(()) } else { wrong("not allowed".into()) };
    };
    let none = Map::new();
    let object = value.as_object().unwrap_or(&none);
    let known = rules.get("properties").and_then(Value::as_object).unwrap_or(&none);
    for (rule, wanted) in rules {
        match rule.as_str() {
            "$schema" | "$defs" | "title" | "description" | "format" | "default" => {}
            "$ref" => {
                let pointer = wanted.as_str().and_then(|r| r.strip_prefix('#'));
                let part = pointer.and_then(|pointer| root.pointer(pointer));
                check(root, part.expect("the reference leads somewhere"), value, place)?;
            }
            "type" => {
                let is = |name: &Value| match name.as_str() {
                    Some("object") => value.is_object(),
                    Some("array") => value.is_array(),
                    Some("string") => value.is_string(),
                    Some("integer") => value.is_i64() || value.is_u64(),
                    Some("boolean") => value.is_boolean(),
                    Some("null") => value.is_null(),
                    other => panic!("{place}: a type {other:?}"),
                };
                let allowed =
                    wanted.as_array().map_or_else(|| is(wanted), |all| all.iter().any(is));
                if !allowed {
                    return wrong(format!("{value} is no {wanted}"));
                }
            }
            "const" if value != wanted => return wrong(format!("{value} is not {wanted}")),
            "const" => {}
            "enum" if !wanted.as_array().expect("a list").contains(value) => {
                return wrong(format!("{value} is none of {wanted}"));
            }
            "enum" => {}
            "minimum" if value.as_f64() < wanted.as_f64() => return wrong("too small".into()),
            "maximum" if value.as_f64() > wanted.as_f64() => return wrong("too large".into()),
            "minimum" | "maximum" => {}
            "required" => {
                let names = wanted.as_array().expect("a list").iter().filter_map(Value::as_str);
                for name in names {
                    if !object.contains_key(name) {
                        return wrong(format!("no {name}"));
                    }
                }
            }
            "properties" => {
                for (name, value) in object {
                    if let Some(schema) = known.get(name) {
                        check(root, schema, value, &format!("{place}.{name}"))?;
                    }
                }
            }
            "additionalProperties" => {
                for (name, value) in object.iter().filter(|(name, _)| !known.contains_key(*name)) {
                    check(root, wanted, value, &format!("{place}.{name}"))?;
                }
            }
            "items" => {
                for (i, value) in value.as_array().into_iter().flatten().enumerate() {
                    check(root, wanted, value, &format!("{place}[{i}]"))?;
                }
            }
            "anyOf" | "oneOf" => {
                let parts = wanted.as_array().expect("a list").iter();
                let fitting = parts.filter(|part| check(root, part, value, place).is_ok()).count();
                if fitting == 0 || (rule == "oneOf" && fitting > 1) {
                    return wrong(format!("{value} fits {fitting} of {rule}"));
                }
            }
            other => panic!("{place}: unknown keyword {other}"),
        }
    }
    Ok(())
}

#[test]
fn what_is_written_obeys_the_schema() {
    let path = root().join("recording/tests/golden/v2.json");
    let text = fs::read_to_string(path).expect("the golden file is there");
    let value: Value = serde_json::from_str(&text).expect("it is JSON");
    let schema = schema();
    check(&schema, &schema, &value, "$").expect("the golden file obeys");
    for (pointer, bad) in [
        ("/accesses/0/kind", Value::from("touch")),
        ("/accesses/0/count", Value::from("1")),
        ("/accesses/6/exists", Value::from(0)),
        ("/processes/0/pid", Value::from(-1)),
        ("/processes/0/exit", serde_json::json!({"code": 256})),
        ("/command/1", serde_json::json!({"base64": ""})),
        ("/state", Value::from("whole")),
    ] {
        let mut changed = value.clone();
        *changed.pointer_mut(pointer).expect("it is there") = bad;
        check(&schema, &schema, &changed, "$").expect_err(pointer);
    }
}

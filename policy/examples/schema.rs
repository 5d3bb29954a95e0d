//! Writes policy.schema.json and action.schema.json into the directory given.

use airtight_policy::{policy_schema, spec_schema};

fn main() -> std::io::Result<()> {
    let directory = std::env::args_os().nth(1).unwrap_or_else(|| ".".into());
    for (name, schema) in [("policy", policy_schema()), ("action", spec_schema())] {
        let text = serde_json::to_string_pretty(&schema)?;
        let path = std::path::Path::new(&directory).join(format!("{name}.schema.json"));
        std::fs::write(path, format!("{text}\n"))?;
    }
    Ok(())
}

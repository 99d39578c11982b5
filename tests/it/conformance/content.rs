//! The fixture's entries: what it lists, and the answers that never change.

use serde_json::{Value, json};

pub(super) const IMAGE: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8/5+hHgAHggJ/PchI7wAAAABJRU5ErkJggg==";
const AUDIO: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEARKwAAIhYAQACABAAZGF0YQAAAAA=";

/// Tools without arguments.
const PLAIN_TOOLS: [&str; 28] = [
    "test_simple_text",
    "test_image_content",
    "test_audio_content",
    "test_embedded_resource",
    "test_multiple_content_types",
    "test_tool_with_logging",
    "test_tool_with_progress",
    "test_error_handling",
    "test_elicitation_sep1034_defaults",
    "test_elicitation_sep1330_enums",
    "test_reconnection",
    "test_missing_capability",
    "test_streaming_elicitation",
    "test_logging_tool",
    "test_trigger_tool_change",
    "test_trigger_prompt_change",
    "test_input_required_result_elicitation",
    "test_input_required_result_sampling",
    "test_input_required_result_list_roots",
    "test_input_required_result_request_state",
    "test_input_required_result_multiple_inputs",
    "test_input_required_result_multi_round",
    "test_input_required_result_tampered_state",
    "test_input_required_result_capabilities",
    "failing_job",
    "protocol_error_job",
    "multi_input",
    "test_tool_with_task",
];

pub(super) fn tools() -> Vec<Value> {
    let tool = |name: &str, schema: Value| json!({ "name": name, "description": format!("Fixture {name}"), "inputSchema": schema });
    let one = |argument: &str| {
        json!({
            "type": "object", "properties": { argument: { "type": "string" } }, "required": [argument]
        })
    };
    let mut tools: Vec<Value> = PLAIN_TOOLS
        .iter()
        .map(|name| tool(name, json!({ "type": "object", "additionalProperties": false })))
        .collect();
    let slow = json!({ "type": "object", "properties": { "seconds": { "type": "number" }, "label": { "type": "string" } } });
    tools.push(tool("slow_compute", slow));
    tools.push(tool("greet", one("name")));
    tools.push(tool("confirm_delete", one("filename")));
    tools.push(tool("test_sampling", one("prompt")));
    tools.push(tool("test_elicitation", one("message")));
    tools.push(tool(
        "test_header_parameters",
        json!({
            "type": "object",
            "properties": {
                "region": { "type": "string", "x-mcp-header": "Region" },
                "count": { "type": "integer", "x-mcp-header": "Count" },
                "query": { "type": "string" }
            }
        }),
    ));
    tools.push(tool(
        "json_schema_2020_12_tool",
        json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "$defs": {
                "address": {
                    "$anchor": "addressDef",
                    "type": "object",
                    "properties": { "street": { "type": "string" }, "city": { "type": "string" } }
                }
            },
            "properties": {
                "name": { "type": "string" },
                "address": { "$ref": "#/$defs/address" },
                "contactMethod": { "type": "string", "enum": ["phone", "email"] },
                "phone": { "type": "string" },
                "email": { "type": "string" }
            },
            "allOf": [{ "anyOf": [{ "required": ["phone"] }, { "required": ["email"] }] }],
            "if": { "properties": { "contactMethod": { "const": "phone" } }, "required": ["contactMethod"] },
            "then": { "required": ["phone"] },
            "else": { "required": ["email"] },
            "additionalProperties": false
        }),
    ));
    tools
}

pub(super) fn resources() -> Vec<Value> {
    let resource = |uri: &str, kind: &str| json!({ "uri": uri, "name": uri, "mimeType": kind });
    vec![
        resource("test://static-text", "text/plain"),
        resource("test://static-binary", "image/png"),
        resource("test://watched-resource", "text/plain"),
    ]
}

pub(super) fn templates() -> Vec<Value> {
    vec![json!({
        "uriTemplate": "test://template/{id}/data", "name": "template", "mimeType": "application/json"
    })]
}

pub(super) fn prompts() -> Vec<Value> {
    let argument = |name: &str| json!({ "name": name, "description": name, "required": true });
    vec![
        json!({ "name": "test_simple_prompt", "description": "Fixture" }),
        json!({
            "name": "test_prompt_with_arguments", "description": "Fixture",
            "arguments": [argument("arg1"), argument("arg2")]
        }),
        json!({
            "name": "test_prompt_with_embedded_resource", "description": "Fixture",
            "arguments": [argument("resourceUri")]
        }),
        json!({ "name": "test_prompt_with_image", "description": "Fixture" }),
        json!({ "name": "test_input_required_result_prompt", "description": "Fixture" }),
    ]
}

pub(super) fn text(text: &str) -> Value {
    json!({ "content": [{ "type": "text", "text": text }] })
}

/// As the SDK's type of a result, which must not be partial for a modern client.
pub(super) fn typed<T: serde::de::DeserializeOwned>(mut result: Value) -> T {
    result["resultType"] = Value::from("complete");
    serde_json::from_value(result).unwrap()
}

/// Answers of tools that only show a kind of content.
pub(super) fn shown(tool: &str, arguments: &Value) -> Value {
    let image = json!({ "type": "image", "data": IMAGE, "mimeType": "image/png" });
    let resource = |uri: &str, kind: &str, text: &str| json!({ "type": "resource", "resource": { "uri": uri, "mimeType": kind, "text": text } });
    match tool {
        "test_simple_text" => text("This is a simple text response for testing."),
        "test_image_content" => json!({ "content": [image] }),
        "test_audio_content" => {
            json!({ "content": [{ "type": "audio", "data": AUDIO, "mimeType": "audio/wav" }] })
        }
        "test_embedded_resource" => json!({ "content": [
            resource("test://embedded-resource", "text/plain", "This is an embedded resource content.")
        ] }),
        "test_multiple_content_types" => json!({ "content": [
            { "type": "text", "text": "Multiple content types test:" },
            image,
            resource("test://mixed-content-resource", "application/json", r#"{"test":"data","value":123}"#)
        ] }),
        "test_error_handling" => json!({
            "isError": true,
            "content": [{ "type": "text", "text": "This tool intentionally returns an error for testing" }]
        }),
        "greet" => text(&format!("Hello, {}!", arguments["name"].as_str().unwrap_or_default())),
        _ => text("Done."),
    }
}

/// `None`: there is no such resource.
pub(super) fn read(uri: &str) -> Option<Value> {
    let of = |kind: &str, key: &str, value: &str| json!({ "contents": [{ "uri": uri, "mimeType": kind, key: value }] });
    Some(match uri {
        "test://static-text" | "test://watched-resource" => {
            of("text/plain", "text", "This is the content of the static text resource.")
        }
        "test://static-binary" => of("image/png", "blob", IMAGE),
        _ => {
            let id = uri.strip_prefix("test://template/")?.strip_suffix("/data")?;
            let data = json!({ "id": id, "templateTest": true, "data": format!("Data for ID: {id}") });
            of("application/json", "text", &data.to_string())
        }
    })
}

pub(super) fn prompt(name: &str, arguments: &Value) -> Value {
    let user = |content: Value| json!({ "role": "user", "content": content });
    let said = |text: &str| user(json!({ "type": "text", "text": text }));
    let argument = |name: &str| arguments[name].as_str().unwrap_or_default().to_owned();
    let messages = match name {
        "test_prompt_with_arguments" => vec![said(&format!(
            "Prompt with arguments: arg1='{}', arg2='{}'",
            argument("arg1"),
            argument("arg2")
        ))],
        "test_prompt_with_embedded_resource" => vec![
            user(json!({ "type": "resource", "resource": {
                "uri": argument("resourceUri"), "mimeType": "text/plain",
                "text": "Embedded resource content for testing."
            } })),
            said("Please process the embedded resource above."),
        ],
        "test_prompt_with_image" => vec![
            user(json!({ "type": "image", "data": IMAGE, "mimeType": "image/png" })),
            said("Please analyze the image above."),
        ],
        _ => vec![said("This is a simple prompt for testing.")],
    };
    json!({ "messages": messages })
}

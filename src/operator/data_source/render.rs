//! A template becomes the file of one server. Needs no client and no credential.
//!
//! Every `{{ }}` writes a whole value of the format: a double-quoted string, a number, a list. A credential is a
//! reference, `${ORDERS_PASSWORD}`, also inside of a longer string. What comes from a source can never become a
//! reference: whoever makes a DataSource could send other people's credentials to an endpoint of theirs.

use std::{collections::BTreeMap, convert::Infallible};

use minijinja::{
    AutoEscape, Environment, Error as TemplateError, ErrorKind, Output, State, UndefinedBehavior, Value,
    value::{Serde, ValueKind},
};
use serde::Serialize;
use url::Url;

use super::{fill::Variable, select, target};
use crate::{
    api::{
        DataSource,
        mcp_server::{DataPolicy, DataTemplate, TemplateFormat},
        variables::{self, Part, escaped, percent_encoded},
    },
    fleet::ServerName,
};

/// Steps that a template may take; 64 sources need a few thousand.
const FUEL: u64 = 500_000;

/// A ConfigMap holds 1 MiB.
const LONGEST: usize = 900_000;

/// Around the name of a variable while the template runs. Nothing that comes from a source holds these.
const OPEN: char = '\u{f5a00}';
const CLOSE: char = '\u{f5a01}';
/// Before [`CLOSE`]: percent-encoded.
const IN_URL: char = '\u{f5a02}';

/// Stands for each credential when the result is tried: whoever can hold this can hold anything.
const PROBE: &str = "p\"\\'\n${#}: {[<&%@é";

/// Why a template gives no file: what, where, what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RenderError {
    #[error("spec.dataSources.template.text cannot be rendered: {0}")]
    Template(String),
    #[error(
        "what spec.dataSources.template.text renders is not {format}: {reason} (each {{{{ }}}} writes a string with its quotes)"
    )]
    Format { format: &'static str, reason: String },
    #[error(
        "spec.dataSources.template.text has ${{{0}}} where it is not inside of a double-quoted string: write {{{{ source.credentials.NAME }}}} without quotes around it, or \"${{{0}}}\""
    )]
    NotQuoted(String),
    #[error(
        "what spec.dataSources.template.text renders is longer than {LONGEST} bytes: select fewer sources"
    )]
    TooLong,
}

/// What a template sees; field names are those of the resources.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Seen<'a> {
    server: &'a ServerNameSeen<'a>,
    policy: &'a DataPolicy,
    sources: Vec<SourceSeen>,
}

#[derive(Serialize)]
struct ServerNameSeen<'a> {
    namespace: &'a str,
    name: &'a str,
}

/// One source. No phase: a check that fails must not roll pods.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SourceSeen {
    namespace: String,
    name: String,
    r#type: &'static str,
    endpoint: String,
    scheme: String,
    host: String,
    port: Option<u16>,
    /// The path of the endpoint without its first `/`.
    database: String,
    tls: bool,
    ca_bundle: Option<String>,
    labels: BTreeMap<String, String>,
    credentials: BTreeMap<String, String>,
}

/// The file as it lies in the ConfigMap, its references not filled in.
///
/// # Errors
/// When the template fails, or its result is not of its format, whatever the credentials are.
pub(crate) fn render(
    template: &DataTemplate,
    policy: &DataPolicy,
    server: &ServerName,
    sources: &[DataSource],
    known: &[Variable],
) -> Result<String, RenderError> {
    let ServerName { namespace, name } = server;
    let seen = Seen {
        server: &ServerNameSeen { namespace, name },
        policy,
        sources: sources.iter().map(|source| source_seen(source, known)).collect(),
    };
    let environment = environment(template.format);
    let rendered = environment.render_str(&template.text, Serde(&seen)).map_err(|error| {
        let line = error.line().map(|line| format!(" (line {line})")).unwrap_or_default();
        RenderError::Template(format!("{error}{line}"))
    })?;
    if rendered.len() > LONGEST {
        return Err(RenderError::TooLong);
    }
    tried(&rendered, template.format, known)?;
    Ok(rendered)
}

fn source_seen(source: &DataSource, known: &[Variable]) -> SourceSeen {
    let (namespace, name) = select::place(source);
    let spec = &source.spec;
    let url = Url::parse(&spec.endpoint).ok();
    let part = |part: fn(&Url) -> Option<&str>| plain(url.as_ref().and_then(part).unwrap_or_default());
    let credentials = known
        .iter()
        .filter(|variable| variable.namespace == namespace && variable.source == name)
        .map(|variable| (variable.credential.clone(), format!("{OPEN}{}{CLOSE}", variable.name)));
    let labels = source.metadata.labels.iter().flatten();
    let parsed = target::Target::parse(spec, namespace).ok();
    SourceSeen {
        namespace: plain(namespace),
        name: plain(name),
        r#type: spec.type_.as_str(),
        endpoint: plain(&spec.endpoint),
        scheme: part(|url| Some(url.scheme())),
        host: part(Url::host_str),
        port: parsed.as_ref().map(|target| target.port),
        database: part(|url| Some(url.path().trim_start_matches('/'))),
        tls: parsed.is_some_and(|target| target.tls.is_some()),
        ca_bundle: spec.tls.as_ref().and_then(|tls| tls.ca_bundle.as_deref()).map(plain),
        labels: labels.map(|(key, value)| (plain(key), plain(value))).collect(),
        credentials: credentials.collect(),
    }
}

/// What comes from a source, without what only we may write.
fn plain(text: &str) -> String {
    text.replace([OPEN, CLOSE, IN_URL], "")
}

fn environment(format: TemplateFormat) -> Environment<'static> {
    let mut environment = Environment::new();
    // What macros and blocks have written is marked as written.
    environment.set_auto_escape_callback(|_| AutoEscape::Custom("values".into()));
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_formatter(move |out: &mut Output<'_>, _: &mut State<'_, '_>, value: &Value| {
        // Macros and blocks: each part of it was written by this formatter.
        let written = if value.is_safe() { value.to_string() } else { written(value, format)? };
        out.write_str(&written).map_err(TemplateError::from)
    });
    // It would let a source write whatever it wants.
    environment.remove_filter("safe");
    environment.remove_filter("escape");
    environment.remove_filter("e");
    environment.add_filter("url", in_url);
    environment
}

/// For a part of a URL: a reference stays one, filled in percent-encoded; everything else is so at once.
fn in_url(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match text.strip_prefix(OPEN).and_then(|rest| rest.strip_suffix(CLOSE)) {
        Some(name) if !name.contains([OPEN, CLOSE]) => format!("{OPEN}{name}{IN_URL}{CLOSE}"),
        _ => percent_encoded(&text),
    }
}

/// A value as all three formats write it.
fn written(value: &Value, format: TemplateFormat) -> Result<String, TemplateError> {
    let unusable = |what: &str| TemplateError::new(ErrorKind::InvalidOperation, what.to_owned());
    match value.kind() {
        ValueKind::Undefined => Err(unusable("this value does not exist")),
        ValueKind::None if format == TemplateFormat::Toml => {
            Err(unusable("this value is empty, which TOML has no word for: ask with {% if %} first"))
        }
        ValueKind::None => Ok("null".to_owned()),
        ValueKind::Bool => Ok(if value.is_true() { "true" } else { "false" }.to_owned()),
        ValueKind::Number => Ok(value.to_string()),
        ValueKind::String => Ok(format!("\"{}\"", with_references(value.as_str().unwrap_or_default()))),
        ValueKind::Seq | ValueKind::Iterable => {
            let items: Result<Vec<String>, _> =
                value.try_iter()?.map(|item| written(&item, format)).collect();
            Ok(format!("[{}]", items?.join(", ")))
        }
        ValueKind::Map => {
            let separator = if format == TemplateFormat::Toml { " = " } else { ": " };
            let mut fields = Vec::new();
            for key in value.try_iter()? {
                let name = with_references(&key.to_string());
                fields.push(format!("\"{name}\"{separator}{}", written(&value.get_item(&key)?, format)?));
            }
            Ok(format!("{{{}}}", fields.join(", ")))
        }
        _ => Err(unusable("only strings, numbers, lists and maps can be written")),
    }
}

/// The inside of a string. Only our own marks become references; every `$` of the text is written so that it
/// begins none.
fn with_references(text: &str) -> String {
    let mut written = String::new();
    for (index, piece) in text.split(OPEN).enumerate() {
        let rest = match piece.split_once(CLOSE) {
            Some((name, rest)) if index > 0 => {
                match name.strip_suffix(IN_URL) {
                    Some(name) => written.push_str(&format!("${{{name}:url}}")),
                    None => written.push_str(&format!("${{{name}}}")),
                }
                rest
            }
            _ => piece,
        };
        written.push_str(&escaped(rest).replace('$', "\\u0024"));
    }
    written
}

/// The result must be of its format with whatever credentials: it is filled in with the worst, read, and each
/// must come out as it went in.
fn tried(rendered: &str, format: TemplateFormat, known: &[Variable]) -> Result<(), RenderError> {
    let is_known = |name: &str| known.iter().any(|variable| variable.name == name);
    let referred: Vec<&str> = variables::parts(rendered)
        .into_iter()
        .filter_map(|part| match part {
            Part::Variable(variable) if is_known(variable.name) => Some(variable.name),
            Part::Variable(_) | Part::Text(_) => None,
        })
        .collect();
    // As it is: a mistake of the template is told without our own doing in it.
    parse(rendered, format)?;
    let mut names = referred.clone();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let probe = |asked: &str| {
            let value = if asked == name { PROBE } else { "x" };
            Ok::<_, Infallible>(is_known(asked).then(|| value.to_owned()))
        };
        let Ok(filled) = variables::fill(rendered, probe);
        let expected = referred.iter().filter(|referred| **referred == name).count();
        let held = parse(&filled, format).map(|value| held(&value)).unwrap_or_default();
        if held != expected {
            return Err(RenderError::NotQuoted(name.to_owned()));
        }
    }
    Ok(())
}

/// How often the probe stands in the strings of a file, as it is or percent-encoded.
fn held(value: &serde_json::Value) -> usize {
    match value {
        serde_json::Value::String(text) => {
            text.matches(PROBE).count() + text.matches(&percent_encoded(PROBE)).count()
        }
        serde_json::Value::Array(items) => items.iter().map(held).sum(),
        serde_json::Value::Object(fields) => {
            let keys: usize = fields.keys().map(|key| key.matches(PROBE).count()).sum();
            keys + fields.values().map(held).sum::<usize>()
        }
        serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => 0,
    }
}

fn parse(text: &str, format: TemplateFormat) -> Result<serde_json::Value, RenderError> {
    let wrong = |format, reason: String| RenderError::Format { format, reason };
    match format {
        TemplateFormat::Toml => toml::from_str(text).map_err(|error| wrong("TOML", one_line(&error))),
        TemplateFormat::Json => serde_json::from_str(text).map_err(|error| wrong("JSON", one_line(&error))),
        TemplateFormat::Yaml => serde_saphyr::from_str(text).map_err(|error| wrong("YAML", one_line(&error))),
    }
}

fn one_line(error: &impl std::fmt::Display) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;

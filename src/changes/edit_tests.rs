//! Traps for edits: what people's YAML files look like, and what must come out.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::{Just, Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};
use serde_json::{Value, json};

use super::{
    documents,
    edit::{Edit, apply},
};

fn edits(edits: &[(&str, Value)]) -> Vec<Edit> {
    edits.iter().map(|(path, new)| Edit { path: path.parse().unwrap(), new: new.clone() }).collect()
}

fn edited(text: &str, list: &[(&str, Value)]) -> String {
    apply(text, 0, &edits(list)).unwrap().text
}

fn refused(text: &str, path: &str, new: Value) -> String {
    apply(text, 0, &edits(&[(path, new)])).unwrap_err().to_string()
}

const WEB: &str = "\
# The shop's front.
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web # do not rename
  annotations: {example.com/owner: 'shop', tier: \"front\"}
spec:
  replicas: 2   # two are enough
  template:
    spec:
      containers:
        # the proxy
        - name: proxy
          image: proxy:1
        - name: web
          image: \"web:1.0\"
          resources:
            limits: { cpu: 500m, memory: 256Mi } # measured
          args:
          - --port
          - '8080'
";

#[test]
fn a_flow_mapping_keeps_its_other_keys() {
    let after =
        edited(WEB, &[("spec.template.spec.containers[name=web].resources.limits.memory", json!("512Mi"))]);
    assert_eq!(after, WEB.replace("memory: 256Mi }", "memory: 512Mi }"));
}

#[test]
fn quotes_and_comments_stay() {
    for (path, new, from, to) in [
        ("spec.template.spec.containers[name=web].image", json!("web:1.1"), "\"web:1.0\"", "\"web:1.1\""),
        ("spec.template.spec.containers[name=web].args[1]", json!("9090"), "'8080'", "'9090'"),
        ("metadata.annotations.\"example.com/owner\"", json!("ops"), "'shop'", "'ops'"),
        ("spec.replicas", json!(3), "replicas: 2 ", "replicas: 3 "),
    ] {
        assert_eq!(edited(WEB, &[(path, new)]), WEB.replace(from, to), "{path}");
    }
}

#[test]
fn missing_parents_become_mappings() {
    let path = "spec.template.spec.containers[name=proxy].resources.limits.memory";
    let after = edited(WEB, &[(path, json!("64Mi"))]);
    let added = "          resources:\n            limits:\n              memory: 64Mi\n";
    assert_eq!(
        after,
        WEB.replace("          image: proxy:1\n", &format!("          image: proxy:1\n{added}"))
    );
    assert_eq!(edited("a:\n  b:\n  c: 1\n", &[("a.b.x", json!(1))]), "a:\n  b:\n    x: 1\n  c: 1\n");
    assert_eq!(edited("a: {}\n", &[("a.b", json!("yes"))]), "a: {b: \"yes\"}\n");
}

#[test]
fn null_removes_the_field_and_nothing_else() {
    let after = edited(WEB, &[("spec.template.spec.containers[name=web].resources", json!(null))]);
    assert_eq!(
        after,
        WEB.replace(
            "          resources:\n            limits: { cpu: 500m, memory: 256Mi } # measured\n",
            ""
        )
    );
    let after = edited(WEB, &[("spec.template.spec.containers[name=web].args[0]", json!(null))]);
    assert_eq!(after, WEB.replace("          - --port\n", ""));
    assert_eq!(edited("a: # why\n  b: 1 # one\nc: 2\n", &[("a.b", json!(null))]), "a: {} # why\nc: 2\n");
}

#[test]
fn the_first_field_of_an_item_leaves_its_dash_to_the_next() {
    let text = "l:\n  - name: a # gone\n    # kept\n    image: b # kept too\n  - name: c\n";
    let after = edited(text, &[("l[0].name", Value::Null)]);
    assert!(after.contains("image: b # kept too") && after.contains("# kept\n"), "{after}");
    assert!(!after.contains("name: a"), "{after}");
}

#[test]
fn an_item_that_is_selected_is_put_at_the_end_of_its_list() {
    let text = "env:\n  # first\n  - name: A\n    value: \"1\" # one\nrest: 1\n";
    let after = edited(text, &[("env[name=B]", json!({ "name": "B", "value": "2" }))]);
    assert_eq!(
        after,
        "env:\n  # first\n  - name: A\n    value: \"1\" # one\n  - name: B\n    value: \"2\"\nrest: 1\n"
    );
    assert!(refused(text, "env[name=B]", json!({ "name": "C" })).contains("no item with name=B"));
}

#[test]
fn a_text_at_the_end_of_a_file_keeps_its_end() {
    let text = "a: 1\nl:\n  - run: |\n      exit 0";
    assert!(refused(text, "l[1].x", json!(1)).contains("there is no [1]"));
    assert!(refused(text, "b", json!(2)).contains("block of text without a line break"));
    assert_eq!(edited(text, &[("a", json!(2))]), text.replace("a: 1", "a: 2"));
}

#[test]
fn only_the_named_document_is_touched() {
    let text = "# head\n---\n# first\nkind: A\nv: 1\n--- # second\n# lead\nkind: B\nv:   1 # x\n...\n---\nkind: C\nv: 1";
    let after = apply(text, 1, &edits(&[("v", json!(2))])).unwrap();
    assert_eq!(after.text, text.replace("v:   1 # x", "v:   2 # x"));
    assert_eq!(after.changed[0].line, 9);
    let after = apply(text, 2, &edits(&[("w.x", json!("z"))])).unwrap();
    assert_eq!(after.text, format!("{text}\nw:\n  x: z"));
    assert_eq!(after.changed[0].line, 14);
}

#[test]
fn windows_lines_stay_windows_lines() {
    let text = "a: 1\r\nb:\r\n  c: x # y\r\n";
    assert_eq!(edited(text, &[("b.c", json!("z"))]), "a: 1\r\nb:\r\n  c: z # y\r\n");
    assert_eq!(edited(text, &[("b.d", json!(1))]), "a: 1\r\nb:\r\n  c: x # y\r\n  d: 1\r\n");
}

#[test]
fn block_scalars_are_written_as_such() {
    let text = "data:\n  app.conf: |\n    a=1\n    b=2\n  other: x\n";
    assert_eq!(
        edited(text, &[("data.\"app.conf\"", json!("a=1\nb=3\n"))]),
        "data:\n  app.conf: |\n    a=1\n    b=3\n  other: x\n"
    );
    assert_eq!(edited(text, &[("data.other", json!("z"))]), text.replace("other: x", "other: z"));
}

#[test]
fn what_reads_differently_elsewhere_is_quoted() {
    for (new, written) in [("on", "\"on\""), ("010", "\"010\""), ("1e3", "\"1e3\""), ("a: b", "\"a: b\"")] {
        assert_eq!(edited("v: old\n", &[("v", json!(new))]), format!("v: {written}\n"));
    }
}

#[test]
fn lines_are_those_of_the_whole_edit() {
    let list = edits(&[("c", json!(4)), ("a.y", json!(1))]);
    let after = apply("a:\n  x: 1\nb: 2\nc: 3\n", 0, &list).unwrap();
    assert_eq!(after.text, "a:\n  x: 1\n  y: 1\nb: 2\nc: 4\n");
    let lines: Vec<_> = after.changed.iter().map(|changed| changed.line).collect();
    assert_eq!(lines, [5, 3]);
}

#[test]
fn what_is_there_already_changes_nothing() {
    let same = apply(
        WEB,
        0,
        &edits(&[
            ("spec.replicas", json!(2)),
            ("spec.gone.far", json!(null)),
            ("metadata.name", json!("web")),
        ]),
    )
    .unwrap();
    assert_eq!(same.text, WEB);
    assert!(same.changed.is_empty());
}

#[test]
fn shared_text_is_refused() {
    let text = "base: &base {cpu: 1, memory: 2}\none: *base\ntwo:\n  <<: *base\n  x: 1\nlist: &l\n  - a\nuse: *l\nfree: &unused {x: 1}\nholds:\n  inner: &in 5\nalso: *in\n";
    for (path, new, says) in [
        ("base.cpu", json!(9), "&base"),
        ("base", json!(9), "&base"),
        ("one.cpu", json!(9), "*base"),
        ("one", json!(9), "*base"),
        ("two.cpu", json!(9), "merge key"),
        ("list[0]", json!("b"), "&l"),
        ("holds", json!(null), "&in"),
        ("holds.inner", json!(6), "&in"),
    ] {
        let reason = refused(text, path, new);
        assert!(reason.contains(says), "{path}: {reason}");
    }
    assert_eq!(edited(text, &[("two.x", json!(2))]), text.replace("  x: 1", "  x: 2"));
    assert_eq!(edited(text, &[("free.x", json!(2))]), text.replace("{x: 1}", "{x: 2}"));
}

#[test]
fn tags_and_broken_files_are_refused() {
    assert!(refused("a: !vault {x: 1}\n", "a.x", json!(2)).contains("tag"));
    assert!(apply("a: [\n", 0, &edits(&[("a", json!(1))])).is_err());
}

/// YAML as a person may write it: any style, comments anywhere.
fn block(value: &Value, indent: usize, style: u64) -> String {
    let pad = " ".repeat(indent);
    let note = |n: u64| if n.is_multiple_of(3) { format!(" # note {n}") } else { String::new() };
    match value {
        Value::Object(fields) if !fields.is_empty() => fields
            .iter()
            .enumerate()
            .map(|(at, (key, value))| {
                let style = style.rotate_left(at as u32 * 7 + 3);
                let lead =
                    if style.is_multiple_of(5) { format!("{pad}# about {key}\n") } else { String::new() };
                let nested = matches!(value, Value::Object(f) if !f.is_empty())
                    || matches!(value, Value::Array(i) if !i.is_empty());
                if nested && !style.is_multiple_of(4) {
                    let deeper =
                        if value.is_array() && style.is_multiple_of(2) { indent } else { indent + 2 };
                    format!("{lead}{pad}{key}:{}\n{}", note(style), block(value, deeper, style))
                } else {
                    format!("{lead}{pad}{key}: {}{}\n", flow(value, style), note(style))
                }
            })
            .collect(),
        Value::Array(items) if !items.is_empty() => items
            .iter()
            .enumerate()
            .map(|(at, value)| {
                let style = style.rotate_left(at as u32 * 5 + 1);
                match value {
                    Value::Object(fields) if !fields.is_empty() && !style.is_multiple_of(3) => {
                        let text = block(value, indent + 2, style | 1);
                        let text = text
                            .split_inclusive('\n')
                            .skip_while(|l| l.trim().starts_with('#'))
                            .collect::<String>();
                        format!("{pad}- {}", text.trim_start())
                    }
                    _ => format!("{pad}- {}{}\n", flow(value, style), note(style)),
                }
            })
            .collect(),
        other => format!("{pad}{}\n", flow(other, style)),
    }
}

fn flow(value: &Value, style: u64) -> String {
    match value {
        Value::Object(fields) => {
            let inner: Vec<_> = fields.iter().map(|(k, v)| format!("{k}: {}", flow(v, style / 3))).collect();
            if style.is_multiple_of(2) {
                format!("{{ {} }}", inner.join(", "))
            } else {
                format!("{{{}}}", inner.join(",  "))
            }
        }
        Value::Array(items) => {
            format!("[{}]", items.iter().map(|v| flow(v, style / 3)).collect::<Vec<_>>().join(", "))
        }
        Value::String(text) => match style % 3 {
            0 if !text.contains(char::is_control) => format!("'{}'", text.replace('\'', "''")),
            1 if super::scalar::plain_is_safe(text) => text.clone(),
            _ => value.to_string(),
        },
        other => other.to_string(),
    }
}

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-z0-9]{1,6}(Mi|m)?".prop_map(Value::from),
        "[ -~é\n]{0,12}".prop_map(Value::from),
        prop::sample::select(vec![
            "yes", "null", "~", "010", "1e3", "- x", "a: b", "# c", "*x", "&y", "", "---", "..."
        ])
        .prop_map(Value::from),
    ]
}

fn tree() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::btree_map("[a-f]", inner.clone(), 1..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            prop::collection::vec(inner, 1..4).prop_map(Value::Array),
        ]
    })
}

fn document() -> impl Strategy<Value = Value> {
    prop::collection::btree_map("[a-f]", tree(), 1..5)
        .prop_map(|fields| Value::Object(fields.into_iter().collect()))
}

/// Every path of a value that leads to something, and some that lead to new fields.
fn paths(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            let join = |key: &str| if at.is_empty() { key.to_owned() } else { format!("{at}.{key}") };
            for (key, value) in fields {
                found.push(join(key));
                paths(value, &join(key), found);
            }
            found.push(join("fresh"));
            found.push(join("fresh.deep"));
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                found.push(format!("{at}[{index}]"));
                paths(value, &format!("{at}[{index}]"), found);
            }
        }
        _ => {}
    }
}

proptest! {
    /// Whatever the file and the edit: the result means what was asked, and the other documents are the same
    /// bytes. An edit may be refused; measured over 6,000 cases, 2 were.
    #[test]
    fn no_edit_is_ever_wrong(
        before in document(), target in document(), after in document(),
        style in any::<u64>(), pick in any::<prop::sample::Index>(), new in tree(),
        crlf in any::<bool>(), cut in any::<bool>(),
    ) {
        let (head, tail) = (block(&before, 0, style), block(&after, 0, style >> 7));
        let (head, tail) = (format!("# head\n---\n{head}"), format!("---\n{tail}"));
        let mut middle = format!("---\n{}", block(&target, 0, style >> 3));
        let mut text = format!("{head}{middle}{tail}");
        if crlf {
            text = text.replace('\n', "\r\n");
            middle = middle.replace('\n', "\r\n");
        }
        if cut {
            text.truncate(text.trim_end().len());
        }
        let documents = documents::read(&text).unwrap();
        prop_assert_eq!(&documents[1].value, &target);
        let mut found = Vec::new();
        paths(&target, "", &mut found);
        let path = &found[pick.index(found.len())];

        let Ok(edited) = apply(&text, 1, &edits(&[(path, new.clone())])) else { return Ok(()) };

        let start = text.find(&middle).unwrap();
        prop_assert_eq!(&edited.text[..start], &text[..start]);
        let rest = &text[start + middle.len()..];
        prop_assert!(edited.text.ends_with(rest));
        let mut expected = target.clone();
        let place = path.parse::<super::path::FieldPath>().unwrap().locate(&target).unwrap();
        place.apply(&mut expected, &new);
        let result = documents::parse_all(&edited.text).unwrap();
        prop_assert_eq!(&result[1], &expected);
    }
}

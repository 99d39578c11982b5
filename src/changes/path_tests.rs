#![allow(clippy::unwrap_used, clippy::expect_used)]
use serde_json::json;

use super::{FieldPath, Located, Step};

fn path(text: &str) -> FieldPath {
    text.parse().unwrap()
}

#[test]
fn reads_what_people_write() {
    assert_eq!(
        path("spec.containers[name=web].ports[0].\"a.b/c\"").steps(),
        [
            Step::Key("spec".into()),
            Step::Key("containers".into()),
            Step::Select { key: "name".into(), value: "web".into() },
            Step::Key("ports".into()),
            Step::Index(0),
            Step::Key("a.b/c".into()),
        ]
    );
    assert_eq!(path("metadata.labels['a.b']"), path("metadata.labels.\"a.b\""));
    assert_eq!(
        path("rules[host=shop.example.com].x").steps()[1],
        Step::Select { key: "host".into(), value: "shop.example.com".into() }
    );
}

#[test]
fn writes_what_it_reads() {
    for text in ["a", "a.b[0][1].c", "a[name=web].\"x.y/z\"", "a.\"\\\"\\\\\"", "a[host=\"a.b\"]"] {
        assert_eq!(path(text).to_string(), text);
        assert_eq!(path(&path(text).to_string()), path(text));
    }
}

#[test]
fn says_what_is_wrong_and_where() {
    for (text, at) in
        [("", 1), ("a..b", 3), ("a[", 3), ("a[0", 4), ("a[x=", 5), ("a.\"b", 5), ("a b", 2), ("[0]", 1)]
    {
        let refused = text.parse::<FieldPath>().unwrap_err().to_string();
        assert!(refused.contains(&format!("at character {at}:")), "{text}: {refused}");
    }
}

#[test]
fn follows_itself_through_a_value() {
    let value =
        json!({"spec": {"containers": [{"name": "a"}, {"name": "web", "image": "x"}], "empty": null}});
    let place = path("spec.containers[name=web].image").locate(&value).unwrap();
    assert_eq!(
        place.steps,
        [
            Located::Key("spec".into()),
            Located::Key("containers".into()),
            Located::Index(1),
            Located::Key("image".into())
        ]
    );
    assert_eq!(place.get(&value), Some(&json!("x")));
    assert_eq!(path("spec.empty.a.b").locate(&value).unwrap().missing(), 2);

    for (text, says) in [
        ("spec.containers[name=db].image", "name is one of a, web"),
        ("spec.containers[2].image", "has 2 items"),
        ("spec.containers.image", "spec.containers is a list"),
        ("spec.containers[0].name.x", "a single value"),
        ("spec.new[0].x", "spec.new is missing"),
    ] {
        let refused = path(text).locate(&value).unwrap_err().to_string();
        assert!(refused.contains(says), "{text}: {refused}");
    }
}

#[test]
fn edits_a_value_as_asked() {
    let mut value = json!({"a": {"l": [{"n": "x"}, {"n": "y"}], "e": null}});
    for (text, new) in [
        ("a.l[n=y].v", json!(1)),
        ("a.e.b.c", json!("d")),
        ("a.l[n=x]", json!(null)),
        ("a.gone.x", json!(null)),
    ] {
        path(text).locate(&value).unwrap().apply(&mut value, &new);
    }
    assert_eq!(value, json!({"a": {"l": [{"n": "y", "v": 1}], "e": {"b": {"c": "d"}}}}));
}

#[test]
fn an_item_that_is_selected_and_new_goes_to_the_end() {
    let mut value = json!({"l": [{"n": "x"}]});
    let new = json!({"n": "y", "v": 1});
    let place = path("l[n=y]").locate_for(&value, &new).unwrap();
    assert_eq!((place.missing(), place.get(&value)), (1, None));
    place.apply(&mut value, &new);
    assert_eq!(value, json!({"l": [{"n": "x"}, {"n": "y", "v": 1}]}));
    // What is put there must be what is selected.
    assert!(path("l[n=z]").locate_for(&value, &new).is_err());
    assert!(path("l[n=z].v").locate_for(&value, &json!(1)).is_err());
}

#[test]
fn knows_when_two_touch() {
    assert!(path("a.b").overlaps(&path("a.b.c")));
    assert!(path("a.b").overlaps(&path("a.b")));
    assert!(!path("a.b").overlaps(&path("a.c")));
}

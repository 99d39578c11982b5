//! After all other tests: what our tools have sent to the API server, from its own record of the whole run.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::audit_log;

/// What a tool asks the API server to weigh and not to keep.
const REVIEWS: [(&str, &str); 4] = [
    ("authorization.k8s.io", "selfsubjectaccessreviews"),
    ("authorization.k8s.io", "selfsubjectrulesreviews"),
    ("authorization.k8s.io", "subjectaccessreviews"),
    ("authentication.k8s.io", "tokenreviews"),
];
/// Parts of objects that are read. Others let something be done: `exec`, `proxy`, `portforward`.
const PARTS: [&str; 4] = ["", "log", "scale", "status"];

/// One request of the record.
struct Sent<'a>(&'a Value);

impl Sent<'_> {
    fn text(&self, pointer: &str) -> &str {
        self.0.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    fn is_by_a_reader(&self) -> bool {
        self.text("/userAgent").starts_with("pilothouse-reader/")
    }

    /// Marked as a reader's, whoever sent it: the tests of the admission policy send such requests too.
    fn is_marked(&self) -> bool {
        let extra = self.0.pointer("/impersonatedUser/extra").and_then(Value::as_object);
        extra.is_some_and(|extra| extra.contains_key("pilothouse.dev/via"))
    }

    fn is_read(&self) -> bool {
        ["get", "list", "watch"].contains(&self.text("/verb"))
            && PARTS.contains(&self.text("/objectRef/subresource"))
    }

    fn is_review(&self) -> bool {
        let asked = (self.text("/objectRef/apiGroup"), self.text("/objectRef/resource"));
        // Who one is: asked by a test through a reader.
        let whoami = ("authentication.k8s.io", "selfsubjectreviews");
        self.text("/verb") == "create" && (REVIEWS.contains(&asked) || asked == whoami)
    }

    fn is_done(&self) -> bool {
        let code = self.0.pointer("/responseStatus/code").and_then(Value::as_u64);
        code.is_none_or(|code| code < 400) && !self.text("/requestURI").contains("dryRun=All")
    }

    /// `list`, or `create selfsubjectaccessreviews`.
    fn words(&self) -> String {
        match self.text("/verb") {
            verb @ ("get" | "list" | "watch") => verb.to_owned(),
            verb => format!("{verb} {}", self.text("/objectRef/resource")),
        }
    }
}

/// Whatever a tool sent, nothing was stored, and only reviews were posted.
#[test]
#[ignore = "is asked after all others: `cargo test --test cluster -- --ignored --exact whole_run::nothing_that_tools_sent_was_stored`"]
fn nothing_that_tools_sent_was_stored() {
    let events = audit_log::events(&["pilothouse-reader/", "pilothouse.dev/via"]).expect(
        "the API server's record must be beside the file that KUBECONFIG names: run `tests/run cluster`",
    );
    let sent: Vec<Sent<'_>> =
        events.iter().map(Sent).filter(|sent| sent.is_by_a_reader() || sent.is_marked()).collect();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for one in sent.iter().filter(|sent| sent.is_by_a_reader()) {
        *counts.entry(one.words()).or_default() += 1;
    }
    let as_callers = sent.iter().filter(|sent| sent.is_by_a_reader() && sent.is_marked()).count();
    let told: Vec<String> = counts.iter().map(|(words, count)| format!("{words} {count}")).collect();
    println!(
        "{} requests of tools, {as_callers} of them in a caller's name: {}",
        counts.values().sum::<usize>(),
        told.join(", ")
    );
    let wrong = |what: &str, is_wrong: &dyn Fn(&Sent<'_>) -> bool| {
        let found: Vec<&Value> = sent.iter().filter(|sent| is_wrong(sent)).map(|sent| sent.0).collect();
        assert!(found.is_empty(), "{} {what}, the first: {:#}", found.len(), found[0]);
    };
    wrong("requests that may have stored something", &|sent| {
        !sent.is_read() && !sent.is_review() && sent.is_done()
    });
    wrong("requests of a reader that are neither a read nor a review", &|sent| {
        sent.is_by_a_reader() && !sent.is_read() && !sent.is_review()
    });
    // A run in which the tools were not used would prove nothing.
    assert!(counts.contains_key("get") && counts.contains_key("list") && as_callers > 0, "{counts:?}");
}

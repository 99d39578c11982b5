//! The same script with one witness, with two, and with three.

use std::{
    fs::File,
    io::{BufRead, BufReader, Seek, SeekFrom},
    time::{Duration, Instant},
};

use pilothouse::changes::capture::Witness;
use serde_json::{Value, json};

use super::{
    Capturing, Stage, expected, script,
    script::{quota, said},
    stage::{SOON, TOKEN},
};
use crate::support::{audit_log, namespace::Scratch};

/// Those that stand in both, however often; what is left of each is told.
fn differ(found: &[String], wanted: &[String]) -> (Vec<String>, Vec<String>) {
    let mut more = found.to_vec();
    let missing = wanted.iter().filter(|line| match more.iter().position(|one| one == *line) {
        Some(at) => {
            more.remove(at);
            false
        }
        None => true,
    });
    (missing.cloned().collect(), more)
}

async fn settles(capturing: &Capturing, wanted: &[String]) {
    let begun = Instant::now();
    loop {
        let found = said(&capturing.writes());
        let (missing, more) = differ(&found, wanted);
        if missing.is_empty() && more.is_empty() {
            return;
        }
        assert!(begun.elapsed() < SOON, "missing: {missing:#?}\ntoo much: {more:#?}\nall: {found:#?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_watch_alone_sees_every_write_and_its_manager() {
    let scratch = Scratch::new("capture-watch");
    let namespace = scratch.name();
    quota(namespace);
    let data = tempfile::tempdir().expect("a folder");
    let capturing = Capturing::start(namespace, data.path(), "", true).await;
    capturing.follows(namespace).await;
    script(namespace);
    settles(&capturing, &expected(false)).await;
    let writes = capturing.writes();
    assert!(writes.iter().all(|write| write.witnesses == [Witness::Watch]), "{writes:#?}");
    let edited =
        writes.iter().find(|write| write.manager.as_deref() == Some("kubectl-edit")).expect("the edit");
    let [field] = edited.fields.as_slice() else { panic!("{edited:#?}") };
    assert_eq!((field.before.as_ref(), field.after.as_ref()), (Some(&json!("slow")), Some(&json!("fast"))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_webhook_adds_who_it_was() {
    let stage = Stage::new("capture-asked").await;
    quota(stage.namespace());
    script(stage.namespace());
    settles(&stage.capturing, &expected(true)).await;
    let writes = stage.capturing.writes();
    let both = [Witness::Watch, Witness::Webhook];
    assert!(writes.iter().all(|write| write.witnesses == both), "{writes:#?}");
}

/// As a log shipper does.
struct Shipper {
    log: BufReader<File>,
    http: reqwest::Client,
    url: String,
}

impl Shipper {
    /// From now on. None where the cluster is somebody else's and keeps no record that can be read here.
    fn new(url: &str) -> Option<Self> {
        let mut log = audit_log::newest()?;
        log.seek(SeekFrom::End(0)).expect("the log has an end");
        let http = reqwest::Client::builder().danger_accept_invalid_certs(true).build().expect("a client");
        Some(Self { log: BufReader::new(log), http, url: format!("{url}/audit-events") })
    }

    /// What was logged of this namespace since.
    async fn ship(&mut self, namespace: &str) {
        let mut items = Vec::new();
        let mut line = String::new();
        while self.log.read_line(&mut line).expect("the log can be read") > 0 {
            if line.contains(namespace)
                && let Ok(event) = serde_json::from_str::<Value>(&line)
            {
                items.push(event);
            }
            line.clear();
        }
        for items in items.chunks(100) {
            let list = json!({ "kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": items });
            let post = self.http.post(&self.url).bearer_auth(TOKEN).json(&list).send().await;
            assert_eq!(post.expect("an answer").status(), 200);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn audit_events_alone_say_who_it_was() {
    let stage = Stage::unasked("capture-events").await;
    let namespace = stage.namespace();
    let Some(mut shipper) = Shipper::new(&stage.url) else { return };
    quota(namespace);
    script(namespace);
    let wanted = expected(true);
    let begun = Instant::now();
    while differ(&said(&stage.capturing.writes()), &wanted) != (Vec::new(), Vec::new()) {
        let (missing, more) = differ(&said(&stage.capturing.writes()), &wanted);
        assert!(begun.elapsed() < SOON, "missing: {missing:#?}\ntoo much: {more:#?}");
        shipper.ship(namespace).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let writes = stage.capturing.writes();
    let both = [Witness::Watch, Witness::AuditEvent];
    assert!(writes.iter().all(|write| write.witnesses == both), "{writes:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_api_servers_record_confirms_and_a_stranger_posts_nothing() {
    let stage = Stage::new("capture-record").await;
    let namespace = stage.namespace();
    let Some(mut shipper) = Shipper::new(&stage.url) else { return };
    quota(namespace);
    script(namespace);
    settles(&stage.capturing, &expected(true)).await;
    let begun = Instant::now();
    while !stage.capturing.writes().iter().all(|write| write.witnesses.contains(&Witness::AuditEvent)) {
        assert!(begun.elapsed() < SOON, "not in the record: {:#?}", stage.capturing.writes());
        shipper.ship(namespace).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    settles(&stage.capturing, &expected(true)).await;
    let stranger = shipper.http.post(&shipper.url).bearer_auth("another").body("{}").send().await;
    assert_eq!(stranger.expect("an answer").status(), 401);
}

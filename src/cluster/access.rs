//! What the identity of a reader may do, as the API server says it: asked seldom, remembered shortly.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::FutureExt;
use moka::future::Cache;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{ReadError, Reader, identity::Identity};
use crate::caller::{Need, Question, Rights, Rule};

const RULES: &str = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
const ACCESS: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
/// How long an allowed question stays allowed for a call.
const CALL_FRESH: Duration = Duration::from_secs(10);
/// Nothing is remembered longer.
const KEPT: Duration = Duration::from_secs(120);
/// Words of all remembered rules together, some 40 bytes each.
const MOST_WORDS: u64 = 500_000;
const MOST_ANSWERS: u64 = 20_000;

/// What one review said of one namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reviewed {
    pub rights: Arc<Rights>,
    /// Whether that is all: some authorizers decide without being able to list their rules.
    pub complete: bool,
}

/// How old an answer may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    /// For a call: a yes of the last 10 s, a no never.
    Call,
    /// For what is shown: any answer that is not older.
    Shown(Duration),
}

type Dated<T> = (Instant, Result<T, ReadError>);

/// What is remembered of all identities. Bounded; answers leave by themselves.
pub(super) struct Reviews {
    rights: Cache<(Identity, String), Dated<Arc<Reviewed>>>,
    answers: Cache<(Identity, Question), Dated<bool>>,
}

impl Default for Reviews {
    fn default() -> Self {
        let weigh = |_: &(Identity, String), (_, reviewed): &Dated<Arc<Reviewed>>| {
            let words = reviewed.as_ref().map_or(0, |reviewed| reviewed.rights.words());
            u32::try_from(words + 10).unwrap_or(u32::MAX)
        };
        Self {
            rights: Cache::builder().max_capacity(MOST_WORDS).weigher(weigh).time_to_live(KEPT).build(),
            answers: Cache::builder().max_capacity(MOST_ANSWERS).time_to_live(KEPT).build(),
        }
    }
}

impl Reader {
    /// What this reader's identity may do in a namespace, by one rules review that is not older than `age`. Callers
    /// that come together share one request. A recorded cluster lets everybody read everything.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn rights(&self, namespace: &str, age: Duration) -> Result<Arc<Reviewed>, ReadError> {
        if self.recorded_at().is_some() {
            return Ok(Arc::new(Reviewed {
                rights: Arc::new(Rights::new(vec![Rule::everything()])),
                complete: true,
            }));
        }
        let key = (self.identity().clone(), namespace.to_owned());
        let ask = async {
            let asked = Instant::now();
            (asked, self.ask_rules(namespace).await.map(Arc::new))
        };
        let old = |(asked, reviewed): &Dated<_>| reviewed.is_err() || asked.elapsed() > age;
        self.reviews().rights.entry(key).or_insert_with_if(ask, old).await.into_value().1
    }

    /// What is remembered of that namespace, without asking.
    pub fn known_rights(&self, namespace: &str) -> Option<Arc<Reviewed>> {
        let key = (self.identity().clone(), namespace.to_owned());
        self.reviews().rights.get(&key).now_or_never().flatten()?.1.ok()
    }

    /// Whether this reader's identity may do that, by one access review. A recorded cluster lets everybody read.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn may(&self, question: &Question, age: Age) -> Result<bool, ReadError> {
        if self.recorded_at().is_some() {
            return Ok(true);
        }
        let ask = async { (Instant::now(), self.decision(question).await.map(|decision| decision.allowed)) };
        let old = |(asked, answer): &Dated<bool>| match age {
            Age::Call => *answer != Ok(true) || asked.elapsed() > CALL_FRESH,
            Age::Shown(age) => answer.is_err() || asked.elapsed() > age,
        };
        let key = (self.identity().clone(), question.clone());
        self.reviews().answers.entry(key).or_insert_with_if(ask, old).await.into_value().1
    }

    /// One access review with its reason, asked now.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn decision(&self, question: &Question) -> Result<Decision, ReadError> {
        let answer = self.review(ACCESS, &review("SelfSubjectAccessReview", attributes(question))).await?;
        Decision::of(&answer)
    }

    async fn ask_rules(&self, namespace: &str) -> Result<Reviewed, ReadError> {
        let spec = json!({ "namespace": namespace });
        let answer = self.review(RULES, &review("SelfSubjectRulesReview", spec)).await?;
        Ok(reviewed(&answer))
    }
}

/// What an access review said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Decision {
    pub allowed: bool,
    /// The authorizer's words; often none for a no.
    pub reason: String,
    pub evaluation_error: String,
}

impl Decision {
    /// Of the review that the API server gave back.
    ///
    /// # Errors
    /// When it holds no status.
    pub fn of(review: &Value) -> Result<Self, ReadError> {
        serde_json::from_value(review["status"].clone()).map_err(|error| ReadError::Refused {
            status: 200,
            message: format!("an access review came back without an answer: {error}"),
        })
    }
}

/// An access or rules review as it is sent.
fn review(kind: &str, spec: Value) -> Value {
    json!({ "apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec })
}

/// The `spec` of a `SelfSubjectAccessReview`, and the most of that of a `SubjectAccessReview`.
pub fn attributes(question: &Question) -> Value {
    let Question { verb, group, resource, namespace, name } = question;
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    json!({ "resourceAttributes": {
        "verb": verb, "group": group, "resource": resource, "subresource": subresource,
        "namespace": namespace.as_deref().unwrap_or_default(), "name": name.as_deref().unwrap_or_default(),
    } })
}

/// A rule that is not what the API promises is dropped alone; then the rest is not all.
fn reviewed(answer: &Value) -> Reviewed {
    let status = &answer["status"];
    let told = status["resourceRules"].as_array().map(Vec::as_slice).unwrap_or_default();
    let rules: Vec<Rule> = told.iter().filter_map(|rule| serde_json::from_value(rule.clone()).ok()).collect();
    let failed = status["evaluationError"].as_str().is_some_and(|error| !error.is_empty());
    let incomplete = status["incomplete"].as_bool().unwrap_or(true) || failed || rules.len() < told.len();
    Reviewed { rights: Arc::new(Rights::new(rules)), complete: !incomplete }
}

/// The question whether a need is met in a namespace.
pub fn question_of(need: Need, namespace: &str) -> Question {
    Question::new(need.verb, need.group, need.resource).in_namespace(namespace)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{attributes, reviewed};
    use crate::caller::Question;

    #[test]
    fn a_review_is_complete_only_when_it_says_so() {
        let rule = json!({ "verbs": ["get"], "apiGroups": [""], "resources": ["pods"] });
        let full = reviewed(&json!({ "status": { "incomplete": false, "resourceRules": [rule] } }));
        assert!(full.complete && full.rights.allow("get", "", "pods", None));
        for status in [
            json!({ "resourceRules": [rule] }),
            json!({ "incomplete": true, "resourceRules": [rule] }),
            json!({ "incomplete": false, "evaluationError": "a role is gone", "resourceRules": [rule] }),
            json!({ "incomplete": false, "resourceRules": [rule, { "verbs": "get" }] }),
        ] {
            let part = reviewed(&json!({ "status": status }));
            assert!(!part.complete && part.rights.allow("get", "", "pods", None), "{status}");
        }
    }

    #[test]
    fn a_subresource_is_asked_for_by_its_own_name() {
        let asked = attributes(&Question::new("get", "", "pods/log").in_namespace("shop"));
        let expected = json!({ "verb": "get", "group": "", "resource": "pods", "subresource": "log",
            "namespace": "shop", "name": "" });
        assert_eq!(asked["resourceAttributes"], expected);
    }
}

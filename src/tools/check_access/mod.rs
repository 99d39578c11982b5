//! `check_access`: may somebody do something, by which bindings, and if not, what would let them.
//!
//! The API server decides; roles and bindings, as far as the caller may read them, say why. In a recorded cluster
//! they decide too.

mod rbac;
mod words;

use futures::{future::BoxFuture, join};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json, value::RawValue};

use self::{
    rbac::{Binding, Rbac, Role, Subject, account},
    words::{Finding, Verdict},
};
use super::{
    Tool, answered,
    arguments::{self, Parsed},
    definition::{Definition, Effect, text},
    desk::{Desk, failed},
};
use crate::{
    answer::Answer,
    caller::{Caller, Question},
    cluster::{
        ListRequest, ReadError,
        access::{Decision, attributes},
    },
};

pub(super) struct CheckAccess(pub(super) Desk);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    verb: String,
    kind: String,
    name: Option<String>,
    namespace: Option<String>,
    user: Option<String>,
    groups: Option<String>,
}

const WHO: &str = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
const ACCESS: &str = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
const GROUP: &str = "rbac.authorization.k8s.io";

/// What is granted but is no kind that can be listed: name, group, and whether it stands in namespaces.
const VIRTUAL: [(&str, &str, bool); 6] = [
    ("tools", "pilothouse.dev", true),
    ("prompts", "pilothouse.dev", true),
    ("resources", "pilothouse.dev", true),
    ("changerequests", "pilothouse.dev", true),
    ("users", "", false),
    ("groups", "", false),
];

impl Tool for CheckAccess {
    fn definition(&self) -> Value {
        Definition {
            name: "check_access",
            title: "Check access",
            description: "Use this when something is forbidden, or to learn who may do it: says whether you, or a named user or service account, may do a verb on a kind, which binding gives it, who else may, and which role would give it. Reads only.",
            properties: json!({
                "verb": text("get, list, watch, create, update, patch, delete, impersonate; call for tools of pilothouse"),
                "kind": text("as elsewhere, with its subresource: pods/log, pods/exec; tools for pilothouse's own"),
                "name": text("of one object; any if absent"),
                "namespace": text("the whole cluster if absent"),
                "user": text("who, you if absent: ann, system:serviceaccount:shop:bot or, for the same, shop/bot"),
                "groups": text("groups of that user, separated by commas"),
            }),
            required: &["verb", "kind"],
            effect: Effect::Reads,
            output: Some(json!({
                "allowed": { "type": "boolean" },
                "by": { "type": "array", "items": { "type": "string" } },
                "roles": { "type": "array", "items": { "type": "string" } },
                "others": { "type": "array", "items": { "type": "string" } },
            })),
        }
        .into_value()
    }

    fn call<'a>(&'a self, _caller: &'a Caller, arguments: Option<&'a RawValue>) -> BoxFuture<'a, Answer> {
        answered(self.check(arguments))
    }
}

/// About whom.
enum Who {
    Asking,
    Other(Subject),
}

impl CheckAccess {
    async fn check(&self, raw: Option<&RawValue>) -> Result<Answer, Answer> {
        let Parsed { arguments, request: _ } = arguments::parse(&self.definition(), raw)?;
        let Arguments { verb, kind, name, namespace, user, groups } = arguments;
        let who = who(user, groups)?;
        let (question, namespaced) = self.question(verb, &kind, name, namespace).await?;
        let recorded = self.0.reader.recorded_at().is_some();
        let subject = match &who {
            Who::Other(subject) => subject.clone(),
            Who::Asking if recorded => {
                return Err(Answer::error("nobody asks of a recorded cluster: say about whom with `user`"));
            }
            Who::Asking => self.asking().await?,
        };
        let rbac = self.rbac(question.namespace.as_deref()).await;
        let verdict = match (&who, recorded) {
            (_, true) => local(&rbac, &question, &subject).ok_or_else(|| left_out(&rbac))?,
            (Who::Asking, false) => {
                Verdict::of(self.0.reader.decision(&question).await.map_err(|error| failed(&error))?)
            }
            (Who::Other(_), false) => match self.of_other(&question, &subject).await {
                Ok(decision) => Verdict::of(decision),
                Err(ReadError::Forbidden { .. }) => {
                    local(&rbac, &question, &subject).ok_or_else(not_about_others)?
                }
                Err(error) => return Err(failed(&error)),
            },
        };
        Ok(words::answer(&Finding {
            question: &question,
            namespaced,
            subject: &subject,
            verdict,
            rbac: &rbac,
        }))
    }

    /// What is asked, and whether the kind stands in namespaces.
    async fn question(
        &self,
        verb: String,
        kind: &str,
        name: Option<String>,
        namespace: Option<String>,
    ) -> Result<(Question, bool), Answer> {
        let (base, subresource) = match kind.split_once('/') {
            Some((base, subresource)) => (base, format!("/{subresource}")),
            None => (kind, String::new()),
        };
        let is = |(plural, group, _): &&(&str, &str, bool)| {
            base == *plural || (!group.is_empty() && base == format!("{plural}.{group}"))
        };
        let (plural, group, namespaced) = match VIRTUAL.iter().find(is) {
            Some((plural, group, namespaced)) => ((*plural).to_owned(), (*group).to_owned(), *namespaced),
            None => {
                let resource = self.0.kind(base).await?;
                (resource.plural, resource.group, resource.namespaced)
            }
        };
        let verb = verb.to_lowercase();
        if verb == "exec" || verb == "logs" {
            let (verb, part) = if verb == "exec" { ("create", "exec") } else { ("get", "log") };
            return Err(Answer::error(format!(
                "there is no verb for that: ask for `{verb}` on `pods/{part}`"
            )));
        }
        let resource = format!("{plural}{subresource}");
        Ok((
            Question { verb, group, resource, namespace: namespace.filter(|_| namespaced), name },
            namespaced,
        ))
    }

    /// Who the API server takes us for.
    async fn asking(&self) -> Result<Subject, Answer> {
        #[derive(Deserialize)]
        struct User {
            username: String,
            #[serde(default)]
            groups: Vec<String>,
        }
        let review = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview" });
        let answer = self.0.reader.review(WHO, &review).await.map_err(|error| failed(&error))?;
        let user = serde_json::from_value(answer["status"]["userInfo"].clone());
        let User { username, groups } =
            user.map_err(|error| Answer::error(format!("the API server does not say who asks: {error}")))?;
        Ok(Subject { user: username, groups })
    }

    async fn of_other(&self, question: &Question, subject: &Subject) -> Result<Decision, ReadError> {
        let mut spec = attributes(question);
        spec["user"] = json!(subject.user);
        spec["groups"] = json!(subject.groups);
        let review =
            json!({ "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec });
        Decision::of(&self.0.reader.review(ACCESS, &review).await?)
    }

    /// Roles and bindings that count in that place, as far as they may be read.
    async fn rbac(&self, namespace: Option<&str>) -> Rbac {
        let (cluster_roles, cluster_bindings, roles, bindings) = join!(
            self.all::<Role>("clusterroles", None),
            self.all::<Binding>("clusterrolebindings", None),
            self.here::<Role>("roles", namespace),
            self.here::<Binding>("rolebindings", namespace),
        );
        let mut rbac = Rbac::default();
        for (kind, plural, read) in [("ClusterRole", "clusterroles", cluster_roles), ("Role", "roles", roles)]
        {
            match read {
                Some(read) => read.into_iter().for_each(|role| rbac.add_role(kind, role)),
                None => rbac.unread.push(plural),
            }
        }
        for (kind, plural, read) in [
            ("ClusterRoleBinding", "clusterrolebindings", cluster_bindings),
            ("RoleBinding", "rolebindings", bindings),
        ] {
            match read {
                Some(read) => read.into_iter().for_each(|binding| rbac.add_binding(kind, binding)),
                None => rbac.unread.push(plural),
            }
        }
        rbac
    }

    /// Those of the namespace; none in the whole cluster, where they do not count.
    async fn here<T: DeserializeOwned + Send>(
        &self,
        plural: &str,
        namespace: Option<&str>,
    ) -> Option<Vec<T>> {
        match namespace {
            Some(namespace) => self.all(plural, Some(namespace)).await,
            None => Some(Vec::new()),
        }
    }

    /// One that is not what the API promises is left out alone. `None` when they may not be read.
    async fn all<T: DeserializeOwned + Send>(&self, plural: &str, namespace: Option<&str>) -> Option<Vec<T>> {
        let kinds = self.0.reader.kinds().await.ok()?;
        let resource = kinds.resolve(&format!("{plural}.{GROUP}")).ok()?;
        let request = ListRequest { namespace: namespace.map(str::to_owned), ..ListRequest::default() };
        let mut all = Vec::new();
        let read = self.0.reader.list(resource, &request, |item| {
            all.extend(serde_json::from_str::<T>(item.get()).ok());
        });
        read.await.ok()?;
        Some(all)
    }
}

/// By roles and bindings alone; nothing when they leave it open.
fn local(rbac: &Rbac, question: &Question, subject: &Subject) -> Option<Verdict> {
    let allowed =
        subject.is_master() || rbac.grants(question, subject).iter().any(|grant| !grant.to.is_empty());
    (allowed || rbac.unread.is_empty()).then_some(Verdict { allowed, reason: String::new(), local: true })
}

fn left_out(rbac: &Rbac) -> Answer {
    Answer::error(format!("this recording does not hold {}: it cannot be said", rbac.unread.join(", ")))
}

fn not_about_others() -> Answer {
    Answer::error(
        "you may ask about yourself only: to ask about others you need `create` on `subjectaccessreviews.authorization.k8s.io`, or to read roles and bindings",
    )
}

fn who(user: Option<String>, groups: Option<String>) -> Result<Who, Answer> {
    let groups: Vec<String> = groups
        .iter()
        .flat_map(|groups| groups.split(','))
        .map(|group| group.trim().to_owned())
        .filter(|group| !group.is_empty())
        .collect();
    let Some(user) = user else {
        if groups.is_empty() {
            return Ok(Who::Asking);
        }
        return Err(Answer::error("`groups` are those of a `user`: name one"));
    };
    let user = match user.split_once('/') {
        Some((namespace, name)) if account(&user).is_none() && !name.contains('/') => {
            format!("system:serviceaccount:{namespace}:{name}")
        }
        _ => user,
    };
    Ok(Who::Other(Subject::named(&user, &groups)))
}

//! Roles and bindings as values: who is given what by which. Pure.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::caller::{Question, Rights, Rule};

/// Somebody, with all groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Subject {
    pub(super) user: String,
    pub(super) groups: Vec<String>,
}

/// The groups of everybody who has proven anything.
const AUTHENTICATED: &str = "system:authenticated";
/// Whom the API server asks nothing.
pub(super) const MASTERS: &str = "system:masters";

impl Subject {
    /// With the groups that the API server adds by itself.
    pub(super) fn named(user: &str, groups: &[String]) -> Self {
        let mut all = groups.to_vec();
        if let Some((namespace, _)) = account(user) {
            all.push("system:serviceaccounts".to_owned());
            all.push(format!("system:serviceaccounts:{namespace}"));
        }
        all.push(AUTHENTICATED.to_owned());
        Self { user: user.to_owned(), groups: all }
    }

    pub(super) fn is_master(&self) -> bool {
        self.groups.iter().any(|group| group == MASTERS)
    }
}

/// Namespace and name of a service account's user name.
pub(super) fn account(user: &str) -> Option<(&str, &str)> {
    user.strip_prefix("system:serviceaccount:")?.split_once(':')
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Meta {
    #[serde(default)]
    pub(super) namespace: String,
    pub(super) name: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Role {
    metadata: Meta,
    #[serde(default)]
    rules: Option<Vec<Rule>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Binding {
    metadata: Meta,
    role_ref: RoleRef,
    #[serde(default)]
    subjects: Option<Vec<Bound>>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(super) struct RoleRef {
    pub(super) kind: String,
    pub(super) name: String,
}

/// A subject as a binding names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(super) struct Bound {
    pub(super) kind: String,
    #[serde(default)]
    pub(super) namespace: String,
    pub(super) name: String,
}

impl Bound {
    fn is(&self, subject: &Subject) -> bool {
        match self.kind.as_str() {
            "User" => self.name == subject.user,
            "Group" => subject.groups.contains(&self.name),
            "ServiceAccount" => account(&subject.user) == Some((&self.namespace, &self.name)),
            _ => false,
        }
    }

    /// `Group devs`, `ServiceAccount shop/bot`.
    pub(super) fn shown(&self) -> String {
        let place = if self.namespace.is_empty() { String::new() } else { format!("{}/", self.namespace) };
        format!("{} {place}{}", self.kind, self.name)
    }
}

/// A binding whose role allows what is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Grant {
    /// `RoleBinding shop/devs` or `ClusterRoleBinding devs`.
    pub(super) binding: String,
    pub(super) role: RoleRef,
    /// Those of its subjects that the subject asked about is.
    pub(super) to: Vec<Bound>,
    pub(super) others: Vec<Bound>,
}

/// A role that allows what is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Suitable {
    pub(super) role: RoleRef,
    /// How much it allows; the least comes first.
    words: usize,
}

/// The roles and bindings of the cluster, and of one namespace, as far as they could be read.
#[derive(Clone, Debug, Default)]
pub(super) struct Rbac {
    /// By kind, namespace and name.
    roles: BTreeMap<(String, String, String), Rights>,
    bindings: Vec<(&'static str, Binding)>,
    /// Plurals of the kinds that could not be read.
    pub(super) unread: Vec<&'static str>,
}

impl Rbac {
    pub(super) fn add_role(&mut self, kind: &str, role: Role) {
        let Role { metadata: Meta { namespace, name }, rules } = role;
        self.roles.insert((kind.to_owned(), namespace, name), Rights::new(rules.unwrap_or_default()));
    }

    pub(super) fn add_binding(&mut self, kind: &'static str, binding: Binding) {
        self.bindings.push((kind, binding));
    }

    /// Every binding that allows what is asked, to whomever; those of the subject first.
    pub(super) fn grants(&self, question: &Question, subject: &Subject) -> Vec<Grant> {
        let mut grants: Vec<Grant> = self
            .bindings
            .iter()
            .filter_map(|(kind, binding)| {
                let Binding { metadata: Meta { namespace, name }, role_ref, subjects } = binding;
                // A RoleBinding counts in its own namespace only.
                let counts = namespace.is_empty() || question.namespace.as_ref() == Some(namespace);
                if !counts || !self.rights(role_ref, namespace)?.answer(question) {
                    return None;
                }
                let place = if namespace.is_empty() { String::new() } else { format!("{namespace}/") };
                let (to, others) =
                    subjects.iter().flatten().cloned().partition(|bound: &Bound| bound.is(subject));
                Some(Grant { binding: format!("{kind} {place}{name}"), role: role_ref.clone(), to, others })
            })
            .collect();
        grants.sort_by_key(|grant| (grant.to.is_empty(), grant.binding.clone()));
        grants
    }

    /// What the subject may do in the question's place, as far as bindings say.
    pub(super) fn of(&self, subject: &Subject, place: Option<&str>) -> Vec<&Rights> {
        let bound = self.bindings.iter().filter(|(_, binding)| {
            let namespace = &binding.metadata.namespace;
            (namespace.is_empty() || Some(namespace.as_str()) == place)
                && binding.subjects.iter().flatten().any(|bound| bound.is(subject))
        });
        bound.filter_map(|(_, binding)| self.rights(&binding.role_ref, &binding.metadata.namespace)).collect()
    }

    /// Roles that allow what is asked and could be bound, the one that allows least first. Those of the system are
    /// left out.
    pub(super) fn suitable(&self, question: &Question) -> Vec<Suitable> {
        let mut suitable: Vec<Suitable> = self
            .roles
            .iter()
            .filter(|((kind, namespace, name), rights)| {
                let here = namespace.is_empty() || question.namespace.as_ref() == Some(namespace);
                let useful = kind == "ClusterRole" || question.namespace.is_some();
                here && useful && !name.starts_with("system:") && rights.answer(question)
            })
            .map(|((kind, _, name), rights)| Suitable {
                role: RoleRef { kind: kind.clone(), name: name.clone() },
                words: rights.breadth(),
            })
            .collect();
        suitable.sort_by(|a, b| (a.words, &a.role).cmp(&(b.words, &b.role)));
        suitable
    }

    fn rights(&self, role: &RoleRef, namespace: &str) -> Option<&Rights> {
        let namespace = if role.kind == "Role" { namespace } else { "" };
        self.roles.get(&(role.kind.clone(), namespace.to_owned(), role.name.clone()))
    }
}

/// What one may do with a kind, of these verbs.
pub(super) fn verbs<'a>(rights: &[&Rights], question: &Question, verbs: &[&'a str]) -> Vec<&'a str> {
    let allowed = |verb: &str| {
        let question = Question { verb: verb.to_owned(), ..question.clone() };
        rights.iter().any(|rights| rights.answer(&question))
    };
    verbs.iter().copied().filter(|verb| allowed(verb)).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::{Rbac, Subject, verbs};
    use crate::caller::Question;

    fn role(name: &str, namespace: &str, rules: &Value) -> Value {
        json!({ "metadata": { "name": name, "namespace": namespace }, "rules": rules })
    }

    fn binding(name: &str, namespace: &str, role: (&str, &str), subjects: &Value) -> Value {
        json!({ "metadata": { "name": name, "namespace": namespace }, "subjects": subjects,
            "roleRef": { "kind": role.0, "name": role.1, "apiGroup": "rbac.authorization.k8s.io" } })
    }

    fn rbac() -> Rbac {
        let pods = |verbs: &[&str]| json!([{ "apiGroups": [""], "resources": ["pods"], "verbs": verbs }]);
        let all = json!([{ "apiGroups": ["*"], "resources": ["*"], "verbs": ["*"] }]);
        let ann = json!([{ "kind": "User", "name": "ann" }]);
        let devs = json!([{ "kind": "Group", "name": "devs" }, { "kind": "ServiceAccount", "name": "bot", "namespace": "shop" }]);
        let mut rbac = Rbac::default();
        let of = |value: Value| serde_json::from_value(value).unwrap();
        rbac.add_role("ClusterRole", of(role("reader", "", &pods(&["get", "list"]))));
        rbac.add_role("ClusterRole", of(role("everything", "", &all)));
        rbac.add_role("ClusterRole", of(role("empty", "", &Value::Null)));
        rbac.add_role("Role", serde_json::from_value(role("killer", "shop", &pods(&["delete"]))).unwrap());
        let of = |value: Value| serde_json::from_value(value).unwrap();
        rbac.add_binding("RoleBinding", of(binding("devs", "shop", ("ClusterRole", "reader"), &devs)));
        rbac.add_binding("RoleBinding", of(binding("ann", "shop", ("Role", "killer"), &ann)));
        rbac.add_binding(
            "ClusterRoleBinding",
            of(binding(
                "roots",
                "",
                ("ClusterRole", "everything"),
                &json!([{ "kind": "Group", "name": "roots" }]),
            )),
        );
        rbac.add_binding("ClusterRoleBinding", of(binding("gone", "", ("ClusterRole", "gone"), &ann)));
        rbac
    }

    fn question(verb: &str, namespace: Option<&str>) -> Question {
        Question { namespace: namespace.map(str::to_owned), ..Question::new(verb, "", "pods") }
    }

    #[test]
    fn a_binding_gives_its_role_to_its_subjects_in_its_namespace() {
        let rbac = rbac();
        let given = |user: &str, groups: &[&str], verb: &str, namespace: Option<&str>| {
            let groups: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
            let grants = rbac.grants(&question(verb, namespace), &Subject::named(user, &groups));
            grants
                .into_iter()
                .filter(|grant| !grant.to.is_empty())
                .map(|grant| grant.binding)
                .collect::<Vec<_>>()
        };
        assert_eq!(given("carl", &["devs"], "get", Some("shop")), ["RoleBinding shop/devs"]);
        assert_eq!(
            given("system:serviceaccount:shop:bot", &[], "list", Some("shop")),
            ["RoleBinding shop/devs"]
        );
        assert_eq!(given("ann", &[], "delete", Some("shop")), ["RoleBinding shop/ann"]);
        assert_eq!(given("ann", &[], "delete", Some("other")), Vec::<String>::new());
        assert_eq!(given("carl", &["devs"], "get", None), Vec::<String>::new(), "not in the whole cluster");
        assert_eq!(given("carl", &["roots"], "get", None), ["ClusterRoleBinding roots"]);
    }

    #[test]
    fn the_role_that_allows_least_is_named_first() {
        let names = |verb: &str, namespace: Option<&str>| -> Vec<String> {
            rbac().suitable(&question(verb, namespace)).into_iter().map(|found| found.role.name).collect()
        };
        assert_eq!(names("get", Some("shop")), ["reader", "everything"]);
        assert_eq!(names("delete", Some("shop")), ["killer", "everything"]);
        assert_eq!(names("delete", None), ["everything"]);
    }

    #[test]
    fn what_else_somebody_may_do_with_the_kind_is_known() {
        let rbac = rbac();
        let devs = Subject::named("carl", &["devs".to_owned()]);
        let may = verbs(
            &rbac.of(&devs, Some("shop")),
            &question("delete", Some("shop")),
            &["get", "list", "delete"],
        );
        assert_eq!(may, ["get", "list"]);
    }
}

//! What a caller may do, as the cluster's own access rules say it. Pure; asking is done elsewhere.

use serde::Deserialize;

/// Something that a tool does in the cluster on behalf of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Need {
    pub verb: &'static str,
    pub group: &'static str,
    /// With its subresource: `pods/log`.
    pub resource: &'static str,
}

/// One rule of a `SelfSubjectRulesReview`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Rule {
    pub verbs: Vec<String>,
    pub api_groups: Vec<String>,
    pub resources: Vec<String>,
    /// Empty: every name.
    pub resource_names: Vec<String>,
}

impl Rule {
    /// Allows everything to everything.
    pub fn everything() -> Self {
        let any = || vec!["*".to_owned()];
        Self { verbs: any(), api_groups: any(), resources: any(), resource_names: Vec::new() }
    }

    /// Allows this one thing.
    pub fn only(question: &Question) -> Self {
        let Question { verb, group, resource, namespace: _, name } = question;
        Self {
            verbs: vec![verb.clone()],
            api_groups: vec![group.clone()],
            resources: vec![resource.clone()],
            resource_names: name.iter().cloned().collect(),
        }
    }
}

/// Whether somebody may do something to something somewhere.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Question {
    pub verb: String,
    pub group: String,
    /// With its subresource: `pods/log`.
    pub resource: String,
    /// Absent: in the whole cluster.
    pub namespace: Option<String>,
    /// Absent: to every one.
    pub name: Option<String>,
}

impl Question {
    /// Of every object of the whole cluster.
    pub fn new(verb: &str, group: &str, resource: &str) -> Self {
        let (verb, group, resource) = (verb.to_owned(), group.to_owned(), resource.to_owned());
        Self { verb, group, resource, namespace: None, name: None }
    }

    #[must_use]
    pub fn in_namespace(self, namespace: &str) -> Self {
        Self { namespace: Some(namespace.to_owned()), ..self }
    }

    #[must_use]
    pub fn named(self, name: &str) -> Self {
        Self { name: Some(name.to_owned()), ..self }
    }
}

/// What one caller may do in one namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    rules: Vec<Rule>,
}

impl Rights {
    pub fn new(rules: Vec<Rule>) -> Self {
        Self { rules }
    }

    /// Whether some rule lets the caller do this to the object of that name; to any, without a name.
    pub fn allow(&self, verb: &str, group: &str, resource: &str, name: Option<&str>) -> bool {
        let has = |given: &[String], wanted: &str| given.iter().any(|one| one == "*" || one == wanted);
        self.rules.iter().any(|rule| {
            let Rule { verbs, api_groups, resources, resource_names } = rule;
            let subresource = resource.split_once('/').map(|(_, subresource)| format!("*/{subresource}"));
            let is_named = resource_names.is_empty()
                || name.is_some_and(|name| resource_names.iter().any(|one| one == name));
            is_named
                && has(verbs, verb)
                && has(api_groups, group)
                && (has(resources, resource) || subresource.is_some_and(|any| has(resources, &any)))
        })
    }

    /// Whether some rule allows what is asked; its namespace is not looked at.
    pub fn answer(&self, question: &Question) -> bool {
        let Question { verb, group, resource, namespace: _, name } = question;
        self.allow(verb, group, resource, name.as_deref())
    }

    /// With one thing more.
    #[must_use]
    pub fn and(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }

    /// How much the rules allow, to compare roles: a star counts for many.
    pub fn breadth(&self) -> usize {
        let of =
            |words: &[String]| -> usize { words.iter().map(|word| if word == "*" { 100 } else { 1 }).sum() };
        let of_rule = |rule: &Rule| {
            let Rule { verbs, api_groups, resources, resource_names } = rule;
            let whole = of(verbs) * of(api_groups) * of(resources);
            if resource_names.is_empty() { 10 * whole } else { whole * resource_names.len().min(10) }
        };
        self.rules.iter().map(of_rule).sum()
    }

    /// How many words the rules have: what they cost to keep.
    pub fn words(&self) -> usize {
        let of = |rule: &Rule| {
            let Rule { verbs, api_groups, resources, resource_names } = rule;
            verbs.len() + api_groups.len() + resources.len() + resource_names.len()
        };
        self.rules.iter().map(of).sum()
    }

    pub fn meet(&self, need: Need) -> bool {
        let Need { verb, group, resource } = need;
        self.allow(verb, group, resource, None)
    }
}

#[cfg(test)]
mod tests {
    use super::{Need, Rights, Rule};

    fn rights(verbs: &[&str], groups: &[&str], resources: &[&str], names: &[&str]) -> Rights {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Rights::new(vec![Rule {
            verbs: owned(verbs),
            api_groups: owned(groups),
            resources: owned(resources),
            resource_names: owned(names),
        }])
    }

    #[test]
    fn a_rule_allows_what_it_says_and_no_more() {
        let named = rights(&["call"], &["pilothouse.dev"], &["tools"], &["get_logs"]);
        assert!(named.allow("call", "pilothouse.dev", "tools", Some("get_logs")));
        assert!(!named.allow("call", "pilothouse.dev", "tools", Some("top")));
        assert!(!named.allow("call", "pilothouse.dev", "tools", None));
        assert!(!named.allow("get", "pilothouse.dev", "tools", Some("get_logs")));
    }

    #[test]
    fn stars_reach_subresources_as_in_the_api_server() {
        let log = Need { verb: "get", group: "", resource: "pods/log" };
        assert!(rights(&["*"], &["*"], &["*"], &[]).meet(log));
        assert!(rights(&["get"], &[""], &["*/log"], &[]).meet(log));
        assert!(!rights(&["get"], &[""], &["pods"], &[]).meet(log));
    }
}

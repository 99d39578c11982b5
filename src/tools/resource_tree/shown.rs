//! What earlier pages of a tree have shown: enough to see that the next one goes on from the same tree. Pure.

use std::collections::BTreeMap;

/// Kept in the cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shown {
    /// How many healthy siblings the overview names.
    pub(super) named: usize,
    /// Of the lines that were shown.
    pub(super) digest: String,
    /// Kinds of which the next page reads this same version, by their id.
    pub(super) versions: BTreeMap<String, String>,
}

impl Shown {
    /// One that no cursor of ours holds is `None`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, ';');
        let named = parts.next()?.parse().ok()?;
        let digest = parts.next()?.to_owned();
        let versions = parts.next()?.split(',').filter(|pair| !pair.is_empty());
        let versions =
            versions.map(|pair| pair.split_once('=').map(|(id, at)| (id.to_owned(), at.to_owned())));
        Some(Self { named, digest, versions: versions.collect::<Option<_>>()? })
    }

    pub(super) fn text(&self) -> String {
        let Self { named, digest, versions } = self;
        let versions: Vec<String> = versions.iter().map(|(id, at)| format!("{id}={at}")).collect();
        format!("{named};{digest};{}", versions.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::Shown;

    #[test]
    fn what_was_shown_is_known_again() {
        for versions in
            [vec![], vec![("pods".to_owned(), "12".to_owned()), ("jobs.batch".to_owned(), "7".to_owned())]]
        {
            let shown = Shown { named: 3, digest: "ab".to_owned(), versions: versions.into_iter().collect() };
            assert_eq!(Shown::parse(&shown.text()), Some(shown));
        }
        assert_eq!(Shown::parse("12"), None);
    }
}

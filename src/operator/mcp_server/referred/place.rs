//! What is watched as one: the ConfigMaps or the Secrets of a namespace.

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Store {
    ConfigMaps,
    Secrets,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub(super) store: Store,
    pub(super) namespace: String,
}

//! What is not written when it is as by default, so that a stored object holds what somebody chose.

pub(super) fn default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

pub(super) fn yes() -> bool {
    true
}

/// Takes a reference because serde gives one.
#[allow(clippy::trivially_copy_pass_by_ref)]
pub(super) fn is_yes(value: &bool) -> bool {
    *value
}

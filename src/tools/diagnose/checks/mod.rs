//! What is looked for: one subject a file, each a plain function of the picture.

use super::{finding::Finding, picture::Picture};

/// Looks at the picture and tells what is wrong.
pub(super) type Check = fn(&Picture, &mut Vec<Finding>);

/// All checks. Their order does not matter.
pub(super) const ALL: &[Check] = &[];

//! The one step out (promise P4): what leaves the process passes here.

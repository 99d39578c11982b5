//! The custom resources of group `pilothouse.dev`, one kind a file: types, CEL rules, columns. No behaviour.

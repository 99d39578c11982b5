//! Reading a cluster. Nothing in this room can store anything.

//! What the operator is told by himself.

//! Merchant callbacks.

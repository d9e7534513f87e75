//! The finance desk's day.

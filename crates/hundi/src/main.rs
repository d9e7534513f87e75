//! hundi
fn main(){}

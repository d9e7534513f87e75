//! Documents against the schemas of ISO 20022, which `tools/xsd` puts into `target/xsd`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Fails where the document is not valid by this schema. `HUNDI_SCHEMAS` names the folder in a copy of the tree.
#[track_caller]
pub fn check(schema: &str, document: &str) {
    let here = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/xsd");
    let file = std::env::var_os("HUNDI_SCHEMAS").map_or_else(here, PathBuf::from).join(format!("{schema}.xsd"));
    assert!(file.exists(), "{schema}.xsd is not there: run ./check, whose tools/xsd installs it");
    let mut lint = Command::new("xmllint")
        .args(["--noout", "--nonet", "--schema"])
        .arg(&file)
        .arg("-")
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("xmllint is installed by tools/xsd");
    let mut input = lint.stdin.take().expect("a pipe");
    input.write_all(document.as_bytes()).expect("xmllint reads");
    drop(input);
    let output = lint.wait_with_output().expect("xmllint ends");
    assert!(output.status.success(), "{}\n{document}", String::from_utf8_lossy(&output.stderr));
}

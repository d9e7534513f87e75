//! Documents against the schemas of ISO 20022, which `tools/xsd` puts into `target/xsd`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/xsd")
}

/// Fails where the document is not valid by this schema. Without the schemas it says so and does nothing, so that these tests
/// also run on a machine without a network; `./check` installs them first.
#[track_caller]
pub fn check(schema: &str, document: &str) {
    let file = folder().join(format!("{schema}.xsd"));
    if !file.exists() {
        eprintln!("tools/xsd has not been run: nothing is checked against {schema}");
        return;
    }
    let mut lint = Command::new("xmllint")
        .args(["--noout", "--nonet", "--schema"])
        .arg(&file)
        .arg("-")
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("xmllint is installed by tools/xsd");
    lint.stdin.take().unwrap().write_all(document.as_bytes()).unwrap();
    let output = lint.wait_with_output().unwrap();
    assert!(output.status.success(), "{}\n{document}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn statements_of_the_tests_are_valid() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/statements");
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "xml") {
            let document = std::fs::read_to_string(&path).unwrap();
            check(path.file_stem().unwrap().to_str().unwrap(), &document);
            files += 1;
        }
    }
    assert_eq!(files, 3);
}

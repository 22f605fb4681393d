//! Clients that prove by a certificate who they are, by psql where it is installed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use crate::program::{Serving, run, stderr};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::OrganizationName, "Desk");
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn authority(name: &str) -> Authority {
    let mut params = params(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Writes a certificate and its key; the paths of both.
fn signed(dir: &Path, file: &str, name: &str, by: &Authority) -> (PathBuf, PathBuf) {
    let key = KeyPair::generate().unwrap();
    let certificate = params(name).signed_by(&key, by).unwrap();
    let (crt, pem) = (
        dir.join(format!("{file}.crt")),
        dir.join(format!("{file}.key")),
    );
    fs::write(&crt, certificate.pem()).unwrap();
    fs::write(&pem, key.serialize_pem()).unwrap();
    fs::set_permissions(&pem, fs::Permissions::from_mode(0o600)).unwrap();
    (crt, pem)
}

#[test]
fn certificates_of_clients_are_asked_for_and_held_against_the_rules() {
    let psql = PathBuf::from("/usr/lib/postgresql/15/bin/psql");
    if !psql.exists() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let files = tempfile::tempdir().unwrap();
    let (ours, theirs) = (authority("ours"), authority("theirs"));
    let root = files.path().join("root.crt");
    fs::write(&root, ours.pem()).unwrap();
    let (crt, key) = signed(files.path(), "server", "server", &ours);
    let postgres = signed(files.path(), "postgres", "postgres", &ours);
    let anna = signed(files.path(), "anna", "anna", &ours);
    let stranger = signed(files.path(), "stranger", "postgres", &theirs);

    let data = dir.path().display().to_string();
    let made = run(&["sql", "--data-dir", &data, "-c", "CREATE ROLE anna LOGIN"]);
    assert!(made.status.success(), "{}", stderr(&made));
    let made = run(&["sql", "--data-dir", &data, "-c", "CREATE DATABASE mapped"]);
    assert!(made.status.success(), "{}", stderr(&made));
    fs::write(
        dir.path().join("pg_ident.conf"),
        "desk  \"CN=postgres,O=Desk\"  anna\n",
    )
    .unwrap();
    fs::write(
        dir.path().join("pg_hba.conf"),
        "hostssl mapped all all cert map=desk clientname=DN\n\
         hostssl template1 all all trust clientcert=verify-ca\n\
         hostssl all all all cert\n\
         hostnossl all all all trust\n",
    )
    .unwrap();
    let of = |name: &str, path: &Path| format!("{name}={}", path.display());
    let serving = Serving::start(
        dir.path(),
        &[
            "-c",
            &of("ssl_cert_file", &crt),
            "-c",
            &of("ssl_key_file", &key),
            "-c",
            &of("ssl_ca_file", &root),
        ],
    );
    let come = |user: &str, database: &str, with: Option<&(PathBuf, PathBuf)>| {
        let mut command = Command::new(&psql);
        command
            .args(["-h", "localhost", "-U", user, "-d", database, "-p"])
            .args([&serving.port.to_string(), "-Atc", "SELECT current_user"])
            .env("PGSSLMODE", "verify-full")
            .env("PGSSLROOTCERT", &root);
        match with {
            Some((crt, key)) => command.env("PGSSLCERT", crt).env("PGSSLKEY", key),
            None => command
                .env("PGSSLCERT", "/nowhere")
                .env("PGSSLKEY", "/nowhere"),
        };
        let output = command.output().unwrap();
        match output.status.success() {
            true => String::from_utf8(output.stdout).unwrap().trim().to_owned(),
            false => stderr(&output),
        }
    };
    assert_eq!(come("postgres", "postgres", Some(&postgres)), "postgres");
    assert_eq!(come("anna", "postgres", Some(&anna)), "anna");
    for (user, database, with, answer) in [
        (
            "postgres",
            "postgres",
            None,
            "FATAL:  connection requires a valid client certificate",
        ),
        (
            "postgres",
            "postgres",
            Some(&anna),
            "FATAL:  certificate authentication failed for user \"postgres\"",
        ),
        (
            "anna",
            "template1",
            None,
            "FATAL:  connection requires a valid client certificate",
        ),
    ] {
        let said = come(user, database, with);
        assert!(said.contains(answer), "{user}: {said}");
    }
    // Signed by those whom the server trusts, whoever it names.
    assert_eq!(come("anna", "template1", Some(&postgres)), "anna");
    // By a map its whole name is another role's, and no more its own.
    assert_eq!(come("anna", "mapped", Some(&postgres)), "anna");
    for (user, with) in [("postgres", &postgres), ("anna", &anna)] {
        let said = come(user, "mapped", Some(with));
        let answer = format!("FATAL:  certificate authentication failed for user \"{user}\"");
        assert!(said.contains(&answer), "{user}: {said}");
    }
    // Another's signature ends the handshake.
    let said = come("postgres", "postgres", Some(&stranger));
    assert!(
        said.contains("unknown ca") || said.contains("SSL error"),
        "{said}"
    );
}

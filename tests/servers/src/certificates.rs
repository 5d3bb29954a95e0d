//! Certificates for the servers' TLS, made anew for each.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::install;

/// A certificate authority of the tests, and what it has signed. All files are PEM, keys PKCS #8.
#[derive(Clone, Debug)]
pub struct Certificates {
    directory: PathBuf,
}

/// What the certificates may be used for. Those of servers are valid for 127.0.0.1 and localhost.
const EXTENSIONS: &str = "\
[req]
distinguished_name = name
[name]
[authority]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = IP:127.0.0.1,DNS:localhost
[client]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = clientAuth
";

impl Certificates {
    /// Makes them in a directory that exists.
    pub fn create(directory: &Path) -> Certificates {
        let certificates = Certificates::in_directory(directory);
        fs::write(directory.join("openssl.cnf"), EXTENSIONS).expect("openssl's configuration");
        certificates.sign("authority", "authority", None);
        certificates.sign("server", "server", Some("authority"));
        certificates.sign("client", "client", Some("authority"));
        certificates.sign("other", "authority", None);
        certificates.sign("stranger", "client", Some("other"));
        certificates
    }

    /// Those that are there already.
    pub(crate) fn in_directory(directory: &Path) -> Certificates {
        Certificates { directory: directory.to_owned() }
    }

    /// What clients have to trust.
    pub fn authority(&self) -> PathBuf {
        self.directory.join("authority.pem")
    }

    /// Another authority, which has nothing to do with the server.
    pub fn other_authority(&self) -> PathBuf {
        self.directory.join("other.pem")
    }

    /// The server's certificate and key.
    pub fn server(&self) -> (PathBuf, PathBuf) {
        self.pair("server")
    }

    /// A certificate, and its key, that the server takes from clients.
    pub fn client(&self) -> (PathBuf, PathBuf) {
        self.pair("client")
    }

    /// The same from the other authority.
    pub fn stranger(&self) -> (PathBuf, PathBuf) {
        self.pair("stranger")
    }

    fn pair(&self, name: &str) -> (PathBuf, PathBuf) {
        let file = self.directory.join(name);
        (file.with_extension("pem"), file.with_extension("key"))
    }

    fn sign(&self, name: &str, extensions: &str, authority: Option<&str>) {
        let (certificate, key) = self.pair(name);
        let mut openssl = Command::new(install::system("openssl"));
        openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]);
        openssl.args(["-noenc", "-days", "30", "-extensions", extensions, "-config"]);
        openssl.arg(self.directory.join("openssl.cnf"));
        openssl.args(["-subj", &format!("/CN=airtight test {name}"), "-keyout"]).arg(key);
        openssl.arg("-out").arg(certificate);
        if let Some(authority) = authority {
            let (certificate, key) = self.pair(authority);
            openssl.arg("-CA").arg(certificate).arg("-CAkey").arg(key);
        }
        let output = openssl.output().expect("openssl starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

//! Certificates for as long as a test.

use std::path::PathBuf;

use heliogram_grpc::{Role, Tls, TlsFiles};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

/// An authority and the files of those who have certificates from it.
pub(crate) struct Authority {
    directory: tempfile::TempDir,
    authority: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let authority = CertifiedIssuer::self_signed(params, key).unwrap();
        std::fs::write(directory.path().join("authority.pem"), authority.pem()).unwrap();
        Self {
            directory,
            authority,
        }
    }

    pub(crate) fn tls(&self, name: &str, roles: &[Role]) -> Tls {
        self.issue(name, roles);
        Tls::load(self.files(name)).unwrap()
    }

    pub(crate) fn issue(&self, name: &str, roles: &[Role]) {
        let names = roles.iter().map(|role| role.name().to_owned()).collect();
        self.issue_for(name, names);
    }

    /// Issues a certificate for DNS names and IP addresses.
    pub(crate) fn issue_for(&self, name: &str, names: Vec<String>) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(names)
            .unwrap()
            .signed_by(&key, &self.authority)
            .unwrap();
        let files = self.files(name);
        std::fs::write(files.certificate, certificate.pem()).unwrap();
        std::fs::write(files.key, key.serialize_pem()).unwrap();
    }

    pub(crate) fn files(&self, name: &str) -> TlsFiles {
        let file = |name: String| -> PathBuf { self.directory.path().join(name) };
        TlsFiles {
            authority: file("authority.pem".to_owned()),
            certificate: file(format!("{name}.pem")),
            key: file(format!("{name}.key")),
        }
    }
}

//! An authority, and certificates for the roles of a cluster.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

/// Issues certificates into a directory.
pub(crate) struct Authority {
    dir: PathBuf,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new(dir: &Path) -> Self {
        std::fs::create_dir_all(dir).unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        std::fs::write(dir.join("authority.pem"), issuer.pem()).unwrap();
        let dir = dir.to_owned();
        Self { dir, issuer }
    }

    /// Issues one for a role; returns the paths of authority, certificate and key.
    pub(crate) fn issue(&self, role: &str) -> [String; 3] {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([format!("{role}.heliogram.internal")]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let file = |name: String| self.dir.join(name).to_str().unwrap().to_owned();
        let files = [
            file("authority.pem".to_owned()),
            file(format!("{role}.pem")),
            file(format!("{role}.key")),
        ];
        std::fs::write(&files[1], certificate.pem()).unwrap();
        std::fs::write(&files[2], key.serialize_pem()).unwrap();
        files
    }
}

//! TLS: rustls with ring, the daemon's certificate from PEM files, client certificates let in but not trusted.
//!
//! A client certificate may be self-signed (RFC 8705 section 2.2): the handshake proves that its key is held, and what it
//! means is looked up by its digest later. No authorities are named to the client, and no dates are checked.

use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use thiserror::Error as ThisError;

use crate::config::Tls;

/// What can be wrong with the certificate files.
#[derive(Debug, ThisError)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{}: cannot be read ({source}); let the daemon's user read it", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The private key file may be read by everybody.
    #[error("{}: everybody may read this private key; take that right away: chmod o-rwx", file.display())]
    Exposed {
        /// The file.
        file: PathBuf,
    },
    /// A file does not hold what it should.
    #[error("{}: {reason}", file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
        /// What is missing or wrong.
        reason: String,
    },
    /// The private key is not that of the first certificate, or of an unsupported kind.
    #[error("tls.certificate_file and tls.private_key_file do not go together: {0}")]
    Mismatch(Error),
    /// The provider does not support the protocol versions.
    #[error("TLS could not be set up: {0}")]
    Setup(Error),
}

impl TlsError {
    /// The stable name of this error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "tls.unreadable",
            Self::Exposed { .. } => "tls.key_exposed",
            Self::Malformed { .. } => "tls.malformed",
            Self::Mismatch(_) => "tls.mismatch",
            Self::Setup(_) => "tls.setup",
        }
    }
}

/// The certificate in use; replaced as a whole when the files are read again.
#[derive(Debug)]
pub(super) struct Certificate {
    files: Tls,
    current: RwLock<Arc<CertifiedKey>>,
}

impl Certificate {
    /// Reads the files.
    ///
    /// # Errors
    /// `tls.unreadable`, `tls.key_exposed`, `tls.malformed`, `tls.mismatch`.
    pub(super) fn load(files: &Tls) -> Result<Arc<Self>, TlsError> {
        Ok(Arc::new(Self {
            current: RwLock::new(Arc::new(read(files)?)),
            files: files.clone(),
        }))
    }

    /// Reads the files again for connections to come; on an error the old certificate stays in use.
    ///
    /// # Errors
    /// Like [`Certificate::load`].
    pub(super) fn reload(&self) -> Result<(), TlsError> {
        let fresh = Arc::new(read(&self.files)?);
        *self
            .current
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = fresh;
        Ok(())
    }
}

#[cfg(test)]
impl Certificate {
    /// The certificate that a client would see now.
    pub(super) fn shown(&self) -> CertificateDer<'static> {
        self.current.read().unwrap().cert[0].clone()
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let current = self
            .current
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        Some(Arc::clone(&current))
    }
}

/// The listener's TLS settings: TLS 1.2 and 1.3, HTTP/2 before HTTP/1.1.
///
/// # Errors
/// `tls.setup`.
pub(super) fn server_config(certificate: Arc<Certificate>) -> Result<ServerConfig, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Setup)?
        .with_client_cert_verifier(Arc::new(AnyHeldCertificate(provider)))
        .with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn read(files: &Tls) -> Result<CertifiedKey, TlsError> {
    let chain = certificates_in(&files.certificate_file)?;
    let key = private_key_in(&files.private_key_file)?;
    CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(TlsError::Mismatch)
}

fn certificates_in(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = bytes_of(file)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match chain {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        Ok(_) => Err(malformed(file, "holds no certificate in PEM")),
        Err(error) => Err(malformed(file, error)),
    }
}

fn private_key_in(file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    refuse_exposed(file)?;
    let pem = zeroize::Zeroizing::new(bytes_of(file)?);
    PrivateKeyDer::from_pem_slice(&pem)
        .map_err(|error| malformed(file, format!("holds no private key in PEM ({error})")))
}

fn refuse_exposed(file: &Path) -> Result<(), TlsError> {
    use std::os::unix::fs::PermissionsExt;
    let metadata = std::fs::metadata(file).map_err(|source| unreadable(file, source))?;
    if metadata.permissions().mode() & 0o007 != 0 {
        return Err(TlsError::Exposed {
            file: file.to_owned(),
        });
    }
    Ok(())
}

fn bytes_of(file: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(file).map_err(|source| unreadable(file, source))
}

fn unreadable(file: &Path, source: std::io::Error) -> TlsError {
    TlsError::Unreadable {
        file: file.to_owned(),
        source,
    }
}

fn malformed(file: &Path, reason: impl ToString) -> TlsError {
    TlsError::Malformed {
        file: file.to_owned(),
        reason: reason.to_string(),
    }
}

/// Lets in any certificate whose key the client proves to hold, and clients without one.
#[derive(Debug)]
struct AnyHeldCertificate(Arc<CryptoProvider>);

impl ClientCertVerifier for AnyHeldCertificate {
    fn offer_client_auth(&self) -> bool {
        true
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        ParsedCertificate::try_from(end_entity)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

//! Android's `KeyDescription`: the extension of the certificate of an attested key, as its DER says it.
//!
//! Called by `android`, which judges it. The schema is Android's ("Key and ID attestation", versions 3 to 400); tags that are not
//! read here are skipped, a tag that stands twice is refused.

use x509_parser::asn1_rs::{
    Any, Boolean, Class, Enumerated, FromDer, Integer, OctetString, Oid, Sequence, Set, oid,
};

/// Of the extension.
pub const KEY_DESCRIPTION: Oid<'static> = oid!(1.3.6.1.4.1.11129.2.1.17);

/// The value is not a `KeyDescription`.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed;

/// What of a `KeyDescription` anybody asks for.
#[derive(Debug)]
pub struct KeyDescription {
    /// 3 for Keymaster 4.0, 4 for 4.1, from 100 on for KeyMint.
    pub attestation_version: u32,
    /// 0 software, 1 trusted environment, 2 StrongBox.
    pub attestation_security_level: u32,
    /// The same for where the key lives.
    pub key_security_level: u32,
    /// Given when the key was made.
    pub challenge: Vec<u8>,
    /// What the operating system vouches for.
    pub software_enforced: AuthorizationList,
    /// What the secure hardware vouches for.
    pub hardware_enforced: AuthorizationList,
}

/// What of an `AuthorizationList` anybody asks for.
#[derive(Debug, Default)]
pub struct AuthorizationList {
    /// 2 is signing.
    pub purpose: Option<Vec<u32>>,
    /// 3 is EC.
    pub algorithm: Option<u32>,
    /// 1 is P-256.
    pub curve: Option<u32>,
    /// Any app may use the key.
    pub all_applications: bool,
    /// 0 is generated inside.
    pub origin: Option<u32>,
    /// How the device started.
    pub root_of_trust: Option<RootOfTrust>,
    /// `major × 10000 + minor × 100 + sub`.
    pub os_version: Option<u32>,
    /// `YYYYMM`.
    pub os_patch_level: Option<u32>,
    /// The app that asked for the key.
    pub application: Option<Application>,
}

/// How the device started.
#[derive(Debug)]
pub struct RootOfTrust {
    /// The boot loader is locked.
    pub device_locked: bool,
    /// 0 is verified by the maker's key.
    pub verified_boot_state: u32,
}

/// The packages of the user id that asked for the key.
#[derive(Debug)]
pub struct Application {
    /// Names.
    pub packages: Vec<Vec<u8>>,
    /// SHA-256 of the certificates that signed them.
    pub signature_digests: Vec<Vec<u8>>,
}

impl KeyDescription {
    /// Reads the value of the extension, all of it.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn parse(der: &[u8]) -> Result<Self, Malformed> {
        let fields = whole::<Sequence<'_>>(der)?;
        let mut rest = fields.content.as_ref();
        let description = Self {
            attestation_version: next_u32(&mut rest)?,
            attestation_security_level: next::<Enumerated>(&mut rest)?.0,
            // The version of the keymaster says nothing that is asked for.
            key_security_level: {
                next::<Integer<'_>>(&mut rest)?;
                next::<Enumerated>(&mut rest)?.0
            },
            challenge: next_bytes(&mut rest)?,
            software_enforced: {
                next_bytes(&mut rest)?;
                AuthorizationList::parse(next::<Sequence<'_>>(&mut rest)?.content.as_ref())?
            },
            hardware_enforced: AuthorizationList::parse(next::<Sequence<'_>>(&mut rest)?.content.as_ref())?,
        };
        require_empty(rest)?;
        Ok(description)
    }
}

impl AuthorizationList {
    fn parse(mut rest: &[u8]) -> Result<Self, Malformed> {
        let mut list = Self::default();
        let mut seen = Vec::new();
        while !rest.is_empty() {
            let entry = next::<Any<'_>>(&mut rest)?;
            let tag = entry.header.tag().0;
            let explicit = entry.header.class() == Class::ContextSpecific && entry.header.constructed();
            if !explicit || seen.contains(&tag) {
                return Err(Malformed);
            }
            seen.push(tag);
            list.read(tag, entry.data)?;
        }
        Ok(list)
    }

    fn read(&mut self, tag: u32, value: &[u8]) -> Result<(), Malformed> {
        match tag {
            1 => self.purpose = Some(numbers(value)?),
            2 => self.algorithm = Some(number(value)?),
            10 => self.curve = Some(number(value)?),
            600 => self.all_applications = true,
            702 => self.origin = Some(number(value)?),
            704 => self.root_of_trust = Some(RootOfTrust::parse(value)?),
            705 => self.os_version = Some(number(value)?),
            706 => self.os_patch_level = Some(number(value)?),
            709 => self.application = Some(Application::parse(value)?),
            _ => {}
        }
        Ok(())
    }
}

impl RootOfTrust {
    fn parse(der: &[u8]) -> Result<Self, Malformed> {
        let fields = whole::<Sequence<'_>>(der)?;
        let mut rest = fields.content.as_ref();
        next_bytes(&mut rest)?;
        let root = Self {
            device_locked: next::<Boolean>(&mut rest)?.bool(),
            verified_boot_state: next::<Enumerated>(&mut rest)?.0,
        };
        next_bytes(&mut rest)?;
        require_empty(rest)?;
        Ok(root)
    }
}

impl Application {
    fn parse(der: &[u8]) -> Result<Self, Malformed> {
        let wrapped = whole::<OctetString<'_>>(der)?;
        let fields = whole::<Sequence<'_>>(wrapped.as_ref())?;
        let mut rest = fields.content.as_ref();
        let (packages, digests) = (next::<Set<'_>>(&mut rest)?, next::<Set<'_>>(&mut rest)?);
        require_empty(rest)?;
        let mut names = Vec::new();
        let mut packages = packages.content.as_ref();
        while !packages.is_empty() {
            let package = next::<Sequence<'_>>(&mut packages)?;
            let mut fields = package.content.as_ref();
            names.push(next_bytes(&mut fields)?);
            next::<Integer<'_>>(&mut fields)?;
            require_empty(fields)?;
        }
        let mut signature_digests = Vec::new();
        let mut digests = digests.content.as_ref();
        while !digests.is_empty() {
            signature_digests.push(next_bytes(&mut digests)?);
        }
        Ok(Self {
            packages: names,
            signature_digests,
        })
    }
}

fn next<'a, T: FromDer<'a>>(rest: &mut &'a [u8]) -> Result<T, Malformed> {
    let (after, value) = T::from_der(rest).map_err(|_| Malformed)?;
    *rest = after;
    Ok(value)
}

fn next_u32(rest: &mut &[u8]) -> Result<u32, Malformed> {
    next::<Integer<'_>>(rest)?.as_u32().map_err(|_| Malformed)
}

fn next_bytes(rest: &mut &[u8]) -> Result<Vec<u8>, Malformed> {
    Ok(next::<OctetString<'_>>(rest)?.as_ref().to_vec())
}

fn whole<'a, T: FromDer<'a>>(mut der: &'a [u8]) -> Result<T, Malformed> {
    let value = next(&mut der)?;
    require_empty(der)?;
    Ok(value)
}

fn number(der: &[u8]) -> Result<u32, Malformed> {
    whole::<Integer<'_>>(der)?.as_u32().map_err(|_| Malformed)
}

fn numbers(der: &[u8]) -> Result<Vec<u32>, Malformed> {
    let set = whole::<Set<'_>>(der)?;
    let mut rest = set.content.as_ref();
    let mut numbers = Vec::new();
    while !rest.is_empty() {
        numbers.push(next_u32(&mut rest)?);
    }
    Ok(numbers)
}

fn require_empty(rest: &[u8]) -> Result<(), Malformed> {
    if rest.is_empty() { Ok(()) } else { Err(Malformed) }
}

//! The keys that are not in the database: sealing, keyed hashes, and the journal's chain.
//!
//! A key is 32 bytes, written as 64 hexadecimal digits, with a version before it: `1:9f86d0...`. Several may be given,
//! separated by commas or lines: the highest version seals, all of them open. The **lowest** makes fingerprints and
//! chains the journal, for the whole life of a store, so keep it.

use crate::clock::random;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use hundi_core::ids::MerchantId;
use hundi_core::money::Amount;
use hundi_core::party::Beneficiary;
use hundi_core::rails::Rail;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// The keys of an installation.
pub struct Keys {
    ciphers: BTreeMap<u8, XChaCha20Poly1305>,
    newest: u8,
    fingerprint: Hmac<Sha256>,
    journal: [u8; 32],
    check: String,
}

/// What a sealed text belongs to: it opens nowhere else.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Whose row.
    pub merchant: MerchantId,
    /// Which row.
    pub row: i64,
    /// Which field of it, with the table: `payouts.sealed`.
    pub field: &'a str,
}

impl Keys {
    /// Reads keys from text; the error says what is wrong, without the text.
    pub fn parse(text: &str) -> Result<Keys, String> {
        let mut masters = BTreeMap::new();
        for entry in text.split([',', '\n']).map(str::trim).filter(|entry| !entry.is_empty() && !entry.starts_with('#'))
        {
            let (version, key) = entry.split_once(':').ok_or("a key is written VERSION:64 hexadecimal digits")?;
            let version: u8 = version.trim().parse().map_err(|_| "a key's version is a number from 0 to 255")?;
            let key = unhex(key.trim()).ok_or_else(|| format!("key {version} is not 64 hexadecimal digits"))?;
            if masters.insert(version, key).is_some() {
                return Err(format!("key {version} is given twice"));
            }
        }
        let (Some((_, oldest)), Some((newest, _))) = (masters.first_key_value(), masters.last_key_value()) else {
            return Err("there is no key in it".to_owned());
        };
        let check = derive(oldest, "check");
        Ok(Keys {
            newest: *newest,
            fingerprint: hmac(&derive(oldest, "fingerprint")),
            journal: derive(oldest, "journal"),
            check: hex(&check[..8]),
            ciphers: masters.iter().map(|(version, key)| (*version, cipher(&derive(key, "seal")))).collect(),
        })
    }

    /// Reads keys from a file.
    pub fn read(path: &Path) -> Result<Keys, String> {
        let shown = path.display();
        let text = std::fs::read_to_string(path).map_err(|error| {
            format!("cannot read the key file {shown}: {error}; set HUNDI_KEY or `key_file` to a readable file")
        })?;
        let mode = std::fs::metadata(path).map(|data| data.permissions().mode()).unwrap_or(0);
        if mode & 0o077 != 0 {
            return Err(format!("the key file {shown} can be read by others; run `chmod 600 {shown}`"));
        }
        Keys::parse(&text).map_err(|error| format!("the key file {shown} is not valid: {error}"))
    }

    /// Makes a new key and writes it to a file that only its owner can read.
    pub fn create(path: &Path) -> Result<(), String> {
        let text = format!(
            "# Hundi's key. Whoever has it can read account numbers; without it nobody can. Back it up apart from the data.\n1:{}\n",
            hex(&random::<32>())
        );
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let written =
            options.open(path).and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()));
        written.map_err(|error| format!("cannot create the key file {}: {error}", path.display()))
    }

    /// Tells one first key from another without telling the key: kept in the store, to refuse the wrong key.
    pub fn check(&self) -> &str {
        &self.check
    }

    /// The key of the journal's chain.
    pub fn journal(&self) -> &[u8; 32] {
        &self.journal
    }

    /// Seals a text to a place.
    pub fn seal(&self, place: Place<'_>, text: &[u8]) -> Vec<u8> {
        let nonce: [u8; 24] = random();
        let aad = aad(place);
        let sealed = self.ciphers[&self.newest].encrypt(&XNonce::from(nonce), Payload { msg: text, aad: &aad });
        let mut out = Vec::with_capacity(25 + text.len() + 16);
        out.push(self.newest);
        out.extend_from_slice(&nonce);
        // XChaCha20-Poly1305 fails only on texts of 256 GiB and more.
        out.extend_from_slice(&sealed.expect("a short text can be sealed"));
        out
    }

    /// Opens what was sealed to this place; `None` if it was changed, moved, or sealed under a key that is not here.
    pub fn open(&self, place: Place<'_>, sealed: &[u8]) -> Option<Vec<u8>> {
        let (version, rest) = sealed.split_first()?;
        let (nonce, text) = rest.split_at_checked(24)?;
        let nonce: [u8; 24] = nonce.try_into().ok()?;
        self.ciphers.get(version)?.decrypt(&XNonce::from(nonce), Payload { msg: text, aad: &aad(place) }).ok()
    }

    /// A keyed hash of a text of this sort: tells whether two are the same without telling what they are.
    pub fn blind(&self, sort: &str, text: &[u8]) -> [u8; 32] {
        let mut hash = self.fingerprint.clone();
        // No fingerprint begins with a zero.
        hash.update(b"\0");
        hash.update(sort.as_bytes());
        hash.update(b"\0");
        hash.update(text);
        hash.finalize().into_bytes().into()
    }

    /// A keyed hash of what two orders must share to be the same order (WIRE 7).
    pub fn fingerprint(&self, rail: Rail, amount: Amount, beneficiary: &Beneficiary) -> [u8; 32] {
        let mut mac = self.fingerprint.clone();
        mac.update(format!("{}:{}:{}", rail.as_str(), amount.paise(), beneficiary.canonical()).as_bytes());
        mac.finalize().into_bytes().into()
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keys({} versions)", self.ciphers.len())
    }
}

/// What the store keeps of a token: 32 bytes from which the token cannot be found.
pub fn token_hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// A new token: 160 random bits in hexadecimal after a prefix that secret scanners can find.
pub fn new_token() -> String {
    format!("hundi_{}", hex(&random::<20>()))
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)]))
        .collect()
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let bytes: Option<Vec<u8>> = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect();
    bytes?.try_into().ok()
}

fn hmac(key: &[u8]) -> Hmac<Sha256> {
    <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(key).expect("HMAC takes a key of any length")
}

fn derive(master: &[u8; 32], purpose: &str) -> [u8; 32] {
    let mut mac = hmac(master);
    mac.update(b"hundi 1 ");
    mac.update(purpose.as_bytes());
    mac.finalize().into_bytes().into()
}

fn cipher(key: &[u8; 32]) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(&(*key).into())
}

fn aad(place: Place<'_>) -> Vec<u8> {
    let mut aad = Vec::with_capacity(48);
    aad.extend_from_slice(&place.merchant.0.to_be_bytes());
    aad.extend_from_slice(&place.row.to_be_bytes());
    aad.extend_from_slice(place.field.as_bytes());
    aad
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place<'_> = Place { merchant: MerchantId(1), row: 7, field: "payouts.sealed" };

    #[test]
    fn what_is_sealed_opens_only_where_it_belongs() {
        let keys = Keys::parse(&format!("1:{}", "11".repeat(32))).unwrap();
        let sealed = keys.seal(PLACE, b"9876543210");
        assert_eq!(keys.open(PLACE, &sealed).as_deref(), Some(&b"9876543210"[..]));
        assert!(!sealed.windows(10).any(|window| window == b"9876543210"));
        for other in [
            Place { merchant: MerchantId(2), ..PLACE },
            Place { row: 8, ..PLACE },
            Place { field: "payouts.name", ..PLACE },
        ] {
            assert_eq!(keys.open(other, &sealed), None);
        }
        for place in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[place] ^= 1;
            assert_eq!(keys.open(PLACE, &changed), None, "byte {place}");
        }
        for length in 0..sealed.len() {
            assert_eq!(keys.open(PLACE, &sealed[..length]), None);
        }
    }

    #[test]
    fn a_new_key_seals_and_the_old_one_still_opens_and_hashes() {
        let old = Keys::parse(&format!("1:{}", "11".repeat(32))).unwrap();
        let both = Keys::parse(&format!("1:{},2:{}", "11".repeat(32), "22".repeat(32))).unwrap();
        let new = Keys::parse(&format!("2:{}", "22".repeat(32))).unwrap();
        assert_eq!(both.open(PLACE, &old.seal(PLACE, b"x")).as_deref(), Some(&b"x"[..]));
        assert_eq!(new.open(PLACE, &both.seal(PLACE, b"x")).as_deref(), Some(&b"x"[..]));
        assert_eq!(old.open(PLACE, &both.seal(PLACE, b"x")), None);
        assert_eq!((both.check(), both.journal()), (old.check(), old.journal()));
        assert_ne!(new.check(), old.check());
    }

    #[test]
    fn bad_keys_are_refused_without_being_repeated() {
        for (text, word) in
            [("", "no key"), ("abc", "VERSION"), ("x:11", "version"), ("1:secretsecret", "64 hex"), ("1:zz", "64 hex")]
        {
            let error = Keys::parse(text).unwrap_err();
            assert!(error.contains(word) && !error.contains("secret"), "{text}: {error}");
        }
        let twice = format!("1:{0}\n1:{0}", "11".repeat(32));
        assert!(Keys::parse(&twice).unwrap_err().contains("twice"));
    }
}

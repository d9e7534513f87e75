//! Callback signatures after Standard Webhooks: bytes in, header value out.
//!
//! The signed content is `{id}.{timestamp}.{payload}`; the header is `v1,` and the base64 of HMAC-SHA-256. A merchant's
//! secret is shown as `whsec_` and the base64 of its bytes.
//! Source: the Standard Webhooks specification, "Symmetric" signatures.

use crate::plant::{Plant, planted};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The value of the `webhook-signature` header for a message.
pub fn sign(secret: &[u8], id: &str, timestamp_s: i64, payload: &[u8]) -> String {
    format!("v1,{}", STANDARD.encode(mac(secret, id, timestamp_s, payload).finalize().into_bytes()))
}

/// Whether a `webhook-signature` header (one or several signatures, separated by spaces) holds one made with this
/// secret. Compares in constant time.
pub fn verify(secret: &[u8], id: &str, timestamp_s: i64, payload: &[u8], header: &str) -> bool {
    header.split(' ').filter_map(|entry| STANDARD.decode(entry.strip_prefix("v1,")?).ok()).any(|given| {
        let mac = mac(secret, id, timestamp_s, payload);
        mac.verify_slice(&given).is_ok()
    })
}

/// How a secret is shown to the merchant: `whsec_` and base64.
pub fn secret_text(secret: &[u8]) -> String {
    format!("whsec_{}", STANDARD.encode(secret))
}

fn mac(secret: &[u8], id: &str, timestamp_s: i64, payload: &[u8]) -> Hmac<Sha256> {
    let mut mac = keyed(secret);
    mac.update(id.as_bytes());
    mac.update(b".");
    if !planted(Plant::SignatureWithoutTimestamp) {
        mac.update(timestamp_s.to_string().as_bytes());
    }
    mac.update(b".");
    mac.update(payload);
    mac
}

/// HMAC-SHA-256 under a key of any length.
pub(crate) fn keyed(key: &[u8]) -> Hmac<Sha256> {
    // HMAC hashes keys longer than a block and pads shorter ones, so no length is an error.
    Hmac::new_from_slice(key).expect("HMAC takes a key of any length")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vector of the Standard Webhooks specification's reference implementations.
    #[test]
    fn the_published_vector_holds() {
        let secret = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let payload = br#"{"test": 2432232314}"#;
        let header = sign(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, payload);
        assert_eq!(header, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert!(verify(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, payload, &format!("v1,AAAA {header}")));
    }

    #[test]
    fn any_change_breaks_the_signature() {
        let header = sign(b"key", "id", 7, b"GET /x?a=1");
        assert!(verify(b"key", "id", 7, b"GET /x?a=1", &header));
        assert!(!verify(b"kez", "id", 7, b"GET /x?a=1", &header));
        assert!(!verify(b"key", "ie", 7, b"GET /x?a=1", &header));
        assert!(!verify(b"key", "id", 8, b"GET /x?a=1", &header));
        assert!(!verify(b"key", "id", 7, b"GET /x?a=2", &header));
        for junk in ["", "v1,", "v2,AAAA", "v1,????"] {
            assert!(!verify(b"key", "id", 7, b"GET /x?a=1", junk), "{junk}");
        }
    }
}

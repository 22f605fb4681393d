//! Whom a certificate names.

use std::fmt::Write as _;

use crate::tls::element;

/// A certificate's subject.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Subject {
    /// The common name; None without one, and for one with a zero byte, which others would read as
    /// its end.
    pub(crate) common: Option<String>,
    /// All of it as RFC 2253 writes it, the last part first: `CN=anna,O=Desk`. Empty for what cannot
    /// be read.
    pub(crate) whole: String,
}

/// Attributes by their short names, as OpenSSL has them.
const NAMES: [(&[u8], &str); 12] = [
    (COMMON_NAME, "CN"),
    (&[0x55, 0x04, 0x04], "SN"),
    (&[0x55, 0x04, 0x05], "serialNumber"),
    (&[0x55, 0x04, 0x06], "C"),
    (&[0x55, 0x04, 0x07], "L"),
    (&[0x55, 0x04, 0x08], "ST"),
    (&[0x55, 0x04, 0x0a], "O"),
    (&[0x55, 0x04, 0x0b], "OU"),
    (&[0x55, 0x04, 0x0c], "title"),
    (
        &[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x19],
        "DC",
    ),
    (
        &[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x01],
        "UID",
    ),
    (
        &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x01],
        "emailAddress",
    ),
];

const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

impl Subject {
    /// That of a certificate's DER.
    pub(crate) fn of(certificate: &[u8]) -> Self {
        read(certificate).unwrap_or_default()
    }
}

fn read(certificate: &[u8]) -> Option<Subject> {
    let (body, _) = element(certificate, 0x30)?;
    let (mut fields, _) = element(body, 0x30)?;
    // Version (where it is told), serial number, algorithm, issuer, validity, subject.
    if let Some((_, rest)) = element(fields, 0xa0) {
        fields = rest;
    }
    for tag in [0x02, 0x30, 0x30, 0x30] {
        (_, fields) = element(fields, tag)?;
    }
    let (mut names, _) = element(fields, 0x30)?;
    let (mut common, mut parts) = (None, Vec::new());
    while !names.is_empty() {
        let (mut set, rest) = element(names, 0x31)?;
        names = rest;
        let mut together = Vec::new();
        while !set.is_empty() {
            let (pair, more) = element(set, 0x30)?;
            set = more;
            let (oid, value) = element(pair, 0x06)?;
            let text = text(value);
            if oid == COMMON_NAME && common.is_none() {
                // The first counts, also where it cannot be read.
                common = Some(text.filter(|text| !text.contains('\0')).map(str::to_owned));
            }
            together.push(written(oid, text, value));
        }
        together.reverse();
        parts.push(together.join("+"));
    }
    parts.reverse();
    Some(Subject {
        common: common.flatten(),
        whole: parts.join(","),
    })
}

/// UTF8String, PrintableString, TeletexString, IA5String.
fn text(value: &[u8]) -> Option<&str> {
    let text = [0x0c, 0x13, 0x14, 0x16];
    let (text, _) = text.iter().find_map(|tag| element(value, *tag))?;
    std::str::from_utf8(text).ok()
}

/// `O=Desk`; an attribute without a name, or a value that is no text, is shown in digits.
fn written(oid: &[u8], text: Option<&str>, value: &[u8]) -> String {
    let name = NAMES.iter().find(|(known, _)| *known == oid);
    let digits = || {
        let mut shown = "#".to_owned();
        for byte in value {
            let _infallible = write!(shown, "{byte:02X}");
        }
        shown
    };
    match (name, text) {
        (Some((_, name)), Some(text)) => format!("{name}={}", escaped(text)),
        (Some((_, name)), None) => format!("{name}={}", digits()),
        (None, _) => format!("{}={}", dotted(oid), digits()),
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let last = text.len().saturating_sub(1);
    for (at, byte) in text.bytes().enumerate() {
        let special = matches!(byte, b',' | b'+' | b'"' | b'\\' | b'<' | b'>' | b';')
            || at == 0 && matches!(byte, b'#' | b' ')
            || at == last && byte == b' ';
        if !(0x20..0x7f).contains(&byte) {
            let _infallible = write!(out, "\\{byte:02X}");
            continue;
        }
        if special {
            out.push('\\');
        }
        out.push(char::from(byte));
    }
    out
}

/// `1.2.840…` of an object identifier's bytes.
fn dotted(oid: &[u8]) -> String {
    let mut numbers: Vec<u64> = Vec::new();
    let mut number = 0_u64;
    for byte in oid {
        number = number << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            match numbers.is_empty() {
                true => {
                    let first = (number / 40).min(2);
                    numbers.extend([first, number - 40 * first]);
                }
                false => numbers.push(number),
            }
            number = 0;
        }
    }
    let shown: Vec<String> = numbers.iter().map(u64::to_string).collect();
    shown.join(".")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

    use super::*;

    fn subject(parts: &[(DnType, &str)]) -> Subject {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.distinguished_name = DistinguishedName::new();
        for (kind, value) in parts {
            params.distinguished_name.push(kind.clone(), *value);
        }
        let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        Subject::of(made.der())
    }

    #[test]
    fn a_subject_is_written_as_openssl_writes_it() {
        let anna = subject(&[
            (DnType::CountryName, "CH"),
            (DnType::OrganizationName, "Desk, \"Inc\""),
            (DnType::OrganizationalUnitName, " Zürich+"),
            (DnType::CommonName, "anna"),
        ]);
        assert_eq!(anna.common.as_deref(), Some("anna"));
        assert_eq!(
            anna.whole,
            "CN=anna,OU=\\ Z\\C3\\BCrich\\+,O=Desk\\, \\\"Inc\\\",C=CH"
        );
        let nobody = subject(&[(DnType::CustomDnType(vec![1, 3, 6, 1, 4, 1, 99999, 1]), "x")]);
        assert_eq!(nobody.common, None);
        assert_eq!(nobody.whole, "1.3.6.1.4.1.99999.1=#0C0178");
        assert_eq!(Subject::of(b"\x30\x03abc"), Subject::default());
    }
}

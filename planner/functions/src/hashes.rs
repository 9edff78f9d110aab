//! Digests of text.

use super::arguments::Inputs;
use super::definition::{Function, Parameter as P, Returns as R, Typing, call};
use arrow::array::{ArrayRef, StringBuilder};
use arrow::datatypes::Int32Type;
use datafusion_common::{Result, exec_err};
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};
use std::sync::Arc;

const TEXT: Typing = Typing::Signatures(&[call(&[P::Text], R::Text)]);

pub(super) static FUNCTIONS: &[Function] = &[
    Function::new("MD5", TEXT, digest::<Md5>, "MD5 in hexadecimal"),
    Function::new("SHA1", TEXT, digest::<Sha1>, "SHA-1 in hexadecimal"),
    Function::new("SHA224", TEXT, digest::<Sha224>, "SHA-224 in hexadecimal"),
    Function::new("SHA256", TEXT, digest::<Sha256>, "SHA-256 in hexadecimal"),
    Function::new("SHA384", TEXT, digest::<Sha384>, "SHA-384 in hexadecimal"),
    Function::new("SHA512", TEXT, digest::<Sha512>, "SHA-512 in hexadecimal"),
    Function::new(
        "SHA2",
        Typing::Signatures(&[call(&[P::Text, P::Int], R::Text)]),
        sha2,
        "SHA2(s, bits): SHA-224, 256, 384 or 512 in hexadecimal",
    )
    .fallible(),
];

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Appends the digest of `text` to `hex`, which is cleared first.
fn write_hex<D: Digest>(text: &str, hex: &mut String) {
    hex.clear();
    for byte in D::digest(text.as_bytes()).iter() {
        hex.push(char::from(DIGITS[usize::from(byte >> 4)]));
        hex.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
}

fn digest<D: Digest>(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let texts = inputs.texts(0)?;
    let mut builder =
        StringBuilder::with_capacity(inputs.rows, inputs.rows * 2 * <D as Digest>::output_size());
    let mut hex = String::with_capacity(128);
    for row in 0..inputs.rows {
        match texts.get(row) {
            Some(text) => {
                write_hex::<D>(text, &mut hex);
                builder.append_value(&hex);
            }
            None => builder.append_null(),
        }
    }
    Ok(Arc::new(builder.finish()))
}

fn sha2(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let (texts, bits) = (inputs.texts(0)?, inputs.primitives::<Int32Type>(1)?);
    let mut builder = StringBuilder::with_capacity(inputs.rows, inputs.rows * 64);
    let mut hex = String::with_capacity(128);
    for row in 0..inputs.rows {
        let (Some(text), Some(bits)) = (texts.get(row), bits.get(row)) else {
            builder.append_null();
            continue;
        };
        match bits {
            224 => write_hex::<Sha224>(text, &mut hex),
            256 => write_hex::<Sha256>(text, &mut hex),
            384 => write_hex::<Sha384>(text, &mut hex),
            512 => write_hex::<Sha512>(text, &mut hex),
            _ => return exec_err!("SHA2 makes 224, 256, 384 or 512 bits, not {bits}"),
        }
        builder.append_value(&hex);
    }
    Ok(Arc::new(builder.finish()))
}

//! Functions of byte strings: encodings, single bits, digests and hashes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chronolith_types::{SqlState, SqlType, text as written};
use md5::Md5;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};

use super::error::FunctionError;
use super::udf::RowFn;
use super::value::Value;

fn bytes_of(value: Option<&Value>) -> &[u8] {
    match value {
        Some(Value::Bytes(bytes)) => bytes,
        Some(Value::Text(text)) => text.as_bytes(),
        _ => &[],
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn digest<D: Digest>(args: &[Value]) -> Result<Value, FunctionError> {
    Ok(Value::Bytes(
        D::digest(bytes_of(args.first())).as_slice().to_vec(),
    ))
}

fn unknown_encoding(name: &str) -> FunctionError {
    FunctionError::invalid_parameter(format!("unrecognized encoding: \"{name}\""))
}

fn encode(args: &[Value]) -> Result<Value, FunctionError> {
    let [Value::Bytes(bytes), format] = args else {
        return Ok(Value::Null);
    };
    Ok(Value::Text(match format.as_str().to_lowercase().as_str() {
        "hex" => hex(bytes),
        // Unlike bytea's own escape format, it leaves control characters as they are.
        "escape" => bytes
            .iter()
            .map(|byte| match byte {
                b'\\' => "\\\\".to_owned(),
                0 | 128.. => format!("\\{byte:03o}"),
                byte => char::from(*byte).to_string(),
            })
            .collect(),
        // Lines of 76 letters.
        "base64" => {
            let lines: Vec<String> = bytes.chunks(57).map(|line| STANDARD.encode(line)).collect();
            lines.join("\n")
        }
        _ => return Err(unknown_encoding(format.as_str())),
    }))
}

fn decode(args: &[Value]) -> Result<Value, FunctionError> {
    let [text, format] = args else {
        return Ok(Value::Null);
    };
    let text = text.as_str();
    let dense = || -> String { text.chars().filter(|c| !c.is_ascii_whitespace()).collect() };
    Ok(Value::Bytes(
        match format.as_str().to_lowercase().as_str() {
            "hex" => written::parse_bytea(format!("\\x{}", dense()).as_bytes())?,
            "escape" => {
                // Only after a backslash does an x make it hexadecimal.
                if text.starts_with("\\x") {
                    return Err(FunctionError::new(
                        SqlState::INVALID_TEXT_REPRESENTATION,
                        "invalid input syntax for type bytea",
                    ));
                }
                written::parse_bytea(text.as_bytes())?
            }
            "base64" => STANDARD.decode(dense()).map_err(|error| {
                FunctionError::invalid_parameter(match error {
                    base64::DecodeError::InvalidByte(_, byte) if byte != b'=' => format!(
                        "invalid symbol \"{}\" found while decoding base64 sequence",
                        char::from(byte)
                    ),
                    base64::DecodeError::InvalidByte(..) => {
                        "unexpected \"=\" while decoding base64 sequence".to_owned()
                    }
                    _ => "invalid base64 end sequence".to_owned(),
                })
                .with_hint(
                    "Input data is missing padding, is truncated, or is otherwise corrupted.",
                )
            })?,
            _ => return Err(unknown_encoding(format.as_str())),
        },
    ))
}

fn index_error(index: i64, length: usize) -> FunctionError {
    let last = i64::try_from(length).unwrap_or(i64::MAX) - 1;
    FunctionError::new(
        SqlState::ARRAY_SUBSCRIPT_ERROR,
        format!("index {index} out of valid range, 0..{last}"),
    )
}

/// The byte or bit of a place, and what it becomes.
fn place(args: &[Value], bits: bool) -> Result<Value, FunctionError> {
    let Some(([Value::Bytes(bytes), index], rest)) = args.split_first_chunk::<2>() else {
        return Ok(Value::Null);
    };
    let index = index.as_int();
    let length = if bits { bytes.len() * 8 } else { bytes.len() };
    let at = usize::try_from(index)
        .ok()
        .filter(|at| *at < length)
        .ok_or_else(|| index_error(index, length))?;
    let (byte, bit) = if bits { (at / 8, at % 8) } else { (at, 0) };
    let mut changed = bytes.clone();
    let Some(slot) = changed.get_mut(byte) else {
        return Err(index_error(index, length));
    };
    let Some(new) = rest.first().map(Value::as_int) else {
        return Ok(Value::Int(if bits {
            (*slot >> bit & 1).into()
        } else {
            (*slot).into()
        }));
    };
    if bits {
        match new {
            0 => *slot &= !(1 << bit),
            1 => *slot |= 1 << bit,
            _ => {
                return Err(FunctionError::invalid_parameter("new bit must be 0 or 1"));
            }
        }
    } else {
        *slot = u8::try_from(new & 255).unwrap_or(0);
    }
    Ok(Value::Bytes(changed))
}

#[derive(Clone, Copy, PartialEq)]
enum Encoding {
    Utf8,
    Latin1,
}

fn encoding(name: &str, role: &str) -> Result<Encoding, FunctionError> {
    let plain: String = name
        .to_lowercase()
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect();
    match plain.as_str() {
        "utf8" | "unicode" => Ok(Encoding::Utf8),
        "latin1" | "iso88591" => Ok(Encoding::Latin1),
        _ => Err(FunctionError::invalid_parameter(format!(
            "invalid {role} encoding name \"{name}\""
        ))),
    }
}

fn text_in(bytes: &[u8], encoding: Encoding) -> Result<String, FunctionError> {
    match encoding {
        Encoding::Latin1 => Ok(bytes.iter().map(|byte| char::from(*byte)).collect()),
        Encoding::Utf8 => std::str::from_utf8(bytes)
            .map(str::to_owned)
            .map_err(|error| {
                let byte = bytes.get(error.valid_up_to()).copied().unwrap_or(0);
                FunctionError::new(
                    SqlState::CHARACTER_NOT_IN_REPERTOIRE,
                    format!("invalid byte sequence for encoding \"UTF8\": 0x{byte:02x}"),
                )
            }),
    }
}

fn bytes_in(text: &str, encoding: Encoding) -> Result<Vec<u8>, FunctionError> {
    match encoding {
        Encoding::Utf8 => Ok(text.as_bytes().to_vec()),
        Encoding::Latin1 => text
            .chars()
            .map(|c| {
                u8::try_from(u32::from(c)).map_err(|_| {
                    let mut buffer = [0; 4];
                    let bytes = c.encode_utf8(&mut buffer).bytes();
                    let shown: Vec<String> = bytes.map(|byte| format!("0x{byte:02x}")).collect();
                    FunctionError::new(
                        SqlState::UNTRANSLATABLE_CHARACTER,
                        format!(
                            "character with byte sequence {} in encoding \"UTF8\" has no \
                             equivalent in encoding \"LATIN1\"",
                            shown.join(" ")
                        ),
                    )
                })
            })
            .collect(),
    }
}

fn convert(args: &[Value]) -> Result<Value, FunctionError> {
    let [bytes, from, to] = args else {
        return Ok(Value::Null);
    };
    let from = encoding(from.as_str(), "source")?;
    let to = encoding(to.as_str(), "destination")?;
    Ok(Value::Bytes(bytes_in(
        &text_in(bytes_of(Some(bytes)), from)?,
        to,
    )?))
}

fn trim(args: &[Value], left: bool, right: bool) -> Result<Value, FunctionError> {
    let [Value::Bytes(bytes), Value::Bytes(set)] = args else {
        return Ok(Value::Null);
    };
    let mut rest = bytes.as_slice();
    while let (true, Some((first, tail))) = (left, rest.split_first()) {
        if !set.contains(first) {
            break;
        }
        rest = tail;
    }
    while let (true, Some((last, head))) = (right, rest.split_last()) {
        if !set.contains(last) {
            break;
        }
        rest = head;
    }
    Ok(Value::Bytes(rest.to_vec()))
}

fn position(args: &[Value]) -> Result<Value, FunctionError> {
    let [Value::Bytes(bytes), Value::Bytes(part)] = args else {
        return Ok(Value::Null);
    };
    let found = if part.is_empty() {
        Some(0)
    } else {
        bytes.windows(part.len()).position(|found| found == part)
    };
    let at = found.map_or(0, |at| i64::try_from(at).unwrap_or(i64::MAX - 1) + 1);
    Ok(Value::Int(at))
}

fn set_bits(args: &[Value]) -> Result<Value, FunctionError> {
    let bits = bytes_of(args.first()).iter().map(|byte| byte.count_ones());
    Ok(Value::Int(bits.map(i64::from).sum()))
}

/// Bob Jenkins' hash, as PostgreSQL has it: programs keep its answers, for advisory locks mostly.
fn hash(bytes: &[u8]) -> i64 {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let seed = 0x9e37_79b9_u32.wrapping_add(length).wrapping_add(3_923_095);
    let [mut a, mut b, mut c] = [seed; 3];
    let mut blocks = bytes.chunks_exact(12);
    let word = |block: &[u8], at: usize| -> u32 {
        let bytes = block.get(at..at + 4).unwrap_or_default();
        u32::from_le_bytes(bytes.try_into().unwrap_or_default())
    };
    for block in &mut blocks {
        a = a.wrapping_add(word(block, 0));
        b = b.wrapping_add(word(block, 4));
        c = c.wrapping_add(word(block, 8));
        a = a.wrapping_sub(c) ^ c.rotate_left(4);
        c = c.wrapping_add(b);
        b = b.wrapping_sub(a) ^ a.rotate_left(6);
        a = a.wrapping_add(c);
        c = c.wrapping_sub(b) ^ b.rotate_left(8);
        b = b.wrapping_add(a);
        a = a.wrapping_sub(c) ^ c.rotate_left(16);
        c = c.wrapping_add(b);
        b = b.wrapping_sub(a) ^ a.rotate_left(19);
        a = a.wrapping_add(c);
        c = c.wrapping_sub(b) ^ b.rotate_left(4);
        b = b.wrapping_add(a);
    }
    for (index, byte) in blocks.remainder().iter().enumerate() {
        let byte = u32::from(*byte);
        match index {
            0..4 => a = a.wrapping_add(byte << (8 * index)),
            4..8 => b = b.wrapping_add(byte << (8 * (index - 4))),
            // The lowest byte is left to the length.
            _ => c = c.wrapping_add(byte << (8 * (index - 7))),
        }
    }
    finished(a, b, c)
}

fn hash_word(word: u32) -> i64 {
    let seed = 0x9e37_79b9_u32.wrapping_add(4).wrapping_add(3_923_095);
    finished(seed.wrapping_add(word), seed, seed)
}

fn finished(mut a: u32, mut b: u32, mut c: u32) -> i64 {
    c = (c ^ b).wrapping_sub(b.rotate_left(14));
    a = (a ^ c).wrapping_sub(c.rotate_left(11));
    b = (b ^ a).wrapping_sub(a.rotate_left(25));
    c = (c ^ b).wrapping_sub(b.rotate_left(16));
    a = (a ^ c).wrapping_sub(c.rotate_left(4));
    b = (b ^ a).wrapping_sub(a.rotate_left(14));
    c = (c ^ b).wrapping_sub(b.rotate_left(24));
    i64::from(i32::from_ne_bytes(c.to_ne_bytes()))
}

fn hash_integer(value: i64) -> i64 {
    let [low, high] = [value & 0xffff_ffff, value >> 32 & 0xffff_ffff]
        .map(|half| u32::try_from(half).unwrap_or(0));
    hash_word(low ^ if value >= 0 { high } else { !high })
}

/// What is behind a function of this room.
pub(super) fn imp(name: &str, args: &[SqlType]) -> Option<RowFn> {
    let binary = args.first() == Some(&SqlType::Bytea);
    let function: RowFn = match name {
        "encode" => |_, a| encode(a),
        "decode" => |_, a| decode(a),
        "md5" => |_, a| {
            let digest = Md5::digest(bytes_of(a.first()));
            Ok(Value::Text(hex(digest.as_slice())))
        },
        "sha224" => |_, a| digest::<Sha224>(a),
        "sha256" => |_, a| digest::<Sha256>(a),
        "sha384" => |_, a| digest::<Sha384>(a),
        "sha512" => |_, a| digest::<Sha512>(a),
        "get_byte" | "set_byte" if binary => |_, a| place(a, false),
        "get_bit" | "set_bit" if binary => |_, a| place(a, true),
        "bit_count" if binary => |_, a| set_bits(a),
        "btrim" if binary => |_, a| trim(a, true, true),
        "ltrim" if binary => |_, a| trim(a, true, false),
        "rtrim" if binary => |_, a| trim(a, false, true),
        "position" if binary => |_, a| position(a),
        "length" if binary && args.len() == 2 => |_, a| {
            let encoding = encoding(a.get(1).map_or("", Value::as_str), "source")?;
            let text = text_in(bytes_of(a.first()), encoding)?;
            super::text::length(&[Value::Text(text)])
        },
        "convert" if args.len() == 3 => |_, a| convert(a),
        "convert_from" => |_, a| {
            let encoding = encoding(a.get(1).map_or("", Value::as_str), "source")?;
            text_in(bytes_of(a.first()), encoding).map(Value::Text)
        },
        "convert_to" => |_, a| {
            let encoding = encoding(a.get(1).map_or("", Value::as_str), "destination")?;
            bytes_in(a.first().map_or("", Value::as_str), encoding).map(Value::Bytes)
        },
        "hashtext" => |_, a| Ok(Value::Int(hash(bytes_of(a.first())))),
        "hashint4" => |_, a| {
            let low = a.first().map_or(0, Value::as_int) & 0xffff_ffff;
            Ok(Value::Int(hash_word(u32::try_from(low).unwrap_or(0))))
        },
        "hashint8" => |_, a| Ok(Value::Int(hash_integer(a.first().map_or(0, Value::as_int)))),
        _ => return None,
    };
    Some(function)
}

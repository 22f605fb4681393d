//! The messages a server sends, written into one growing buffer.

use bytes::BufMut;

use chronolith_types::SqlState;

use crate::backend::Column;
use crate::failure::{Failure, Severity};

/// Writes one message: its type, room for its length, its body.
pub(crate) fn message(out: &mut Vec<u8>, kind: u8, body: impl FnOnce(&mut Vec<u8>)) {
    out.put_u8(kind);
    let start = out.len();
    out.put_i32(0);
    body(out);
    let length = i32::try_from(out.len() - start).unwrap_or(i32::MAX);
    if let Some(slot) = out.get_mut(start..start + 4) {
        slot.copy_from_slice(&length.to_be_bytes());
    }
}

/// A text and its terminator; a NUL inside would end it early, so it ends there.
fn text(out: &mut Vec<u8>, value: &str) {
    let end = value.find('\0').unwrap_or(value.len());
    out.put_slice(&value.as_bytes()[..end]);
    out.put_u8(0);
}

fn count(n: usize) -> i16 {
    i16::try_from(n).unwrap_or(i16::MAX)
}

/// ErrorResponse or NoticeResponse.
pub(crate) fn failure(out: &mut Vec<u8>, severity: Severity, failure: &Failure) {
    let kind = match severity {
        Severity::Notice(_) => b'N',
        Severity::Error | Severity::Fatal => b'E',
    };
    message(out, kind, |out| {
        let mut field = |kind: u8, value: &str| {
            out.put_u8(kind);
            text(out, value);
        };
        field(b'S', severity.as_str());
        field(b'V', severity.as_str());
        field(b'C', failure.code.as_str());
        field(b'M', &failure.message);
        let optional = [
            (b'D', &failure.detail),
            (b'H', &failure.hint),
            (b'W', &failure.context),
            (b's', &failure.schema),
            (b't', &failure.table),
            (b'c', &failure.column),
            (b'd', &failure.datatype),
            (b'n', &failure.constraint),
        ];
        for (kind, value) in optional {
            if let Some(value) = value {
                field(kind, value);
            }
        }
        if let Some(position) = failure.position {
            field(b'P', &position.to_string());
        }
        if let Some(routine) = routine(failure) {
            field(b'R', routine);
        }
        out.put_u8(0);
    });
}

/// The routine of PostgreSQL's that reports a failure, where drivers tell failures apart by it:
/// asyncpg and pgJDBC prepare a statement anew whose columns have changed.
fn routine(failure: &Failure) -> Option<&'static str> {
    let changed = failure.code == SqlState::FEATURE_NOT_SUPPORTED
        && failure.message == "cached plan must not change result type";
    changed.then_some("RevalidateCachedQuery")
}

/// AuthenticationOk, SASL and its steps.
pub(crate) fn authentication(out: &mut Vec<u8>, code: i32, data: &[u8]) {
    message(out, b'R', |out| {
        out.put_i32(code);
        out.put_slice(data);
    });
}

/// ParameterStatus.
pub(crate) fn parameter_status(out: &mut Vec<u8>, name: &str, value: &str) {
    message(out, b'S', |out| {
        text(out, name);
        text(out, value);
    });
}

/// BackendKeyData.
pub(crate) fn backend_key(out: &mut Vec<u8>, pid: i32, secret: &[u8]) {
    message(out, b'K', |out| {
        out.put_i32(pid);
        out.put_slice(secret);
    });
}

/// NegotiateProtocolVersion.
pub(crate) fn negotiate(out: &mut Vec<u8>, newest: i32, unknown: &[String]) {
    message(out, b'v', |out| {
        out.put_i32(newest);
        out.put_i32(i32::from(count(unknown.len())));
        for name in unknown {
            text(out, name);
        }
    });
}

/// ReadyForQuery.
pub(crate) fn ready(out: &mut Vec<u8>, status: u8) {
    message(out, b'Z', |out| out.put_u8(status));
}

/// A message without a body: ParseComplete, NoData and the like.
pub(crate) fn bare(out: &mut Vec<u8>, kind: u8) {
    message(out, kind, |_| {});
}

/// NotificationResponse.
pub(crate) fn notification(out: &mut Vec<u8>, pid: i32, channel: &str, payload: &str) {
    message(out, b'A', |out| {
        out.put_i32(pid);
        text(out, channel);
        text(out, payload);
    });
}

/// CommandComplete.
pub(crate) fn complete(out: &mut Vec<u8>, tag: &str) {
    message(out, b'C', |out| text(out, tag));
}

/// ParameterDescription.
pub(crate) fn parameters(out: &mut Vec<u8>, oids: impl ExactSizeIterator<Item = u32>) {
    message(out, b't', |out| {
        out.put_i16(count(oids.len()));
        oids.for_each(|oid| out.put_u32(oid));
    });
}

/// RowDescription; `binary` tells of each column.
pub(crate) fn row_description(
    out: &mut Vec<u8>,
    columns: &[Column],
    binary: impl Fn(usize) -> bool,
) {
    message(out, b'T', |out| {
        out.put_i16(count(columns.len()));
        for (index, column) in columns.iter().enumerate() {
            text(out, &column.name);
            out.put_u32(column.table_oid);
            out.put_i16(column.attribute);
            out.put_u32(column.ty.oid());
            out.put_i16(column.ty.typlen());
            out.put_i32(column.ty.typmod());
            out.put_i16(i16::from(binary(index)));
        }
    });
}

/// CopyInResponse (`G`) or CopyOutResponse (`H`).
pub(crate) fn copy_response(out: &mut Vec<u8>, kind: u8, binary: bool, columns: usize) {
    message(out, kind, |out| {
        out.put_u8(u8::from(binary));
        out.put_i16(count(columns));
        for _ in 0..columns {
            out.put_i16(i16::from(binary));
        }
    });
}

//! What statements give, sent to the client; and COPY both ways. Both protocols do this alike.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::record_batch::RecordBatch;
use futures::StreamExt;
use pgwire::messages::PgWireFrontendMessage as Message;

use super::{Connection, Stop};
use crate::backend::{Column, Outcome, RowStream};
use crate::encode;
use crate::failure::Failure;
use crate::guard::Incoming;
use crate::out;
use crate::wire::End;

/// Rows encoded between two looks at the client.
const ROWS_STEP: usize = 8 * 1024;

/// Rows on their way.
pub(super) struct Rows {
    columns: Vec<Column>,
    formats: Vec<bool>,
    stream: RowStream,
    /// The batch being sent, and how many of its rows are.
    batch: Option<(RecordBatch, usize)>,
    verb: String,
    counted: bool,
    pub(super) sent: u64,
}

impl Rows {
    /// Of an outcome, in these formats; those missing are text.
    pub(super) fn new(
        columns: Vec<Column>,
        mut formats: Vec<bool>,
        stream: RowStream,
        verb: String,
        counted: bool,
    ) -> Self {
        formats.resize(columns.len(), false);
        Self {
            columns,
            formats,
            stream,
            batch: None,
            verb,
            counted,
            sent: 0,
        }
    }

    pub(super) fn tag(&self) -> String {
        if self.counted {
            format!("{} {}", self.verb, self.sent)
        } else {
            self.verb.clone()
        }
    }
}

impl Connection {
    /// What both protocols do alike.
    pub(super) async fn other(&mut self, outcome: Outcome) -> Result<String, Stop> {
        match outcome {
            Outcome::Command { tag } => Ok(tag),
            Outcome::Empty | Outcome::Rows { .. } => Ok(String::new()),
            Outcome::CopyIn { binary, columns } => {
                out::copy_response(&mut self.wire.out, b'G', binary, columns);
                self.wire.flush().await?;
                self.copy_in().await
            }
            Outcome::CopyOut {
                binary,
                columns,
                mut stream,
                rows,
            } => {
                out::copy_response(&mut self.wire.out, b'H', binary, columns);
                while let Some(piece) = self
                    .wire
                    .droppable(stream.next())
                    .await?
                    .ok_or_else(Failure::cancelled)?
                {
                    let piece = piece?;
                    let mut from = 0;
                    for end in piece.ends {
                        let row = piece.data.get(from..end).unwrap_or_default();
                        out::message(&mut self.wire.out, b'd', |out| out.extend_from_slice(row));
                        from = end;
                    }
                    self.relieve().await?;
                }
                out::bare(&mut self.wire.out, b'c');
                Ok(format!("COPY {}", rows.load(Ordering::Acquire)))
            }
        }
    }

    async fn copy_in(&mut self) -> Result<String, Stop> {
        loop {
            let slot = Arc::clone(&self.wire.slot);
            let message = self.wire.next().await;
            if self.wire.cancelled() {
                slot.arm();
                self.session.copy_fail("canceled").await;
                return Err(Failure::cancelled().into());
            }
            let message = match message {
                Ok(Incoming::NoText(b'f', failure)) => {
                    self.session.copy_fail("").await;
                    return Err(failure.into());
                }
                // Of a message that has no place here the type says enough.
                Ok(Incoming::NoText(..)) => Ok(None),
                Ok(Incoming::Message(message)) => Ok(Some(message)),
                Err(end) => Err(end),
            };
            match message {
                Ok(Some(Message::CopyData(data))) => {
                    self.wire
                        .watched(self.session.copy_data(data.data))
                        .await??;
                }
                Ok(Some(Message::CopyDone(_))) => {
                    return Ok(self.wire.watched(self.session.copy_done()).await??);
                }
                Ok(Some(Message::CopyFail(fail))) => {
                    return Err(self.session.copy_fail(&fail.message).await.into());
                }
                // Clients send these behind the Execute before they see that it is a COPY.
                Ok(Some(Message::Flush(_) | Message::Sync(_))) => {}
                Ok(Some(Message::Terminate(_))) => {
                    self.session.copy_fail("the client left").await;
                    return Err(End::Closed.into());
                }
                Ok(_) => {
                    self.session.copy_fail("unexpected message").await;
                    return Err(End::Fatal(Failure::protocol(
                        "unexpected message type during COPY from stdin",
                    ))
                    .into());
                }
                Err(end) => {
                    self.session.copy_fail("the client left").await;
                    return Err(end.into());
                }
            }
        }
    }

    /// Sends rows, at most `limit`; true when there are no more.
    pub(super) async fn send(
        &mut self,
        rows: &mut Rows,
        limit: Option<usize>,
    ) -> Result<bool, Stop> {
        let style = self.session.style();
        let mut left = limit.unwrap_or(usize::MAX);
        loop {
            let (batch, offset) = match rows.batch.take() {
                Some(batch) => batch,
                None => {
                    let next = self.wire.droppable(rows.stream.next()).await?;
                    match next.ok_or_else(Failure::cancelled)? {
                        Some(batch) => (batch?, 0),
                        None => return Ok(true),
                    }
                }
            };
            if left == 0 {
                // Only now it is known that there are more.
                rows.batch = Some((batch, offset));
                return Ok(false);
            }
            let end = batch
                .num_rows()
                .min(offset.saturating_add(left.min(ROWS_STEP)));
            self.wire.mark();
            let encoded = encode::rows(
                &mut self.wire.out,
                &batch,
                offset..end,
                &rows.columns,
                &rows.formats,
                &style,
            );
            if let Err(failure) = encoded {
                self.wire.back_to_mark();
                return Err(failure.into());
            }
            left -= end - offset;
            rows.sent += u64::try_from(end - offset).unwrap_or(0);
            if end < batch.num_rows() {
                rows.batch = Some((batch, end));
            }
            self.relieve().await?;
            if self.wire.cancelled() {
                return Err(Failure::cancelled().into());
            }
            if limit.is_some() && left == 0 {
                // As in PostgreSQL, exactly the limit suspends even when it was the last row.
                return Ok(false);
            }
        }
    }

    async fn relieve(&mut self) -> Result<(), Stop> {
        self.wire.relieve().await?;
        if self.wire.cancelled() {
            return Err(Failure::cancelled().into());
        }
        Ok(())
    }
}

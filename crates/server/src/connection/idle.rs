//! Between messages: what the client is told though it asked nothing, and how long it may be silent.

use tokio::time;

use super::Connection;
use crate::backend::Status;
use crate::guard::Incoming;
use crate::out;
use crate::wire::End;

impl Connection {
    /// Waits for the client's next message; none when something was told instead.
    pub(super) async fn wait(&mut self) -> Result<Option<Incoming>, End> {
        // What is there already is neither late nor kept waiting.
        if let Some(message) = self.wire.buffered()? {
            return Ok(Some(message));
        }
        let Some(news) = self.news.clone() else {
            return Ok(Some(self.wire.next().await?));
        };
        // In the midst of a series of messages the client is not idle.
        let limit = match self.resting {
            true => self.session.idle_limit(),
            false => None,
        };
        // In a transaction notifications wait for its end; that the session is to end does not.
        let idle = self.resting && self.session.status() == Status::Idle;
        let longest = limit.as_ref().map(|(longest, _)| *longest);
        let told = async {
            news.wait().await;
            if !idle && news.end().is_none() {
                std::future::pending::<()>().await;
            }
        };
        let late = async {
            match longest {
                Some(longest) => time::sleep(longest).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            message = self.wire.next() => return Ok(Some(message?)),
            () = told => {}
            () = late => {
                if let Some((_, failure)) = limit {
                    return Err(End::Fatal(failure));
                }
            }
        }
        if let Some(failure) = news.end() {
            return Err(End::Fatal(failure));
        }
        self.notifications();
        self.wire.flush().await?;
        Ok(None)
    }

    /// Tells of the notifications that have come.
    pub(super) fn notifications(&mut self) {
        for note in self.session.take_notifications() {
            out::notification(&mut self.wire.out, note.pid, &note.channel, &note.payload);
        }
    }
}

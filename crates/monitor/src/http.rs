//! The port: three pages over HTTP.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chronolith::Database;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, Semaphore, oneshot};

use crate::collect::Collector;

/// Connections at once: a scraper, a probe or two, somebody who looks.
const CONNECTIONS_MAX: usize = 32;
/// How long a client may take to ask.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a client may take to read its answer.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of a request's head, and its headers.
const HEAD_BYTES_MAX: usize = 16 << 10;
const HEADERS_MAX: usize = 64;

const OK: &str = "200 OK";
const UNAVAILABLE: &str = "503 Service Unavailable";

/// Why the port cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum MonitorError {
    /// The address is taken, or is none of this machine's.
    #[error("could not listen on {address} for metrics: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
}

/// A port that is taken, and does not answer yet.
#[derive(Debug)]
pub struct Monitor {
    listener: TcpListener,
    address: SocketAddr,
    pages: Arc<Pages>,
}

#[derive(Debug)]
struct Pages {
    database: Database,
    /// The one scrape that runs.
    collector: Arc<Mutex<Collector>>,
    connections: Arc<Semaphore>,
}

impl Monitor {
    /// Takes an address; port 0 takes a free one. Whoever reaches it can read figures and names of
    /// databases, tables and roles, without a password.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub async fn bind(database: Database, address: SocketAddr) -> Result<Self, MonitorError> {
        let problem = |source| MonitorError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(problem)?;
        let address = listener.local_addr().map_err(problem)?;
        let pages = Pages {
            collector: Arc::new(Mutex::new(Collector::new(database.clone()))),
            connections: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            database,
        };
        Ok(Self {
            listener,
            address,
            pages: Arc::new(pages),
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `shutdown` is done.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) {
        tracing::info!("metrics on http://{}/metrics", self.address);
        let mut pause = Duration::from_millis(10);
        tokio::pin!(shutdown);
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((socket, _)) => {
                        pause = Duration::from_millis(10);
                        // With too many open, the next is closed at once.
                        if let Ok(permit) = Arc::clone(&self.pages.connections).try_acquire_owned() {
                            let pages = Arc::clone(&self.pages);
                            tokio::spawn(async move {
                                serve(socket, pages).await;
                                drop(permit);
                            });
                        }
                    }
                    Err(error) => {
                        tracing::warn!("could not accept a connection for metrics: {error}");
                        tokio::time::sleep(pause).await;
                        pause = (pause * 2).min(Duration::from_secs(1));
                    }
                },
                () = &mut shutdown => break,
            }
        }
    }
}

async fn serve(mut socket: TcpStream, pages: Arc<Pages>) {
    let asked = tokio::time::timeout(HEADER_TIMEOUT, head(&mut socket)).await;
    let answer = match asked {
        // Nobody is there to be told.
        Ok(Err(_)) | Err(_) => return,
        Ok(Ok(None)) => Answer::text("400 Bad Request", "not a request\n"),
        Ok(Ok(Some((method, target)))) => pages.answer(&method, &target).await,
    };
    let sent = async {
        socket.write_all(&answer.bytes).await?;
        socket.shutdown().await?;
        // What the client still sends is read, so that closing does not take the answer back.
        let mut rest = [0; 512];
        while socket.read(&mut rest).await? > 0 {}
        std::io::Result::Ok(())
    };
    match tokio::time::timeout(SEND_TIMEOUT, sent).await {
        Ok(Ok(())) | Err(_) => {}
        Ok(Err(error)) => tracing::debug!("a connection for metrics ended: {error}"),
    }
}

/// Reads the head of a request: its method and what it asks for; None for bytes that are none.
async fn head(socket: &mut TcpStream) -> std::io::Result<Option<(String, String)>> {
    let mut bytes = Vec::with_capacity(1024);
    loop {
        if socket.read_buf(&mut bytes).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(&bytes) {
            Ok(httparse::Status::Complete(_)) => {
                return Ok(request
                    .method
                    .zip(request.path)
                    .map(|(method, path)| (method.to_owned(), path.to_owned())));
            }
            Ok(httparse::Status::Partial) if bytes.len() < HEAD_BYTES_MAX => {}
            Ok(httparse::Status::Partial) | Err(_) => return Ok(None),
        }
    }
}

/// An answer as it goes over the wire; each connection gets one.
struct Answer {
    bytes: Vec<u8>,
}

impl Answer {
    fn text(status: &str, body: impl AsRef<str>) -> Self {
        Self::of(status, "text/plain; charset=utf-8", body.as_ref())
    }

    fn of(status: &str, kind: &str, body: &str) -> Self {
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\
             Connection: close\r\nCache-Control: no-store\r\nAllow: GET, HEAD\r\n\r\n"
        );
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(body.as_bytes());
        Self { bytes }
    }

    /// The same without its body, for HEAD.
    fn head(mut self) -> Self {
        let end = self.bytes.windows(4).position(|four| four == b"\r\n\r\n");
        self.bytes.truncate(end.map_or(0, |end| end + 4));
        self
    }
}

impl Pages {
    async fn answer(&self, method: &str, target: &str) -> Answer {
        let path = target.split('?').next().unwrap_or_default();
        match method {
            "GET" => self.page(path).await,
            "HEAD" => self.page(path).await.head(),
            _ => Answer::text("405 Method Not Allowed", "only GET and HEAD\n"),
        }
    }

    async fn page(&self, path: &str) -> Answer {
        match path {
            "/metrics" => match self.with_collector(Collector::collect).await {
                Some(text) => Answer::of(OK, "text/plain; version=0.0.4; charset=utf-8", &text),
                None => Answer::text(
                    "500 Internal Server Error",
                    "metrics could not be collected\n",
                ),
            },
            // Alive, and able to keep what it is given.
            "/healthz" => match self.database.failed() {
                false => Answer::text(OK, "ok\n"),
                true => Answer::text(
                    UNAVAILABLE,
                    "the disk failed: writes are refused until the server is started again\n",
                ),
            },
            // Able to answer statements.
            "/readyz" => self.ready().await,
            "/" => Answer::text(OK, "/metrics\n/healthz\n/readyz\n"),
            _ => Answer::text("404 Not Found", "not found\n"),
        }
    }

    async fn ready(&self) -> Answer {
        if self.database.failed() {
            return Answer::text(UNAVAILABLE, "writes are refused\n");
        }
        match self.with_collector(Collector::ready).await {
            Some(Ok(())) => Answer::text(OK, "ok\n"),
            Some(Err(error)) => Answer::text(UNAVAILABLE, format!("{error}\n")),
            None => Answer::text(UNAVAILABLE, "no answer\n"),
        }
    }

    /// Asks on a thread of its own, as the embedding API blocks; None when there can be none.
    async fn with_collector<T: Send + 'static>(&self, ask: fn(&mut Collector) -> T) -> Option<T> {
        let mut collector = Arc::clone(&self.collector).lock_owned().await;
        let (answer, answered) = oneshot::channel();
        let thread = std::thread::Builder::new().name("metrics".to_owned());
        // Who asked may be gone.
        let thread = thread.spawn(move || drop(answer.send(ask(&mut collector))));
        if let Err(error) = thread {
            tracing::error!("metrics could not be collected: {error}");
            return None;
        }
        answered.await.ok()
    }
}

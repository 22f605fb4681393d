//! The port: three pages over HTTP.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chronolith::Database;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, Semaphore, oneshot};

use crate::collect::Collector;

/// Connections at once: a scraper, a probe or two, somebody who looks.
const CONNECTIONS_MAX: usize = 32;
/// How long a client may take to ask.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long one connection may last.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(120);

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

async fn serve(socket: TcpStream, pages: Arc<Pages>) {
    let answer = service_fn(move |request| {
        let pages = Arc::clone(&pages);
        async move { Ok::<_, Infallible>(pages.answer(&request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(16 << 10)
        .serve_connection(TokioIo::new(socket), answer);
    let ended = tokio::time::timeout(CONNECTION_TIMEOUT, connection).await;
    if let Ok(Err(error)) = ended {
        tracing::debug!("a connection for metrics ended: {error}");
    }
}

impl Pages {
    async fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut refused = page(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
            let allowed = hyper::header::HeaderValue::from_static("GET, HEAD");
            refused.headers_mut().insert(ALLOW, allowed);
            return refused;
        }
        match request.uri().path() {
            "/metrics" => self.metrics().await,
            // Alive, and able to keep what it is given.
            "/healthz" => match self.database.failed() {
                false => page(StatusCode::OK, "ok\n"),
                true => page(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "the disk failed: writes are refused until the server is started again\n",
                ),
            },
            // Able to answer statements.
            "/readyz" => self.ready().await,
            "/" => page(StatusCode::OK, "/metrics\n/healthz\n/readyz\n"),
            _ => page(StatusCode::NOT_FOUND, "not found\n"),
        }
    }

    async fn metrics(&self) -> Response<Full<Bytes>> {
        match self.with_collector(Collector::collect).await {
            Some(text) => {
                let mut page = page(StatusCode::OK, text);
                let kind = "text/plain; version=0.0.4; charset=utf-8";
                let kind = hyper::header::HeaderValue::from_static(kind);
                page.headers_mut().insert(CONTENT_TYPE, kind);
                page
            }
            None => page(
                StatusCode::INTERNAL_SERVER_ERROR,
                "metrics could not be collected\n",
            ),
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

    async fn ready(&self) -> Response<Full<Bytes>> {
        if self.database.failed() {
            return page(StatusCode::SERVICE_UNAVAILABLE, "writes are refused\n");
        }
        match self.with_collector(Collector::ready).await {
            Some(Ok(())) => page(StatusCode::OK, "ok\n"),
            Some(Err(error)) => page(StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")),
            None => page(StatusCode::SERVICE_UNAVAILABLE, "no answer\n"),
        }
    }
}

fn page(status: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    let kind = hyper::header::HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

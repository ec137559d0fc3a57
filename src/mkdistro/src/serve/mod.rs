//! A small HTTP server for the files of a folder: what machines that boot from the network need, and no more.
//!
//! HTTP/1.1 (RFC 9110, RFC 9112): GET and HEAD of regular files, one range of bytes, one request a connection. Nothing
//! outside of the folder is ever read, whatever a path or a link says. A fixed number of threads answers, each one
//! connection at a time, with limits on size and time of a request.

mod request;
mod response;
#[cfg(test)]
mod tests;

use std::io::{self, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use request::Request;
use response::Response;

/// Connections answered at once; further ones wait in the kernel's queue.
const THREADS: usize = 32;
/// Longest silence of a client.
const PATIENCE: Duration = Duration::from_secs(30);
/// Before the next try when no connection can be taken: too many open files, say.
const PAUSE: Duration = Duration::from_millis(100);

/// A server that has its address.
pub struct Server {
    root: PathBuf,
    listener: TcpListener,
}

impl Server {
    /// Takes an address, for the files of a folder.
    ///
    /// # Errors
    /// There is no such folder, or the address is taken.
    pub fn bind(folder: &Path, address: SocketAddr) -> Result<Self> {
        let root = folder.canonicalize().with_context(|| format!("looking for the folder {}", folder.display()))?;
        anyhow::ensure!(root.is_dir(), "{} is no folder", folder.display());
        let listener = TcpListener::bind(address).with_context(|| format!("listening on {address}"))?;
        Ok(Self { root, listener })
    }

    /// The address that clients on the network can use: this machine's, if it listens on all of them.
    ///
    /// # Errors
    /// The system does not tell.
    pub fn address(&self) -> Result<SocketAddr> {
        let mut address = self.listener.local_addr().context("asking for the server's address")?;
        if address.ip().is_unspecified()
            && let Ok(ip) = outward_address()
        {
            address.set_ip(ip);
        }
        Ok(address)
    }

    /// Answers until the process ends. `log` gets a line for each request.
    pub fn run(&self, log: &(dyn Fn(&str) + Sync)) {
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| self.work(log));
            }
        });
    }

    fn work(&self, log: &(dyn Fn(&str) + Sync)) {
        loop {
            match self.listener.accept() {
                Ok((stream, client)) => {
                    let line = answer(&self.root, &stream).unwrap_or_else(|error| format!("gave up: {error}"));
                    log(&format!("{} {line}", client.ip()));
                }
                Err(error) => {
                    log(&format!("no connection: {error}"));
                    std::thread::sleep(PAUSE);
                }
            }
        }
    }
}

/// The address of the interface that leads out. A datagram socket that is connected sends nothing by that; the address is
/// one for documentation (RFC 5737).
fn outward_address() -> io::Result<std::net::IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9))?;
    Ok(socket.local_addr()?.ip())
}

/// Answers one request; what the log says of it.
fn answer(root: &Path, stream: &TcpStream) -> io::Result<String> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    let (line, response) = match Request::read(&mut BufReader::new(stream))? {
        Ok(request) => (format!("{} {}", request.method, request.target), Response::to(root, &request)),
        Err(status) => ("-".to_owned(), Response::status(status)),
    };
    let line = format!("{line} {} {}", response.status.0, response.length);
    response.write(stream)?;
    Ok(line)
}

//! A server on a thread of its own that answers every request with the same stream, on connections that stay open.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

/// The server. It ends with the process.
pub struct Server {
    addr: SocketAddr,
}

impl Server {
    /// Starts a server that sends each frame as a chunk of its own.
    ///
    /// # Errors
    ///
    /// Fails if no port can be bound.
    pub fn start(frames: &[String]) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let addr = listener.local_addr()?;
        let mut answer =
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
        for frame in frames {
            answer.extend_from_slice(format!("{:x}\r\n{frame}\r\n", frame.len()).as_bytes());
        }
        answer.extend_from_slice(b"0\r\n\r\n");
        thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let answer = answer.clone();
                thread::spawn(move || serve(socket, &answer));
            }
        });
        Ok(Self { addr })
    }

    /// Returns the base URL, which ends in `/v1`.
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.addr)
    }
}

fn serve(mut socket: TcpStream, answer: &[u8]) {
    let _ = socket.set_nodelay(true);
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(n) = socket.read(&mut buffer) {
        if n == 0 {
            return;
        }
        request.extend_from_slice(&buffer[..n]);
        let Some(end) = request.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8_lossy(&request[..end]).to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
        if request.len() < end + 4 + length.unwrap_or(0) {
            continue;
        }
        request.clear();
        if socket.write_all(answer).is_err() {
            return;
        }
    }
}

//! A client on a WebSocket without a session.

use std::net::TcpStream;

use tokio_tungstenite::tungstenite::stream::MaybeTlsStream;
use tokio_tungstenite::tungstenite::{Message, WebSocket, connect};

use crate::program::PATIENCE;

pub(crate) struct Raw {
    pub(crate) socket: WebSocket<MaybeTlsStream<TcpStream>>,
}

impl Raw {
    pub(crate) fn connect(url: &str) -> Self {
        let (socket, _) = connect(url).unwrap();
        let MaybeTlsStream::Plain(stream) = socket.get_ref() else { panic!("TLS") };
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { socket }
    }

    pub(crate) fn says(&mut self, text: &str) {
        self.socket.send(Message::text(text)).unwrap();
    }

    /// Reads up to a text that starts like this.
    pub(crate) fn expect(&mut self, start: &str) -> String {
        loop {
            let message = self.socket.read().unwrap();
            assert!(!message.is_close(), "{message}");
            if message.is_text() && message.to_text().unwrap().starts_with(start) {
                return message.to_text().unwrap().to_owned();
            }
        }
    }

    /// Reads up to the close frame, and answers it.
    pub(crate) fn close_code(&mut self) -> u16 {
        let code = loop {
            if let Message::Close(frame) = self.socket.read().unwrap() {
                break frame.unwrap().code.into();
            }
        };
        while self.socket.read().is_ok() {}
        code
    }
}

//! The bingo server once more, on `tokio_util::codec::Framed`: the codec alone. What a session would
//! do (numbers, who may say what when, pings, timeouts) is one's own affair then.

use std::sync::{Arc, Mutex, PoisonError};

use bingo_proto::{ClientMessage, CodecConfig, FrameCodec, MessageId, ServerMessage, to_json};
use futures_util::{SinkExt, StreamExt};
use smallwire_examples::bingo_game::Board;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;
use tokio_util::codec::Framed;

type Room = (Mutex<Board>, broadcast::Sender<Vec<u8>>);

async fn connection(room: Arc<Room>, socket: TcpStream) -> anyhow::Result<()> {
    let config = CodecConfig::default();
    let mut framed = Framed::new(socket, FrameCodec::new(config));
    let (mut updates, mut id, mut name) = (room.1.subscribe(), MessageId(0x8000), None);
    let (mut is_over, mut answers) = (false, Vec::new());
    while !is_over {
        tokio::select! {
            frame = framed.next() => {
                let Some(frame) = frame.transpose()? else { break };
                let in_reply_to = frame.id().unwrap_or(MessageId(0));
                let mut answer = |message: ServerMessage<'_>| {
                    answers.push(message.to_frame(id, &config));
                    id = id.next();
                };
                let mut board = room.0.lock().unwrap_or_else(PoisonError::into_inner);
                match (ClientMessage::decode(frame.as_ref(), &config), &name) {
                    (Ok(ClientMessage::Identification(who)), None) if who.login != "mallory" => {
                        answer(ServerMessage::Ready { token: (&b"choose a better one"[..]).into() });
                        answer(ServerMessage::DataUpdate(&to_json(&board.variables())?));
                        name = Some(who.username.into_owned());
                    }
                    (Ok(ClientMessage::Identification(_)), None) => {
                        answer(ServerMessage::ErrorReply { in_reply_to, text: "unknown login" });
                        is_over = true;
                    }
                    (Ok(ClientMessage::Request(ask)), Some(name)) => {
                        match board.claim_json(ask, name) {
                            Ok(update) => {
                                answer(ServerMessage::Acknowledgement { in_reply_to });
                                room.1.send(update)?;
                            }
                            Err(e) => answer(ServerMessage::ErrorReply { in_reply_to, text: &e }),
                        }
                    }
                    (Ok(ClientMessage::Noop), _) | (Ok(ClientMessage::Event(_)), Some(_)) => {}
                    (wrong, _) => {
                        let reason = wrong.map_or_else(|e| e.to_string(), |_| "not now".into());
                        answer(ServerMessage::ProtocolError { reason: &reason });
                        is_over = true;
                    }
                }
            },
            // Whoever is so slow as to miss some is cut off.
            update = updates.recv(), if name.is_some() => {
                answers.push(ServerMessage::DataUpdate(&update?).to_frame(id, &config));
                id = id.next();
            }
        }
        for frame in answers.drain(..) {
            framed.send(frame?).await?;
        }
    }
    Ok(framed.close().await?)
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:0".into());
    let listener = TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);
    let room = Arc::new((Mutex::new(Board::new(25)), broadcast::channel(64).0));
    loop {
        tokio::spawn(connection(room.clone(), listener.accept().await?.0));
    }
}

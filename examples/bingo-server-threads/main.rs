//! The bingo server once more, on blocking std threads: a reader and a writer for each connection.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use bingo_proto::{Config, Server, ServerEvent, Session, to_json};
use bytes::Bytes;
use smallwire_examples::bingo_game::Board;

type Players = BTreeMap<u64, (Server, mpsc::SyncSender<Bytes>, String)>;

fn handle(players: &mut Players, board: &mut Board, number: u64, event: ServerEvent) {
    let now = Instant::now();
    let Some((session, _, name)) = players.get_mut(&number) else { return };
    match event {
        ServerEvent::Identified(who) if ["ada", "ben", "cleo"].contains(&&*who.login) => {
            *name = who.username.into_owned();
            let _ = session.accept(now, b"choose a better one");
            let _ = session.data_update(now, &to_json(&board.variables()).unwrap_or_default());
        }
        ServerEvent::Identified(_) => session.refuse(now, "unknown login").unwrap_or(()),
        ServerEvent::Request { id, payload } => match board.claim_json(&payload, name) {
            Err(text) => session.reject(now, id, &text).unwrap_or(()),
            Ok(update) => {
                let _ = session.acknowledge(now, id);
                for (session, ..) in players.values_mut() {
                    let _ = session.data_update(now, &update);
                }
            }
        },
        _ => {}
    }
}

fn connection(room: &Mutex<(Players, Board)>, number: u64, mut socket: TcpStream) {
    let (writer, queue) = mpsc::sync_channel::<Bytes>(64);
    let Ok(mut out) = socket.try_clone() else { return };
    std::thread::spawn(move || {
        let _ = queue.into_iter().try_for_each(|bytes| out.write_all(&bytes));
        let _ = out.shutdown(Shutdown::Write);
    });
    let session = Server::new(Arc::new(Config::default()), Instant::now());
    let lock = || room.lock().unwrap_or_else(PoisonError::into_inner);
    lock().0.insert(number, (session, writer, String::new()));
    // Timers are looked after ten times a second.
    let _ = socket.set_read_timeout(Some(Duration::from_millis(100)));
    let mut buffer = [0; 16 * 1024];
    loop {
        let read = socket.read(&mut buffer);
        let (players, board) = &mut *lock();
        let Some((session, ..)) = players.get_mut(&number) else { return };
        match read {
            Ok(len @ 1..) => session.handle_input(Instant::now(), &buffer[..len]),
            Err(e) if e.kind() == ErrorKind::WouldBlock => session.handle_timeout(Instant::now()),
            _ => session.handle_eof(Instant::now()),
        }
        while let Some(event) = players.get_mut(&number).and_then(|(one, ..)| one.poll_event()) {
            handle(players, board, number, event);
        }
        // What there is to send goes to the writers; who has ended, or lets the queue fill, goes.
        players.retain(|_, (one, writer, _)| {
            one.poll_transmit().is_none_or(|b| writer.try_send(b).is_ok()) && one.ended().is_none()
        });
    }
}

fn main() -> std::io::Result<()> {
    let listener = TcpListener::bind(std::env::args().nth(1).unwrap_or("127.0.0.1:0".into()))?;
    println!("listening on {}", listener.local_addr()?);
    let room = Arc::new(Mutex::new((Players::new(), Board::new(25))));
    for number in 0.. {
        let (room, (socket, _)) = (room.clone(), listener.accept()?);
        std::thread::spawn(move || connection(&room, number, socket));
    }
    Ok(())
}

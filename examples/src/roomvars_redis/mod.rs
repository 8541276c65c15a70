//! Rooms that several servers share through Redis.
//!
//! A room is there what it is in a hub: its variables, and the order of changes, each with the number after
//! that of the one before. A client's change is made there, by a script, and the hubs of all servers, that of
//! the client's own included, apply it when they read it from the room's stream. So all of them make the same
//! changes in the same order, and whatever anyone has been told is in Redis.
//!
//! Whenever a server can't go on from what it has (Redis is lost, the room isn't there any more, the stream
//! doesn't go back to where the server stands) it forgets what it has and closes the clients that it concerns,
//! with a code after which they come again; then it starts from what Redis has.
//!
//! A client's next message is read when Redis has its last one: that is all that waits here of each.
//!
//! All that touches the hub, and what is known of its rooms, happens in the hub's task.

mod room;

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::future::{Future, pending};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisError, RedisResult, Script};
use roomvars_proto::{
    ApplyError, ClientMessage, CloseCode, ConnId, Dialect, Hub, HubConfig, Limits, Message, Policy,
    Value,
};
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;
use tracing::{info, warn};

use crate::app::now;
use crate::hub::Sockets;
use crate::websocket::WebSocket;
use room::{Change, Room, stored, values};

/// Changes that a room's stream keeps, or a few more. A server further behind starts the room again.
const MAX_CHANGES: u64 = 1000;

/// A room that was made anew meanwhile begins further above the last change than this.
const FAR: u64 = 2 * MAX_CHANGES;

/// Changes of a room that are read at a time.
const MAX_READ: usize = 64;

/// How long to wait for changes before looking which rooms to read now.
const READ_TIME: Duration = Duration::from_millis(50);

/// How long Redis may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// From one attempt to reach Redis to the next.
const PAUSE: Duration = Duration::from_millis(500);

/// How often servers say which rooms they have clients in.
const RENEWAL: Duration = Duration::from_secs(2);

/// A room that no server has said so of for this long has no clients.
const LEASE: Duration = Duration::from_secs(10);

/// For so long after others have set a variable a client is told its own sets of it too: its earlier
/// one may have crossed theirs.
const CROSSING: Duration = Duration::from_secs(2);

/// In place of how many variables a room may have, if it has what it has.
const FIXED: i64 = -1;

/// Changes of rooms, as Redis has them: a room's key, and its entries.
type Read = Vec<(String, Vec<(String, HashMap<String, String>)>)>;

/// A change in the order of its room: its number, what it is, and by whom.
type Numbered = (u64, Change, String);

/// What a server shares with others.
pub struct Shared<P> {
    client: Client,
    sockets: Sockets<P>,
    limits: Limits,
    max_rooms: usize,
    /// How long Redis keeps a room without clients, in milliseconds.
    ttl: u64,
    /// Tells this server's changes from those of others.
    name: String,
    /// Redis, while it is there.
    link: watch::Sender<Option<MultiplexedConnection>>,
    lost: mpsc::Sender<RedisError>,
    /// The rooms that the hub has clients in.
    open: Mutex<HashMap<Room, Open>>,
    /// This server's clients by number.
    authors: Mutex<HashMap<u64, ConnId>>,
    next_author: AtomicU64,
    enter: Script,
    change: Script,
    renew: Script,
}

impl<P> fmt::Debug for Shared<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A room in the hub.
struct Open {
    /// The number of the last change in it.
    position: u64,
    /// Who set each variable last.
    setters: HashMap<String, Setter>,
}

struct Setter {
    by: String,
    at: Instant,
    /// Until then its clients are told their own sets.
    crossing: Option<Instant>,
}

/// What a client wants of Redis.
enum Wanted {
    Room(Room, Vec<(String, String)>),
    Change(Room, Change),
}

/// What keeps [`Shared`] going, beside the hub's task: see [`run_with`].
#[derive(Debug)]
pub struct Keeper<P> {
    shared: Arc<Shared<P>>,
    lost: mpsc::Receiver<RedisError>,
}

/// What a hub is to be made with whose rooms are shared, if there is a `redis`: those without clients it
/// forgets.
pub fn hub_config(config: &Arc<HubConfig>, redis: Option<&Client>) -> Arc<HubConfig> {
    match redis {
        Some(_) => Arc::new((**config).clone().empty_room_ttl(Duration::ZERO)),
        None => config.clone(),
    }
}

/// Shares the rooms of the hub behind `sockets`, as `config` has it, if there is a `redis`.
pub fn share<P: Policy + 'static>(
    redis: Option<Client>,
    config: &HubConfig,
    sockets: &Sockets<P>,
) -> (Option<Arc<Shared<P>>>, Option<Keeper<P>>) {
    let Some(client) = redis else { return (None, None) };
    let (failed, lost) = mpsc::channel(1);
    let shared = Arc::new(Shared {
        client,
        sockets: sockets.clone(),
        limits: config.limits,
        max_rooms: config.max_rooms,
        // What Redis adds to its time.
        ttl: millis(config.empty_room_ttl.max(LEASE)).min(1 << 43),
        name: random_name(),
        link: watch::Sender::new(None),
        lost: failed,
        open: Mutex::default(),
        authors: Mutex::default(),
        next_author: AtomicU64::new(0),
        enter: Script::new(include_str!("enter.lua")),
        change: Script::new(include_str!("change.lua")),
        renew: Script::new(include_str!("renew.lua")),
    });
    (Some(shared.clone()), Some(Keeper { shared, lost }))
}

/// Runs a hub's task to its end, and a keeper as long, if there is one.
pub async fn run_with<P: Policy + 'static>(
    keeper: Option<Keeper<P>>,
    hub: impl Future<Output = ()>,
) {
    let kept = async {
        if let Some(keeper) = keeper {
            keeper.run().await;
        }
        pending::<()>().await;
    };
    tokio::select! {
        () = hub => {}
        () = kept => {}
    }
}

fn random_name() -> String {
    getrandom::u64().map_or_else(|_| std::process::id().to_string(), |name| format!("{name:016x}"))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<P: Policy + 'static> Shared<P> {
    /// Joins a WebSocket to the hub, as [`Sockets::serve`] does, and what its client does to all servers'.
    ///
    /// # Errors
    /// As [`Sockets::serve`].
    pub async fn serve(
        self: &Arc<Self>,
        socket: impl WebSocket,
        dialect: Dialect,
    ) -> io::Result<()> {
        let author = Author { number: self.next_author.fetch_add(1, Ordering::Relaxed), of: self };
        let author = &author;
        self.sockets.serve_judged(socket, dialect, |id, message| author.judge(id, message)).await
    }

    /// Lets a client into a room.
    async fn enter(
        self: &Arc<Self>,
        id: ConnId,
        room: Room,
        variables: &[(String, String)],
        message: Message,
    ) -> Option<()> {
        let Some(mut link) = self.link.borrow().clone() else { return self.turn_away(id).await };
        let mut enter = self.enter.key(room.values());
        enter.key(room.changes()).key("{roomvars}:rooms").arg(room.name());
        enter.arg(self.ttl).arg(millis(LEASE)).arg(self.max_rooms);
        for (name, value) in variables {
            enter.arg(name).arg(stored(&(&**value).into()));
        }
        let (created, found): (i64, _) = match enter.invoke_async(&mut link).await {
            Ok(entered) => entered,
            Err(error) => return self.fail(id, error).await,
        };
        if created < 0 {
            return self.kick(id, CloseCode::OVERLOADED).await;
        }
        let Some((position, values)) = values(found) else {
            warn!(room = room.id, "what Redis has is no room");
            return self.turn_away(id).await;
        };
        let shared = self.clone();
        let enter = move |hub: &mut Hub<P>| {
            if shared.link.borrow().is_none() {
                return turn_away(hub, id);
            }
            // Those that are empty go.
            hub.handle_timeout(now());
            let here = locked(&shared.open).get(&room).map(|open| open.position);
            let is_another = |here| {
                let most = if created == 1 { here } else { here + FAR };
                position > most
            };
            if here.is_some_and(is_another) {
                shared.forget(hub, &room, "Redis has lost it");
            }
            let is_there = hub.room(room.is_scratch, &room.id).is_some();
            if !is_there && created == 0 && restore(hub, &room, &values).is_err() {
                return hub.kick(now(), id, CloseCode::OVERLOADED);
            }
            hub.handle_input(now(), id, &message);
            if !is_there {
                locked(&shared.open).insert(room, Open { position, setters: HashMap::new() });
            }
        };
        self.sockets.ask(enter).await
    }

    /// Makes a client's change.
    async fn change(
        self: &Arc<Self>,
        id: ConnId,
        author: u64,
        room: Room,
        change: Change,
    ) -> Option<()> {
        let Some(mut link) = self.link.borrow().clone() else { return self.turn_away(id).await };
        let most = if room.is_scratch { self.limits.max_scratch_variables } else { 0 };
        let most = if room.is_scratch { i64::try_from(most).unwrap_or(i64::MAX) } else { FIXED };
        let mut made = self.change.key(room.values());
        made.key(room.changes()).arg(&*change.op).arg(change.name).arg(change.value);
        made.arg(format!("{}:{author}", self.name)).arg(most).arg(self.ttl).arg(MAX_CHANGES);
        match made.invoke_async::<i64>(&mut link).await {
            Ok(-3) => self.kick(id, CloseCode::GENERIC).await,
            Ok(..0) => {
                let shared = self.clone();
                let forget = move |hub: &mut Hub<P>| shared.forget(hub, &room, "it is gone");
                self.sockets.ask(forget).await
            }
            Ok(0..) => Some(()),
            Err(error) => self.fail(id, error).await,
        }
    }

    async fn fail(&self, id: ConnId, error: RedisError) -> Option<()> {
        let _ = self.lost.try_send(error);
        self.turn_away(id).await
    }

    /// Closes a client that may come again.
    async fn turn_away(&self, id: ConnId) -> Option<()> {
        self.sockets.ask(move |hub| turn_away(hub, id)).await
    }

    async fn kick(&self, id: ConnId, code: CloseCode) -> Option<()> {
        self.sockets.ask(move |hub| hub.kick(now(), id, code)).await
    }

    /// Forgets a room, and closes those who are in it.
    fn forget(&self, hub: &mut Hub<P>, room: &Room, why: &str) {
        warn!(room = room.id, "a room starts again: {why}");
        locked(&self.open).remove(room);
        let there = hub.connections().filter(|one| {
            one.room == Some(&*room.id) && (one.dialect == Dialect::Scratch) == room.is_scratch
        });
        for id in there.map(|one| one.id).collect::<Vec<_>>() {
            turn_away(hub, id);
        }
        hub.handle_timeout(now());
    }

    /// Forgets all rooms.
    fn forget_all(&self, hub: &mut Hub<P>) {
        locked(&self.open).clear();
        let there = hub.connections().filter(|one| one.room.is_some());
        for id in there.map(|one| one.id).collect::<Vec<_>>() {
            turn_away(hub, id);
        }
        hub.handle_timeout(now());
    }

    /// Makes changes that were read.
    fn apply(&self, hub: &mut Hub<P>, rooms: Vec<(Room, Vec<Numbered>)>) {
        for (room, changes) in rooms {
            for (number, change, by) in changes {
                if let Err(why) = self.apply_one(hub, &room, number, &change, &by) {
                    self.forget(hub, &room, &why);
                    break;
                }
            }
        }
    }

    fn apply_one(
        &self,
        hub: &mut Hub<P>,
        room: &Room,
        number: u64,
        change: &Change,
        by: &str,
    ) -> Result<(), String> {
        let mut rooms = locked(&self.open);
        let Some(open) = rooms.get_mut(room).filter(|open| number > open.position) else {
            return Ok(());
        };
        if number != open.position + 1 {
            return Err(format!("{} changes are missed", number - open.position - 1));
        }
        open.position = number;
        let own = by.strip_prefix(&*self.name).and_then(|by| by.strip_prefix(':')?.parse().ok());
        let mut author = own.and_then(|number: u64| locked(&self.authors).get(&number).copied());
        if change.op != "set" {
            open.setters.remove(&change.name);
        } else if open.is_crossing(&change.name, by) {
            author = None;
        }
        let message = change.message().ok_or("what Redis has is no change")?;
        match hub.apply(now(), room.is_scratch, &room.id, author, &message) {
            Ok(()) => Ok(()),
            // The last client has left.
            Err(ApplyError::UnknownRoom) => {
                rooms.remove(room);
                Ok(())
            }
            Err(error) => Err(error.to_string()),
        }
    }
}

impl Open {
    /// Somebody sets a variable. Tells whether others have just done so.
    fn is_crossing(&mut self, name: &str, by: &str) -> bool {
        let at = now();
        let Some(last) = self.setters.get_mut(name) else {
            let setter = Setter { by: by.to_owned(), at, crossing: None };
            self.setters.insert(name.to_owned(), setter);
            return false;
        };
        let crosses = (last.by != by && at < last.at + CROSSING)
            || last.crossing.is_some_and(|until| at < until);
        last.crossing = crosses.then(|| at + CROSSING);
        last.at = at;
        if last.by != by {
            by.clone_into(&mut last.by);
        }
        crosses
    }
}

/// A client, for as long as it has a socket.
struct Author<'a, P> {
    number: u64,
    of: &'a Arc<Shared<P>>,
}

impl<P> Drop for Author<'_, P> {
    fn drop(&mut self) {
        locked(&self.of.authors).remove(&self.number);
    }
}

impl<P: Policy + 'static> Author<'_, P> {
    /// Does what a client says. What is given back is for the hub as it is.
    async fn judge(&self, id: ConnId, message: Message) -> Option<Message> {
        if !matches!(message, Message::Text(_)) {
            return Some(message);
        }
        let (shared, number, said) = (self.of.clone(), self.number, message.clone());
        let propose = move |hub: &mut Hub<P>| shared.propose(hub, id, number, &said);
        match self.of.sockets.ask(propose).await?? {
            Wanted::Room(room, variables) => self.of.enter(id, room, &variables, message).await,
            Wanted::Change(room, change) => self.of.change(id, number, room, change).await,
        };
        None
    }
}

impl<P: Policy + 'static> Shared<P> {
    /// What a client says, if it is something that Redis has to know.
    fn propose(
        &self,
        hub: &mut Hub<P>,
        id: ConnId,
        author: u64,
        message: &Message,
    ) -> Option<Wanted> {
        let proposed = hub.propose(now(), id, message)?;
        let one = hub.connection(id)?;
        let is_scratch = one.dialect == Dialect::Scratch;
        let ClientMessage::Handshake { room, variables, .. } = proposed else {
            let room = Room { is_scratch, id: one.room?.to_owned() };
            return Some(Wanted::Change(room, Change::of(proposed)?));
        };
        locked(&self.authors).insert(author, id);
        let room = Room { is_scratch, id: room.as_str().to_owned() };
        hub.handle_timeout(now());
        if hub.room(is_scratch, &room.id).is_some() && locked(&self.open).contains_key(&room) {
            hub.handle_input(now(), id, message);
            return None;
        }
        let owned =
            |(name, value): (Cow<'_, str>, Cow<'_, str>)| (name.into_owned(), value.into_owned());
        Some(Wanted::Room(room, variables.iter().map(owned).collect()))
    }
}

/// Closes a client that may come again.
fn turn_away<P: Policy>(hub: &mut Hub<P>, id: ConnId) {
    if let Some(dialect) = hub.connection(id).map(|one| one.dialect) {
        hub.kick(now(), id, dialect.kick_code());
    }
}

fn restore<P: Policy>(
    hub: &mut Hub<P>,
    room: &Room,
    values: &[(String, Value)],
) -> Result<(), ApplyError> {
    let values: Vec<_> = values.iter().map(|(name, value)| (&name[..], value.as_ref())).collect();
    let restored = hub.restore(now(), room.is_scratch, &room.id, &values);
    if let Err(error) = restored {
        warn!(room = room.id, "no room for it: {error}");
    }
    restored
}

impl<P: Policy + 'static> Keeper<P> {
    /// Goes on until the hub is gone.
    async fn run(mut self) {
        let shared = self.shared.clone();
        loop {
            let error = match shared.connect().await {
                Ok((commands, reads)) => {
                    // Of the link before.
                    let _ = self.lost.try_recv();
                    info!("Redis is there");
                    shared.link.send_replace(Some(commands.clone()));
                    let ended = tokio::select! {
                        ended = shared.read(reads) => ended,
                        ended = shared.keep(commands) => ended,
                        Some(error) = self.lost.recv() => Err(error),
                    };
                    shared.link.send_replace(None);
                    let here = shared.clone();
                    let forgotten = shared.sockets.ask(move |hub| here.forget_all(hub)).await;
                    match ended {
                        Err(error) if forgotten.is_some() => error,
                        _ => return,
                    }
                }
                Err(error) => error,
            };
            warn!("Redis is not there: {error}");
            // Does anybody still want it?
            if shared.sockets.ask(|_| ()).await.is_none() {
                return;
            }
            sleep(PAUSE).await;
        }
    }
}

impl<P: Policy + 'static> Shared<P> {
    /// Two links, as reading waits.
    async fn connect(&self) -> RedisResult<(MultiplexedConnection, MultiplexedConnection)> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        let mut commands =
            self.client.get_multiplexed_async_connection_with_config(&config).await?;
        let reads = self.client.get_multiplexed_async_connection_with_config(&config).await?;
        let () = redis::cmd("PING").query_async(&mut commands).await?;
        Ok((commands, reads))
    }

    /// Reads what is changed in the rooms, until Redis is lost or, `Ok`, the hub is gone.
    async fn read(self: &Arc<Self>, mut link: MultiplexedConnection) -> RedisResult<()> {
        loop {
            let rooms: Vec<_> = locked(&self.open)
                .iter()
                .map(|(room, open)| (room.clone(), open.position))
                .collect();
            if rooms.is_empty() {
                sleep(READ_TIME).await;
                continue;
            }
            let mut read = redis::cmd("XREAD");
            read.arg("COUNT").arg(MAX_READ).arg("BLOCK").arg(millis(READ_TIME));
            read.arg("STREAMS");
            let keys: HashMap<_, _> =
                rooms.iter().map(|(room, _)| (room.changes(), room)).collect();
            for (room, _) in &rooms {
                read.arg(room.changes());
            }
            for (_, position) in &rooms {
                read.arg(format!("{position}-0"));
            }
            let found: Option<Read> = read.query_async(&mut link).await?;
            let mut changes = Vec::new();
            for (key, entries) in found.unwrap_or_default() {
                let Some(room) = keys.get(&key) else { continue };
                let entries = entries.into_iter().filter_map(|(number, fields)| {
                    // One that can't be read is missed, which shows with the next.
                    let (change, by) = Change::read(fields)?;
                    Some((number.split_once('-')?.0.parse().ok()?, change, by))
                });
                changes.push(((*room).clone(), entries.collect()));
            }
            let shared = self.clone();
            let apply = move |hub: &mut Hub<P>| shared.apply(hub, changes);
            if self.sockets.ask(apply).await.is_none() {
                return Ok(());
            }
        }
    }

    /// Says in which rooms this server has clients, and sees that they are what it has read of them,
    /// until Redis is lost or, `Ok`, the hub is gone.
    async fn keep(self: &Arc<Self>, mut link: MultiplexedConnection) -> RedisResult<()> {
        loop {
            let () = redis::cmd("PING").query_async(&mut link).await?;
            let shared = self.clone();
            let in_use = move |hub: &mut Hub<P>| {
                hub.handle_timeout(now());
                // Those that left before they were noted.
                locked(&shared.authors).retain(|_, id| hub.connection(*id).is_some());
                let mut open = locked(&shared.open);
                open.retain(|room, _| hub.room(room.is_scratch, &room.id).is_some());
                open.iter().map(|(room, open)| (room.clone(), open.position)).collect::<Vec<_>>()
            };
            let Some(rooms) = self.sockets.ask(in_use).await else { return Ok(()) };
            let renewed = rooms.into_iter().map(async |(room, position)| {
                let mut renew = self.renew.key(room.values());
                renew.key(room.changes()).key("{roomvars}:rooms").arg(room.name()).arg(self.ttl);
                let last: Option<u64> = renew.invoke_async(&mut link.clone()).await?;
                let near = position..=position + FAR;
                RedisResult::Ok((room, last.is_some_and(|last| near.contains(&last))))
            });
            let gone: Vec<_> = try_join_all(renewed).await?;
            for (room, _) in gone.into_iter().filter(|(_, is_there)| !is_there) {
                let shared = self.clone();
                let forget = move |hub: &mut Hub<P>| shared.forget(hub, &room, "Redis has lost it");
                if self.sockets.ask(forget).await.is_none() {
                    return Ok(());
                }
            }
            sleep(RENEWAL).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_sets_what_others_have_just_set_is_told_for_a_while() {
        let mut open = Open { position: 0, setters: HashMap::new() };
        assert_eq!(["ada", "ada", "ben"].map(|by| open.is_crossing("x", by)), [false, false, true]);
        // Of what is told it may have set more meanwhile.
        for _ in 0..3 {
            advance(CROSSING / 2).await;
            assert!(open.is_crossing("x", "ben"));
        }
        assert!(!open.is_crossing("y", "ada"));
        advance(CROSSING).await;
        assert!(!open.is_crossing("x", "ben") && !open.is_crossing("y", "ben"));
        advance(CROSSING).await;
        assert!(!open.is_crossing("x", "ada"));
    }
}

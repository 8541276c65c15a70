use std::time::Instant;

/// How a session came to its end; see [`Session::ended`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End<E> {
    /// Over as the protocol means it to be: closed by the caller, or by the peer between messages.
    Clean,
    /// Over because of the error: the peer's violation, its refusal, or a timeout.
    Error(E),
}

impl<E> End<E> {
    /// The error, if it wasn't a clean end.
    pub fn error(&self) -> Option<&E> {
        match self {
            Self::Clean => None,
            Self::Error(error) => Some(error),
        }
    }

    /// A clean end is fine.
    ///
    /// # Errors
    /// It wasn't a clean end.
    pub fn into_result(self) -> Result<(), E> {
        match self {
            Self::Clean => Ok(()),
            Self::Error(error) => Err(error),
        }
    }
}

/// One side of one connection, as a state machine that does no I/O.
///
/// The embedder owns the socket and the clock. It hands in what arrived (`handle_*`), and fetches
/// what is to be done (`poll_*`). The session never blocks, reads a clock, spawns or panics.
///
/// # The contract
///
/// **Handlers** tell the session what happened; they never fail.
/// - [`handle_input`](Self::handle_input): bytes or a message arrived.
/// - [`handle_eof`](Self::handle_eof): the peer will send no more.
/// - [`handle_timeout`](Self::handle_timeout): the time of [`poll_timeout`](Self::poll_timeout)
///   has come. Calling it early or for no reason is harmless. If you are late, hand in first what has
///   arrived meanwhile: what the session hasn't been given when it looks at the time hasn't come.
///
/// Each takes `now`. One that is earlier than the latest given counts as the latest: a clock that
/// stands still or goes back delays timeouts, nothing else.
///
/// **Polls** say what is to be done, and never fail either. After *any* call that takes `&mut
/// self`, the application's own methods (`request`, `close`, …) included, all four may have
/// changed: poll [`poll_transmit`](Self::poll_transmit) and [`poll_event`](Self::poll_event), in
/// whatever order you like, until neither gives anything, and only then ask for
/// [`poll_timeout`](Self::poll_timeout) and sleep. Either may be left unpolled: events, while the
/// application can't keep up, and transmits, while the socket is still busy with the last one. That
/// is how the session sees it, and slows the peer down. (It can't answer the peer's pings then: a
/// peer has its own idea of how long it waits for that.)
///
/// **Back-pressure.** While [`wants_input`](Self::wants_input) is false, leave the bytes in the
/// socket; taking events and transmits makes it true again, unless the stream is over. An input that is handed in all the same
/// is kept, not lost, but then it is you who breaks the bound on memory: what a session keeps is
/// bounded by its limits plus one input. Time in which events that nobody took kept the session
/// from reading doesn't count towards the timeouts of the peer. So if you let events wait, call
/// `handle_timeout` when you come back, before you take them: it tells how long it was.
///
/// **The end** shows in one place, [`ended`](Self::ended), whoever brought it about. From then on
/// - handlers change nothing, `wants_input` is false and `poll_timeout` is `None`;
/// - what is still to be sent (the reason of a violation, say) is in `poll_transmit`;
/// - what was decoded before the end, and one outcome for every request still open, is in
///   `poll_event`. (Only an end that you bring about yourself can find input undecoded.)
///
/// A transport that fails is an end of the stream: call `handle_eof` and drain the events, so that
/// every open request has its outcome.
///
/// So: drain both, write what came, then close the socket. Over TCP, half-close it
/// (`shutdown(Write)`) and read for a moment what the peer has still on its way: closing a socket
/// with unread bytes resets the connection, and the peer may never see your last words. Over a WebSocket,
/// flush the close frame and read until the peer's, or for a moment.
///
/// # A driver
///
/// Whole, on a blocking socket. It serves every byte-stream session of these crates.
///
/// ```
/// use smallwire_core::{End, Session};
/// use std::io::{ErrorKind, Read, Write};
/// use std::net::{Shutdown, TcpStream};
/// use std::time::{Duration, Instant};
///
/// fn drive<S>(
///     session: &mut S,
///     socket: &mut TcpStream,
///     mut on_event: impl FnMut(&mut S, S::Event),
/// ) -> std::io::Result<End<S::Error>>
/// where
///     S: Session<Input = [u8], Transmit: AsRef<[u8]>>,
/// {
///     let result = run(session, socket, &mut on_event);
///     if result.is_err() {
///         session.handle_eof(Instant::now());
///         while let Some(event) = session.poll_event() {
///             on_event(session, event);
///         }
///     }
///     result
/// }
///
/// fn run<S>(
///     session: &mut S,
///     socket: &mut TcpStream,
///     on_event: &mut impl FnMut(&mut S, S::Event),
/// ) -> std::io::Result<End<S::Error>>
/// where
///     S: Session<Input = [u8], Transmit: AsRef<[u8]>>,
/// {
///     let mut buffer = vec![0; 16 * 1024];
///     loop {
///         // 1. Do all there is to do. Events may lead to more to send, so go round until quiet.
///         loop {
///             while let Some(event) = session.poll_event() {
///                 on_event(session, event);
///             }
///             match session.poll_transmit() {
///                 Some(bytes) => socket.write_all(bytes.as_ref())?,
///                 None => break,
///             }
///         }
///         // 2. Over? Everything was drained just now.
///         if let Some(end) = session.ended() {
///             let _ = socket.shutdown(Shutdown::Write);
///             return Ok(end.clone());
///         }
///         // 3. Wait for bytes or for the session's time. All was drained, so it wants input.
///         let now = Instant::now();
///         let wait = session.poll_timeout().map(|at| at.saturating_duration_since(now));
///         if wait == Some(Duration::ZERO) {
///             session.handle_timeout(now);
///             continue;
///         }
///         socket.set_read_timeout(wait)?;
///         match socket.read(&mut buffer) {
///             Ok(0) => session.handle_eof(Instant::now()),
///             Ok(n) => session.handle_input(Instant::now(), &buffer[..n]),
///             Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
///                 session.handle_timeout(Instant::now());
///             }
///             Err(e) if e.kind() == ErrorKind::Interrupted => {}
///             Err(e) => return Err(e),
///         }
///     }
/// }
///
/// // The smallest session there is: it sends back what it gets.
/// #[derive(Default)]
/// struct Echo { out: Vec<u8>, end: Option<End<std::convert::Infallible>> }
///
/// impl Session for Echo {
///     type Input = [u8];
///     type Transmit = Vec<u8>;
///     type Event = ();
///     type Error = std::convert::Infallible;
///     fn wants_input(&self) -> bool { self.end.is_none() && self.out.len() < 1 << 16 }
///     fn handle_input(&mut self, _: Instant, input: &[u8]) { self.out.extend_from_slice(input); }
///     fn handle_eof(&mut self, _: Instant) { self.end = Some(End::Clean); }
///     fn handle_timeout(&mut self, _: Instant) {}
///     fn poll_transmit(&mut self) -> Option<Vec<u8>> {
///         (!self.out.is_empty()).then(|| std::mem::take(&mut self.out))
///     }
///     fn poll_event(&mut self) -> Option<()> { None }
///     fn poll_timeout(&self) -> Option<Instant> { None }
///     fn ended(&self) -> Option<&End<Self::Error>> { self.end.as_ref() }
/// }
///
/// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// let mut peer = TcpStream::connect(listener.local_addr()?)?;
/// peer.write_all(b"over and out")?;
/// peer.shutdown(Shutdown::Write)?;
/// let (mut socket, _) = listener.accept()?;
/// assert_eq!(drive(&mut Echo::default(), &mut socket, |_, ()| {})?, End::Clean);
/// let mut heard = String::new();
/// peer.read_to_string(&mut heard)?;
/// assert_eq!(heard, "over and out");
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// A driver of an application that may fall behind asks `wants_input` before it reads, and one
/// whose peer may stop reading writes and reads in one `select`, so that a full socket stops
/// neither timers nor events.
///
/// The trait is dyn-compatible: `Box<dyn Session<Input = [u8], …>>` works.
pub trait Session {
    /// What arrives: `[u8]` for byte streams, a message for message transports.
    type Input: ?Sized;
    /// What is to be sent: bytes for byte streams, a message or close frame for the others.
    type Transmit;
    /// What the application is told.
    type Event;
    /// Why a session ended, when it didn't end cleanly.
    type Error: core::error::Error + Clone + Send + Sync + 'static;

    /// Whether input is welcome now. While false, leave it in the socket.
    fn wants_input(&self) -> bool;

    /// Takes what arrived. Bytes may come in pieces of any size: the cuts make no difference.
    fn handle_input(&mut self, now: Instant, input: &Self::Input);

    /// Takes note that the peer will send no more, after what was handed in so far.
    fn handle_eof(&mut self, now: Instant);

    /// Does what has fallen due by `now`.
    fn handle_timeout(&mut self, now: Instant);

    /// What is to be sent next, in order; for byte streams, everything queued as one piece.
    fn poll_transmit(&mut self) -> Option<Self::Transmit>;

    /// What the application is to know next, in order.
    fn poll_event(&mut self) -> Option<Self::Event>;

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called; `None`: not until
    /// something else happens.
    fn poll_timeout(&self) -> Option<Instant>;

    /// How the session ended, once it has. Never changes again.
    fn ended(&self) -> Option<&End<Self::Error>>;
}

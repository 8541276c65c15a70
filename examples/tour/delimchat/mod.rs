//! Delimchat: a server, three who chat, one of them in the other byte order, and some who aren't let in.

mod wire;

use std::sync::Arc;

use anyhow::Context;
use delimchat_proto::{ByteOrder, ClientConfig, ClientEvent, End, Secret, ServerConfig};
use smallwire_examples::client::{ByteStream, Note};
use smallwire_examples::delimchat_client::{Chatter, Credentials};
use smallwire_examples::delimchat_server::{Options, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::PATIENCE;
use crate::client::Client;
use crate::server::Server;
use crate::tee::Direction::{ToClient, ToServer};
use crate::tee::recorder;
use crate::trace::Trace;

use self::wire::Delimchat;

pub(crate) async fn tour(trace: &mut Trace) -> anyhow::Result<()> {
    let user =
        |name: &str, password: &str| (name.to_owned(), Secret::new(Box::from(password.as_bytes())));
    let options = Options {
        config: Arc::new(ServerConfig::default()),
        users: [user("ada", "lovelace"), user("ben", "franklin")].into(),
        registration: true,
        many_endpoints: true,
        rate_limit: 10,
    };
    let mut server = Server::start(|listener, log, stopped| async {
        serve(listener, options, log, async { stopped.await.unwrap_or_default() }).await;
    })
    .await?;
    trace.line(format_args!("A delimchat server listens on {}.", server.address));

    trace.step("Ada connects, is greeted as a guest, and logs in");
    let mut ada = logged_in(trace, &server, "Ada", "lovelace", ByteOrder::BigEndian).await?;
    server.logs(trace, "client 0 is let in as ada").await?;

    trace.step("Ben, too: from now on his numbers are little-endian, both ways");
    let mut ben = logged_in(trace, &server, "Ben", "franklin", ByteOrder::LittleEndian).await?;
    server.logs(trace, "client 1 is let in as ben").await?;

    trace.step("Mallory has a wrong password: he is told what is wrong, and gives up");
    let mut mallory = connect(&server, "Mallory", Some(("ada", "byron")), None).await?;
    greeted(trace, &mut mallory, "guest-2").await?;
    mallory.sends(trace, "login", "password [redacted]").await?;
    let refused = "username_status okay, password_status invalid, byte_order_status okay";
    mallory.receives(trace, "login_result", refused).await?;
    mallory.sends(trace, "log_off", "").await?;
    mallory.ends(trace, &End::Clean).await?;
    server.logs(trace, "client 2 claims to be ada").await?;

    trace.step("Eve has no account yet: she registers, and is in with that");
    let mut eve = connect(&server, "Eve", None, None).await?;
    greeted(trace, &mut eve, "guest-3").await?;
    eve.does("/register eve hunter2 eve@example.org")?;
    eve.sends(trace, "register", "password [redacted], email \"eve@example.org\"").await?;
    let accepted = "username_status okay, password_status okay, email_status okay";
    eve.receives(trace, "register_result", accepted).await?;
    eve.shows(trace, "registered as eve").await?;
    server.logs(trace, "client 3 is registered as eve").await?;

    trace.step("A message to everybody: a result for who says it, a receipt of all who get it");
    ada.does("good morning")?;
    ada.sends(trace, "short_message", "room 00000000, message \"good morning\"").await?;
    ada.receives(trace, "short_message_result", "room_status okay, message_status okay").await?;
    for client in [&mut ben, &mut eve] {
        delivered(trace, client, "room 00000000, username \"ada\"").await?;
    }

    trace.step("A room that isn't hers: Eve may not speak there");
    eve.does("/msg lobby hello?")?;
    eve.sends(trace, "short_message", "room 000lobby").await?;
    eve.receives(trace, "short_message_result", "room_status not_in_room").await?;
    eve.shows(trace, "not said in lobby").await?;

    trace.step("Ada joins it; as the first she sets its password");
    ada.does("/join lobby secret")?;
    ada.sends(trace, "join_room", "room 000lobby, password [redacted]").await?;
    ada.receives(trace, "join_room_result", "room_status okay").await?;
    ada.shows(trace, "you are in lobby now").await?;

    trace.step("Ben doesn't know the password");
    ben.does("/join lobby guess")?;
    ben.sends(trace, "join_room", "room 000lobby").await?;
    ben.receives(trace, "join_room_result", "room_status not_authorized").await?;
    ben.shows(trace, "not in lobby").await?;
    server.logs(trace, "client 1 has the wrong password for lobby").await?;

    trace.step("Ada invites him, which the server tells him as a message");
    ada.does("/invite ben")?;
    ada.sends(trace, "invite_user", "room 000lobby, username \"ben\", alias \"\"").await?;
    delivered(trace, &mut ben, "message \"invites you to lobby\"").await?;

    trace.step("So he needs no password; both are told who is there");
    ben.does("/join lobby")?;
    ben.sends(trace, "join_room", "room 000lobby").await?;
    ben.receives(trace, "join_room_result", "room_status okay").await?;
    ben.receives(trace, "user_joined", "username \"ada\"").await?;
    ben.shows(trace, "you are in lobby now").await?;
    ben.notes(trace, |event| matches!(event, ClientEvent::UserJoined { .. })).await?;
    ada.receives(trace, "user_joined", "username \"ben\"").await?;
    ada.notes(trace, |event| matches!(event, ClientEvent::UserJoined { .. })).await?;

    trace.step("A long message goes in parts, each with its result, behind the head's");
    ada.does(&"Notes upon the engine. ".repeat(300))?;
    ada.sends(trace, "long_message_head", "remaining 2").await?;
    ada.receives(trace, "long_message_head_result", "message_status okay").await?;
    for number in ["number 1", "number 2"] {
        ada.sends(trace, "long_message_next", number).await?;
        ada.receives(trace, "long_message_next_result", "number_status okay").await?;
    }
    server.logs(trace, "client 0 says 6899 bytes in lobby").await?;

    trace.step("Ben gets it in parts, too, here little-endian, and acknowledges the whole");
    ben.receives(trace, "long_message_delivery_head", "remaining 2").await?;
    for number in ["number 1", "number 2"] {
        ben.receives(trace, "long_message_delivery_next", number).await?;
    }
    ben.sends(trace, "long_message_received", "unique_id").await?;
    ben.notes(trace, |event| matches!(event, ClientEvent::LongMessage { .. })).await?;

    trace.step("Ada takes an alias, which all are told");
    ada.does("/alias Countess")?;
    ada.sends(trace, "change_alias", "new_alias \"Countess\"").await?;
    ada.receives(trace, "change_alias_result", "alias_status okay").await?;
    ada.shows(trace, "you are Countess now").await?;
    for client in [&mut ben, &mut eve] {
        let changed = "username \"ada\", old_alias \"\", new_alias \"Countess\"";
        client.receives(trace, "alias_changed", changed).await?;
        client.notes(trace, |event| matches!(event, ClientEvent::AliasChanged { .. })).await?;
    }

    trace.step("The echo sends back what is said to it");
    ada.does("/msg echo hello?")?;
    ada.sends(trace, "short_message", "room 0000ECHO").await?;
    ada.receives(trace, "short_message_result", "room_status okay").await?;
    delivered(trace, &mut ada, "username \"ada\", alias \"Countess\", message \"hello?\"").await?;

    trace.step("Ben leaves the room, with a last word");
    ben.does("/part lobby so long")?;
    ben.sends(trace, "part_room", "part_message \"so long\"").await?;
    ben.receives(trace, "part_room_result", "room_status okay").await?;
    ben.shows(trace, "you have left lobby").await?;
    delivered(trace, &mut ada, "username \"ben\", alias \"\", message \"so long\"").await?;
    ada.receives(trace, "user_parted", "username \"ben\"").await?;
    ada.notes(trace, |event| matches!(event, ClientEvent::UserParted { .. })).await?;

    trace.step("A broken packet costs nobody the connection: it is answered, and reading goes on");
    let broken = b"\x02\xFFada\xFFbG92ZWxhY2U=\xFF\x02\0\x50\xFFbroken\0\xFC\xFFSP\0\x28\xFFBYE\0";
    let (mut tee, mut frames) =
        recorder::<Delimchat>("stranger", TcpStream::connect(server.address).await?);
    tee.write_all(broken).await?;
    let heard = timeout(PATIENCE, tee.read_to_end(&mut Vec::new())).await;
    heard.context("the server doesn't close")?.context("reset instead of closed")?;
    drop(tee);
    frames.expect(trace, ToClient, "guest_username", "guest-4").await?;
    frames.expect(trace, ToServer, "login", "byte_order big").await?;
    frames.expect(trace, ToClient, "login_result", "okay").await?;
    frames.expect_garbage(trace, ToServer).await?;
    frames.expect(trace, ToClient, "bad_short_message", "").await?;
    frames.expect(trace, ToServer, "supported_packets_request", "").await?;
    frames.expect(trace, ToClient, "server_supports", "packets").await?;
    frames.expect(trace, ToServer, "log_off", "").await?;
    frames.expect_no_more()?;
    server.logs(trace, "client 4 sends no packet: packet 80 at byte").await?;

    trace.step("A violation: somebody speaks another protocol, is told so, and is cut off");
    let (mut tee, mut frames) =
        recorder::<Delimchat>("browser", TcpStream::connect(server.address).await?);
    tee.write_all(b"GET / HTTP/1.1\r\n\r\n\0").await?;
    let heard = timeout(PATIENCE, tee.read_to_end(&mut Vec::new())).await;
    heard.context("the server doesn't close")?.context("reset instead of closed")?;
    drop(tee);
    frames.expect(trace, ToClient, "guest_username", "guest-5").await?;
    frames.expect_garbage(trace, ToServer).await?;
    frames.expect(trace, ToClient, "bad_first_packet", "").await?;
    frames.expect_no_more()?;
    server.logs(trace, "client 5 ends: the peer violated the protocol").await?;

    trace.step("Eve logs off");
    eve.does("/quit")?;
    eve.sends(trace, "log_off", "").await?;
    eve.ends(trace, &End::Clean).await?;
    server.logs(trace, "client 3 ends: closed").await?;

    trace.step("The server ends: it closes all connections");
    server.stop().await?;
    ada.ends(trace, &End::Clean).await?;
    ben.ends(trace, &End::Clean).await
}

type Chat = Client<Delimchat, Chatter>;

async fn connect(
    server: &Server,
    name: &str,
    user: Option<(&str, &str)>,
    order: Option<ByteOrder>,
) -> anyhow::Result<Chat> {
    let stream = TcpStream::connect(server.address).await?;
    stream.set_nodelay(true)?;
    let (tee, frames) = recorder(name, stream);
    let config = ClientConfig::default().speaks(order.unwrap_or_default());
    let credentials = user.map(|(username, password)| Credentials {
        username: username.into(),
        password: Secret::new(password.as_bytes().into()),
    });
    let chatter = Chatter::new(Arc::new(config), credentials, None);
    let noted = |note: &Note<_>| !matches!(note, Note::Ended(_));
    Ok(Client::start(ByteStream(tee), frames, chatter, noted))
}

async fn greeted(trace: &mut Trace, client: &mut Chat, guest: &str) -> anyhow::Result<()> {
    client.receives(trace, "guest_username", guest).await?;
    client.notes(trace, |event| matches!(event, ClientEvent::Guest { .. })).await
}

/// One with a good password.
async fn logged_in(
    trace: &mut Trace,
    server: &Server,
    name: &str,
    password: &str,
    order: ByteOrder,
) -> anyhow::Result<Chat> {
    let user = name.to_lowercase();
    let mut client = connect(server, name, Some((&user, password)), Some(order)).await?;
    greeted(trace, &mut client, "guest-").await?;
    let login = format!("username {user:?}, password [redacted], byte_order {}", order.name());
    client.sends(trace, "login", &login).await?;
    let accepted = "username_status okay, password_status okay, byte_order_status okay";
    client.receives(trace, "login_result", accepted).await?;
    client.shows(trace, &format!("logged in as {user}")).await?;
    Ok(client)
}

/// A short message comes, and is acknowledged.
async fn delivered(trace: &mut Trace, client: &mut Chat, text: &str) -> anyhow::Result<()> {
    client.receives(trace, "short_message_delivery", text).await?;
    client.sends(trace, "short_message_received", "unique_id").await?;
    client.notes(trace, |event| matches!(event, ClientEvent::Message { .. })).await
}

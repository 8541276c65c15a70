//! `PacketCodec` in a `tokio_util::codec::Framed`.
#![cfg(feature = "tokio-util")]

use bytes::BytesMut;
use delimchat_proto::{
    Base64, ByteOrder, ClientMessageId, ClientPacket, CodecConfig, DecodeErrorKind, FromClient,
    FromServer, PacketCodec, PacketCodecError, RoomId, Secret, ServerPacket,
};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncWriteExt, duplex};
use tokio_util::codec::{Encoder, Framed};

#[tokio::test(flavor = "current_thread")]
async fn packets_go_both_ways() {
    let (near, far) = duplex(7);
    let mut near = Framed::new(near, PacketCodec::<FromServer>::new(CodecConfig::default()));
    let mut far = Framed::new(far, PacketCodec::<FromClient>::new(CodecConfig::default()));
    let message = ClientPacket::ShortMessage {
        client_message_id: ClientMessageId([0, 0xFF, 0, 0xFF]),
        room: RoomId([0; 8]),
        message: Base64::of(vec![7; 100].into()),
    };
    let (sent, got) = tokio::join!(near.send(message.clone()), far.next());
    sent.unwrap();
    assert_eq!(got.unwrap().unwrap(), Ok(message));
    let (sent, got) = tokio::join!(far.send(ServerPacket::BadLogin), near.next());
    sent.unwrap();
    assert_eq!(got.unwrap().unwrap(), Ok(ServerPacket::BadLogin));
}

#[tokio::test(flavor = "current_thread")]
async fn d3_reports_are_items_and_the_last_ones_come_at_the_end() {
    let (mut near, far) = duplex(64);
    let mut far = Framed::new(far, PacketCodec::<FromClient>::new(CodecConfig::default()));
    near.write_all(b"\x28\xFFBY?\0\xFC\xFFSP\0\x54\xFF\0\x28\xFFBYE\0").await.unwrap();
    drop(near);
    let mut items = Vec::new();
    while let Some(item) = far.next().await {
        items.push(item.unwrap());
    }
    let kinds: Vec<_> = items.iter().map(|item| item.as_ref().map_err(|e| e.kind)).collect();
    assert!(matches!(
        kinds[..],
        [
            Err(DecodeErrorKind::Malformed { .. }),
            Ok(ClientPacket::SupportedPacketsRequest),
            Err(DecodeErrorKind::Truncated),
            Ok(ClientPacket::LogOff),
        ]
    ));
}

#[test]
fn d0_what_is_bad_is_not_written() {
    let mut codec = PacketCodec::<FromServer>::new(CodecConfig::default());
    let mut dst = BytesMut::from("before");
    let login = ClientPacket::Login {
        username: "a da".into(),
        password: Secret::new(Base64::of(b"secret"[..].to_vec().into())),
        byte_order: ByteOrder::BigEndian.into(),
    };
    assert!(matches!(codec.encode(login, &mut dst), Err(PacketCodecError::Encode(_))));
    assert_eq!(&dst[..], b"before");
    codec.decoder_mut().set_byte_order(ByteOrder::LittleEndian);
    codec.config_mut().byte_order = ByteOrder::LittleEndian;
    let head = ClientPacket::ResendDeliveryNext {
        number: 1,
        unique_id_prefix: delimchat_proto::UniqueIdPrefix([0; 8]),
    };
    codec.encode(head, &mut dst).unwrap();
    assert!(dst.starts_with(b"before\x63\xFF\x01\0\0\0\xFF"));
    let shown = format!("{codec:?}");
    assert!(shown.starts_with("PacketCodec { decoder: Decoder") && !shown.contains("secret"));
}

#[cfg(feature = "draft")]
#[tokio::test(flavor = "current_thread")]
async fn d11_drafts_go_both_ways() {
    use delimchat_proto::PacketId;
    use delimchat_proto::draft::{
        self, ClientDraft, ClientDraftKind, DraftIds, ServerDraft, ServerDraftKind,
    };

    let ids = DraftIds::new()
        .client(ClientDraftKind::Friend, PacketId(10))
        .and_then(|ids| ids.server(ServerDraftKind::BanRefused, PacketId(10)))
        .unwrap();
    let (near, far) = duplex(7);
    let codec = PacketCodec::<draft::FromServer>::with_drafts(CodecConfig::default(), ids);
    let mut near = Framed::new(near, codec);
    let codec = PacketCodec::<draft::FromClient>::with_drafts(CodecConfig::default(), ids);
    let mut far = Framed::new(far, codec);
    let friend: draft::ClientPacket = ClientDraft::Friend { username: "ada".into() }.into();
    for packet in [friend, ClientPacket::LogOff.into()] {
        let (sent, got) = tokio::join!(near.send(packet.clone()), far.next());
        sent.unwrap();
        assert_eq!(got.unwrap().unwrap(), Ok(packet));
    }
    let refused: draft::ServerPacket = ServerDraft::BanRefused.into();
    let (sent, got) = tokio::join!(far.send(refused.clone()), near.next());
    sent.unwrap();
    assert_eq!(got.unwrap().unwrap(), Ok(refused));

    let unban: draft::ClientPacket = ClientDraft::Unban { username: "ada".into() }.into();
    assert!(matches!(near.send(unban).await, Err(PacketCodecError::Encode(_))), "it has no id");
}

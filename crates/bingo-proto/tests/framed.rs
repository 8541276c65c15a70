//! `FrameCodec` in a `tokio_util::codec::Framed`.
#![cfg(feature = "tokio-util")]

use bingo_proto::{
    ClientMessage, CodecConfig, DecodeErrorKind, Frame, FrameCodec, FrameCodecError, MessageId,
    OpCode,
};
use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncWriteExt, duplex};
use tokio_util::codec::{Decoder, Framed};

#[tokio::test(flavor = "current_thread")]
async fn frames_go_both_ways_and_bad_content_does_not_end_the_stream() {
    let config = CodecConfig::default();
    let (near, far) = duplex(7);
    let mut near = Framed::new(near, FrameCodec::new(config));
    let mut far = Framed::new(far, FrameCodec::new(config));
    let frames = [
        Frame::new(OpCode::Event, MessageId(0), Bytes::from_static(&[7; 100])),
        Frame::new(OpCode::Noop, MessageId(0), Bytes::new()),
        // A Reply without the id it answers.
        Frame::new(OpCode::Reply, MessageId(1), Bytes::new()),
        Frame::new(OpCode::Event, MessageId(2), Bytes::from_static(b"still here")),
    ];
    let sender = async {
        for frame in frames.clone() {
            near.send(frame).await.unwrap();
        }
        near.close().await.unwrap();
    };
    let receiver = async {
        let mut got = Vec::new();
        while let Some(frame) = far.next().await {
            got.push(frame.unwrap());
        }
        got
    };
    let ((), got) = tokio::join!(sender, receiver);
    assert_eq!(got, frames);
    assert!(ClientMessage::decode(got[2].as_ref(), &config).is_err());
}

#[tokio::test(flavor = "current_thread")]
async fn step7_a_cut_frame_is_an_error_and_an_end_between_frames_is_none() {
    for (bytes, cut) in [(&b"\0\x08\0\0\0\x01x"[..], false), (b"\0\x08\0\0\0\x02x", true)] {
        let (mut near, far) = duplex(64);
        let mut far = Framed::new(far, FrameCodec::new(CodecConfig::default()));
        near.write_all(bytes).await.unwrap();
        drop(near);
        let mut last = None;
        let mut frames = 0;
        while let Some(item) = far.next().await {
            match item {
                Ok(_) => frames += 1,
                Err(error) => last = Some(error),
            }
        }
        assert_eq!(frames, if cut { 1 } else { 2 });
        match last {
            Some(FrameCodecError::Decode(error)) if cut => {
                assert_eq!((error.kind, error.offset), (DecodeErrorKind::UnexpectedEof, 1));
            }
            None if !cut => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn b9_its_debug_shows_no_token() {
    let mut codec = FrameCodec::new(CodecConfig::default());
    let mut src = BytesMut::from(&b"\0\x02\x80\0\0\x06s3cret\x02"[..]);
    assert!(codec.decode(&mut src).unwrap().is_some());
    let shown = format!("{codec:?}");
    assert!(shown.starts_with("FrameCodec { decoder: Decoder"), "{shown}");
    assert!(!shown.contains("s3cret"), "{shown}");
}

#[test]
fn b8_what_does_not_fit_is_not_written() {
    use tokio_util::codec::Encoder;
    let mut codec = FrameCodec::new(CodecConfig::default().max_payload(3));
    let mut dst = BytesMut::from("before");
    let frame = Frame::new(OpCode::Event, MessageId(0), Bytes::from_static(b"four"));
    assert!(matches!(codec.encode(frame, &mut dst), Err(FrameCodecError::Encode(_))));
    assert_eq!(&dst[..], b"before");
    let mut src = BytesMut::from(&b"\x08\0\0\0\x04four"[..]);
    assert!(matches!(codec.decode(&mut src), Err(FrameCodecError::Decode(_))));
}

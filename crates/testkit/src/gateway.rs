//! What the gateways have in common, litecord and emagine: messages with opcodes, one a WebSocket
//! message.

/// A codec and its model, as the vectors see them: `decode` and `encode` of either role, in the words
/// of the model's `Message`. The module has `config`, `describe`, `undescribe`, `client_message` and
/// `server_message`.
macro_rules! codec_and_model {
    ($codec:ident, $model:ident) => {
        /// The codec, as the vectors see it.
        #[derive(Debug, Clone, Copy)]
        pub struct $codec;

        impl $crate::vectors::MessageCodec for $codec {
            fn decode(&self, vector: &Vector, message: &[u8]) -> Decoded {
                show(decode(message, role(vector), &config(vector)))
            }

            fn encode(&self, vector: &Vector, messages: &[Value]) -> Vec<u8> {
                let mut bytes = Vec::new();
                encode(&undescribe(messages), role(vector), &config(vector), &mut bytes)
                    .expect("a vector's message can be encoded");
                bytes
            }
        }

        /// The model of the codec, as the vectors see it.
        #[derive(Debug, Clone, Copy)]
        pub struct $model;

        impl $crate::vectors::MessageCodec for $model {
            fn decode(&self, vector: &Vector, message: &[u8]) -> Decoded {
                show(model::decode(message, role(vector), &config(vector)))
            }

            fn encode(&self, vector: &Vector, messages: &[Value]) -> Vec<u8> {
                let text = model::encode(&undescribe(messages), role(vector), &config(vector));
                text.expect("a vector's message can be encoded").into_bytes()
            }
        }

        /// What the codec makes of a message of `sender`, in the model's words.
        ///
        /// # Errors
        /// As the codec finds them.
        pub fn decode<'a>(
            bytes: &'a [u8],
            sender: Role,
            config: &CodecConfig,
        ) -> Result<Message<'a>, DecodeError> {
            match sender {
                Role::Client => ClientMessage::decode(bytes, config).map(Message::from),
                Role::Server => ServerMessage::decode(bytes, config).map(Message::from),
            }
        }

        /// Writes what `sender` says by a message, behind what is in `dst`.
        ///
        /// # Errors
        /// As the codec finds them.
        pub fn encode(
            message: &Message<'_>,
            sender: Role,
            config: &CodecConfig,
            dst: &mut impl bytes::BufMut,
        ) -> Result<(), EncodeError> {
            match sender {
                Role::Client => client_message(message).encode(config, dst),
                Role::Server => server_message(message).encode(config, dst),
            }
        }

        /// Whose message a vector shows.
        pub fn role(vector: &Vector) -> Role {
            if vector.from == "client" { Role::Client } else { Role::Server }
        }

        fn show(decoded: Result<Message<'_>, DecodeError>) -> Decoded {
            match decoded {
                Ok(message) => Decoded { messages: vec![describe(&message)], ..Decoded::default() },
                Err(error) => Decoded { error: Some(show_error(error)), ..Decoded::default() },
            }
        }

        fn show_error(error: DecodeError) -> $crate::vectors::Error {
            let (kind, key) = match error.kind {
                DecodeErrorKind::MessageTooLarge { .. } => ("message_too_large", None),
                DecodeErrorKind::NotUtf8 => ("not_utf8", None),
                DecodeErrorKind::NotJson => ("not_json", None),
                DecodeErrorKind::NotAnObject => ("not_an_object", None),
                DecodeErrorKind::TooDeep => ("too_deep", None),
                DecodeErrorKind::DuplicateKey(key) => ("duplicate_key", Some(key)),
                DecodeErrorKind::MissingKey(key) => ("missing_key", Some(key)),
                DecodeErrorKind::InvalidValue { key, .. } => ("invalid_value", Some(key)),
                DecodeErrorKind::WrongDirection(_) => ("wrong_direction", None),
                _ => ("something new", None),
            };
            let (kind, key) = (kind.into(), key.map(Into::into));
            $crate::vectors::Error { kind, key, offset: Some(error.offset) }
        }
    };
}
pub(crate) use codec_and_model;

//! Logging in and registering (steps 1 and 2).

use alloc::boxed::Box;
use alloc::vec::Vec;

use smallwire_core::End;
use smallwire_core::Secret;
use smallwire_core::clock::NEVER;

use super::{Deciding, Held, ServerConnection, ServerSide, answer};
use crate::{
    Base64, ByteOrder, ByteOrderField, ClientPacket, DecideError, DecodeError, DecodeErrorKind,
    Email, LoginByteOrderStatus, LoginPasswordStatus, LoginRefusal, LoginUsernameStatus,
    RegisterEmailStatus, RegisterPasswordStatus, RegisterRefusal, RegisterUsernameStatus,
    ServerEvent, ServerPacketRef, SessionError, Username,
};

impl ServerSide {
    pub(super) fn decide(&mut self) -> Option<Deciding> {
        self.held.as_mut()?.deciding.take()
    }

    pub(super) fn accept(&mut self, c: &mut ServerConnection) -> Result<(), DecideError> {
        if c.has_ended() {
            return Err(DecideError);
        }
        let username = match self.decide().ok_or(DecideError)? {
            Deciding::Login { username, order } => {
                login_result(
                    c,
                    LoginUsernameStatus::Okay,
                    LoginPasswordStatus::Okay,
                    LoginByteOrderStatus::Okay,
                );
                self.set_byte_order(c, order);
                username
            }
            Deciding::Register { username } => {
                register_result(
                    c,
                    RegisterUsernameStatus::Okay,
                    RegisterPasswordStatus::Okay,
                    RegisterEmailStatus::Okay,
                );
                username
            }
        };
        let member = self.member.get_or_insert_default();
        member.username = username;
        member.is_in = true;
        c.login_deadline = NEVER;
        self.release();
        Ok(())
    }

    /// D6: what is held came behind the Login, and was decoded before it was accepted.
    pub(super) fn set_byte_order(&mut self, c: &mut ServerConnection, order: ByteOrder) {
        let held = self.held.as_mut().filter(|_| c.receives != order);
        for (_, packet) in held.into_iter().flat_map(|held| &mut held.packets) {
            match packet {
                Ok(
                    ClientPacket::LongMessageHead { remaining: number, .. }
                    | ClientPacket::LongMessageNext { number, .. }
                    | ClientPacket::ResendDeliveryNext { number, .. },
                ) => *number = number.swap_bytes(),
                Err(DecodeError { kind: DecodeErrorKind::MessageTooLong(overlong), .. }) => {
                    overlong.swap_bytes();
                }
                _ => {}
            }
        }
        c.receives = order;
        c.sends = order;
    }

    pub(super) fn refuse_login(
        &mut self,
        c: &mut ServerConnection,
        why: LoginRefusal,
    ) -> Result<(), DecideError> {
        let is_login = |held: &Held| matches!(held.deciding, Some(Deciding::Login { .. }));
        if c.has_ended() || !self.held.as_deref().is_some_and(is_login) {
            return Err(DecideError);
        }
        self.decide();
        let (username, password) = match why {
            LoginRefusal::Username => {
                (LoginUsernameStatus::Invalid, LoginPasswordStatus::Unchecked)
            }
            LoginRefusal::Password => (LoginUsernameStatus::Okay, LoginPasswordStatus::Invalid),
            LoginRefusal::SecondEndpoint => {
                answer(c, &ServerPacketRef::MultipleEndpointsRefused);
                c.end(End::Clean);
                return Ok(());
            }
        };
        login_result(c, username, password, LoginByteOrderStatus::Okay);
        self.note_failed_login(c);
        Ok(())
    }

    pub(super) fn refuse_registration(
        &mut self,
        c: &mut ServerConnection,
        why: RegisterRefusal,
    ) -> Result<(), DecideError> {
        use {RegisterEmailStatus as E, RegisterPasswordStatus as P, RegisterUsernameStatus as U};
        let is_register = |held: &Held| matches!(held.deciding, Some(Deciding::Register { .. }));
        if c.has_ended() || !self.held.as_deref().is_some_and(is_register) {
            return Err(DecideError);
        }
        self.decide();
        let (username, password, email) = match why {
            RegisterRefusal::Username => (U::Invalid, P::Unchecked, E::Unchecked),
            RegisterRefusal::UsernameInUse => (U::AlreadyInUse, P::Unchecked, E::Unchecked),
            RegisterRefusal::Password => (U::Okay, P::Invalid, E::Unchecked),
            RegisterRefusal::Email => (U::Okay, P::Okay, E::Invalid),
        };
        register_result(c, username, password, email);
        self.note_failed_login(c);
        Ok(())
    }

    pub(super) fn note_failed_login(&mut self, c: &mut ServerConnection) {
        self.failed_logins = self.failed_logins.saturating_add(1);
        if self.failed_logins >= c.limits().max_failed_logins {
            c.end_with(SessionError::TooManyFailedLogins);
        }
        c.login_deadline = c.clock.after(c.config.login_timeout);
        self.release();
    }

    pub(super) fn ask_about(&mut self, c: &mut ServerConnection, deciding: Deciding) {
        self.held.get_or_insert_default().deciding = Some(deciding);
        c.login_deadline = c.clock.after(c.config.login_timeout);
    }

    pub(super) fn handle_login<B: AsRef<[u8]>>(
        &mut self,
        c: &mut ServerConnection,
        username: &Username<B>,
        password: &Base64<B>,
        byte_order: ByteOrderField,
    ) {
        use {LoginByteOrderStatus as E, LoginPasswordStatus as P, LoginUsernameStatus as U};
        if self.is_logged_in() {
            return login_result(c, U::AlreadyValidated, P::Unchecked, E::Unchecked);
        }
        let e = match byte_order {
            ByteOrderField::Valid(_) => E::Okay,
            ByteOrderField::Empty => E::EmptyField,
            ByteOrderField::Invalid(_) => E::Invalid,
        };
        let (u, p) = match (username.as_str(), password.payload()) {
            (Ok(""), _) => (U::EmptyField, P::Unchecked),
            (Err(_), _) => (U::Invalid, P::Unchecked),
            (Ok(_), _) if password.is_empty() => (U::Okay, P::EmptyField),
            (Ok(_), Err(_)) => (U::Okay, P::Invalid),
            (Ok(username), Ok(password)) => {
                if let Some(order) = byte_order.get() {
                    let bytes = username.len().saturating_add(password.len());
                    let (username, password) = (Box::<str>::from(username), secret(password));
                    self.ask_about(c, Deciding::Login { username: username.clone(), order });
                    c.push_event(ServerEvent::Login { username, password }, bytes);
                    return;
                }
                (U::Okay, P::Okay)
            }
        };
        login_result(c, u, p, e);
        self.note_failed_login(c);
    }

    pub(super) fn handle_register<B: AsRef<[u8]>>(
        &mut self,
        c: &mut ServerConnection,
        username: &Username<B>,
        password: &Base64<B>,
        email: &Email<B>,
    ) {
        use {RegisterEmailStatus as E, RegisterPasswordStatus as P, RegisterUsernameStatus as U};
        if self.is_logged_in() {
            return register_result(c, U::AlreadyInUse, P::Unchecked, E::Unchecked);
        }
        let e = match email.as_str() {
            Ok("") => E::EmptyField,
            Ok(_) => E::Okay,
            Err(_) => E::Invalid,
        };
        let (u, p, e) = match (username.as_str(), password.payload()) {
            (Ok(""), _) => (U::EmptyField, P::Unchecked, E::Unchecked),
            (Err(_), _) => (U::Invalid, P::Unchecked, E::Unchecked),
            (Ok(_), _) if password.is_empty() => (U::Okay, P::EmptyField, e),
            (Ok(_), Err(_)) => (U::Okay, P::BadBase64, e),
            (Ok(username), Ok(password)) => {
                if let (E::Okay, Ok(email)) = (e, email.as_str()) {
                    let bytes = username.len().saturating_add(password.len());
                    let bytes = bytes.saturating_add(email.len());
                    let (username, password) = (Box::<str>::from(username), secret(password));
                    self.ask_about(c, Deciding::Register { username: username.clone() });
                    let email = email.into();
                    c.push_event(ServerEvent::Register { username, password, email }, bytes);
                    return;
                }
                (U::Okay, P::Okay, e)
            }
        };
        register_result(c, u, p, e);
        self.note_failed_login(c);
    }
}

pub(super) fn secret(password: Vec<u8>) -> Secret<Box<[u8]>> {
    Secret::new(password.into_boxed_slice())
}

pub(super) fn login_result(
    c: &mut ServerConnection,
    username_status: LoginUsernameStatus,
    password_status: LoginPasswordStatus,
    byte_order_status: LoginByteOrderStatus,
) {
    answer(
        c,
        &ServerPacketRef::LoginResult { username_status, password_status, byte_order_status },
    );
}

pub(super) fn register_result(
    c: &mut ServerConnection,
    username_status: RegisterUsernameStatus,
    password_status: RegisterPasswordStatus,
    email_status: RegisterEmailStatus,
) {
    answer(c, &ServerPacketRef::RegisterResult { username_status, password_status, email_status });
}

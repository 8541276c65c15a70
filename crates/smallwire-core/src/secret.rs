use core::fmt;

/// A password or token that stays out of logs: [`Debug`](fmt::Debug) prints `[redacted]`.
///
/// There is no `Display`; [`expose`](Secret::expose) is the one way to the content, so every use
/// can be found by searching for it. Equality is that of the content and takes no care of timing;
/// the memory is not wiped on drop.
///
/// ```
/// use smallwire_core::Secret;
///
/// let password = Secret::new("hunter2");
/// assert_eq!(format!("{password:?}"), "[redacted]");
/// assert_eq!(*password.expose(), "hunter2");
///
/// // As events have them, beside what is expected:
/// let token: Secret<Box<str>> = Secret::new("helloworld".into());
/// let expected = String::from("helloworld");
/// assert!(**token.expose() == *expected);
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Wraps `secret`.
    pub const fn new(secret: T) -> Self {
        Self(secret)
    }

    /// The content, for whoever really needs it.
    pub const fn expose(&self) -> &T {
        &self.0
    }

    /// Unwraps the content.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> From<T> for Secret<T> {
    fn from(secret: T) -> Self {
        Self(secret)
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

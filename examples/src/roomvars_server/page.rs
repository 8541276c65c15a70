//! The page that looks at a room: a few files, kept in the program.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use roomvars_proto::Dialect;

/// Where the page says what it speaks.
const DIALECT: &str = "data-dialect=\"documented\"";

/// Of the page's own only, and of the server that it came from.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page's files.
pub(crate) struct Page {
    index: String,
}

impl Page {
    /// For clients that speak this dialect.
    pub(crate) fn new(dialect: Dialect) -> Self {
        let spoken = match dialect {
            Dialect::Documented => DIALECT,
            Dialect::Deployed2020 => "data-dialect=\"deployed2020\"",
            Dialect::Scratch => "data-dialect=\"scratch\"",
        };
        let index = include_str!("../../roomvars-server/page/index.html");
        Self { index: index.replacen(DIALECT, spoken, 1) }
    }

    /// What a browser gets at this path.
    pub(crate) fn file(&self, path: &str) -> Response {
        let (kind, text) = match path {
            "/" => ("text/html; charset=utf-8", self.index.clone()),
            "/page.js" => {
                ("text/javascript", include_str!("../../roomvars-server/page/page.js").to_owned())
            }
            "/roomvars.js" => (
                "text/javascript",
                include_str!("../../roomvars-server/page/roomvars.js").to_owned(),
            ),
            "/style.css" => {
                ("text/css", include_str!("../../roomvars-server/page/style.css").to_owned())
            }
            _ => return (StatusCode::NOT_FOUND, "no such page\n").into_response(),
        };
        let headers = [
            (header::CONTENT_TYPE, kind),
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::CACHE_CONTROL, "no-cache"),
        ];
        (headers, text).into_response()
    }
}

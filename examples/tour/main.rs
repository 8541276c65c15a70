//! Whole conversations over real sockets on loopback, servers and clients in one process: bingo,
//! litecord, emagine, roomvars, delimchat. Shows every frame as it was on the wire, and what it means.
//!
//! Every step is checked: whatever doesn't happen, or happens and shouldn't, ends the tour with an
//! error.

mod bingo;
mod client;
mod delimchat;
mod emagine;
mod litecord;
mod roomvars;
mod server;
mod tee;
mod trace;
mod websocket;

use std::process::ExitCode;
use std::time::Duration;

use crate::trace::Trace;

/// Longer than anything here may take.
const PATIENCE: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> ExitCode {
    let mut trace = Trace::new();
    let end = tour(&mut trace).await;
    let steps = trace.steps();
    match end {
        Ok(()) => {
            trace.line(format_args!("\nall {steps} steps happened"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            trace.line(format_args!("\nstep {steps} FAILED: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn tour(trace: &mut Trace) -> anyhow::Result<()> {
    bingo::tour(trace).await?;
    trace.line(format_args!(""));
    litecord::tour(trace).await?;
    trace.line(format_args!(""));
    emagine::tour(trace).await?;
    trace.line(format_args!(""));
    roomvars::tour(trace).await?;
    trace.line(format_args!(""));
    delimchat::tour(trace).await
}

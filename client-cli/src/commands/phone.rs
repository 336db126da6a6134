//! stub
#[derive(clap::Args)]
pub struct Args {}
pub async fn run(_: &crate::context::Context, _: Args) -> crate::error::Result<()> { Ok(()) }

//! Asks for what an endpoint offers, reads one of its resources and changes another.
//!
//! ```sh
//! cargo run -- serve
//! cargo run -p coracle --example client -- coap://127.0.0.1
//! ```

use std::io::{self, Write};

use coracle::Client;
use coracle::wire::{ContentFormat, OptionNumber, Status};

type Failure = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let base = std::env::args().nth(1);
    let base = base.unwrap_or_else(|| "coap://127.0.0.1".into());
    let client = Client::new()?;
    let mut out = io::stdout().lock();

    let found = client.discover(&base).send().await?;
    for link in found.links()?.iter() {
        writeln!(out, "{}", link.target())?;
    }

    let hello = client.get(format!("{base}/hello")).send().await?;
    writeln!(out, "{}: {}", hello.status(), hello.text()?)?;

    // Only what does not exist yet is made: two clients cannot overwrite each other's.
    let mine = format!("{base}/store/example");
    let made = client
        .put(&mine)
        .content_format(ContentFormat::TEXT)
        .payload("made by the example")
        .if_none_match()
        .send()
        .await?;
    if made.status() == Status::PRECONDITION_FAILED {
        writeln!(out, "it is there already")?;
    }

    // What is known already is not sent again.
    let first = client.get(&mine).send().await?;
    let etag = first.options().get(OptionNumber::ETAG).unwrap_or_default();
    let again = client.get(&mine).option(OptionNumber::ETAG, etag).send().await?;
    writeln!(out, "{}, then {}", first.status(), again.status())?;
    Ok(())
}

//! Observes a resource until Ctrl-C, then says goodbye to the server.
//!
//! ```sh
//! cargo run -- serve
//! cargo run -p coracle --example observe -- coap://127.0.0.1/clock
//! ```

use std::io::{self, Write};

use coracle::client::{Client, Notification};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let uri = std::env::args().nth(1);
    let uri = uri.unwrap_or_else(|| "coap://127.0.0.1/clock".into());
    let client = Client::new()?;
    let mut states = client.observe(&uri).observe().await?;
    if !states.is_observed() {
        eprintln!("{uri} cannot be observed: this is its state now");
    }
    loop {
        tokio::select! {
            state = states.next() => match state {
                Some(Ok(Notification::State(answer))) => writeln!(io::stdout(), "{}", answer.text()?)?,
                Some(Ok(Notification::Stale)) => eprintln!("the server is silent; asking again"),
                Some(Err(error)) => return Err(error.into()),
                None => return Ok(()),
            },
            signal = tokio::signal::ctrl_c() => {
                signal?;
                states.cancel().await;
                return Ok(());
            }
        }
    }
}

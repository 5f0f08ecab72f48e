//! A thermostat: a temperature to observe and a target to set.
//!
//! ```sh
//! cargo run -p coracle --example server
//! cargo run -- observe coap://127.0.0.1/temperature
//! cargo run -- put coap://127.0.0.1/target 23 -f json
//! ```

use std::time::Duration;

use coracle::prelude::*;

/// How fast the room follows the target.
const STEP: Duration = Duration::from_secs(1);

/// The state of the router. Handlers ask for it, or for parts of it.
#[derive(Clone)]
struct Room {
    temperature: Notifier<f32>,
    target: Notifier<f32>,
}

#[tokio::main]
async fn main() -> coracle::Result<()> {
    let room = Room {
        temperature: Notifier::new(19.0),
        target: Notifier::new(21.5),
    };
    let app = Router::new()
        .route(
            "/temperature",
            get(read_temperature)
                .rt("temperature-c")
                .content_format(ContentFormat::JSON)
                .observable(),
        )
        .route(
            "/target",
            get(read_target)
                .put(write_target)
                .rt("setpoint")
                .content_format(ContentFormat::JSON)
                .observable(),
        )
        .with_state(room.clone());

    let endpoint = Endpoint::bind("coap://127.0.0.1")?;
    for address in endpoint.local_addrs() {
        eprintln!("listening on coap://{address}");
    }
    tokio::spawn(follow(room));
    endpoint.serve(app).with_graceful_shutdown(ctrl_c()).await
}

async fn read_temperature(State(room): State<Room>) -> Response {
    room.temperature.observed(|celsius| Json(*celsius))
}

async fn read_target(State(room): State<Room>) -> Response {
    room.target.observed(|celsius| Json(*celsius))
}

async fn write_target(
    State(room): State<Room>,
    Json(celsius): Json<f32>,
) -> Result<Changed, (Status, &'static str)> {
    if !(5.0..=30.0).contains(&celsius) {
        return Err((Status::BAD_REQUEST, "from 5 to 30"));
    }
    room.target.set(celsius);
    Ok(Changed)
}

/// The room warms up or cools down; observers are told only when it does.
async fn follow(room: Room) {
    loop {
        tokio::time::sleep(STEP).await;
        let difference = room.target.get() - room.temperature.get();
        if difference != 0.0 {
            room.temperature
                .update(|celsius| *celsius += difference.clamp(-0.5, 0.5));
        }
    }
}

async fn ctrl_c() {
    // Without the signal it serves until it is killed.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

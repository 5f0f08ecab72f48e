//! A constant text under /temp, with the crate `coap`: `coap-rs-server ADDRESS:PORT`.

use std::error::Error;
use std::net::SocketAddr;

use coap::Server;
use coap_lite::{CoapRequest, ContentFormat, RequestType, ResponseType};

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).ok_or("where to listen?")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        Server::new_udp(address)?.run(answer).await?;
        Ok(())
    })
}

async fn answer(mut request: Box<CoapRequest<SocketAddr>>) -> Box<CoapRequest<SocketAddr>> {
    let is_temperature = *request.get_method() == RequestType::Get && request.get_path() == "temp";
    if let Some(response) = &mut request.response {
        if is_temperature {
            response.set_status(ResponseType::Content);
            response.message.set_content_format(ContentFormat::TextPlain);
            response.message.payload = b"21.5".to_vec();
        } else {
            response.set_status(ResponseType::NotFound);
        }
    }
    request
}

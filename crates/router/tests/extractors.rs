//! What handlers may ask for, and what is answered when it cannot be had.

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;

use coracle_engine::Peer;
use coracle_router::{
    Bytes, Cbor, Extension, FromRef, FromRequest, Handler, Identity, IntoResponse, Json, Next, Path, Query,
    Rejection, Request, Response, Router, State, from_fn, get, post,
};
use coracle_wire::{ContentFormat, Method, OptionNumber, OptionsBuf, Status};

/// What a handler answers to a request for `path` when its route is `/p/{a}/{b}` or the like.
async fn ask<T: 'static>(pattern: &str, handler: impl Handler<T, ()>, request: Request) -> Response {
    Router::new().route(pattern, get(handler)).oneshot(request).await
}

async fn post_to<T: 'static>(handler: impl Handler<T, ()>, request: Request) -> Response {
    Router::new().route("/", post(handler)).oneshot(request).await
}

#[tokio::test]
async fn captures_are_read_as_what_the_handler_asks_for() {
    let one = async |Path(n): Path<u8>| format!("{n}");
    assert_eq!(ask("/{n}", one, Request::get("/200")).await.payload, "200");
    let two = async |Path((a, b)): Path<(i64, Ipv4Addr)>| format!("{a} {b}");
    assert_eq!(
        ask("/{a}/{b}", two, Request::get("/-1/10.0.0.1")).await.payload,
        "-1 10.0.0.1"
    );
    let named = async |Path(map): Path<BTreeMap<String, String>>| format!("{map:?}");
    assert_eq!(
        ask("/{b}/{a}", named, Request::get("/1/2")).await.payload,
        r#"{"a": "2", "b": "1"}"#
    );
    let rest = async |Path((a, rest)): Path<(u8, String)>| format!("{a} {rest}");
    assert_eq!(
        ask("/{a}/{*r}", rest, Request::get("/1/x/y")).await.payload,
        "1 x/y"
    );
    let all = async |Path(all): Path<Vec<String>>| all.join("|");
    assert_eq!(
        ask("/{a}/{*r}", all, Request::get("/1/x/y")).await.payload,
        "1|x|y"
    );
}

#[tokio::test]
async fn a_capture_of_another_type_names_nothing() {
    let handler = async |Path(n): Path<u8>| n.to_string();
    let refused = ask("/{n}", handler, Request::get("/256")).await;
    assert_eq!(refused.status, Status::NOT_FOUND);
    assert!(refused.payload.starts_with(b"no such resource: n: "));
}

#[tokio::test]
async fn a_slash_within_a_segment_is_never_taken_for_one_between_segments() {
    let hidden = || Request::get("/a").with_option(OptionNumber::URI_PATH, b"../b");
    let joined = async |Path(path): Path<String>| path;
    assert_eq!(ask("/{*path}", joined, hidden()).await.status, Status::NOT_FOUND);
    let split = async |Path(path): Path<Vec<String>>| path.join("|");
    assert_eq!(ask("/{*path}", split, hidden()).await.payload, "a|../b");
}

#[tokio::test]
async fn captures_that_the_route_does_not_have_are_the_programs_fault() {
    let handler = async |Path((a, b)): Path<(u8, u8)>| format!("{a}{b}");
    assert_eq!(
        ask("/{a}", handler, Request::get("/1")).await.status,
        Status::INTERNAL_SERVER_ERROR
    );
}

#[derive(serde::Deserialize, serde::Serialize)]
struct Page {
    from: u32,
    #[serde(default)]
    all: bool,
    unit: Option<String>,
    order: Option<Order>,
}

#[derive(serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
enum Order {
    Up,
    Down,
}

#[tokio::test]
async fn the_query_is_read_into_a_struct() {
    let handler = async |Query(page): Query<Page>| Json(page);
    let read = ask(
        "/",
        handler,
        Request::get("/?from=3&all&unit=°C&order=down&other=1"),
    )
    .await;
    assert_eq!(
        read.payload,
        r#"{"from":3,"all":true,"unit":"°C","order":"down"}"#
    );
    let short = ask("/", handler, Request::get("/?from=3&order=up")).await;
    assert_eq!(
        short.payload,
        r#"{"from":3,"all":false,"unit":null,"order":"up"}"#
    );
}

#[tokio::test]
async fn a_query_that_does_not_fit_is_a_bad_request() {
    let handler = async |Query(page): Query<Page>| Json(page);
    for query in [
        "",
        "?from=x",
        "?from=-1",
        "?from=1&from=2",
        "?from=1&all=maybe",
        "?from=1&order=left",
    ] {
        let refused = ask("/", handler, Request::get(&format!("/{query}"))).await;
        assert_eq!(refused.status, Status::BAD_REQUEST, "{query}");
        assert!(refused.payload.starts_with(b"query: "), "{query}");
    }
}

#[tokio::test]
async fn the_query_is_read_as_pairs_or_as_a_map() {
    let pairs = async |Query(pairs): Query<Vec<(String, String)>>| format!("{pairs:?}");
    let read = ask("/", pairs, Request::get("/?b=1&a&b=x=y")).await;
    assert_eq!(read.payload, r#"[("b", "1"), ("a", ""), ("b", "x=y")]"#);
    let map =
        async |Query(map): Query<HashMap<String, u8>>| map.get("n").map(u8::to_string).unwrap_or_default();
    assert_eq!(ask("/", map, Request::get("/?n=7")).await.payload, "7");
}

#[tokio::test]
async fn json_is_read_and_written() {
    let double = async |Json(n): Json<u32>| Json(vec![n, n]);
    let request = Request::post("/")
        .with_content_format(ContentFormat::JSON)
        .with_payload("21");
    let response = post_to(double, request).await;
    assert_eq!(response.payload, "[21,21]");
    assert_eq!(response.content_format(), Some(ContentFormat::JSON));
    assert_eq!(response.status, Status::CHANGED);
}

#[tokio::test]
async fn a_payload_that_does_not_say_its_format_is_taken_for_what_is_asked_for() {
    let handler = async |Json(n): Json<u32>| n.to_string();
    assert_eq!(
        post_to(handler, Request::post("/").with_payload("5"))
            .await
            .payload,
        "5"
    );
}

#[tokio::test]
async fn a_payload_in_another_format_is_unsupported() {
    let other = || {
        Request::post("/")
            .with_content_format(ContentFormat::XML)
            .with_payload("1")
    };
    let unsupported = Status::UNSUPPORTED_CONTENT_FORMAT;
    assert_eq!(
        post_to(async |_: Json<u32>| "", other()).await.status,
        unsupported
    );
    assert_eq!(
        post_to(async |_: Cbor<u32>| "", other()).await.status,
        unsupported
    );
    assert_eq!(post_to(async |_: String| "", other()).await.status, unsupported);
    assert_eq!(
        post_to(async |_: Bytes| "", other()).await.status,
        Status::CHANGED
    );
}

#[tokio::test]
async fn a_payload_that_does_not_read_is_a_bad_request() {
    let bad = |payload: &[u8]| Request::post("/").with_payload(payload.to_vec());
    assert_eq!(
        post_to(async |_: Json<u32>| "", bad(b"{")).await.status,
        Status::BAD_REQUEST
    );
    assert_eq!(
        post_to(async |_: String| "", bad(b"\xff")).await.status,
        Status::BAD_REQUEST
    );
    for cbor in [&b""[..], b"\xff", b"\x61", b"\x01\x02", b"\x61a"] {
        let refused = post_to(async |_: Cbor<u32>| "", bad(cbor)).await;
        assert_eq!(refused.status, Status::BAD_REQUEST, "{cbor:x?}");
        assert!(refused.payload.starts_with(b"payload: "), "{cbor:x?}");
    }
}

#[tokio::test]
async fn cbor_numbers_are_read_in_any_width() {
    let handler = async |Cbor(n): Cbor<f32>| Cbor(n);
    // 21.5 as half, single and double (RFC 8949 §3.3).
    for float in [
        &b"\xf9\x4d\x60"[..],
        b"\xfa\x41\xac\x00\x00",
        b"\xfb\x40\x35\x80\x00\x00\x00\x00\x00",
    ] {
        let response = post_to(handler, Request::post("/").with_payload(float.to_vec())).await;
        assert_eq!(response.payload, &b"\xf9\x4d\x60"[..]);
        assert_eq!(response.content_format(), Some(ContentFormat::CBOR));
    }
}

#[tokio::test]
async fn nesting_does_not_exhaust_the_stack() {
    #[derive(serde::Deserialize)]
    struct Tree(#[allow(dead_code)] Vec<Tree>);
    for bytes in [vec![0x81; 100_000], vec![0x9f; 100_000], vec![0xc1; 100_000]] {
        let request = Request::post("/").with_payload(bytes);
        assert_eq!(
            post_to(async |_: Cbor<Tree>| "", request).await.status,
            Status::BAD_REQUEST
        );
    }
    let request = Request::post("/").with_payload("[".repeat(100_000));
    assert_eq!(
        post_to(async |_: Json<Tree>| "", request).await.status,
        Status::BAD_REQUEST
    );
}

#[tokio::test]
async fn arguments_stand_in_any_order_and_share_the_payload() {
    let handler = async |text: String, method: Method, bytes: Bytes, options: OptionsBuf, peer: Peer| {
        format!(
            "{method} {text} {} {} {}",
            bytes.len(),
            options.iter().count(),
            peer.address.port()
        )
    };
    let request = Request::post("/")
        .with_content_format(ContentFormat::TEXT)
        .with_payload("abc");
    assert_eq!(post_to(handler, request).await.payload, "POST abc 3 1 5683");
}

#[tokio::test]
async fn handlers_ask_for_the_state_or_a_part_of_it() {
    #[derive(Clone)]
    struct App {
        name: &'static str,
    }
    struct Name(&'static str);
    impl FromRef<App> for Name {
        fn from_ref(app: &App) -> Name {
            Name(app.name)
        }
    }
    let whole = async |State(app): State<App>| app.name;
    let part = async |State(name): State<Name>| name.0;
    let app = Router::new()
        .route("/whole", get(whole))
        .route("/part", get(part))
        .with_state(App { name: "n" });
    assert_eq!(app.oneshot(Request::get("/whole")).await.payload, "n");
    assert_eq!(app.oneshot(Request::get("/part")).await.payload, "n");
}

#[tokio::test]
async fn routes_of_different_states_live_in_one_router() {
    let first = Router::new()
        .route("/a", get(async |State(n): State<u8>| n.to_string()))
        .with_state(1);
    let both: Router = first
        .route("/b", get(async |State(s): State<String>| s))
        .with_state("two".to_owned());
    assert_eq!(both.oneshot(Request::get("/a")).await.payload, "1");
    assert_eq!(both.oneshot(Request::get("/b")).await.payload, "two");
}

#[tokio::test]
async fn what_a_layer_attached_can_be_asked_for() {
    #[derive(Clone)]
    struct User(&'static str);
    let attach = from_fn(async |mut request: Request, next: Next| {
        request.extensions.insert(User("ada"));
        next.run(request).await
    });
    let who = async |Extension(user): Extension<User>| user.0;
    let app: Router = Router::new()
        .route("/with", get(who))
        .layer(attach)
        .route("/without", get(who));
    assert_eq!(app.oneshot(Request::get("/with")).await.payload, "ada");
    assert_eq!(
        app.oneshot(Request::get("/without")).await.status,
        Status::INTERNAL_SERVER_ERROR
    );
}

#[tokio::test]
async fn a_handler_can_take_the_refusal_itself() {
    let optional = async |n: Option<Json<u8>>| n.map_or("none".into(), |Json(n)| n.to_string());
    assert_eq!(
        post_to(optional, Request::post("/").with_payload("x"))
            .await
            .payload,
        "none"
    );
    let result = async |n: Result<Json<u8>, Rejection>| match n {
        Ok(Json(n)) => n.to_string(),
        Err(rejection) => rejection.status().to_string(),
    };
    assert_eq!(
        post_to(result, Request::post("/").with_payload("x"))
            .await
            .payload,
        "4.00 Bad Request"
    );
    assert_eq!(
        post_to(result, Request::post("/").with_payload("1"))
            .await
            .payload,
        "1"
    );
}

#[tokio::test]
async fn own_extractors_refuse_with_what_they_like() {
    struct Even(u8);
    impl<S: Sync> FromRequest<S> for Even {
        type Rejection = (Status, &'static str);

        async fn from_request(request: &mut Request, state: &S) -> Result<Self, Self::Rejection> {
            match Path::<u8>::from_request(request, state).await {
                Ok(Path(n)) if n % 2 == 0 => Ok(Even(n)),
                _ => Err((Status::FORBIDDEN, "odd")),
            }
        }
    }
    let handler = async |Even(n): Even| n.to_string();
    assert_eq!(ask("/{n}", handler, Request::get("/4")).await.payload, "4");
    let refused = ask("/{n}", handler, Request::get("/5")).await;
    assert_eq!(
        (refused.status, &refused.payload[..]),
        (Status::FORBIDDEN, &b"odd"[..])
    );
    assert_eq!(refused.content_format(), None);
}

#[tokio::test]
async fn the_answers_of_handlers_that_see_who_asks_are_personal() {
    let peer = async |_: Option<Peer>| "";
    assert!(ask("/", peer, Request::get("/")).await.personal);
    let request = async |_: Request| "";
    assert!(ask("/", request, Request::get("/")).await.personal);
    let others = async |_: Method, _: OptionsBuf, _: State<()>| "";
    assert!(!ask("/", others, Request::get("/")).await.personal);
    let by_choice = async || "".into_response().personal();
    assert!(ask("/", by_choice, Request::get("/")).await.personal);
}

#[tokio::test]
async fn a_handler_that_asks_who_it_is_refuses_those_who_proved_nothing() {
    let who = async |identity: Identity| identity.to_string();
    let anonymous = ask("/", who, Request::get("/")).await;
    assert_eq!(anonymous.status, Status::UNAUTHORIZED);
    assert!(
        anonymous
            .payload
            .starts_with(b"this is only for peers that prove who they are")
    );
    let known = Request::get("/").with_identity(Some(Identity::psk("meter-7")));
    let known = ask("/", who, known).await;
    assert_eq!(
        (known.status, &known.payload[..]),
        (Status::CONTENT, &b"psk meter-7"[..])
    );
    assert!(known.personal);
    let whoever = async |identity: Option<Identity>| identity.is_some().to_string();
    assert_eq!(ask("/", whoever, Request::get("/")).await.payload, "false");
}

#[tokio::test]
async fn a_copy_of_a_request_is_by_the_same_peer() {
    let who = async |request: Request| request.identity.map(|identity| identity.to_string());
    let handler = async move |request: Request| who(request).await.unwrap_or_default();
    let request = Request::get("/").with_identity(Some(Identity::raw_public_key([1, 2, 3, 4])));
    assert_eq!(
        ask("/", handler, request).await.payload,
        "raw public key ..01020304"
    );
}

//! No request makes a router panic or wait, whatever its options and payload.

use std::collections::BTreeMap;
use std::task::{Context, Poll, Waker};

use coracle_engine::BodyPolicy;
use coracle_router::{
    Bytes, Cbor, Changed, IntoResponse, Json, Path, Preconditions, Query, Rejection, Request, Response,
    Router, any, get, post,
};
use coracle_wire::{Code, ContentFormat, Method, OptionNumber, OptionsBuf, Status};
use proptest::arbitrary::any as arbitrary;
use proptest::collection::vec;
use proptest::prelude::{Just, ProptestConfig, Strategy, TestCaseError};
use proptest::{prop_assert, prop_assert_ne, prop_oneof, proptest};

type Pairs = Query<Vec<(String, String)>>;

async fn read(Path((n, rest)): Path<(i8, String)>, Query(pairs): Pairs) -> Response {
    format!("{n} {rest} {pairs:?}").into_response().with_etag(&[1])
}

async fn write(conditions: Preconditions, bytes: Bytes) -> Result<Changed, Rejection> {
    conditions.check(bytes.is_empty(), Some(&bytes)).map(|()| Changed)
}

fn app() -> Router {
    let values = async |value: Result<Cbor<BTreeMap<String, Vec<f32>>>, Rejection>| value;
    let nested = Router::new()
        .route("/", get(async |Json(n): Json<f64>| Json(n)).patch(values))
        .route(
            "/{n}/{*rest}",
            get(read).put(write).content_format(ContentFormat::TEXT),
        )
        .route(
            "/{n}",
            post(async |Path(n): Path<u16>, text: String| format!("{n}{text}"))
                .put(write)
                .conditional(),
        )
        .fallback(async |Path(all): Path<Vec<String>>| all.join(","));
    Router::new()
        .nest("/a", nested)
        .route("/a/b", any(async |request: Request| request.payload).hidden())
}

fn segment() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(b"a".to_vec()),
        Just(b"b".to_vec()),
        Just(b".well-known".to_vec()),
        Just(b"core".to_vec()),
        Just(b"7".to_vec()),
        vec(arbitrary::<u8>(), 0..12),
    ]
}

fn option() -> impl Strategy<Value = (u16, Vec<u8>)> {
    let known = proptest::sample::select(
        OptionNumber::registered()
            .iter()
            .map(|definition| definition.number.0)
            .collect::<Vec<_>>(),
    );
    (
        prop_oneof![4 => known, 1 => arbitrary::<u16>()],
        vec(arbitrary::<u8>(), 0..12),
    )
}

fn request() -> impl Strategy<Value = Request> {
    let payload = prop_oneof![
        vec(arbitrary::<u8>(), 0..64),
        Just(b"1.5".to_vec()),
        Just(b"\xa1\x61a\x81\xf9\x4d\x60".to_vec()),
    ];
    (
        0_u8..9,
        vec(segment(), 0..5),
        vec(option(), 0..5),
        payload,
        arbitrary::<bool>(),
    )
        .prop_map(|(method, path, options, payload, multicast)| {
            let method = Method::try_from(Code::from_byte(method.max(1))).unwrap_or(Method::GET);
            let mut request = Request::to(method, "").with_payload(payload);
            request.path.multicast = multicast;
            let mut all = OptionsBuf::new();
            for segment in &path {
                let _ = all.insert(OptionNumber::URI_PATH, segment);
            }
            for (number, value) in &options {
                let _ = all.insert(OptionNumber(*number), value);
            }
            request.with_options(all)
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_request_is_answered_at_once_and_without_a_panic(request in request()) {
        let app = app();
        let _ = app.body(request.method, request.options.as_options());
        let mut answer = std::pin::pin!(app.call(request));
        let Poll::Ready(response) = answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
            return Err(TestCaseError::fail("no answer"));
        };
        // A panic of a handler would show as 5.00.
        prop_assert_ne!(response.status, Status::INTERNAL_SERVER_ERROR);
        prop_assert!(matches!(response.status.class(), 2 | 4 | 5));
        if response.status == Status::VALID {
            prop_assert!(response.payload.is_empty());
        }
    }
}

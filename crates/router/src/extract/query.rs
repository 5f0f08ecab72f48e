//! Arguments of the query.

use serde::de::value::MapDeserializer;
use serde::de::{self, DeserializeOwned, Deserializer, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

use super::FromRequest;
use crate::rejection::Rejection;
use crate::request::Request;

/// The arguments of the query, each a Uri-Query option of the form `name=value` (RFC 7252 §5.10.1).
///
/// `T` is a struct that serde deserializes, a map, or `Vec<(String, String)>` for all of them in their order. A name
/// without `=` has the value ""; as a `bool` that is `true`. Of a name given twice a struct takes none: 4.00, as it is
/// for what does not read as the field's type.
///
/// ```
/// use coracle_router::{get, Query, Router};
///
/// #[derive(serde::Deserialize)]
/// struct Range { from: u32, #[serde(default)] verbose: bool, unit: Option<String> }
///
/// async fn history(Query(range): Query<Range>) -> String { format!("since {}", range.from) }
///
/// let app: Router = Router::new().route("/history", get(history));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Query<T>(pub T);

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for Query<T> {
    type Rejection = Rejection;

    fn is_at_hand(_: &Request) -> bool {
        true
    }

    async fn from_request(request: &mut Request, _: &S) -> Result<Self, Rejection> {
        let options = request.options.as_options();
        let arguments = options.queries().map(|query| std::str::from_utf8(query));
        let arguments = arguments.collect::<Result<Vec<_>, _>>();
        let arguments = arguments.map_err(|error| Rejection::Query(error.to_string()))?;
        let pairs = arguments.into_iter().map(|argument| {
            let (name, value) = argument.split_once('=').unwrap_or((argument, ""));
            (name, Text(value))
        });
        T::deserialize(MapDeserializer::new(pairs))
            .map(Query)
            .map_err(|error: de::value::Error| Rejection::Query(error.to_string()))
    }
}

/// A value as text, which becomes what is asked for.
#[derive(Clone, Copy)]
struct Text<'de>(&'de str);

impl<'de> IntoDeserializer<'de> for Text<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

macro_rules! parsed {
    ($($deserialize:ident $visit:ident $what:literal;)*) => {$(
        fn $deserialize<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
            match self.0.parse() {
                Ok(value) => visitor.$visit(value),
                Err(_) => Err(de::Error::invalid_value(de::Unexpected::Str(self.0), &$what)),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Text<'de> {
    type Error = de::value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_borrowed_str(self.0)
    }

    parsed! {
        deserialize_u8 visit_u8 "a number from 0 to 255";
        deserialize_u16 visit_u16 "a number from 0 to 65535";
        deserialize_u32 visit_u32 "a number of 32 bits";
        deserialize_u64 visit_u64 "a number of 64 bits";
        deserialize_i8 visit_i8 "a number from -128 to 127";
        deserialize_i16 visit_i16 "a number from -32768 to 32767";
        deserialize_i32 visit_i32 "a signed number of 32 bits";
        deserialize_i64 visit_i64 "a signed number of 64 bits";
        deserialize_f32 visit_f32 "a number";
        deserialize_f64 visit_f64 "a number";
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        match self.0 {
            "" | "1" | "true" => visitor.visit_bool(true),
            "0" | "false" => visitor.visit_bool(false),
            other => Err(de::Error::invalid_value(
                de::Unexpected::Str(other),
                &"true or false",
            )),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_enum(self.0.into_deserializer())
    }

    forward_to_deserialize_any! {
        i128 u128 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier
        ignored_any
    }
}

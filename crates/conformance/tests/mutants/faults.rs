//! The mutants: what each does wrong, and who has to notice.

use std::collections::{HashMap, HashSet};

use coracle_conformance::message::Message;
use coracle_wire::{ContentFormat, MessageErrorKind, MessageType, Method, OptionNumber, Status};

use crate::relay::{Fault, Way, change, raw, replace};

/// A server that is wrong in one way.
pub(crate) struct Mutant {
    pub(crate) name: &'static str,
    /// The cases that fail, each of them.
    pub(crate) caught_by: &'static [&'static str],
    pub(crate) fault: fn() -> Fault,
}

const fn mutant(name: &'static str, caught_by: &'static [&'static str], fault: fn() -> Fault) -> Mutant {
    Mutant {
        name,
        caught_by,
        fault,
    }
}

/// All.
pub(crate) const MUTANTS: &[Mutant] = &[
    mutant("wrong token", &["core_01", "core_10"], || {
        change(Way::ToJudge, |message| {
            if let Some(byte) = message.token.first_mut() {
                *byte ^= 1;
            }
        })
    }),
    mutant(
        "wrong Message ID in acknowledgements",
        &["core_01", "core_03"],
        || {
            change(Way::ToJudge, |message| {
                if message.message_type == MessageType::Acknowledgement {
                    message.mid ^= 1;
                }
            })
        },
    ),
    mutant("no empty acknowledgement", &["core_09", "core_11"], || {
        replace(Way::ToJudge, |message| {
            let empty = message.message_type == MessageType::Acknowledgement && message.code.is_empty();
            if empty { Vec::new() } else { vec![message] }
        })
    }),
    mutant("answers that are not piggybacked", &["core_01"], || {
        change(Way::ToJudge, |message| {
            if message.message_type == MessageType::Acknowledgement && message.status().is_some() {
                message.message_type = MessageType::NonConfirmable;
            }
        })
    }),
    mutant(
        "confirmable answers to non-confirmable requests",
        &["core_05", "core_17"],
        || {
            change(Way::ToJudge, |message| {
                if message.message_type == MessageType::NonConfirmable {
                    message.message_type = MessageType::Confirmable;
                }
            })
        },
    ),
    mutant("a ping is not answered", &["core_31"], || {
        drop_replies(MessageType::Reset)
    }),
    mutant("a ping is acknowledged", &["core_31"], || {
        change(Way::ToJudge, |message| {
            if message.message_type == MessageType::Reset {
                message.message_type = MessageType::Acknowledgement;
            }
        })
    }),
    mutant("no Content-Format", &["core_01", "link_01"], || {
        change(Way::ToJudge, |message| {
            message.options.remove(OptionNumber::CONTENT_FORMAT)
        })
    }),
    mutant("Location-Path in one option", &["core_18"], || {
        change(Way::ToJudge, |message| {
            let path = message.location_path();
            if !path.is_empty() {
                message
                    .options
                    .set(OptionNumber::LOCATION_PATH, path.as_bytes())
                    .unwrap();
            }
        })
    }),
    mutant("no Location-Query", &["core_19"], || {
        change(Way::ToJudge, |message| {
            message.options.remove(OptionNumber::LOCATION_QUERY)
        })
    }),
    mutant("Accept is ignored", &["core_20"], || {
        blind_to(OptionNumber::ACCEPT)
    }),
    mutant("ETag is not validated", &["core_21"], || {
        blind_to(OptionNumber::ETAG)
    }),
    mutant("If-Match is ignored", &["core_22"], || {
        blind_to(OptionNumber::IF_MATCH)
    }),
    mutant("If-None-Match is ignored", &["core_23"], || {
        blind_to(OptionNumber::IF_NONE_MATCH)
    }),
    mutant("an ETag that never changes", &["core_21", "core_22"], || {
        change(Way::ToJudge, |message| {
            if message.options.contains(OptionNumber::ETAG) {
                message.options.set(OptionNumber::ETAG, b"same").unwrap();
            }
        })
    }),
    mutant(
        "filters match beginnings",
        &["RFC6690-4.1-values-match-whole"],
        || {
            change(Way::ToServer, |message| {
                let queries = message.queries();
                message.options.remove(OptionNumber::URI_QUERY);
                for query in queries {
                    let star = if query.ends_with('*') { "" } else { "*" };
                    let query = query + star;
                    message.options.push_str(OptionNumber::URI_QUERY, &query).unwrap();
                }
            })
        },
    ),
    mutant(
        "unknown critical options are accepted",
        &[
            "RFC7252-5.4.1-unknown-critical",
            "RFC7252-5.4.1-unknown-critical-not-executed",
        ],
        || {
            change(Way::ToServer, |message| {
                message
                    .options
                    .retain(|option| option.number.definition().is_some())
            })
        },
    ),
    mutant("the version is not looked at", &["RFC7252-3-version"], || {
        raw(Way::ToServer, |bytes| {
            if let Some(first) = bytes.first_mut() {
                *first = *first & 0x3f | 0x40;
            }
        })
    }),
    mutant(
        "a payload marker without payload is accepted",
        &["RFC7252-3-marker-without-payload"],
        || {
            raw(Way::ToServer, |bytes| {
                if bytes.last() == Some(&0xff) {
                    bytes.pop();
                }
            })
        },
    ),
    mutant(
        "an option delta of 15 is skipped",
        &["RFC7252-3.1-option-delta-15"],
        || {
            raw(Way::ToServer, |bytes| {
                if Message::parse(bytes).is_err_and(|error| error.kind == MessageErrorKind::OptionDelta15) {
                    let token = usize::from(bytes[0] & 0x0f);
                    bytes.truncate(4 + token);
                }
            })
        },
    ),
    mutant(
        "a copy of a request is executed again",
        &["RFC7252-4.5-copy-of-con-post"],
        || {
            // Each copy goes to the server with an ID of its own, and its answer comes back with that of the first.
            let mut copies: HashMap<u16, u16> = HashMap::new();
            let mut next = 0;
            Box::new(move |way, bytes| {
                let Ok(mut message) = Message::parse(bytes) else {
                    return vec![bytes.to_vec()];
                };
                match way {
                    Way::ToServer if message.method().is_some() => {
                        next += 1;
                        copies.insert(next, message.mid);
                        message.mid = next;
                    }
                    Way::ToJudge if message.message_type == MessageType::Acknowledgement => {
                        message.mid = copies.get(&message.mid).copied().unwrap_or(message.mid);
                    }
                    _ => {}
                }
                vec![message.to_bytes()]
            })
        },
    ),
    mutant(
        "a copy of a request is not answered",
        &["RFC7252-4.5-copy-of-con-get"],
        || {
            let mut answered = HashSet::new();
            replace(Way::ToJudge, move |message| {
                let first =
                    message.message_type != MessageType::Acknowledgement || answered.insert(message.mid);
                if first { vec![message] } else { Vec::new() }
            })
        },
    ),
    mutant("repetitions have a new Message ID", &["core_16"], || {
        let mut add = 0;
        change(Way::ToJudge, move |message| {
            if message.is_con() {
                message.mid = message.mid.wrapping_add(add);
                add += 1;
            }
        })
    }),
    mutant("a confirmable response is not repeated", &["core_16"], || {
        let mut seen = HashSet::new();
        replace(Way::ToJudge, move |message| {
            if !message.is_con() || seen.insert(message.mid) {
                vec![message]
            } else {
                Vec::new()
            }
        })
    }),
    mutant(
        "it goes on after the acknowledgement",
        &["RFC7252-4.2-stops-at-ack"],
        || {
            replace(Way::ToServer, |message| {
                let ack = message.message_type == MessageType::Acknowledgement;
                if ack { Vec::new() } else { vec![message] }
            })
        },
    ),
    mutant(
        "Proxy-Uri is not looked at",
        &["RFC7252-5.10.2-proxy-uri"],
        || blind_to(OptionNumber::PROXY_URI),
    ),
    mutant(
        "methods that are not there are not found",
        &["RFC7252-5.8-unknown-method", "RFC7252-5.8-unsupported-method"],
        || {
            change(Way::ToJudge, |message| {
                if message.status() == Some(Status::METHOD_NOT_ALLOWED) {
                    message.code = Status::NOT_FOUND.into();
                }
            })
        },
    ),
    mutant("responses to responses", &["RFC7252-4.2-unexpected-ack"], || {
        // The server rejects an acknowledgement that nobody waits for, as if it were a request.
        change(Way::ToServer, |message| {
            if message.message_type == MessageType::Acknowledgement && message.status().is_some() {
                *message = Message::empty(MessageType::Confirmable, message.mid);
            }
        })
    }),
    mutant(
        "No-Response keeps back too much",
        &["RFC7967-2.1-wanted-error", "RFC7967-2.1-empty-value"],
        || {
            change(Way::ToServer, |message| {
                if message.options.contains(OptionNumber::NO_RESPONSE) {
                    message.options.set_uint(OptionNumber::NO_RESPONSE, 26);
                }
            })
        },
    ),
    mutant(
        "long tokens are rejected",
        &["RFC8974-2.2.2-too-long-is-not-rejected"],
        || {
            change(Way::ToServer, |message| {
                if message.token.len() > 200 {
                    // What the server rejects, with the same Message ID.
                    *message = Message::empty(MessageType::Confirmable, message.mid);
                }
            })
        },
    ),
    mutant(
        "a patch that fails is half applied",
        &["RFC8132-3-nothing-is-changed-by-an-error"],
        || {
            change(Way::ToServer, |message| {
                let text = String::from_utf8_lossy(&message.payload).into_owned();
                if text.contains("\"name\":12") {
                    message.payload = text.replace(",\"name\":12", "").into_bytes();
                }
            })
        },
    ),
    mutant("wrong block", &["block_01", "block_02"], || {
        change(Way::ToJudge, |message| {
            if let Some(block) = message.block2_value().filter(|block| block.num() > 0) {
                let wrong =
                    u64::from(block.num() + 1) << 4 | u64::from(block.more()) << 3 | u64::from(block.szx());
                message.options.set_uint(OptionNumber::BLOCK2, wrong);
            }
        })
    }),
    mutant("a block that is not full", &["block_01", "block_02"], || {
        change(Way::ToJudge, |message| {
            if message.block2_value().is_some_and(|block| block.more()) {
                message.payload.pop();
            }
        })
    }),
    mutant("a smaller block size is not kept", &["block_01"], || {
        blind_to(OptionNumber::BLOCK2)
    }),
    mutant("2.04 for blocks in between", &["block_04", "block_05"], || {
        change(Way::ToJudge, |message| {
            if message.status() == Some(Status::CONTINUE) {
                message.code = Status::CHANGED.into();
            }
        })
    }),
    mutant("Observe goes back", &["obs_01", "obs_09"], || {
        let mut number = 0x80_0000;
        change(Way::ToJudge, move |message| {
            if message.options.contains(OptionNumber::OBSERVE) {
                number -= 1;
                message.options.set_uint(OptionNumber::OBSERVE, number);
            }
        })
    }),
    mutant("Observe is ignored", &["obs_10"], || {
        // Whoever registers gets one state and no more, but with the option, as if all were well.
        let mut seen = HashSet::new();
        replace(Way::ToJudge, move |message| {
            let first =
                !message.options.contains(OptionNumber::OBSERVE) || seen.insert(message.token.clone());
            if first { vec![message] } else { Vec::new() }
        })
    }),
    mutant("deregistration is ignored", &["obs_12"], || {
        // It is answered, but as a plain GET with another token that the server does not take for the same.
        let mut real = HashMap::new();
        Box::new(move |way, bytes| {
            let Ok(mut message) = Message::parse(bytes) else {
                return vec![bytes.to_vec()];
            };
            match way {
                Way::ToServer if message.observe_value() == Some(1) => {
                    message.options.remove(OptionNumber::OBSERVE);
                    real.insert(b"plain".to_vec(), message.token.clone());
                    message.token = b"plain".to_vec();
                }
                Way::ToJudge => {
                    if let Some(token) = real.get(&message.token) {
                        message.token.clone_from(token);
                    }
                }
                Way::ToServer => {}
            }
            vec![message.to_bytes()]
        })
    }),
    mutant("a Reset does not end an observation", &["obs_06"], || {
        change(Way::ToServer, |message| {
            if message.message_type == MessageType::Reset {
                message.message_type = MessageType::Acknowledgement;
            }
        })
    }),
    mutant("Observe in the last answer", &["obs_07"], || {
        change(Way::ToJudge, |message| {
            if message.is_con() && message.status() == Some(Status::NOT_FOUND) {
                message.options.set_uint(OptionNumber::OBSERVE, 5);
            }
        })
    }),
    mutant("links as text", &["link_01"], || {
        change(Way::ToJudge, |message| {
            if message.options.as_options().content_format() == Some(ContentFormat::LINK_FORMAT) {
                message.options.set_uint(OptionNumber::CONTENT_FORMAT, 0);
            }
        })
    }),
    mutant(
        "DELETE is answered as if something had been changed",
        &["core_02", "core_06"],
        || {
            let mut deletes = HashSet::new();
            Box::new(move |way, bytes| {
                let Ok(mut message) = Message::parse(bytes) else {
                    return vec![bytes.to_vec()];
                };
                match way {
                    Way::ToServer if message.method() == Some(Method::DELETE) => {
                        deletes.insert(message.token.clone());
                    }
                    Way::ToJudge if deletes.contains(&message.token) && message.status().is_some() => {
                        message.code = Status::CHANGED.into();
                    }
                    _ => {}
                }
                vec![message.to_bytes()]
            })
        },
    ),
];

/// The server never sees an option.
fn blind_to(number: OptionNumber) -> Fault {
    change(Way::ToServer, move |message| message.options.remove(number))
}

/// Messages of a type never leave the server.
fn drop_replies(message_type: MessageType) -> Fault {
    replace(Way::ToJudge, move |message| {
        if message.message_type == message_type {
            Vec::new()
        } else {
            vec![message]
        }
    })
}

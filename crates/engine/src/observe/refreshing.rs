//! What the application is asked for: the state of a group for all of its members, or for each alone.

use crate::context::Context;
use crate::limits::REFRESH_WITHIN;
use crate::observe::groups::Line;
use crate::observe::members::Place;
use crate::observe::server::Observers;
use crate::path::Peer;
use crate::slab::Key;
use crate::time::Instant;
use crate::timers::TimerKey;
use crate::values::{Event, ExchangeId};

/// A member by whose request the application was asked.
#[derive(Clone, Copy)]
pub(crate) struct Asking {
    pub(crate) member: Key,
    pub(crate) number: u64,
    /// For all of its group.
    pub(crate) shared: bool,
}

impl Observers {
    /// What the application is asked for next.
    pub(crate) fn next_refresh(&mut self, peer: impl Fn(Key) -> Option<Peer>) -> Option<Event> {
        while let Some(key) = self.refresh.pop_front() {
            let group = self.groups.get_mut(key);
            let Some(group) = group.filter(|group| group.line == Line::Refresh) else {
                continue;
            };
            group.line = Line::No;
            let Some(first) = group.places.due.first else {
                group.alone = group.personal;
                continue;
            };
            let Some(member) = self.members.get(first) else {
                continue;
            };
            let (registration, known) = (member.registration, member.number);
            let Some(peer) = peer(member.peer) else { continue };
            let shared = !group.alone;
            let number = if shared {
                group.asking = Some(first);
                group.numbers.of_state()
            } else {
                self.members.move_to(&mut group.places, Place::Away, first);
                group.numbers.of_state_for(known)
            };
            let request = group.request_of(peer);
            let asking = Asking {
                member: first,
                number,
                shared,
            };
            self.asking.insert(registration, asking);
            self.untimed.push(first);
            self.stand_in_line(key);
            return Some(Event::Refresh {
                id: ExchangeId::server(registration),
                request,
            });
        }
        None
    }

    /// Whether the application was asked for what it has not shown yet, since when nobody looked at the time.
    pub(crate) fn is_untimed(&self) -> bool {
        !self.untimed.is_empty()
    }

    /// Sees to it that what the application is asked for does not hold up those who wait for it for ever.
    pub(crate) fn time_refreshes(&mut self, context: &mut Context, now: Instant) {
        for key in core::mem::take(&mut self.untimed) {
            let member = self.members.get(key);
            if member.is_some_and(|member| self.asking.contains_key(&member.registration)) {
                context.timers.arm(TimerKey::Refresh(key), now + REFRESH_WITHIN);
            }
        }
    }

    /// The application has not shown what it was asked for: it is told that this is not waited for any more, and asked
    /// anew, by the request of another if there is one.
    pub(crate) fn refresh_over(&mut self, context: &mut Context, key: Key) {
        let Some(member) = self.members.get(key) else {
            return;
        };
        let (registration, group_key) = (member.registration, member.group);
        let Some(asking) = self.asked(context, registration) else {
            return;
        };
        context.events.push_back(Event::Ended {
            id: ExchangeId::server(registration),
        });
        if let Some(group) = self.groups.get_mut(group_key)
            && (!asking.shared || group.places.due.first == Some(key))
        {
            self.members.move_to(&mut group.places, Place::Due, key);
        }
        self.stand_in_line(group_key);
    }

    /// What the application was asked for by this name.
    pub(crate) fn asked(&mut self, context: &mut Context, registration: Key) -> Option<Asking> {
        let asking = self.asking.remove(&registration)?;
        // Most answer at once.
        if self.untimed.pop_if(|last| *last == asking.member).is_none() {
            context.timers.disarm(TimerKey::Refresh(asking.member));
        }
        if asking.shared
            && let Some(group) = self.group_of(asking.member)
        {
            group.asking = None;
        }
        Some(asking)
    }
}

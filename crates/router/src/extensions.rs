//! Values that layers attach to a request.

use std::any::{Any, TypeId};
use std::fmt;

/// Values by their type: what a layer found out (who asks, when it came), kept for handlers behind it.
///
/// An empty one allocates nothing.
#[derive(Default)]
pub struct Extensions {
    values: Vec<(TypeId, Box<dyn Value>)>,
}

impl Extensions {
    /// Nothing attached.
    #[must_use]
    pub const fn new() -> Extensions {
        Extensions { values: Vec::new() }
    }

    /// Takes all values away.
    pub fn clear(&mut self) {
        self.values.clear();
    }

    /// Attaches a value; returns the one of the same type that it replaces.
    pub fn insert<T: Clone + Send + Sync + 'static>(&mut self, value: T) -> Option<T> {
        let previous = self.remove::<T>();
        self.values.push((TypeId::of::<T>(), Box::new(value)));
        previous
    }

    /// The value of a type.
    #[must_use]
    pub fn get<T: 'static>(&self) -> Option<&T> {
        let (_, value) = self.values.iter().find(|(id, _)| *id == TypeId::of::<T>())?;
        value.as_ref().as_any().downcast_ref()
    }

    /// Takes the value of a type away.
    pub fn remove<T: 'static>(&mut self) -> Option<T> {
        let at = self.values.iter().position(|(id, _)| *id == TypeId::of::<T>())?;
        let (_, value) = self.values.swap_remove(at);
        value.into_any().downcast().ok().map(|value| *value)
    }
}

impl Clone for Extensions {
    fn clone(&self) -> Self {
        let copy = |(id, value): &(TypeId, Box<dyn Value>)| (*id, value.as_ref().clone_value());
        Extensions {
            values: self.values.iter().map(copy).collect(),
        }
    }
}

impl fmt::Debug for Extensions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Extensions")
            .field("len", &self.values.len())
            .finish()
    }
}

trait Value: Send + Sync {
    fn as_any(&self) -> &dyn Any;
    fn into_any(self: Box<Self>) -> Box<dyn Any>;
    fn clone_value(&self) -> Box<dyn Value>;
}

impl<T: Clone + Send + Sync + 'static> Value for T {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }

    fn clone_value(&self) -> Box<dyn Value> {
        Box::new(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_of_each_type_is_kept() {
        let mut extensions = Extensions::new();
        assert_eq!(extensions.insert(1_u8), None);
        assert_eq!(extensions.insert("a"), None);
        assert_eq!(extensions.insert(2_u8), Some(1));
        let copy = extensions.clone();
        assert_eq!(extensions.remove::<u8>(), Some(2));
        assert_eq!(extensions.get::<u8>(), None);
        assert_eq!(copy.get::<u8>(), Some(&2));
        assert_eq!(copy.get::<&str>(), Some(&"a"));
    }
}

//! How long stored results hold, and on which condition.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::metadata::Metadata;
use super::reason::MissReason;
use crate::panics;

/// A clock that is read on two cores, or was corrected a little, puts an entry no further ahead than this.
const SKEW: Duration = Duration::from_secs(2);

/// How long a stored result holds, and on which condition. Unset parts hold always.
///
/// Given by `expires_after` and `validate` of the attributes, or by the methods of that name of
/// [`Cached`](crate::Cached::expires_after) and [`CachedFn`](crate::CachedFn::expires_after).
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct Validity {
    expires_after: Option<Duration>,
    validate: Option<Arc<Validate>>,
}

type Validate = dyn Fn(&Metadata) -> bool + Send + Sync;

impl Validity {
    /// Holds for good.
    pub fn always() -> Validity {
        Validity::default()
    }

    /// Holds for `time` after it was stored. joblib's `expires_after`.
    pub fn expires_after(mut self, time: Duration) -> Validity {
        self.expires_after = Some(time);
        self
    }

    /// Holds as long as `valid` says so. joblib's `cache_validation_callback`.
    pub fn validate(mut self, valid: impl Fn(&Metadata) -> bool + Send + Sync + 'static) -> Validity {
        self.validate = Some(Arc::new(valid));
        self
    }

    #[inline]
    pub(super) fn is_always(&self) -> bool {
        self.expires_after.is_none() && self.validate.is_none()
    }

    /// Whether entries are asked about with all that is known of them.
    pub(super) fn asks_metadata(&self) -> bool {
        self.validate.is_some()
    }

    /// Until when an entry holds, as far as its age goes.
    pub(super) fn expires_at(&self, stored_at: SystemTime) -> Option<SystemTime> {
        stored_at.checked_add(self.expires_after?)
    }

    /// Judges an entry that was stored then.
    ///
    /// # Errors
    /// `Expired` or `Rejected`, with the panic where the function had one.
    pub(super) fn judge(
        &self,
        stored_at: SystemTime,
        metadata: impl FnOnce() -> Option<Arc<Metadata>>,
    ) -> Result<(), Invalid> {
        if let Some(longest) = self.expires_after {
            // An entry from the future may be of any age: the clock was wrong then, or is now.
            let age = match SystemTime::now().duration_since(stored_at) {
                Ok(age) => Some(age),
                Err(ahead) => (ahead.duration() <= SKEW).then_some(Duration::ZERO),
            };
            if age.is_none_or(|age| age >= longest) {
                return Err(Invalid { reason: MissReason::Expired, panic: None });
            }
        }
        if let Some(validate) = &self.validate {
            // What is not known cannot be judged.
            let Some(metadata) = metadata() else { return Err(Invalid { reason: MissReason::Rejected, panic: None }) };
            match panics::catch(|| validate(&metadata)) {
                Ok(true) => {}
                Ok(false) => return Err(Invalid { reason: MissReason::Rejected, panic: None }),
                Err(panic) => return Err(Invalid { reason: MissReason::Rejected, panic: Some(panic.to_string()) }),
            }
        }
        Ok(())
    }
}

/// An entry that does not hold.
#[derive(Debug)]
pub(super) struct Invalid {
    pub(super) reason: MissReason,
    pub(super) panic: Option<String>,
}

impl fmt::Debug for Validity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Validity")
            .field("expires_after", &self.expires_after)
            .field("validate", &self.validate.as_ref().map(|_| "a function"))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(validity: &Validity, stored_at: SystemTime) -> Option<MissReason> {
        validity.judge(stored_at, || None).err().map(|invalid| invalid.reason)
    }

    #[test]
    fn what_is_too_old_or_from_the_future_has_expired() {
        let hour = Duration::from_secs(3600);
        let validity = Validity::always().expires_after(hour);
        let now = SystemTime::now();
        assert_eq!(judged(&validity, now), None);
        assert_eq!(judged(&validity, now - hour / 2), None);
        assert_eq!(judged(&validity, now - hour), Some(MissReason::Expired));
        assert_eq!(judged(&validity, SystemTime::UNIX_EPOCH), Some(MissReason::Expired));
        // The clock was set back since.
        assert_eq!(judged(&validity, now + hour / 2), Some(MissReason::Expired));
        assert_eq!(judged(&Validity::always(), now + hour), None, "it holds for good");
    }

    #[test]
    fn a_condition_without_anything_known_does_not_hold() {
        let validity = Validity::always().validate(|_| true);
        assert_eq!(judged(&validity, SystemTime::now()), Some(MissReason::Rejected));
    }
}

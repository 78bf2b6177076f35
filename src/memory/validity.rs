//! How long stored results hold, and on which condition.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What is known of a stored result without loading it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Metadata {}

/// How long a stored result holds, and on which condition. Unset parts hold always.
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

    /// Holds for `time` after it was stored.
    pub fn expires_after(mut self, time: Duration) -> Validity {
        self.expires_after = Some(time);
        self
    }

    /// Holds as long as `valid` says so. joblib's `cache_validation_callback`.
    pub fn validate(mut self, valid: impl Fn(&Metadata) -> bool + Send + Sync + 'static) -> Validity {
        self.validate = Some(Arc::new(valid));
        self
    }
}

impl fmt::Debug for Validity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Validity")
            .field("expires_after", &self.expires_after)
            .field("validate", &self.validate.as_ref().map(|_| "a function"))
            .finish()
    }
}

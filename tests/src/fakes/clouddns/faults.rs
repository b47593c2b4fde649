//! The ways in which Cloud DNS says that it will not do something now, ready to be put into a
//! [`Fault`](crate::fakes::faults::Fault).

use serde_json::json;

use super::refusal::Refusal;
use crate::fakes::listener::Answer;

/// A refusal that has nothing to do with the request itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// 429 `rateLimitExceeded`. Source: kubernetes-sigs/external-dns#1710.
    RateLimit,
    /// 429 `rateLimitExceeded` with `RESOURCE_EXHAUSTED` and the quota's name, as Google's common front has it.
    QuotaPerMinute,
    /// 403 `rateLimitExceeded`. Source: Google's older table of errors, which still stands for old interfaces.
    RateLimitForbidden,
    /// 403 `userRateLimitExceeded`. Source: as above.
    UserRateLimit,
    /// 403 `quotaExceeded` of a day's calls. Source: as above.
    DailyLimit,
    /// 500 `internalError`.
    Internal,
    /// 503 `backendError`.
    Backend,
    /// 503 with a page of HTML, from a proxy on the way.
    Proxy,
    /// 401 `authError`: the token is not taken any more.
    Unauthenticated,
    /// 403 `forbidden`: a right is missing. Source: hashicorp/terraform-provider-google#9468.
    Forbidden,
    /// 403 `accessNotConfigured`: the project has not turned Cloud DNS on. Source: Cloud DNS error messages page.
    ApiDisabled,
    /// 412 `conditionNotMet`, without anything having changed.
    ConditionNotMet,
}

impl Trouble {
    /// The answer, whole.
    pub fn answer(self) -> Answer {
        if self == Self::Proxy {
            let page =
                "<!DOCTYPE html><title>503</title><p>The service is unavailable. Please try again in 30 seconds.";
            return Answer::new(503, page).with_header("content-type", "text/html; charset=UTF-8");
        }
        self.refusal().answer(false)
    }

    /// The answer with `Retry-After`, in seconds.
    pub fn with_retry_after(self, seconds: u64) -> Answer {
        self.answer().with_header("retry-after", &seconds.to_string())
    }

    fn refusal(self) -> Refusal {
        match self {
            Self::RateLimit => {
                Refusal::new(429, "rateLimitExceeded", "Resource has been exhausted (e.g. check quota).")
            }
            Self::QuotaPerMinute => {
                let limit = "Write limit for a minute for a region";
                let info = json!({
                    "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "RATE_LIMIT_EXCEEDED",
                    "domain": "googleapis.com", "metadata": {"quota_limit": limit, "service": "dns.googleapis.com"},
                });
                let message = format!(
                    "Quota exceeded for quota metric 'Write requests' and limit '{limit}' of service 'dns.googleapis.com'."
                );
                Refusal::new(429, "rateLimitExceeded", message).said_by_front("RESOURCE_EXHAUSTED", vec![info])
            }
            Self::RateLimitForbidden => Refusal::new(403, "rateLimitExceeded", "Rate Limit Exceeded"),
            Self::UserRateLimit => Refusal::new(403, "userRateLimitExceeded", "User Rate Limit Exceeded"),
            Self::DailyLimit => Refusal::new(403, "dailyLimitExceeded", "Daily Limit Exceeded"),
            Self::Internal => Refusal::new(500, "internalError", "Internal Error"),
            Self::Backend | Self::Proxy => Refusal::new(503, "backendError", "Backend Error"),
            Self::Unauthenticated => Refusal::unauthenticated(true),
            Self::Forbidden => Refusal::forbidden(),
            Self::ApiDisabled => {
                let message = "Cloud DNS API has not been used in project before or it is disabled.";
                Refusal::new(403, "accessNotConfigured", message)
            }
            Self::ConditionNotMet => {
                Refusal::new(412, "conditionNotMet", "Precondition not met for 'entity.change.deletions[0]'")
            }
        }
    }
}

//! The keys of `[Global]` for Route 53. Federation v1 had none, so an empty or absent file is right.

use dnsprovider::Error;

use super::error::NAME;
use crate::SecretSource;
use crate::gcfg::{Config, ConfigError, Key, Schema, SectionSchema};

/// The sections and keys that the config file may have.
pub const SCHEMA: Schema = Schema(&[SectionSchema::single(
    "Global",
    &[
        Key::plain("region"),
        Key::plain("profile"),
        Key::plain("role-arn"),
        Key::plain("access-key-id"),
        Key::secret("secret-access-key"),
        Key::plain("endpoint-url"),
    ],
)]);

/// What an account grants. Unit: calls a second, of all kinds and on all zones together.
/// Source: <https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/DNSLimitations.html#limits-api-requests>.
const CALLS_PER_SECOND: f64 = 5.0;

/// What the backend is opened with. `Debug` shows no secret.
#[derive(Clone, Debug)]
pub struct Options {
    /// The region that names the partition and signs; else `AWS_REGION`, the profile's, `us-east-1`.
    pub region: Option<String>,
    /// A profile of the AWS config files, in place of `AWS_PROFILE` and `default`.
    pub profile: Option<String>,
    /// A role to assume with the credentials that are found.
    pub role_arn: Option<String>,
    /// Credentials; else those of the default chain.
    pub access_key: Option<AccessKey>,
    /// Where Route 53 is reached, in place of its public endpoint.
    pub endpoint_url: Option<String>,
    /// How many calls a second may be made, of all kinds and on all zones together. To be lowered where others use the
    /// same account.
    pub calls_per_second: f64,
}

/// An access key.
#[derive(Clone, Debug)]
pub struct AccessKey {
    /// The id, which is no secret.
    pub id: String,
    /// The secret half.
    pub secret: SecretSource,
}

impl Default for Options {
    /// As an empty config file.
    fn default() -> Self {
        Self {
            region: None,
            profile: None,
            role_arn: None,
            access_key: None,
            endpoint_url: None,
            calls_per_second: CALLS_PER_SECOND,
        }
    }
}

impl Options {
    /// Reads the options from a config that was checked against [`SCHEMA`].
    ///
    /// # Errors
    /// `ConfigInvalid`, with file and line.
    pub fn read(config: &Config) -> Result<Self, Error> {
        Self::parse(config).map_err(|error| error.of_provider(NAME))
    }

    fn parse(config: &Config) -> Result<Self, ConfigError> {
        let global = config.section("Global");
        let text = |key| global.text(key).map(str::to_owned);
        let access_key = match (text("access-key-id"), global.secret("secret-access-key")?) {
            (Some(id), Some(secret)) => Some(AccessKey { id, secret }),
            (None, None) => None,
            (Some(_), None) => {
                return Err(global.missing("secret-access-key", "`access-key-id` is given; give both or neither"));
            }
            (None, Some(_)) => {
                return Err(global.missing("access-key-id", "`secret-access-key` is given; give both or neither"));
            }
        };
        if access_key.is_some() && global.has("profile") {
            return Err(global.invalid("profile", "an access key is given too; give one of the two"));
        }
        if let Some(region) = global.text("region").filter(|region| !is_region(region)) {
            return Err(global.invalid("region", format!("`{region}` is no region; write one such as `eu-west-1`")));
        }
        if let Some(arn) = global.text("role-arn").filter(|arn| !is_role(arn)) {
            let why = format!("`{arn}` is no role; write `arn:aws:iam::ACCOUNT:role/NAME`");
            return Err(global.invalid("role-arn", why));
        }
        if global.text("endpoint-url").is_some_and(|url| !is_url(url)) {
            // Not repeated: what is wrong may be a password in it.
            let why = "this is no URL of a host; write `https://HOST`, and `:PORT` where it is not 443";
            return Err(global.invalid("endpoint-url", why));
        }
        Ok(Self {
            region: text("region"),
            profile: text("profile"),
            role_arn: text("role-arn"),
            access_key,
            endpoint_url: text("endpoint-url"),
            ..Self::default()
        })
    }
}

/// It becomes a part of a host name.
fn is_region(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

fn is_role(text: &str) -> bool {
    matches!(text.splitn(6, ':').collect::<Vec<_>>()[..],
        ["arn", partition, "iam", "", account, role]
            if partition.starts_with("aws") && !account.is_empty() && role.strip_prefix("role/").is_some_and(|name| !name.is_empty()))
}

fn is_url(text: &str) -> bool {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    host.is_some_and(|host| !host.is_empty() && !host.starts_with(['/', ':']) && !host.contains(['@', ' ', '?', '#']))
}

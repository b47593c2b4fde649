//! A key that opens nothing: made for the tests, known to nobody else's service, here for all to read.

/// The private key of the fake's service account. Clients must sign with some key; the fake looks at what was signed
/// and not at the signature.
pub(super) const PRIVATE_KEY: &str = "\
-----BEGIN PRIVATE KEY-----\n\
MIIEvgIBADANBgkqhkiG9w0BAQEFAASCBKgwggSkAgEAAoIBAQC2MJaP732WETBc\n\
7ZRtPQzFl6Pd6SJoyYwQdu4lVavEoUOksG3BiJmXyHoQrtjJFHn/xjmfu0LxwPFh\n\
7YIzQInKrPrNH2x6Mvz4o0XuPRdQZ8TWUHbB+thXmP8oRfvPkzpFVOz10KKk6UeZ\n\
C83hsiOQxB5plw2T12xTOqjmX/iGK+xLUeJ1cM7yPrUhVDn4/cCKb4QH4KRREzP+\n\
Bl/62Enw3bxL+ABB9RvmkJbMfvUntbtr8rnNq8INaic6/o839f9SiPviChkIigRP\n\
Z3unoJr/yZZK3FoHqf9jKA9KAbXY+QcWQZNbYxsKNnwOj20iIo1yLAhGDxewCSDb\n\
8UqXhfFlAgMBAAECggEABvpJae3UM4EpBwYaXyytZovuPLuHE9hUQvUrHcbwMzGx\n\
84bGTVk7+LI26pinuNvN6FvhLRrw721iUUvVZr0cCeUiHeUMNInrYmJudTdlwzCW\n\
O1cNlVRUINa9Pv+fK04KN0mPYcLB1+sPUO9AzVoTPqIkQAsG/BiOD4n5mgkm7YyE\n\
dwpTfY+1ag9bvm8L7/mNJDPeondUYxO5x/R4GgozBgsg1pSJR3V4WKY4k5vR55z1\n\
/QYz6LiDjrYSpIXfq7IWMYS1yQdBmbLpszCvmfQEYojtAE4M0JMm8Ks3n9zNGPza\n\
NiDYVoCHZvnHVqqikd3U2KVdwVgGAurl3BhrvpN+KQKBgQDwYFFX3nT5HqT4hoam\n\
ef7mu1pK0C6hGeYw0xxppJSkGEolFMB34PjX+9nExUQOsnRy2KPBoP9bfUEFdzRF\n\
omIowikWAOx7pYPFd7BJDpPYQbGC9FBnQ2VEC1XZ47ozo2gAjzvdCCqaglzOBQ/+\n\
PUocxZak+iCitQ4ZvF9Y3/g9vwKBgQDCCBdVXIWhBK6QKEmPhCWyq0hWjpihq29s\n\
dLsKRobapzJng13lZWWKe7BfM9y1j0bU6wCLW1e4CCQZIv+B7YT1Z+TDOo73PxIj\n\
S1XRBz16edRmcCQ10E6SkIM8ogDVDF3oPN5LtT+muejyU4v0P5PUK3ChPD9M504s\n\
jhnQXayh2wKBgDiBi92qD7lYONOrXA/acc9vj2Qy2CNK4U/s8Krs43xHsXZSEISd\n\
wCGVtLWK4drKnJE62BP2ctDg+t38Da+o4oZOTjY79VuDpxxObIRgBuU5XC86m4QK\n\
1c1PFNlprSXibdpj0WC+QLWdm49apU3QvpFQ6X7SxcU55pyqKYfM7qAlAoGBAJGk\n\
kycu6NtBcWqh4v2IGufvK8BVDvqjfWKyiEchQ05THEGY2N087CgzyeLcQfpCjs95\n\
ipIQQVrROY9ottOnHxs6HfvxM6khPZMilErvnVUWp7kwye1e6+uV7/yOOgOxYbfW\n\
IKJBbYLPn6xty+rN4j/rT4Knf3hRU1ucWoIOHmvrAoGBAND5JV0yyCki8jrSrVDW\n\
yFvsHi2QbxG1ydQaEedo9YQVj9FzjPgJltySwI1oM9COcv/d03netKjJNyFPEC4H\n\
XxbcI5ByhjfvAEv8sL+gVLjSHMYb2f4AdfjjPZ7DtQjVAgvPui5QnEZ4BLrhYgdO\n\
mLFa3epQLPozytFTNt0adwyd\n\
-----END PRIVATE KEY-----\n\
";

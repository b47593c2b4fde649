//! The operations, parameters, fields, words and limits of the API, as tables.
//!
//! Source: the service model `route53` 2013-04-01 of botocore 1.44.5. A test compares every row with it. Patterns of
//! texts (UUIDs of CIDR collections, coordinates) are left out.

use super::shapes::{
    ACCOUNT_LIMIT_TYPE, CHANGE_ID, CHANGE_RESOURCE_RECORD_SETS_REQUEST, CREATE_HOSTED_ZONE_REQUEST, DNS_NAME,
    HOSTED_ZONE_LIMIT_TYPE, HOSTED_ZONE_TYPE, PAGE_MARKER, PAGE_MAX_ITEMS, PAGINATION_TOKEN, RESOURCE_ID,
    RESOURCE_RECORD_SET_IDENTIFIER, RR_TYPE, VPC_ID, VPC_REGION,
};

/// The most characters of a text without a limit.
pub const UNLIMITED: usize = usize::MAX;

/// The namespace of every document.
pub const NAMESPACE: &str = "https://route53.amazonaws.com/doc/2013-04-01/";

/// An operation of the API.
#[derive(Debug)]
pub struct Operation {
    /// Its name, which is also the name of the right to call it: `route53:NAME`.
    pub name: &'static str,
    /// The HTTP method.
    pub method: &'static str,
    /// The path, with `{Name}` where a parameter stands.
    pub path: &'static str,
    /// The status of success.
    pub status: u16,
    /// The parameters in the path, in their order.
    pub uri: &'static [Param],
    /// The parameters of the query.
    pub query: &'static [Param],
    /// The document to send; its root has the name of the shape.
    pub body: Option<&'static Named>,
}

/// A parameter in the path or the query.
#[derive(Debug)]
pub struct Param {
    /// Its name there.
    pub name: &'static str,
    /// Its name in the model.
    pub member: &'static str,
    /// It may not be left out.
    pub required: bool,
    /// What it must be.
    pub of: &'static Named,
}

/// A shape and its name in the model.
#[derive(Debug)]
pub struct Named {
    /// The name.
    pub name: &'static str,
    /// The shape.
    pub shape: Shape,
}

/// What a value must be.
#[derive(Debug)]
pub enum Shape {
    /// Text of so many characters.
    Text {
        /// At least.
        min: usize,
        /// At most.
        max: usize,
    },
    /// One of these words.
    Word(&'static [&'static str]),
    /// A whole number.
    Integer {
        /// At least.
        min: i64,
        /// At most.
        max: i64,
    },
    /// `true` or `false`.
    Boolean,
    /// Elements of one name.
    List {
        /// At least so many.
        min: usize,
        /// Their name.
        element: &'static str,
        /// What each must be.
        item: &'static Named,
    },
    /// Elements of different names.
    Structure(&'static [Field]),
}

/// An element of a structure.
#[derive(Debug)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// It may not be left out.
    pub required: bool,
    /// What it must be.
    pub of: &'static Named,
}

pub(super) const fn field(name: &'static str, required: bool, of: &'static Named) -> Field {
    Field { name, required, of }
}

const fn param(name: &'static str, member: &'static str, required: bool, of: &'static Named) -> Param {
    Param { name, member, required, of }
}

/// Every operation that the fake knows.
pub static OPERATIONS: &[Operation] = &[
    Operation {
        name: "ChangeResourceRecordSets",
        method: "POST",
        path: "/2013-04-01/hostedzone/{Id}/rrset/",
        status: 200,
        uri: &[param("Id", "HostedZoneId", true, &RESOURCE_ID)],
        query: &[],
        body: Some(&CHANGE_RESOURCE_RECORD_SETS_REQUEST),
    },
    Operation {
        name: "ListResourceRecordSets",
        method: "GET",
        path: "/2013-04-01/hostedzone/{Id}/rrset",
        status: 200,
        uri: &[param("Id", "HostedZoneId", true, &RESOURCE_ID)],
        query: &[
            param("name", "StartRecordName", false, &DNS_NAME),
            param("type", "StartRecordType", false, &RR_TYPE),
            param("identifier", "StartRecordIdentifier", false, &RESOURCE_RECORD_SET_IDENTIFIER),
            param("maxitems", "MaxItems", false, &PAGE_MAX_ITEMS),
        ],
        body: None,
    },
    Operation {
        name: "CreateHostedZone",
        method: "POST",
        path: "/2013-04-01/hostedzone",
        status: 201,
        uri: &[],
        query: &[],
        body: Some(&CREATE_HOSTED_ZONE_REQUEST),
    },
    Operation {
        name: "DeleteHostedZone",
        method: "DELETE",
        path: "/2013-04-01/hostedzone/{Id}",
        status: 200,
        uri: &[param("Id", "Id", true, &RESOURCE_ID)],
        query: &[],
        body: None,
    },
    Operation {
        name: "GetHostedZone",
        method: "GET",
        path: "/2013-04-01/hostedzone/{Id}",
        status: 200,
        uri: &[param("Id", "Id", true, &RESOURCE_ID)],
        query: &[],
        body: None,
    },
    Operation {
        name: "ListHostedZones",
        method: "GET",
        path: "/2013-04-01/hostedzone",
        status: 200,
        uri: &[],
        query: &[
            param("marker", "Marker", false, &PAGE_MARKER),
            param("maxitems", "MaxItems", false, &PAGE_MAX_ITEMS),
            param("delegationsetid", "DelegationSetId", false, &RESOURCE_ID),
            param("hostedzonetype", "HostedZoneType", false, &HOSTED_ZONE_TYPE),
        ],
        body: None,
    },
    Operation {
        name: "ListHostedZonesByName",
        method: "GET",
        path: "/2013-04-01/hostedzonesbyname",
        status: 200,
        uri: &[],
        query: &[
            param("dnsname", "DNSName", false, &DNS_NAME),
            param("hostedzoneid", "HostedZoneId", false, &RESOURCE_ID),
            param("maxitems", "MaxItems", false, &PAGE_MAX_ITEMS),
        ],
        body: None,
    },
    Operation {
        name: "ListHostedZonesByVPC",
        method: "GET",
        path: "/2013-04-01/hostedzonesbyvpc",
        status: 200,
        uri: &[],
        query: &[
            param("vpcid", "VPCId", true, &VPC_ID),
            param("vpcregion", "VPCRegion", true, &VPC_REGION),
            param("maxitems", "MaxItems", false, &PAGE_MAX_ITEMS),
            param("nexttoken", "NextToken", false, &PAGINATION_TOKEN),
        ],
        body: None,
    },
    Operation {
        name: "GetChange",
        method: "GET",
        path: "/2013-04-01/change/{Id}",
        status: 200,
        uri: &[param("Id", "Id", true, &CHANGE_ID)],
        query: &[],
        body: None,
    },
    Operation {
        name: "GetHostedZoneCount",
        method: "GET",
        path: "/2013-04-01/hostedzonecount",
        status: 200,
        uri: &[],
        query: &[],
        body: None,
    },
    Operation {
        name: "GetHostedZoneLimit",
        method: "GET",
        path: "/2013-04-01/hostedzonelimit/{Id}/{Type}",
        status: 200,
        uri: &[param("Id", "HostedZoneId", true, &RESOURCE_ID), param("Type", "Type", true, &HOSTED_ZONE_LIMIT_TYPE)],
        query: &[],
        body: None,
    },
    Operation {
        name: "GetAccountLimit",
        method: "GET",
        path: "/2013-04-01/accountlimit/{Type}",
        status: 200,
        uri: &[param("Type", "Type", true, &ACCOUNT_LIMIT_TYPE)],
        query: &[],
        body: None,
    },
];

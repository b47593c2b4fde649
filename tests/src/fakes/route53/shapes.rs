//! What each value of the API must be. Source: as of [`super::model`].

use super::model::{Named, Shape, UNLIMITED, field};

pub(super) static RESOURCE_ID: Named = Named { name: "ResourceId", shape: Shape::Text { min: 0, max: 32 } };

pub(super) static CHANGE_RESOURCE_RECORD_SETS_REQUEST: Named = Named {
    name: "ChangeResourceRecordSetsRequest",
    shape: Shape::Structure(&[field("ChangeBatch", true, &CHANGE_BATCH)]),
};

static CHANGE_BATCH: Named = Named {
    name: "ChangeBatch",
    shape: Shape::Structure(&[field("Comment", false, &RESOURCE_DESCRIPTION), field("Changes", true, &CHANGES)]),
};

static RESOURCE_DESCRIPTION: Named = Named { name: "ResourceDescription", shape: Shape::Text { min: 0, max: 256 } };

static CHANGES: Named = Named { name: "Changes", shape: Shape::List { min: 1, element: "Change", item: &CHANGE } };

static CHANGE: Named = Named {
    name: "Change",
    shape: Shape::Structure(&[
        field("Action", true, &CHANGE_ACTION),
        field("ResourceRecordSet", true, &RESOURCE_RECORD_SET),
    ]),
};

static CHANGE_ACTION: Named = Named { name: "ChangeAction", shape: Shape::Word(&["CREATE", "DELETE", "UPSERT"]) };

static RESOURCE_RECORD_SET: Named = Named {
    name: "ResourceRecordSet",
    shape: Shape::Structure(&[
        field("Name", true, &DNS_NAME),
        field("Type", true, &RR_TYPE),
        field("SetIdentifier", false, &RESOURCE_RECORD_SET_IDENTIFIER),
        field("Weight", false, &RESOURCE_RECORD_SET_WEIGHT),
        field("Region", false, &RESOURCE_RECORD_SET_REGION),
        field("GeoLocation", false, &GEO_LOCATION),
        field("Failover", false, &RESOURCE_RECORD_SET_FAILOVER),
        field("MultiValueAnswer", false, &RESOURCE_RECORD_SET_MULTI_VALUE_ANSWER),
        field("TTL", false, &TTL),
        field("ResourceRecords", false, &RESOURCE_RECORDS),
        field("AliasTarget", false, &ALIAS_TARGET),
        field("HealthCheckId", false, &HEALTH_CHECK_ID),
        field("TrafficPolicyInstanceId", false, &TRAFFIC_POLICY_INSTANCE_ID),
        field("CidrRoutingConfig", false, &CIDR_ROUTING_CONFIG),
        field("GeoProximityLocation", false, &GEO_PROXIMITY_LOCATION),
    ]),
};

pub(super) static DNS_NAME: Named = Named { name: "DNSName", shape: Shape::Text { min: 0, max: 1024 } };

pub(super) static RR_TYPE: Named = Named {
    name: "RRType",
    shape: Shape::Word(&[
        "SOA", "A", "TXT", "NS", "CNAME", "MX", "NAPTR", "PTR", "SRV", "SPF", "AAAA", "CAA", "DS", "TLSA", "SSHFP",
        "SVCB", "HTTPS",
    ]),
};

pub(super) static RESOURCE_RECORD_SET_IDENTIFIER: Named =
    Named { name: "ResourceRecordSetIdentifier", shape: Shape::Text { min: 1, max: 128 } };

static RESOURCE_RECORD_SET_WEIGHT: Named =
    Named { name: "ResourceRecordSetWeight", shape: Shape::Integer { min: 0, max: 255 } };

static RESOURCE_RECORD_SET_REGION: Named = Named {
    name: "ResourceRecordSetRegion",
    shape: Shape::Word(&[
        "us-east-1",
        "us-east-2",
        "us-west-1",
        "us-west-2",
        "ca-central-1",
        "eu-west-1",
        "eu-west-2",
        "eu-west-3",
        "eu-central-1",
        "eu-central-2",
        "ap-southeast-1",
        "ap-southeast-2",
        "ap-southeast-3",
        "ap-northeast-1",
        "ap-northeast-2",
        "ap-northeast-3",
        "eu-north-1",
        "sa-east-1",
        "cn-north-1",
        "cn-northwest-1",
        "ap-east-1",
        "me-south-1",
        "me-central-1",
        "ap-south-1",
        "ap-south-2",
        "af-south-1",
        "eu-south-1",
        "eu-south-2",
        "ap-southeast-4",
        "il-central-1",
        "ca-west-1",
        "ap-southeast-5",
        "mx-central-1",
        "ap-southeast-7",
        "us-gov-east-1",
        "us-gov-west-1",
        "ap-east-2",
        "ap-southeast-6",
        "eusc-de-east-1",
    ]),
};

static GEO_LOCATION: Named = Named {
    name: "GeoLocation",
    shape: Shape::Structure(&[
        field("ContinentCode", false, &GEO_LOCATION_CONTINENT_CODE),
        field("CountryCode", false, &GEO_LOCATION_COUNTRY_CODE),
        field("SubdivisionCode", false, &GEO_LOCATION_SUBDIVISION_CODE),
    ]),
};

static GEO_LOCATION_CONTINENT_CODE: Named =
    Named { name: "GeoLocationContinentCode", shape: Shape::Text { min: 2, max: 2 } };

static GEO_LOCATION_COUNTRY_CODE: Named =
    Named { name: "GeoLocationCountryCode", shape: Shape::Text { min: 1, max: 2 } };

static GEO_LOCATION_SUBDIVISION_CODE: Named =
    Named { name: "GeoLocationSubdivisionCode", shape: Shape::Text { min: 1, max: 3 } };

static RESOURCE_RECORD_SET_FAILOVER: Named =
    Named { name: "ResourceRecordSetFailover", shape: Shape::Word(&["PRIMARY", "SECONDARY"]) };

static RESOURCE_RECORD_SET_MULTI_VALUE_ANSWER: Named =
    Named { name: "ResourceRecordSetMultiValueAnswer", shape: Shape::Boolean };

static TTL: Named = Named { name: "TTL", shape: Shape::Integer { min: 0, max: 2_147_483_647 } };

static RESOURCE_RECORDS: Named =
    Named { name: "ResourceRecords", shape: Shape::List { min: 1, element: "ResourceRecord", item: &RESOURCE_RECORD } };

static RESOURCE_RECORD: Named =
    Named { name: "ResourceRecord", shape: Shape::Structure(&[field("Value", true, &RDATA)]) };

static RDATA: Named = Named { name: "RData", shape: Shape::Text { min: 0, max: 4000 } };

static ALIAS_TARGET: Named = Named {
    name: "AliasTarget",
    shape: Shape::Structure(&[
        field("HostedZoneId", true, &RESOURCE_ID),
        field("DNSName", true, &DNS_NAME),
        field("EvaluateTargetHealth", true, &ALIAS_HEALTH_ENABLED),
    ]),
};

static ALIAS_HEALTH_ENABLED: Named = Named { name: "AliasHealthEnabled", shape: Shape::Boolean };

static HEALTH_CHECK_ID: Named = Named { name: "HealthCheckId", shape: Shape::Text { min: 0, max: 64 } };

static TRAFFIC_POLICY_INSTANCE_ID: Named =
    Named { name: "TrafficPolicyInstanceId", shape: Shape::Text { min: 1, max: 36 } };

static CIDR_ROUTING_CONFIG: Named = Named {
    name: "CidrRoutingConfig",
    shape: Shape::Structure(&[
        field("CollectionId", true, &UUID),
        field("LocationName", true, &CIDR_LOCATION_NAME_DEFAULT_ALLOWED),
    ]),
};

static UUID: Named = Named { name: "UUID", shape: Shape::Text { min: 0, max: UNLIMITED } };

static CIDR_LOCATION_NAME_DEFAULT_ALLOWED: Named =
    Named { name: "CidrLocationNameDefaultAllowed", shape: Shape::Text { min: 1, max: 16 } };

static GEO_PROXIMITY_LOCATION: Named = Named {
    name: "GeoProximityLocation",
    shape: Shape::Structure(&[
        field("AWSRegion", false, &AWSREGION),
        field("LocalZoneGroup", false, &LOCAL_ZONE_GROUP),
        field("Coordinates", false, &COORDINATES),
        field("Bias", false, &BIAS),
    ]),
};

static AWSREGION: Named = Named { name: "AWSRegion", shape: Shape::Text { min: 1, max: 64 } };

static LOCAL_ZONE_GROUP: Named = Named { name: "LocalZoneGroup", shape: Shape::Text { min: 1, max: 64 } };

static COORDINATES: Named = Named {
    name: "Coordinates",
    shape: Shape::Structure(&[field("Latitude", true, &LATITUDE), field("Longitude", true, &LONGITUDE)]),
};

static LATITUDE: Named = Named { name: "Latitude", shape: Shape::Text { min: 1, max: 6 } };

static LONGITUDE: Named = Named { name: "Longitude", shape: Shape::Text { min: 1, max: 7 } };

static BIAS: Named = Named { name: "Bias", shape: Shape::Integer { min: -99, max: 99 } };

pub(super) static PAGE_MAX_ITEMS: Named = Named { name: "PageMaxItems", shape: Shape::Text { min: 0, max: UNLIMITED } };

pub(super) static CREATE_HOSTED_ZONE_REQUEST: Named = Named {
    name: "CreateHostedZoneRequest",
    shape: Shape::Structure(&[
        field("Name", true, &DNS_NAME),
        field("VPC", false, &VPC),
        field("CallerReference", true, &NONCE),
        field("HostedZoneConfig", false, &HOSTED_ZONE_CONFIG),
        field("DelegationSetId", false, &RESOURCE_ID),
    ]),
};

static VPC: Named = Named {
    name: "VPC",
    shape: Shape::Structure(&[field("VPCRegion", false, &VPC_REGION), field("VPCId", false, &VPC_ID)]),
};

pub(super) static VPC_REGION: Named = Named {
    name: "VPCRegion",
    shape: Shape::Word(&[
        "us-east-1",
        "us-east-2",
        "us-west-1",
        "us-west-2",
        "eu-west-1",
        "eu-west-2",
        "eu-west-3",
        "eu-central-1",
        "eu-central-2",
        "ap-east-1",
        "me-south-1",
        "us-gov-west-1",
        "us-gov-east-1",
        "us-iso-east-1",
        "us-iso-west-1",
        "us-isob-east-1",
        "me-central-1",
        "ap-southeast-1",
        "ap-southeast-2",
        "ap-southeast-3",
        "ap-south-1",
        "ap-south-2",
        "ap-northeast-1",
        "ap-northeast-2",
        "ap-northeast-3",
        "eu-north-1",
        "sa-east-1",
        "ca-central-1",
        "cn-north-1",
        "cn-northwest-1",
        "af-south-1",
        "eu-south-1",
        "eu-south-2",
        "ap-southeast-4",
        "il-central-1",
        "ca-west-1",
        "ap-southeast-5",
        "mx-central-1",
        "us-isof-south-1",
        "us-isof-east-1",
        "ap-southeast-7",
        "ap-east-2",
        "eu-isoe-west-1",
        "ap-southeast-6",
        "us-isob-west-1",
        "eusc-de-east-1",
    ]),
};

pub(super) static VPC_ID: Named = Named { name: "VPCId", shape: Shape::Text { min: 0, max: 1024 } };

static NONCE: Named = Named { name: "Nonce", shape: Shape::Text { min: 1, max: 128 } };

static HOSTED_ZONE_CONFIG: Named = Named {
    name: "HostedZoneConfig",
    shape: Shape::Structure(&[
        field("Comment", false, &RESOURCE_DESCRIPTION),
        field("PrivateZone", false, &IS_PRIVATE_ZONE),
    ]),
};

static IS_PRIVATE_ZONE: Named = Named { name: "IsPrivateZone", shape: Shape::Boolean };

pub(super) static PAGE_MARKER: Named = Named { name: "PageMarker", shape: Shape::Text { min: 0, max: 64 } };

pub(super) static HOSTED_ZONE_TYPE: Named =
    Named { name: "HostedZoneType", shape: Shape::Word(&["PrivateHostedZone"]) };

pub(super) static PAGINATION_TOKEN: Named = Named { name: "PaginationToken", shape: Shape::Text { min: 0, max: 1024 } };

pub(super) static CHANGE_ID: Named = Named { name: "ChangeId", shape: Shape::Text { min: 1, max: 6500 } };

pub(super) static HOSTED_ZONE_LIMIT_TYPE: Named =
    Named { name: "HostedZoneLimitType", shape: Shape::Word(&["MAX_RRSETS_BY_ZONE", "MAX_VPCS_ASSOCIATED_BY_ZONE"]) };

pub(super) static ACCOUNT_LIMIT_TYPE: Named = Named {
    name: "AccountLimitType",
    shape: Shape::Word(&[
        "MAX_HEALTH_CHECKS_BY_OWNER",
        "MAX_HOSTED_ZONES_BY_OWNER",
        "MAX_TRAFFIC_POLICY_INSTANCES_BY_OWNER",
        "MAX_REUSABLE_DELEGATION_SETS_BY_OWNER",
        "MAX_TRAFFIC_POLICIES_BY_OWNER",
    ]),
};
